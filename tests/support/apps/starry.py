"""This file is the same app in Starlette, with a WebSocket and a lifespan: `uvicorn support.apps.starry:app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from ck_middleware import ASGIAuthMiddleware
from support.apps.telling import TIMEOUT, record, told
from support.asked import PATIENCE, waiting_at_most

WAIT = 60  # seconds for the test to let a stream go on


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, str]]:
    record(lifespan="startup")
    yield {"greeting": "made at startup"}
    record(lifespan="shutdown")


def _told(connection: HTTPConnection) -> dict[str, object]:
    remote_user = connection.user.sub if connection.user.is_authenticated else None
    greeting = getattr(connection.state, "greeting", None)
    client = connection.client.host if connection.client else None
    seen = {"scheme": connection.scope["scheme"], "mount": connection.scope["root_path"], "client": client}
    return told(connection, connection.headers.items()) | {"remote_user": remote_user, "greeting": greeting} | seen


async def tell(request: Request) -> JSONResponse:
    record(path=request.url.path)
    return JSONResponse(_told(request))


async def talk(socket: WebSocket) -> None:
    record(path=socket.url.path)
    await socket.accept()
    await socket.send_json(_told(socket))
    async for text in socket.iter_text():
        await socket.send_text(f"{socket.user.name} said {text}")


async def stream(request: Request) -> StreamingResponse:
    """Two chunks. The second is made when a file of the name in the query is there."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b"first\n"
        ending = anyio.current_time() + WAIT
        while anyio.current_time() < ending:
            if await anyio.Path(request.url.query).exists():
                yield b"second\n"
                return
            await anyio.sleep(0.01)
        yield b"nobody had the first\n"

    return StreamingResponse(chunks(), media_type="text/plain")


site = Starlette(
    routes=[Route("/stream", stream), WebSocketRoute("/talk/{tag}", talk), Route("/{path:path}", tell)],
    lifespan=lifespan,
)
with waiting_at_most(PATIENCE):
    app = ASGIAuthMiddleware(site, timeout=TIMEOUT)
