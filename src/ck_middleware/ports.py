"""This file is what the core asks of the world, and how it runs where nothing can be awaited.

The core awaits nothing but these ports and itself. A port whose coroutines never suspend (they block instead) lets
`step` run the whole core in the caller's own thread, with no event loop.
"""

from collections.abc import Callable, Coroutine, Hashable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, Protocol, TypeVar

import httpx

from ck_middleware.errors import ProviderUnreachable

LARGEST_ANSWER = 1 << 20  # bytes of one provider response; more is not an answer but an attack

T = TypeVar("T")


class Http(Protocol):
    """How the provider is asked. Bounded in time and size; follows no redirect."""

    async def send(self, request: httpx.Request) -> httpx.Response:
        """The whole answer, body read.

        Raises `ProviderUnreachable` when none came within the configured time, and `ProviderFaulty` when it is
        longer than `LARGEST_ANSWER`.
        """

    def lock(self) -> AbstractAsyncContextManager[object]:
        """The lock under which metadata and keys are fetched, so that a crowd causes one fetch and not many."""


class Runtime(Protocol):
    """How a face waits, and where its connections are at home."""

    blocking: bool  # whether the ports of this face block the caller's thread and never suspend

    def home(self) -> Hashable:
        """The process, and on ASGI the event loop: what was opened in another one must not be used in this."""

    async def sleep(self, seconds: float) -> None: ...

    async def aside(self, work: Callable[[], T]) -> T:
        """What `work` gives: on ASGI from a thread, since it may block for long, on WSGI at once."""

    async def to_its_end(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` gives. On ASGI it goes on to its end when the request that waits for it is cancelled."""


class Store(Protocol):
    """Where sessions are kept that outlive a cookie. Values are sealed, and keys say nothing of anybody.

    Times to live are seconds; what has outlived them is gone. Every method raises `StoreUnavailable` when the store
    cannot be asked, after a bounded time, and may be called again at once.
    """

    async def get(self, key: str) -> bytes | None: ...

    async def put(self, key: str, value: bytes, *, ttl: float, owners: Sequence[str] = ()) -> None:
        """Keep it, and let it be found by each of its owners too."""

    async def swap(self, key: str, old: bytes, new: bytes, *, ttl: float) -> bool:
        """Replace exactly `old`, atomically; false when something else, or nothing, is there. Owners stay."""

    async def touch(self, key: str, *, ttl: float) -> bool:
        """Let it live so long from now; false when it is gone."""

    async def add(self, key: str, value: bytes, *, ttl: float) -> bool:
        """Keep it unless there is one, atomically; whether it was kept. Leases and things that happen once."""

    async def delete(self, key: str, value: bytes | None = None) -> bool:
        """Remove it, or with `value` only that very value, atomically; whether something was removed."""

    async def owned(self, owner: str) -> list[str]:
        """The keys that live and were put with this owner."""

    async def present(self, keys: Sequence[str]) -> set[str]:
        """Those of `keys` that live, in one go."""

    async def close(self) -> None: ...


def answer(status: int, headers: httpx.Headers, body: bytes) -> httpx.Response:
    """A provider's answer as the protocol reads it: of its headers the media type and date, so nothing is unpacked."""
    kept = {name: headers.get(name, "") for name in ("Content-Type", "Date")}
    return httpx.Response(status, headers={name: text for name, text in kept.items() if text.isascii()}, content=body)


@contextmanager
def proxy_understood() -> Iterator[None]:
    """Raises `ProviderUnreachable` for a proxy of the environment that cannot be used. Its text may be a password."""
    try:
        yield
    except (ImportError, ValueError, httpx.InvalidURL) as exc:
        hint = "; a SOCKS proxy needs: pip install 'httpx[socks]'" if isinstance(exc, ImportError) else ""
        raise ProviderUnreachable(
            f"the proxy in HTTPS_PROXY, HTTP_PROXY or ALL_PROXY is no address that can be used{hint}"
        ) from None


def step(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends to its end, here and now, and give what it returns.

    Raises `RuntimeError` when it does suspend: a port that belongs to an event loop was passed to a face that has none.
    """
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]  # StopIteration does not say of what
    coroutine.close()
    raise RuntimeError("a coroutine of the core waited for an event loop, and this face has none")
