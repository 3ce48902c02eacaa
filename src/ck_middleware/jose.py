"""This file is the provider's keys, and which of them may have signed a token.

That is decided by our configuration and the key set alone. A token names a key (`kid`) and nothing else: `jku`, `jwk`,
`x5u` and `x5c` in its header are never looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ck_middleware.errors import TokenInvalid
from ck_middleware.seal import octets
from ck_middleware.strict_json import read_object

if TYPE_CHECKING:
    from collections.abc import Sequence

LARGEST_TOKEN = 16 * 1024  # characters
LARGEST_NUMBER = 1400  # characters of `n` or `e`: RSA of 8192 bits
MOST_KEYS = 100  # of a key set that are looked at

# Key type and, where the algorithm fixes it, the curve (RFC 7518, 3.1 and 3.4; RFC 8037, 3.1).
ALGORITHMS: Final[dict[str, tuple[str, str | None]]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", None)),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}
ID_TOKEN = frozenset({"jwt", "id_token+jwt", "application/jwt", "application/id_token+jwt"})  # values of `typ`
LOGOUT_TOKEN = frozenset({"jwt", "logout+jwt", "application/jwt", "application/logout+jwt"})


@dataclass(frozen=True, slots=True)
class Key:
    """One usable public key of the provider."""

    kid: str | None
    fields: dict[str, Any]

    def fits(self, algorithm: str) -> bool:
        kty, curve = ALGORITHMS[algorithm]
        if self.fields.get("kty") != kty or self.fields.get("alg", algorithm) != algorithm:
            return False
        return curve is None or self.fields.get("crv") == curve


@dataclass(frozen=True, slots=True)
class Header:
    """What the header of a token may decide: how it is signed, among what we allow, and by which key."""

    algorithm: str
    kid: str | None


def read_keys(document: dict[str, Any]) -> tuple[Key, ...]:
    """The keys that can verify a signature (RFC 7517, 5). One broken key does not take the others with it.

    Raises `ValueError` when the document is no key set.
    """
    found = document.get("keys")
    if not isinstance(found, list):
        raise ValueError("has no list of keys")  # noqa: TRY004  # the document is wrong, not the call
    return tuple(Key(fields.get("kid"), fields) for fields in found[:MOST_KEYS] if _verifies(fields))


def _verifies(fields: object) -> bool:
    if not isinstance(fields, dict) or not isinstance(fields.get("kid"), str | None):
        return False
    # A private key has no business here, and to read one, or a number beyond measure, costs seconds or minutes.
    if "d" in fields or any(len(str(fields.get(number, ""))) > LARGEST_NUMBER for number in ("n", "e")):
        return False
    # An encryption key, or one with operations but not ours, is a decoy (RFC 7517, 4.2 and 4.3).
    operations = fields.get("key_ops", ["verify"])
    return fields.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations


def read_header(token: str, *, algorithms: Sequence[str], types: frozenset[str] = ID_TOKEN) -> Header:
    """The header of a compact JWS. Raises `TokenInvalid`, with the reason, when no key may even be tried."""
    shaped = token.isascii() and token.count(".") == 2  # noqa: PLR2004  # header.payload.signature
    if not shaped or len(token) > LARGEST_TOKEN:
        raise TokenInvalid("the token is not a signed JWT of a reasonable size")
    head, _, signature = (part.encode() for part in token.split("."))
    if octets(signature) is None:  # RFC 7515, 2: no padding, no white space; one token has one spelling
        raise TokenInvalid("the signature of the token is not base64url")
    try:
        header = read_object(octets(head) or b"")
    except ValueError as exc:
        raise TokenInvalid("the header of the token is not a JSON object without duplicates") from exc
    algorithm, kid, typ = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
    # The algorithm is ours to choose, never the token's: `none` and HMAC with a public key end here (RFC 8725, 3.1).
    if algorithm not in algorithms or algorithm not in ALGORITHMS:
        raise TokenInvalid(f"the token is signed with alg={algorithm!r}; id_token_algorithms allows {algorithms}")
    if "crit" in header or "b64" in header:  # RFC 7515, 4.1.11: what is critical and not understood is refused
        raise TokenInvalid("the token has critical header members")
    if not isinstance(typ, str) or typ.lower() not in types:  # RFC 8725, 3.11: no other kind of token passes for one
        raise TokenInvalid(f"the token has typ={typ!r}, which is none that is wanted here")
    if not isinstance(kid, str | None):
        raise TokenInvalid("the kid of the token is not a text")
    return Header(algorithm, kid)


def candidates(keys: Sequence[Key], header: Header) -> tuple[Key, ...]:
    """The keys that may have signed. Without a `kid`, every key of the right type (OpenID Connect Core, 10.1)."""
    named = (key for key in keys if header.kid is None or key.kid == header.kid)
    return tuple(key for key in named if key.fits(header.algorithm))
