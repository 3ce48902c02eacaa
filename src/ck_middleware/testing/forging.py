"""This file is how a provider says something else than it should, and signs it as it should not.

A change takes what the strict provider would say, and gives what is said instead. A signer takes the provider's key, a
header and claims, and gives a token. It is signed by hand: libraries refuse to err.
"""

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from ck_middleware.dev.signing import SigningKey

Claims = dict[str, Any]
Signer = Callable[[SigningKey, Claims, Claims], str]
Change = Callable[[Claims], Claims]


def unchanged(members: Claims) -> Claims:
    return members


def without(*names: str) -> Change:
    """Say all but these members."""
    return lambda members: {name: value for name, value in members.items() if name not in names}


def saying(**changes: Any) -> Change:  # noqa: ANN401  # JSON
    """Say these members, whatever was to be said in their place."""
    return lambda members: members | changes


@cache
def rsa_key(number: int = 0) -> SigningKey:
    """A key of this process, made once."""
    return SigningKey(rsa.generate_private_key(public_exponent=65537, key_size=2048), f"key-{number}")


def token(header: Mapping[str, Any] | bytes, payload: Claims | bytes, sign: Callable[[bytes], bytes]) -> str:
    """A token of exactly this header and payload; bytes are taken as they are."""
    signed = ".".join(
        _base64url(part if isinstance(part, bytes) else json.dumps(part).encode()) for part in (header, payload)
    )
    return f"{signed}.{_base64url(sign(signed.encode()))}"


def rs256(key: SigningKey, header: Claims | bytes, claims: Claims | bytes) -> str:
    return token(header, claims, lambda signed: key.private.sign(signed, padding.PKCS1v15(), hashes.SHA256()))


def another_key(key: SigningKey, header: Claims, claims: Claims) -> str:  # noqa: ARG001  # the key that should have signed
    """Signed by a stranger, under the name of the provider's key."""
    return rs256(rsa_key(99), header, claims)


def _base64url(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()
