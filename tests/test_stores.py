"""What every store promises, told once for all of them, and which settings name one."""

import asyncio
import inspect
import itertools
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
import redis.asyncio

from ck_middleware import ConfigError
from ck_middleware.blocking import BlockingRuntime
from ck_middleware.errors import Fault, StoreUnavailable
from ck_middleware.looping import LoopRuntime
from ck_middleware.ports import step
from ck_middleware.stores import AsyncStore, Store, check_url, open_store
from ck_middleware.stores.memory import AsyncMemoryStore, MemoryStore
from ck_middleware.stores.own import METHODS
from support.asked import Asked, contend, open_patiently
from support.contender import ROUNDS
from support.redis_server import RedisServer

KINDS = ("own", "sqlite", "redis", "unix")
BINARY = bytes(range(256)) + b"\n\0\r\n"
SOON = 0.15  # seconds to live, and twice as long is when it has surely gone
LATER = (SOON, 1.0, 10.0)  # where something is to be done meanwhile, which a busy machine may be too slow for

_numbers = itertools.count()


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


def _url(kind: str, folder: Path, server: RedisServer) -> str:
    if kind == "sqlite":
        return f"sqlite:///{folder}/sessions.db"
    address = server.url if kind == "redis" else f"unix://{server.socket}"
    return f"{address}?prefix=test-{next(_numbers)}:"


@pytest.fixture(params=[f"{kind}-{face}" for kind in KINDS for face in ("wsgi", "asgi")])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, redis_server: RedisServer, runner: asyncio.Runner
) -> Iterator[Asked]:
    kind, face = str(request.param).split("-")
    loop = runner if face == "asgi" else None
    own = AsyncMemoryStore() if loop else MemoryStore()
    store = Asked(own if kind == "own" else _url(kind, tmp_path, redis_server), loop)
    yield store
    store.close()


def test_what_was_put_is_there(store: Asked) -> None:
    store.put("key", b"value")
    assert store.get("key") == b"value"
    assert store.get("another") is None


@pytest.mark.parametrize("value", [b"", BINARY, b"\n", b"x" * 100_000], ids=["empty", "binary", "line", "large"])
def test_any_bytes_can_be_kept(store: Asked, value: bytes) -> None:
    store.put("key", value, owners=["owner"])
    assert store.get("key") == value
    assert store.swap("key", value, value[::-1])
    assert store.get("key") == value[::-1]
    assert store.delete("key", value[::-1])
    assert store.add("key", value)
    assert store.get("key") == value


def test_what_is_put_again_replaces_what_was_there(store: Asked) -> None:
    store.put("key", b"old", owners=["first"])
    store.put("key", b"new", owners=["second"])
    assert store.get("key") == b"new"
    assert store.owned("first") == set()
    assert store.owned("second") == {"key"}


def test_what_has_outlived_its_time_is_gone_for_every_question(store: Asked) -> None:
    store.put("key", b"value", ttl=SOON, owners=["owner"])
    time.sleep(2 * SOON)
    assert store.get("key") is None
    assert not store.swap("key", b"value", b"new")
    assert not store.touch("key")
    assert not store.delete("key")
    assert store.owned("owner") == set()
    assert store.present("key") == set()
    assert store.add("key", b"another")
    assert store.owned("owner") == set()


def _outlived(store: Asked, renewed: Callable[[], bool]) -> None:
    """Keep something that is renewed while it lives, and wait until it would have gone without that."""
    for ttl in LATER:
        store.put("key", b"old", ttl=ttl, owners=["owner"])
        if renewed():
            time.sleep(2 * ttl)
            return
    raise AssertionError("nothing that lives can be renewed")


def test_a_touch_lets_it_live_longer_and_be_found_as_long(store: Asked) -> None:
    _outlived(store, lambda: store.touch("key", ttl=60))
    assert not store.touch("another", ttl=60)
    assert store.get("key") == b"old"
    assert store.owned("owner") == {"key"}


def test_a_swap_lets_it_live_longer_and_be_found_as_long(store: Asked) -> None:
    _outlived(store, lambda: store.swap("key", b"old", b"new", ttl=60))
    assert store.get("key") == b"new"
    assert store.owned("owner") == {"key"}


def test_an_owner_outlives_its_short_sessions(store: Asked) -> None:
    store.put("long", ttl=60, owners=["owner"])
    store.put("short", ttl=SOON, owners=["owner"])
    time.sleep(2 * SOON)
    assert store.owned("owner") == {"long"}


def test_a_swap_replaces_exactly_what_was_read(store: Asked) -> None:
    store.put("key", b"old")
    assert not store.swap("key", b"ol", b"new")
    assert not store.swap("another", b"", b"new")
    assert store.get("key") == b"old"
    assert store.swap("key", b"old", b"new")
    assert store.get("key") == b"new"


def test_what_is_there_is_not_added_again(store: Asked) -> None:
    assert store.add("key", b"first")
    assert not store.add("key", b"second")
    assert store.get("key") == b"first"
    assert store.delete("key")
    assert store.add("key", b"third")


def test_a_deletion_that_names_a_value_removes_no_other(store: Asked) -> None:
    store.put("key", b"mine")
    assert not store.delete("key", b"another's")
    assert not store.delete("key", b"")
    assert store.delete("key", b"mine")
    assert not store.delete("key", b"mine")
    assert store.get("key") is None


def test_what_was_deleted_is_not_owned(store: Asked) -> None:
    store.put("one", owners=["sub", "sid-1"])
    store.put("two", owners=["sub", "sid-2"])
    assert store.owned("sub") == {"one", "two"}
    assert store.owned("sid-1") == {"one"}
    assert store.delete("one")
    assert store.owned("sub") == {"two"}
    assert store.owned("sid-1") == set()


@pytest.mark.parametrize("owner", ["a b", "a\nb", "%s%", "ü:1", "[x]-.*"])
def test_an_owner_may_have_any_name(store: Asked, owner: str) -> None:
    store.put("key", owners=["a", owner, "b"])
    assert store.owned(owner) == {"key"}
    assert store.owned("c") == set()
    assert store.delete("key")
    assert store.owned(owner) == set()


def test_many_are_looked_for_in_one_go(store: Asked) -> None:
    for number in range(0, 30, 2):
        store.put(f"key-{number}")
    keys = [f"key-{number}" for number in range(1200)]
    assert store.present(*keys) == {f"key-{number}" for number in range(0, 30, 2)}
    assert store.present() == set()


def test_of_all_who_swap_the_same_value_one_succeeds(store: Asked) -> None:
    store.put("key", b"old")
    won = store.at_once(lambda number: store.port.swap("key", b"old", b"%d" % number, ttl=60))
    assert won.count(True) == 1
    assert store.get("key") == b"%d" % won.index(True)


def test_of_all_who_add_the_same_key_one_succeeds(store: Asked) -> None:
    won = store.at_once(lambda number: store.port.add("key", b"%d" % number, ttl=60))
    assert won.count(True) == 1
    assert store.get("key") == b"%d" % won.index(True)


def test_of_all_who_delete_the_same_value_one_succeeds(store: Asked) -> None:
    store.put("key", b"value")
    assert store.at_once(lambda _: store.port.delete("key", b"value")).count(True) == 1


def test_all_who_put_at_once_are_kept(store: Asked) -> None:
    count = len(store.at_once(lambda number: store.port.put(f"key-{number}", b"v", ttl=60, owners=["owner"])))
    assert store.owned("owner") == {f"key-{number}" for number in range(count)}


def test_it_can_be_asked_again_after_it_was_closed(store: Asked) -> None:
    store.close()
    store.put("key")
    store.close()
    assert store.get("key") == b"v"


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_processes_that_want_the_same_get_it_once(kind: str, tmp_path: Path, redis_server: RedisServer) -> None:
    url = _url(kind, tmp_path, redis_server)
    store = Asked(url)
    for turn in range(ROUNDS):
        store.put(f"delete-{turn}", b"v")
    got = contend(url)
    assert store.get("count") == b"%d" % (ROUNDS * len(got))
    assert len(store.owned("everybody")) == ROUNDS * len(got)
    for what in ("added", "deleted"):
        assert sorted(turn for one in got for turn in one[what]) == list(range(ROUNDS))
    store.close()


def test_two_prefixes_are_two_stores(redis_server: RedisServer) -> None:
    one, two = Asked(f"{redis_server.url}?prefix=one:"), Asked(f"{redis_server.url}?prefix=two:")
    one.put("key", b"one", owners=["owner"])
    assert two.get("key") is None
    assert two.owned("owner") == set()
    assert two.add("key", b"two")
    assert one.get("key") == b"one"
    one.close()
    two.close()


def test_every_key_in_redis_has_the_prefix_and_an_end(redis_server: RedisServer) -> None:
    redis_server.ask("FLUSHALL")
    store = Asked(redis_server.url)
    store.put("key", owners=["owner"])
    assert store.add("lease")
    client = redis.Redis.from_url(redis_server.url)
    keys = list(client.scan_iter())
    assert len(keys) == 3
    assert all(key.startswith(b"ck:") and 0 < int(client.pttl(key)) <= 60_000 for key in keys)
    client.close()
    store.close()


def test_expired_sessions_do_not_pile_up_in_an_owner_that_lives(redis_server: RedisServer) -> None:
    store = Asked(redis_server.url)
    for number in range(20):
        store.put(f"short-{number}", ttl=SOON, owners=["busy"])
    time.sleep(2 * SOON)
    for number in range(20):
        store.put(f"long-{number}", owners=["busy"])
    assert redis_server.ask("SCARD", "ck:o:busy") < b":30"
    store.close()


def test_expired_rows_are_swept_in_passing_and_bounded(tmp_path: Path) -> None:
    store, path = Asked(f"sqlite:///{tmp_path}/sessions.db"), tmp_path / "sessions.db"
    for number in range(50):
        store.put(f"short-{number}", b"SHORT-LIVED", ttl=0.001, owners=["owner"])
    time.sleep(0.01)
    for number in range(4):
        store.put(f"long-{number}")
    store.close()
    assert b"SHORT-LIVED" not in path.read_bytes()


def test_what_was_deleted_is_not_in_the_file_any_more(tmp_path: Path) -> None:
    store = Asked(f"sqlite:///{tmp_path}/sessions.db")
    store.put("key", b"IN-THE-PAGE")
    store.put("fat", b"OVERFLOWING" * 2000)
    assert store.delete("key")
    assert store.delete("fat")
    store.close()
    assert not any(word in (tmp_path / "sessions.db").read_bytes() for word in (b"IN-THE-PAGE", b"OVERFLOWING"))


GOOD = [
    "sqlite:///sessions.db",
    "sqlite:////var/lib/app/sessions.db",
    "redis://localhost",
    "redis://localhost/0",
    "redis://user:p%40ss@redis.example.com:6380/3?prefix=app:",
    "rediss://:secret@redis.example.com?ssl_ca_certs=/etc/ca.pem",
    "redis://[::1]:6379/0",
    "unix:///run/redis.sock",
    "unix://user:secret@/run/redis.sock?db=2",
]
BAD = [
    "",
    "memory",
    "postgres://user:hunter2@host/db",
    "sqlite:",
    "sqlite://",
    "sqlite:///",
    "sqlite://sessions.db",
    "sqlite:///folder/",
    "sqlite:///:memory:",
    "sqlite:///sessions.db?mode=ro",
    "redis:",
    "redis://",
    "redis:///0",
    "redis://:hunter2@",
    "redis://host:port",
    "redis://host:99999",
    "redis://host/name",
    "redis://host/0?decode_responses=true",
    "redis://host/0?ssl_ca_certs=/etc/ca.pem",
    "redis://:hunter2#x@host/0",
    "redis://host/0#hunter2",
    "redis://:hunter2@a..b/0",
    "redis://:hunter2@\udce9/0",
    "redis://:hunter2@host/0?prefix=\udce9",
    "redis://host/0?client_name=hunter2\udce9",
    f"redis://:hunter2@{'a' * 64}.example/0",
    "sqlite:////var/lib/\udce9.db",
    "redis://:hunter2/x@host/0",
    "redis://:hunter2?x@host/0",
    "redis://[::1/0",
    "unix://",
    "unix:///",
    "unix://host/run/redis.sock",
    "REDIS.example.com:6379",
]


@pytest.mark.parametrize("text", GOOD)
@pytest.mark.parametrize("runtime", [BlockingRuntime(), LoopRuntime()], ids=["wsgi", "asgi"])
def test_a_store_is_named_by_its_url_and_not_opened(text: str, runtime: BlockingRuntime | LoopRuntime) -> None:
    check_url(text)
    open_store(text, runtime, timeout=5)


@pytest.mark.parametrize("text", BAD)
def test_what_names_no_store_is_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(Fault) as refused:
        check_url(text)
    assert not any("hunter2" in sentence for sentence in refused.value.args)
    with pytest.raises(ConfigError) as refused_at_construction:
        open_store(text, BlockingRuntime(), timeout=5)
    assert refused_at_construction.value.problems[0].startswith("store (CONSENTKEYS_STORE): ")


def test_an_option_that_redis_does_not_know_is_refused_at_construction() -> None:
    with pytest.raises(ConfigError):
        open_store("rediss://:hunter2@host/0?ssl_nonsense=1", BlockingRuntime(), timeout=5)
    with pytest.raises(ConfigError):
        open_store("rediss://:hunter2@host/0?ssl_cert_reqs=perhaps", LoopRuntime(), timeout=5)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigError, match=r"pip install 'ck-middleware\[redis\]'"):
        open_store("redis://localhost/0", BlockingRuntime(), timeout=5)


def test_the_wrong_colour_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"^[^$]*AsyncMemoryStore awaits .*blocking methods") as refused:
        open_store(AsyncMemoryStore(), BlockingRuntime(), timeout=5)
    assert refused.value.problems[0].startswith("store (CONSENTKEYS_STORE): ")
    with pytest.raises(ConfigError, match=r"MemoryStore blocks .*async methods"):
        open_store(MemoryStore(), LoopRuntime(), timeout=5)


@pytest.mark.parametrize("client", [redis.Redis(), redis.asyncio.Redis()], ids=["blocking", "async"])
@pytest.mark.parametrize("runtime", [BlockingRuntime(), LoopRuntime()], ids=["wsgi", "asgi"])
def test_a_bare_redis_client_is_no_store(client: object, runtime: BlockingRuntime | LoopRuntime) -> None:
    with pytest.raises(ConfigError, match=r"class Redis is no store.*redis://localhost"):
        open_store(client, runtime, timeout=5)


@pytest.mark.parametrize("thing", [None, 1, object(), MemoryStore, {}])
def test_what_is_no_store_object_is_refused(thing: object) -> None:
    with pytest.raises(ConfigError):
        open_store(thing, BlockingRuntime(), timeout=5)


def test_the_stores_for_tests_are_what_a_user_may_write() -> None:
    stores: tuple[Store, AsyncStore] = (MemoryStore(), AsyncMemoryStore())  # and mypy agrees
    methods = [name for name, _ in inspect.getmembers(MemoryStore, inspect.isfunction) if not name.startswith("_")]
    assert sorted(methods) == sorted(METHODS)
    assert all(stores)


class Broken(MemoryStore):
    """A user's store whose server is away."""

    def get(self, key: str) -> bytes | None:
        raise OSError(f"no route to secret-host for {key}")


class Plain(MemoryStore):
    """A user's store that says it in our words."""

    def get(self, key: str) -> bytes | None:
        raise StoreUnavailable("my server is away")


class Careless(MemoryStore):
    """A user's store that forgot to say yes or no, and to give bytes."""

    def get(self, key: str) -> bytes | None:
        return "text"  # type: ignore[return-value]  # as untyped code does

    def add(self, key: str, value: bytes, *, ttl: float) -> bool:
        return None  # type: ignore[return-value]


class Sly(MemoryStore):
    """A user's store that looks as if it blocked, and has to be awaited: clients of both colours are written so."""

    def delete(self, key: str, value: bytes | None = None) -> bool:
        return self._later()  # type: ignore[return-value]

    def put(self, key: str, value: bytes, *, ttl: float, owners: object = ()) -> None:
        return self._later()  # type: ignore[return-value]

    async def _later(self) -> bool:
        return True


class AsyncBroken(AsyncMemoryStore):
    async def get(self, key: str) -> bytes | None:
        raise OSError(f"no route to secret-host for {key}")

    async def owned(self) -> list[str]:  # type: ignore[override]  # it forgot its argument
        return []


def test_whatever_a_users_store_raises_means_that_it_cannot_be_asked(
    caplog: pytest.LogCaptureFixture, runner: asyncio.Runner
) -> None:
    for store in (Asked(Broken()), Asked(AsyncBroken(), runner)):
        for _ in range(10):
            with pytest.raises(StoreUnavailable):
                store.get("secret-key")
        store.put("key")
    with pytest.raises(StoreUnavailable):
        Asked(AsyncBroken(), runner).owned("owner")
    assert "secret" not in caplog.text
    assert len(caplog.records) <= 3


def test_a_users_store_may_say_it_in_our_words() -> None:
    with pytest.raises(StoreUnavailable, match="my server is away"):
        Asked(Plain()).get("key")


def test_what_a_users_store_must_not_answer_means_that_it_cannot_be_asked() -> None:
    for question in (Asked(Careless()).get, Asked(Careless()).add, Asked(Sly()).delete, Asked(Sly()).put):
        with pytest.raises(StoreUnavailable):
            question("key")


def test_no_question_of_a_blocking_store_waits_for_a_loop(tmp_path: Path, redis_server: RedisServer) -> None:
    for setting in (MemoryStore(), f"sqlite:///{tmp_path}/sessions.db", redis_server.url):
        port = open_patiently(setting, BlockingRuntime())
        step(port.put("key", b"v", ttl=60))
        assert step(port.present([*map(str, range(2000)), "key"])) == {"key"}
        step(port.close())
