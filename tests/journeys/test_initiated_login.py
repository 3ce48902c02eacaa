"""A login that another site begins, at the address that is registered as `initiate_login_uri` (Connect Core, 4)."""

from urllib.parse import quote, urlencode

import pytest

from support.browser import NAVIGATION, Browser, query_of
from support.faces import Guard, told
from support.provider import MisbehavingProvider

FROM_ELSEWHERE = NAVIGATION | {"Sec-Fetch-Site": "cross-site", "Referer": "https://portal.example/"}


@pytest.fixture
def kind() -> str:
    """Nobody has a session yet, of whatever kind."""
    return "cookie"


def initiation(provider: MisbehavingProvider, **parameters: str) -> str:
    return f"/auth/login?{urlencode({'iss': provider.issuer} | parameters)}"


def test_another_site_begins_a_login(browser: Browser, provider: MisbehavingProvider) -> None:
    target = initiation(
        provider, login_hint="ada@example.test", target_link_uri="http://localhost:8000/dashboard?tab=2"
    )
    answer = browser.get(target, FROM_ELSEWHERE)
    assert answer.status == 303
    query = query_of(answer.location)
    assert answer.location.partition("?")[0] == provider.url("auth")
    assert query["login_hint"] == "ada@example.test"
    assert query.keys().isdisjoint({"iss", "target_link_uri"})
    landed = browser.come_back(browser.choose(answer.location, name="Ada"))
    assert landed.location == "/dashboard?tab=2"
    assert told(browser.come_back(landed.location))["name"] == "Ada"


def test_the_issuer_is_all_that_it_has_to_say(browser: Browser, provider: MisbehavingProvider) -> None:
    assert browser.log_in(initiation(provider)).location == "/"
    assert browser.is_logged_in


def test_what_is_not_known_of_it_is_ignored(browser: Browser, provider: MisbehavingProvider) -> None:
    url = browser.start_login(initiation(provider, campaign="x", scope="admin", client_id="evil"))
    assert query_of(url)["scope"] == "openid profile email"
    assert "campaign" not in query_of(url)


@pytest.mark.parametrize("change", ["{}/", "{}1", "{}#", " {}", "https://evil.example", "https://evil.example/?{}", ""])
def test_a_login_with_another_provider_is_refused(browser: Browser, provider: MisbehavingProvider, change: str) -> None:
    wanted = initiation(provider, iss=change.format(provider.issuer), target_link_uri="/dashboard")
    answer = browser.get(wanted, FROM_ELSEWHERE)
    assert (answer.status, answer.code) == (400, "initiation_invalid")
    assert "evil.example" not in answer.text
    assert provider.hits == []
    assert browser.cookies == {}
    assert browser.fetch(wanted).json["code"] == "initiation_invalid"
    again = answer.text.partition('href="')[2].partition('"')[0]
    assert browser.log_in(again).location == "/dashboard"  # with our own


def test_an_issuer_in_other_letters_is_another_one(browser: Browser, provider: MisbehavingProvider) -> None:
    assert browser.get(initiation(provider, iss=provider.issuer.upper())).code == "initiation_invalid"


@pytest.mark.parametrize("name", ["iss", "login_hint", "target_link_uri"])
def test_a_parameter_that_comes_twice_is_refused(browser: Browser, provider: MisbehavingProvider, name: str) -> None:
    once = initiation(provider, login_hint="ada", target_link_uri="/dashboard")
    value = {"iss": provider.issuer, "login_hint": "ada", "target_link_uri": "/dashboard"}[name]
    answer = browser.get(f"{once}&{urlencode({name: value})}")
    assert (answer.status, answer.code) == (400, "initiation_invalid")
    assert provider.hits == []
    assert browser.cookies == {}
    assert browser.get(once).status == 303


@pytest.mark.parametrize(
    ("target", "landed"),
    [
        ("/dashboard", "/dashboard"),
        ("http://localhost:8000", "/"),
        ("http://localhost:8000/", "/"),
        ("http://localhost:8000/dashboard#part", "/dashboard#part"),
        ("http://localhost:8000/?q=%26#/deep?x", "/?q=%26#/deep?x"),
        ("http://localhost:8000?q=1", "/?q=1"),
        ("HTTP://LocalHost:8000/Dashboard", "/Dashboard"),
    ],
)
def test_an_address_of_the_app_is_where_people_land(
    browser: Browser, provider: MisbehavingProvider, target: str, landed: str
) -> None:
    assert browser.log_in(initiation(provider, target_link_uri=target)).location == landed


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "///evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/%2fevil.example",
        "/.//evil.example",
        "javascript:alert(1)",
        "data:text/html,x",
        "dashboard",
        "",
        "http:dashboard",
        "http:///evil.example",
        "http://localhost:8000@evil.example/",
        "http://localhost:8000\\@evil.example/",
        "http://user@localhost:8000/",
        "http://localhost:8000.evil.example/",
        "http://localhost:80001/",
        "http://localhost:9000/",
        "http://127.0.0.1:8000/",
        "http://evil.example#http://localhost:8000/",
        "http://evil.example?http://localhost:8000/",
        "http://localhost:8000//evil.example/",
        "http://localhost:8000/\\evil.example/",
        "http://localhost:8000/\t/evil.example/",
        "http://localhost:8000/%2fevil.example",
        "http://localhost:8000/.//evil.example",
        " http://localhost:8000/dashboard",
        "http://localhost:8000/dashboard\r\nSet-Cookie: a=b",
        "http://localhost:8000/auth/logout",
        "http://localhost:8000/AUTH/login?iss=x",
        "/auth/logout",
        "http://localhost:8000/" + "a" * 2048,
    ],
)
def test_nobody_is_sent_anywhere_else(browser: Browser, provider: MisbehavingProvider, target: str) -> None:
    assert browser.log_in(initiation(provider, target_link_uri=target)).location == "/"
    assert browser.is_logged_in


APP = "https://app.example"


@pytest.mark.parametrize(
    ("base_url", "target", "landed"),
    [
        (APP, f"{APP}/dashboard", "/dashboard"),
        (APP, f"{APP}:443/dashboard", "/dashboard"),
        (APP, "http://app.example/dashboard", "/"),
        (APP, "https://app.example.evil.example/dashboard", "/"),
        (f"{APP}/pre", f"{APP}/pre/dashboard", "/pre/dashboard"),
        (f"{APP}/pre", f"{APP}/pre", "/pre"),
        (f"{APP}/pre", f"{APP}/other/dashboard", "/pre/"),
        (f"{APP}/pre", f"{APP}/prefix", "/pre/"),
        (f"{APP}/pre", f"{APP}/pre/../other", "/pre/"),
        (f"{APP}/pre", f"{APP}/pre/auth/logout", "/pre/"),
    ],
)
def test_an_address_of_the_app_is_one_below_base_url(
    guard: Guard, provider: MisbehavingProvider, base_url: str, target: str, landed: str
) -> None:
    mount = base_url.removeprefix(APP)
    provider.register(f"{base_url}/auth/callback")
    browser = Browser(guard(base_url=base_url), origin=APP, hidden_mount=mount)
    answer = browser.log_in(mount + initiation(provider, target_link_uri=target))
    assert answer.location == landed


def test_where_the_other_site_wants_to_go_wins_over_what_stands_in_the_registered_address(
    browser: Browser, provider: MisbehavingProvider
) -> None:
    registered = "/auth/login?next=/portal"
    iss = quote(provider.issuer, safe="")
    assert browser.log_in(f"{registered}&iss={iss}").location == "/portal"
    assert browser.log_in(f"{registered}&iss={iss}&target_link_uri=/dashboard").location == "/dashboard"
    assert browser.log_in(f"{registered}&iss={iss}&target_link_uri=https://evil.example/").location == "/"


def test_without_an_issuer_it_is_a_login_like_any_other(browser: Browser) -> None:
    assert browser.log_in("/auth/login?next=/dashboard&target_link_uri=/other").location == "/dashboard"
    assert browser.log_in("/auth/login?target_link_uri=http://localhost:8000/other").location == "/"


def test_a_login_that_the_other_site_begins_needs_the_address_of_the_app(
    guard: Guard, provider: MisbehavingProvider
) -> None:
    elsewhere = Browser(guard(), origin="http://10.0.0.1:8000")
    answer = elsewhere.get(initiation(provider, target_link_uri="http://10.0.0.1:8000/dashboard"))
    assert (answer.status, answer.code) == (400, "base_url_missing")
    assert provider.hits == []


@pytest.mark.parametrize("method", ["POST", "PUT", "HEAD"])
def test_it_is_begun_by_a_link_or_a_redirect(browser: Browser, provider: MisbehavingProvider, method: str) -> None:
    answer = browser.request(method, initiation(provider))
    assert (answer.status, answer.header("allow")) == (405, "GET")
    assert provider.hits == []
