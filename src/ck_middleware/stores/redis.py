"""This file is the store in Redis or Valkey, for workers on any number of machines.

A session is one string: its owners in a first line, then the value. An owner is the set of the keys it was given, which
lives as long as its longest session. What takes more than one step is a script.
"""

from __future__ import annotations

import math
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import quote

from ck_middleware.errors import Fault
from ck_middleware.stores.complaints import Complaints
from ck_middleware.stores.scripts import DELETE, OWNED, PRESENT, PUT, SWAP, TOUCH

if TYPE_CHECKING:
    from collections.abc import Awaitable, Hashable, Sequence

    from ck_middleware.errors import StoreUnavailable
    from ck_middleware.ports import Runtime
    from ck_middleware.stores.urls import RedisAddress

LONGEST_WAIT: Final = 2.0  # seconds for one answer, and for one connection
CONNECTIONS: Final = 64  # of one process at once; who comes later waits for one, for as long
BATCH: Final = 500  # keys looked up in one command


class Wire(Protocol):
    """Connections to one Redis, in one process and one event loop."""

    def execute(self, *words: str | bytes | int) -> Awaitable[object]: ...

    async def retire(self) -> None:
        """Make no further use of them. Those on which an answer is awaited close when it has come."""

    async def close(self) -> None: ...


class BlockingWire:
    def __init__(self, url: str, timeout: float) -> None:
        import redis  # noqa: PLC0415  # an extra

        options = _options(url, timeout) | {"retry": redis.retry.Retry(redis.backoff.NoBackoff(), 0)}
        pool = redis.BlockingConnectionPool.from_url(url, **options)
        self._client = redis.Redis(connection_pool=pool)

    async def execute(self, *words: str | bytes | int) -> object:
        answer: object = self._client.execute_command(*words)  # type: ignore[no-untyped-call]  # of `redis`
        return answer

    async def retire(self) -> None: ...  # whoever awaits an answer holds the last reference

    async def close(self) -> None:
        self._client.connection_pool.disconnect()


class LoopWire:
    def __init__(self, url: str, timeout: float) -> None:
        import redis.asyncio  # noqa: PLC0415  # an extra

        options = _options(url, timeout) | {"retry": redis.asyncio.retry.Retry(redis.backoff.NoBackoff(), 0)}
        pool = redis.asyncio.BlockingConnectionPool.from_url(url, **options)
        self._client = redis.asyncio.Redis(connection_pool=pool)

    def execute(self, *words: str | bytes | int) -> Awaitable[object]:
        answer: Awaitable[object] = self._client.execute_command(*words)  # type: ignore[no-untyped-call]  # of `redis`
        return answer

    async def retire(self) -> None:
        await self._client.connection_pool.disconnect(inuse_connections=False)

    async def close(self) -> None:
        await self._client.connection_pool.disconnect()


def _options(url: str, timeout: float) -> dict[str, object]:
    usual: dict[str, object] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "timeout": timeout,  # for a connection of the pool
        "max_connections": CONNECTIONS,
        "protocol": 2,  # what every Redis speaks, at the cost of no question more
    }
    # Without it, a certificate for any other host would do.
    return usual | ({"ssl_check_hostname": True} if url.lower().startswith("rediss:") else {})


class RedisStore:
    """The core's store in Redis, on either face."""

    def __init__(self, address: RedisAddress, runtime: Runtime, *, timeout: float) -> None:
        self._address = address
        self._prefix = address.prefix
        self._runtime = runtime
        self._timeout = min(timeout, LONGEST_WAIT)
        self._complaints = Complaints()
        self._wires: dict[Hashable, Wire] = {}
        _check(address.url)

    async def get(self, key: str) -> bytes | None:
        found = await self._ask_again("GET", self._session(key))
        return found.partition(b"\n")[2] if isinstance(found, bytes) else None

    async def put(self, key: str, value: bytes, *, ttl: float, owners: Sequence[str] = ()) -> None:
        head = " ".join(map(_word, owners))
        await self._ask_again(*self._script(PUT, key), key, head, value, _milliseconds(ttl))

    async def swap(self, key: str, old: bytes, new: bytes, *, ttl: float) -> bool:
        return await self._ask(*self._script(SWAP, key), old, new, _milliseconds(ttl)) == 1

    async def touch(self, key: str, *, ttl: float) -> bool:
        return await self._ask_again(*self._script(TOUCH, key), _milliseconds(ttl)) == 1

    async def add(self, key: str, value: bytes, *, ttl: float) -> bool:
        return bool(await self._ask("SET", self._session(key), b"\n" + value, "NX", "PX", _milliseconds(ttl)))

    async def delete(self, key: str, value: bytes | None = None) -> bool:
        only = () if value is None else (value,)
        return await self._ask(*self._script(DELETE, key), key, *only) == 1

    async def owned(self, owner: str) -> list[str]:
        name = _word(owner)
        found = await self._ask_again("EVAL", OWNED, 1, f"{self._prefix}o:{name}", self._prefix, name)
        return [key.decode() for key in _listed(found)]

    async def present(self, keys: Sequence[str]) -> set[str]:
        living: set[str] = set()
        for start in range(0, len(keys), BATCH):
            batch = keys[start : start + BATCH]
            there = await self._ask_again("EVAL", PRESENT, len(batch), *map(self._session, batch))
            living.update(key for key, found in zip(batch, _listed(there), strict=True) if found)
        return living

    async def close(self) -> None:
        if wire := self._wires.pop(self._runtime.home(), None):
            await wire.close()

    def _session(self, key: str) -> str:
        return f"{self._prefix}s:{key}"

    def _script(self, text: str, key: str) -> tuple[str | int, ...]:
        return "EVAL", text, 1, self._session(key), self._prefix

    async def _ask_again(self, *words: str | bytes | int) -> object:
        """Ask what may be asked twice: once more when the connection broke, as it does when a server restarts.

        A lease that was got, and asked for again, would look as if somebody else had it; such questions are asked once.
        """
        try:
            return await self._wire().execute(*words)
        except _broken():
            return await self._ask(*words)
        except _errors() as exc:
            raise await self._unavailable(exc) from exc

    async def _ask(self, *words: str | bytes | int) -> object:
        try:
            return await self._wire().execute(*words)
        except _errors() as exc:
            raise await self._unavailable(exc) from exc

    async def _unavailable(self, exc: Exception) -> StoreUnavailable:
        from redis.exceptions import ReadOnlyError  # noqa: PLC0415

        # After a failover the same name may lead to another server: what is connected to this one is of no more use.
        if isinstance(exc, ReadOnlyError) and (wire := self._wires.pop(self._runtime.home(), None)):
            await wire.retire()
        return self._complaints.unavailable(type(exc).__name__, _advice(exc))

    def _wire(self) -> Wire:
        # A client belongs to the process and the loop that made it: in another one it would mix up the answers.
        home = self._runtime.home()
        return self._wires.get(home) or self._wires.setdefault(home, self._new_wire())

    def _new_wire(self) -> Wire:
        kind = BlockingWire if self._runtime.blocking else LoopWire
        return kind(self._address.url, self._timeout)


def _check(url: str) -> None:
    """Raises `Fault` for what would fail at every use. Connects to nothing."""
    if find_spec("redis") is None:
        raise Fault("needs a package that is not installed; run: pip install 'ck-middleware[redis]'")
    from redis import ConnectionPool, RedisError  # noqa: PLC0415

    try:
        pool = ConnectionPool.from_url(url)
        pool.connection_class(**pool.connection_kwargs)
    except (TypeError, ValueError, RedisError):  # whose texts quote what they were given
        raise Fault("has an option, or a value of one, that the redis package does not accept; see its docs") from None


def _broken() -> type[Exception]:
    from redis.exceptions import ConnectionError as Broken  # noqa: PLC0415  # an extra, and named only when it is raised

    return Broken


def _errors() -> tuple[type[Exception], ...]:
    from redis.exceptions import RedisError  # noqa: PLC0415

    # Redis' own, and those of sockets and TLS that some of its versions let through.
    return RedisError, OSError


def _advice(exc: Exception) -> str:
    """What to do, by the type alone: the text of such an error may name the host, or quote what was sent."""
    import redis.exceptions as known  # noqa: PLC0415

    table: tuple[tuple[type[Exception], str], ...] = (
        (known.AuthenticationError, "Redis refuses the user or password in its URL; see CONSENTKEYS_STORE"),
        (known.AuthenticationWrongNumberOfArgsError, "Redis refuses the user or password in its URL"),
        (known.NoPermissionError, "Redis does not let this user run EVAL, GET and SET on our keys; see its ACL"),
        (known.BusyLoadingError, "Redis is loading its data after a start; it answers when it is done"),
        (known.ReadOnlyError, "this Redis is a replica that only reads; name the primary one in CONSENTKEYS_STORE"),
        (known.OutOfMemoryError, "Redis is out of memory; give it more, for it must not drop sessions by itself"),
        (known.TimeoutError, "Redis did not answer in time; see whether it is overloaded, or the network"),
        (known.ConnectionError, "Redis cannot be reached; see that it runs where CONSENTKEYS_STORE says"),
        (OSError, "Redis cannot be reached; see that it runs where CONSENTKEYS_STORE says"),
    )
    return next((advice for kind, advice in table if isinstance(exc, kind)), "Redis answered with an error")


def _word(owner: str) -> str:
    return quote(owner, safe=":=")  # neither a space nor the end of a line, which separate


def _milliseconds(ttl: float) -> int:
    return max(1, math.ceil(ttl * 1000))


def _listed(answer: object) -> list[Any]:
    return answer if isinstance(answer, list) else []
