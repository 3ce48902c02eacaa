"""This file is the world as a WSGI face reaches it: every port blocks the caller's thread, and only here is blocked."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress
from contextvars import ContextVar
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.request import getproxies, proxy_bypass

import httpcore  # httpx's own transport: used as such, since httpx has no bound on how long one whole answer may take
import httpx

from ck_middleware.errors import ProviderFaulty, ProviderUnreachable
from ck_middleware.ports import LARGEST_ANSWER, answer, proxy_understood

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Coroutine, Iterable

CONNECTIONS = 100  # to the provider at once; both as the ASGI face has them from httpx
IDLE = 5  # seconds that one is kept for the next call; later a firewall may have forgotten it, and would tell nobody

T = TypeVar("T")


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
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError, OSError, ValueError) as exc:
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
            body = bytearray()  # grows in place, also in a million pieces
            for chunk in response.iter_stream():
                body += chunk
                if len(body) > LARGEST_ANSWER:
                    raise ProviderFaulty(f"{request.url.netloc!r} answered with more than {LARGEST_ANSWER} bytes")
        finally:
            response.close()
        return answer(response.status, httpx.Headers(response.headers), bytes(body))

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


class BlockingRuntime:
    """A thread waits by sleeping."""

    blocking = True

    def home(self) -> int:
        return os.getpid()

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251  # a port that blocks, as its face must

    async def aside(self, work: Callable[[], T]) -> T:
        return work()

    async def to_its_end(self, work: Coroutine[Any, Any, T]) -> T:
        return await work


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
    with proxy_understood():
        proxy = httpx.Proxy(address if "://" in address else f"http://{address}")
        if proxy.url.scheme.startswith("socks") and find_spec("socksio") is None:
            raise ImportError  # as httpx does; httpcore would at every call
    return httpcore.Proxy(str(proxy.url), auth=proxy.raw_auth)
