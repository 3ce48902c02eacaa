"""What an ID token must say before anybody is let in. Its signature is another matter: test_jose.py."""

import base64
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ck_middleware.errors import TokenInvalid
from ck_middleware.id_token import LATEST, LOGOUT_EVENT, Expected, LoggedOut, read_claims, read_logout, read_refreshed

Claims = dict[str, Any]

ISSUER = "https://idp.example"
CLIENT = "ck_1234"
NOW = 1_800_000_000.0
LEEWAY = 60
OLDEST = 600  # seconds since it was issued
LONGEST_SUB = 255  # characters
EXPECTED = Expected(
    issuer=ISSUER,
    client_id=CLIENT,
    nonce="the-nonce",
    algorithm="RS256",
    access_token="the-access-token",
    leeway=LEEWAY,
    allow_missing_nonce=False,
)
HONEST: Claims = {
    "iss": ISSUER,
    "sub": "ck_u_1",
    "aud": CLIENT,
    "exp": NOW + 3600,
    "iat": NOW,
    "nonce": "the-nonce",
}
NOT_TIMES = [
    None,
    True,
    False,
    "",
    str(int(NOW)),
    [NOW],
    {"at": NOW},
    -1,
    -(10**400),
    10**400,
    1e300,
    LATEST + 1,
]


@pytest.fixture(autouse=True)
def frozen_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)


def read(claims: Claims, expected: Expected = EXPECTED) -> Claims:
    return read_claims(json.dumps(claims).encode(), expected)


def refused(claims: Claims, expected: Expected = EXPECTED) -> bool:
    with pytest.raises(TokenInvalid):
        read(claims, expected)
    return True


def without(name: str) -> Claims:
    return {claim: value for claim, value in HONEST.items() if claim != name}


def half_hash(name: str, text: str = EXPECTED.access_token) -> str:
    digest = hashlib.new(name, text.encode()).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()


def test_an_honest_token_gives_its_claims() -> None:
    assert read(HONEST) == HONEST


def test_claims_that_nobody_knows_are_kept_and_do_not_matter() -> None:
    claims = HONEST | {"acr": "0", "amr": ["otp"], "auth_time": NOW - 0.5, "groups": ["staff"], "nested": {"iss": "x"}}
    assert read(claims) == claims


# The document


@pytest.mark.parametrize("payload", [b"", b"null", b"[]", b'"text"', b"{", b"no json", b"\xff\xfe{}", b"[" * 100_000])
def test_a_payload_that_is_no_object_is_refused(payload: bytes) -> None:
    with pytest.raises(TokenInvalid):
        read_claims(payload, EXPECTED)


@pytest.mark.parametrize("name", sorted(HONEST))
def test_a_claim_that_stands_twice_is_refused(name: str) -> None:
    honest = json.dumps(HONEST)
    twice = f'{honest[:-1]}, "{name}": {json.dumps(HONEST[name])}}}'
    with pytest.raises(TokenInvalid):
        read_claims(twice.encode(), EXPECTED)


# The issuer


@pytest.mark.parametrize(
    "issuer",
    [
        None,
        "",
        5,
        [ISSUER],
        {"iss": ISSUER},
        f"{ISSUER}/",
        f" {ISSUER}",
        f"{ISSUER}.evil.example",
        ISSUER.upper(),
        ISSUER.replace("https", "http"),
        ISSUER.removeprefix("https://"),
        "https://evil.example",
    ],
)
def test_another_issuer_is_refused(issuer: object) -> None:
    assert refused(HONEST | {"iss": issuer})


def test_a_token_without_an_issuer_is_refused() -> None:
    assert refused(without("iss"))


@pytest.mark.parametrize("issuer", [f"{ISSUER}/", f"{ISSUER}/tenant", "http://localhost:3000"])
def test_an_issuer_is_accepted_exactly_as_it_is_configured(issuer: str) -> None:
    assert read(HONEST | {"iss": issuer}, replace(EXPECTED, issuer=issuer))["iss"] == issuer


def test_two_empty_issuers_are_not_the_same() -> None:
    assert refused(HONEST | {"iss": ""}, replace(EXPECTED, issuer=""))


# The audience


@pytest.mark.parametrize("audience", [CLIENT, [CLIENT], [CLIENT, CLIENT]])
def test_a_token_for_us_alone_is_accepted(audience: object) -> None:
    assert read(HONEST | {"aud": audience})["aud"] == audience


@pytest.mark.parametrize(
    "audience",
    [
        None,
        "",
        [],
        {},
        {CLIENT: 1},
        5,
        "another",
        CLIENT + "1",
        "1" + CLIENT,
        CLIENT[:-1],
        CLIENT.upper(),
        f"{CLIENT} another",
        ["another"],
        [CLIENT + "1"],
        [[CLIENT]],
        [None],
    ],
)
def test_a_token_for_another_client_is_refused(audience: object) -> None:
    assert refused(HONEST | {"aud": audience})


def test_a_token_for_nobody_is_refused() -> None:
    assert refused(without("aud"))


@pytest.mark.parametrize("audience", [[CLIENT, CLIENT + "1"], ["another", CLIENT], [CLIENT, None], [CLIENT, [CLIENT]]])
@pytest.mark.parametrize("azp", [{}, {"azp": CLIENT}])
def test_a_token_for_us_and_for_others_is_refused_whoever_asked_for_it(audience: object, azp: Claims) -> None:
    assert refused(HONEST | {"aud": audience} | azp)


def test_two_empty_client_ids_are_not_the_same() -> None:
    assert refused(HONEST | {"aud": ""}, replace(EXPECTED, client_id=""))


@pytest.mark.parametrize("audience", [CLIENT, [CLIENT]])
def test_an_authorized_party_that_is_us_is_accepted(audience: object) -> None:
    assert read(HONEST | {"aud": audience, "azp": CLIENT})["azp"] == CLIENT


@pytest.mark.parametrize("azp", ["another", CLIENT + "1", "", [CLIENT], 0, False])
@pytest.mark.parametrize("audience", [CLIENT, [CLIENT]])
def test_an_authorized_party_that_is_not_us_is_refused(audience: object, azp: object) -> None:
    assert refused(HONEST | {"aud": audience, "azp": azp})


# Times


@pytest.mark.parametrize("value", NOT_TIMES)
@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
def test_a_time_that_is_none_is_refused(name: str, value: object) -> None:
    assert refused(HONEST | {name: value})


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "1" * 5000])
@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
def test_a_number_that_no_json_can_mean_is_no_time(name: str, number: str) -> None:
    members = [f'"{claim}": {json.dumps(value)}' for claim, value in HONEST.items() if claim != name]
    payload = "{" + ", ".join([*members, f'"{name}": {number}']) + "}"
    with pytest.raises(TokenInvalid):
        read_claims(payload.encode(), EXPECTED)


@pytest.mark.parametrize("name", ["exp", "iat"])
def test_a_token_without_its_times_is_refused(name: str) -> None:
    assert refused(without(name))


@pytest.mark.parametrize("expiry", [NOW + 1, NOW, NOW - LEEWAY + 1, int(NOW) + 10, LATEST])
def test_a_token_that_has_not_expired_is_accepted(expiry: float) -> None:
    assert read(HONEST | {"exp": expiry})["exp"] == expiry


@pytest.mark.parametrize("expiry", [NOW - LEEWAY, NOW - LEEWAY - 1, NOW - 360, 1, 0])
def test_a_token_that_has_expired_is_refused(expiry: float) -> None:
    assert refused(HONEST | {"exp": expiry})


@pytest.mark.parametrize("issued", [NOW, NOW + LEEWAY, NOW - OLDEST, NOW - OLDEST + 0.5, int(NOW)])
def test_a_token_that_was_issued_just_now_is_accepted(issued: float) -> None:
    assert read(HONEST | {"iat": issued})["iat"] == issued


@pytest.mark.parametrize("issued", [NOW + LEEWAY + 1, NOW + 86400, NOW - OLDEST - 1, NOW - 86400, 0])
def test_a_token_from_the_future_or_the_past_is_refused(issued: float) -> None:
    assert refused(HONEST | {"iat": issued})


@pytest.mark.parametrize("start", [0, NOW - 86400, NOW, NOW + LEEWAY])
def test_a_token_that_is_valid_already_is_accepted(start: float) -> None:
    assert read(HONEST | {"nbf": start})["nbf"] == start


@pytest.mark.parametrize("start", [NOW + LEEWAY + 1, NOW + 86400])
def test_a_token_that_is_not_valid_yet_is_refused(start: float) -> None:
    assert refused(HONEST | {"nbf": start})


@pytest.mark.parametrize("changes", [{"exp": NOW}, {"iat": NOW + 1}, {"nbf": NOW + 1}])
def test_clocks_may_differ_by_the_leeway_and_no_more(changes: Claims) -> None:
    assert read(HONEST | changes)
    assert refused(HONEST | changes, replace(EXPECTED, leeway=0))


# The subject


@pytest.mark.parametrize("sub", ["ck_u_1", "user_1", "ck_sub_1", "1", " a b ", "~!@#", "a" * LONGEST_SUB])
def test_a_subject_is_any_ascii_text_of_the_right_length(sub: str) -> None:
    assert read(HONEST | {"sub": sub})["sub"] == sub


@pytest.mark.parametrize(
    "sub",
    [
        None,
        "",
        5,
        0,
        True,
        ["ck_u_1"],
        {"a": 1},
        "a" * (LONGEST_SUB + 1),
        "renée",
        "a\u2028b",
        "a\nb",
        "a\x00",
        "\ud800",
    ],
)
def test_a_subject_that_is_no_such_text_is_refused(sub: object) -> None:
    assert refused(HONEST | {"sub": sub})


def test_a_token_without_a_subject_is_refused() -> None:
    assert refused(without("sub"))


# The nonce


@pytest.mark.parametrize(
    "nonce", ["", "another", "THE-NONCE", "the-nonce ", "the-nonc", 5, True, ["the-nonce"], {}, "\ud800"]
)
@pytest.mark.parametrize("allowed", [False, True])
def test_a_wrong_nonce_is_refused_whatever_the_settings_say(nonce: object, allowed: bool) -> None:  # noqa: FBT001
    assert refused(HONEST | {"nonce": nonce}, replace(EXPECTED, allow_missing_nonce=allowed))


def test_the_right_nonce_is_accepted_also_where_it_may_be_missing() -> None:
    assert read(HONEST, replace(EXPECTED, allow_missing_nonce=True)) == HONEST


@pytest.mark.parametrize("claims", [without("nonce"), HONEST | {"nonce": None}])
def test_a_missing_nonce_is_refused_unless_the_settings_allow_it(claims: Claims) -> None:
    with pytest.raises(TokenInvalid, match="allow_missing_nonce"):
        read(claims)
    assert read(claims, replace(EXPECTED, allow_missing_nonce=True)) == claims


@pytest.mark.parametrize("allowed", [False, True])
def test_two_empty_nonces_are_not_the_same(allowed: bool) -> None:  # noqa: FBT001
    assert refused(HONEST | {"nonce": ""}, replace(EXPECTED, nonce="", allow_missing_nonce=allowed))


# The access token's hash

HASHES = [
    ("RS256", "sha256"),
    ("PS256", "sha256"),
    ("ES256", "sha256"),
    ("RS384", "sha384"),
    ("PS384", "sha384"),
    ("ES384", "sha384"),
    ("RS512", "sha512"),
    ("PS512", "sha512"),
    ("ES512", "sha512"),
    ("EdDSA", "sha512"),
]


@pytest.mark.parametrize(("algorithm", "name"), HASHES)
def test_the_hash_of_the_access_token_is_that_of_the_algorithm(algorithm: str, name: str) -> None:
    expected = replace(EXPECTED, algorithm=algorithm)
    assert read(HONEST | {"at_hash": half_hash(name)}, expected)
    for other in {"sha256", "sha384", "sha512"} - {name}:
        assert refused(HONEST | {"at_hash": half_hash(other)}, expected)


@pytest.mark.parametrize(
    "change",
    [
        lambda right: half_hash("sha256", "another access token"),
        lambda right: right + "=",
        lambda right: right[:-1],
        lambda right: right.swapcase(),
        lambda right: "",
        lambda right: [right],
        lambda right: 5,
        lambda right: False,
        lambda right: "\ud800",
        lambda right: base64.urlsafe_b64encode(hashlib.sha256(EXPECTED.access_token.encode()).digest()).decode(),
    ],
)
def test_a_wrong_hash_of_the_access_token_is_refused(change: Callable[[str], object]) -> None:
    assert refused(HONEST | {"at_hash": change(half_hash("sha256"))})


@pytest.mark.parametrize("claims", [HONEST, HONEST | {"at_hash": None}])
def test_a_token_need_not_have_the_hash_of_the_access_token(claims: Claims) -> None:
    assert read(claims) == claims


def test_the_hash_of_an_algorithm_that_is_not_known_fits_nothing() -> None:
    expected = replace(EXPECTED, algorithm="XS000")
    assert read(HONEST, expected)
    assert all(refused(HONEST | {"at_hash": half_hash(name)}, expected) for name in ("sha256", "sha384", "sha512"))


def test_a_refusal_says_what_was_wrong_without_quoting_the_token() -> None:
    secrets = {"nonce": "n-" * 8, "at_hash": "h-" * 8, "email": "ada@example.com"}
    for name in ("nonce", "at_hash"):
        with pytest.raises(TokenInvalid) as refusal:
            read(HONEST | {name: secrets[name], "email": secrets["email"]})
        assert not any(secret in str(refusal.value) for secret in [*secrets.values(), EXPECTED.nonce])


# The ID token that comes with a refresh (OpenID Connect Core, 12.2)


def refreshed(claims: Claims, *, sub: str = "ck_u_1", auth_time: float | None = 100.0) -> None:
    read_refreshed(json.dumps(claims).encode(), EXPECTED, sub=sub, auth_time=auth_time)


@pytest.mark.parametrize(
    ("claims", "auth_time"),
    [
        (HONEST | {"auth_time": 100}, 100.0),
        (HONEST, 100.0),  # it need not say when
        (HONEST | {"auth_time": 200}, None),  # the first one did not say
    ],
)
def test_a_refreshed_token_about_the_same_login_is_accepted(claims: Claims, auth_time: float | None) -> None:
    refreshed(claims, auth_time=auth_time)


@pytest.mark.parametrize(
    ("claims", "sub"),
    [
        (HONEST | {"auth_time": 101}, "ck_u_1"),
        (HONEST | {"auth_time": None}, "ck_u_1"),
        (HONEST, "ck_u_2"),
        (HONEST, ""),
        (HONEST | {"iss": "https://other.example"}, "ck_u_1"),
        (HONEST | {"exp": NOW - LEEWAY}, "ck_u_1"),
    ],
)
def test_a_refreshed_token_about_anything_else_is_refused(claims: Claims, sub: str) -> None:
    with pytest.raises(TokenInvalid):
        refreshed(claims, sub=sub)


# The logout token (Back-Channel Logout 1.0, 2.6)

LOGOUT: Claims = {
    "iss": ISSUER,
    "aud": CLIENT,
    "iat": NOW,
    "exp": NOW + 120,
    "jti": "j-1",
    "events": {LOGOUT_EVENT: {}},
    "sub": "ck_u_1",
    "sid": "s-1",
}


def read_logged_out(payload: bytes, issuer: str = ISSUER, client_id: str = CLIENT) -> LoggedOut:
    return read_logout(payload, issuer, client_id, LEEWAY)


@pytest.mark.parametrize(
    ("missing", "sub", "sid"), [("", "ck_u_1", "s-1"), ("sub", None, "s-1"), ("sid", "ck_u_1", None)]
)
def test_a_logout_token_says_whose_sessions_end(missing: str, sub: str | None, sid: str | None) -> None:
    claims = {name: value for name, value in LOGOUT.items() if name != missing} | {"more": "does not matter"}
    assert read_logged_out(json.dumps(claims).encode()) == LoggedOut(ISSUER, sub, sid, "j-1")


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://other.example"},
        {"aud": "ck_other"},
        {"aud": [CLIENT, "ck_other"]},
        {"azp": "ck_other"},
        {"exp": NOW - LEEWAY},
        {"exp": ...},
        {"iat": NOW + LEEWAY + 1},
        {"iat": NOW - OLDEST - 1},
        {"nonce": "the-nonce"},
        {"nonce": None},
        {"events": ...},
        {"events": []},
        {"events": {}},
        {"events": {LOGOUT_EVENT: None}},
        {"events": {LOGOUT_EVENT.upper(): {}}},
        {"events": [LOGOUT_EVENT]},
        {"jti": ...},
        {"jti": ""},
        {"jti": 5},
        {"sub": ..., "sid": ...},
        {"sub": ""},
        {"sub": 5},
        {"sid": ""},
        {"sid": ["s-1"]},
    ],
)
def test_a_logout_token_that_is_not_quite_one_ends_nothing(change: Claims) -> None:
    claims = {name: value for name, value in (LOGOUT | change).items() if value is not ...}
    with pytest.raises(TokenInvalid):
        read_logged_out(json.dumps(claims).encode())
    assert read_logged_out(json.dumps(LOGOUT).encode()).jti == "j-1"


@pytest.mark.parametrize("payload", [b"", b"[]", b"null", b"{", json.dumps(LOGOUT).encode()[:-1] + b', "jti": "j-2"}'])
def test_a_logout_token_that_has_no_one_meaning_ends_nothing(payload: bytes) -> None:
    with pytest.raises(TokenInvalid):
        read_logged_out(payload)


def test_a_logout_token_is_for_somebody_in_particular() -> None:
    for issuer, client_id in (("", CLIENT), (ISSUER, "")):
        with pytest.raises(TokenInvalid):
            read_logged_out(json.dumps(LOGOUT | {"iss": issuer, "aud": client_id}).encode(), issuer, client_id)
