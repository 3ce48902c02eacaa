"""The store cannot be asked: nobody comes in, nobody is sent away, and nothing has to be restarted."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ck_middleware import ConfigError, upkeep
from ck_middleware.dev.grants import ACCESS_LIFETIME
from ck_middleware.stores.memory import AsyncMemoryStore, MemoryStore
from ck_middleware.stores.own import METHODS
from support.browser import FETCH, Browser
from support.clock import Clock, Hurry
from support.faces import TOKEN, ASGIFace, Asked, Guard, answer_of, told
from support.provider import MisbehavingProvider


class Trouble(Exception):
    """What a user's own store raises."""


class Failing:
    """A user's own store that counts who asks, and fails on demand."""

    def __init__(self, store: object) -> None:
        self._store = store
        self.asked: list[str] = []
        self.broken: Sequence[str] = ()
        self.failures: dict[str, int] = {}  # how many questions more of a kind fail

    def question(self, name: str) -> Callable[..., Any]:
        self.asked.append(name)
        if self.failures.get(name):
            self.failures[name] -= 1
            raise Trouble
        if name in self.broken:
            raise Trouble("redis://:hunter2@host")
        return getattr(self._store, name)  # type: ignore[no-any-return]  # one of the nine methods


def _blocking(name: str) -> Callable[..., Any]:
    return lambda self, *words, **named: self.question(name)(*words, **named)


def _awaited(name: str) -> Callable[..., Any]:
    async def method(self: Failing, *words: Any, **named: Any) -> Any:
        return await self.question(name)(*words, **named)

    return method


FailingStore = type("FailingStore", (Failing,), {name: _blocking(name) for name in METHODS})
FailingAsyncStore = type("FailingAsyncStore", (Failing,), {name: _awaited(name) for name in METHODS})


@pytest.fixture
def store(face_name: str) -> Failing:
    own: Failing
    own = FailingStore(MemoryStore()) if face_name == "wsgi" else FailingAsyncStore(AsyncMemoryStore())
    return own


@pytest.fixture
def kind() -> str:
    return "cookie"  # and the store laid over it


@pytest.fixture
def ada(clock: Clock, guard: Guard, store: Failing) -> Browser:
    browser = Browser(guard(store=store, protect=["/in", "/api"], keep_tokens=True))
    browser.log_in(name="Ada")
    return browser


def down(store: Failing) -> None:
    store.broken = METHODS


def up(store: Failing) -> None:
    store.broken = ()


def test_a_person_sees_a_calm_page_and_is_not_sent_to_log_in(ada: Browser, store: Failing) -> None:
    down(store)
    answer = ada.get("/in")
    assert answer.status == 503
    assert int(answer.header("retry-after") or 0) > 0
    assert "Nobody was signed out" in answer.text
    assert answer.header("cache-control") == "no-store"
    assert answer.header("location") is None
    assert answer.every("set-cookie") == []
    assert ada.face.seen == []
    up(store)
    assert told(ada.get("/in"))["name"] == "Ada"


def test_a_page_shows_a_reference_that_stands_in_the_log(
    ada: Browser, store: Failing, caplog: pytest.LogCaptureFixture
) -> None:
    down(store)
    answer = ada.get("/in")
    shown = re.search("Code store_unavailable, reference ([0-9a-f]{12})<", answer.text)
    assert shown
    assert f"correlation_id={shown[1]}" in caplog.text
    assert "correlation_id" not in ada.fetch("/in").json


@pytest.mark.parametrize(("target", "headers"), [("/api/x", {}), ("/in", FETCH), ("/auth/me", FETCH)])
def test_a_program_reads_json(ada: Browser, store: Failing, target: str, headers: dict[str, str]) -> None:
    down(store)
    answer = ada.get(target, headers)
    assert (answer.status, answer.code) == (503, "store_unavailable")
    assert answer.header("retry-after")
    assert "login_url" not in answer.json
    up(store)
    assert ada.get(target, headers).status == 200


def test_a_public_page_is_served_as_to_a_stranger(ada: Browser, store: Failing) -> None:
    down(store)
    answer = told(ada.get("/"))
    assert not answer["logged_in"]
    assert "session" not in answer
    assert ada.cookies
    up(store)
    assert told(ada.get("/"))["logged_in"]


def test_a_stranger_is_sent_to_log_in_as_ever(ada: Browser, store: Failing) -> None:
    down(store)
    stranger = Browser(ada.face)
    assert stranger.get("/in").status == 303
    assert stranger.start_login()


def test_a_login_is_finished_when_the_store_is_back(ada: Browser, store: Failing) -> None:
    grace = Browser(ada.face)
    back = grace.choose(grace.start_login("/auth/login?next=/in"), name="Grace")
    down(store)
    answer = grace.come_back(back)
    assert (answer.status, answer.header("retry-after") is None) == (503, False)
    up(store)
    assert grace.come_back(back).location == "/in"
    assert told(grace.get("/in"))["name"] == "Grace"


@pytest.mark.parametrize("broken", ["put", "delete"])
def test_a_login_that_cannot_be_kept_leaves_the_session_before_it_alone(
    ada: Browser, store: Failing, broken: str
) -> None:
    back = ada.choose(ada.start_login(), name="Grace")
    store.broken = [broken]
    assert ada.come_back(back).status == 503
    up(store)
    assert told(ada.get("/in"))["name"] == "Ada"


def test_a_logout_that_did_not_happen_is_not_said_to_have(ada: Browser, store: Failing) -> None:
    store.broken = ["delete"]
    answer = ada.post("/auth/logout")
    assert answer.status == 503
    assert answer.every("set-cookie") == []
    up(store)
    assert ada.is_logged_in
    assert ada.post("/auth/logout").status == 303
    assert not ada.is_logged_in


def test_the_provider_is_told_that_it_has_to_come_again(
    ada: Browser, store: Failing, provider: MisbehavingProvider
) -> None:
    token = provider.logout_token(told(ada.get("/"))["sub"])
    asked = Asked("POST", "/auth/backchannel-logout", [("Host", "localhost:8000")], f"logout_token={token}".encode())
    down(store)
    answer = ada.face.ask(asked)
    assert (answer.status, answer.header("cache-control")) == (400, "no-store")
    up(store)
    assert ada.is_logged_in
    assert ada.face.ask(asked).status == 200
    assert not ada.is_logged_in


def test_what_cannot_be_asked_is_told_to_the_app(ada: Browser, store: Failing) -> None:
    down(store)
    with pytest.raises(Exception, match="cannot be asked") as caught:
        ada.face.end_sessions(sub="x")
    assert type(caught.value).__mro__[1].__name__ == "AuthError"


def test_the_log_says_so_once_and_no_secret(ada: Browser, store: Failing, caplog: pytest.LogCaptureFixture) -> None:
    down(store)
    for _ in range(5):
        ada.get("/in")
    assert caplog.text.count("cannot be asked") == 1
    assert "Trouble" in caplog.text
    assert "hunter2" not in caplog.text


def test_a_websocket_is_refused_before_it_is_accepted(ada: Browser, store: Failing, face_name: str) -> None:
    if not isinstance(ada.face, ASGIFace):
        return  # WSGI has none
    down(store)
    headers = [("Host", "localhost:8000"), ("Cookie", f"ck_session={ada.cookies['ck_session']}")]
    scope = ada.face.scope(Asked("GET", "/in", headers)) | {"type": "websocket", "extensions": {}}
    connect = [{"type": "websocket.connect"}]
    assert [message["type"] for message in ada.face.call(scope, connect)] == ["websocket.close"]
    scope["extensions"] = {"websocket.http.response": {}}
    assert answer_of(ada.face.call(scope, connect)).status == 503
    assert ada.face.seen == []


def test_a_refreshed_token_is_not_lost_to_a_store_that_stumbles(
    ada: Browser, store: Failing, provider: MisbehavingProvider, clock: Clock
) -> None:
    """The provider has taken the old one back by then, and would take it for a thief's."""
    clock.move(ACCESS_LIFETIME)
    store.failures = {"swap": 3}
    assert told(ada.get(TOKEN))["token"]
    assert store.failures == {"swap": 0}
    clock.move(ACCESS_LIFETIME)
    assert told(ada.get(TOKEN))["token"]
    assert ada.is_logged_in


def test_a_store_that_stays_down_meanwhile_is_told_to_the_app(
    ada: Browser, store: Failing, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.move(ACCESS_LIFETIME)
    store.broken = ["swap"]
    Hurry(monkeypatch, upkeep)
    assert told(ada.get(TOKEN)) == {"error": "StoreUnavailable"}
    assert ada.is_logged_in


# What reaches the store at all


MADE_UP = [
    "",
    "x",
    "a.b.c",
    "A" * 43,
    f"{'A' * 43}.awc9jQ.{'A' * 43}",
    "A" * 5000,
    "\xff\xfe",
    "..",
    "%00",
]


@pytest.mark.parametrize("value", MADE_UP)
def test_an_id_that_we_did_not_sign_never_reaches_the_store(ada: Browser, store: Failing, value: str) -> None:
    stranger = Browser(ada.face, cookies={"ck_session": value})
    store.asked.clear()
    assert stranger.get("/in").status == 303
    assert store.asked == []
    assert stranger.cookies == {}


def test_nor_does_a_good_one_that_was_changed_or_came_twice(ada: Browser, store: Failing) -> None:
    value = ada.cookies["ck_session"]
    store.asked.clear()
    for place in range(len(value) - 1):  # of the last character two bits say nothing
        changed = value[:place] + ("A" if value[place] != "A" else "B") + value[place + 1 :]
        assert not Browser(ada.face, cookies={"ck_session": changed}).is_logged_in
    twice = {"Cookie": f"ck_session={value}; ck_session={value}"}
    assert Browser(ada.face).get("/in", twice).status == 303
    assert store.asked == []
    assert ada.is_logged_in


def test_nor_does_one_that_was_signed_too_long_ago(ada: Browser, store: Failing, clock: Clock) -> None:
    clock.move(2 * 3600)
    store.asked.clear()
    assert not ada.is_logged_in
    assert store.asked == []


def test_nor_do_strangers_and_people_who_log_in(ada: Browser, store: Failing) -> None:
    store.asked.clear()
    stranger = Browser(ada.face)
    stranger.get("/")
    stranger.get("/in")
    stranger.get("/auth/me")
    stranger.get("/auth/logout")
    stranger.start_login()
    assert store.asked == []


def test_a_request_asks_the_store_once(ada: Browser, store: Failing) -> None:
    store.asked.clear()
    ada.get("/in")
    assert store.asked == ["get"]


def test_a_session_in_use_is_touched_a_few_times_an_hour(ada: Browser, store: Failing, clock: Clock) -> None:
    clock.move(719)
    store.asked.clear()
    ada.get("/in")
    assert store.asked == ["get"]
    clock.move(1)
    ada.get("/in")
    assert store.asked == ["get", "get", "touch"]


# A store of the wrong colour


@pytest.mark.parametrize("wrong", [object(), MemoryStore, 5, {}])
def test_what_is_no_store_is_refused_by_name(guard: Guard, wrong: object) -> None:
    with pytest.raises(ConfigError, match="store"):
        guard(store=wrong)


def test_a_store_of_the_other_face_is_refused(guard: Guard, face_name: str) -> None:
    other = AsyncMemoryStore() if face_name == "wsgi" else MemoryStore()
    with pytest.raises(ConfigError, match=type(other).__name__):
        guard(store=other)
