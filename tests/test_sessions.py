"""A session in one sealed cookie: started, found, ended."""

import json
from typing import Any

import pytest

from ck_middleware.config import AuthConfig
from ck_middleware.cookies import Attributes
from ck_middleware.errors import SessionTooLarge
from ck_middleware.messages import Pass
from ck_middleware.ports import step
from ck_middleware.sessions import SealedSessions
from ck_middleware.tokens import Login, Tokens
from support.clock import Clock
from support.faces import PlainRequest

ADA = {"iss": "https://issuer.example", "sub": "ck_u_1", "name": "Ada"}


def sessions(*, keep: tuple[str, ...] | None = None, idle: float = 100, secure: bool = False) -> SealedSessions:
    config = AuthConfig(
        client_id="ck_a",
        client_auth="none",
        session_secret="s" * 32,
        session_lifetime=1000,
        idle_timeout=idle,
        claims=keep,
    )
    return SealedSessions(config, Attributes(secure=secure))


def start(claims: dict[str, Any], where: SealedSessions | None = None) -> str:
    """The one cookie of a new session."""
    (cookie,) = step((where or sessions()).start(Login(claims, Tokens("at-1")), PlainRequest()))
    return cookie


def end(where: SealedSessions | None = None) -> str:
    (cookie,) = step((where or sessions()).end(PlainRequest())).cookies
    return cookie


def find(cookies: str, where: SealedSessions | None = None) -> Pass:
    return step((where or sessions()).find(PlainRequest(cookies=cookies)))


def pair(cookie: str) -> str:
    return cookie.partition(";")[0]


def kept(claims: dict[str, Any], keep: tuple[str, ...] | None = None) -> dict[str, Any]:
    return dict(find(pair(start(claims, sessions(keep=keep)))).user.claims)


def test_a_session_that_was_started_is_found() -> None:
    found = find("a=b; " + pair(start(ADA)))
    assert dict(found.user.claims) == ADA
    assert found.cookies == ()


def test_without_a_cookie_nobody_is_there_and_nothing_is_cleared() -> None:
    found = find("other=1")
    assert not found.user.is_authenticated
    assert found.cookies == ()
    assert not sessions().carried(PlainRequest(cookies="other=1"))


@pytest.mark.parametrize("cookies", ["ck_session=", "ck_session=x", "ck_session=a; ck_session=b"])
def test_a_cookie_that_is_no_session_is_cleared(cookies: str) -> None:
    found = find(cookies)
    assert not found.user.is_authenticated
    assert found.cookies == (end(),)
    assert sessions().carried(PlainRequest(cookies=cookies))


def test_a_cookie_lives_no_longer_than_the_session() -> None:
    assert "; Max-Age=100;" in start(ADA)
    assert "; Max-Age=1000;" in start(ADA, sessions(idle=5000))


@pytest.mark.parametrize(("secure", "name"), [(False, "ck_session"), (True, "__Host-ck_session")])
def test_the_cookie_of_a_session_has_one_name(secure: bool, name: str) -> None:  # noqa: FBT001
    there = sessions(secure=secure)
    assert start(ADA, there).startswith(f"{name}=")
    assert end(there).startswith(f"{name}=; Max-Age=0;")
    assert find(pair(start(ADA, there)), there).user.is_authenticated
    other = sessions(secure=not secure)
    assert not find(pair(start(ADA, there)).replace(name, pair(end(other))[:-1]), other).user.is_authenticated


def test_a_fraction_of_a_second_is_time_too(clock: Clock) -> None:
    cookie = pair(start(ADA))
    clock.move(9.9)
    assert find(cookie).cookies == ()
    clock.move(0.1)
    (renewed,) = find(cookie).cookies
    clock.move(89.9)
    assert find(cookie).user.is_authenticated
    clock.move(0.1)
    assert not find(cookie).user.is_authenticated
    assert find(pair(renewed)).user.is_authenticated


def test_proof_of_a_login_and_tokens_are_never_kept() -> None:
    proof = dict.fromkeys(("nonce", "at_hash", "c_hash", "access_token", "refresh_token", "id_token"), "x")
    assert kept(ADA | proof) == ADA
    assert kept(ADA | proof, keep=("nonce", "access_token", "name")) == ADA


def test_only_named_claims_are_kept_beside_who_it_is() -> None:
    claims = ADA | {"email": "a@example.test", "groups": ["staff"]}
    assert kept(claims, keep=("email",)) == {"iss": ADA["iss"], "sub": ADA["sub"], "email": "a@example.test"}
    assert kept(claims, keep=()) == {"iss": ADA["iss"], "sub": ADA["sub"]}
    assert kept(claims) == claims


@pytest.mark.parametrize("value", ["Zoë", "日本", "\u2028", '"\\\x00', 1.5, 10**30, True, None, [{"a": []}]])
def test_claims_come_back_as_they_were(value: object) -> None:
    assert kept(ADA | {"claim": value})["claim"] == value


def test_half_a_character_is_no_reason_to_fail() -> None:
    assert kept(ADA | {"name": "half \ud800", "\udfff": "x"})["sub"] == "ck_u_1"


def test_a_session_may_be_as_large_as_a_cookie_and_no_larger() -> None:
    def size(length: int) -> int:
        return len(pair(start(ADA | {"about": "x" * length})))

    length = 2000
    while size(length) <= 4092:
        length += 1
    assert find(pair(start(ADA | {"about": "x" * length}))).user.is_authenticated
    with pytest.raises(SessionTooLarge):
        size(length + 6)


def test_the_fattest_claim_is_named_with_both_remedies() -> None:
    claims = ADA | {"groups": ["g"] * 900, "about": "x" * 1500, "picture": "é" * 600}
    with pytest.raises(SessionTooLarge, match="groups") as caught:
        start(claims)
    for remedy in ("CONSENTKEYS_CLAIMS", "CONSENTKEYS_STORE"):
        assert remedy in str(caught.value)
    assert "ck_u_1" not in str(caught.value)


def test_the_times_are_under_the_seal(clock: Clock) -> None:
    """What a browser can change of its cookie ends the session, and never lengthens it."""
    value = pair(start(ADA)).partition("=")[2]
    clock.move(200)
    for place in range(len(value)):
        changed = value[:place] + ("A" if value[place] != "A" else "B") + value[place + 1 :]
        assert not find(f"ck_session={changed}").user.is_authenticated


def test_a_session_holds_json_that_any_app_can_read() -> None:
    json.dumps(kept(ADA | {"claim": {"a": [1, 2.5, None, True, "é"]}}))


def test_what_a_cookie_cannot_know_it_does_not_claim_to() -> None:
    """Nothing is kept on the server: nobody else's session can be found there, and no session has tokens."""
    there = sessions()
    assert step(there.end_all("anybody")) == []
    assert step(there.first("a login")) is step(there.first("a login")) is True
    ending = step(there.end(PlainRequest(cookies=pair(start(ADA)))))
    assert (ending.tokens, ending.hint) == (None, None)
    assert find(pair(start(ADA))).session is None


def test_a_session_says_when_it_ends(clock: Clock) -> None:
    cookie = pair(start(ADA))
    clock.move(50)
    assert find(cookie).ends_at == clock.now + 950
