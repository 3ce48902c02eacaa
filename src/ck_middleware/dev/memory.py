"""This file is how the development provider remembers: for a while, and never more than `MOST` of a kind."""

import secrets
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

MOST = 1000

T = TypeVar("T")


class Shelf(Generic[T]):
    """Things under names that nobody can guess, each for `lifetime` seconds. The oldest makes room."""

    def __init__(self, lifetime: float, clock: Callable[[], float]) -> None:
        self._lifetime = lifetime
        self._clock = clock
        self._things: dict[str, tuple[float, T]] = {}  # in the order of their ends, as all live equally long

    def __iter__(self) -> Iterator[T]:
        self._drop_old()
        return iter([thing for _, thing in self._things.values()])

    def put(self, thing: T) -> str:
        """Keep a thing, and give the name by which it is found."""
        self._drop_old()
        if len(self._things) >= MOST:
            del self._things[next(iter(self._things))]
        name = secrets.token_urlsafe(32)
        self._things[name] = (self._clock() + self._lifetime, thing)
        return name

    def find(self, name: str) -> T | None:
        self._drop_old()
        return self._things.get(name, (0.0, None))[1]

    def take(self, name: str) -> T | None:
        """Find a thing, and keep it no longer."""
        self._drop_old()
        return self._things.pop(name, (0.0, None))[1]

    def _drop_old(self) -> None:
        now = self._clock()
        while self._things and self._things[oldest := next(iter(self._things))][0] <= now:
            del self._things[oldest]
