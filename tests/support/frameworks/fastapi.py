"""This file is the site in FastAPI."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, WebSocket
from starlette.types import ASGIApp

from support.frameworks.site import ROUTES, SOCKET, Witness, Wrap


def fastapi_app(witness: Witness, wrap: Wrap, *, root_path: str = "") -> ASGIApp:
    def endpoint(route: str) -> Callable[[], Any]:
        async def answer() -> str:
            return witness.serve(route)

        return answer

    async def talk(socket: WebSocket) -> None:
        witness.serve(SOCKET)
        await socket.accept()
        await socket.close()

    app = FastAPI()
    app.root_path = root_path  # as the argument would, which is on its way out
    for route in ROUTES:
        app.add_api_route(route, endpoint(route))
    app.add_api_websocket_route(SOCKET, talk)
    wrapped: ASGIApp = wrap(app)
    return wrapped
