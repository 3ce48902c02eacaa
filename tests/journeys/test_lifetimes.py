"""How long a session lasts, and which secret opens it."""

import re

import pytest

from support.browser import Browser
from support.clock import Clock
from support.faces import Answer, Guard, told

OLD, NEW, OTHER = "old-secret-0123456789-0123456789", "new-secret-0123456789-0123456789", "o" * 32


def renewed(answer: Answer) -> int | None:
    """For how many seconds an answer has renewed the session, if it has."""
    for cookie in answer.every("set-cookie"):
        if found := re.match(r"(?:__Host-)?ck_session=[^;]+; Max-Age=([0-9]+);", cookie):
            return int(found[1])
    return None


def test_a_session_ends_when_nothing_is_heard_of_it(guard: Guard, clock: Clock) -> None:
    browser = Browser(guard(idle_timeout=100, session_lifetime=1000))
    browser.log_in()
    clock.move(99)
    assert browser.get("/").status == 200
    clock.move(100)
    answer = browser.get("/")
    assert answer.status == 303
    assert browser.cookies == {}  # what is over is cleared


def test_a_session_ends_at_its_end_however_busy_it_is(guard: Guard, clock: Clock) -> None:
    browser = Browser(guard(idle_timeout=100, session_lifetime=1000))
    browser.log_in()
    for _ in range(19):
        clock.move(50)
        assert browser.get("/").status == 200
    clock.move(49)
    assert browser.get("/").status == 200  # 999 seconds
    clock.move(1)
    assert browser.get("/").status == 303
    assert browser.cookies == {}


def test_a_session_ends_though_the_browser_keeps_its_cookie(guard: Guard, clock: Clock) -> None:
    browser = Browser(guard(idle_timeout=100, session_lifetime=1000))
    browser.log_in()
    kept = dict(browser.cookies)
    clock.move(60)
    browser.get("/")
    clock.move(60)
    assert browser.is_logged_in
    assert not Browser(browser.face, cookies=kept).is_logged_in


def test_a_session_is_renewed_at_most_every_tenth_of_the_idle_time(guard: Guard, clock: Clock) -> None:
    browser = Browser(guard(idle_timeout=100, session_lifetime=1000))
    browser.log_in()
    renewals = []
    for second in range(1, 61):
        clock.move(1)
        if renewed(browser.get("/")) is not None:
            renewals.append(second)
    assert renewals == [10, 20, 30, 40, 50, 60]


def test_a_renewal_never_lasts_longer_than_the_session(guard: Guard, clock: Clock) -> None:
    browser = Browser(guard(idle_timeout=100, session_lifetime=250))
    browser.log_in()
    lasts = []
    for _ in range(4):
        clock.move(60)
        lasts.append(renewed(browser.get("/")))
    assert lasts == [100, 100, 70, 10]
    clock.move(10)
    assert not browser.is_logged_in


def test_me_says_when_the_session_ends(guard: Guard, clock: Clock) -> None:
    browser = Browser(guard(idle_timeout=100, session_lifetime=250))
    browser.log_in()
    began = int(clock.now)
    told_at = []
    for _ in range(4):
        me = browser.me().json
        told_at.append((me["expires_at"] - began, me["idle_expires_at"] - began))
        clock.move(60)
        browser.get("/")
    assert told_at == [(250, 100), (250, 160), (250, 220), (250, 250)]


def test_asking_who_is_logged_in_keeps_no_session_alive(guard: Guard, clock: Clock) -> None:
    """A page that asks every minute does so also when nobody sits before it."""
    browser = Browser(guard(idle_timeout=100))
    browser.log_in()
    ends = browser.me().json["idle_expires_at"]
    for _ in range(4):
        clock.move(24)
        answer = browser.me()
        assert answer.json["idle_expires_at"] == ends
        assert answer.every("set-cookie") == []
    clock.move(24)
    answer = browser.me()
    assert answer.status == 401
    assert browser.cookies == {}


def test_asking_who_is_logged_in_does_not_stop_a_renewal(guard: Guard, clock: Clock) -> None:
    browser = Browser(guard(idle_timeout=100))
    browser.log_in()
    for _ in range(4):
        clock.move(60)
        browser.me()
        assert renewed(browser.get("/")) == 100
        assert browser.me().json["idle_expires_at"] == int(clock.now) + 100


@pytest.mark.parametrize(("ahead", "accepted"), [(60, True), (61, False)])
def test_the_clock_of_another_machine_may_be_a_minute_ahead(
    guard: Guard,
    clock: Clock,
    ahead: int,
    accepted: bool,  # noqa: FBT001  # a column of the table
) -> None:
    browser = Browser(guard())
    browser.log_in()
    clock.move(-ahead)
    assert browser.is_logged_in == accepted


@pytest.mark.parametrize("lifetime", [1, "2s", "1m", "24h"])
def test_short_lifetimes_are_kept_as_well(guard: Guard, clock: Clock, lifetime: str) -> None:
    browser = Browser(guard(session_lifetime=lifetime, idle_timeout="7d"))
    browser.log_in()
    assert browser.is_logged_in
    clock.move({"2s": 2, "1m": 60, "24h": 86400}.get(lifetime, 1))
    assert not browser.is_logged_in


def test_a_secret_can_be_changed_while_people_are_logged_in(guard: Guard) -> None:
    before = Browser(guard(session_secret=OLD))
    before.log_in(name="Ada")
    during = Browser(guard(session_secret=[NEW, OLD]), cookies=before.cookies)
    assert told(during.get("/"))["name"] == "Ada"
    # The first seals: what is made now is opened without the old one.
    newcomer = Browser(guard(session_secret=[NEW, OLD]))
    newcomer.log_in(name="Grace")
    after = guard(session_secret=[NEW])
    assert told(Browser(after, cookies=newcomer.cookies).get("/"))["name"] == "Grace"
    late = Browser(after, cookies=before.cookies)
    assert late.get("/").status == 303
    assert late.cookies == {}


@pytest.mark.parametrize("kind", ["cookie"])
def test_an_active_session_moves_to_the_new_secret(guard: Guard, clock: Clock) -> None:
    browser = Browser(guard(session_secret=OLD, idle_timeout=100))
    browser.log_in(name="Ada")
    clock.move(50)
    during = Browser(guard(session_secret=f"{NEW},{OLD}", idle_timeout=100), cookies=browser.cookies)
    during.get("/")
    assert told(Browser(guard(session_secret=NEW, idle_timeout=100), cookies=during.cookies).get("/"))["name"] == "Ada"


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_a_stored_session_ends_with_the_secret_that_it_began_under(guard: Guard, clock: Clock) -> None:
    """Or nobody could find it by its person any more, whose name in the store that secret made."""
    browser = Browser(guard(session_secret=OLD, idle_timeout=100))
    browser.log_in(name="Ada")
    clock.move(50)
    during = Browser(guard(session_secret=f"{NEW},{OLD}", idle_timeout=100), cookies=browser.cookies)
    assert renewed(during.get("/"))
    late = Browser(guard(session_secret=[NEW], idle_timeout=100), cookies=dict(during.cookies))
    assert late.get("/").status == 303
    assert late.cookies == {}
    assert during.is_logged_in


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_the_sessions_of_a_person_are_found_under_whichever_secret_they_began(guard: Guard) -> None:
    old = Browser(guard(session_secret=OLD))
    old.log_in(name="Ada")
    face = guard(session_secret=[NEW, OLD])
    new, other = Browser(face), Browser(face)
    new.log_in(name="Ada")
    other.log_in(name="Grace")
    sub = told(new.get("/"))["sub"]
    assert len(face.sessions(sub)) == 2
    assert face.end_sessions(sub=sub) == 2
    assert not old.is_logged_in
    assert not new.is_logged_in
    assert other.is_logged_in


def test_a_login_and_a_logout_form_survive_a_change_of_secret(guard: Guard) -> None:
    before = Browser(guard(session_secret=OLD))
    before.log_in()
    token = before.get("/auth/logout").text.partition('name="token" value="')[2].partition('"')[0]
    back = before.choose(before.start_login("/auth/login?next=/dashboard"))
    during = Browser(guard(session_secret=[NEW, OLD]), cookies=before.cookies)
    assert during.come_back(back).location == "/dashboard"
    assert during.request("POST", "/auth/logout", form={"token": token}).status == 303
    assert not during.is_logged_in


def test_a_logout_form_of_a_dropped_secret_signs_nobody_out(guard: Guard) -> None:
    before, after = Browser(guard(session_secret=OLD)), Browser(guard(session_secret=NEW))
    before.log_in(name="Ada")
    after.log_in(name="Ada")
    token = before.get("/auth/logout").text.partition('name="token" value="')[2].partition('"')[0]
    assert after.request("POST", "/auth/logout", form={"token": token}).status == 200  # the page that asks again
    assert after.is_logged_in


def test_a_secret_of_somebody_else_opens_nothing(guard: Guard) -> None:
    browser = Browser(guard(session_secret=OLD))
    browser.log_in()
    stranger = Browser(guard(session_secret=OTHER), cookies=browser.cookies)
    assert stranger.get("/").status == 303
    assert stranger.cookies == {}


def test_another_client_with_the_same_secret_opens_nothing(guard: Guard) -> None:
    browser = Browser(guard())
    browser.log_in()
    neighbour = Browser(guard(client_id="ck_another"), cookies=browser.cookies)
    assert neighbour.get("/").status == 303
