"""This file is a user's own store object: the methods it must have, and how the core asks it.

What it raises is its own affair and means that it cannot be asked; the log gets the name of the exception's type, for
its text may have anything in it.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Final, Protocol, TypeVar, cast

from ck_middleware.errors import Fault, StoreUnavailable
from ck_middleware.stores.complaints import Complaints

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

METHODS: Final = ("get", "put", "swap", "touch", "add", "delete", "owned", "present", "close")

A = TypeVar("A")
T = TypeVar("T")


class Store(Protocol):
    """A store object for WSGI: methods that block. Values are sealed, and keys say nothing of anybody.

    `ttl` is in seconds; what has outlived it is gone. Threads and greenlets share a store, and forked workers inherit
    it: open connections where they are used. Any exception means that it cannot be asked now (503); none may take
    longer than a person waits.
    """

    def get(self, key: str) -> bytes | None:
        """The value, or `None` when there is none that lives."""

    def put(self, key: str, value: bytes, *, ttl: float, owners: Sequence[str] = ()) -> None:
        """Keep it, in place of what is there, and let it be found by each of its owners too."""

    def swap(self, key: str, old: bytes, new: bytes, *, ttl: float) -> bool:
        """Replace exactly `old`, atomically; false when something else, or nothing, is there. Owners stay."""

    def touch(self, key: str, *, ttl: float) -> bool:
        """Let it live so long from now; false when it is gone."""

    def add(self, key: str, value: bytes, *, ttl: float) -> bool:
        """Keep it unless there is one, atomically; whether it was kept."""

    def delete(self, key: str, value: bytes | None = None) -> bool:
        """Remove it, or with `value` only that very value, atomically; whether something was removed."""

    def owned(self, owner: str) -> list[str]:
        """The keys that live and were put with this owner."""

    def present(self, keys: Sequence[str]) -> set[str]:
        """Those of `keys` that live, in one go."""

    def close(self) -> None:
        """Let go of connections. It may be asked again afterwards."""


class AsyncStore(Protocol):
    """A store object for ASGI: the same as `Store`, in methods that are awaited and never block the event loop."""

    async def get(self, key: str) -> bytes | None: ...
    async def put(self, key: str, value: bytes, *, ttl: float, owners: Sequence[str] = ()) -> None: ...
    async def swap(self, key: str, old: bytes, new: bytes, *, ttl: float) -> bool: ...
    async def touch(self, key: str, *, ttl: float) -> bool: ...
    async def add(self, key: str, value: bytes, *, ttl: float) -> bool: ...
    async def delete(self, key: str, value: bytes | None = None) -> bool: ...
    async def owned(self, owner: str) -> list[str]: ...
    async def present(self, keys: Sequence[str]) -> set[str]: ...
    async def close(self) -> None: ...


def as_own_blocking(store: object) -> OwnBlocking:
    """Raises `Fault` unless its class has every method of `Store`, and none that is awaited."""
    if awaited := [name for name, method in _methods(store).items() if inspect.iscoroutinefunction(method)]:
        _wrong_colour(store, f"awaits ({', '.join(awaited)}), and WSGI has no event loop", "blocking methods (def)")
    return OwnBlocking(cast("Store", store))  # its methods were looked at just now


def as_own_async(store: object) -> OwnAsync:
    """Raises `Fault` unless its class has every method of `AsyncStore`, and none that blocks."""
    methods = _methods(store).items()
    if blocking := [name for name, method in methods if not inspect.iscoroutinefunction(method)]:
        _wrong_colour(store, f"blocks ({', '.join(blocking)}), which stops the event loop", "async methods (async def)")
    return OwnAsync(cast("AsyncStore", store))


def _methods(store: object) -> dict[str, object]:
    if isinstance(store, type):
        raise Fault(f"is the class {store.__name__} itself; give an instance of it")
    name = type(store).__qualname__
    # The class is asked, not the object: a proxy has whatever attribute one asks it for.
    found = {method: getattr(type(store), method, None) for method in METHODS}
    if missing := [method for method, there in found.items() if not callable(there)]:
        hint = "give its URL instead, such as redis://localhost:6379/0" if _is_redis(store) else "give it these methods"
        raise Fault(f"of class {name} is no store, for it lacks {', '.join(missing)}; {hint}")
    return {method: inspect.unwrap(there) for method, there in found.items() if callable(there)}


def _is_redis(store: object) -> bool:
    return type(store).__module__.partition(".")[0] in {"redis", "valkey"}


def _wrong_colour(store: object, fault: str, right: str) -> None:
    raise Fault(f"of class {type(store).__qualname__} {fault}; give a store with {right}, or a URL")


class OwnBlocking:
    """A `Store` in the core's words. Its coroutines never suspend."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._complaints = Complaints()

    async def get(self, key: str) -> bytes | None:
        try:
            value = self._store.get(key)
            return value if type(value) is bytes else _as_value(value)  # told at a glance, at every request
        except Exception as exc:
            raise _unavailable(self._complaints, self._store, exc) from exc

    async def put(self, key: str, value: bytes, *, ttl: float, owners: Sequence[str] = ()) -> None:
        self._ask(lambda: self._store.put(key, value, ttl=ttl, owners=owners))

    async def swap(self, key: str, old: bytes, new: bytes, *, ttl: float) -> bool:
        return self._ask(lambda: _as_bool(self._store.swap(key, old, new, ttl=ttl)))

    async def touch(self, key: str, *, ttl: float) -> bool:
        return self._ask(lambda: _as_bool(self._store.touch(key, ttl=ttl)))

    async def add(self, key: str, value: bytes, *, ttl: float) -> bool:
        return self._ask(lambda: _as_bool(self._store.add(key, value, ttl=ttl)))

    async def delete(self, key: str, value: bytes | None = None) -> bool:
        return self._ask(lambda: _as_bool(self._store.delete(key, value)))

    async def owned(self, owner: str) -> list[str]:
        return self._ask(lambda: list(self._store.owned(owner)))

    async def present(self, keys: Sequence[str]) -> set[str]:
        return self._ask(lambda: {*self._store.present(keys)})

    async def close(self) -> None:
        self._ask(self._store.close)

    def _ask(self, question: Callable[[], T]) -> T:
        try:
            return _at_once(question())
        except Exception as exc:
            raise _unavailable(self._complaints, self._store, exc) from exc


class OwnAsync:
    """An `AsyncStore` in the core's words."""

    def __init__(self, store: AsyncStore) -> None:
        self._store = store
        self._complaints = Complaints()

    async def get(self, key: str) -> bytes | None:
        try:
            value = await self._store.get(key)
            return value if type(value) is bytes else _as_value(value)
        except Exception as exc:
            raise _unavailable(self._complaints, self._store, exc) from exc

    async def put(self, key: str, value: bytes, *, ttl: float, owners: Sequence[str] = ()) -> None:
        await self._ask(lambda: self._store.put(key, value, ttl=ttl, owners=owners), _as_done)

    async def swap(self, key: str, old: bytes, new: bytes, *, ttl: float) -> bool:
        return await self._ask(lambda: self._store.swap(key, old, new, ttl=ttl), _as_bool)

    async def touch(self, key: str, *, ttl: float) -> bool:
        return await self._ask(lambda: self._store.touch(key, ttl=ttl), _as_bool)

    async def add(self, key: str, value: bytes, *, ttl: float) -> bool:
        return await self._ask(lambda: self._store.add(key, value, ttl=ttl), _as_bool)

    async def delete(self, key: str, value: bytes | None = None) -> bool:
        return await self._ask(lambda: self._store.delete(key, value), _as_bool)

    async def owned(self, owner: str) -> list[str]:
        return await self._ask(lambda: self._store.owned(owner), list)

    async def present(self, keys: Sequence[str]) -> set[str]:
        return await self._ask(lambda: self._store.present(keys), set)

    async def close(self) -> None:
        await self._ask(self._store.close, _as_done)

    async def _ask(self, question: Callable[[], Awaitable[A]], read: Callable[[A], T]) -> T:
        try:
            return read(await question())
        except Exception as exc:
            raise _unavailable(self._complaints, self._store, exc) from exc


def _at_once(answer: T) -> T:
    """What was answered. Raises `TypeError` for what is still to be awaited: nothing was done then."""
    if inspect.isawaitable(answer):
        if inspect.iscoroutine(answer):
            answer.close()
        raise TypeError("the store answered with something to await")
    return answer


def _as_done(answer: None) -> None:
    return answer


def _as_value(answer: bytes | None) -> bytes | None:
    if not isinstance(_at_once(answer), bytes | None):
        raise TypeError("the store answered with something other than bytes or None")
    return answer


def _as_bool(answer: bool) -> bool:  # noqa: FBT001  # the answer itself, and no switch
    # `None` would read as "no": a lease that nobody gets, a logout that removed nothing.
    if not isinstance(_at_once(answer), bool):
        raise TypeError("the store answered with something other than True or False")
    return answer


def _unavailable(complaints: Complaints, store: object, exc: Exception) -> StoreUnavailable:
    if isinstance(exc, StoreUnavailable):
        return exc
    advice = "the app's own store object raised an exception; see what it needs"
    return complaints.unavailable(type(exc).__name__, advice, store=type(store).__qualname__)
