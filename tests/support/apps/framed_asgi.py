"""This file is those sites on ASGI: `hypercorn support.apps.framed_asgi:app`."""

from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from ck_middleware import ASGIAuthMiddleware
from support.apps.framed import PROTECT, a_prefix_alone_guards, sites
from support.apps.telling import told
from support.frameworks.asgi import blacksheep_app, litestar_app, quart_app, starlette_app


async def tell(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        socket = WebSocket(scope, receive, send)
        await socket.accept()
        await socket.close()
    elif scope["type"] == "http":
        fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        await JSONResponse(told(scope, fields) | {"path": scope["path"]})(scope, receive, send)


def naive(app: ASGIApp) -> ASGIApp:
    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        refused = scope["type"] == "http" and a_prefix_alone_guards(scope["path"])
        await (PlainTextResponse("log in", 401) if refused else app)(scope, receive, send)

    return guarded


SITES = sites(
    {"starlette": starlette_app, "quart": quart_app, "litestar": litestar_app, "blacksheep": blacksheep_app},
    lambda app: ASGIAuthMiddleware(app, protect=PROTECT),
    naive,
    tell,
    PlainTextResponse("here"),
)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    site = dict(scope.get("headers", ())).get(b"app", b"").decode()
    await SITES[site](scope, receive, send)
