"""This file is the ASGI face: it reads the scope, awaits the core, and is the only one that knows an event loop."""

from __future__ import annotations

import asyncio
import inspect
import os
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import TYPE_CHECKING, Unpack
from weakref import WeakKeyDictionary

import httpx
from starlette.authentication import AuthCredentials

from ck_middleware.errors import ConfigError, ProviderFaulty, ProviderUnreachable
from ck_middleware.gate import Gate, configured, failed, warn_of_invisible_mount
from ck_middleware.headers import with_cookies
from ck_middleware.messages import Pass, Request, Response
from ck_middleware.ports import LARGEST_ANSWER, answer
from ck_middleware.user import KEY

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from ck_middleware.config import AuthConfig, Settings

LOGGED_IN = AuthCredentials(["authenticated"])
NOT_LOGGED_IN = AuthCredentials()
POLICY_VIOLATION = 1008  # RFC 6455, 7.4.1
FORGEABLE = len(b"remote-user")


class ASGIAuthMiddleware:
    """Wraps an ASGI app: people log in with ConsentKeys, and only then come in.

    Settings come from `config`, or from keywords laid over the environment. Raises `ConfigError` with every fault.
    """

    def __init__(self, app: ASGIApp, config: AuthConfig | None = None, **settings: Unpack[Settings]) -> None:
        if _takes_two(app):
            raise ConfigError([f"app: {type(app).__name__} is a WSGI app; wrap it in WSGIAuthMiddleware"])
        self.app = app
        config = configured(config, settings)
        self._http = LoopHttp(config.timeout)
        self._gate = Gate(config, self._http)
        root_path = getattr(app, "root_path", None)
        if isinstance(root_path, str) and not Path(root_path).is_dir():  # Quart calls the app's folder by this name
            warn_of_invisible_mount(config, f"root_path of {type(app).__name__}", root_path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        if kind not in {"http", "websocket"}:
            # What we cannot judge does not get in.
            raise RuntimeError(f"ASGIAuthMiddleware does not know the scope type {kind!r}")
        request = ASGIRequest(scope, receive)
        outcome = await self._admit(request)
        if isinstance(outcome, Response):
            await (_deny if request.is_websocket else _answer)(outcome, scope, receive, send)
            return
        scope["user"] = scope[KEY] = outcome.user
        scope["auth"] = LOGGED_IN if outcome.user.is_authenticated else NOT_LOGGED_IN
        await self.app(scope, receive, _setting(outcome.cookies, send) if outcome.cookies else send)

    async def _admit(self, request: ASGIRequest) -> Pass | Response:
        try:
            return await self._gate.admit(request)
        except Exception as exc:  # noqa: BLE001  # whatever it is, nobody comes in because of it
            return failed(request, exc)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        finally:
            await self._http.close()


def _takes_two(app: object) -> bool:
    """Whether an app is called as PEP 3333 says: with an environ, and a function to start the response."""
    try:
        return callable(app) and len(inspect.signature(app).parameters) == len(("environ", "start_response"))
    except (TypeError, ValueError):
        return False


class ASGIRequest(Request):
    """A request as ASGI presents it: `path` decoded, with or without `root_path` at its head."""

    __slots__ = ("_headers", "_receive")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.is_websocket = scope["type"] == "websocket"
        self.method = scope.get("method", "GET")
        self.path = scope["path"]
        self.raw_path = scope.get("raw_path")
        self.root_path = self.mount = scope.get("root_path", "").removesuffix("/")
        self.query = scope.get("query_string", b"")
        self._receive = receive
        self._headers: list[tuple[bytes, bytes]] = scope["headers"]
        self.cookies = b"; ".join([value for name, value in self._headers if name == b"cookie"])
        # Some frameworks read it as the identity that a server has verified; only we have verified one.
        if any(_is_forged(name) for name, _ in self._headers):
            self._headers = scope["headers"] = [pair for pair in self._headers if not _is_forged(pair[0])]

    def header(self, name: str) -> str:
        wanted = name.encode("latin-1")
        return ", ".join(value.decode("latin-1") for found, value in self._headers if found == wanted)

    async def body(self, limit: int) -> bytes | None:
        body, more = b"", True
        while more:
            message = await self._receive()
            if message["type"] != "http.request":
                return None  # the client has gone
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > limit:
                return None
        return body


def _is_forged(name: bytes) -> bool:
    return len(name) == FORGEABLE and name.replace(b"_", b"-").lower() == b"remote-user"


async def _answer(response: Response, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001  # as _deny
    await _send(response, send, "http.response", body=scope["method"] != "HEAD")


async def _deny(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse a WebSocket before it is accepted."""
    await receive()  # websocket.connect
    if "websocket.http.response" in (scope.get("extensions") or {}):
        await _send(response, send, "websocket.http.response", body=True)
    else:
        await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": ""})


async def _send(response: Response, send: Send, kind: str, *, body: bool) -> None:
    pairs = (*response.headers, ("Content-Length", str(len(response.body))))
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs]
    headers += [(b"set-cookie", cookie.encode()) for cookie in response.cookies]
    await send({"type": f"{kind}.start", "status": response.status, "headers": headers})
    await send({"type": f"{kind}.body", "body": response.body if body else b""})


def _setting(cookies: tuple[str, ...], send: Send) -> Send:
    """A `send` that sets our cookies on the app's response."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message.get("headers", ())]
            pairs = with_cookies(pairs, cookies)
            headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
            message = {**message, "headers": headers}
        await send(message)

    return sending


class LoopHttp:
    """The provider is asked without blocking the loop. One client for each process and loop, made when first needed."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout  # seconds, for one whole call
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient] = WeakKeyDictionary()
        self._pid = os.getpid()
        self._making = LoopLock()

    async def send(self, request: httpx.Request) -> httpx.Response:
        host = request.url.netloc.decode()
        try:
            async with asyncio.timeout(self._timeout):
                return await self._exchange(request)
        except (TimeoutError, httpx.TimeoutException) as exc:
            raise ProviderUnreachable(f"{host} gave no whole answer within {self._timeout:g} seconds") from exc
        except httpx.TransportError as exc:
            raise ProviderUnreachable(f"{host} cannot be reached: {type(exc).__name__}") from exc
        except (httpx.InvalidURL, UnicodeError) as exc:
            raise ProviderFaulty(f"{host} sends elsewhere, to what is no address") from exc

    def lock(self) -> LoopLock:
        return LoopLock()

    async def close(self) -> None:
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    async def _exchange(self, request: httpx.Request) -> httpx.Response:
        client = await self._own_client()
        response = await client.send(request, stream=True)
        try:
            body = b""
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > LARGEST_ANSWER:
                    raise ProviderFaulty(f"{request.url.netloc!r} answered with more than {LARGEST_ANSWER} bytes")
        finally:
            await response.aclose()
        return answer(response.status_code, response.headers, body)

    async def _own_client(self) -> httpx.AsyncClient:
        # A client of another loop, or from before a fork, would mix up the answers of two workers.
        loop = asyncio.get_running_loop()
        async with self._making:  # or a crowd that comes first would make one each
            if self._pid != os.getpid():
                self._pid, self._clients = os.getpid(), WeakKeyDictionary()
            if loop not in self._clients:
                # Reading the certificates takes tens of milliseconds, in which nobody else would be served.
                context = await asyncio.to_thread(httpx.create_ssl_context)
                no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
                self._clients[loop] = httpx.AsyncClient(verify=context, timeout=self._timeout, cookies=no_cookies)
            return self._clients[loop]


class LoopLock:
    """An `asyncio.Lock` for each loop that runs."""

    def __init__(self) -> None:
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    async def __aenter__(self) -> None:
        await self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock()).acquire()

    async def __aexit__(self, *exc: object) -> None:
        self._locks[asyncio.get_running_loop()].release()
