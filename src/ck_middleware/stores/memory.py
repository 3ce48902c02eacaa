"""This file is stores in the memory of one process, for tests: nothing survives it, and no other worker sees it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class _Kept:
    value: bytes
    ends: float  # by time.time, so that a test can move the clock
    owners: tuple[str, ...]


class MemoryStore:
    """A store object for WSGI. Threads may share it."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}
        self._lock = threading.RLock()

    def get(self, key: str) -> bytes | None:
        kept = self._kept.get(key)  # at once, without a lock
        return kept.value if kept and kept.ends > time.time() else None

    def put(self, key: str, value: bytes, *, ttl: float, owners: Sequence[str] = ()) -> None:
        with self._lock:
            self._kept[key] = _Kept(value, time.time() + ttl, tuple(owners))

    def swap(self, key: str, old: bytes, new: bytes, *, ttl: float) -> bool:
        with self._lock:
            kept = self._living(key)
            if kept is None or kept.value != old:
                return False
            self._kept[key] = _Kept(new, time.time() + ttl, kept.owners)
            return True

    def touch(self, key: str, *, ttl: float) -> bool:
        with self._lock:
            kept = self._living(key)
            if kept is None:
                return False
            self._kept[key] = replace(kept, ends=time.time() + ttl)
            return True

    def add(self, key: str, value: bytes, *, ttl: float) -> bool:
        with self._lock:
            if self._living(key):
                return False
            self.put(key, value, ttl=ttl)
            return True

    def delete(self, key: str, value: bytes | None = None) -> bool:
        with self._lock:
            kept = self._living(key)
            if kept is None or value not in {None, kept.value}:
                return False
            del self._kept[key]
            return True

    def owned(self, owner: str) -> list[str]:
        with self._lock:
            return [key for key in list(self._kept) if (kept := self._living(key)) and owner in kept.owners]

    def present(self, keys: Sequence[str]) -> set[str]:
        return {key for key in keys if self._living(key)}

    def close(self) -> None: ...

    def _living(self, key: str) -> _Kept | None:
        with self._lock:
            kept = self._kept.get(key)
            if kept and kept.ends <= time.time():
                del self._kept[key]
                return None
            return kept


class AsyncMemoryStore:
    """A store object for ASGI. It never waits, for a dictionary is never busy."""

    def __init__(self) -> None:
        self._store = MemoryStore()

    async def get(self, key: str) -> bytes | None:
        return self._store.get(key)

    async def put(self, key: str, value: bytes, *, ttl: float, owners: Sequence[str] = ()) -> None:
        self._store.put(key, value, ttl=ttl, owners=owners)

    async def swap(self, key: str, old: bytes, new: bytes, *, ttl: float) -> bool:
        return self._store.swap(key, old, new, ttl=ttl)

    async def touch(self, key: str, *, ttl: float) -> bool:
        return self._store.touch(key, ttl=ttl)

    async def add(self, key: str, value: bytes, *, ttl: float) -> bool:
        return self._store.add(key, value, ttl=ttl)

    async def delete(self, key: str, value: bytes | None = None) -> bool:
        return self._store.delete(key, value)

    async def owned(self, owner: str) -> list[str]:
        return self._store.owned(owner)

    async def present(self, keys: Sequence[str]) -> set[str]:
        return self._store.present(keys)

    async def close(self) -> None: ...
