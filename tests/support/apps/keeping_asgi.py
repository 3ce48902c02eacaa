"""This file is the same app in Starlette, with a WebSocket and an endless stream: `support.apps.keeping_asgi:app`."""

import asyncio
from collections.abc import AsyncIterator

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from ck_middleware import ASGIAuthMiddleware, AuthError, get_session
from support.apps.keeping import SETTINGS, store_timeout, token_told
from support.apps.telling import told

WAIT = 30  # seconds, where nobody is in a hurry


async def tell(request: Request) -> JSONResponse:
    session = get_session(request)
    return JSONResponse(told(request, ()) | {"session": session.id if session else None})


async def token(request: Request) -> JSONResponse:
    """A token; with `within` in the query, after so many seconds at the most."""
    session = get_session(request)
    assert session
    try:
        async with asyncio.timeout(float(request.query_params.get("within", WAIT))):
            return JSONResponse(token_told(request, session.id, await session.access_token()))
    except (AuthError, TimeoutError) as exc:
        return JSONResponse({"trouble": type(exc).__name__}, 503)


async def end(request: Request) -> JSONResponse:
    return JSONResponse({"ended": await app.end_sessions(**dict(request.query_params))})


async def talk(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_json(told(socket, ()))
    async for text in socket.iter_text():
        await socket.send_text(f"{socket.user.name} said {text}")


async def stream(request: Request) -> StreamingResponse:
    """Ten parts a second, for as long as anybody listens."""

    async def parts() -> AsyncIterator[bytes]:
        while True:
            yield b"part\n"
            await anyio.sleep(0.1)

    return StreamingResponse(parts(), media_type="text/plain")


site = Starlette(
    routes=[
        Route("/token", token),
        Route("/api/token", token),
        Route("/admin/end", end),
        Route("/stream", stream),
        WebSocketRoute("/talk", talk),
        Route("/{path:path}", tell),
    ]
)
with store_timeout():
    app = ASGIAuthMiddleware(site, **SETTINGS)
