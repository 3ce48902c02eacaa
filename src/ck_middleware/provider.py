"""This file is the provider as we know it: who it says somebody is, and what its tokens are worth.

Nothing is fetched before someone logs in. Metadata and keys are snapshots, replaced whole; a failed fetch leaves the
old one in place, so that people notice nothing of a short outage.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from ck_middleware import id_token, jose, oidc
from ck_middleware.errors import (
    AccessRefused,
    KeyUnknown,
    LoginRefused,
    ProviderFaulty,
    ProviderUnreachable,
    TokenInvalid,
)
from ck_middleware.log import WARNING
from ck_middleware.observing import LOG_ALONE, OK, Observers
from ck_middleware.snapshot import Snapshot
from ck_middleware.tokens import Login

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from ck_middleware.config import AuthConfig
    from ck_middleware.ports import Http
    from ck_middleware.tokens import Tokens
    from ck_middleware.transaction import Transaction

T = TypeVar("T")

LATELY = 900  # seconds that the last answer, or none, is taken for how the provider is
PORTS = {"https": 443, "http": 80}
LOGIN = {OK: OK, ProviderUnreachable.code: "unreachable"}  # any other is a faulty answer
COOLDOWN = 30  # seconds without another fetch after one that did not find the key of a token


class Provider:
    """Discovery, keys, and what the token endpoint is asked. One for each process and middleware."""

    def __init__(self, config: AuthConfig, http: Http, observers: Observers = LOG_ALONE) -> None:
        self._config = config
        self._http = http
        self._observers = observers
        self._last: tuple[float, str] | None = None  # when it was last asked, and what came of it
        self._given = {name: getattr(config, name) for name in oidc.ENDPOINTS}
        self._explicit = self._without_discovery()
        self._metadata = Snapshot(self._fetch_metadata, http, observers)
        self._keys = Snapshot(self._fetch_keys, http, observers)
        self._cool_until: dict[frozenset[str], float] = {}  # by kind of token: a stranger can send logout tokens

    async def metadata(self) -> oidc.Metadata:
        """Raises `ProviderUnreachable` or `ProviderFaulty` when there is none to use."""
        return self._explicit or await self._metadata.get()

    @property
    def login(self) -> str:
        """Whether people can log in, as far as that was seen lately: `ok`, `unreachable`, `faulty` or `unknown`.

        Nobody is asked for it, so that no stranger can make us ask.
        """
        at, found = self._last or (float("-inf"), "")
        return LOGIN.get(found, "faulty") if time.monotonic() < at + LATELY else "unknown"

    async def redeem(self, transaction: Transaction, code: str) -> Login:
        """Who logged in. Raises a `LoginRefused` of the kind that fits.

        Userinfo is asked only after every check of the ID token has passed (RFC 9700, 2.1).
        """
        metadata = await self.metadata()
        request = oidc.token_request(metadata, self._config, transaction, code)
        tokens = await self._ask("token", request, oidc.read_tokens)
        if tokens.id_token is None:
            raise TokenInvalid("the token response has no id_token")
        header, payload = await self._signed(tokens.id_token, jose.ID_TOKEN)
        expected = self._expected(header, tokens, transaction.nonce)
        claims = id_token.read_claims(payload, expected)
        if self._config.userinfo:
            claims |= await self.userinfo(tokens.access_token, claims["sub"]) or {}
        return Login(claims, replace(tokens, nonce=transaction.nonce, auth_time=claims.get("auth_time")))

    async def refresh(self, refresh_token: str) -> Tokens:
        """New tokens for a refresh token, not yet checked. Raises `CodeRefused` when it is no longer accepted."""
        metadata = await self.metadata()
        request = oidc.refresh_request(metadata, self._config, refresh_token)
        new = await self._ask("token", request, oidc.read_tokens)
        return replace(new, refresh_token=new.refresh_token or refresh_token)

    async def checked(self, new: Tokens, old: Tokens, sub: str) -> Tokens:
        """The new tokens, with what they leave out as it was (OpenID Connect Core, 12.2).

        Raises `TokenInvalid` when a new ID token is about another person or login, and `KeyUnknown`, `ProviderFaulty`
        or `ProviderUnreachable` when that cannot be told now.
        """
        if new.id_token is not None:
            header, payload = await self._signed(new.id_token, jose.ID_TOKEN)
            expected = replace(self._expected(header, new, old.nonce or ""), allow_missing_nonce=True)
            id_token.read_refreshed(payload, expected, sub=sub, auth_time=old.auth_time)
        return replace(new, id_token=new.id_token or old.id_token, nonce=old.nonce, auth_time=old.auth_time)

    async def userinfo(self, access_token: str, sub: str) -> dict[str, Any] | None:
        """What userinfo says of the person; `None` where the provider has none. Raises a `LoginRefused`."""
        endpoint = (await self.metadata()).userinfo_endpoint
        if not endpoint:
            return None
        request = oidc.userinfo_request(endpoint, access_token)
        return await self._ask("userinfo", request, lambda response: oidc.read_userinfo(response, sub))

    async def revoke(self, tokens: Tokens) -> None:
        """Tell the provider that the tokens are of no more use. Nothing depends on whether it hears."""
        try:
            endpoint = (await self.metadata()).revocation_endpoint
            if endpoint:
                token = tokens.refresh_token or tokens.access_token
                request = oidc.revocation_request(endpoint, self._config, token)
                await self._ask("revocation", request, lambda _: None)
        except LoginRefused as refusal:
            self._observers.note(
                "trouble", "tokens could not be revoked", level=WARNING, kind="provider", reason=refusal
            )

    async def logged_out(self, token: str) -> id_token.LoggedOut:
        """Whose sessions a logout token ends. Raises a `LoginRefused` when it proves nothing."""
        _, payload = await self._signed(token, jose.LOGOUT_TOKEN)
        config = self._config
        return id_token.read_logout(payload, config.issuer, config.client_id, config.leeway)

    def _expected(self, header: jose.Header, tokens: Tokens, nonce: str) -> id_token.Expected:
        return id_token.Expected(
            issuer=self._config.issuer,
            client_id=self._config.client_id,
            nonce=nonce,
            algorithm=header.algorithm,
            access_token=tokens.access_token,
            leeway=self._config.leeway,
            allow_missing_nonce=self._config.allow_missing_nonce,
        )

    async def _signed(self, token: str, types: frozenset[str]) -> tuple[jose.Header, bytes]:
        """The header and the payload of a token that a key of the provider signed. Raises `TokenInvalid`."""
        header = jose.read_header(token, algorithms=self._config.id_token_algorithms, types=types)
        keys = await self._keys.get()
        payload = self._try(token, keys, header)
        # The provider may have changed its keys a moment ago. A key of that name with another signature has not.
        unknown = payload is None and (header.kid is None or not jose.candidates(keys, header))
        if unknown and time.monotonic() >= self._cool_until.get(types, 0):
            payload = self._try(token, await self._keys.replace(keys), header)
            if payload is None:
                self._cool_until[types] = time.monotonic() + COOLDOWN
        if payload is None:
            known = sorted({key.kid or "(none)" for key in keys})[:10]
            kind = KeyUnknown if unknown else TokenInvalid
            raise kind(f"no key of the provider signed the token: kid={header.kid!r}, known are {known}")
        return header, payload

    def _try(self, token: str, keys: tuple[jose.Key, ...], header: jose.Header) -> bytes | None:
        from ck_middleware.signatures import verify  # noqa: PLC0415  # dear, and needed by logins alone

        return verify(token, jose.candidates(keys, header), header.algorithm)

    def _without_discovery(self) -> oidc.Metadata | None:
        """Metadata from the settings alone, when they leave nothing to discover."""
        needed = ["authorization_endpoint", "token_endpoint", "jwks_uri"]
        needed += ["userinfo_endpoint"] if self._config.userinfo else []
        complete = all(self._given[name] for name in needed)
        return oidc.Metadata(issuer=self._config.issuer, **self._given) if complete else None

    async def _fetch_metadata(self) -> oidc.Metadata:
        issuer = self._config.issuer
        try:
            return await self._ask("discovery", oidc.discovery_request(issuer), self._read_discovery)
        except (ProviderFaulty, ProviderUnreachable) as exc:
            raise type(exc)(f"{exc} (the provider asked is issuer, CONSENTKEYS_ISSUER: {issuer})") from exc

    def _read_discovery(self, response: httpx.Response) -> oidc.Metadata:
        return oidc.read_discovery(response, self._config.issuer, self._given)

    async def _fetch_keys(self) -> tuple[jose.Key, ...]:
        request = oidc.keys_request(await self.metadata())
        return await self._ask("keys", request, _read_keys)

    async def _ask(self, endpoint: str, request: httpx.Request, read: Callable[[httpx.Response], T]) -> T:
        """What `read` makes of the answer to one call, which is told and remembered as good or not."""
        url = request.url
        timed = self._observers.timed("provider_call", "the provider was asked", endpoint=endpoint)
        try:
            with timed as facts:
                facts |= {"method": request.method, "server": url.host, "port": url.port or PORTS.get(url.scheme)}
                response = await self._http.send(request)
                facts["status"] = response.status_code
                answer = read(response)
        except (ProviderFaulty, ProviderUnreachable) as exc:
            # A token that it no longer accepts is one person's affair, and a good answer.
            self._last = time.monotonic(), OK if isinstance(exc, AccessRefused) else exc.code
            raise
        self._last = time.monotonic(), OK
        return answer


def _read_keys(response: httpx.Response) -> tuple[jose.Key, ...]:
    document = oidc.read_key_document(response)
    try:
        return jose.read_keys(document)
    except ValueError as exc:
        raise ProviderFaulty(f"the key set {exc}") from exc
