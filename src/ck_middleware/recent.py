"""This file is a memory of what was worked out lately: bounded in number and in bytes, and lost without harm."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

BATCHES = 8


class Recent(Generic[K, V]):
    """So many things and so many bytes of them, and at most a batch of things more, which is the one being filled.

    What was kept first is forgotten first, a batch at a time.

    `get` is the look-up of a plain dictionary. Threads may share it without a lock: what two of them do at once is at
    worst counted in the wrong batch, and every batch counts anew.
    """

    def __init__(self, *, entries: int, octets: int) -> None:
        self._most = 2 * entries
        self._entries = entries // BATCHES  # of one batch, as the bytes
        self._octets = octets // (BATCHES + 1)  # beside the full batches there is the one that is being filled
        self._kept: dict[K, V] = {}
        self._batches: deque[list[K]] = deque([[]])  # the last is being filled: one that stood elsewhere could be lost
        self._room = self._octets
        self.get = self._kept.get

    def keep(self, key: K, value: V, *, octets: int) -> None:
        """Remember a value that takes about so many bytes."""
        self._kept[key] = value
        batch = self._batches[-1]
        batch.append(key)
        self._room -= octets
        if self._room <= 0 or len(batch) >= self._entries:
            self._begin_batch()

    def forget(self, key: K) -> None:
        self._kept.pop(key, None)

    def _begin_batch(self) -> None:
        self._batches.append([])
        self._room = self._octets
        # If, and not while: however many threads are here, each takes away no more than one.
        if len(self._batches) > BATCHES + 1:
            for key in self._batches.popleft():
                self._kept.pop(key, None)
        # A thread that stood still for long has put keys into batches that were forgotten meanwhile.
        if len(self._kept) > self._most:
            self._kept.clear()
