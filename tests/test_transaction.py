"""One login under way, kept by the browser that began it."""

import json
import re
from dataclasses import asdict

import pytest

from ck_middleware.cookies import Attributes
from ck_middleware.seal import Seal
from ck_middleware.transaction import TOGETHER, Transaction, Transactions, begin
from support.clock import Clock

SECRET = "s" * 32
LIFETIME = 1800


def transactions(*, secure: bool = False, lifetime: float = LIFETIME) -> Transactions:
    return Transactions(Seal([SECRET], purpose="login", client="ck_a"), Attributes(secure=secure), lifetime=lifetime)


def begun(return_to: str = "/") -> Transaction:
    return begin(issuer="https://issuer.example", redirect_uri="https://app.example/auth/callback", return_to=return_to)


def pair(cookie: str) -> str:
    return cookie.partition(";")[0]


def header(*cookies: str) -> bytes:
    return "; ".join(map(pair, cookies)).encode()


def test_a_login_is_random_and_remembers_what_was_asked(clock: Clock) -> None:
    one, other = begun("/dashboard"), begun("/dashboard")
    secrets = [one.state, one.nonce, one.verifier, other.state, other.nonce, other.verifier]
    assert len(set(secrets)) == 6
    assert all(re.fullmatch("[A-Za-z0-9_-]{43}", secret) for secret in secrets)
    assert (one.issuer, one.redirect_uri) == ("https://issuer.example", "https://app.example/auth/callback")
    assert (one.return_to, one.began) == ("/dashboard", clock.now)


def test_a_login_is_found_again_by_its_state_alone() -> None:
    mine, other = begun(), begun()
    (cookie,) = transactions().keep(mine, b"")
    assert transactions().find(mine.state, header(cookie)) == mine
    assert transactions().find(other.state, header(cookie)) is None
    assert transactions().find(mine.state, b"") is None
    assert transactions().find("", header(cookie)) is None


def test_a_cookie_says_nothing_of_the_login() -> None:
    mine = begun("/secret-place")
    (cookie,) = transactions().keep(mine, b"")
    for secret in (mine.state, mine.nonce, mine.verifier, "secret-place"):
        assert secret not in cookie


@pytest.mark.parametrize(("secure", "prefix"), [(False, "ck_login_"), (True, "__Host-ck_login_")])
def test_a_cookie_has_a_name_of_its_own_and_lives_as_long_as_the_login(secure: bool, prefix: str) -> None:  # noqa: FBT001
    (cookie,) = transactions(secure=secure).keep(begun(), b"")
    assert re.fullmatch(f"{prefix}[0-9a-f]{{16}}=[A-Za-z0-9_-]+; Max-Age=1800; .*", cookie)


@pytest.mark.parametrize("state", ["", "x", "é", "\ud800", "a;b\r\nc", "=" * 10_000])
def test_any_state_of_a_stranger_is_merely_unknown(state: str) -> None:
    (cookie,) = transactions().keep(begun(), b"")
    assert transactions().find(state, header(cookie)) is None
    assert re.fullmatch("ck_login_[0-9a-f]{16}=; Max-Age=0; .*", transactions().forget(state))


def test_a_login_whose_state_is_empty_is_none() -> None:
    nameless = Transaction("", "n", "v", "i", "r", "/", 0)
    (cookie,) = transactions().keep(nameless, b"")
    assert transactions().find("", header(cookie)) is None


def test_forgetting_clears_the_cookie_that_was_set() -> None:
    mine = begun()
    (cookie,) = transactions().keep(mine, b"")
    assert transactions().forget(mine.state).partition("=")[0] == cookie.partition("=")[0]


def test_a_login_is_over_after_its_time(clock: Clock) -> None:
    mine = begun()
    clock.move(LIFETIME - 1)
    assert not transactions().is_over(mine)
    clock.move(1)
    assert transactions().is_over(mine)


def test_the_oldest_make_room_for_the_newest(clock: Clock) -> None:
    cookies: list[str] = []
    for _ in range(6):
        (cookie,) = transactions().keep(begun(), header(*cookies))
        cookies.append(cookie)
        clock.move(1)
    _, *dropped = transactions().keep(begun(), header(*reversed(cookies)))
    assert [pair(cookie) for cookie in dropped] == [cookies[0].partition("=")[0] + "="]


def test_what_is_over_or_unreadable_makes_room_first(clock: Clock) -> None:
    (old,) = transactions().keep(begun(), b"")
    clock.move(LIFETIME)
    (young,) = transactions().keep(begun(), b"")
    _, *dropped = transactions().keep(begun(), header("ck_login_bad=x", old, young))
    assert sorted(map(pair, dropped)) == sorted([old.partition("=")[0] + "=", "ck_login_bad="])


def test_long_addresses_leave_room_for_fewer(clock: Clock) -> None:
    cookies: list[str] = []
    for _ in range(6):
        cookie, *dropped = transactions().keep(begun("/" + "a" * 1000), header(*cookies))
        gone = {pair(one) for one in dropped}
        cookies = [one for one in cookies if one.partition("=")[0] + "=" not in gone] + [cookie]
        assert len(header(*cookies)) < 4096
        clock.move(1)
    assert len(cookies) == 1 + (3584 - len(pair(cookie))) // len(pair(cookie))


def test_names_that_are_none_of_ours_are_left_alone() -> None:
    odd = b"ck_login_a-b=x; ck_login_=x; ck_login_\xe9=x; ck_login_a b=x; other=x"
    assert len(transactions().keep(begun(), odd)) == 1


def test_ours_are_counted_behind_names_that_are_none_of_ours(clock: Clock) -> None:
    (old,) = transactions().keep(begun(), b"")
    clock.move(LIFETIME)
    _, *dropped = transactions().keep(begun(), b"ck_login_a-b=x; " + header(old))
    assert list(map(pair, dropped)) == [old.partition("=")[0] + "="]


def test_what_is_kept_fits_to_the_byte(clock: Clock) -> None:
    (mine,) = transactions().keep(begun(), b"")
    size = len(pair(mine)) - 1  # without the equals sign
    padding = (TOGETHER - 2 * size) * 3 // 4  # characters more to return to, each of which base64 makes a third longer
    kept = [
        len(header(other, mine)) - len("; ==")
        for more in range(padding - 4, padding + 4)
        for other in transactions().keep(begun("/" + "a" * more), b"")
        if len(transactions().keep(begun(), header(other))) == 1
    ]
    assert max(kept) == TOGETHER


def test_a_crowd_of_planted_cookies_costs_little() -> None:
    planted = "; ".join(f"ck_login_{number}=x" for number in range(5000)).encode()
    assert len(transactions().keep(begun(), planted)) < 100


def test_a_login_under_the_name_of_another_is_not_found() -> None:
    mine, other = begun(), begun()
    name = transactions().forget(mine.state).partition("=")[0]
    seal = Seal([SECRET], purpose="login", client="ck_a")
    for login, found in ((other, None), (mine, mine)):
        value = seal.seal(json.dumps(asdict(login)).encode(), name=name)
        assert transactions().find(mine.state, f"{name}={value}".encode()) == found


def test_what_is_sealed_for_a_login_is_read_as_one_only_when_it_is_one() -> None:
    stranger = Seal([SECRET], purpose="session", client="ck_a")
    mine = begun()
    name = transactions().forget(mine.state).partition("=")[0]
    value = stranger.seal(json.dumps({"state": mine.state}).encode(), name=name)
    assert transactions().find(mine.state, f"{name}={value}".encode()) is None
