"""This file is requests as a server makes them, new in every object, through an app with the layer and without it."""

import asyncio
import itertools
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Unpack
from urllib.parse import unquote
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import redis.asyncio
from counting import Ask
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ck_middleware import ASGIAuthMiddleware, AuthConfig, WSGIAuthMiddleware, get_user
from ck_middleware.config import Settings
from ck_middleware.messages import Request
from ck_middleware.ports import step
from ck_middleware.tokens import Login, Tokens

USUAL: Final[Settings] = {
    "client_id": "ck_bench",
    "client_secret": "of the client",
    "session_secret": "thirty-two bytes that nobody else knows",
    "issuer": "http://127.0.0.1:9",
}
CLAIMS: Final = {
    "iss": "http://127.0.0.1:9",
    "sub": "ck_u_0123456789abcdef",
    "name": "Ada Lovelace",
    "preferred_username": "ada",
    "email": "ada@example.test",
    "email_verified": True,
}
PAGE: Final = "/private/page"
HTML: Final = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
# As Firefox sends them; the cookies come last.
HEAD: Final = """host: localhost:8000
user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0
accept: {accept}
accept-language: en-US,en;q=0.5
accept-encoding: gzip, deflate, br, zstd
connection: keep-alive
upgrade-insecure-requests: 1
sec-fetch-dest: document
sec-fetch-mode: {mode}
sec-fetch-site: same-origin"""

STARTED: Final = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
BODY: Final = {"type": "http.response.body", "body": b"hello"}


def claims_of(number: int, size: int = 0) -> dict[str, Any]:
    """Somebody's claims; those of a size are filled up to about so many bytes."""
    claims: dict[str, Any] = CLAIMS | {"sub": f"ck_u_{number:016x}"}
    return claims | {"groups": [f"group-{one:012d}" for one in range((size - 190) // 21)]} if size else claims


class Inputs:
    """One request after another. `cookies` are sent in turn; `{}` in a path becomes a number."""

    def __init__(
        self, path: str = PAGE, *, cookies: Sequence[str] = (), accept: str = HTML, websocket: bool = False
    ) -> None:
        head = HEAD.format(accept=accept, mode="navigate" if accept == HTML else "cors").encode()
        self._heads = itertools.cycle([head + b"\ncookie: " + cookie.encode() for cookie in cookies] or [head])
        self._targets: Iterable[str] = map(path.format, itertools.count()) if "{}" in path else itertools.repeat(path)
        self._websocket = websocket

    def scopes(self, number: int) -> Iterable[dict[str, Any]]:
        for head, target in itertools.islice(zip(self._heads, self._targets, strict=False), number):
            raw = target.encode()
            scope = {
                "type": "http",
                "asgi": {"version": "3.0", "spec_version": "2.3"},
                "http_version": "1.1",
                "server": ("127.0.0.1", 8000),
                "client": ("127.0.0.1", 50000),
                "scheme": "http",
                "method": "GET",
                "root_path": "",
                "path": unquote(raw.decode("ascii")),
                "raw_path": raw,
                "query_string": b"",
                "headers": [tuple(line.split(b": ", 1)) for line in head.split(b"\n")],
                "state": {},
            }
            if self._websocket:
                scope |= {"type": "websocket", "scheme": "ws", "subprotocols": []}
                del scope["method"]
            yield scope

    def environs(self, number: int) -> Iterable[WSGIEnvironment]:
        for head, target in itertools.islice(zip(self._heads, self._targets, strict=False), number):
            environ: WSGIEnvironment = {
                "wsgi.url_scheme": "http",
                "REQUEST_METHOD": "GET",
                "QUERY_STRING": "",
                "RAW_URI": target,
                "SERVER_PROTOCOL": "HTTP/1.1",
                "SERVER_NAME": "127.0.0.1",
                "SERVER_PORT": "8000",
                "PATH_INFO": target.encode().decode("latin-1"),
                "SCRIPT_NAME": "",
            }
            for line in head.decode("latin-1").split("\n"):
                name, value = line.split(": ", 1)
                environ["HTTP_" + name.upper().replace("-", "_")] = value
            yield environ


async def asgi_app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        return
    await send(STARTED)
    await send(BODY)


async def asgi_app_that_reads(scope: Scope, receive: Receive, send: Send) -> None:
    if not get_user(scope).name:
        raise ValueError
    await asgi_app(scope, receive, send)


async def _receive() -> Message:
    return {"type": "websocket.connect"}


async def _send(message: Message) -> None: ...


def asgi_wrapper(app: ASGIApp) -> ASGIApp:
    async def wrapper(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)

    return wrapper


def wsgi_app(_environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [("content-type", "text/plain")])
    return [b"hello"]


def wsgi_app_that_reads(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    if not get_user(environ).name:
        raise ValueError
    return wsgi_app(environ, start_response)


def _start(_status: str, _headers: list[tuple[str, str]], _exc_info: object = None, /) -> Callable[[bytes], object]:
    return sys.stdout.buffer.write


def wsgi_wrapper(app: WSGIApplication) -> WSGIApplication:
    def wrapped(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return app(environ, start_response)

    return wrapped


class Nobody(Request):
    """A request without a cookie, for a session to begin with."""

    def __init__(self) -> None:
        self.cookies = b""

    def header(self, name: str) -> str:
        return name[:0]

    async def body(self, limit: int) -> bytes | None:
        return b""[:limit]


class ASGIDriver:
    """The ASGI face, in one task of one loop."""

    memory = "AsyncMemoryStore"

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner

    def bare(self, inputs: Inputs) -> Ask:
        return self._asking(asgi_app, inputs)

    def wrapped(self, inputs: Inputs) -> Ask:
        return self._asking(asgi_wrapper(asgi_app), inputs)

    def layer(self, *, reads: bool = False, **settings: Unpack[Settings]) -> ASGIAuthMiddleware:
        return ASGIAuthMiddleware(asgi_app_that_reads if reads else asgi_app, AuthConfig(**(USUAL | settings)))

    def guarded(self, layer: ASGIAuthMiddleware, inputs: Inputs) -> Ask:
        return self._asking(layer, inputs)

    def cookie(self, layer: ASGIAuthMiddleware, claims: dict[str, Any]) -> str:
        """The cookie of a session that begins."""
        started = layer._gate.sessions.start(Login(claims, Tokens("access")), Nobody())  # noqa: SLF001
        return self._runner.run(started)[0].partition(";")[0]

    def asking_redis(self, url: str, inputs: Inputs) -> Ask:
        """The bare app behind one question to Redis, by a client that bounds its connections."""
        client = redis.asyncio.Redis(connection_pool=redis.asyncio.BlockingConnectionPool.from_url(url, protocol=2))

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await client.get("s" * 64)
            await asgi_app(scope, receive, send)

        async def kept() -> None:
            await client.set("s" * 64, bytes(360))

        self._runner.run(kept())
        return self._asking(app, inputs)

    def _asking(self, app: ASGIApp, inputs: Inputs) -> Ask:
        async def many(number: int) -> None:
            for scope in inputs.scopes(number):
                await app(scope, _receive, _send)

        return lambda number: self._runner.run(many(number))


class WSGIDriver:
    """The WSGI face, in this thread."""

    def bare(self, inputs: Inputs) -> Ask:
        return _asking(wsgi_app, inputs)

    def wrapped(self, inputs: Inputs) -> Ask:
        return _asking(wsgi_wrapper(wsgi_app), inputs)

    def layer(self, *, reads: bool = False, **settings: Unpack[Settings]) -> WSGIAuthMiddleware:
        return WSGIAuthMiddleware(wsgi_app_that_reads if reads else wsgi_app, AuthConfig(**(USUAL | settings)))

    def guarded(self, layer: WSGIAuthMiddleware, inputs: Inputs) -> Ask:
        return _asking(layer, inputs)

    def cookie(self, layer: WSGIAuthMiddleware, claims: dict[str, Any]) -> str:
        started = layer._gate.sessions.start(Login(claims, Tokens("access")), Nobody())  # noqa: SLF001
        return step(started)[0].partition(";")[0]

    def asking_redis(self, url: str, inputs: Inputs) -> Ask:
        client = redis.Redis(connection_pool=redis.BlockingConnectionPool.from_url(url, protocol=2))

        def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            client.get("s" * 64)
            return wsgi_app(environ, start_response)

        client.set("s" * 64, bytes(360))
        return _asking(app, inputs)


def _asking(app: WSGIApplication, inputs: Inputs) -> Ask:
    def many(number: int) -> None:
        for environ in inputs.environs(number):
            b"".join(app(environ, _start))

    return many
