"""Several logins under way in one browser."""

import pytest

from support.browser import Browser, query_of
from support.clock import Clock
from support.faces import Guard
from support.provider import MisbehavingProvider

MOST_COOKIES = 8192  # bytes in one header line; gunicorn takes 8,190


@pytest.mark.parametrize("tabs", [2, 5, 6])
def test_tabs_finish_in_any_order_and_each_where_it_began(browser: Browser, tabs: int) -> None:
    targets = [f"/page/{number}?tab={number}" for number in range(tabs)]
    returns = [browser.choose(browser.start_login(browser.get(target).location)) for target in targets]
    for target, back in reversed(list(zip(targets, returns, strict=True))):
        answer = browser.come_back(back)
        assert (answer.status, answer.location) == (303, target)
    assert list(browser.cookies) == ["ck_session"]


def test_the_oldest_of_too_many_tabs_has_to_start_again(browser: Browser, clock: Clock) -> None:
    urls = []
    for _ in range(8):
        urls.append(browser.start_login())
        clock.move(1)
    assert sum(name.startswith("ck_login_") for name in browser.cookies) == 6
    for url in urls[:2]:
        answer = browser.come_back(browser.choose(url))
        assert (answer.status, answer.code) == (400, "login_expired")
    for url in urls[2:]:
        assert browser.come_back(browser.choose(url)).status == 303


@pytest.mark.parametrize("kind", ["cookie"])
@pytest.mark.parametrize("length", [0, 200, 500, 1000, 2000])
def test_the_cookies_of_any_number_of_tabs_fit_what_servers_take(
    guard: Guard, provider: MisbehavingProvider, clock: Clock, length: int
) -> None:
    provider.faults.userinfo = lambda claims: claims | {"about": "x" * 2500}
    browser = Browser(guard())
    browser.log_in()
    assert len(browser.cookies["ck_session"]) > 3500  # about as large as a session may be
    target = "/" + "p" * length
    for _ in range(10):
        url = browser.start_login(f"/auth/login?next={target}")
        sent = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        assert len(sent) <= MOST_COOKIES
        clock.move(1)
    assert browser.come_back(browser.choose(url)).location == target


def test_logins_that_nobody_finished_make_room(browser: Browser, clock: Clock) -> None:
    for _ in range(3):
        browser.start_login()
    clock.move(1801)
    browser.start_login()
    assert sum(name.startswith("ck_login_") for name in browser.cookies) == 1


def test_what_others_planted_under_our_names_makes_room(browser: Browser) -> None:
    browser.cookies |= {f"ck_login_{number:016x}": "planted" for number in range(20)}
    browser.cookies |= {"ck_login_": "x", "ck_login_a-b": "x", "ck_login_\xe9": "x"}
    url = browser.start_login()
    ours = [name for name in browser.cookies if name.removeprefix("ck_login_").isalnum() and name.isascii()]
    assert len(ours) == 1
    assert browser.come_back(browser.choose(url)).status == 303


def test_the_same_cookie_planted_twice_is_cleared_once(browser: Browser) -> None:
    answer = browser.get("/auth/login", {"Cookie": "ck_login_00aa=x; ck_login_00aa=y"})
    cleared = [cookie for cookie in answer.every("set-cookie") if cookie.startswith("ck_login_00aa=")]
    assert len(cleared) == 1


def test_one_tab_finished_leaves_the_others_alone(browser: Browser) -> None:
    first, second = browser.start_login("/auth/login?next=/one"), browser.start_login("/auth/login?next=/two")
    browser.come_back(browser.choose(second, decision="deny"))
    assert sum(name.startswith("ck_login_") for name in browser.cookies) == 1
    assert query_of(first)["state"] != query_of(second)["state"]
    assert browser.come_back(browser.choose(first)).location == "/one"
