"""This file is the provider as we know it: what is fetched from it, and how long that is believed.

Nothing is fetched before someone logs in. Metadata and keys are snapshots, replaced whole; a failed fetch leaves the
old one in place, so that people notice nothing of a short outage.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ck_middleware import id_token, jose, oidc
from ck_middleware.errors import ProviderFaulty, ProviderUnreachable, TokenInvalid
from ck_middleware.log import WARNING, event

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ck_middleware.config import AuthConfig
    from ck_middleware.ports import Http
    from ck_middleware.transaction import Transaction

FRESH = 3600  # seconds that metadata and keys are used without asking again
BELIEVED = 24 * 3600  # seconds that they are used while the provider cannot be asked
RETRY = 60  # seconds between attempts to replace what is no longer fresh
PATIENCE = 3  # failures in a row before there is a pause between attempts
LONGEST_PAUSE = 5  # seconds; a second more for each further failure
COOLDOWN = 30  # seconds without another fetch after one that did not find the key of a token

T = TypeVar("T")


class Provider:
    """Discovery, keys, and the redemption of a code. One for each process and middleware."""

    def __init__(self, config: AuthConfig, http: Http) -> None:
        self._config = config
        self._http = http
        self._given = {name: getattr(config, name) for name in oidc.ENDPOINTS}
        self._explicit = self._without_discovery()
        self._metadata = Snapshot(self._fetch_metadata, http)
        self._keys = Snapshot(self._fetch_keys, http)
        self._cool_until = float("-inf")

    async def metadata(self) -> oidc.Metadata:
        """Raises `ProviderUnreachable` or `ProviderFaulty` when there is none to use."""
        return self._explicit or await self._metadata.get()

    async def redeem(self, transaction: Transaction, code: str) -> dict[str, Any]:
        """The claims of the person who logged in. Raises a `LoginRefused` of the kind that fits.

        Userinfo is asked only after every check of the ID token has passed (RFC 9700, 2.1).
        """
        metadata = await self.metadata()
        request = oidc.token_request(metadata, self._config, transaction, code)
        tokens = oidc.read_tokens(await self._http.send(request))
        claims = await self._verified(tokens, transaction.nonce)
        if self._config.userinfo and metadata.userinfo_endpoint:
            request = oidc.userinfo_request(metadata.userinfo_endpoint, tokens.access_token)
            claims |= oidc.read_userinfo(await self._http.send(request), claims["sub"])
        return claims

    async def _verified(self, tokens: oidc.Tokens, nonce: str) -> dict[str, Any]:
        header = jose.read_header(tokens.id_token, algorithms=self._config.id_token_algorithms)
        payload = await self._signed_payload(tokens.id_token, header)
        expected = id_token.Expected(
            issuer=self._config.issuer,
            client_id=self._config.client_id,
            nonce=nonce,
            algorithm=header.algorithm,
            access_token=tokens.access_token,
            leeway=self._config.leeway,
            allow_missing_nonce=self._config.allow_missing_nonce,
        )
        return id_token.read_claims(payload, expected)

    async def _signed_payload(self, token: str, header: jose.Header) -> bytes:
        keys = await self._keys.get()
        payload = self._try(token, keys, header)
        # The provider may have changed its keys a moment ago. A key of that name with another signature has not.
        unknown = payload is None and (header.kid is None or not jose.candidates(keys, header))
        if unknown and time.monotonic() >= self._cool_until:
            payload = self._try(token, await self._keys.replace(keys), header)
            if payload is None:
                self._cool_until = time.monotonic() + COOLDOWN
        if payload is None:
            known = sorted({key.kid or "(none)" for key in keys})[:10]
            raise TokenInvalid(f"no key of the provider signed the ID token: kid={header.kid!r}, known are {known}")
        return payload

    def _try(self, token: str, keys: tuple[jose.Key, ...], header: jose.Header) -> bytes | None:
        return jose.verify(token, jose.candidates(keys, header), header.algorithm)

    def _without_discovery(self) -> oidc.Metadata | None:
        """Metadata from the settings alone, when they leave nothing to discover."""
        needed = ["authorization_endpoint", "token_endpoint", "jwks_uri"]
        needed += ["userinfo_endpoint"] if self._config.userinfo else []
        complete = all(self._given[name] for name in needed)
        return oidc.Metadata(issuer=self._config.issuer, **self._given) if complete else None

    async def _fetch_metadata(self) -> oidc.Metadata:
        issuer = self._config.issuer
        try:
            response = await self._http.send(oidc.discovery_request(issuer))
            return oidc.read_discovery(response, issuer, self._given)
        except (ProviderFaulty, ProviderUnreachable) as exc:
            raise type(exc)(f"{exc} (the provider asked is issuer, CONSENTKEYS_ISSUER: {issuer})") from exc

    async def _fetch_keys(self) -> tuple[jose.Key, ...]:
        request = oidc.keys_request(await self.metadata())
        document = oidc.read_key_document(await self._http.send(request))
        try:
            return jose.read_keys(document)
        except ValueError as exc:
            raise ProviderFaulty(f"the key set {exc}") from exc


class Snapshot(Generic[T]):
    """One fetched value, replaced whole. However many ask at once, one fetch is under way."""

    def __init__(self, fetch: Callable[[], Awaitable[T]], http: Http) -> None:
        self._fetch = fetch
        self._lock = http.lock()
        self._value: T | None = None
        self._fetched = self._retry = float("-inf")  # on the monotonic clock
        self._pause = float("-inf")
        self._attempts = self._failures = 0
        self._failure: ProviderFaulty | ProviderUnreachable | None = None

    async def get(self) -> T:
        """The value, fetched when there is none or it has aged. Raises what the fetch raised when there is none."""
        value, now = self._value, time.monotonic()
        if value is not None and (now < self._fetched + FRESH or now < self._retry):
            return value
        try:
            return await self.replace(value)
        except (ProviderFaulty, ProviderUnreachable) as exc:
            if value is None or now >= self._fetched + BELIEVED:
                raise
            self._retry = now + RETRY
            event(WARNING, "provider", "could not be asked again, the last answer stays in use", reason=exc)
            return value

    async def replace(self, seen: T | None) -> T:
        """A newer value than `seen`: the one that somebody else fetched meanwhile, or one fetched now."""
        attempts = self._attempts
        async with self._lock:
            # Who waited while somebody else asked takes that answer, or that failure: a crowd is one fetch.
            if self._attempts == attempts and (self._value is None or self._value is seen):
                await self._ask()
            if self._value is None or (self._value is seen and self._failure):
                failure = self._failure or ProviderUnreachable("the provider has not been asked")
                raise failure.with_traceback(None)  # raised often: what it carries must not grow
            return self._value

    async def _ask(self) -> None:
        if time.monotonic() < self._pause:
            return  # the failure of a moment ago stands
        try:
            self._value, self._failure = await self._fetch(), None
            self._fetched, self._failures = time.monotonic(), 0
        except (ProviderFaulty, ProviderUnreachable) as exc:
            self._failure, self._failures = exc, self._failures + 1
            # Strangers can begin logins as fast as they like, and a provider in trouble must not be asked as often.
            self._pause = time.monotonic() + min(LONGEST_PAUSE, max(0, self._failures - PATIENCE))
        self._attempts += 1
