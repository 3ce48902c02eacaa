"""This file is the ASGI face: it reads the scope, and awaits the core."""

from __future__ import annotations

import asyncio
import inspect
import time
from contextlib import suppress
from functools import cache, cached_property
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from starlette.authentication import AuthCredentials

from ck_middleware.answers import HEADERS
from ck_middleware.errors import ConfigError, StoreUnavailable
from ck_middleware.gate import Gate, configured, warn_of_invisible_mount
from ck_middleware.headers import octets_with_cookies
from ck_middleware.live import Connection, Live
from ck_middleware.looping import LoopHttp, LoopRuntime
from ck_middleware.messages import Request, Response
from ck_middleware.session import KEY as SESSION
from ck_middleware.session import AsyncSession
from ck_middleware.user import KEY, Anonymous, User

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from starlette.types import Message, Receive, Scope, Send

    from ck_middleware.admin import SessionInfo
    from ck_middleware.config import AuthConfig, Settings
    from ck_middleware.messages import Pass

    # Each framework has types of its own for a scope and its messages, and they do not fit one another's.
    ASGIApp = Callable[[Any, Any, Any], Awaitable[None]]

KINDS = frozenset({"http", "websocket"})
POLICY_VIOLATION = 1008  # RFC 6455, 7.4.1

# Some frameworks read it as the identity that a server has verified; only we have verified one. In every spelling that
# becomes `REMOTE_USER`: a look-up in a set is what each header of each request can bear.
FORGED = frozenset(map(bytes, product(*zip(b"remote-user", b"REMOTE_USER", strict=True))))
NOTED = FORGED | {b"cookie"}


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
        self._asks = self._gate.vault is not None  # a store, at every request
        self._live = Live(self._gate.vault, idle=config.idle_timeout, recheck=config.recheck)
        root_path = getattr(app, "root_path", None)
        if isinstance(root_path, str) and not Path(root_path).is_dir():  # Quart calls the app's folder by this name
            warn_of_invisible_mount(config, f"root_path of {type(app).__name__}", root_path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind not in KINDS:
            await self._other(scope, receive, send)
            return
        cookies = b""
        try:
            cookies = _cookies(scope)
            outcome = self._at_once(scope, cookies) or await self._judged(scope, receive, cookies)
        except Exception as exc:  # noqa: BLE001  # whatever it is, nobody comes in because of it
            outcome = self._gate.failed(ASGIRequest(scope, receive, cookies), exc)
        if type(outcome) is Response:
            await (_answer if kind == "http" else _deny)(outcome, scope, receive, send)
            return
        if outcome.cookies:
            send = _setting(outcome.cookies, send)
        session = scope[SESSION] = AsyncSession(outcome.session) if outcome.session else None
        if not outcome.claims:
            scope["user"] = scope[KEY] = Anonymous()
            scope["auth"] = NotLoggedIn()
            await self.app(scope, receive, send)
            return
        scope["user"] = scope[KEY] = User(outcome.claims)
        scope["auth"] = LoggedIn()
        if kind == "websocket":
            await self._talk(outcome, scope, receive, send)
        elif session is None:
            await self._live.run(self.app(scope, receive, send), outcome)
        else:
            now = time.time()
            connection = Connection(outcome, asyncio.current_task(), now, now)
            await self._live.run(self.app(scope, receive, _noting(connection, send)), outcome, connection)

    def _at_once(self, scope: Scope, cookies: bytes) -> Pass | Response | None:
        if scope["type"] != "http" or (self._asks and cookies):
            return None
        path, raw_path, mount = scope["path"], scope.get("raw_path"), scope.get("root_path", "")
        return self._gate.at_once(path, raw_path, mount, scope.get("query_string", b""), cookies)

    async def _judged(self, scope: Scope, receive: Receive, cookies: bytes) -> Pass | Response:
        found = None
        if self._asks and scope["type"] == "http":
            path, raw_path, mount = scope["path"], scope.get("raw_path"), scope.get("root_path", "")
            found = await self._gate.ask(path, raw_path, mount, scope.get("query_string", b""), cookies)
            if found is not None and found.claims:
                return found
        return await self._gate.admit(ASGIRequest(scope, receive, cookies), found)

    async def _talk(self, passed: Pass, scope: Scope, receive: Receive, send: Send) -> None:
        """A WebSocket, for as long as its session lasts. Whatever it carries is use of the session."""
        now, over = time.time(), False
        connection = Connection(passed, asyncio.current_task(), now, now, used=now)

        async def receiving() -> Message:
            nonlocal over
            message = await receive()
            connection.used, over = time.time(), over or message["type"] == "websocket.disconnect"
            return message

        async def sending(message: Message) -> None:
            nonlocal over
            connection.used, over = time.time(), over or message["type"] == "websocket.close"
            await send(message)

        if not await self._live.run(self.app(scope, receiving, sending), passed, connection) and not over:
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": "the session has ended"})

    async def sessions(self, *, sub: str) -> list[SessionInfo]:
        """The stored sessions of a person. Raises `ConfigError` without a store, `StoreUnavailable` when it is down."""
        return await self._gate.admin.sessions(sub)

    async def end_sessions(self, *, sub: str | None = None, sid: str | None = None) -> int:
        """End the stored sessions of a person, or of the provider's session `sid`, everywhere; how many there were.

        Raises what `sessions` does, and `TypeError` unless one of the two is given.
        """
        return await self._gate.admin.end_sessions(sub=sub, sid=sid)

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            # What we cannot judge does not get in.
            raise RuntimeError(f"ASGIAuthMiddleware does not know the scope type {scope['type']!r}")
        try:
            await self.app(scope, receive, send)
        finally:
            await self._http.close()
            if self._gate.vault is not None:
                with suppress(StoreUnavailable):  # the log has it, and the server ends all the same
                    await self._gate.vault.close()


class LoggedIn(AuthCredentials):
    """What Starlette's `@requires` asks for. Made for each request, since an app may add to its scopes."""

    __init__ = object.__init__

    @cached_property
    def scopes(self) -> list[str]:  # type: ignore[override]  # can be written all the same; made when someone asks
        return ["authenticated"]


class NotLoggedIn(AuthCredentials):
    __init__ = object.__init__

    @cached_property
    def scopes(self) -> list[str]:  # type: ignore[override]  # as above
        return []


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

    __slots__ = ("_headers", "_raw", "_receive")

    def __init__(self, scope: Scope, receive: Receive, cookies: bytes) -> None:
        self.is_websocket = scope["type"] == "websocket"
        self.method = scope.get("method", "GET")
        self.path = scope["path"]
        self.raw_path = scope.get("raw_path")
        self.root_path = self.mount = scope.get("root_path", "").removesuffix("/")
        self.query = scope.get("query_string", b"")
        self._receive = receive
        self.cookies = cookies
        self._raw: list[tuple[bytes, bytes]] = scope["headers"]
        self._headers: dict[bytes, bytes] | None = None

    def header(self, name: str) -> str:
        if self._headers is None:
            self._headers = dict(self._raw)
            if len(self._headers) < len(self._raw):
                self._headers = _joined(self._raw)
        return self._headers.get(_octets(name), b"").decode("latin-1")

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


def _joined(pairs: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    headers: dict[bytes, bytes] = {}
    for name, value in pairs:
        headers[name] = headers[name] + b", " + value if name in headers else value
    return headers


@cache  # of the few names that we ask for
def _octets(name: str) -> bytes:
    return name.encode("latin-1")


def _cookies(scope: Scope) -> bytes:
    """All `Cookie` fields of a request, joined. A header that claims an identity is dropped in passing."""
    found = b""
    for name, value in scope["headers"]:
        if name in NOTED:
            if name in FORGED:
                scope["headers"] = [pair for pair in scope["headers"] if pair[0] not in FORGED]
                return _cookies(scope)
            found = found + b"; " + value if found else value
    return found


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
    pairs, headers = response.headers, list[tuple[bytes, bytes]]()
    if pairs[: len(COMMON)] == HEADERS:
        pairs, headers = pairs[len(COMMON) :], [*COMMON]
    headers += _encoded((*pairs, ("Content-Length", str(len(response.body)))))
    if response.cookies:
        headers += [(b"set-cookie", cookie.encode()) for cookie in response.cookies]
    await send({"type": f"{kind}.start", "status": response.status, "headers": headers})
    await send({"type": f"{kind}.body", "body": response.body if body else b""})


def _encoded(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]


COMMON = _encoded(HEADERS)  # of nearly every answer of ours


def _setting(cookies: tuple[str, ...], send: Send) -> Send:
    """A `send` that sets our cookies on the app's response."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": octets_with_cookies([*message.get("headers", ())], cookies)}
        await send(message)

    return sending
