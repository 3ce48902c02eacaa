"""This file is a store of whose every call the app's observers are told; without any, there is no such store."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from ck_middleware.observing import Observers
    from ck_middleware.ports import Store

T = TypeVar("T")


def watched(store: Store, observers: Observers) -> Store:
    return WatchedStore(store, observers) if observers else store


class WatchedStore:
    """The core's store, and how long each of its answers takes."""

    def __init__(self, store: Store, observers: Observers) -> None:
        self._store = store
        self._observers = observers

    async def get(self, key: str) -> bytes | None:
        return await self._watch("get", self._store.get(key))

    async def put(self, key: str, value: bytes, *, ttl: float, owners: Sequence[str] = ()) -> None:
        await self._watch("put", self._store.put(key, value, ttl=ttl, owners=owners))

    async def swap(self, key: str, old: bytes, new: bytes, *, ttl: float) -> bool:
        return await self._watch("swap", self._store.swap(key, old, new, ttl=ttl))

    async def touch(self, key: str, *, ttl: float) -> bool:
        return await self._watch("touch", self._store.touch(key, ttl=ttl))

    async def add(self, key: str, value: bytes, *, ttl: float) -> bool:
        return await self._watch("add", self._store.add(key, value, ttl=ttl))

    async def delete(self, key: str, value: bytes | None = None) -> bool:
        return await self._watch("delete", self._store.delete(key, value))

    async def owned(self, owner: str) -> list[str]:
        return await self._watch("owned", self._store.owned(owner))

    async def present(self, keys: Sequence[str]) -> set[str]:
        return await self._watch("present", self._store.present(keys))

    async def close(self) -> None:
        await self._store.close()

    async def _watch(self, operation: str, answer: Awaitable[T]) -> T:
        with self._observers.timed("store_call", operation=operation):
            return await answer
