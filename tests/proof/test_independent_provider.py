"""A provider that we did not write, run for real: django-oauth-toolkit, as strict as it can be set up."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Protocol, Unpack

import pytest

from ck_middleware.config import Settings
from ck_middleware.tokens import Tokens
from ck_middleware.vault import name_of
from support.browser import Browser, query_of
from support.clock import Clock
from support.faces import TOKEN, Guard, told
from support.independent import ACCESS_LIFETIME, APP, IndependentProvider, Resident

RECHECK = 60  # seconds
NEARLY = ACCESS_LIFETIME - 50  # seconds after which an access token is due for renewal


@pytest.fixture(scope="session")
def independent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IndependentProvider]:
    with IndependentProvider(tmp_path_factory.mktemp("independent")) as provider:
        yield provider


stored = pytest.mark.parametrize("kind", ["sqlite"])
both_kinds = pytest.mark.parametrize("kind", ["cookie", "sqlite"])


class Visitors(Protocol):
    def __call__(self, **settings: Unpack[Settings]) -> Browser: ...


@pytest.fixture
def visitor(guard: Guard, independent: IndependentProvider) -> Visitors:
    """A browser at an app whose people come from that provider."""

    def make(**settings: Unpack[Settings]) -> Browser:
        return Browser(guard(**(independent.settings | Settings(timeout=30) | settings)))

    return make


@pytest.fixture
def ada() -> Iterator[Resident]:
    with Resident("ada") as ada:
        yield ada


@pytest.fixture
def grace() -> Iterator[Resident]:
    with Resident("grace") as grace:
        yield grace


def log_in(browser: Browser, resident: Resident) -> None:
    answer = browser.come_back(resident.visit(browser.start_login()))
    assert (answer.status, answer.location) == (303, "/"), answer.text


# Logging in


@both_kinds
def test_a_person_logs_in_with_password_and_consent(visitor: Visitors, ada: Resident) -> None:
    browser = visitor()
    log_in(browser, ada)
    assert ada.pages == ["/accounts/login/", "/o/authorize/"]
    seen = told(browser.get("/dashboard"))
    assert seen["logged_in"]
    assert (seen["name"], seen["claims"]["email"]) == ("Ada Lovelace", "ada@people.example")
    assert browser.me().json["user"]["name"] == "Ada Lovelace"


def test_claims_arrive_in_the_id_token_and_at_userinfo(
    visitor: Visitors, ada: Resident, independent: IndependentProvider
) -> None:
    of_token, of_both = visitor(userinfo=False), visitor()
    asked = independent.asked("/o/userinfo/")
    log_in(of_token, ada)
    assert independent.asked("/o/userinfo/") == asked
    log_in(of_both, ada)
    assert independent.asked("/o/userinfo/") == asked + 1
    one, other = (told(browser.get("/"))["claims"] for browser in (of_token, of_both))
    assert (one["name"], one["sub"], one["iss"]) == (other["name"], other["sub"], other["iss"])
    assert one["iss"] == independent.issuer


def test_the_scope_that_is_asked_for_decides_which_claims_come(visitor: Visitors, ada: Resident) -> None:
    browser = visitor(scope="openid email")
    log_in(browser, ada)
    claims = told(browser.get("/"))["claims"]
    assert claims["email"] == "ada@people.example"
    assert "name" not in claims


def test_who_is_signed_in_there_only_consents(visitor: Visitors, ada: Resident) -> None:
    browser = visitor()
    log_in(browser, ada)
    log_in(browser, ada)
    assert ada.pages == ["/accounts/login/", "/o/authorize/", "/o/authorize/"]


def test_another_account_is_another_person(visitor: Visitors, ada: Resident, grace: Resident) -> None:
    one, other = visitor(), visitor()
    log_in(one, ada)
    log_in(other, grace)
    assert told(one.get("/"))["name"] == "Ada Lovelace"
    assert told(other.get("/"))["name"] == "Grace Hopper"
    assert told(one.get("/"))["sub"] != told(other.get("/"))["sub"]


def test_to_use_another_account_the_login_page_comes_again(visitor: Visitors, ada: Resident) -> None:
    browser = visitor()
    log_in(browser, ada)
    ada.pages.clear()
    ada.username = "grace"
    browser.come_back(ada.visit(browser.start_login("/auth/login?prompt=login")))
    assert ada.pages == ["/accounts/login/", "/o/authorize/"]
    assert told(browser.get("/"))["name"] == "Grace Hopper"


@pytest.mark.parametrize("client_auth", ["client_secret_post", "client_secret_basic"])
def test_a_secret_of_odd_characters_proves_who_the_client_is(
    visitor: Visitors, ada: Resident, client_auth: str
) -> None:
    browser = visitor(client_auth=client_auth)
    log_in(browser, ada)
    assert browser.is_logged_in


def test_a_client_without_a_secret_logs_people_in(
    visitor: Visitors, ada: Resident, independent: IndependentProvider
) -> None:
    browser = visitor(**independent.public_settings)
    log_in(browser, ada)
    assert told(browser.get("/"))["name"] == "Ada Lovelace"


# Being refused


@pytest.mark.parametrize("client_auth", ["client_secret_post", "client_secret_basic"])
def test_a_wrong_client_secret_is_a_502_and_the_log_names_both_settings(
    visitor: Visitors, ada: Resident, client_auth: str, caplog: pytest.LogCaptureFixture
) -> None:
    browser = visitor(client_secret="not-the-right-one", client_auth=client_auth)
    answer = browser.come_back(ada.visit(browser.start_login()))
    assert (answer.status, answer.code) == (502, "client_refused")
    assert not browser.is_logged_in
    assert "CONSENTKEYS_CLIENT_ID" in caplog.text
    assert "CONSENTKEYS_CLIENT_SECRET" in caplog.text
    for written in (answer.text, caplog.text):
        assert "not-the-right-one" not in written


@both_kinds
def test_consent_that_is_denied_is_a_403_and_may_be_given_after_all(
    visitor: Visitors, ada: Resident, independent: IndependentProvider
) -> None:
    browser = visitor(**independent.endpoints)  # so that its promise to name the issuer is not known
    back = ada.visit(browser.start_login("/auth/login?next=/dashboard"), consent=False)
    assert query_of(back)["error"] == "access_denied"
    answer = browser.come_back(back)
    assert (answer.status, answer.code) == (403, "access_denied")
    assert not browser.is_logged_in
    log_in(browser, ada)
    assert browser.is_logged_in


def test_a_denial_without_the_issuer_that_was_promised_proves_nothing(visitor: Visitors, ada: Resident) -> None:
    # Its metadata say that every answer names the issuer, and its errors do not (against RFC 9207, section 2).
    # Whoever sent this one, it must be rejected (section 2.4): an attacker's provider may have.
    browser = visitor()
    back = ada.visit(browser.start_login(), consent=False)
    assert query_of(back).keys() == {"error", "state"}
    answer = browser.come_back(back)
    assert (answer.status, answer.code) == (400, "callback_invalid")
    log_in(browser, ada)
    assert browser.is_logged_in


@both_kinds
def test_a_code_is_good_for_one_login(visitor: Visitors, ada: Resident, guard: Guard) -> None:
    browser = visitor()
    back = ada.visit(browser.start_login())
    copy = Browser(browser.face, cookies=dict(browser.cookies))
    assert browser.come_back(back).status == 303
    answer = copy.come_back(back)
    assert answer.status == 400
    assert not copy.is_logged_in


def test_a_code_of_another_login_is_refused(visitor: Visitors, ada: Resident, grace: Resident) -> None:
    """PKCE and the nonce bind a code to the login that asked for it."""
    victim, attacker = visitor(), visitor()
    stolen = query_of(ada.visit(victim.start_login()))
    own = query_of(grace.visit(attacker.start_login()))
    answer = attacker.get(f"/auth/callback?code={stolen['code']}&state={own['state']}&iss={own['iss']}")
    assert (answer.status, answer.code) == (400, "code_refused")
    assert not attacker.is_logged_in


# Tokens


def token(browser: Browser) -> str | None:
    """What the app gets from `access_token()`."""
    found: str | None = told(browser.get(TOKEN))["token"]
    return found


def tokens_of(browser: Browser) -> Tokens:
    """What the store has, as somebody would who stole the store and its secret."""
    vault = browser.face.app._gate.vault  # type: ignore[attr-defined]  # of either face
    loading = vault.load(name_of(browser.cookies["ck_session"].split(".")[0]))
    record = browser.face.run(loading)
    found = Tokens.decoded(record.tokens)
    assert found
    return found


@stored
def test_a_token_is_renewed_before_it_ends_and_rotated(
    visitor: Visitors, ada: Resident, clock: Clock, independent: IndependentProvider
) -> None:
    browser = visitor(keep_tokens=True)
    log_in(browser, ada)
    seen, spent = [token(browser)], [tokens_of(browser).refresh_token]
    for _ in range(2):
        clock.move(NEARLY)
        seen.append(token(browser))
        spent.append(tokens_of(browser).refresh_token)
    assert len({*seen, *spent}) == 6
    assert token(browser) == seen[-1]
    assert independent.accepts(str(seen[-1]))


@stored
def test_a_refresh_token_used_behind_our_back_ends_the_session(
    visitor: Visitors, ada: Resident, clock: Clock, independent: IndependentProvider
) -> None:
    browser = visitor(keep_tokens=True)
    log_in(browser, ada)
    stolen = str(tokens_of(browser).refresh_token)
    assert independent.post("token", grant_type="refresh_token", refresh_token=stolen).status_code == 200
    clock.move(NEARLY)
    assert token(browser) is None
    assert not browser.is_logged_in
    assert browser.cookies == {}


@stored
def test_an_old_refresh_token_used_by_a_thief_ends_the_session_too(
    visitor: Visitors, ada: Resident, clock: Clock, independent: IndependentProvider
) -> None:
    browser = visitor(keep_tokens=True)
    log_in(browser, ada)
    spent = str(tokens_of(browser).refresh_token)
    clock.move(NEARLY)
    assert token(browser)
    refused = independent.post("token", grant_type="refresh_token", refresh_token=spent)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    clock.move(NEARLY)
    assert token(browser) is None
    assert not browser.is_logged_in


@stored
def test_a_client_without_a_secret_renews_tokens(
    visitor: Visitors, ada: Resident, clock: Clock, independent: IndependentProvider
) -> None:
    browser = visitor(**(independent.public_settings | Settings(keep_tokens=True)))
    log_in(browser, ada)
    first = token(browser)
    clock.move(NEARLY)
    assert token(browser) not in {None, first}


# Revocation


@stored
def test_a_person_who_takes_their_consent_back_there_is_out_here(
    visitor: Visitors, grace: Resident, clock: Clock, independent: IndependentProvider
) -> None:
    browser = visitor(recheck=RECHECK)
    log_in(browser, grace)
    clock.move(RECHECK)
    assert browser.is_logged_in
    grace.revoke(independent.issuer)
    clock.move(RECHECK)
    answer = browser.get("/dashboard")
    assert (answer.status, answer.location) == (303, "/auth/login?next=%2Fdashboard")
    assert browser.cookies == {}


@stored
def test_a_refresh_token_revoked_there_ends_the_session_here(
    visitor: Visitors, ada: Resident, clock: Clock, independent: IndependentProvider
) -> None:
    browser = visitor(keep_tokens=True)
    log_in(browser, ada)
    revoked = independent.post("revoke_token", token=str(tokens_of(browser).refresh_token))
    assert revoked.status_code == 200
    clock.move(NEARLY)
    assert token(browser) is None
    assert not browser.is_logged_in


# Logging out


@stored
def test_a_logout_goes_there_and_comes_back(visitor: Visitors, ada: Resident, independent: IndependentProvider) -> None:
    browser = visitor(keep_tokens=True)
    log_in(browser, ada)
    there = browser.post("/auth/logout").location
    assert there.startswith(f"{independent.issuer}/logout/?")
    assert {"id_token_hint", "post_logout_redirect_uri", "state"} == set(query_of(there))
    back = ada.visit(there)
    assert back.startswith(APP + "?state=")
    assert browser.come_back(back).location == "/"
    assert browser.come_back("/").location == "/auth/login?next=%2F"
    ada.pages.clear()
    log_in(browser, ada)
    assert ada.pages[0] == "/accounts/login/"  # signed out there too


@both_kinds
def test_a_logout_that_keeps_no_id_token_says_which_client_it_is(
    visitor: Visitors, ada: Resident, independent: IndependentProvider
) -> None:
    browser = visitor()
    log_in(browser, ada)
    there = browser.post("/auth/logout").location
    assert {"client_id", "post_logout_redirect_uri", "state"} == set(query_of(there))
    back = ada.visit(there)
    assert browser.come_back(back).location == "/"
    assert not browser.is_logged_in


def test_a_logout_that_is_cancelled_there_is_one_here(visitor: Visitors, ada: Resident) -> None:
    browser = visitor()
    log_in(browser, ada)
    there = browser.post("/auth/logout").location
    assert ada.refuse(there).status_code == 400
    assert not browser.is_logged_in
    ada.pages.clear()
    log_in(browser, ada)
    assert ada.pages == ["/o/authorize/"]  # still signed in there


# A login somewhere else


@stored
def test_a_token_renewed_for_a_later_login_ends_the_session(visitor: Visitors, ada: Resident, clock: Clock) -> None:
    # Its auth_time is that of the newest login of the person anywhere, where a refreshed ID token must have that of
    # the original login (OpenID Connect Core, 12.2). So the session cannot be told from another one, and ends.
    browser = visitor(keep_tokens=True)
    log_in(browser, ada)
    wait_for_the_next_second()
    with Resident("ada") as elsewhere:
        later = visitor(keep_tokens=True)
        log_in(later, elsewhere)
    clock.move(NEARLY)
    assert token(browser) is None
    assert not browser.is_logged_in
    assert token(later)


def wait_for_the_next_second() -> None:
    """As far as the provider tells times apart. The clock of the tests stands still, and this one does not."""
    second = datetime.now(UTC).second
    while datetime.now(UTC).second == second:
        time.sleep(0.01)
