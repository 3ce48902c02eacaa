"""This file is what people allowed, and the codes and tokens that stand for it."""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from ck_middleware.dev.authorization import AuthorizationRequest
from ck_middleware.dev.clients import Client
from ck_middleware.dev.forms import Refusal
from ck_middleware.dev.memory import Shelf
from ck_middleware.dev.people import Person

CODE_LIFETIME = 600  # seconds
ACCESS_LIFETIME = 3600
REFRESH_LIFETIME = 30 * 86400
VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # RFC 7636, section 4.1


@dataclass(slots=True)
class Grant:
    """What one person allowed one client: what a code, and every token made of it, stands for."""

    request: AuthorizationRequest
    person: Person
    auth_time: int
    refresh_token: str = ""  # the newest one; any older one was copied
    is_spent: bool = False  # the code was used
    is_revoked: bool = False

    @property
    def sub(self) -> str:
        return self.person.sub(self.request.client_id)


class Grants:
    """All grants by their codes and tokens, each kept as long as it may be used."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._codes: Shelf[Grant] = Shelf(CODE_LIFETIME, clock)
        self._access: Shelf[Grant] = Shelf(ACCESS_LIFETIME, clock)
        self._refresh: Shelf[Grant] = Shelf(REFRESH_LIFETIME, clock)

    def allow(self, request: AuthorizationRequest, person: Person) -> str:
        """A code for what the person allowed just now."""
        return self._codes.put(Grant(request, person, auth_time=int(self._clock())))

    def issue(self, grant: Grant) -> str:
        """An access token. A new refresh token stands in the grant, and the one before it is void."""
        grant.refresh_token = self._refresh.put(grant)
        return self._access.put(grant)

    def find(self, access_token: str) -> Grant | None:
        grant = self._access.find(access_token)
        return None if grant is None or grant.is_revoked else grant

    def revoke(self, person: str) -> None:
        for shelf in (self._codes, self._access, self._refresh):
            for grant in shelf:
                grant.is_revoked |= grant.person.key == person

    def revoke_token(self, token: str) -> None:
        """With one of its tokens the whole grant is over (RFC 7009, section 2)."""
        for grant in (self._refresh.find(token), self._access.find(token)):
            if grant is not None:
                grant.is_revoked = True

    def redeem(self, client: Client, form: Mapping[str, str]) -> Grant:
        """What a code stands for. It is spent by the first try of its client, also one that fails.

        Raises `Refusal` (RFC 6749, sections 4.1.3 and 5.2).
        """
        grant = self._codes.find(_needed(form, "code"))
        if grant is None or grant.request.client_id != client.client_id:
            raise Refusal("invalid_grant", "the code is unknown, too old, or was given to another client")
        if grant.is_spent:
            grant.is_revoked = True  # one of the two was a thief (RFC 6749, section 4.1.2)
            raise Refusal("invalid_grant", "the code was used before")
        grant.is_spent = True
        if grant.is_revoked:
            raise Refusal("invalid_grant", "the person took their consent back")
        if form.get("redirect_uri") != grant.request.redirect_uri:
            raise Refusal("invalid_grant", "redirect_uri is not that of the authorization request")
        if not _verifies(_needed(form, "code_verifier"), grant.request.code_challenge):
            raise Refusal("invalid_grant", "code_verifier does not fit the code_challenge (RFC 7636, 4.6)")
        return grant

    def renew(self, client: Client, form: Mapping[str, str]) -> Grant:
        """What a refresh token stands for.

        Raises `Refusal`.
        """
        refresh_token = _needed(form, "refresh_token")
        grant = self._refresh.find(refresh_token)
        if grant is None or grant.is_revoked or grant.request.client_id != client.client_id:
            raise Refusal("invalid_grant", "the refresh token is unknown, too old, revoked, or another client's")
        if refresh_token != grant.refresh_token:
            grant.is_revoked = True  # one of the two was a thief (RFC 9700, section 4.14.2)
            raise Refusal("invalid_grant", "the refresh token was used before")
        return grant


def base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _verifies(verifier: str, challenge: str) -> bool:
    digest = base64url(hashlib.sha256(verifier.encode()).digest())
    return VERIFIER.fullmatch(verifier) is not None and hmac.compare_digest(digest, challenge)


def _needed(form: Mapping[str, str], name: str) -> str:
    if name not in form:
        raise Refusal("invalid_request", f"{name} is missing")
    return form[name]
