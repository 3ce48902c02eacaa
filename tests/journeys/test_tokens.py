"""Tokens for the app: kept, handed out, refreshed, by one at a time."""

import asyncio
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ck_middleware import ConfigError, get_session, upkeep
from ck_middleware.config import Settings
from ck_middleware.dev.grants import ACCESS_LIFETIME
from ck_middleware.ports import step
from ck_middleware.vault import name_of
from support import forgery
from support.browser import Browser
from support.clock import Clock, Hurry
from support.faces import TOKEN, ASGIFace, Asked, Face, Guard, told
from support.forgery import Change
from support.provider import Answer as ProviderAnswer
from support.provider import Honest, MisbehavingProvider, provider_alone

CROWD = 30


@pytest.fixture(params=["sqlite", "redis"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def face(guard: Guard) -> Face:
    return guard(keep_tokens=True)


@pytest.fixture
def ada(browser: Browser, clock: Clock) -> Browser:
    browser.log_in(name="Ada")
    return browser


def token(browser: Browser) -> str | None:
    """What the app gets from `access_token()`."""
    answer = told(browser.get(TOKEN))
    assert "error" not in answer, answer
    found: str | None = answer["token"]
    return found


def refreshes(provider: MisbehavingProvider) -> list[str]:
    """Every refresh token that was used, in order."""
    return [hit.form["refresh_token"] for hit in provider.hits if hit.form.get("grant_type") == "refresh_token"]


def answers(provider: MisbehavingProvider) -> list[dict[str, Any]]:
    """Every token response from now on."""
    given: list[dict[str, Any]] = []

    def remember(answer: dict[str, Any]) -> dict[str, Any]:
        given.append(answer)
        return answer

    provider.faults.token_response = remember
    return given


# What the app gets


def test_the_app_gets_the_session(ada: Browser, clock: Clock, face_name: str) -> None:
    answer = told(ada.get("/"))
    session = answer["session"]
    assert session["claims"] == answer["claims"]
    assert session["expires_at"] == clock.now + 24 * 3600
    assert session["kind"] == ("AsyncSession" if face_name == "asgi" else "BlockingSession")
    assert len(session["id"]) == 16
    # Not what stands in the cookie, nor a part of it.
    assert session["id"] not in ada.cookies["ck_session"]


def test_the_id_of_a_session_is_the_one_in_the_list(ada: Browser, face: Face, clock: Clock) -> None:
    answer = told(ada.get("/"))
    (listed,) = face.sessions(answer["sub"])
    assert (listed.id, listed.sub, listed.began) == (answer["session"]["id"], answer["sub"], int(clock.now))
    assert listed.expires_at == answer["session"]["expires_at"]


def test_a_stranger_has_no_session(guard: Guard) -> None:
    face = guard(keep_tokens=True, protect=["/in"])
    assert "session" not in told(Browser(face).get("/"))
    assert get_session(face.carriers[-1]) is None


@pytest.mark.parametrize("kind", ["cookie"])
def test_a_sealed_cookie_is_no_session_to_look_into(guard: Guard) -> None:
    browser = Browser(guard())
    browser.log_in()
    assert "session" not in told(browser.get("/"))
    assert get_session(browser.face.carriers[-1]) is None


@pytest.mark.parametrize("kind", ["cookie"])
def test_tokens_are_not_kept_in_a_cookie(guard: Guard) -> None:
    for settings in ({"keep_tokens": True}, {"recheck": "15m"}):
        with pytest.raises(ConfigError, match="CONSENTKEYS_STORE"):
            guard(**settings)


def test_without_keep_tokens_the_app_gets_none(guard: Guard) -> None:
    for settings in ({}, {"recheck": "15m"}):
        browser = Browser(guard(**settings))  # type: ignore[arg-type]  # a row of the table
        browser.log_in()
        assert told(browser.get("/"))["session"]["id"]
        assert told(browser.get(TOKEN)) == {"error": "ConfigError"}


def test_the_app_gets_the_access_token_that_the_provider_knows(ada: Browser, provider: MisbehavingProvider) -> None:
    assert token(ada) == provider.last("userinfo").headers["authorization"].removeprefix("Bearer ")
    assert refreshes(provider) == []


# When it is refreshed


def test_a_token_is_refreshed_shortly_before_its_end(ada: Browser, provider: MisbehavingProvider, clock: Clock) -> None:
    first = token(ada)
    clock.move(ACCESS_LIFETIME - 61)
    assert token(ada) == first
    clock.move(1)
    second = token(ada)
    assert second not in {None, first}
    assert token(ada) == second
    assert len(refreshes(provider)) == 1


def test_nothing_is_refreshed_for_an_app_that_asks_for_no_token(
    ada: Browser, provider: MisbehavingProvider, clock: Clock
) -> None:
    clock.move(ACCESS_LIFETIME)
    assert ada.get("/").status == 200
    assert refreshes(provider) == []


def test_the_newest_refresh_token_is_the_one_that_is_used(
    ada: Browser, provider: MisbehavingProvider, clock: Clock
) -> None:
    given = answers(provider)
    tokens = []
    for _ in range(3):
        clock.move(ACCESS_LIFETIME)
        tokens.append(token(ada))
    assert tokens == [answer["access_token"] for answer in given]
    # The provider takes each but once, so that three different ones were the right ones.
    assert refreshes(provider)[1:] == [answer["refresh_token"] for answer in given[:2]]


def test_a_provider_that_does_not_rotate_keeps_the_old_one(
    ada: Browser, provider: MisbehavingProvider, clock: Clock
) -> None:
    provider.rotates = False
    tokens = set()
    for _ in range(3):
        clock.move(ACCESS_LIFETIME)
        tokens.add(token(ada))
    assert len(tokens) == 3
    assert len(set(refreshes(provider))) == 1


def test_a_refresh_may_bring_no_id_token(ada: Browser, provider: MisbehavingProvider, clock: Clock) -> None:
    provider.faults.token_response = forgery.without("id_token")
    clock.move(ACCESS_LIFETIME)
    assert token(ada)
    assert ada.is_logged_in


def test_an_id_token_of_a_refresh_may_repeat_the_nonce(
    guard: Guard, provider: MisbehavingProvider, clock: Clock
) -> None:
    nonces: list[Any] = []

    def remember(claims: forgery.Claims) -> forgery.Claims:
        nonces.append(claims.get("nonce"))
        return claims | {"nonce": nonces[0]}

    provider.faults.id_token_claims = remember
    browser = Browser(guard(keep_tokens=True))
    browser.log_in()
    clock.move(ACCESS_LIFETIME)
    assert token(browser)
    assert nonces == [nonces[0], None]


def test_a_token_without_an_end_is_never_refreshed(guard: Guard, provider: MisbehavingProvider, clock: Clock) -> None:
    provider.faults.token_response = forgery.without("expires_in")
    browser = Browser(guard(keep_tokens=True, session_lifetime="30d", idle_timeout="30d"))
    browser.log_in()
    first = token(browser)
    clock.move(20 * 86400)
    assert token(browser) == first
    assert refreshes(provider) == []


def test_a_token_that_cannot_be_refreshed_ends(guard: Guard, provider: MisbehavingProvider, clock: Clock) -> None:
    provider.faults.token_response = forgery.without("refresh_token")
    browser = Browser(guard(keep_tokens=True))
    browser.log_in()
    first = token(browser)
    clock.move(ACCESS_LIFETIME - 1)
    assert token(browser) == first
    clock.move(1)
    assert token(browser) is None
    assert browser.is_logged_in  # the session has an end of its own
    assert refreshes(provider) == []


def test_a_token_that_lives_for_less_than_a_minute_is_not_refreshed_every_time(
    guard: Guard, provider: MisbehavingProvider, clock: Clock
) -> None:
    provider.faults.token_response = lambda answer: answer | {"expires_in": 30}
    browser = Browser(guard(keep_tokens=True))
    browser.log_in()
    first = token(browser)
    clock.move(10)
    assert token(browser) == first
    clock.move(10)
    second = token(browser)
    assert second != first
    assert token(browser) == second
    assert len(refreshes(provider)) == 1


def test_a_crowd_causes_one_refresh(ada: Browser, face: Face, provider: MisbehavingProvider, clock: Clock) -> None:
    clock.move(ACCESS_LIFETIME)
    cookie = f"ck_session={ada.cookies['ck_session']}"
    crowd = face.at_once([Asked("GET", TOKEN, [("Host", "localhost:8000"), ("Cookie", cookie)])] * CROWD)
    tokens = {told(answer)["token"] for answer in crowd}
    assert len(refreshes(provider)) == 1
    assert len(tokens) == 1
    assert tokens == {token(ada)}


def test_a_crowd_waits_for_one_slow_refresh(
    ada: Browser, face: Face, provider: MisbehavingProvider, clock: Clock
) -> None:
    provider.faults.hang("token", 0.3)
    clock.move(ACCESS_LIFETIME)
    cookie = f"ck_session={ada.cookies['ck_session']}"
    crowd = face.at_once([Asked("GET", TOKEN, [("Host", "localhost:8000"), ("Cookie", cookie)])] * 10)
    assert len(refreshes(provider)) == 1
    assert {told(answer)["token"] for answer in crowd} == {token(ada)}


def session_name(browser: Browser) -> str:
    """What the store calls the session of a browser."""
    return name_of(browser.cookies["ck_session"].split(".")[0])


def take_the_lease(browser: Browser, runner: asyncio.Runner, seconds: float) -> None:
    """As another process does that is about to refresh."""
    vault = browser.face.app._gate.vault  # type: ignore[attr-defined]  # of either face
    taking = vault.lease(session_name(browser), seconds=seconds)
    assert runner.run(taking) if isinstance(browser.face, ASGIFace) else step(taking)


def test_who_waits_for_another_in_vain_goes_on_with_what_there_is(
    ada: Browser, provider: MisbehavingProvider, clock: Clock, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = token(ada)
    clock.move(ACCESS_LIFETIME - 30)
    take_the_lease(ada, runner, 1000)
    Hurry(monkeypatch, upkeep)
    assert token(ada) == first
    clock.move(30)
    assert told(ada.get(TOKEN)) == {"error": "ProviderUnreachable"}
    assert refreshes(provider) == []
    assert ada.is_logged_in


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_who_died_in_the_middle_of_a_refresh_holds_nobody_up_for_longer_than_the_lease(
    ada: Browser, provider: MisbehavingProvider, clock: Clock, runner: asyncio.Runner
) -> None:
    first = token(ada)
    clock.move(ACCESS_LIFETIME)
    take_the_lease(ada, runner, 5)
    clock.move(5)
    assert token(ada) not in {None, first}
    assert len(refreshes(provider)) == 1


# When it fails


def other(**members: Any) -> Change:
    return lambda claims: claims | members


@pytest.mark.parametrize(
    "change",
    [
        other(iss="https://evil.example"),
        other(sub="ck_u_another"),
        other(sub=""),
        other(aud="ck_another"),
        other(aud=["ck_0123456789abcdef0123456789abcdef", "ck_another"]),
        other(azp="ck_another"),
        other(auth_time=1),
        other(nonce="another"),
        other(at_hash="x"),
        other(exp=1),
        other(iat=1),
        forgery.without("sub"),
        forgery.without("iss"),
    ],
)
def test_a_new_id_token_about_anything_else_ends_the_session(
    ada: Browser, provider: MisbehavingProvider, clock: Clock, change: Change
) -> None:
    provider.faults.id_token_claims = change
    clock.move(ACCESS_LIFETIME)
    assert token(ada) is None
    assert not ada.is_logged_in
    assert ada.cookies == {}


@pytest.mark.parametrize("sign", [forgery.alg_none, forgery.another_key, forgery.broken_signature])
def test_a_new_id_token_that_nobody_signed_ends_the_session(
    ada: Browser, provider: MisbehavingProvider, clock: Clock, sign: forgery.Signer
) -> None:
    provider.faults.sign = sign
    clock.move(ACCESS_LIFETIME)
    assert token(ada) is None
    assert not ada.is_logged_in


def test_invalid_grant_ends_the_session(ada: Browser, provider: MisbehavingProvider, clock: Clock) -> None:
    copy = Browser(ada.face, cookies=dict(ada.cookies))
    provider.revoke(next(iter(provider._grants._refresh)).person.key)
    clock.move(ACCESS_LIFETIME - 60)
    assert token(ada) is None
    assert not ada.is_logged_in
    assert not copy.is_logged_in
    assert len(refreshes(provider)) == 1


def after(seconds: float, answer: Response) -> ProviderAnswer:
    async def late(request: Request, honest: Honest) -> Response:
        await asyncio.sleep(seconds)
        return answer

    return late


TROUBLE = [
    Response("<h1>Bad Gateway</h1>", 502),
    JSONResponse({"error": "server_error"}, 500),
    JSONResponse({"error": "slow_down"}, 429),
    JSONResponse({"error": "invalid_client"}, 401),
    JSONResponse({"access_token": "at"}),
    Response("no json", 200),
]


@pytest.mark.parametrize("trouble", TROUBLE)
def test_a_provider_in_trouble_ends_no_session(
    ada: Browser, provider: MisbehavingProvider, clock: Clock, trouble: Response
) -> None:
    first = token(ada)
    provider.faults.answer("token", trouble)
    clock.move(ACCESS_LIFETIME - 30)
    asked = provider.count("token")
    assert token(ada) == first  # it works for half a minute yet
    clock.move(4)
    assert token(ada) == first
    assert provider.count("token") == asked + 1  # not at every request
    clock.move(1)
    assert token(ada) == first
    assert provider.count("token") == asked + 2
    clock.move(25)
    assert told(ada.get(TOKEN)) == {"error": "ProviderUnreachable"}  # an `AuthError`
    assert ada.is_logged_in
    provider.faults.heal("token")
    clock.move(5)
    assert token(ada) not in {None, first}


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_provider_that_gives_no_answer_ends_no_session(
    ada: Browser, guard: Guard, provider: MisbehavingProvider, clock: Clock
) -> None:
    hasty = Browser(guard(keep_tokens=True, timeout=1), cookies=ada.cookies)
    provider.faults.answer("token", after(1.5, Response("", 503)))
    clock.move(ACCESS_LIFETIME)
    assert told(hasty.get(TOKEN)) == {"error": "ProviderUnreachable"}
    assert hasty.is_logged_in
    provider.faults.heal()
    clock.move(5)
    assert token(ada)


def test_a_provider_that_cannot_be_reached_ends_no_session(guard: Guard, clock: Clock) -> None:
    with provider_alone() as (provider, server):
        settings = provider.settings | Settings(keep_tokens=True)
        ada = Browser(guard(**settings))
        ada.log_in()
        first = token(ada)
        server.stop()
        clock.move(ACCESS_LIFETIME - 1)
        assert token(ada) == first
        clock.move(1)
        assert told(ada.get(TOKEN)) == {"error": "ProviderUnreachable"}
        assert ada.is_logged_in
        server.start()
        clock.move(5)
        assert token(ada) not in {None, first}


def test_no_failure_lets_a_session_live_longer(guard: Guard, provider: MisbehavingProvider, clock: Clock) -> None:
    ada = Browser(guard(keep_tokens=True, session_lifetime="2h", idle_timeout="2h"))
    ada.log_in()
    provider.faults.answer("token", Response("", 503))
    for _ in range(7):
        clock.move(1000)
        ada.get(TOKEN)
        assert ada.is_logged_in
    clock.move(200)
    assert not ada.is_logged_in


def test_nor_does_a_refresh(guard: Guard, provider: MisbehavingProvider, clock: Clock) -> None:
    ada = Browser(guard(keep_tokens=True, session_lifetime="2h", idle_timeout="2h"))
    ada.log_in()
    for _ in range(2):
        clock.move(3500)
        assert token(ada)
    assert len(refreshes(provider)) == 1
    clock.move(200)
    assert not ada.is_logged_in


def test_a_session_that_ends_while_it_is_refreshed_leaves_no_token_behind(
    clock: Clock, browser: Browser, provider: MisbehavingProvider, runner: asyncio.Runner
) -> None:
    provider.offers_revocation = True
    ada = browser
    ada.log_in()
    sub = told(ada.get("/"))["sub"]
    given = answers(provider)

    async def ended_meanwhile(request: Request, honest: Honest) -> Response:
        answer = await honest()
        # Once more the app, from the provider's own thread: as another process would be.
        if isinstance(ada.face, ASGIFace):
            ending = asyncio.run_coroutine_threadsafe(ada.face.app.end_sessions(sub=sub), runner.get_loop())
            assert await asyncio.wrap_future(ending) == 1
        else:
            assert await asyncio.to_thread(ada.face.end_sessions, sub=sub) == 1
        return answer

    clock.move(ACCESS_LIFETIME)
    provider.faults.answer("token", ended_meanwhile)
    assert token(ada) is None
    assert provider.last("revoke").form["token"] == given[-1]["refresh_token"]
    assert not ada.is_logged_in
