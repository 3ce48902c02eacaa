"""This file is the WSGI face: it reads the environ and runs the core in the caller's own thread, blocking."""

from __future__ import annotations

import inspect
import os
import socket
import sys
import threading
import time
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Unpack
from urllib.request import getproxies, proxy_bypass

import httpcore  # httpx's own transport: used as such, since httpx has no bound on how long one whole answer may take
import httpx

from ck_middleware.errors import ConfigError, ProviderFaulty, ProviderUnreachable
from ck_middleware.gate import Gate, configured, failed, warn_of_invisible_mount
from ck_middleware.headers import with_cookies
from ck_middleware.messages import Pass, Request, Response
from ck_middleware.ports import LARGEST_ANSWER, answer, step
from ck_middleware.user import KEY

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from ck_middleware.config import AuthConfig, Settings

AUTH_TYPE = "OpenIDConnect"
CONNECTIONS = 100  # to the provider at once; both as the ASGI face has them from httpx
IDLE = 5  # seconds that one is kept for the next call; later a firewall may have forgotten it, and would tell nobody
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
        config = configured(config, settings)
        self._gate = Gate(config, BlockingHttp(config.timeout))
        warn_of_invisible_mount(config, "Django's FORCE_SCRIPT_NAME", _forced_script_name(app))

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = WSGIRequest(environ)
        outcome = self._admit(request)
        if isinstance(outcome, Response):
            return _answer(outcome, environ, start_response)
        user = outcome.user
        environ[KEY] = user
        # Only we have verified anybody: what a header or an earlier layer says of the user is gone.
        for name in ("HTTP_REMOTE_USER", "REMOTE_USER", "AUTH_TYPE"):
            environ.pop(name, None)
        if user.is_authenticated:
            environ["REMOTE_USER"] = user.sub
            environ["AUTH_TYPE"] = AUTH_TYPE
        if outcome.cookies:
            start_response = _setting(outcome.cookies, start_response)
        return self.app(environ, start_response)

    def _admit(self, request: WSGIRequest) -> Pass | Response:
        try:
            return step(self._gate.admit(request))
        except Exception as exc:  # noqa: BLE001  # whatever it is, nobody comes in because of it
            return failed(request, exc)


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
        self.root_path = ""
        self.mount = _decoded(environ.get("SCRIPT_NAME", "")).removesuffix("/")
        self.query = environ.get("QUERY_STRING", "").encode("latin-1", "replace")
        self.cookies = environ.get("HTTP_COOKIE", "").encode("latin-1", "replace")

    def header(self, name: str) -> str:
        value: str = self._environ.get("HTTP_" + name.upper().replace("-", "_"), "")
        return value

    async def body(self, limit: int) -> bytes | None:
        try:
            length = int(self._environ.get("CONTENT_LENGTH") or 0)
        except ValueError:
            return None
        if not 0 <= length <= limit:
            return None
        body: bytes = self._environ["wsgi.input"].read(length)
        return body if len(body) == length else None


def _decoded(text: str) -> str:
    """UTF-8 out of its disguise. What is none gets a backslash or a surrogate, and a path with one is refused."""
    return text.encode("latin-1", "backslashreplace").decode("utf-8", "surrogateescape")


def _answer(response: Response, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    headers = [*response.headers, ("Content-Length", str(len(response.body)))]
    headers += [("Set-Cookie", cookie) for cookie in response.cookies]
    start_response(f"{response.status} {REASONS[response.status]}", headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [response.body]


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


class BlockingHttp:
    """The provider is asked in the caller's thread. One pool for each process, made when first needed."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout  # seconds, for one whole call
        self._pools: dict[str | None, httpcore.ConnectionPool] = {}
        self._pid = 0
        self._making = threading.Lock()

    async def send(self, request: httpx.Request) -> httpx.Response:
        host = request.url.netloc.decode()
        try:
            return self._exchange(request)
        except (TimeoutError, httpcore.TimeoutException) as exc:
            raise ProviderUnreachable(f"{host} gave no whole answer within {self._timeout:g} seconds") from exc
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError, OSError, UnicodeError) as exc:
            raise ProviderUnreachable(f"{host} cannot be reached: {type(exc).__name__}") from exc

    def lock(self) -> BlockingLock:
        return BlockingLock()

    def _exchange(self, request: httpx.Request) -> httpx.Response:
        _deadline.set(time.monotonic() + self._timeout)
        pool = self._pool(_proxy(request.url))
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), self._timeout)
        sent = httpcore.Request(
            request.method,
            str(request.url),
            headers=request.headers.raw,
            content=request.read(),
            extensions={"timeout": timeouts},
        )
        response = pool.handle_request(sent)
        try:
            body = b""
            for chunk in response.iter_stream():
                body += chunk
                if len(body) > LARGEST_ANSWER:
                    raise ProviderFaulty(f"{request.url.netloc!r} answered with more than {LARGEST_ANSWER} bytes")
        finally:
            response.close()
        return answer(response.status, httpx.Headers(response.headers), body)

    def _pool(self, proxy: str | None) -> httpcore.ConnectionPool:
        # Connections that were opened before a fork would mix up the answers of two workers.
        with self._making:
            if self._pid != os.getpid():
                self._pid, self._pools = os.getpid(), {}
            if proxy not in self._pools:
                self._pools[proxy] = httpcore.ConnectionPool(
                    ssl_context=httpx.create_ssl_context(),
                    proxy=_as_proxy(proxy) if proxy else None,
                    max_connections=CONNECTIONS,
                    keepalive_expiry=IDLE,
                    network_backend=DeadlineBackend(),
                )
            return self._pools[proxy]


class BlockingLock:
    """A `threading.Lock` in the core's words, made in the process that uses it.

    One from before gevent's patches (gunicorn's `--preload`) would stop every greenlet of a worker, for good.
    """

    def __init__(self) -> None:
        self._locks: dict[int, threading.Lock] = {}

    async def __aenter__(self) -> None:
        self._locks.setdefault(os.getpid(), threading.Lock()).acquire()  # atomic: two threads get the same lock

    async def __aexit__(self, *exc: object) -> None:
        self._locks[os.getpid()].release()


# Of the call that this thread, or greenlet, makes. A `threading.local` from before gevent's patches is shared by all.
_deadline: ContextVar[float] = ContextVar("deadline")


def _left() -> float:
    left = _deadline.get() - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout
    return left


class DeadlineBackend(httpcore.SyncBackend):
    """Connections on which every single wait ends with the whole call.

    A timeout for each read alone lets a provider that sends one byte a second hold a worker for hours.
    """

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002  # ours is the shorter one
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> DeadlineStream:
        def connected(address: str, seconds: float) -> DeadlineStream:
            stream = super(DeadlineBackend, self).connect_tcp(address, port, seconds, local_address, socket_options)
            return DeadlineStream(stream)

        # The standard library would give each address of a host the whole time; here they share what is left.
        *others, last = [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        for number, address in enumerate(others):
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return connected(address, _left() / (len(others) + 1 - number))
        return connected(last, _left())


class DeadlineStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002  # ours is the shorter one
        return self._stream.read(max_bytes, _left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self._stream.write(buffer, _left())

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> DeadlineStream:
        return DeadlineStream(self._stream.start_tls(ssl_context, server_hostname, _left()))


def _proxy(url: httpx.URL) -> str | None:
    """The proxy that the environment names for an address (`HTTPS_PROXY`, `NO_PROXY` ...)."""
    if proxy_bypass(url.host):
        return None
    proxies = getproxies()
    return proxies.get(url.scheme) or proxies.get("all")


def _as_proxy(address: str) -> httpcore.Proxy:
    # httpx reads what people write: `host:port` alone, and a name and password before an `@`. httpcore does not.
    proxy = httpx.Proxy(address if "://" in address else f"http://{address}")
    return httpcore.Proxy(str(proxy.url), auth=proxy.raw_auth)
