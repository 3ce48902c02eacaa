"""The provider is down, wrong, or changes its keys."""

from collections.abc import Callable

import pytest
from starlette.responses import HTMLResponse, JSONResponse, Response

from support.browser import Browser
from support.faces import Guard, told
from support.provider import MisbehavingProvider, provider_alone


def test_a_login_fails_while_the_provider_is_down_and_works_when_it_is_up(guard: Guard) -> None:
    with provider_alone() as (provider, server):
        browser = Browser(guard(**provider.settings))
        server.stop()
        answer = browser.get("/auth/login?next=/dashboard")
        assert (answer.status, answer.code) == (503, "provider_unreachable")
        assert answer.header("retry-after")
        assert "Try again" in answer.text
        assert browser.cookies == {}
        again = answer.text.partition('href="')[2].partition('"')[0]
        server.start()
        assert browser.log_in(again).location == "/dashboard"
        assert browser.is_logged_in


def test_a_provider_that_goes_down_in_the_middle_of_a_login(guard: Guard) -> None:
    with provider_alone() as (provider, server):
        browser = Browser(guard(**provider.settings))
        back = browser.choose(browser.start_login())
        server.stop()
        answer = browser.come_back(back)
        assert (answer.status, answer.code) == (503, "provider_unreachable")
        assert not browser.is_logged_in
        server.start()
        browser.log_in()
        assert browser.is_logged_in


def test_who_is_logged_in_does_not_notice_an_outage(guard: Guard) -> None:
    with provider_alone() as (provider, server):
        face = guard(**provider.settings)
        browser = Browser(face)
        browser.log_in(name="Ada")
        server.stop()
        assert told(browser.get("/dashboard"))["name"] == "Ada"
        assert browser.is_logged_in
        restarted = Browser(guard(**provider.settings), cookies=browser.cookies)  # nothing is fetched at a start
        assert told(restarted.get("/dashboard"))["name"] == "Ada"


def test_a_program_reads_of_an_outage_as_json(browser: Browser, provider: MisbehavingProvider) -> None:
    provider.faults.answer("discovery", Response(status_code=500))
    answer = browser.fetch("/auth/login")
    assert (answer.status, answer.json["code"]) == (502, "provider_faulty")
    assert browser.cookies == {}


def test_metadata_is_fetched_once_for_many_logins(browser: Browser, provider: MisbehavingProvider) -> None:
    for _ in range(3):
        browser.log_in()
    assert (provider.count("discovery"), provider.count("jwks"), provider.count("token")) == (1, 1, 3)


def test_metadata_of_another_issuer_starts_no_login(browser: Browser, provider: MisbehavingProvider) -> None:
    provider.faults.discovery = lambda document: document | {"issuer": document["issuer"] + "/"}
    answer = browser.get("/auth/login")
    assert (answer.status, answer.code) == (502, "provider_faulty")
    assert provider.count("auth") == 0
    assert browser.cookies == {}


def test_keys_may_change_between_two_logins(browser: Browser, provider: MisbehavingProvider) -> None:
    browser.log_in(name="Ada")
    provider.rotate()
    browser.log_in(name="Grace")
    assert told(browser.get("/"))["name"] == "Grace"
    assert provider.count("jwks") == 2


def test_keys_may_change_just_before_signing(browser: Browser, provider: MisbehavingProvider) -> None:
    browser.log_in(name="Ada")
    provider.faults.rotate_before_signing = True
    browser.log_in(name="Grace")
    assert told(browser.get("/"))["name"] == "Grace"


@pytest.mark.parametrize(
    ("userinfo", "status", "code"),
    [
        (JSONResponse({"sub": "somebody-else", "name": "Mallory"}), 400, "token_invalid"),
        (JSONResponse({"name": "Mallory"}), 400, "token_invalid"),
        (Response(status_code=500), 502, "provider_faulty"),
        (JSONResponse({"error": "invalid_token"}, 401), 502, "provider_faulty"),
        (HTMLResponse("<h1>Welcome</h1>"), 502, "provider_faulty"),
        (JSONResponse(["a", "list"]), 502, "provider_faulty"),
    ],
)
def test_userinfo_that_cannot_be_used_ends_the_login(
    browser: Browser, provider: MisbehavingProvider, userinfo: Response, status: int, code: str
) -> None:
    provider.faults.answer("userinfo", userinfo)
    answer = browser.log_in()
    assert (answer.status, answer.code) == (status, code)
    assert browser.cookies == {}
    provider.faults.heal()
    assert browser.log_in().status == 303


def test_userinfo_says_nothing_of_the_login_itself(browser: Browser, provider: MisbehavingProvider) -> None:
    provider.faults.userinfo = lambda claims: claims | {"iss": "https://evil.example", "aud": "x", "exp": 1}
    browser.log_in()
    claims = browser.me().json["user"]
    assert claims["iss"] == provider.issuer
    assert claims["exp"] > 1


def test_a_wrong_client_secret_is_a_502(guard: Guard) -> None:
    browser = Browser(guard(client_secret="not-the-right-one"))
    answer = browser.log_in()
    assert (answer.status, answer.code) == (502, "client_refused")
    assert "not-the-right-one" not in answer.text
    assert not browser.is_logged_in


@pytest.mark.parametrize(
    "error",
    [
        lambda document: document,
        lambda document: {"error": document["error"], "message": document["error_description"]},
    ],
)
def test_an_unknown_client_is_a_502_in_both_shapes_of_errors(
    guard: Guard, provider: MisbehavingProvider, error: Callable[[dict[str, str]], dict[str, str]]
) -> None:
    provider.faults.error = error
    browser = Browser(guard())
    back = browser.choose(browser.start_login())
    provider.clients.clear()
    answer = browser.come_back(back)
    assert (answer.status, answer.code) == (502, "client_refused")


@pytest.mark.parametrize("kind", ["cookie"])
def test_more_claims_than_a_cookie_holds_end_the_login(
    guard: Guard, provider: MisbehavingProvider, sessions: object
) -> None:
    provider.faults.userinfo = lambda claims: claims | {"groups": ["a-group-with-a-long-name"] * 200}
    browser = Browser(guard())
    answer = browser.log_in()
    assert (answer.status, answer.code) == (502, "session_too_large")
    assert not browser.is_logged_in
    assert browser.cookies == {}


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_a_store_holds_more_claims_than_a_cookie(guard: Guard, provider: MisbehavingProvider) -> None:
    groups = ["a-group-with-a-long-name"] * 2000
    provider.faults.userinfo = lambda claims: claims | {"groups": groups}
    browser = Browser(guard())
    browser.log_in()
    assert told(browser.get("/"))["claims"]["groups"] == groups
    assert sum(len(name) + len(value) for name, value in browser.cookies.items()) < 150


def test_naming_the_claims_to_keep_is_a_remedy(guard: Guard, provider: MisbehavingProvider) -> None:
    provider.faults.userinfo = lambda claims: claims | {"groups": ["a-group-with-a-long-name"] * 200}
    browser = Browser(guard(claims=["name", "email"]))
    browser.log_in(name="Ada")
    assert told(browser.get("/"))["name"] == "Ada"


def test_a_failed_login_leaves_the_session_before_it_alone(browser: Browser, provider: MisbehavingProvider) -> None:
    browser.log_in(name="Ada")
    provider.faults.answer("token", Response("<h1>Bad Gateway</h1>", 502))
    assert browser.log_in(name="Grace").status == 502
    assert told(browser.get("/"))["name"] == "Ada"
