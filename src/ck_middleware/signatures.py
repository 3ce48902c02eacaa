"""This file is whether one of some keys signed a token. PyJWT verifies.

It is imported at the first login: that takes tens of milliseconds, and most requests of most processes need none of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ck_middleware.jose import Key

SMALLEST_RSA = 2048  # bits (RFC 7518, 3.3)
JWS = jwt.PyJWS(options={"enforce_minimum_key_length": False})  # ours is stricter, and says which key


def verify(token: str, keys: Sequence[Key], algorithm: str) -> bytes | None:
    """The payload, or `None` when none of the keys signed it (OpenID Connect Core, 3.1.3.7, rule 6)."""
    for key in keys:
        public = _public_key(key, algorithm)
        if public is None:
            continue
        try:
            payload: bytes = JWS.decode_complete(token, public, algorithms=[algorithm])["payload"]
        except jwt.PyJWTError:
            continue
        return payload
    return None


def _public_key(key: Key, algorithm: str) -> RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | None:
    try:
        public = jwt.PyJWK(key.fields, algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None  # broken; its neighbours may be whole
    if isinstance(public, RSAPublicKey):
        return public if public.key_size >= SMALLEST_RSA else None
    return public if isinstance(public, EllipticCurvePublicKey | Ed25519PublicKey) else None
