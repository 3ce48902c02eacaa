"""This file is how ID tokens are forged, and key sets spoilt. Everything is signed by hand: libraries refuse to err.

A signer takes the provider's key, a header and claims, and gives a token. `faults.sign = forgery.alg_none`.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from functools import cache

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from ck_middleware.dev.signing import SigningKey
from ck_middleware.testing.forging import (
    Change,
    Claims,
    Signer,
    another_key,
    rs256,
    rsa_key,
    saying,
    token,
    unchanged,
    without,
)

__all__ = ["Change", "Claims", "Signer", "another_key", "rs256", "rsa_key", "saying", "token", "unchanged", "without"]

# Keys, each made once in a test session


@cache
def small_rsa_key() -> SigningKey:
    return SigningKey(rsa.generate_private_key(public_exponent=65537, key_size=1024), "small")  # noqa: S505  # to be refused


@cache
def ec_key(number: int) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@cache
def secp256k1_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256K1())


@cache
def ed25519_key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


# Signers


def ps256(key: SigningKey, header: Claims, claims: Claims) -> str:
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
    return token(header | {"alg": "PS256"}, claims, lambda signed: key.private.sign(signed, pss, hashes.SHA256()))


def alg_none(key: SigningKey, header: Claims, claims: Claims) -> str:
    return token(header | {"alg": "none"}, claims, lambda signed: b"")


def broken_signature(key: SigningKey, header: Claims, claims: Claims) -> str:
    head, _, signature = rs256(key, header, claims).rpartition(".")
    return f"{head}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"


def hs256_with_public_key(key: SigningKey, header: Claims, claims: Claims) -> str:
    """The classic confusion (RFC 8725, section 2.1): the public key, as PEM, taken for a shared secret."""
    pem = key.private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hs256(pem)(key, header, claims)


def hs256(secret: bytes) -> Signer:
    def sign(key: SigningKey, header: Claims, claims: Claims) -> str:
        return token(header | {"alg": "HS256"}, claims, lambda signed: hmac.digest(secret, signed, hashlib.sha256))

    return sign


def es256(key: SigningKey, header: Claims, claims: Claims) -> str:
    """Good, but not RS256. The key stands in the key set when `faults.jwks = with_ec_key`."""
    return token(header | {"alg": "ES256", "kid": "ec"}, claims, _es256)


def _es256(signed: bytes) -> bytes:
    r, s = decode_dss_signature(ec_key(0).sign(signed, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


# Key sets


def with_ec_key(jwks: Claims) -> Claims:
    return {"keys": [*jwks["keys"], _ec_jwk(ec_key(0)) | {"kid": "ec", "use": "sig", "alg": "ES256"}]}


def without_kid(jwks: Claims) -> Claims:
    return {"keys": [without("kid")(key) for key in jwks["keys"]]}


def without_alg(jwks: Claims) -> Claims:
    return {"keys": [without("alg")(key) for key in jwks["keys"]]}


def with_decoys(jwks: Claims) -> Claims:
    """Keys of other types and uses around the good ones, some of the same name."""
    kid = jwks["keys"][0]["kid"]
    decoys = [
        _ec_jwk(ec_key(0)) | {"kid": kid, "use": "sig"},
        {"kty": "oct", "kid": kid, "k": _base64url(b"a shared secret of thirty-two byte")},
        {"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": _base64url(bytes(32))},
        rsa_jwk(rsa_key(98)) | {"kid": kid, "use": "enc"},
        rsa_jwk(rsa_key(98)) | {"kid": "encrypts", "use": "enc", "alg": "RSA-OAEP"},
        {"kty": "EC", "crv": "secp256k1", "kid": kid, "x": _base64url(bytes(32)), "y": _base64url(bytes(32))},
        {"kty": "new kind", "kid": kid},
    ]
    return {"keys": [*decoys, *jwks["keys"], *decoys]}


def with_every_kind(jwks: Claims) -> Claims:
    """The key set that the conformance suite publishes: keys of every kind, none of which says its `alg`."""
    others = [
        rsa_jwk(rsa_key(95)),
        _ec_jwk(ec_key(0)) | {"kid": "ec", "use": "sig"},
        _ec_jwk(ec_key(1)) | {"kid": "ec-1", "use": "sig"},
        _ec_jwk(secp256k1_key()) | {"kid": "secp256k1", "use": "sig"},
        dict(OKPAlgorithm.to_jwk(ed25519_key().public_key(), as_dict=True)) | {"kid": "ed25519", "use": "sig"},
        rsa_jwk(rsa_key(98)) | {"kid": "encrypts", "use": "enc"},
        _ec_jwk(ec_key(2)) | {"kid": "encrypts-ec", "use": "enc"},
    ]
    return {"keys": [*without_alg(jwks)["keys"], *others]}


def with_unreadable_keys(jwks: Claims) -> Claims:
    """Keys of a kind that is newer than their reader."""
    akp = {"kty": "AKP", "alg": "ML-DSA-999", "kid": "post-quantum", "use": "sig", "pub": _base64url(bytes(1952))}
    return {"keys": [akp, {"kty": "made up", "kid": "made-up", "use": "sig", "x": "AQAB"}, *jwks["keys"]]}


def with_other_keys(jwks: Claims) -> Claims:
    """Good keys of other names before and after the one that signs."""
    return {"keys": [rsa_jwk(rsa_key(97)), *jwks["keys"], rsa_jwk(rsa_key(96))]}


def with_broken_keys(jwks: Claims) -> Claims:
    kid = jwks["keys"][0]["kid"]
    broken = [
        {"kty": "RSA", "kid": kid},
        {"kty": "RSA", "kid": "broken", "n": "%%%", "e": "AQAB"},
        {"kty": "EC", "kid": kid, "crv": "P-256", "x": "", "y": ""},
        {"kty": 5, "kid": ["a list"]},
        {},
        None,
        "no object",
    ]
    return {"keys": [*broken, *jwks["keys"], *broken]}


def rsa_jwk(key: SigningKey) -> Claims:
    return {"use": "sig", "kid": key.kid} | RSAAlgorithm.to_jwk(key.private.public_key(), as_dict=True)


def _ec_jwk(key: ec.EllipticCurvePrivateKey) -> Claims:
    return dict(ECAlgorithm.to_jwk(key.public_key(), as_dict=True))


def _base64url(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()
