"""The provider ends sessions itself (OpenID Connect Back-Channel Logout 1.0), and nobody else does so in its name."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from starlette.responses import Response

from support import forgery
from support.browser import FETCH, FORM, NAVIGATION, Browser
from support.clock import Clock
from support.faces import Answer, Asked, Face, Guard, told
from support.provider import MisbehavingProvider

PATH = "/auth/backchannel-logout"
EVENT = "http://schemas.openid.net/event/backchannel-logout"
LARGEST = 32 * 1024  # bytes of a form


@pytest.fixture(params=["sqlite", "redis"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def ada(clock: Clock, browser: Browser, provider: MisbehavingProvider) -> Browser:
    provider.faults.id_token_claims = lambda claims: claims | {"sid": "sid-1"}
    browser.log_in(name="Ada")
    provider.faults.id_token_claims = forgery.unchanged
    return browser


@pytest.fixture
def sub(ada: Browser) -> str:
    return str(told(ada.get("/"))["sub"])


def post(face: Face, body: bytes, **headers: str) -> Answer:
    """What the provider's server sends: no cookie, no origin, nothing of a browser."""
    sent = {"Host": "localhost:8000", **FORM} | headers
    return face.ask(Asked("POST", PATH, list(sent.items()), body))


def tell(face: Face, token: str) -> Answer:
    return post(face, f"logout_token={token}".encode())


def accepted(answer: Answer) -> bool:
    assert answer.header("cache-control") == "no-store"
    assert answer.every("set-cookie") == []
    assert answer.status in {200, 400}
    return answer.status == 200


def test_the_sessions_of_a_person_end(ada: Browser, sub: str, provider: MisbehavingProvider) -> None:
    phone, grace = Browser(ada.face), Browser(ada.face)
    phone.log_in(name="Ada")
    grace.log_in(name="Grace")
    assert accepted(tell(ada.face, provider.logout_token(sub)))
    assert not ada.is_logged_in
    assert not phone.is_logged_in
    assert grace.is_logged_in
    ada.log_in(name="Ada")
    assert ada.is_logged_in


@pytest.mark.parametrize("with_sub", [True, False])
def test_with_a_sid_one_session_of_the_provider_ends(
    ada: Browser,
    sub: str,
    provider: MisbehavingProvider,
    with_sub: bool,  # noqa: FBT001  # a column of the table
) -> None:
    phone = Browser(ada.face)
    phone.log_in(name="Ada")  # in a session of the provider that it did not name
    assert accepted(tell(ada.face, provider.logout_token(sub if with_sub else None, sid="sid-1")))
    assert not ada.is_logged_in
    assert phone.is_logged_in


@pytest.mark.parametrize("claims", [{"sub": "ck_u_nobody"}, {"sub": None, "sid": "sid-nobody"}])
def test_who_has_no_session_is_logged_out_already(
    ada: Browser, provider: MisbehavingProvider, claims: dict[str, Any]
) -> None:
    assert accepted(tell(ada.face, provider.logout_token(**({"sub": None} | claims))))
    assert ada.is_logged_in


@pytest.mark.parametrize("headers", [FETCH, NAVIGATION, {"Origin": "https://evil.example"}, {"Cookie": "ck_session=x"}])
def test_no_header_has_a_say(ada: Browser, sub: str, provider: MisbehavingProvider, headers: dict[str, str]) -> None:
    assert not accepted(post(ada.face, b"logout_token=x", **headers))
    assert accepted(post(ada.face, f"logout_token={provider.logout_token(sub)}".encode(), **headers))


def test_what_is_not_known_is_ignored(ada: Browser, sub: str, provider: MisbehavingProvider) -> None:
    token = provider.logout_token(sub, trace_id="x", events={EVENT: {"more": 1}, "https://other.example": {}})
    assert accepted(post(ada.face, f"a=b&logout_token={token}&c=d&c=e".encode()))
    assert not ada.is_logged_in


@pytest.mark.parametrize("typ", [None, "JWT", "logout+jwt", "LOGOUT+JWT", "application/logout+jwt"])
def test_the_type_of_a_logout_token_may_be_left_out(
    ada: Browser, sub: str, provider: MisbehavingProvider, typ: str | None
) -> None:
    provider.faults.sign = lambda key, header, claims: forgery.rs256(
        key, forgery.without("typ")(header) | ({"typ": typ} if typ else {}), claims
    )
    assert accepted(tell(ada.face, provider.logout_token(sub)))


@pytest.mark.parametrize("typ", ["at+jwt", "id_token+jwt", "secevent+jwt", ""])
def test_another_type_is_no_logout_token(ada: Browser, sub: str, provider: MisbehavingProvider, typ: str) -> None:
    provider.faults.sign = lambda key, header, claims: forgery.rs256(key, header | {"typ": typ}, claims)
    assert not accepted(tell(ada.face, provider.logout_token(sub)))
    assert ada.is_logged_in


REFUSED: dict[str, dict[str, Any]] = {
    "no-event": {"events": None},
    "wrong-event": {"events": {"http://schemas.openid.net/event/foobar": {}}},
    "event-is-no-object": {"events": {EVENT: True}},
    "events-are-a-list": {"events": [EVENT]},
    "events-are-a-text": {"events": EVENT},
    "with-nonce": {"nonce": "n"},
    "with-empty-nonce": {"nonce": ""},
    "wrong-aud": {"aud": "ck_another"},
    "superstring-aud": {"aud": "ck_0123456789abcdef0123456789abcdef1"},
    "no-aud": {"aud": None},
    "wrong-azp": {"azp": "ck_another"},
    "wrong-iss": {"iss": "https://evil.example"},
    "no-iss": {"iss": None},
    "expired": {"exp": 1},
    "no-exp": {"exp": None},
    "no-iat": {"iat": None},
    "iat-is-a-text": {"iat": "now"},
    "missing-jti": {"jti": None},
    "empty-jti": {"jti": ""},
    "jti-is-a-number": {"jti": 5},
    "neither-sub-nor-sid": {"sub": None},
    "empty-sub": {"sub": ""},
    "sub-is-a-list": {"sub": ["a"]},
    "empty-sid": {"sid": ""},
    "sid-is-a-number": {"sid": 5},
}


@pytest.mark.parametrize("changes", REFUSED.values(), ids=REFUSED)
def test_a_token_that_does_not_say_the_right_thing_is_refused(
    ada: Browser, sub: str, provider: MisbehavingProvider, changes: dict[str, Any]
) -> None:
    assert not accepted(tell(ada.face, provider.logout_token(**({"sub": sub} | changes))))
    assert ada.is_logged_in
    assert accepted(tell(ada.face, provider.logout_token(sub)))


@pytest.mark.parametrize(
    "sign",
    [
        forgery.alg_none,
        forgery.another_key,
        forgery.broken_signature,
        forgery.hs256_with_public_key,
        forgery.hs256(b"s+e/c=r%e:t&0123456789"),
        forgery.es256,
    ],
    ids=["alg-none", "another-key", "broken", "public-key-as-secret", "client-secret", "wrong-alg"],
)
def test_a_token_that_the_provider_did_not_sign_as_agreed_is_refused(
    guard: Guard, provider: MisbehavingProvider, sign: forgery.Signer
) -> None:
    provider.faults.jwks = forgery.with_ec_key  # a good key, of an algorithm that was not agreed on
    ada = Browser(guard())
    ada.log_in()
    sub = str(told(ada.get("/"))["sub"])
    provider.faults.sign = sign
    assert not accepted(tell(ada.face, provider.logout_token(sub)))
    assert ada.is_logged_in


@pytest.mark.parametrize(("age", "good"), [(0, True), (599, True), (601, False), (-59, True), (-61, False)])
def test_a_token_is_issued_just_now(
    ada: Browser,
    sub: str,
    provider: MisbehavingProvider,
    clock: Clock,
    age: int,
    good: bool,  # noqa: FBT001  # a column of the table
) -> None:
    token = provider.logout_token(sub, iat=int(clock.now) - age, exp=int(clock.now) + 3600)
    assert accepted(tell(ada.face, token)) is good
    assert ada.is_logged_in is not good


def test_a_token_ends_sessions_once(ada: Browser, sub: str, provider: MisbehavingProvider, guard: Guard) -> None:
    token = provider.logout_token(sub)
    assert accepted(tell(ada.face, token))
    ada.log_in(name="Ada")
    assert not accepted(tell(ada.face, token))
    assert not accepted(tell(guard(), token))  # nor at another worker
    assert ada.is_logged_in
    assert accepted(tell(ada.face, provider.logout_token(sub)))
    assert not ada.is_logged_in


def test_the_id_of_a_token_that_was_refused_is_not_spent(ada: Browser, sub: str, provider: MisbehavingProvider) -> None:
    assert not accepted(tell(ada.face, provider.logout_token(sub, jti="j", nonce="n")))
    assert accepted(tell(ada.face, provider.logout_token(sub, jti="j")))


@pytest.mark.parametrize("payload", [b"", b"[]", b"no json", b'{"a": 1, "a": 1}', b"\xff", b"[" * 9999])
def test_what_is_signed_and_no_object_is_refused(
    ada: Browser, sub: str, provider: MisbehavingProvider, payload: bytes
) -> None:
    provider.faults.sign = lambda key, header, claims: forgery.rs256(key, header, payload)
    assert not accepted(tell(ada.face, provider.logout_token(sub)))
    assert ada.is_logged_in


def test_an_id_token_is_no_logout_token(guard: Guard, provider: MisbehavingProvider) -> None:
    issued: list[str] = []

    def remember(token: str) -> str:
        issued.append(token)
        return token

    provider.faults.raw_id_token = remember
    ada = Browser(guard())
    ada.log_in()
    assert not accepted(tell(ada.face, issued[0]))
    assert ada.is_logged_in


BODIES: dict[str, Callable[[str], bytes]] = {
    "empty": lambda token: b"",
    "another-field": lambda token: f"token={token}".encode(),
    "two-tokens": lambda token: f"logout_token={token}&logout_token={token}".encode(),
    "a-good-and-an-empty-one": lambda token: f"logout_token={token}&logout_token=".encode(),
    "json": lambda token: json.dumps({"logout_token": token}).encode(),
    "no-token": lambda token: b"logout_token=a.b.c",
    "too-large": lambda token: f"logout_token={token}&x={'x' * LARGEST}".encode(),
    "too-many-fields": lambda token: f"logout_token={token}{'&x=y' * 100}".encode(),
    "not-ascii": lambda token: f"logout_token={token}&x=".encode() + b"\xff",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_body_that_is_no_such_form_is_refused(
    ada: Browser, sub: str, provider: MisbehavingProvider, body: Callable[[str], bytes]
) -> None:
    assert not accepted(post(ada.face, body(provider.logout_token(sub))))
    assert ada.is_logged_in


def test_a_token_in_the_address_is_none(ada: Browser, sub: str, provider: MisbehavingProvider) -> None:
    target = f"{PATH}?logout_token={provider.logout_token(sub)}"
    assert not accepted(ada.face.ask(Asked("POST", target, [("Host", "localhost:8000")])))
    assert ada.is_logged_in


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_another_method_is_not_allowed(ada: Browser, method: str) -> None:
    answer = ada.request(method, PATH)
    assert (answer.status, answer.header("allow")) == (405, "POST")
    assert ada.is_logged_in


@pytest.mark.parametrize("kind", ["cookie"])
def test_without_a_store_there_is_no_such_address(browser: Browser, provider: MisbehavingProvider) -> None:
    assert tell(browser.face, provider.logout_token("ck_u_1")).status == 404


def test_it_is_known_without_a_login_and_after_the_provider_changed_its_keys(
    ada: Browser, sub: str, provider: MisbehavingProvider, guard: Guard
) -> None:
    provider.rotate()
    assert accepted(tell(guard(), provider.logout_token(sub)))
    assert not ada.is_logged_in


def test_while_the_keys_cannot_be_had_nothing_is_believed(
    ada: Browser, sub: str, provider: MisbehavingProvider, guard: Guard
) -> None:
    provider.faults.answer("jwks", Response(status_code=503))
    restarted = guard()
    token = provider.logout_token(sub)
    assert not accepted(tell(restarted, token))
    assert ada.is_logged_in
    provider.faults.heal()
    assert accepted(tell(restarted, token))  # sent again
    assert not ada.is_logged_in
