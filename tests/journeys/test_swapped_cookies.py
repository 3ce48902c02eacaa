"""Every cookie is good for one thing, under its own name, in its own app."""

import pytest

from support.browser import Browser, query_of
from support.faces import told
from support.provider import MisbehavingProvider


@pytest.fixture
def ada(browser: Browser) -> Browser:
    browser.log_in(name="Ada")
    return browser


def test_a_login_cookie_is_no_session(browser: Browser) -> None:
    browser.start_login()
    login = browser.cookie_named("ck_login_")
    thief = Browser(browser.face, cookies={"ck_session": browser.cookies[login]})
    assert thief.get("/").status == 303
    assert thief.cookies == {}
    assert not thief.is_logged_in


def test_a_session_is_no_login(ada: Browser, provider: MisbehavingProvider) -> None:
    url = ada.choose(ada.start_login())
    asked = provider.count("token")
    login = ada.cookie_named("ck_login_")
    thief = Browser(ada.face, cookies={login: ada.cookies["ck_session"]})
    answer = thief.come_back(url)
    assert (answer.status, answer.code) == (400, "login_expired")
    assert provider.count("token") == asked
    assert ada.come_back(url).status == 303


def test_the_cookie_of_one_login_does_not_finish_another(browser: Browser, provider: MisbehavingProvider) -> None:
    first = browser.start_login()
    name = browser.cookie_named("ck_login_")
    value = browser.cookies.pop(name)
    second = browser.start_login()
    other = browser.cookie_named("ck_login_")
    thief = Browser(browser.face, cookies={other: value})
    answer = thief.come_back(browser.choose(second))
    assert (answer.status, answer.code) == (400, "login_expired")
    assert provider.count("token") == 0
    assert query_of(first)["state"] != query_of(second)["state"]
    assert Browser(browser.face, cookies={name: value}).come_back(browser.choose(first)).status == 303


def test_two_cookies_of_one_login_finish_none(browser: Browser, provider: MisbehavingProvider) -> None:
    url = browser.choose(browser.start_login())
    name = browser.cookie_named("ck_login_")
    twice = f"{name}={browser.cookies[name]}; {name}={browser.cookies[name]}"
    query = url.partition("?")[2]
    answer = browser.get(f"/auth/callback?{query}", {"Cookie": twice})
    assert (answer.status, answer.code) == (400, "login_expired")
    assert provider.count("token") == 0
    assert browser.come_back(url).status == 303


def test_two_sessions_are_none_and_are_cleared(ada: Browser) -> None:
    own = ada.cookies["ck_session"]
    for planted in (own, "", "x", "evil" * 20):
        for header in (f"ck_session={own}; ck_session={planted}", f"ck_session={planted};ck_session={own}"):
            answer = ada.get("/", {"Cookie": header})
            assert answer.status == 303
            assert [cookie.partition(";")[0] for cookie in answer.every("set-cookie")] == ["ck_session="]
    answer = ada.get("/", {"Cookie": f"other=1; ck_session={own}; ck_session_2=x; xck_session=y"})
    assert told(answer)["name"] == "Ada"


@pytest.mark.parametrize("planted", ["", "x", "a.b.c", "=", "%00", "\xff\xfe", '"x"', "A" * 5000, "A" * 60])
def test_what_is_no_session_is_cleared_and_harms_nobody(browser: Browser, planted: str) -> None:
    for path in ("/", "/auth/me", "/auth/logout", "/api/x"):
        answer = browser.get(path, {"Cookie": f"ck_session={planted}"})
        assert answer.status in {200, 303, 401}
        assert [cookie.partition(";")[0] for cookie in answer.every("set-cookie")] == ["ck_session="]
    browser.cookies["ck_session"] = planted
    assert browser.log_in().status == 303
    assert browser.is_logged_in


def test_a_session_that_was_changed_anywhere_is_none(ada: Browser) -> None:
    value = ada.cookies["ck_session"]
    for place in range(0, len(value), 7):
        changed = value[:place] + ("A" if value[place] != "A" else "B") + value[place + 1 :]
        assert not Browser(ada.face, cookies={"ck_session": changed}).is_logged_in
    assert ada.is_logged_in
