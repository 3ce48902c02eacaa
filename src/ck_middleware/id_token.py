"""This file is what an ID token must say before anybody is let in (OpenID Connect Core, 3.1.3.7)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ck_middleware.errors import TokenInvalid
from ck_middleware.strict_json import read_object

if TYPE_CHECKING:
    from collections.abc import Sequence

OLDEST = 600  # seconds since it was issued, at login; it comes straight from the token endpoint
LONGEST_SUB = 255  # ASCII characters (OpenID Connect Core, 2)
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
LATEST = 1 << 40  # seconds since the epoch; a time beyond it is no time

# The hash that belongs to an algorithm, for `at_hash` (OpenID Connect Core, 3.1.3.6).
HASHES = {"256": "sha256", "384": "sha384", "512": "sha512", "DSA": "sha512"}


@dataclass(frozen=True, slots=True)
class Expected:
    """What the token has to agree with."""

    issuer: str
    client_id: str
    nonce: str = field(repr=False)
    algorithm: str
    access_token: str = field(repr=False)
    leeway: float  # seconds of clock skew
    allow_missing_nonce: bool


def read_claims(payload: bytes, expected: Expected) -> dict[str, Any]:
    """The claims of an ID token whose signature has been verified. Raises `TokenInvalid` with the reason."""
    try:
        claims = read_object(payload)
    except ValueError as exc:
        raise TokenInvalid(f"the ID token {exc}") from exc
    _check_issuer(claims.get("iss"), expected.issuer)
    _check_audience(claims.get("aud"), claims.get("azp"), expected.client_id)
    _check_times(claims, expected.leeway)
    _check_subject(claims.get("sub"))
    _check_nonce(claims.get("nonce"), expected)
    _check_access_token_hash(claims.get("at_hash"), expected)
    return claims


def read_refreshed(payload: bytes, expected: Expected, *, sub: str, auth_time: float | None) -> None:
    """Check a new ID token that came with a refresh (OpenID Connect Core, 12.2). Raises `TokenInvalid`."""
    claims = read_claims(payload, expected)
    if not sub or claims["sub"] != sub:
        raise TokenInvalid("the refreshed ID token is about another person")
    if auth_time is not None and claims.get("auth_time", auth_time) != auth_time:
        raise TokenInvalid("the refreshed ID token is of another login: its auth_time changed")


@dataclass(frozen=True, slots=True)
class LoggedOut:
    """Whose sessions end: those of the provider's session `sid` if there is one, else all of `sub`."""

    issuer: str
    sub: str | None
    sid: str | None
    jti: str


def read_logout(payload: bytes, issuer: str, client_id: str, leeway: float) -> LoggedOut:
    """Read a logout token whose signature has been verified (Back-Channel Logout 1.0, 2.6). Raises `TokenInvalid`."""
    try:
        claims = read_object(payload)
    except ValueError as exc:
        raise TokenInvalid(f"the logout token {exc}") from exc
    _check_issuer(claims.get("iss"), issuer)
    _check_audience(claims.get("aud"), claims.get("azp"), client_id)
    _check_times(claims, leeway)
    if "nonce" in claims:  # rule 7: so that no ID token passes for a logout token
        raise TokenInvalid("the logout token has a nonce")
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(LOGOUT_EVENT), dict):  # rule 6
        raise TokenInvalid("the logout token has no back-channel logout event")
    sub, sid, jti = (_text_or_none(claims, name) for name in ("sub", "sid", "jti"))
    if jti is None or (sub is None and sid is None):  # rule 5, and 2.4
        raise TokenInvalid("the logout token lacks jti, or both sub and sid")
    return LoggedOut(issuer, sub, sid, jti)


def _text_or_none(claims: dict[str, Any], name: str) -> str | None:
    value = claims.get(name)
    if value is not None and (not isinstance(value, str) or not value):
        raise TokenInvalid(f"{name} of the logout token is no text")
    return value


def _check_issuer(issuer: object, expected: str) -> None:
    # Exact: no tolerance for case, a slash or a prefix (rule 2).
    if not expected or issuer != expected:
        raise TokenInvalid(f"the token has iss={issuer!r}; the issuer setting says {expected!r}")


def _check_audience(audience: object, authorized: object, client_id: str) -> None:
    members: Sequence[object] = audience if isinstance(audience, list) else [audience]
    if not client_id or client_id not in members:
        raise TokenInvalid("the token is for another client: aud does not have our client_id")
    # Rule 3: an audience that we do not trust could use this token against us, and we trust no other.
    if any(member != client_id for member in members):
        raise TokenInvalid("the token is also for others: aud has more than our client_id")
    if authorized is not None and authorized != client_id:  # rule 5
        raise TokenInvalid("the token was issued to another client: azp is not our client_id")


def _check_times(claims: dict[str, Any], leeway: float) -> None:
    now = time.time()
    if now >= _time(claims, "exp") + leeway:  # rule 9
        raise TokenInvalid("the token has expired; if that surprises, check this machine's clock")
    issued = _time(claims, "iat")
    if issued > now + leeway or ("nbf" in claims and _time(claims, "nbf") > now + leeway):
        raise TokenInvalid("the token is from the future; check this machine's clock")
    if now - issued > OLDEST:  # rule 10
        raise TokenInvalid(f"the token was issued more than {OLDEST} seconds ago; check this machine's clock")


def _time(claims: dict[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):  # a boolean is a number to Python
        raise TokenInvalid(f"{name} of the token is missing or not a number")
    if not 0 <= value <= LATEST:  # NaN too, which compares false with everything
        raise TokenInvalid(f"{name} of the token is not a time")
    return value


def _check_subject(sub: object) -> None:
    if not isinstance(sub, str) or not sub or len(sub) > LONGEST_SUB or not (sub.isascii() and sub.isprintable()):
        raise TokenInvalid(f"sub of the ID token is not a text of 1 to {LONGEST_SUB} printable ASCII characters")


def _check_nonce(nonce: object, expected: Expected) -> None:
    # Rule 11. Without it a token stolen from another login of this person could be injected into this one.
    if nonce is None and expected.allow_missing_nonce:
        return
    if nonce is None:
        raise TokenInvalid("the ID token has no nonce; if the provider never sends one, set allow_missing_nonce")
    if not expected.nonce or not isinstance(nonce, str) or not _same(nonce, expected.nonce):
        raise TokenInvalid("the nonce of the ID token is not the one that was sent")


def _check_access_token_hash(found: object, expected: Expected) -> None:
    if found is None:  # optional in the code flow (OpenID Connect Core, 3.1.3.8)
        return
    name = HASHES.get(expected.algorithm[-3:])
    digest = hashlib.new(name or "sha256", expected.access_token.encode()).digest()
    right = base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()
    if name is None or not isinstance(found, str) or not _same(found, right):
        raise TokenInvalid("at_hash of the ID token does not fit the access token")


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode())
