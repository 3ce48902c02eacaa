"""Our own addresses, and how signing out is defended against other sites."""

import re

import pytest

from support.browser import Browser
from support.clock import Clock
from support.faces import Asked, Face, Guard, told
from support.provider import MisbehavingProvider

ALLOWED = {"/auth/login": "GET", "/auth/callback": "GET", "/auth/logout": "GET, POST", "/auth/me": "GET"}


@pytest.fixture
def ada(browser: Browser) -> Browser:
    browser.log_in(name="Ada")
    return browser


def token_of(browser: Browser) -> str:
    """The token of the form that signs this person out."""
    found = re.search('name="token" value="([^"]+)"', browser.get("/auth/logout").text)
    assert found
    return found[1]


@pytest.mark.parametrize(
    ("path", "method"),
    [
        (path, method)
        for path, allowed in ALLOWED.items()
        for method in ("HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "get", "X")
        if method not in allowed.split(", ")
    ],
)
def test_other_methods_are_told_which_there_are(ada: Browser, path: str, method: str) -> None:
    answer = ada.request(method, path)
    assert (answer.status, answer.header("allow")) == (405, ALLOWED[path])
    assert ada.is_logged_in
    assert ada.face.seen == []


@pytest.mark.parametrize(
    "path",
    [
        "/auth/",
        "/auth/x",
        "/auth/login/",
        "/auth/login/x",
        "/auth/Login",
        "/AUTH/login",
        "/Auth/me",
        "/auth/me.json",
        "/auth/me;x",
        "/auth/me%3Fx",
        "/auth/backchannel-logout",
    ],
)
def test_what_is_not_there_is_our_404_logged_in_or_not(ada: Browser, path: str) -> None:
    for browser in (ada, Browser(ada.face)):
        answer = browser.get(path)
        assert answer.status == 404
        assert "text/html" in (answer.header("content-type") or "")
        assert browser.fetch(path).json["code"] == "not_found"
    assert ada.face.seen == []


@pytest.mark.parametrize("path", ["/auth", "/authx", "/x/auth/login", "/authlogin"])
def test_what_merely_looks_like_ours_is_the_apps(ada: Browser, path: str) -> None:
    assert told(ada.get(path))["logged_in"]


def test_our_addresses_are_ours_though_the_app_is_open(guard: Guard) -> None:
    browser = Browser(guard(protect=["/dashboard"], public=["/auth/"]))
    assert browser.get("/auth/x").status == 404
    assert browser.me().status == 401
    assert browser.face.seen == []


# Signing out, asked for by others


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "same-site", "Origin": "https://sibling.app.example"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "null"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost:8000"},
        {"Sec-Fetch-Site": "nonsense"},
        {"Sec-Fetch-Site": "", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "", "Origin": "http://localhost:9000"},
        {"Sec-Fetch-Site": "", "Origin": "http://localhost:8000.evil.example"},
        {"Sec-Fetch-Site": "", "Origin": "null"},
    ],
)
def test_another_site_signs_nobody_out(ada: Browser, headers: dict[str, str]) -> None:
    cookies = dict(ada.cookies)
    answer = ada.post("/auth/logout", headers)
    assert answer.status == 403
    assert "You were not signed out" in answer.text
    assert answer.every("set-cookie") == []
    assert ada.cookies == cookies
    assert ada.fetch("/auth/logout", "POST", headers).json["code"] == "cross_site"
    assert ada.is_logged_in


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin", "Origin": ""},
        {"Sec-Fetch-Site": "same-origin", "Origin": "null"},  # after a page with Referrer-Policy: no-referrer
        {"Sec-Fetch-Site": "none", "Origin": ""},  # the person's own doing
        {"Sec-Fetch-Site": "", "Origin": "http://localhost:8000"},
    ],
)
def test_a_page_of_the_app_does(ada: Browser, headers: dict[str, str]) -> None:
    assert ada.post("/auth/logout", headers).status == 303
    assert not ada.is_logged_in


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_post_without_its_cookie_clears_none(ada: Browser, site: str) -> None:
    """The browser withholds a `SameSite=Lax` cookie from another site's post. Clearing it would sign the person out."""
    for headers in (
        {"Sec-Fetch-Site": site, "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "", "Origin": ""},
    ):
        answer = ada.post("/auth/logout", headers | {"Cookie": ""})
        assert answer.every("set-cookie") == []
    assert ada.is_logged_in


def test_a_browser_that_says_nothing_is_asked_again(ada: Browser) -> None:
    page = ada.request("POST", "/auth/logout")
    assert page.status == 200
    assert '<form method="post" action="/auth/logout">' in page.text
    assert ada.is_logged_in
    token = re.search('name="token" value="([^"]+)"', page.text)
    assert token
    assert ada.request("POST", "/auth/logout", form={"token": token[1]}).status == 303
    assert not ada.is_logged_in


def test_a_token_convinces_where_the_origin_is_hidden(ada: Browser) -> None:
    token = token_of(ada)
    assert ada.request("POST", "/auth/logout", {"Origin": "null"}, form={"token": token}).status == 303
    assert not ada.is_logged_in


def test_the_token_of_another_person_does_not(ada: Browser, face: Face) -> None:
    mallory = Browser(face)
    mallory.log_in(name="Mallory")
    token = token_of(mallory)
    assert ada.request("POST", "/auth/logout", form={"token": token}).status == 200  # asked again
    assert ada.request("POST", "/auth/logout", {"Origin": "null"}, form={"token": token}).status == 403
    assert ada.is_logged_in


def test_a_token_of_nobody_does_not(ada: Browser) -> None:
    for form in ({}, {"token": ""}, {"token": "x.y.z"}, {"token": "\xff"}, {"other": token_of(ada)}):
        assert ada.request("POST", "/auth/logout", {"Origin": "null"}, form=form).status == 403
    assert ada.is_logged_in


def test_a_token_lasts_for_an_hour(ada: Browser, clock: Clock) -> None:
    token = token_of(ada)
    clock.move(3601)
    assert ada.request("POST", "/auth/logout", form={"token": token}).status == 200
    assert ada.is_logged_in
    assert ada.request("POST", "/auth/logout", form={"token": token_of(ada)}).status == 303


def test_a_state_of_the_provider_is_no_token(ada: Browser, face: Face) -> None:
    other = Browser(face)
    other.log_in(name="Ada")
    state = other.post("/auth/logout").location.partition("state=")[2]
    assert ada.request("POST", "/auth/logout", {"Origin": "null"}, form={"token": state}).status == 403
    assert ada.is_logged_in


@pytest.mark.parametrize("padding", [b"&a=" + b"x" * 4096, b"&token=twice", b"&x=1" * 60, b"&x=%FF"])
def test_a_form_that_is_none_of_ours_is_not_read(ada: Browser, padding: bytes) -> None:
    headers = [("Host", "localhost:8000"), ("Origin", "null"), ("Cookie", f"ck_session={ada.cookies['ck_session']}")]
    body = f"token={token_of(ada)}".encode()
    assert ada.face.ask(Asked("POST", "/auth/logout", headers, body + padding)).status == 403
    assert ada.face.ask(Asked("POST", "/auth/logout", headers, body)).status == 303


def test_a_program_may_sign_its_own_session_out(ada: Browser) -> None:
    answer = ada.request("POST", "/auth/logout", {"Accept": "application/json", "Sec-Fetch-Mode": ""})
    assert (answer.status, answer.json["success"]) == (200, True)
    assert not ada.is_logged_in


@pytest.mark.parametrize("planted", ["bad", ""])
def test_signing_out_clears_a_session_that_is_none(browser: Browser, planted: str) -> None:
    answer = browser.post("/auth/logout", {"Cookie": f"ck_session={planted}"})
    assert answer.status == 303
    assert [cookie.partition(";")[0] for cookie in answer.every("set-cookie")] == ["ck_session="]


# Me


def test_me_is_for_the_person_alone(ada: Browser, provider: MisbehavingProvider) -> None:
    asked = len(provider.hits)
    answer = ada.me()
    assert answer.header("cache-control") == "no-store"
    assert answer.header("content-type") == "application/json"
    assert not any(name.startswith("access-control-") for name, _ in answer.headers)
    assert len(provider.hits) == asked


def test_me_clears_a_session_that_is_none(browser: Browser) -> None:
    answer = browser.fetch("/auth/me", headers={"Cookie": "ck_session=bad"})
    assert answer.status == 401
    assert (answer.header("set-cookie") or "").startswith("ck_session=; Max-Age=0")


def test_me_shows_odd_claims_as_they_are(browser: Browser, provider: MisbehavingProvider) -> None:
    odd = {"email_verified": "true", "auth_time": 1.5, "name": "<script>\u2028", "x": [None, {"y": True}]}
    provider.faults.userinfo = lambda claims: claims | odd
    provider.faults.id_token_claims = lambda claims: claims | {"auth_time": 1.5}
    browser.log_in()
    shown = browser.me().json["user"]
    assert {name: shown[name] for name in odd} == odd


def test_who_is_logged_in_may_log_in_again(ada: Browser) -> None:
    assert ada.get("/auth/login").status == 303
    assert ada.is_logged_in
