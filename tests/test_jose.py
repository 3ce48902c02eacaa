"""Which of the provider's keys may be tried, and whether one of them signed."""

import json
from base64 import urlsafe_b64encode
from functools import cache, partial
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt import PyJWS
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from ck_middleware.errors import TokenInvalid
from ck_middleware.jose import ALGORITHMS, MOST_KEYS, candidates, read_header, read_keys
from ck_middleware.signatures import verify
from support import forgery
from support.forgery import Change, Claims, Signer, unchanged, without

Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

TEN = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
CURVES: dict[str, ec.EllipticCurve] = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
CLAIMS: Claims = {"sub": "ck_u_1"}
PAYLOAD = json.dumps(CLAIMS).encode()
KID = forgery.rsa_key().kid
LARGEST_TOKEN = 16 * 1024  # characters


@cache
def private_key(algorithm: str) -> Private:
    if algorithm in CURVES:
        return ec.generate_private_key(CURVES[algorithm])
    return ed25519.Ed25519PrivateKey.generate() if algorithm == "EdDSA" else forgery.rsa_key().private


def jwk(algorithm: str, **members: Any) -> Claims:
    """The public key for an algorithm, as little as a key set may say of it; `members` are laid over it."""
    key = private_key(algorithm)
    if isinstance(key, rsa.RSAPrivateKey):
        found = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        found = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    else:
        found = OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return without("key_ops")(found) | {"kid": algorithm} | members


def signed(algorithm: str, **header: Any) -> str:
    """A good token; a header member that is `None` is left out."""
    return PyJWS().encode(PAYLOAD, private_key(algorithm), algorithm, {"kid": algorithm} | header)


def by_hand(header: Claims, sign: Signer = forgery.rs256) -> str:
    """A token whose header is exactly this, signed by the provider's RSA key unless `sign` is another signer."""
    return sign(forgery.rsa_key(), header, CLAIMS)


def opened(token: str, keys: list[Any], *algorithms: str) -> bytes | None:
    """The payload, when the token is signed with an algorithm that was agreed and a key of the key set."""
    header = read_header(token, algorithms=algorithms or ("RS256",))
    return verify(token, candidates(read_keys({"keys": keys}), header), header.algorithm)


def raw(header: bytes, rest: str = ".e30.c2ln") -> str:
    return urlsafe_b64encode(header).rstrip(b"=").decode() + rest


# Signatures


def test_the_algorithms_are_the_ten_that_prove_who_signed() -> None:
    assert sorted(ALGORITHMS) == sorted(TEN)


@pytest.mark.parametrize("algorithm", TEN)
def test_a_good_signature_opens_the_payload(algorithm: str) -> None:
    assert opened(signed(algorithm), [jwk(algorithm)], algorithm) == PAYLOAD


@pytest.mark.parametrize("algorithm", TEN)
def test_a_changed_signature_or_payload_opens_nothing(algorithm: str) -> None:
    head, payload, signature = signed(algorithm).split(".")
    other = urlsafe_b64encode(b'{"sub":"someone else"}').rstrip(b"=").decode()
    turned = ("B" if signature[5] == "A" else "A").join([signature[:5], signature[6:]])
    for token in (
        f"{head}.{other}.{signature}",
        f"{head}.{payload}.{turned}",
        f"{head}.{payload}.",
        f"{head}..{signature}",
    ):
        assert opened(token, [jwk(algorithm)], algorithm) is None
    assert opened(f"{head}.{payload}.{signature}", [jwk(algorithm)], algorithm) == PAYLOAD


@pytest.mark.parametrize("signer", [forgery.another_key, forgery.broken_signature])
def test_a_strangers_signature_opens_nothing(signer: Signer) -> None:
    header = {"alg": "RS256", "kid": KID}
    assert opened(by_hand(header, signer), [forgery.rsa_key().jwk()]) is None
    assert opened(by_hand(header), [forgery.rsa_key().jwk()]) == PAYLOAD


# The algorithm


@pytest.mark.parametrize("agreed", TEN)
@pytest.mark.parametrize("used", TEN)
def test_the_algorithm_is_the_agreed_one_though_the_key_of_another_is_published(agreed: str, used: str) -> None:
    keys = [jwk(algorithm) for algorithm in TEN]
    if agreed == used:
        assert opened(signed(used), keys, agreed) == PAYLOAD
    else:
        with pytest.raises(TokenInvalid):
            opened(signed(used), keys, agreed)


def test_each_of_several_agreed_algorithms_is_accepted() -> None:
    keys = [jwk("RS256"), jwk("ES256"), jwk("EdDSA")]
    for algorithm in ("RS256", "ES256"):
        assert opened(signed(algorithm), keys, "RS256", "ES256") == PAYLOAD
    with pytest.raises(TokenInvalid):
        opened(signed("EdDSA"), keys, "RS256", "ES256")


@pytest.mark.parametrize(
    "algorithm",
    ["", "none", "None", "NONE", "nOnE", "HS256", "HS384", "HS512", "rs256", "RS256 ", "RS1", "RSA-OAEP", "dir"],
)
def test_an_algorithm_that_proves_nothing_is_refused_even_if_a_setting_named_it(algorithm: str) -> None:
    for agreed in (["RS256"], [algorithm], ["RS256", algorithm]):
        with pytest.raises(TokenInvalid):
            read_header(by_hand({"alg": algorithm, "kid": KID}), algorithms=agreed)


@pytest.mark.parametrize("members", [{}, {"alg": None}, {"alg": ["RS256"]}, {"alg": {}}, {"alg": 5}, {"alg": True}])
def test_a_header_without_an_algorithm_is_refused(members: Claims) -> None:
    with pytest.raises(TokenInvalid):
        read_header(by_hand({"kid": KID} | members), algorithms=["RS256"])


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_a_public_key_is_no_shared_secret(encoding: Encoding) -> None:
    public = forgery.rsa_key().private.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
    token = by_hand({"kid": KID, "typ": "JWT"}, forgery.hs256(public))
    for agreed in ("RS256", "HS256"):
        with pytest.raises(TokenInvalid):
            opened(token, [forgery.rsa_key().jwk()], agreed)


def test_a_shared_secret_in_the_key_set_verifies_nothing() -> None:
    secret = b"a shared secret of thirty-two b."
    key = {"kty": "oct", "kid": "shared", "k": urlsafe_b64encode(secret).rstrip(b"=").decode()}
    token = by_hand({"kid": "shared"}, forgery.hs256(secret))
    with pytest.raises(TokenInvalid):
        opened(token, [key], "HS256")
    assert opened(by_hand({"alg": "RS256", "kid": "shared"}), [key, key | {"alg": "RS256"}]) is None


def test_an_unsigned_token_is_refused_and_the_same_one_signed_is_not() -> None:
    header = {"alg": "RS256", "kid": KID}
    with pytest.raises(TokenInvalid):
        opened(by_hand(header, forgery.alg_none), [forgery.rsa_key().jwk()])
    assert opened(by_hand(header), [forgery.rsa_key().jwk()]) == PAYLOAD


# The rest of the header


@pytest.mark.parametrize(
    "members",
    [
        {"jku": "https://evil.example/jwks.json"},
        {"x5u": "https://evil.example/certificate.pem"},
        {"x5c": ["TUlJ"]},
        {"jwk": forgery.rsa_jwk(forgery.rsa_key(99))},
        {"jwk": forgery.rsa_jwk(forgery.rsa_key(99)) | {"kid": KID, "alg": "RS256"}},
    ],
)
def test_a_token_does_not_bring_its_own_key(members: Claims) -> None:
    header = {"alg": "RS256", "kid": KID} | members
    assert opened(by_hand(header, forgery.another_key), [forgery.rsa_key().jwk()]) is None
    assert opened(by_hand(header), [forgery.rsa_key().jwk()]) == PAYLOAD


@pytest.mark.parametrize(
    "members",
    [
        {"crit": ["exp"], "exp": 1},
        {"crit": []},
        {"crit": None},
        {"crit": ["b64"], "b64": True},
        {"b64": False},
        {"b64": True},
    ],
)
def test_what_is_critical_and_not_understood_is_refused(members: Claims) -> None:
    with pytest.raises(TokenInvalid):
        read_header(by_hand({"alg": "RS256", "kid": KID} | members), algorithms=["RS256"])


@pytest.mark.parametrize("members", [{}, {"exp": 1}, {"unknown": ["x"]}, {"cty": "JWT"}, {"zip": "DEF"}])
def test_what_is_not_critical_does_not_matter(members: Claims) -> None:
    assert opened(by_hand({"alg": "RS256", "kid": KID} | members), [forgery.rsa_key().jwk()]) == PAYLOAD


@pytest.mark.parametrize(
    "typ", ["JWT", "jwt", "id_token+jwt", "ID_TOKEN+JWT", "application/jwt", "application/id_token+jwt"]
)
def test_a_token_may_say_that_it_is_an_id_token(typ: str) -> None:
    assert opened(by_hand({"alg": "RS256", "typ": typ}), [forgery.rsa_key().jwk()]) == PAYLOAD


@pytest.mark.parametrize(
    "typ",
    [
        "at+jwt",
        "application/at+jwt",
        "AT+JWT",
        "logout+jwt",
        "application/logout+jwt",
        "dpop+jwt",
        "secevent+jwt",
        "token-introspection+jwt",
        "JOSE",
        "",
        " JWT",
        None,
        5,
        ["JWT"],
        {},
    ],
)
def test_another_kind_of_token_is_refused(typ: object) -> None:
    with pytest.raises(TokenInvalid):
        read_header(by_hand({"alg": "RS256", "typ": typ}), algorithms=["RS256"])


@pytest.mark.parametrize("kid", [5, 0, True, ["key-0"], {}, 1.5])
def test_a_key_id_that_is_no_text_is_refused(kid: object) -> None:
    with pytest.raises(TokenInvalid):
        read_header(by_hand({"alg": "RS256", "kid": kid}), algorithms=["RS256"])


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"null",
        b"[]",
        b'"RS256"',
        b"RS256",
        b"{",
        b"\xff",
        b'{"alg": "RS256", "alg": "RS256"}',
        b'{"alg": "RS256", "alg": "none"}',
        b'{"alg": "none", "\\u0061lg": "RS256"}',
        b'{"alg": "RS256", "kid": "a", "kid": "b"}',
        b'{"alg": "RS256", "n": NaN}',
        b'{"alg": "RS256", "x": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
)
def test_a_header_that_has_no_one_meaning_is_refused(header: bytes) -> None:
    with pytest.raises(TokenInvalid):
        read_header(raw(header), algorithms=["RS256"])
    assert read_header(raw(b'{"alg": "RS256"}'), algorithms=["RS256"]).algorithm == "RS256"


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "...",
        "no token",
        raw(b'{"alg": "RS256"}', ""),
        raw(b'{"alg": "RS256"}', ".e30"),
        raw(b'{"alg": "RS256"}', ".e30.c2ln.c2ln"),
        raw(b'{"alg": "RS256"}', ".e30.key.iv.tag"),
        "a" + ".e30.c2ln",
        "é" + raw(b'{"alg": "RS256"}'),
        raw(b'{"alg": "RS256"}') + "é",
        raw(b'{"alg": "RS256"}') + "\ud800",
        raw(b'{"alg": "RS256"}', ".\ud800.c2ln"),
        "\ud800" + raw(b'{"alg": "RS256"}'),
    ],
)
def test_what_is_no_signed_token_is_refused(token: str) -> None:
    with pytest.raises(TokenInvalid):
        opened(token, [forgery.rsa_key().jwk()])


def test_the_signature_of_a_token_has_one_spelling() -> None:
    """It used to be read with foreign characters in it, which RFC 7515, section 2, does not allow."""
    token, keys = signed("RS256"), [jwk("RS256")]
    assert opened(token, keys) == PAYLOAD
    start = token.rindex(".") + 1
    for place in (start, start + 5, len(token)):
        for stray in ("\r\n", "!", " ", "=", "+", "%00"):
            with pytest.raises(TokenInvalid):
                opened(token[:place] + stray + token[place:], keys)


def test_a_token_is_read_up_to_a_reasonable_size() -> None:
    empty = by_hand({"alg": "RS256", "pad": ""})
    room = LARGEST_TOKEN - len(empty)
    fitting = by_hand({"alg": "RS256", "pad": "x" * (room * 3 // 4)})
    assert LARGEST_TOKEN - 4 < len(fitting) <= LARGEST_TOKEN
    assert opened(fitting, [forgery.rsa_key().jwk()]) == PAYLOAD
    filling = "A" * (LARGEST_TOKEN - len(raw(b'{"alg": "RS256"}', "..c2ln")))
    assert read_header(raw(b'{"alg": "RS256"}', f".{filling}.c2ln"), algorithms=["RS256"]).algorithm == "RS256"
    with pytest.raises(TokenInvalid):
        read_header(by_hand({"alg": "RS256", "pad": "x" * (room * 3 // 4 + 4)}), algorithms=["RS256"])


# Key sets


@pytest.mark.parametrize("document", [{}, {"keys": None}, {"keys": {}}, {"keys": "RSA"}, {"keys": 5}, {"Keys": []}])
def test_a_document_without_a_list_of_keys_is_no_key_set(document: Claims) -> None:
    with pytest.raises(ValueError, match="keys"):
        read_keys(document)


def test_a_key_set_may_be_empty() -> None:
    assert read_keys({"keys": []}) == ()
    assert opened(by_hand({"alg": "RS256"}), []) is None


@pytest.mark.parametrize("members", [{"d": "AQAB"}, {"n": "A" * 1401}, {"e": "A" * 1401}])
def test_a_private_key_or_a_number_beyond_measure_is_left_out(members: Claims) -> None:
    assert read_keys({"keys": [jwk("RS256", **members)]}) == ()
    assert len(read_keys({"keys": [jwk("RS256", **dict.fromkeys(set(members) - {"d"}, "A" * 1400))]})) == 1


@pytest.mark.parametrize("algorithm", [*CURVES, "EdDSA"])
def test_a_key_on_another_curve_is_not_even_tried(algorithm: str) -> None:
    header = read_header(signed(algorithm), algorithms=TEN)
    assert len(candidates(read_keys({"keys": [jwk(algorithm)]}), header)) == 1
    assert candidates(read_keys({"keys": [jwk(algorithm, crv="secp256k1")]}), header) == ()


@pytest.mark.parametrize("kid", [5, 0, True, ["RS256"], {}])
def test_a_key_whose_name_is_no_text_is_left_out(kid: object) -> None:
    assert read_keys({"keys": [jwk("RS256", kid=kid)]}) == ()
    assert len(read_keys({"keys": [jwk("RS256"), jwk("RS256", kid=None)]})) == 2


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"use": "sig"},
        {"alg": "RS256"},
        {"key_ops": ["verify"]},
        {"key_ops": ["sign", "verify", "future"]},
        {"use": "sig", "key_ops": ["verify"], "alg": "RS256"},
        {"x5t": "abc", "x5c": ["not looked at"], "unknown": {"a": 1}},
    ],
)
def test_a_key_for_signatures_is_used_however_little_it_says(members: Claims) -> None:
    assert opened(signed("RS256"), [jwk("RS256", **members)]) == PAYLOAD


@pytest.mark.parametrize(
    "members",
    [
        {"use": "enc"},
        {"use": ""},
        {"use": None},
        {"use": ["sig"]},
        {"use": "enc", "key_ops": ["verify"]},
        {"key_ops": []},
        {"key_ops": ["encrypt"]},
        {"key_ops": ["sign"]},
        {"key_ops": "verify"},
        {"key_ops": None},
        {"key_ops": {"verify": 1}},
        {"alg": "RS512"},
        {"alg": "PS256"},
        {"alg": "RSA-OAEP"},
        {"alg": "none"},
        {"alg": None},
        {"kty": "EC"},
        {"kty": "OKP"},
        {"kty": "oct"},
        {"kty": "rsa"},
        {"kty": None},
        {"kty": 5},
        {"kid": "another"},
        {"kid": "rs256"},
        {"kid": ""},
        {"kid": None},
        {"kid": 5},
        {"kid": ["RS256"]},
        {"n": None},
        {"n": 5},
        {"n": ""},
        {"n": "AQAB"},
        {"n": "%%%"},
        {"n": "é"},
        {"n": "\ud800"},
        {"n": "_" * 400_000},
        {"e": None},
        {"e": ""},
        {"e": "AA"},
        {"e": "AQ"},
        {"e": "Ag"},
        {"e": ["AQAB"]},
        {"d": "AQAB"},
        {"d": "AQAB", "p": "AQAB", "q": 5, "dp": None, "dq": [], "qi": {}},
        {"oth": [{"r": "AQAB"}], "d": "AQAB"},
    ],
)
def test_a_key_for_something_else_or_a_broken_one_verifies_nothing(members: Claims) -> None:
    assert opened(signed("RS256"), [jwk("RS256", **members)]) is None
    assert opened(signed("RS256"), [jwk("RS256", **members), jwk("RS256")]) == PAYLOAD
    assert opened(signed("RS256"), [jwk("RS256"), jwk("RS256", **members)]) == PAYLOAD


@pytest.mark.parametrize(
    "change",
    [unchanged, forgery.with_decoys, forgery.with_other_keys, forgery.with_broken_keys, forgery.with_ec_key],
)
@pytest.mark.parametrize("kid", [{"kid": KID}, {}])
def test_decoys_and_broken_keys_do_not_hide_the_good_one(change: Change, kid: Claims) -> None:
    keys = change({"keys": [forgery.rsa_key().jwk()]})["keys"]
    assert opened(by_hand({"alg": "RS256"} | kid), keys) == PAYLOAD
    assert opened(by_hand({"alg": "RS256"} | kid, forgery.another_key), keys) is None


@pytest.mark.parametrize("kid", [{"kid": KID}, {}])
def test_a_key_for_encryption_does_not_sign(kid: Claims) -> None:
    keys = forgery.with_decoys({"keys": [forgery.rsa_key().jwk()]})["keys"]
    token = forgery.rs256(forgery.rsa_key(98), {"alg": "RS256"} | kid, CLAIMS)  # both decoys with `use` are of key 98
    assert opened(token, keys) is None


@pytest.mark.parametrize("kid", [{"kid": "small"}, {}])
def test_an_rsa_key_of_1024_bits_is_refused_and_one_of_2048_is_not(kid: Claims) -> None:
    small, usual = forgery.small_rsa_key(), forgery.rsa_key()
    assert opened(forgery.rs256(small, {"alg": "RS256"} | kid, CLAIMS), [forgery.rsa_jwk(small)]) is None
    assert opened(forgery.rs256(usual, {"alg": "RS256"} | kid, CLAIMS), [forgery.rsa_jwk(usual) | kid]) == PAYLOAD


@pytest.mark.parametrize("algorithm", sorted(CURVES))
@pytest.mark.parametrize("other", [*sorted(CURVES), "EdDSA"])
def test_a_curve_is_that_of_the_algorithm(algorithm: str, other: str) -> None:
    keys = [jwk(other, kid=algorithm)]
    assert opened(signed(algorithm), keys, algorithm) == (PAYLOAD if algorithm == other else None)


@pytest.mark.parametrize(
    ("algorithm", "members"),
    [
        ("ES256", {"crv": "P-384"}),
        ("ES256", {"crv": "secp256k1"}),
        ("ES256", {"crv": None}),
        ("ES256", {"crv": ["P-256"]}),
        ("ES256", {"x": ""}),
        ("ES256", {"x": None}),
        ("ES256", {"y": "AQAB"}),
        ("ES256", {"x": urlsafe_b64encode(bytes(32)).decode()}),
        ("ES256", {"d": "AQAB"}),
        ("EdDSA", {"crv": "Ed448"}),
        ("EdDSA", {"crv": "X25519"}),
        ("EdDSA", {"crv": None}),
        ("EdDSA", {"x": None}),
        ("EdDSA", {"x": "AQAB"}),
        ("EdDSA", {"d": urlsafe_b64encode(bytes(32)).decode()}),
        ("EdDSA", {"kty": "EC"}),
    ],
)
def test_a_broken_curve_verifies_nothing(algorithm: str, members: Claims) -> None:
    assert opened(signed(algorithm), [jwk(algorithm, **members)], algorithm) is None
    assert opened(signed(algorithm), [jwk(algorithm, **members), jwk(algorithm)], algorithm) == PAYLOAD


# Names


def test_the_key_of_that_name_is_used_among_several() -> None:
    keys = forgery.with_other_keys({"keys": [forgery.rsa_key().jwk()]})["keys"]
    assert opened(by_hand({"alg": "RS256", "kid": KID}), keys) == PAYLOAD
    assert opened(by_hand({"alg": "RS256", "kid": "key-97"}), keys) is None


def test_of_two_keys_of_one_name_either_may_have_signed() -> None:
    keys = [forgery.rsa_jwk(key) | {"kid": "same"} for key in (forgery.rsa_key(97), forgery.rsa_key())]
    for one in (keys, keys[::-1]):
        assert opened(by_hand({"alg": "RS256", "kid": "same"}), one) == PAYLOAD


@pytest.mark.parametrize("around", [unchanged, forgery.with_other_keys])
@pytest.mark.parametrize("change", [unchanged, forgery.without_kid])
def test_a_token_without_a_key_id_is_tried_with_every_key(around: Change, change: Change) -> None:
    keys = change(around({"keys": [forgery.rsa_key().jwk()]}))["keys"]
    assert opened(by_hand({"alg": "RS256"}), keys) == PAYLOAD
    assert opened(by_hand({"alg": "RS256"}, forgery.another_key), keys) is None


def test_a_token_that_names_its_key_is_not_tried_with_a_nameless_one() -> None:
    nameless = without("kid")(forgery.rsa_key().jwk())
    assert opened(by_hand({"alg": "RS256", "kid": KID}), [nameless]) is None
    assert opened(by_hand({"alg": "RS256"}), [nameless]) == PAYLOAD


def test_a_huge_key_set_is_looked_at_up_to_a_point() -> None:
    others = [forgery.rsa_jwk(forgery.rsa_key(99)) | {"kid": f"other-{number}"} for number in range(MOST_KEYS)]
    find = partial(opened, by_hand({"alg": "RS256", "kid": KID}))
    assert find([*others[1:], forgery.rsa_key().jwk()]) == PAYLOAD
    assert find([*others, forgery.rsa_key().jwk()]) is None
