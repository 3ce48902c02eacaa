"""This file is one small site in many frameworks, and a witness of whether a protected handler has run.

A builder takes the witness and a wrapper for the place where the guard stands, and gives the whole app.
"""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any
from wsgiref.types import WSGIApplication

import blacksheep
import bottle
import falcon
import falcon.asgi
from django.conf import settings as django_settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.http import HttpResponse
from django.test import override_settings
from django.urls import path as django_path
from django.urls import re_path as django_re_path
from fastapi import FastAPI, WebSocket
from flask import Flask
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
from starlette.types import ASGIApp, Receive, Scope, Send
from werkzeug.middleware.dispatcher import DispatcherMiddleware

ROUTES = ("/api/secret", "/api", "/admin", "/public")
PROTECTED = ROUTES[:3]
SOCKET = "/api/live"  # a protected WebSocket, in the frameworks that have them
PREFIXES = ["/api", "/admin"]
MOUNT = "/m"  # where a framework mounts the guarded app, or the guard a framework that mounts

Wrap = Callable[[Any], Any]  # the guard, or nothing; it takes an app of its own face and gives one
Build = Callable[["Witness", Wrap], Any]


class Witness:
    """Knows whether the handler of a protected route has run."""

    def __init__(self) -> None:
        self.ran = False

    def serve(self, route: str) -> str:
        self.ran = self.ran or route not in {"/public", "elsewhere"}
        return route


def plain(app: Any) -> Any:
    """No guard."""
    return app


# WSGI


def flask_app(witness: Witness, wrap: Wrap) -> WSGIApplication:
    app = Flask(__name__)
    for route in ROUTES:
        app.add_url_rule(route, endpoint=route, view_func=partial(witness.serve, route))
    wrapped: WSGIApplication = wrap(app.wsgi_app)
    return wrapped


def dispatched_flask_app(witness: Witness, wrap: Wrap) -> WSGIApplication:
    """The guard stands inside the mount."""
    return DispatcherMiddleware(bottle.Bottle(), {MOUNT: flask_app(witness, wrap)})


def bottle_app(witness: Witness, wrap: Wrap) -> WSGIApplication:
    app = bottle.Bottle()
    for route in ROUTES:
        app.route(route, callback=partial(witness.serve, route))
    wrapped: WSGIApplication = wrap(app)
    return wrapped


def pyramid_app(witness: Witness, wrap: Wrap) -> WSGIApplication:
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # it imports `cgi`
        from pyramid.config import Configurator  # noqa: PLC0415
        from pyramid.response import Response  # noqa: PLC0415

    def view(route: str) -> Callable[[Any], Response]:
        return lambda request: Response(witness.serve(route))

    config = Configurator()
    for route in ROUTES:
        config.add_route(route, route)
        config.add_view(view(route), route_name=route)
    wrapped: WSGIApplication = wrap(config.make_wsgi_app())
    return wrapped


class FalconResource:
    def __init__(self, witness: Witness, route: str) -> None:
        self._serve = partial(witness.serve, route)

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        response.text = self._serve()


class AsyncFalconResource(FalconResource):
    async def on_get(self, request: falcon.Request, response: falcon.Response) -> None:  # type: ignore[override]  # as falcon.asgi asks
        response.text = self._serve()

    async def on_websocket(self, request: falcon.Request, socket: falcon.asgi.WebSocket) -> None:
        self._serve()


def falcon_wsgi_app(witness: Witness, wrap: Wrap) -> WSGIApplication:
    app = falcon.App()
    for route in ROUTES:
        app.add_route(route, FalconResource(witness, route))
    wrapped: WSGIApplication = wrap(app)
    return wrapped


# Django has only one set of settings in a process


def django_wsgi_app(witness: Witness, wrap: Wrap) -> WSGIApplication:
    def view(route: str) -> Callable[[Any], HttpResponse]:
        return lambda request: HttpResponse(witness.serve(route))

    wrapped: WSGIApplication = wrap(_django_handler(WSGIHandler, view))
    return wrapped


def django_asgi_app(witness: Witness, wrap: Wrap) -> ASGIApp:
    def view(route: str) -> Callable[[Any], Any]:
        async def answer(request: Any) -> HttpResponse:
            return HttpResponse(witness.serve(route))

        return answer

    wrapped: ASGIApp = wrap(_django_handler(ASGIHandler, view))
    return wrapped


def forced_django_asgi_app(witness: Witness, wrap: Wrap) -> ASGIApp:
    """Django cuts a mount off that no scope shows."""
    app = django_asgi_app(witness, wrap)

    async def forced(scope: Scope, receive: Receive, send: Send) -> None:
        with override_settings(FORCE_SCRIPT_NAME="/pre"):
            await app(scope, receive, send)

    return forced


def _django_handler(base: Any, view: Callable[[str], Any]) -> Any:
    if not django_settings.configured:
        django_settings.configure(ALLOWED_HOSTS=["*"], MIDDLEWARE=[], LOGGING_CONFIG=None, ROOT_URLCONF=__name__)
    # There is no database to look after, which on ASGI would take a thread for each request.
    for signal in (request_started, request_finished):
        signal.receivers.clear()
    # A last route for the rest, since Django starts a thread for every 404 of its own.
    routes = (*(django_path(route[1:], view(route)) for route in ROUTES), django_re_path("", view("elsewhere")))

    class Handler(base):  # type: ignore[misc]  # Django has no types
        def resolve_request(self, request: Any) -> Any:
            request.urlconf = routes
            return super().resolve_request(request)

    class OneThread(Handler):
        """Without the thread that each request on ASGI has to itself."""

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await self.handle(scope, receive, send)

    return OneThread() if base is ASGIHandler else Handler()


# ASGI


def falcon_asgi_app(witness: Witness, wrap: Wrap) -> ASGIApp:
    app = falcon.asgi.App()
    for route in (*ROUTES, SOCKET):
        app.add_route(route, AsyncFalconResource(witness, route))
    wrapped: ASGIApp = wrap(app)
    return wrapped


def starlette_app(witness: Witness, wrap: Wrap) -> ASGIApp:
    def endpoint(route: str) -> Callable[[Request], Any]:
        async def answer(request: Request) -> PlainTextResponse:
            return PlainTextResponse(witness.serve(route))

        return answer

    async def talk(socket: Any) -> None:
        witness.serve(SOCKET)
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


def fastapi_app(witness: Witness, wrap: Wrap, *, root_path: str = "") -> ASGIApp:
    def endpoint(route: str) -> Callable[[], Any]:
        async def answer() -> str:
            return witness.serve(route)

        return answer

    async def talk(socket: WebSocket) -> None:
        witness.serve(SOCKET)
        await socket.close()

    app = FastAPI()
    app.root_path = root_path  # as the argument would, which is on its way out
    for route in ROUTES:
        app.add_api_route(route, endpoint(route))
    app.add_api_websocket_route(SOCKET, talk)
    wrapped: ASGIApp = wrap(app)
    return wrapped


def quart_app(witness: Witness, wrap: Wrap) -> ASGIApp:
    def view(route: str) -> Callable[[], Any]:
        async def answer() -> str:
            return witness.serve(route)

        return answer

    async def talk() -> None:
        witness.serve(SOCKET)
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

    app = blacksheep.Application(router=blacksheep.Router())
    for route in ROUTES:
        app.router.add_get(route, handler(route))
    app.router.add_ws(SOCKET, talk)
    wrapped: ASGIApp = wrap(app)
    return wrapped
