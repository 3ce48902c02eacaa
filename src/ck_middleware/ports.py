"""This file is what the core asks of the world, and how it runs where nothing can be awaited.

The core awaits nothing but these ports and itself. A port whose coroutines never suspend (they block instead) lets
`step` run the whole core in the caller's own thread, with no event loop.
"""

from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

import httpx

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


def answer(status: int, headers: httpx.Headers, body: bytes) -> httpx.Response:
    """A provider's answer as the protocol reads it: of its headers the media type alone, so nothing is unpacked."""
    media_type = headers.get("Content-Type", "")
    return httpx.Response(status, headers={"Content-Type": media_type if media_type.isascii() else ""}, content=body)


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
