"""This file is what one process has open of a SQLite store: one connection that reads, one that writes, their locks."""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

if sys.platform != "win32":  # pragma: no branch  # nobody can be on both
    import fcntl

T = TypeVar("T")
Row: TypeAlias = tuple[Any, ...]  # as the columns of a query are typed, which mypy cannot know
Work: TypeAlias = "Callable[[sqlite3.Connection], T]"

OURS: Final = 0x636B6D77  # "ckmw" in the file's header, so that we never write into somebody else's database
VERSION: Final = 1  # of the tables below
LONGEST_HOLD: Final = 1.0  # seconds that one thread waits for another to finish with a connection
LONGEST_LOG: Final = 4 << 20  # bytes that the write-ahead log keeps on the disk after a burst

# A row is found by a number made of its key: an index on the keys themselves would be a second tree to search, and
# among a million sessions made every look-up twice as slow.
SCHEMA: Final = (
    "CREATE TABLE kept (id INTEGER PRIMARY KEY, key TEXT NOT NULL, value BLOB NOT NULL, ends REAL NOT NULL)",
    "CREATE INDEX kept_ends ON kept (ends)",
    """CREATE TABLE owned (owner TEXT NOT NULL, id INTEGER NOT NULL REFERENCES kept ON DELETE CASCADE,
       PRIMARY KEY (owner, id)) WITHOUT ROWID""",
    "CREATE INDEX owned_id ON owned (id)",
    f"PRAGMA application_id = {OURS}",
    f"PRAGMA user_version = {VERSION}",
)
SETTINGS: Final = (
    "PRAGMA journal_mode = WAL",  # who reads never waits for who writes
    "PRAGMA synchronous = FULL",  # a logout that was acknowledged does not come back when the power fails
    "PRAGMA secure_delete = ON",  # what was deleted is zeroes: a backup, or a secret that leaks later, finds no token
    "PRAGMA foreign_keys = ON",
    f"PRAGMA journal_size_limit = {LONGEST_LOG}",
)
ADVICE: Final = {
    "locked": "another process has held the lock of its file for too long; see who has it open",
    "read-only": "its file, its -wal or its folder cannot be written to; let the user of this process write to all",
    "full": "its disk is full; make room",
    "corrupt": "its file is damaged or is no SQLite database; move it and its -wal and -shm away, and a new one begins",
    "unopened": "its file cannot be opened; see that the folder is there and this process may write to it",
    "unreadable": "reading or writing its file failed; see to the disk",
    "removed": "its file was moved or deleted while in use; a new one begins, and people log in again",
    "newer": "its file was made by a newer version of ck-middleware; install that one, or name another file",
    "foreign": "its file is the database of another program; name another one",
    "other": "SQLite reported an error",
}
KINDS: Final = {
    sqlite3.SQLITE_READONLY: "read-only",
    sqlite3.SQLITE_PERM: "read-only",
    sqlite3.SQLITE_AUTH: "read-only",
    sqlite3.SQLITE_FULL: "full",
    sqlite3.SQLITE_CORRUPT: "corrupt",
    sqlite3.SQLITE_NOTADB: "corrupt",
    sqlite3.SQLITE_CANTOPEN: "unopened",
    sqlite3.SQLITE_IOERR: "unreadable",
}
BUSY: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


class FileFault(Exception):
    """The file cannot be asked. `advice` says what to do, and `reopen` whether the connections are of no more use."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind
        self.advice = ADVICE[kind]
        self.reopen = kind not in {"locked", "full"}


class Again(FileFault):
    """Somebody else is at it; a moment later it may go."""

    def __init__(self) -> None:
        super().__init__("locked")


class Files:
    """Two connections to one file, for the threads of one process. `FileFault` is all that its methods raise."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._reading = threading.Lock()
        self._writing = threading.Lock()
        self._reader: sqlite3.Connection | None = None
        self._writer: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None  # device and inode
        self._closed = False

    @property
    def are_open(self) -> bool:
        return self._reader is not None

    def open(self) -> None:
        """Open what is not open yet, and make the file if there is none."""
        with _told(), _held(self._writing):
            if self._closed:  # between the question and now; there is another one to ask
                raise Again
            if self._writer is None:
                _create(self._path)
                _see_that_it_is_writable(self._path)
                self._file = _identity(self._path)
                self._writer = _connection(self._path)
            if self._reader is None:
                self._reader = _connection(self._path)

    def read(self, query: str, values: Sequence[object]) -> list[Row]:
        # For every request with a session, so it is spelled out: context managers made of generators are dear.
        if not self._reading.acquire(timeout=LONGEST_HOLD):
            raise Again
        try:
            # All rows at once: a cursor that is not at its end would hold a snapshot, and the log could not shrink.
            return self._usable(self._reader).execute(query, values).fetchall()
        except (sqlite3.Error, OSError) as exc:
            raise _fault(exc) from exc
        finally:
            self._reading.release()

    def write(self, work: Work[T]) -> T:
        """What `work` gives, once its changes are on the disk; all of them, or none."""
        with _told(), _held(self._writing):
            connection = self._usable(self._writer)
            connection.execute("BEGIN IMMEDIATE")
            try:
                done = work(connection)
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            self._usable(connection)  # a row in a file that nobody finds any more must not be acknowledged
            return done

    def close(self) -> None:
        """Close both, for good. Raises nothing: what was committed is there, also when the disk is full or gone."""
        self._closed = True
        with suppress(Again), _held(self._writing), _held(self._reading):
            opened = self._reader, self._writer
            self._reader = self._writer = None
            for connection in opened:
                with suppress(sqlite3.Error):
                    if connection is not None:
                        connection.close()

    def _usable(self, connection: sqlite3.Connection | None) -> sqlite3.Connection:
        if connection is None:  # another thread met a fault and closed it
            raise Again
        if _identity(self._path) != self._file:
            raise FileFault("removed")
        return connection


def row_id(key: str) -> int:
    """The number of a key's row, 64 bits with a sign.

    Of two keys that share one, once in ten trillion logins among a million sessions, the older is gone. Nobody is taken
    for another, since every question compares the key too.
    """
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), signed=True)


@contextmanager
def _held(lock: threading.Lock) -> Iterator[None]:
    # On a disk that hangs, the thread that has it may never come back; the others must.
    if not lock.acquire(timeout=LONGEST_HOLD):
        raise Again
    try:
        yield
    finally:
        lock.release()


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116  # a Path would cost more than the call
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _create(path: str) -> None:
    """Make an empty file that only this user can read, unless there is one. SQLite gives its -wal and -shm the same."""
    if _identity(path):
        return
    with _alone(Path(path).parent):
        if _identity(path):
            return
        for leftover in (f"{path}-wal", f"{path}-shm"):  # of a file that was deleted: they would damage the new one
            Path(leftover).unlink(missing_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _see_that_it_is_writable(path: str) -> None:
    # SQLite would open it to read alone, and leave a -wal and -shm that nobody can write to, also when it can be again.
    if not os.access(path, os.R_OK | os.W_OK):
        raise FileFault("read-only")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder. Otherwise who comes second would remove the log that the first one just began."""
    if sys.platform == "win32":  # pragma: no cover  # where nobody can remove a file that is open
        yield
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(opened)


def _connection(path: str) -> sqlite3.Connection:
    # mode=rw: a file that has gone in between is not made anew here, where everybody could read it.
    address = f"file:{quote(path)}?mode=rw"
    connection = sqlite3.connect(address, timeout=0, isolation_level=None, check_same_thread=False, uri=True)
    try:
        _version(connection)  # before anything is changed in what may be somebody else's
        for setting in SETTINGS:
            connection.execute(setting).fetchall()
        _prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    """Make the tables in an empty file, and refuse one that is not ours or was made by a later version."""
    if _version(connection) == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        if _version(connection) == 0:  # still: another process may have been faster
            for statement in SCHEMA:
                connection.execute(statement)
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _version(connection: sqlite3.Connection) -> int:
    """The version of our tables; 0 for an empty file."""
    # In this order, since another process may make the tables in between: who sees tables also sees whose they are.
    queries = ("SELECT count(*) FROM sqlite_master", "PRAGMA application_id", "PRAGMA user_version")
    tables, application, version = (int(connection.execute(query).fetchall()[0][0]) for query in queries)
    if application != OURS:
        if application or tables:
            raise FileFault("foreign")
        return 0
    if version > VERSION:
        raise FileFault("newer")
    return version


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as exc:
        raise _fault(exc) from exc


def _fault(exc: sqlite3.Error | OSError) -> FileFault:
    """What went wrong."""
    if isinstance(exc, sqlite3.Error):
        code = getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # what is above says more than is needed
        return Again() if code in BUSY else FileFault(KINDS.get(code, "other"))
    if isinstance(exc, BlockingIOError):
        return Again()
    return FileFault("read-only" if isinstance(exc, PermissionError) else "unopened")
