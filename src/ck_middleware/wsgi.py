"""This file is the WSGI face: it reads the environ and runs the core in the caller's own thread."""

from __future__ import annotations

import inspect
import sys
from functools import cache
from typing import TYPE_CHECKING, Any, Unpack

from ck_middleware.blocking import BlockingHttp, BlockingRuntime
from ck_middleware.errors import ConfigError
from ck_middleware.gate import Gate, configured, warn_of_invisible_mount
from ck_middleware.headers import with_cookies
from ck_middleware.messages import Request, Response
from ck_middleware.ports import step
from ck_middleware.session import KEY as SESSION
from ck_middleware.session import BlockingSession
from ck_middleware.user import KEY, Anonymous, somebody

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from ck_middleware.admin import SessionInfo
    from ck_middleware.config import AuthConfig, Settings
    from ck_middleware.messages import Pass

AUTH_TYPE = "OpenIDConnect"
REASONS = {
    200: "OK",
    303: "See Other",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
}


class WSGIAuthMiddleware:
    """Wraps a WSGI app: people log in with ConsentKeys, and only then come in.

    Settings come from `config`, or from keywords laid over the environment. Raises `ConfigError` with every fault.
    """

    def __init__(self, app: WSGIApplication, config: AuthConfig | None = None, **settings: Unpack[Settings]) -> None:
        if inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(getattr(app, "__call__", None)):  # noqa: B004
            raise ConfigError([f"app: {type(app).__name__} is an ASGI app; wrap it in ASGIAuthMiddleware"])
        self.app = app
        self.config = config = configured(config, settings)
        self._gate = Gate(config, BlockingHttp(config.timeout), BlockingRuntime(), mount_may_lead=False)
        self._asks = self._gate.vault is not None  # a store, at every request
        warn_of_invisible_mount(config, "Django's FORCE_SCRIPT_NAME", _forced_script_name(app))

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            outcome = self._at_once(environ) or step(self._gate.admit(WSGIRequest(environ)))
        except Exception as exc:  # noqa: BLE001  # whatever it is, nobody comes in because of it
            outcome = self._gate.failed(WSGIRequest(environ), exc)
        if type(outcome) is Response:
            return _answer(outcome, environ, start_response)
        # Only we have verified anybody: what a header or an earlier layer says of the user is gone.
        if "HTTP_REMOTE_USER" in environ:
            del environ["HTTP_REMOTE_USER"]
        claims = outcome.claims
        if claims:
            environ[KEY] = somebody(claims)
            environ["REMOTE_USER"] = outcome.sub
            environ["AUTH_TYPE"] = AUTH_TYPE
            environ[SESSION] = BlockingSession(outcome.session) if outcome.session else None
        else:
            environ[KEY] = Anonymous()
            environ[SESSION] = None
            if "REMOTE_USER" in environ:
                del environ["REMOTE_USER"]
            if "AUTH_TYPE" in environ:
                del environ["AUTH_TYPE"]
        if outcome.cookies:
            start_response = _setting(outcome.cookies, start_response)
        return self.app(environ, start_response)

    def sessions(self, *, sub: str) -> list[SessionInfo]:
        """The stored sessions of a person. Raises `ConfigError` without a store, `StoreUnavailable` when it is down."""
        return step(self._gate.admin.sessions(sub))

    def end_sessions(self, *, sub: str | None = None, sid: str | None = None) -> int:
        """End the stored sessions of a person, or of the provider's session `sid`, everywhere; how many there were.

        Raises what `sessions` does, and `TypeError` unless one of the two is given.
        """
        return step(self._gate.admin.end_sessions(sub=sub, sid=sid))

    def close(self) -> None:
        """Let go of the store, as a program that is no server does at its end. It is opened again when it is needed."""
        if self._gate.vault is not None:
            step(self._gate.vault.close())

    def _at_once(self, environ: WSGIEnvironment) -> Pass | Response | None:
        path, mount = environ.get("PATH_INFO", ""), environ.get("SCRIPT_NAME", "")
        # Others have to be decoded first, and handshakes looked at more closely.
        if not path.isascii() or (mount and not mount.isascii()) or "HTTP_UPGRADE" in environ:
            return None
        asked, carried = environ.get("QUERY_STRING"), environ.get("HTTP_COOKIE")
        # As `_octets` does it, without the call, on the way of every request.
        query = asked.encode("latin-1", "replace") if asked else b""
        cookies = carried.encode("latin-1", "replace") if carried else b""
        if not self._asks or not cookies:
            return self._gate.at_once(path, None, mount, query, cookies)
        found = step(self._gate.ask(path, None, mount, query, cookies))
        if found is None or found.claims:
            return found
        return step(self._gate.admit(WSGIRequest(environ), found))


class WSGIRequest(Request):
    """A request as WSGI presents it: bytes in the disguise of latin-1 text (PEP 3333), `SCRIPT_NAME` cut off."""

    __slots__ = ("_environ",)

    def __init__(self, environ: WSGIEnvironment) -> None:
        self._environ = environ
        # Some WSGI servers carry WebSockets too, and a handshake is judged as one wherever it arrives.
        self.is_websocket = environ.get("HTTP_UPGRADE", "").lower() == "websocket"
        self.method = environ["REQUEST_METHOD"]
        self.path = _decoded(environ.get("PATH_INFO", ""))
        self.raw_path = None
        self.mount = _decoded(environ.get("SCRIPT_NAME", "")).removesuffix("/")
        self.query = _octets(environ.get("QUERY_STRING", ""))
        self.cookies = _octets(environ.get("HTTP_COOKIE", ""))

    def header(self, name: str) -> str:
        value: str = self._environ.get(_key(name), "")
        return value

    async def body(self, limit: int) -> bytes | None:
        try:
            length = int(self._environ.get("CONTENT_LENGTH") or 0)
        except ValueError:
            return None
        if not 0 <= length <= limit:
            return None
        try:
            body: bytes = self._environ["wsgi.input"].read(length)
        except OSError:  # how some servers say that the client has gone
            return None
        return body if len(body) == length else None


def _octets(text: str) -> bytes:
    return text.encode("latin-1", "replace")


@cache  # of the few names that we ask for
def _key(name: str) -> str:
    return "HTTP_" + name.upper().replace("-", "_")


def _decoded(text: str) -> str:
    """UTF-8 out of its disguise. What is none gets a backslash or a surrogate, and a path with one is refused."""
    if text.isascii():
        return text
    return text.encode("latin-1", "backslashreplace").decode("utf-8", "surrogateescape")


def _answer(response: Response, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    headers = [*response.headers, ("Content-Length", str(len(response.body)))]
    headers += [("Set-Cookie", cookie) for cookie in response.cookies]
    start_response(f"{response.status} {REASONS[response.status]}", headers)
    # Not an empty list: hypercorn starts the answer with the first piece, and without one makes it a 500.
    return [b"" if environ["REQUEST_METHOD"] == "HEAD" else response.body]


def _setting(cookies: tuple[str, ...], start_response: StartResponse) -> StartResponse:
    """A `start_response` that sets our cookies. The app's iterable stays its own, `wsgi.file_wrapper` included."""

    def starting(status: str, headers: list[tuple[str, str]], exc_info: Any = None, /) -> Any:  # noqa: ANN401  # PEP 3333
        headers = with_cookies(headers, cookies)
        return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

    return starting


def _forced_script_name(app: object) -> object:
    django = sys.modules.get("django.conf")
    if django is None or not type(app).__module__.startswith("django.") or not django.settings.configured:
        return None
    return django.settings.FORCE_SCRIPT_NAME
