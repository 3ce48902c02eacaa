"""Everything that happens is told to the app's observers, nothing of whom it happened to, and none can do harm."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from starlette.responses import JSONResponse

from ck_middleware.dev.grants import ACCESS_LIFETIME
from ck_middleware.errors import StoreUnavailable
from ck_middleware.observing import LABELS, VALUES, Observation, Observers
from ck_middleware.ports import step
from support.browser import Browser
from support.clock import Clock
from support.faces import TOKEN, Asked, Face, Guard, told
from support.provider import MisbehavingProvider


class Eyes:
    """An observer: `seen` is every observation in order, `begun` every beginning, and `ended` how those ended."""

    def __init__(self) -> None:
        self.seen: list[Observation] = []
        self.begun: list[Observation] = []
        self.ended: list[Observation] = []

    def __call__(self, observation: Observation) -> None:
        self.seen.append(observation)

    def began(self, observation: Observation) -> Callable[[Observation], None]:
        self.begun.append(observation)
        return self.ended.append

    def told(self, *names: str) -> list[tuple[str, ...]]:
        """Those of these names, each with its labels."""
        return [(it.name, *it.labels.values()) for it in self.seen if it.name in names]

    def happened(self) -> list[tuple[str, ...]]:
        """All but what goes on inside."""
        return self.told(*(name for name in LABELS if name not in {"callback", "provider_call", "store_call"}))


@pytest.fixture
def eyes() -> Eyes:
    return Eyes()


@pytest.fixture
def face(clock: Clock, guard: Guard, eyes: Eyes, kind: str) -> Face:
    kept: dict[str, Any] = {} if kind == "cookie" else {"keep_tokens": True, "recheck": "30m"}
    return guard(observers=[eyes], **kept)


@pytest.fixture
def ada(browser: Browser) -> Browser:
    browser.log_in(name="Ada")
    return browser


stored = pytest.mark.parametrize("kind", ["memory"])


def test_a_login_is_told_from_its_beginning_to_its_end(browser: Browser, eyes: Eyes, clock: Clock) -> None:
    back = browser.choose(browser.start_login(), name="Ada")
    assert eyes.happened() == [("login_started",)]
    clock.move(42)
    browser.come_back(back)
    assert eyes.happened() == [("login_started",), ("login_succeeded",)]
    (login,) = [it for it in eyes.seen if it.name == "login_succeeded"]
    assert login.seconds == pytest.approx(42)
    assert eyes.told("callback") == [("callback", "ok")]
    assert eyes.told("provider_call") == [
        ("provider_call", endpoint, "ok") for endpoint in ("discovery", "token", "keys", "userinfo")
    ]


def test_the_calls_that_a_login_waits_for_are_told_within_it_with_their_seconds(ada: Browser, eyes: Eyes) -> None:
    callback = [observation.name for observation in eyes.begun].index("callback")
    within = [it for it in eyes.ended if it.name == "provider_call"][1:]
    (whole,) = [it for it in eyes.ended if it.name == "callback"]
    assert {it.name for it in eyes.begun[callback + 1 :]} <= {"provider_call", "store_call"}
    assert len(eyes.begun) == len(eyes.ended)
    assert eyes.ended.index(whole) > eyes.ended.index(within[-1])
    assert whole.seconds
    assert 0 < sum(it.seconds or 0 for it in within) < whole.seconds


@pytest.mark.parametrize("kind", ["sqlite"])
def test_each_call_of_the_store_is_told(ada: Browser, eyes: Eyes) -> None:
    eyes.seen.clear()
    assert ada.is_logged_in
    assert eyes.told("store_call") == [("store_call", "get", "ok")]
    (call,) = eyes.seen
    assert call.seconds


@pytest.mark.parametrize("kind", ["cookie"])
def test_a_refusal_is_told_with_its_code(browser: Browser, eyes: Eyes, provider: MisbehavingProvider) -> None:
    browser.log_in(decision="deny")
    browser.get("/auth/callback?state=nobody-began-this&code=x")
    provider.faults.answer("token", JSONResponse({"error": "invalid_client"}, 401))
    browser.log_in()
    codes = [(it.labels["code"], it.facts["code"]) for it in eyes.seen if it.name == "login_refused"]
    assert codes == [("access_denied",) * 2, ("login_expired",) * 2, ("client_refused",) * 2]
    assert eyes.told("callback") == [("callback", code) for code, _ in codes]
    assert eyes.told("provider_call")[-1] == ("provider_call", "token", "client_refused")
    assert eyes.told("login_succeeded") == []


@pytest.mark.parametrize("kind", ["cookie"])
def test_the_reference_on_the_page_is_told_with_a_refusal(browser: Browser, eyes: Eyes) -> None:
    reference = browser.fetch("/auth/callback?state=x&code=y").json["correlation_id"]
    assert eyes.seen[0].facts["correlation_id"] == reference


def test_who_comes_back_twice_and_goes_on_is_no_refusal(ada: Browser, eyes: Eyes) -> None:
    state = "of-another-login"
    eyes.seen.clear()
    assert ada.get(f"/auth/callback?state={state}&code=x").status == 303
    assert eyes.told("callback", "login_refused") == [("callback", "went_on")]


@stored
@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (None, "ok"),
        (JSONResponse({"error": "invalid_grant"}, 400), "refused"),
        (JSONResponse({"error": "server_error"}, 500), "failed"),
    ],
    ids=["ok", "refused", "failed"],
)
def test_a_refresh_is_told_however_it_ends(
    guard: Guard, eyes: Eyes, provider: MisbehavingProvider, clock: Clock, answer: Any, outcome: str
) -> None:
    ada = Browser(guard(observers=[eyes], keep_tokens=True))
    ada.log_in()
    if answer is not None:
        provider.faults.answer("token", answer)
    eyes.seen.clear()
    clock.move(ACCESS_LIFETIME - 10)
    ada.get(TOKEN)
    ended = [("session_ended", "provider")] if outcome == "refused" else []
    trouble = [("trouble", "provider")] if outcome == "failed" else []
    assert eyes.happened() == [("refresh", outcome), *ended, *trouble]


@stored
@pytest.mark.parametrize(
    ("status", "outcome"), [(200, "ok"), (400, "refused"), (500, "failed")], ids=["ok", "refused", "failed"]
)
def test_a_recheck_is_told_however_it_ends(
    ada: Browser, eyes: Eyes, provider: MisbehavingProvider, clock: Clock, status: int, outcome: str
) -> None:
    if status != 200:
        error = "invalid_grant" if status == 400 else "server_error"
        provider.faults.answer("token", JSONResponse({"error": error}, status))
    eyes.seen.clear()
    clock.move(1800)
    ada.get("/")
    assert eyes.told("refresh", "recheck") == [("refresh", outcome), ("recheck", outcome)]


def test_a_logout_is_told_and_whose_wish_it_was(ada: Browser, eyes: Eyes) -> None:
    eyes.seen.clear()
    ada.post("/auth/logout", {"Sec-Fetch-Site": "cross-site", "Origin": "https://elsewhere.example"})
    ada.post("/auth/logout")
    assert eyes.happened() == [("logout", "person", "refused"), ("logout", "person", "ok")]


@stored
def test_logouts_by_the_provider_everywhere_and_by_the_app_are_told_apart(
    ada: Browser, eyes: Eyes, provider: MisbehavingProvider
) -> None:
    sub, phone = told(ada.get("/"))["sub"], Browser(ada.face)
    phone.log_in(name="Ada")
    eyes.seen.clear()
    ada.post("/auth/logout", form={"everywhere": "1"})
    assert eyes.happened() == [("session_ended", "person"), ("logout", "person", "ok")]
    ada.log_in(name="Ada")
    eyes.seen.clear()
    ada.face.end_sessions(sub=sub)
    assert eyes.happened() == [("session_ended", "app")]
    ada.log_in(name="Ada")
    eyes.seen.clear()
    for _ in range(2):
        token = f"logout_token={provider.logout_token(sub)}".encode()
        ada.face.ask(Asked("POST", "/auth/backchannel-logout", [("Host", "localhost:8000")], token))
    token = b"logout_token=forged"
    ada.face.ask(Asked("POST", "/auth/backchannel-logout", [("Host", "localhost:8000")], token))
    assert eyes.happened() == [
        ("logout", "provider", "ok"),
        ("session_ended", "provider"),
        ("logout", "provider", "ok"),
        ("logout", "provider", "refused"),
    ]


@stored
def test_a_store_that_cannot_be_asked_is_told(ada: Browser, eyes: Eyes, monkeypatch: pytest.MonkeyPatch) -> None:
    vault = ada.face.app._gate.vault  # type: ignore[attr-defined]  # each face has its own

    async def down(_: str) -> bytes | None:
        raise StoreUnavailable

    monkeypatch.setattr(vault._store._store, "get", down)
    eyes.seen.clear()
    assert ada.get("/").status == 503
    assert eyes.told("store_call") == [("store_call", "get", "store_unavailable")]


@pytest.mark.parametrize("kind", ["cookie"])
def test_trouble_is_told(
    guard: Guard, eyes: Eyes, provider: MisbehavingProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    def listener(_: object) -> None:
        raise ZeroDivisionError

    browser = Browser(guard(observers=[eyes], on_event=listener))
    browser.log_in()
    assert eyes.told("trouble") == [("trouble", "listener")]
    gate = browser.face.app._gate  # type: ignore[attr-defined]  # as above
    monkeypatch.setattr(gate._routes, "answer", listener)
    assert browser.get("/auth/me").status == 500
    assert eyes.told("trouble") == [("trouble", "listener"), ("trouble", "internal")]


def test_nothing_that_is_told_says_whom_it_happened_to_or_is_a_secret(
    browser: Browser, eyes: Eyes, kind: str, provider: MisbehavingProvider, clock: Clock
) -> None:
    back = browser.choose(browser.start_login(), name="Ada Lovelace")
    browser.come_back(back)
    person, cookie = browser.me().json["user"], browser.cookies[browser.cookie_named("ck_session")]
    clock.move(1800)
    browser.get("/" if kind == "cookie" else TOKEN)
    browser.come_back(back)
    browser.post("/auth/logout", form={"everywhere": "1"})
    if kind != "cookie":
        browser.face.end_sessions(sub=person["sub"])
    code, state = (part.partition("=")[2] for part in back.partition("?")[2].split("&")[:2])
    said = repr((eyes.seen, eyes.begun, eyes.ended)) + repr([dict(it.facts) for it in eyes.seen])
    assert len(eyes.seen) > 5
    for secret in (person["sub"], person["email"], "Ada Lovelace", cookie, code, state, *provider.id_tokens):
        assert len(secret) > 3
        assert secret not in said


def test_what_is_told_leads_to_no_frame_in_which_secrets_are(
    browser: Browser, eyes: Eyes, provider: MisbehavingProvider
) -> None:
    """Tools that take in an exception take in its traceback, and the variables of all that it went through."""
    provider.faults.id_token_claims = lambda claims: claims | {"aud": "somebody-else"}
    browser.log_in()
    provider.faults.answer("token", JSONResponse({"error": "server_error"}, 500))
    browser.log_in()
    reasons = [it.facts["reason"] for it in eyes.seen if it.name == "login_refused"]
    assert len(reasons) == 2
    for observation in (*eyes.seen, *eyes.begun, *eyes.ended):
        assert all(isinstance(fact, str | int | float) for fact in observation.facts.values())


def test_every_fact_that_is_counted_by_is_one_of_few(ada: Browser, eyes: Eyes, provider: MisbehavingProvider) -> None:
    """An honest life, of which nothing has to be called `other`."""
    ada.post("/auth/logout")
    ada.get("/auth/callback?state=x&code=y")
    for observation in eyes.seen:
        for label in LABELS[observation.name]:
            assert str(observation.facts[label]) in VALUES[label]


def hasty(observation: Observation) -> None:
    raise ZeroDivisionError(observation.name)


def awaited(_: Observation) -> Any:
    async def later() -> None: ...

    return later()


class Stumbling:
    """Fails wherever an observer is called."""

    def __call__(self, observation: Observation) -> None:
        raise ZeroDivisionError

    def began(self, observation: Observation) -> Callable[[Observation], None]:
        if observation.name == "callback":
            raise ZeroDivisionError
        return self.__call__


class Meddling:
    """Writes into what it is told, what another one reads next, and what the log says."""

    def __call__(self, observation: Observation) -> None:
        facts: Any = observation.facts
        facts.clear()

    def began(self, observation: Observation) -> Callable[[Observation], None]:
        def ended(observation: Observation) -> None:
            facts: Any = observation.facts
            facts |= {"seconds": 0, "text": "", "outcome": "none of your business"}

        return ended


@pytest.mark.parametrize(
    "bad", [hasty, Stumbling(), awaited, Meddling()], ids=["function", "object", "awaited", "meddling"]
)
def test_an_observer_that_fails_harms_nobody_and_is_logged_once(
    guard: Guard, eyes: Eyes, caplog: pytest.LogCaptureFixture, bad: Any
) -> None:
    ada = Browser(guard(observers=[bad, eyes], protect=["/"]))
    assert ada.log_in(name="Ada").status == 303
    assert ada.is_logged_in
    assert ada.post("/auth/logout").status == 303
    assert ("login_succeeded",) in eyes.happened()
    assert [it.facts for it in eyes.seen if it.name == "logout"] == [{"by": "person", "outcome": "ok"}]
    assert eyes.told("callback") == [("callback", "ok")]
    assert len(eyes.begun) == len(eyes.ended)
    complaints = [record for record in caplog.records if vars(record).get("ck_event") == "observer_failed"]
    assert 1 <= len(complaints) <= 3  # one for each of its functions that failed
    assert vars(complaints[0])["ck_kind"] in {"ZeroDivisionError", "TypeError", "AttributeError"}


@pytest.mark.parametrize("kind", ["cookie"])
def test_how_long_the_provider_takes_is_logged_for_who_looks_closely(
    guard: Guard, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "ck_middleware")
    Browser(guard()).log_in()
    calls = [vars(record) for record in caplog.records if vars(record).get("ck_event") == "provider_call"]
    assert [call["ck_endpoint"] for call in calls] == ["discovery", "token", "keys", "userinfo"]
    assert all(float(call["ck_seconds"]) > 0 and call["ck_outcome"] == "ok" for call in calls)


@stored
def test_without_an_observer_the_store_is_asked_directly(guard: Guard, face_name: str) -> None:
    plain, watched = guard(), guard(observers=[print])
    stores = [face.app._gate.vault._store for face in (plain, watched)]  # type: ignore[attr-defined]  # as above
    assert [type(store).__name__ for store in stores] == [
        "OwnBlocking" if face_name == "wsgi" else "OwnAsync",
        "WatchedStore",
    ]


def test_what_is_given_up_is_told_as_cancelled() -> None:
    eyes = Eyes()

    class Exit(BaseException):
        pass

    async def given_up() -> None:
        with Observers([eyes]).timed("store_call", operation="get"):
            raise Exit

    with pytest.raises(Exit):
        step(given_up())
    assert eyes.told("store_call") == [("store_call", "get", "cancelled")]
