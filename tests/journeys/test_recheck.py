"""How often the provider is asked whether a session stands, and what its answer means."""

import pytest
from starlette.responses import JSONResponse, Response

from ck_middleware.config import Settings
from ck_middleware.upkeep import BACKOFF, GRACE
from support import forgery
from support.browser import Browser
from support.clock import Clock
from support.faces import Asked, Guard, told
from support.provider import MisbehavingProvider, provider_alone

INTERVAL = 900
LONG = "30d"


@pytest.fixture(params=["sqlite", "redis"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["refresh", "userinfo"])
def by(request: pytest.FixtureRequest, provider: MisbehavingProvider) -> str:
    """How a session is confirmed: by refresh where the provider gave a refresh token, else by userinfo."""
    if request.param == "userinfo":
        provider.faults.token_response = forgery.without("refresh_token")
    return str(request.param)


@pytest.fixture
def ada(clock: Clock, guard: Guard, by: str) -> Browser:
    browser = Browser(guard(recheck=INTERVAL, session_lifetime=LONG, idle_timeout=LONG))
    browser.log_in(name="Ada")
    return browser


def asked(provider: MisbehavingProvider, by: str) -> int:
    """How often it was asked since the login."""
    return provider.count("token" if by == "refresh" else "userinfo") - 1


def endpoint(by: str) -> str:
    return "token" if by == "refresh" else "userinfo"


def test_a_session_is_confirmed_once_in_an_interval(
    ada: Browser, provider: MisbehavingProvider, clock: Clock, by: str
) -> None:
    clock.move(INTERVAL - 1)
    assert ada.get("/").status == 200
    assert asked(provider, by) == 0
    for number in range(1, 4):
        clock.move(1 if number == 1 else INTERVAL)
        for _ in range(3):
            assert ada.get("/").status == 200
        assert asked(provider, by) == number
    other = "userinfo" if by == "refresh" else "token"
    assert provider.count(other) == 1  # each was asked at login


def test_nothing_is_asked_for_who_does_not_come(ada: Browser, provider: MisbehavingProvider, clock: Clock) -> None:
    hits = len(provider.hits)
    clock.move(INTERVAL)
    Browser(ada.face).get("/")
    assert len(provider.hits) == hits


def test_a_crowd_is_one_question(ada: Browser, provider: MisbehavingProvider, clock: Clock, by: str) -> None:
    clock.move(INTERVAL)
    cookie = f"ck_session={ada.cookies['ck_session']}"
    crowd = ada.face.at_once([Asked("GET", "/", [("Host", "localhost:8000"), ("Cookie", cookie)])] * 30)
    assert {answer.status for answer in crowd} == {200}
    assert asked(provider, by) == 1


def test_without_a_recheck_nothing_is_asked(guard: Guard, provider: MisbehavingProvider, clock: Clock) -> None:
    browser = Browser(guard(keep_tokens=True))
    browser.log_in()
    hits = len(provider.hits)
    clock.move(3700)
    assert browser.get("/").status == 200
    assert len(provider.hits) == hits


def test_a_person_who_took_their_consent_back_is_out_at_that_request(
    ada: Browser, provider: MisbehavingProvider, clock: Clock
) -> None:
    copy = Browser(ada.face, cookies=dict(ada.cookies))
    for grant in provider._grants._access:
        grant.is_revoked = True
    clock.move(INTERVAL)
    assert ada.get("/").status == 303
    assert ada.cookies == {}
    assert not copy.is_logged_in
    assert ada.face.seen == []


ENDINGS = [
    JSONResponse({"error": "invalid_token"}, 401),
    JSONResponse({"error": "invalid_token"}, 400),
    Response(status_code=401),
    JSONResponse({"sub": "ck_u_another"}),
    JSONResponse({"name": "nobody"}),
]


@pytest.mark.parametrize("answer", ENDINGS)
@pytest.mark.parametrize("by", ["userinfo"], indirect=True)
def test_what_userinfo_says_against_it_ends_a_session(
    ada: Browser, provider: MisbehavingProvider, clock: Clock, answer: Response
) -> None:
    provider.faults.answer("userinfo", answer)
    clock.move(INTERVAL)
    assert ada.get("/api/x").status == 401
    provider.faults.heal("userinfo")
    assert not ada.is_logged_in


@pytest.mark.parametrize("status", [400, 401])
@pytest.mark.parametrize("by", ["refresh"], indirect=True)
def test_invalid_grant_ends_a_session(ada: Browser, provider: MisbehavingProvider, clock: Clock, status: int) -> None:
    provider.faults.answer("token", JSONResponse({"error": "invalid_grant"}, status))
    clock.move(INTERVAL)
    assert ada.get("/api/x").status == 401
    provider.faults.heal("token")
    assert not ada.is_logged_in


TROUBLE = [
    Response("<h1>Bad Gateway</h1>", 502),
    JSONResponse({"error": "server_error"}, 500),
    JSONResponse({"error": "slow_down"}, 429),
    Response(status_code=403),
    Response("no json"),
]


@pytest.mark.parametrize("trouble", TROUBLE)
def test_trouble_at_the_provider_ends_no_session(
    ada: Browser, provider: MisbehavingProvider, clock: Clock, by: str, trouble: Response
) -> None:
    provider.faults.answer(endpoint(by), trouble)
    clock.move(INTERVAL)
    for _ in range(3):
        assert ada.get("/").status == 200
    assert asked(provider, by) == 1  # and not at every request
    clock.move(BACKOFF)
    assert ada.get("/").status == 200
    assert asked(provider, by) == 2
    provider.faults.heal()
    clock.move(BACKOFF)
    assert ada.get("/").status == 200
    assert asked(provider, by) == 3
    assert ada.get("/").status == 200
    assert asked(provider, by) == 3


def test_a_session_that_cannot_be_confirmed_ends_after_an_hour_more(
    ada: Browser, provider: MisbehavingProvider, clock: Clock, by: str
) -> None:
    provider.faults.answer(endpoint(by), Response(status_code=503))
    clock.move(INTERVAL)
    assert ada.get("/").status == 200
    clock.move(GRACE - 1)
    assert ada.get("/").status == 200
    clock.move(1)
    assert ada.get("/").status == 303
    assert ada.cookies == {}
    assert GRACE == 3600


def test_an_interval_longer_than_an_hour_is_the_grace_itself(
    clock: Clock, guard: Guard, provider: MisbehavingProvider, by: str
) -> None:
    browser = Browser(guard(recheck="3h", session_lifetime=LONG, idle_timeout=LONG))
    browser.log_in()
    provider.faults.answer(endpoint(by), Response(status_code=503))
    clock.move(6 * 3600 - 1)
    assert browser.is_logged_in
    clock.move(1)
    assert not browser.is_logged_in


def test_an_unreachable_provider_ends_no_session(clock: Clock, guard: Guard) -> None:
    with provider_alone() as (provider, server):
        settings = provider.settings | Settings(recheck=INTERVAL)
        browser = Browser(guard(**settings))
        browser.log_in()
        server.stop()
        clock.move(INTERVAL)
        assert browser.is_logged_in
        # Nor one that an app meets which does not know the provider's addresses yet.
        restarted = Browser(guard(**settings), cookies=dict(browser.cookies))
        clock.move(BACKOFF)
        assert restarted.is_logged_in


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_silent_provider_holds_a_request_up_for_no_longer_than_the_timeout(
    ada: Browser, guard: Guard, provider: MisbehavingProvider, clock: Clock, by: str
) -> None:
    hasty = guard(recheck=INTERVAL, session_lifetime=LONG, idle_timeout=LONG, timeout=1)
    browser = Browser(hasty, cookies=ada.cookies)
    provider.faults.hang(endpoint(by))
    clock.move(INTERVAL)
    assert browser.get("/").status == 200
    assert browser.get("/").status == 200


@pytest.mark.parametrize("by", ["userinfo"], indirect=True)
def test_claims_are_renewed_and_nothing_else(ada: Browser, provider: MisbehavingProvider, clock: Clock) -> None:
    before = told(ada.get("/"))["claims"]
    news = {"name": "Ada Lovelace", "groups": ["staff"], "iss": "https://evil.example", "nonce": "n", "sid": "s"}
    provider.faults.userinfo = lambda claims: claims | news
    clock.move(INTERVAL)
    after = told(ada.get("/"))["claims"]
    assert after == before | {"name": "Ada Lovelace", "groups": ["staff"]}
    assert told(ada.get("/"))["claims"] == after


@pytest.mark.parametrize("by", ["userinfo"], indirect=True)
def test_renewed_claims_are_those_to_keep(clock: Clock, guard: Guard, provider: MisbehavingProvider, by: str) -> None:
    browser = Browser(guard(recheck=INTERVAL, claims=["name"]))
    browser.log_in(name="Ada")
    provider.faults.userinfo = lambda claims: claims | {"name": "Countess", "groups": ["staff"]}
    clock.move(INTERVAL)
    claims = told(browser.get("/"))["claims"]
    assert claims["name"] == "Countess"
    assert claims.keys() == {"iss", "sub", "name"}


def test_a_session_that_nobody_can_ask_about_ends(
    clock: Clock, guard: Guard, provider: MisbehavingProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a refresh token and without userinfo there is nobody to say that it stands."""
    provider.faults.token_response = forgery.without("refresh_token")
    provider.faults.discovery = forgery.without("userinfo_endpoint")
    browser = Browser(guard(recheck=INTERVAL, session_lifetime=LONG, idle_timeout=LONG))
    browser.log_in()
    clock.move(INTERVAL)
    assert browser.is_logged_in
    clock.move(GRACE)
    assert not browser.is_logged_in


def test_a_session_from_before_there_was_a_recheck_ends(clock: Clock, guard: Guard) -> None:
    before = Browser(guard(session_lifetime=LONG, idle_timeout=LONG))
    before.log_in()
    after = Browser(guard(recheck=INTERVAL, session_lifetime=LONG, idle_timeout=LONG), cookies=before.cookies)
    clock.move(INTERVAL)
    assert after.is_logged_in
    clock.move(GRACE)
    assert not after.is_logged_in


def test_a_recheck_counts_as_no_use_and_lets_no_session_live_longer(clock: Clock, guard: Guard, by: str) -> None:
    browser = Browser(guard(recheck="1m", session_lifetime="10m", idle_timeout="10m"))
    browser.log_in()
    for _ in range(9):
        clock.move(61)
        assert browser.is_logged_in
    clock.move(51)
    assert not browser.is_logged_in


def test_both_faces_of_a_session_are_rechecked_me_and_logout_too(
    ada: Browser, provider: MisbehavingProvider, clock: Clock, by: str
) -> None:
    clock.move(INTERVAL)
    assert ada.me().status == 200
    assert asked(provider, by) == 1
    clock.move(INTERVAL)
    assert ada.post("/auth/logout").status == 303
    assert not ada.is_logged_in
