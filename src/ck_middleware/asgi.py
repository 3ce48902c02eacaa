"""This file is the ASGI face: it reads the scope, and awaits the core."""

from __future__ import annotations

import inspect
import time
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from starlette.authentication import AuthCredentials

from ck_middleware.answers import HEADERS
from ck_middleware.errors import ConfigError, StoreUnavailable
from ck_middleware.gate import Gate, configured, warn_of_invisible_mount
from ck_middleware.headers import octets_with_cookies
from ck_middleware.live import Connection, Live, Visit
from ck_middleware.looping import LoopHttp, LoopRuntime
from ck_middleware.messages import Response
from ck_middleware.scope import ASGIRequest, cookies_of
from ck_middleware.session import KEY as SESSION
from ck_middleware.session import AsyncSession
from ck_middleware.user import KEY, Anonymous, somebody

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from starlette.types import Message, Receive, Scope, Send

    from ck_middleware.admin import SessionInfo
    from ck_middleware.config import AuthConfig, Settings
    from ck_middleware.messages import Pass
    from ck_middleware.session import Found

    # Each framework has types of its own for a scope and its messages, and they do not fit one another's.
    ASGIApp = Callable[[Any, Any, Any], Awaitable[None]]

POLICY_VIOLATION = 1008  # RFC 6455, 7.4.1
# What an answer of ours is called, its start and its body.
HTTP = "http.response.start", "http.response.body"
DENIAL = "websocket.http.response.start", "websocket.http.response.body"


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
        self._gate = Gate(config, self._http, LoopRuntime(), mount_may_lead=True)
        self._asks = self._gate.vault is not None  # a store, at every request
        self._live = Live(self._gate.vault, idle=config.idle_timeout, recheck=config.recheck)
        root_path = getattr(app, "root_path", None)
        if isinstance(root_path, str) and not Path(root_path).is_dir():  # Quart calls the app's folder by this name
            warn_of_invisible_mount(config, f"root_path of {type(app).__name__}", root_path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        cookies, found = b"", None
        try:
            cookies = cookies_of(scope)
            path, raw_path = scope["path"], scope.get("raw_path")
            mount, query = scope.get("root_path", ""), scope.get("query_string", b"")
            if self._asks and cookies:
                found = await self._gate.ask(path, raw_path, mount, query, cookies)
                passed = found if found is not None and found.claims else None
            else:
                passed = self._gate.at_once(path, raw_path, mount, query, cookies)
            outcome = passed or await self._gate.admit(ASGIRequest(scope, receive, cookies), found)
        except Exception as exc:  # noqa: BLE001  # whatever it is, nobody comes in because of it
            outcome = self._gate.failed(ASGIRequest(scope, receive, cookies), exc)
        if type(outcome) is Response:
            await _answer(outcome, scope, send)
            return
        if outcome.cookies:
            send = _setting(outcome.cookies, send)
        claims, session = outcome.claims, outcome.session
        _introduce(scope, claims, session)
        if not claims:
            await self.app(scope, receive, send)
        elif session is None:
            await self._live.run(self.app(scope, receive, send), outcome)
        else:
            visit = Visit(outcome, time.time())
            await self._live.run(self.app(scope, receive, _noting(visit, send)), visit)

    async def sessions(self, *, sub: str) -> list[SessionInfo]:
        """The stored sessions of a person. Raises `ConfigError` without a store, `StoreUnavailable` when it is down."""
        return await self._gate.admin.sessions(sub)

    async def end_sessions(self, *, sub: str | None = None, sid: str | None = None) -> int:
        """End the stored sessions of a person, or of the provider's session `sid`, everywhere; how many there were.

        Raises what `sessions` does, and `TypeError` unless one of the two is given.
        """
        return await self._gate.admin.end_sessions(sub=sub, sid=sid)

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._handshake(scope, receive, send)
            return
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

    async def _handshake(self, scope: Scope, receive: Receive, send: Send) -> None:
        cookies = b""
        try:
            cookies = cookies_of(scope)
            outcome = await self._gate.admit(ASGIRequest(scope, receive, cookies))
        except Exception as exc:  # noqa: BLE001  # as above
            outcome = self._gate.failed(ASGIRequest(scope, receive, cookies), exc)
        if type(outcome) is Response:
            await _deny(outcome, scope, receive, send)
            return
        _introduce(scope, outcome.claims, outcome.session)
        if outcome.claims:
            await self._talk(outcome, scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _talk(self, passed: Pass, scope: Scope, receive: Receive, send: Send) -> None:
        """A WebSocket, for as long as its session lasts. Whatever it carries is use of the session."""
        connection, over = Connection.talking(passed), False

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


def _introduce(scope: Scope, claims: bytes, session: Found | None) -> None:
    """Tell the app who is there, in place of whatever an earlier layer said."""
    if claims:
        scope["user"] = scope[KEY] = somebody(claims)
        scope["auth"] = LoggedIn()
        scope[SESSION] = AsyncSession(session) if session else None
    else:
        scope["user"] = scope[KEY] = Anonymous()
        scope["auth"] = NotLoggedIn()
        scope[SESSION] = None


def _takes_two(app: object) -> bool:
    """Whether an app is called as PEP 3333 says: with an environ, and a function to start the response."""
    try:
        return callable(app) and len(inspect.signature(app).parameters) == len(("environ", "start_response"))
    except (TypeError, ValueError):
        return False


def _noting(visit: Visit, send: Send) -> Send:
    """A `send` that tells when the response begins."""

    def sending(message: Message) -> Awaitable[None]:  # no coroutine of its own, which would be dear
        visit.may_end = True
        return send(message)

    return sending


def _answer(response: Response, scope: Scope, send: Send) -> Awaitable[None]:
    return _send(response, send, HTTP, body=scope["method"] != "HEAD")


async def _deny(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse a WebSocket before it is accepted."""
    await receive()  # websocket.connect
    if "websocket.http.response" in (scope.get("extensions") or {}):
        await _send(response, send, DENIAL, body=True)
    else:
        await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": ""})


async def _send(response: Response, send: Send, kinds: tuple[str, str], *, body: bool) -> None:
    pairs, headers = response.headers, [(b"content-length", b"%d" % len(response.body))]
    if pairs[: len(COMMON)] == HEADERS:
        pairs, headers = pairs[len(COMMON) :], COMMON + headers
    headers += _encoded(pairs)
    if response.cookies:
        headers += [(b"set-cookie", cookie.encode()) for cookie in response.cookies]
    start, rest = kinds
    await send({"type": start, "status": response.status, "headers": headers})
    await send({"type": rest, "body": response.body if body else b""})


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
