"""This file is the site in frameworks for ASGI, with a WebSocket beside the pages."""

from collections.abc import Callable
from functools import partial
from typing import Any

import blacksheep
import falcon
import falcon.asgi
from litestar import Litestar
from litestar import WebSocket as LitestarWebSocket
from litestar import get as litestar_get
from litestar import websocket as litestar_websocket
from quart import Quart
from quart import websocket as quart_websocket
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.types import ASGIApp

from support.frameworks.site import MOUNT, ROUTES, SOCKET, Witness, Wrap, plain


class FalconResource:
    def __init__(self, witness: Witness, route: str) -> None:
        self._serve = partial(witness.serve, route)

    async def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        response.text = self._serve()

    async def on_websocket(self, request: falcon.Request, socket: falcon.asgi.WebSocket) -> None:
        self._serve()
        await socket.accept()


def falcon_asgi_app(witness: Witness, wrap: Wrap) -> ASGIApp:
    app = falcon.asgi.App()
    for route in (*ROUTES, SOCKET):
        app.add_route(route, FalconResource(witness, route))
    wrapped: ASGIApp = wrap(app)
    return wrapped


def starlette_app(witness: Witness, wrap: Wrap) -> ASGIApp:
    def endpoint(route: str) -> Callable[[Request], Any]:
        async def answer(request: Request) -> PlainTextResponse:
            return PlainTextResponse(witness.serve(route))

        return answer

    async def talk(socket: Any) -> None:
        witness.serve(SOCKET)
        await socket.accept()
        await socket.close()

    routes = [Route(route, endpoint(route)) for route in ROUTES]
    wrapped: ASGIApp = wrap(Starlette(routes=[*routes, WebSocketRoute(SOCKET, talk)]))
    return wrapped


def mounted_starlette_app(witness: Witness, wrap: Wrap) -> ASGIApp:
    """The guard stands inside the mount."""
    return Starlette(routes=[Mount(MOUNT, app=starlette_app(witness, wrap))])


def mounting_starlette_app(witness: Witness, wrap: Wrap) -> ASGIApp:
    """The guard stands outside the mount."""
    wrapped: ASGIApp = wrap(mounted_starlette_app(witness, plain))
    return wrapped


def quart_app(witness: Witness, wrap: Wrap) -> ASGIApp:
    def view(route: str) -> Callable[[], Any]:
        async def answer() -> str:
            return witness.serve(route)

        return answer

    async def talk() -> None:
        witness.serve(SOCKET)
        await quart_websocket.accept()
        await quart_websocket.close(1000)

    app = Quart(__name__)
    for route in ROUTES:
        app.add_url_rule(route, endpoint=route, view_func=view(route))
    app.add_websocket(SOCKET, view_func=talk)
    wrapped: ASGIApp = wrap(app)
    return wrapped


def litestar_app(witness: Witness, wrap: Wrap) -> ASGIApp:
    def handler(route: str) -> Any:
        async def answer() -> str:
            return witness.serve(route)

        return litestar_get(route)(answer)

    async def talk(socket: LitestarWebSocket[Any, Any, Any]) -> None:
        witness.serve(SOCKET)
        await socket.accept()
        await socket.close()

    handlers = [*map(handler, ROUTES), litestar_websocket(SOCKET)(talk)]
    wrapped: ASGIApp = wrap(Litestar(handlers, openapi_config=None, logging_config=None))
    return wrapped


def blacksheep_app(witness: Witness, wrap: Wrap) -> ASGIApp:
    """It starts with the first request."""

    def handler(route: str) -> Callable[[], Any]:
        async def answer() -> str:
            return witness.serve(route)

        return answer

    async def talk(socket: blacksheep.WebSocket) -> None:
        witness.serve(SOCKET)
        await socket.accept()
        await socket.close()

    app = blacksheep.Application(router=blacksheep.Router())
    for route in ROUTES:
        app.router.add_get(route, handler(route))
    app.router.add_ws(SOCKET, talk)
    wrapped: ASGIApp = wrap(app)
    return wrapped
