"""How a stored session ends, and that every copy of it does."""

import pytest
from starlette.responses import Response

from ck_middleware import ConfigError
from ck_middleware.config import Settings
from support.browser import Browser, at_provider, query_of
from support.faces import Guard, told
from support.provider import CLIENT_ID, MisbehavingProvider, provider_alone


@pytest.fixture(params=["sqlite", "redis"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def ada(browser: Browser) -> Browser:
    browser.log_in(name="Ada")
    return browser


def copy_of(browser: Browser) -> Browser:
    return Browser(browser.face, cookies=dict(browser.cookies))


def sub_of(browser: Browser) -> str:
    return str(told(browser.get("/"))["sub"])


# Log-out


def test_a_copied_cookie_is_dead_after_logout(ada: Browser, guard: Guard) -> None:
    copy, elsewhere = copy_of(ada), Browser(guard(), cookies=dict(ada.cookies))
    assert elsewhere.get("/").status == 200  # another worker knows it too
    ada.post("/auth/logout")
    assert not copy.is_logged_in
    assert not elsewhere.is_logged_in
    assert copy.cookies == elsewhere.cookies == {}


def test_logout_ends_this_session_of_a_person_and_no_other(ada: Browser) -> None:
    phone, grace = Browser(ada.face), Browser(ada.face)
    phone.log_in(name="Ada")
    grace.log_in(name="Grace")
    ada.post("/auth/logout")
    assert phone.is_logged_in
    assert grace.is_logged_in


def test_logout_everywhere_ends_all_sessions_of_the_person(ada: Browser) -> None:
    phone, grace = Browser(ada.face), Browser(ada.face)
    phone.log_in(name="Ada")
    grace.log_in(name="Grace")
    assert ada.post("/auth/logout", form={"everywhere": "1"}).status == 303
    assert not ada.is_logged_in
    assert not phone.is_logged_in
    assert grace.is_logged_in
    phone.log_in(name="Ada")
    assert phone.is_logged_in


def test_logout_everywhere_works_from_a_script(ada: Browser) -> None:
    phone = Browser(ada.face)
    phone.log_in(name="Ada")
    answer = ada.request(
        "POST", "/auth/logout", {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}, form={"everywhere": "1"}
    )
    assert answer.json["success"]
    assert not phone.is_logged_in


@pytest.mark.parametrize("value", ["", "0", "true", "2"])
def test_everywhere_is_said_with_one_word(ada: Browser, value: str) -> None:
    phone = Browser(ada.face)
    phone.log_in(name="Ada")
    ada.post("/auth/logout", form={"everywhere": value})
    assert phone.is_logged_in


def test_another_site_ends_nothing_anywhere(ada: Browser) -> None:
    answer = ada.request("POST", "/auth/logout", {"Sec-Fetch-Site": "cross-site"}, form={"everywhere": "1"})
    assert answer.status == 403
    assert ada.is_logged_in


def test_a_new_login_ends_the_session_that_it_replaces(ada: Browser) -> None:
    copy = copy_of(ada)
    ada.log_in(name="Grace")
    assert told(ada.get("/"))["name"] == "Grace"
    assert not copy.is_logged_in


def test_a_login_that_fails_ends_nothing(ada: Browser) -> None:
    copy = copy_of(ada)
    ada.come_back(ada.choose(ada.start_login(), decision="deny"))
    assert ada.is_logged_in
    assert copy.is_logged_in


# At the provider


def test_with_tokens_the_provider_is_told_whose_session_ends(guard: Guard, provider: MisbehavingProvider) -> None:
    ada = Browser(guard(keep_tokens=True, public=["/"]))
    ada.log_in()
    url = ada.post("/auth/logout").location
    query = query_of(url)
    assert query.keys() == {"id_token_hint", "post_logout_redirect_uri", "state"}
    assert query["id_token_hint"].count(".") == 2
    answer = ada.come_back(at_provider("GET", url).location)  # it is one of its own ID tokens, or this were refused
    assert (answer.status, answer.location) == (303, "/")


def test_the_hint_is_the_newest_id_token(guard: Guard, provider: MisbehavingProvider) -> None:
    issued: list[str] = []

    def remember(token: str) -> str:
        issued.append(token)
        return token

    provider.faults.raw_id_token = remember
    provider.faults.token_response = lambda answer: answer | {"expires_in": 1}
    ada = Browser(guard(keep_tokens=True))
    ada.log_in()
    assert query_of(copy_of(ada).post("/auth/logout").location)["id_token_hint"] == issued[0]


@pytest.mark.parametrize("settings", [{}, {"recheck": "1h"}])
def test_without_tokens_the_provider_is_told_which_client_it_is(guard: Guard, settings: dict[str, str]) -> None:
    ada = Browser(guard(**settings))  # type: ignore[arg-type]  # a row of the table
    ada.log_in()
    assert query_of(ada.post("/auth/logout").location)["client_id"] == CLIENT_ID


@pytest.mark.parametrize("settings", [{"keep_tokens": True}, {"recheck": "1h"}])
def test_logout_revokes_what_was_kept(guard: Guard, provider: MisbehavingProvider, settings: dict[str, object]) -> None:
    provider.offers_revocation = True
    ada = Browser(guard(**settings))  # type: ignore[arg-type]  # a row of the table
    ada.log_in()
    ada.post("/auth/logout")
    revoked = provider.last("revoke").form
    assert revoked["client_id"] == CLIENT_ID
    grant = provider._grants._refresh.find(revoked["token"])
    assert grant
    assert grant.is_revoked
    assert provider.count("revoke") == 1


def test_the_access_token_is_revoked_where_there_is_no_other(guard: Guard, provider: MisbehavingProvider) -> None:
    provider.offers_revocation = True
    provider.faults.token_response = lambda answer: {k: v for k, v in answer.items() if k != "refresh_token"}
    ada = Browser(guard(keep_tokens=True))
    ada.log_in()
    ada.post("/auth/logout")
    token = provider.last("userinfo").headers["authorization"].removeprefix("Bearer ")
    assert provider.last("revoke").form["token"] == token


def test_nothing_is_revoked_where_the_provider_does_not_offer_it(guard: Guard, provider: MisbehavingProvider) -> None:
    ada = Browser(guard(keep_tokens=True))
    ada.log_in()
    ada.post("/auth/logout")
    assert provider.count("revoke") == 0
    assert not ada.is_logged_in


@pytest.mark.parametrize("answer", [Response(status_code=503), Response("<h1>no</h1>", 400), Response(status_code=401)])
def test_a_failed_revocation_harms_no_logout(guard: Guard, provider: MisbehavingProvider, answer: Response) -> None:
    provider.offers_revocation = True
    ada = Browser(guard(keep_tokens=True))
    ada.log_in()
    copy = copy_of(ada)
    provider.faults.answer("revoke", answer)
    assert ada.post("/auth/logout").location.startswith(provider.url("logout"))
    assert not copy.is_logged_in


def test_nor_does_a_provider_that_cannot_be_reached(guard: Guard) -> None:
    with provider_alone() as (provider, server):
        provider.offers_revocation = True
        settings = provider.settings | Settings(keep_tokens=True)
        ada = Browser(guard(**settings))
        ada.log_in()
        copy = copy_of(ada)
        restarted = Browser(guard(**settings), cookies=ada.cookies)
        server.stop()
        assert restarted.post("/auth/logout").location == "/"
        assert not copy.is_logged_in


# By the app


def test_the_app_sees_the_sessions_of_a_person(ada: Browser) -> None:
    phone, grace = Browser(ada.face), Browser(ada.face)
    phone.log_in(name="Ada")
    grace.log_in(name="Grace")
    sub = sub_of(ada)
    ids = {told(browser.get("/"))["session"]["id"] for browser in (ada, phone)}
    assert {session.id for session in ada.face.sessions(sub)} == ids
    assert {session.sub for session in ada.face.sessions(sub)} == {sub}
    phone.post("/auth/logout")
    assert len(ada.face.sessions(sub)) == 1
    assert ada.face.sessions("ck_u_nobody") == []


def test_the_app_ends_the_sessions_of_a_person(ada: Browser, guard: Guard) -> None:
    phone, grace = Browser(guard()), Browser(ada.face)
    phone.log_in(name="Ada")
    grace.log_in(name="Grace")
    assert ada.face.end_sessions(sub=sub_of(ada)) == 2
    assert not ada.is_logged_in
    assert not phone.is_logged_in
    assert grace.is_logged_in
    assert ada.face.end_sessions(sub=sub_of(grace)) == 1
    assert ada.face.end_sessions(sub="ck_u_nobody") == 0


def test_the_app_ends_the_sessions_of_one_session_at_the_provider(guard: Guard, provider: MisbehavingProvider) -> None:
    face = guard()
    browsers = {}
    for sid in ("sid-1", "sid-2", None):
        provider.faults.id_token_claims = lambda claims, sid=sid: claims | ({"sid": sid} if sid else {})  # type: ignore[misc]  # bound now
        browsers[sid] = Browser(face)
        browsers[sid].log_in(name="Ada")
    assert face.end_sessions(sid="sid-1") == 1
    assert {sid: browser.is_logged_in for sid, browser in browsers.items()} == {
        "sid-1": False,
        "sid-2": True,
        None: True,
    }
    assert face.end_sessions(sid="") == 0
    assert browsers[None].is_logged_in


def test_sessions_end_by_sub_or_by_sid(ada: Browser) -> None:
    with pytest.raises(TypeError, match="one of them"):
        ada.face.end_sessions()
    with pytest.raises(TypeError, match="one of them"):
        ada.face.end_sessions(sub="a", sid="b")


@pytest.mark.parametrize("kind", ["cookie"])
def test_sessions_in_cookies_can_neither_be_listed_nor_ended(ada: Browser) -> None:
    for ask in (lambda: ada.face.sessions("a"), lambda: ada.face.end_sessions(sub="a")):
        with pytest.raises(ConfigError, match="CONSENTKEYS_STORE"):
            ask()


@pytest.mark.parametrize("kind", ["cookie"])
def test_everywhere_is_this_browser_where_nothing_is_kept(ada: Browser) -> None:
    phone = Browser(ada.face)
    phone.log_in(name="Ada")
    assert ada.post("/auth/logout", form={"everywhere": "1"}).status == 303
    assert not ada.is_logged_in
    assert phone.is_logged_in
