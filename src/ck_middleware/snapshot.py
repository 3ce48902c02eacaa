"""This file is something fetched from the provider, and how long it is believed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Generic, TypeVar

from ck_middleware.errors import ProviderFaulty, ProviderUnreachable
from ck_middleware.log import WARNING
from ck_middleware.observing import LOG_ALONE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ck_middleware.observing import Observers
    from ck_middleware.ports import Http

FRESH = 3600  # seconds that it is used without asking again
BELIEVED = 24 * 3600  # seconds that it is used while the provider cannot be asked
RETRY = 60  # seconds between attempts to replace what is no longer fresh
PATIENCE = 3  # failures in a row before there is a pause between attempts
LONGEST_PAUSE = 5  # seconds; a second more for each further failure

T = TypeVar("T")


class Snapshot(Generic[T]):
    """One fetched value, replaced whole. However many ask at once, one fetch is under way."""

    def __init__(self, fetch: Callable[[], Awaitable[T]], http: Http, observers: Observers = LOG_ALONE) -> None:
        self._fetch = fetch
        self._observers = observers
        self._lock = http.lock()
        self._value: T | None = None
        self._fetched = self._retry = float("-inf")  # on the monotonic clock
        self._pause = float("-inf")
        self._attempts = self._failures = 0
        self._failure: ProviderFaulty | ProviderUnreachable | None = None

    async def get(self) -> T:
        """The value, fetched when there is none or it has aged. Raises what the fetch raised when there is none."""
        value, now = self._value, time.monotonic()
        if value is not None and (now < self._fetched + FRESH or now < self._retry):
            return value
        try:
            return await self.replace(value)
        except (ProviderFaulty, ProviderUnreachable) as exc:
            if value is None or now >= self._fetched + BELIEVED:
                raise
            self._retry = now + RETRY
            text = "the provider could not be asked again, its last answer stays in use"
            self._observers.note("trouble", text, level=WARNING, kind="provider", reason=exc)
            return value

    async def replace(self, seen: T | None) -> T:
        """A newer value than `seen`: the one that somebody else fetched meanwhile, or one fetched now."""
        attempts = self._attempts
        async with self._lock:
            # Who waited while somebody else asked takes that answer, or that failure: a crowd is one fetch.
            if self._attempts == attempts and (self._value is None or self._value is seen):
                await self._ask()
            if self._value is None or (self._value is seen and self._failure):
                failure = self._failure or ProviderUnreachable("the provider has not been asked")
                raise failure.with_traceback(None)  # raised often: what it carries must not grow
            return self._value

    async def _ask(self) -> None:
        if time.monotonic() < self._pause:
            return  # the failure of a moment ago stands
        try:
            self._value, self._failure = await self._fetch(), None
            self._fetched, self._failures = time.monotonic(), 0
        except (ProviderFaulty, ProviderUnreachable) as exc:
            self._failure, self._failures = exc, self._failures + 1
            # Strangers can begin logins as fast as they like, and a provider in trouble must not be asked as often.
            self._pause = time.monotonic() + min(LONGEST_PAUSE, max(0, self._failures - PATIENCE))
        self._attempts += 1
