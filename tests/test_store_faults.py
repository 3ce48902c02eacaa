"""What a store does when it cannot be asked: 503 within a bounded time, one line in the log, no restart afterwards."""

import asyncio
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest
import redis

from ck_middleware.errors import StoreUnavailable
from ck_middleware.stores.file import Again, Files
from support.asked import PATIENCE, Asked, contend, environ
from support.contender import ROUNDS
from support.redis_server import BadLine, RedisServer

TIMEOUT = 0.3  # seconds that a store may take where it is to give up
HANGS = 20.0  # seconds after which it has not given up, on the busiest machine, and before a patient one does
VALUE = b"a value nobody may read in the log"

NOBODY = 65534  # a user who may not do what root may

Open = Callable[[str], Asked]


@pytest.fixture(params=["wsgi", "asgi"])
def opened_for(request: pytest.FixtureRequest, runner: asyncio.Runner) -> Iterator[Callable[[float, str], Asked]]:
    stores: list[Asked] = []

    def open_(timeout: float, url: str) -> Asked:
        stores.append(Asked(url, runner if request.param == "asgi" else None, timeout=timeout))
        return stores[-1]

    yield open_
    for store in stores:
        store.close()


@pytest.fixture
def opened(opened_for: Callable[[float, str], Asked]) -> Open:
    """Opens a store that waits for an honest answer as long as it takes."""
    return partial(opened_for, PATIENCE)


@pytest.fixture
def hasty(opened_for: Callable[[float, str], Asked]) -> Open:
    """Opens a store that is soon tired of waiting, and may be so of an honest answer."""
    return partial(opened_for, TIMEOUT)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest.fixture
def store(opened: Open, path: Path) -> Asked:
    """A store in a file that has one session in it."""
    store = opened(f"sqlite:///{path}")
    store.put("key", VALUE, owners=["owner"])
    return store


@pytest.fixture(autouse=True)
def _nothing_secret_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert VALUE.decode() not in caplog.text
    assert "hunter2" not in caplog.text
    assert "secret-key" not in caplog.text


@contextmanager
def _unavailable() -> Iterator[None]:
    """What is asked in here is refused, and soon."""
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable):
        yield
    assert time.monotonic() - begun < HANGS


def _eventually(question: Callable[[], object]) -> None:
    """It works again, while nobody does anything about it."""
    ending = time.monotonic() + PATIENCE
    while True:
        try:
            question()
        except StoreUnavailable:
            if time.monotonic() > ending:
                raise
            time.sleep(0.02)
        else:
            return


# SQLite


HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def _locked(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process has the lock for writing."""
    words = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        yield process
        process.kill()


def test_who_reads_does_not_wait_for_a_lock_and_who_writes_does_not_wait_for_ever(
    store: Asked, hasty: Open, path: Path
) -> None:
    impatient = hasty(f"sqlite:///{path}")
    with _locked(path):  # for longer than anybody waits
        assert store.get("key") == VALUE
        assert store.owned("owner") == {"key"}
        assert store.present("key") == {"key"}
        with _unavailable():
            impatient.put("secret-key", VALUE)
        with _unavailable():
            impatient.delete("key")
        assert store.get("key") == VALUE
    store.put("another")
    assert store.present("key", "another") == {"key", "another"}


def test_a_lock_that_is_released_in_time_is_waited_for(store: Asked, path: Path) -> None:
    with _locked(path) as holder:
        assert holder.stdin
        holder.stdin.close()
        assert store.touch("key")


TICKS = 200  # of the loop, while somebody else has the lock


def test_the_loop_goes_on_while_a_write_waits_for_a_lock(path: Path, runner: asyncio.Runner) -> None:
    store = Asked(f"sqlite:///{path}", runner)
    store.put("key")

    async def story(holder: subprocess.Popen[bytes]) -> None:
        writing = [asyncio.create_task(store.port.touch("key", ttl=60)) for _ in range(20)]
        for _ in range(TICKS):
            await asyncio.sleep(0.001)
        # A write that waited on the loop would keep it from coming here, and give up before the lock is released.
        assert not any(task.done() for task in writing)
        assert await store.port.get("key") == b"v"
        holder.kill()
        assert all(await asyncio.gather(*writing))

    with _locked(path) as holder:
        runner.run(story(holder))
    store.close()


def _modes(path: Path) -> set[int]:
    return {stat.S_IMODE(file.stat().st_mode) for file in path.parent.glob("sessions.db*")}


def test_only_the_user_of_the_process_can_read_the_files(opened: Open, path: Path) -> None:
    before = os.umask(0)
    try:
        opened(f"sqlite:///{path}").put("key")
    finally:
        os.umask(before)
    assert len(list(path.parent.glob("sessions.db*"))) == 3
    assert _modes(path) == {0o600}


# Root may write everywhere, so this is told by a user who may not. Who owns a file may change its mode.
READ_ONLY = """
import os, sys
from pathlib import Path
from ck_middleware.errors import StoreUnavailable
from ck_middleware.stores.file import Again, Files
from support.asked import Asked

folder, user = Path(sys.argv[1]), int(sys.argv[2])
path = folder / "sessions.db"
store = Asked(f"sqlite:///{path}")  # which also imports all that it needs, while it can
if os.getuid() == 0:
    os.setgid(user)
    os.setuid(user)


def refused(question):
    try:
        question()
    except StoreUnavailable:
        return True
    return False


folder.chmod(0o500)
assert refused(lambda: store.put("key")), "a folder that cannot be written to"
folder.chmod(0o000)
assert refused(lambda: store.get("key")), "a folder that cannot be entered"
folder.chmod(0o700)
store.put("key", b"v")
store.close()
path.chmod(0o400)
assert refused(lambda: store.put("key", b"new")), "a file that cannot be written to"
path.chmod(0o000)
assert refused(lambda: store.get("key")), "a file that cannot be read"
path.chmod(0o600)
assert store.get("key") == b"v"
store.put("key", b"new")
assert store.get("key") == b"new"
store.close()
"""

# As on a full disk, the kernel refuses to let a file grow.
FULL = """
import resource, sys
from ck_middleware.errors import StoreUnavailable
from ck_middleware.stores.file import Again, Files
from support.asked import Asked

store = Asked(f"sqlite:///{sys.argv[1]}/sessions.db")
store.put("first", b"v")
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
kept = []
try:
    for number in range(1000):
        store.put(f"key-{number}", b"x" * 10_000)
        kept.append(f"key-{number}")
    raise AssertionError("the limit is not felt")
except StoreUnavailable:
    assert kept
assert store.get("first") == b"v"
assert store.present(*kept) == set(kept)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
store.put("after", b"v")
assert store.present("first", "after", *kept) == {"first", "after", *kept}
store.close()
"""

FORKED = """
import os, sys
from ck_middleware.stores.file import Again, Files
from support.asked import Asked

store = Asked(f"sqlite:///{sys.argv[1]}/sessions.db")
store.put("parent", b"v")
for number in range(3):
    if os.fork() == 0:
        assert store.get("parent") == b"v"
        for turn in range(20):
            store.put(f"child-{number}-{turn}", b"v", owners=["children"])
        os._exit(0)
for turn in range(20):
    store.put(f"parent-{turn}", b"v")
assert [os.wait()[1] for _ in range(3)] == [0, 0, 0]
assert len(store.owned("children")) == 60
assert store.get("parent") == b"v"
store.close()
"""


@pytest.mark.parametrize("program", [READ_ONLY, FULL, FORKED], ids=["read-only", "full", "forked"])
def test_a_process_gets_over(program: str) -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to other users
        if os.getuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        words = [sys.executable, "-c", program, folder, str(NOBODY)]
        done = subprocess.run(words, env=environ(), capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()


def _overwrite(path: Path, *, start: int, length: int) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\xa5" * length)


@pytest.mark.parametrize("start", [0, 100, 4096], ids=["header", "schema", "middle page"])
def test_a_damaged_file_is_no_crash_and_a_new_one_begins_when_it_is_moved(store: Asked, path: Path, start: int) -> None:
    for number in range(50):
        store.put(f"key-{number}", VALUE * 20)
    store.close()
    _overwrite(path, start=start, length=path.stat().st_size - start)
    with _unavailable():
        store.get("key")
    with _unavailable():
        store.put("secret-key", VALUE)
    path.rename(path.with_suffix(".bad"))
    _eventually(lambda: store.put("key", b"new"))
    assert store.get("key") == b"new"
    assert _modes(path) >= {0o600}


def test_a_file_that_is_damaged_while_in_use_is_no_crash(store: Asked, path: Path) -> None:
    for number in range(50):
        store.put(f"key-{number}", VALUE * 20)
    for file in path.parent.glob("sessions.db*"):
        _overwrite(file, start=0, length=file.stat().st_size)
    for number in range(50):
        try:
            found = store.get(f"key-{number}")
        except StoreUnavailable:
            continue
        assert found in {VALUE * 20, None}
    for file in path.parent.glob("sessions.db*"):
        file.unlink()
    _eventually(lambda: store.put("key", b"new"))
    assert store.get("key") == b"new"


@pytest.mark.parametrize("pattern", ["sessions.db", "sessions.db*"], ids=["file", "file and log"])
@pytest.mark.parametrize("first", ["get", "put"])
def test_a_file_that_is_deleted_while_in_use_is_made_anew(store: Asked, path: Path, pattern: str, first: str) -> None:
    other = Asked(f"sqlite:///{path}")
    assert other.get("key") == VALUE
    for file in path.parent.glob(pattern):
        file.unlink()
    with _unavailable():
        store.get("key") if first == "get" else store.put("key", VALUE)
    assert store.get("key") is None
    store.put("new", b"new", owners=["owner"])
    assert _modes(path) == {0o600}
    with _unavailable():  # who has not looked since, and would write where nobody reads
        other.put("lost", VALUE)
    assert other.get("new") == b"new"
    other.put("kept", VALUE)
    other.close()
    assert store.get("kept") == VALUE
    assert store.owned("owner") == {"new"}


def test_a_file_of_a_newer_version_is_left_alone(store: Asked, path: Path) -> None:
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    for _ in range(2):
        with _unavailable():
            store.get("key")
        with _unavailable():
            store.put("key", b"new")
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (99,)
        connection.execute("PRAGMA user_version = 1")
    assert store.get("key") == VALUE


def test_the_database_of_another_program_is_left_alone(opened: Open, path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (id INTEGER PRIMARY KEY)")
    before = path.read_bytes()
    store = opened(f"sqlite:///{path}")
    with _unavailable():
        store.put("key")
    assert path.read_bytes() == before
    path.unlink()
    store.put("key")


def test_a_folder_that_is_not_there_is_waited_for(opened: Open, tmp_path: Path) -> None:
    store = opened(f"sqlite:///{tmp_path}/later/sessions.db")
    with _unavailable():
        store.get("key")
    (tmp_path / "later").mkdir()
    store.put("key")
    shutil.rmtree(tmp_path / "later")
    with _unavailable():
        store.get("key")
    (tmp_path / "later").mkdir()
    _eventually(lambda: store.put("key"))


def test_a_fault_that_every_request_meets_does_not_fill_the_log(
    opened: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = opened(f"sqlite:///{tmp_path}/nowhere/sessions.db")
    for _ in range(50):
        with _unavailable():
            store.get("secret-key")
    assert len(caplog.records) == 1


def test_workers_that_begin_at_once_make_one_file(path: Path) -> None:
    for leftover in ("sessions.db-wal", "sessions.db-shm"):
        (path.parent / leftover).write_bytes(b"of a file that was deleted" * 1000)
    got = contend(f"sqlite:///{path}")
    store = Asked(f"sqlite:///{path}")
    assert len(store.owned("everybody")) == ROUNDS * len(got)
    assert store.get("count") == b"%d" % (ROUNDS * len(got))
    store.close()


def test_a_connection_that_another_thread_closed_is_not_used(path: Path) -> None:
    files = Files(str(path))
    files.open()
    files.close()
    for question in (files.open, lambda: files.read("SELECT 1", ()), lambda: files.write(lambda _: None)):
        with pytest.raises(Again):
            question()


def test_a_disk_that_hangs_keeps_one_thread_and_no_other(path: Path) -> None:
    files, writes, goes_on = Files(str(path)), threading.Event(), threading.Event()
    files.open()

    def hang(_: sqlite3.Connection) -> bool:
        writes.set()
        return goes_on.wait(PATIENCE)

    with ThreadPoolExecutor(1) as threads:
        hanging = threads.submit(files.write, hang)
        writes.wait()
        with pytest.raises(Again):
            files.write(lambda _: None)
        goes_on.set()
        assert hanging.result()
    files.close()


ACKNOWLEDGE = """
import itertools, sys
from ck_middleware.stores.file import Again, Files
from support.asked import Asked

store = Asked(f"sqlite:///{sys.argv[1]}")
for number in itertools.count():
    store.put(f"key-{number}", b"x" * 3000, owners=["owner"])
    store.delete(f"key-{number - 3}")
    print(number, flush=True)
"""


def test_a_worker_killed_while_it_writes_loses_nothing_it_acknowledged(store: Asked, path: Path) -> None:
    for count in (1, 20, 50):
        words = [sys.executable, "-c", ACKNOWLEDGE, str(path)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, env=environ()) as process:
            assert process.stdout
            lines = [process.stdout.readline() for _ in range(count)]
            process.send_signal(signal.SIGKILL)
            lines += process.stdout.readlines()
        last = int([line for line in lines if line.endswith(b"\n")][-1])
        assert store.present(f"key-{last}", f"key-{last - 1}") >= {f"key-{last}"} | ({f"key-{last - 1}"} - {"key--1"})
        assert store.present(f"key-{last - 3}") == set()
        store.put("after")


# Redis


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture
def line(server: RedisServer) -> Iterator[BadLine]:
    with BadLine(server.port) as line:
        yield line


def _both(store: Asked) -> None:
    """Neither a read nor a write is answered."""
    with _unavailable():
        store.get("secret-key")
    with _unavailable():
        store.put("secret-key", VALUE)


def test_a_redis_that_was_killed_and_started_again_is_found(opened: Open, server: RedisServer) -> None:
    store = opened(server.url)
    store.put("key", VALUE)
    server.kill()
    _both(store)
    server.start()
    assert store.get("key") is None
    store.put("key", VALUE)
    server.kill()
    server.start()
    assert store.get("key") is None  # the first question on connections that are dead
    assert store.add("key", VALUE)


def test_a_redis_that_says_nothing_is_not_waited_for(hasty: Open, opened: Open, server: RedisServer) -> None:
    store = hasty(server.url)
    with server.paused():
        _both(store)  # on a new connection
    _eventually(lambda: store.put("key", VALUE))
    with server.paused():
        _both(store)  # on an old one
        with _unavailable():
            store.at_once(lambda _: store.port.get("key"))
    _eventually(lambda: store.get("key"))
    assert opened(server.url).get("key") == VALUE


@pytest.mark.parametrize("login", ["", ":hunter2@", "somebody:hunter2@"])
def test_a_wrong_password_is_told_and_not_shown(opened: Open, tmp_path: Path, login: str) -> None:
    with RedisServer(tmp_path) as server:
        client = redis.Redis.from_url(server.url)
        client.config_set("requirepass", "right")
        store = opened(server.url.replace("//", f"//{login}"))
        _both(store)
        client.acl_setuser("somebody", enabled=True, passwords=["+hunter2"], keys=["*"], commands=["+@all"])
        client.config_set("requirepass", "" if not login else "hunter2")
        store.put("key", VALUE)
        assert store.get("key") == VALUE
        client.close()


def test_a_user_who_may_not_write_is_told(opened: Open, server: RedisServer) -> None:
    client = redis.Redis.from_url(server.url)
    client.acl_setuser("reader", enabled=True, passwords=["+hunter2"], keys=["*"], commands=["+get"])
    store = opened(server.url.replace("//", "//reader:hunter2@"))
    assert store.get("key") is None
    with _unavailable():
        store.put("key", VALUE)
    client.acl_setuser("reader", commands=["+@all"])
    store.put("key", VALUE)
    client.close()


def test_a_redis_that_is_loading_is_waited_for(opened: Open, line: BadLine) -> None:
    store = opened(line.url)
    store.put("key", VALUE)
    line.loading = True
    _both(store)
    line.loading = False
    assert store.get("key") == VALUE


def test_a_connection_that_breaks_in_the_middle_is_no_wrong_answer(opened: Open, line: BadLine) -> None:
    store = opened(line.url)
    store.put("key", VALUE)
    line.cuts = 1
    assert store.get("key") == VALUE  # asked again, as that harms nobody
    line.cuts = 1
    with _unavailable():  # it may have been kept, and nobody knows
        store.add("lease")
    assert not store.add("lease")
    line.cuts = 2
    with _unavailable():
        store.get("key")
    assert store.get("key") == VALUE


def test_a_replica_that_only_reads_is_left_when_another_is_in_charge(opened: Open, tmp_path: Path) -> None:
    with (
        RedisServer(tmp_path) as primary,
        RedisServer(tmp_path, "--replicaof", "127.0.0.1", str(primary.port)) as replica,
    ):
        store = opened(replica.url)
        with _unavailable():
            store.put("key", VALUE)
        with _unavailable():
            store.add("key")
        replica.ask("REPLICAOF", "NO", "ONE")
        store.put("key", VALUE)
        assert store.get("key") == VALUE


def test_a_redis_without_memory_keeps_what_it_has(opened: Open, server: RedisServer) -> None:
    store = opened(server.url)
    store.put("key", VALUE)
    server.ask("CONFIG", "SET", "maxmemory", "1")
    with _unavailable():
        store.put("another", VALUE)
    assert store.get("key") == VALUE
    server.ask("CONFIG", "SET", "maxmemory", "0")
    store.put("another", VALUE)


def test_what_somebody_else_keeps_under_our_key_is_no_crash(opened: Open, server: RedisServer) -> None:
    store = opened(server.url)
    server.ask("LPUSH", "ck:s:key", "theirs")
    with _unavailable():
        store.get("key")
    with _unavailable():
        store.put("key", VALUE)
    server.ask("DEL", "ck:s:key")
    store.put("key", VALUE)


def test_a_crowd_shares_few_connections(opened: Open, server: RedisServer) -> None:
    store = opened(server.url)
    store.put("key", VALUE)
    for _ in range(3):
        assert set(store.at_once(lambda _: store.port.get("key"))) == {VALUE}
    clients = server.ask("INFO", "clients").decode()
    assert int(clients.partition("connected_clients:")[2].split()[0]) <= 65


def test_a_store_serves_one_loop_after_another(server: RedisServer) -> None:
    with asyncio.Runner() as one, asyncio.Runner() as two:
        first = Asked(server.url, one)
        first.put("key", VALUE)
        assert two.run(first.port.get("key")) == VALUE
        assert first.get("key") == VALUE
        two.run(first.port.close())
        first.close()
