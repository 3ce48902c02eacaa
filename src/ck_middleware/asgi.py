"""This file is the ASGI face: it reads the scope, and awaits the core."""

from __future__ import annotations

import inspect
import math
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from starlette.authentication import AuthCredentials

from ck_middleware.errors import ConfigError, StoreUnavailable
from ck_middleware.gate import Gate, configured, failed, warn_of_invisible_mount
from ck_middleware.headers import with_cookies
from ck_middleware.live import Connection, Live
from ck_middleware.looping import LoopHttp, LoopRuntime
from ck_middleware.messages import Pass, Request, Response
from ck_middleware.session import KEY as SESSION
from ck_middleware.session import AsyncSession
from ck_middleware.user import KEY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import Message, Receive, Scope, Send

    from ck_middleware.admin import SessionInfo
    from ck_middleware.config import AuthConfig, Settings

    # Each framework has types of its own for a scope and its messages, and they do not fit one another's.
    ASGIApp = Callable[[Any, Any, Any], Awaitable[None]]

LOGGED_IN = ("authenticated",)  # what Starlette's `@requires` asks for
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
        self.config = config = configured(config, settings)
        self._http = LoopHttp(config.timeout)
        self._gate = Gate(config, self._http, LoopRuntime())
        self._live = Live(self._gate.vault, idle=config.idle_timeout, recheck=config.recheck)
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
        scope[SESSION] = AsyncSession(outcome.session) if outcome.session else None
        # A new one for each request: an app may add to its scopes, and must not add them to everybody's.
        scope["auth"] = AuthCredentials(LOGGED_IN if outcome.user.is_authenticated else ())
        if outcome.cookies:
            send = _setting(outcome.cookies, send)
        if not outcome.user.is_authenticated:
            await self.app(scope, receive, send)
        elif request.is_websocket:
            await self._talk(outcome, scope, receive, send)
        else:
            connection = _connection(outcome, math.inf)
            if outcome.session:
                send = _noting(connection, send)
            await self._live.run(self.app(scope, receive, send), connection)

    async def _talk(self, outcome: Pass, scope: Scope, receive: Receive, send: Send) -> None:
        """A WebSocket, for as long as its session lasts. Whatever it carries is use of the session."""
        connection, over = _connection(outcome, time.time()), False

        async def receiving() -> Message:
            nonlocal over
            message = await receive()
            connection.used, over = time.time(), over or message["type"] == "websocket.disconnect"
            return message

        async def sending(message: Message) -> None:
            nonlocal over
            connection.used, over = time.time(), over or message["type"] == "websocket.close"
            await send(message)

        if not await self._live.run(self.app(scope, receiving, sending), connection) and not over:
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": "the session has ended"})

    async def sessions(self, *, sub: str) -> list[SessionInfo]:
        """The stored sessions of a person. Raises `ConfigError` without a store, `AuthError` when it is down."""
        return await self._gate.admin.sessions(sub)

    async def end_sessions(self, *, sub: str | None = None, sid: str | None = None) -> int:
        """End the stored sessions of a person, or of the provider's session `sid`, on every machine. How many."""
        return await self._gate.admin.end_sessions(sub=sub, sid=sid)

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
            if self._gate.vault is not None:
                with suppress(StoreUnavailable):  # the log has it, and the server ends all the same
                    await self._gate.vault.close()


def _connection(outcome: Pass, used: float) -> Connection:
    name, stands = (outcome.session.name, outcome.session.stands) if outcome.session else (None, None)
    now = time.time()
    return Connection(outcome.ends_at, name, used, now, stands=stands, asked=now)


def _takes_two(app: object) -> bool:
    """Whether an app is called as PEP 3333 says: with an environ, and a function to start the response."""
    try:
        return callable(app) and len(inspect.signature(app).parameters) == len(("environ", "start_response"))
    except (TypeError, ValueError):
        return False


def _noting(connection: Connection, send: Send) -> Send:
    """A `send` that tells when the response begins: until then a request is at work, and may itself end the session."""
    connection.may_end = False

    async def sending(message: Message) -> None:
        connection.may_end = True
        await send(message)

    return sending


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
        body, more = bytearray(), True
        while more:
            message = await self._receive()
            if message["type"] != "http.request":
                return None  # the client has gone
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > limit:
                return None
        return bytes(body)


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
