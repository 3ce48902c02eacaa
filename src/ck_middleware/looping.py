"""This file is the world as an ASGI face reaches it: no port blocks the event loop, and only here is one known."""

from __future__ import annotations

import asyncio
import os
from http.cookiejar import CookieJar
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

import httpx

from ck_middleware.errors import ProviderFaulty, ProviderUnreachable
from ck_middleware.ports import LARGEST_ANSWER, answer, proxy_understood

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


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
        except (httpx.TransportError, ExceptionGroup) as exc:  # the latter when a proxy's port is none
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
        request.extensions = {**request.extensions, "trace": _Connecting().follow}
        response = await client.send(request, stream=True)
        try:
            body = bytearray()  # grows in place, also in a million pieces
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > LARGEST_ANSWER:
                    raise ProviderFaulty(f"{request.url.netloc!r} answered with more than {LARGEST_ANSWER} bytes")
        finally:
            await response.aclose()
        return answer(response.status_code, response.headers, bytes(body))

    async def _own_client(self) -> httpx.AsyncClient:
        # A client of another loop, or from before a fork, would mix up the answers of two workers.
        loop = asyncio.get_running_loop()
        async with self._making:  # or a crowd that comes first would make one each
            if self._pid != os.getpid():
                self._pid, self._clients = os.getpid(), WeakKeyDictionary()
            if loop not in self._clients:
                context = await asyncio.to_thread(_prepared)
                with proxy_understood():
                    client = httpx.AsyncClient(verify=context, timeout=self._timeout, cookies=NoCookies())
                self._clients[loop] = client
            return self._clients[loop]


def _prepared() -> ssl.SSLContext:
    """What takes tens of milliseconds, in which nobody else would be served: certificates, and what verifies tokens."""
    import_module("ck_middleware.signatures")
    return httpx.create_ssl_context()


class _Connecting:
    """Closes a connection whose TLS handshake is given up: httpcore forgets it when it is cancelled, and it stays open.

    Else a provider that hangs there would cost a file descriptor for each who asks, until garbage is collected.
    """

    def __init__(self) -> None:
        self._streams: list[Any] = []  # `httpcore.AsyncNetworkStream`, as it passes through httpx

    async def follow(self, event: str, info: dict[str, Any]) -> None:
        """What happens on the way (the `trace` extension of httpcore)."""
        if event.endswith(".connect_tcp.complete"):
            self._streams.append(info["return_value"])
        elif event.endswith(".start_tls.failed"):
            for stream in self._streams:
                await stream.aclose()


class NoCookies(CookieJar):
    """A jar that stays empty, and reads nothing: of what it cannot read the standard library warns with a traceback."""

    def extract_cookies(self, *_: object) -> None: ...

    def add_cookie_header(self, *_: object) -> None: ...


class LoopRuntime:
    """A task waits by letting others run."""

    blocking = False

    def __init__(self) -> None:
        self._going_on: set[asyncio.Task[Any]] = set()  # a loop itself does not keep its tasks

    def home(self) -> tuple[int, asyncio.AbstractEventLoop]:
        return os.getpid(), asyncio.get_running_loop()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def aside(self, work: Callable[[], T]) -> T:
        return await asyncio.to_thread(work)

    async def to_its_end(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.create_task(work)
        self._going_on.add(task)
        task.add_done_callback(self._going_on.discard)
        return await asyncio.shield(task)


class LoopLock:
    """An `asyncio.Lock` for each loop that runs."""

    def __init__(self) -> None:
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    async def __aenter__(self) -> None:
        await self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock()).acquire()

    async def __aexit__(self, *exc: object) -> None:
        self._locks[asyncio.get_running_loop()].release()
