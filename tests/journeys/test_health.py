"""Probes and monitors learn how things stand, without a login, and strangers cannot use that to do harm."""

import asyncio
import threading
import time
from functools import partial

import pytest
from starlette.responses import JSONResponse

from ck_middleware import health
from ck_middleware import provider as provider_module
from ck_middleware.blocking import BlockingRuntime
from ck_middleware.errors import StoreUnavailable
from ck_middleware.looping import LoopRuntime
from support.browser import Browser
from support.faces import Answer, ASGIFace, Asked, Face, Guard, answer_of
from support.ports import HOST, Port
from support.provider import MisbehavingProvider

KUBELET = [("Host", "10.1.2.3:8000"), ("User-Agent", "kube-probe/1.33")]


def probe(face: Face, target: str = "/auth/health", method: str = "GET") -> Answer:
    return face.ask(Asked(method, target, KUBELET))


class Store:
    """The store behind an app, which can be made to fail, and counts its questions."""

    def __init__(self, face: Face, monkeypatch: pytest.MonkeyPatch) -> None:
        self.vault = face.app._gate.vault  # type: ignore[attr-defined]  # each face has its own
        self.asked = 0
        self.is_down = False
        self._get = self.vault._store.get
        monkeypatch.setattr(self.vault._store, "get", self.get)

    async def get(self, key: str) -> bytes | None:
        self.asked += 1
        if self.is_down:
            raise StoreUnavailable
        found: bytes | None = await self._get(key)
        return found


@pytest.fixture
def store(face: Face, monkeypatch: pytest.MonkeyPatch) -> Store:
    return Store(face, monkeypatch)


class Watch:
    """The clock by which answers are told again. It stands still until it is moved."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = time.monotonic()
        for module in (health, provider_module):
            monkeypatch.setattr(module, "time", self)

    def monotonic(self) -> float:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    return Watch(monkeypatch)


stored = pytest.mark.parametrize("kind", ["memory"])


def test_an_app_that_has_just_begun_is_ready(face: Face) -> None:
    answer = probe(face)
    assert (answer.status, answer.json) == (200, {"sessions": "ok", "login": "unknown"})
    assert answer.header("cache-control") == "no-store"
    assert face.seen == []


def test_it_tells_two_words_and_sets_nothing(browser: Browser) -> None:
    browser.log_in(name="Ada")
    answer = browser.get("/auth/health")
    assert answer.json == {"sessions": "ok", "login": "ok"}
    assert answer.every("set-cookie") == []
    assert browser.face.seen == []


def test_a_head_is_answered_without_a_body(face: Face) -> None:
    answer = probe(face, method="HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.header("content-length") or 0) > 0
    assert probe(face, method="POST").header("allow") == "GET, HEAD"


@pytest.mark.parametrize("kind", ["cookie", "memory"])
def test_an_outage_of_the_provider_takes_no_app_out(browser: Browser, provider: MisbehavingProvider) -> None:
    browser.log_in(name="Ada")
    provider.faults.fail("token", times=1)
    Browser(browser.face).log_in()
    assert (probe(browser.face).status, probe(browser.face).json["login"]) == (200, "faulty")
    assert browser.is_logged_in
    Browser(browser.face).log_in()
    assert probe(browser.face).json["login"] == "ok"


@pytest.mark.parametrize("kind", ["cookie"])
def test_a_provider_that_cannot_be_reached_is_told(guard: Guard) -> None:
    with Port() as port:
        face = guard(issuer=f"http://{HOST}:{port.number}")
        assert Browser(face).get("/auth/login").status == 503
    assert (probe(face).status, probe(face).json) == (200, {"sessions": "ok", "login": "unreachable"})


@pytest.mark.parametrize("kind", ["cookie"])
def test_what_was_seen_of_the_provider_long_ago_is_not_told(browser: Browser, watch: Watch) -> None:
    browser.log_in()
    assert probe(browser.face).json["login"] == "ok"
    watch.move(provider_module.LATELY)
    assert probe(browser.face).json["login"] == "unknown"


@pytest.mark.parametrize("kind", ["cookie"])
def test_one_whose_token_is_no_longer_accepted_does_not_make_the_provider_faulty(
    browser: Browser, provider: MisbehavingProvider
) -> None:
    browser.log_in()
    provider.faults.answer("userinfo", JSONResponse({}, 401))
    Browser(browser.face).log_in()
    assert probe(browser.face).json["login"] == "ok"


def test_nobody_can_make_us_ask_the_provider(face: Face, provider: MisbehavingProvider) -> None:
    for _ in range(20):
        probe(face)
    assert provider.hits == []


@stored
def test_a_store_that_is_down_is_a_503_and_no_reason_to_restart(browser: Browser, store: Store, watch: Watch) -> None:
    assert probe(browser.face).status == 200
    store.is_down = True
    assert probe(browser.face).status == 200  # told again for a moment
    watch.move(health.GOOD_FOR)
    answer = probe(browser.face)
    assert (answer.status, answer.json["sessions"]) == (503, "unavailable")
    assert answer.header("retry-after")
    live = probe(browser.face, "/auth/health?probe=live")
    assert (live.status, live.json["sessions"]) == (200, "unavailable")
    store.is_down = False
    watch.move(health.BAD_FOR)
    assert probe(browser.face).status == 200


@stored
def test_who_asks_whether_it_lives_never_waits_for_the_store(face: Face, store: Store) -> None:
    assert probe(face, "/auth/health?probe=live").json == {"sessions": "unknown", "login": "unknown"}
    assert store.asked == 0


@stored
def test_strangers_cannot_make_us_ask_the_store_often(face: Face, store: Store, watch: Watch) -> None:
    for number in range(1, 4):
        for _ in range(10):
            assert probe(face).status == 200
        assert store.asked == number
        watch.move(health.GOOD_FOR)


@stored
def test_a_crowd_asks_the_store_once(face: Face, store: Store, watch: Watch) -> None:
    for number in (1, 2):
        answers = face.at_once([Asked("GET", "/auth/health", KUBELET)] * 20)
        assert {answer.status for answer in answers} == {200}
        assert store.asked == number
        watch.move(health.GOOD_FOR)


@stored
def test_while_the_store_hangs_only_one_waits_for_it(
    face: Face, face_name: str, store: Store, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert probe(face).status == 200
    watch.move(health.GOOD_FOR)
    sleep = BlockingRuntime().sleep if face_name == "wsgi" else LoopRuntime().sleep
    hangs, ends = threading.Event(), threading.Event()

    async def hanging(_: str) -> bytes | None:
        hangs.set()
        for _pause in range(6000):
            if ends.is_set():
                return None
            await sleep(0.01)
        raise AssertionError("nobody else was answered")

    def another() -> Answer:
        assert hangs.wait(60)
        try:
            return probe(face)
        finally:
            ends.set()

    monkeypatch.setattr(store.vault._store, "get", hanging)
    answers = face.together([lambda: probe(face), another])
    assert [answer.status for answer in answers] == [200, 200]


@stored
@pytest.mark.parametrize("face_name", ["asgi"])  # where a server may cancel whoever hangs up
def test_who_hangs_up_leaves_no_question_to_the_next_one(face: ASGIFace, store: Store) -> None:
    answered, get, scope = asyncio.Event(), store.get, partial(face.scope, Asked("GET", "/auth/health", KUBELET))

    async def slow(key: str) -> bytes | None:
        found = await get(key)
        await answered.wait()
        return found

    async def hang_up() -> None:
        asking = asyncio.create_task(face._call(scope(), []))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    async def crowd() -> int:
        store.vault._store.get = slow
        for _ in range(20):
            await hang_up()
        answered.set()
        return answer_of(await face._call(scope(), [])).status

    assert face.run(crowd()) == 200
    assert store.asked == 1


@pytest.mark.parametrize("kind", ["cookie"])
def test_it_is_there_whatever_is_protected_and_wherever_our_routes_are(guard: Guard) -> None:
    assert probe(guard(protect=["/"])).status == 200
    assert probe(guard(protect=["/dashboard"], public=["/auth/"])).status == 200
    assert probe(guard(auth_prefix="/sign-in"), "/sign-in/health").status == 200
    assert probe(guard(auth_prefix="/sign-in")).status == 303  # the app's, for somebody who is logged in
