"""This file is the store in one SQLite file, for all workers of one machine.

The file is opened when it is first needed, by each process for itself, and again after every fault, so that whatever
was wrong with it can be put right without a restart. A read is a look-up in the write-ahead log and waits for nobody.
A write is on the disk when it is acknowledged.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Final, TypeVar

from ck_middleware.stores.complaints import Complaints
from ck_middleware.stores.file import Again, FileFault, Files, row_id

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Awaitable, Callable, Sequence

    from ck_middleware.errors import StoreUnavailable
    from ck_middleware.ports import Runtime
    from ck_middleware.stores.file import Row, Work

LONGEST_WAIT: Final = 5.0  # seconds for a lock that another process holds
FIRST_PAUSE: Final = 0.001  # seconds between two attempts to get it, and then twice as long each time, up to
LONGEST_PAUSE: Final = 0.05
SWEPT: Final = 20  # rows that have expired, removed by one write: more than it adds, and few enough not to be felt
BATCH: Final = 100  # keys looked up at once: about a millisecond

GET: Final = "SELECT value FROM kept WHERE id = ? AND key = ? AND ends > ?"
OWNED: Final = "SELECT key FROM owned JOIN kept USING (id) WHERE owner = ? AND ends > ?"
PRESENT: Final = "SELECT key FROM kept WHERE id IN (SELECT value FROM json_each(?)) AND ends > ?"
DISOWN: Final = "DELETE FROM owned WHERE id = ?"
PUT: Final = (
    "INSERT INTO kept (id, key, value, ends) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (id) DO UPDATE SET key = excluded.key, value = excluded.value, ends = excluded.ends"
)
OWN: Final = "INSERT OR IGNORE INTO owned (owner, id) VALUES (?, ?)"
SWAP: Final = "UPDATE kept SET value = ?, ends = ? WHERE id = ? AND key = ? AND value = ? AND ends > ?"
TOUCH: Final = "UPDATE kept SET ends = ? WHERE id = ? AND key = ? AND ends > ?"
DROP_DEAD: Final = "DELETE FROM kept WHERE id = ? AND ends <= ?"
ADD: Final = "INSERT OR IGNORE INTO kept (id, key, value, ends) VALUES (?, ?, ?, ?)"
DELETE: Final = "DELETE FROM kept WHERE id = ? AND key = ? AND ends > ?"
DELETE_ONLY: Final = f"{DELETE} AND value = ?"
SWEEP: Final = "DELETE FROM kept WHERE id IN (SELECT id FROM kept WHERE ends <= ? ORDER BY ends LIMIT ?)"

T = TypeVar("T")


class SQLiteStore:
    """The core's store in the file at `path`, which need not be there yet. Waits at most `timeout` for a lock."""

    def __init__(self, path: str, runtime: Runtime, *, timeout: float) -> None:
        self._path = path
        self._runtime = runtime
        self._wait = min(timeout, LONGEST_WAIT)
        self._complaints = Complaints()
        self._files: dict[int, Files] = {}

    async def get(self, key: str) -> bytes | None:
        rows = await self._read(GET, row_id(key), key, time.time())
        return rows[0][0] if rows else None

    async def put(self, key: str, value: bytes, *, ttl: float, owners: Sequence[str] = ()) -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.execute(DISOWN, (row,))
            connection.execute(PUT, (row, key, value, time.time() + ttl))
            connection.executemany(OWN, [(owner, row) for owner in owners])

        row = row_id(key)
        await self._write(work)

    async def swap(self, key: str, old: bytes, new: bytes, *, ttl: float) -> bool:
        now = time.time()
        return await self._change(SWAP, new, now + ttl, row_id(key), key, old, now)

    async def touch(self, key: str, *, ttl: float) -> bool:
        now = time.time()
        return await self._change(TOUCH, now + ttl, row_id(key), key, now)

    async def add(self, key: str, value: bytes, *, ttl: float) -> bool:
        def work(connection: sqlite3.Connection) -> bool:
            now = time.time()
            connection.execute(DROP_DEAD, (row, now))
            return connection.execute(ADD, (row, key, value, now + ttl)).rowcount > 0

        row = row_id(key)
        return await self._write(work)

    async def delete(self, key: str, value: bytes | None = None) -> bool:
        if value is None:
            return await self._change(DELETE, row_id(key), key, time.time())
        return await self._change(DELETE_ONLY, row_id(key), key, time.time(), value)

    async def owned(self, owner: str) -> list[str]:
        return [row[0] for row in await self._read(OWNED, owner, time.time())]

    async def present(self, keys: Sequence[str]) -> set[str]:
        batches = [keys[start : start + BATCH] for start in range(0, len(keys), BATCH)]
        found: set[str] = set()
        for batch in batches:
            rows = await self._read(PRESENT, json.dumps([*map(row_id, batch)]), time.time())
            found.update(row[0] for row in rows)
            if len(batches) > 1:
                await self._runtime.sleep(0)  # so that others are served in between
        return found.intersection(keys)

    async def close(self) -> None:
        if files := self._files.pop(os.getpid(), None):
            await self._runtime.aside(files.close)

    async def _read(self, query: str, *values: object) -> list[Row]:
        async def read() -> list[Row]:
            files = self._own_files()
            if not files.are_open:  # the first time in a process, which may have to write
                await self._runtime.aside(files.open)
            return files.read(query, values)

        return await self._patiently(read)

    async def _change(self, statement: str, *values: object) -> bool:
        """Run one statement; whether it changed something."""
        return await self._write(lambda connection: connection.execute(statement, values).rowcount > 0)

    async def _write(self, work: Work[T]) -> T:
        def swept(connection: sqlite3.Connection) -> T:
            done = work(connection)
            connection.execute(SWEEP, (time.time(), SWEPT))
            return done

        def write() -> T:
            files = self._own_files()
            files.open()
            return files.write(swept)

        return await self._patiently(lambda: self._runtime.aside(write))

    async def _patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try again while somebody else holds the lock, for a bounded time, and hold up nobody meanwhile.

        SQLite's own way of waiting would keep a thread, or under gevent the whole worker, from doing anything else.
        """
        end, pause = time.monotonic() + self._wait, FIRST_PAUSE
        while True:
            try:
                return await attempt()
            except Again as busy:
                if time.monotonic() + pause > end:
                    raise await self._unavailable(busy) from busy
            except FileFault as fault:
                raise await self._unavailable(fault) from fault
            await self._runtime.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _unavailable(self, fault: FileFault) -> StoreUnavailable:
        # The next request begins with new connections: to a new file, or to one that was put right.
        if fault.reopen:
            await self.close()
        return self._complaints.unavailable(fault.kind, fault.advice, path=self._path)

    def _own_files(self) -> Files:
        # Connections from before a fork would break the locks of both processes, and locks from before gevent's
        # patches would stop a worker for good. `setdefault` is atomic: two threads get the same.
        pid = os.getpid()
        return self._files.get(pid) or self._files.setdefault(pid, Files(self._path))
