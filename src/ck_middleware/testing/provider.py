"""This file is the strict development provider, which can be told to misbehave, and which remembers every hit."""

import secrets
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from ck_middleware.config import Settings
from ck_middleware.dev.clients import Client, authenticate
from ck_middleware.dev.forms import read_form
from ck_middleware.dev.grants import Grant
from ck_middleware.dev.provider import PATHS, DevProvider
from ck_middleware.dev.signing import SigningKey
from ck_middleware.testing.faults import Faults


@dataclass(frozen=True, slots=True)
class Hit:
    """One request that arrived. Header names are lower case."""

    endpoint: str
    method: str
    query: dict[str, str]
    form: dict[str, str]
    headers: dict[str, str]
    twice: frozenset[str] = frozenset()  # what came more than once: names of headers, and of fields in either place


class MisbehavingProvider(DevProvider):
    """One registered client, whose id and secret are in `settings`, beside `issuer`."""

    offers_revocation = False  # RFC 7009
    rotates = True  # refresh tokens, each good for one refresh

    def __init__(self, issuer: str, *, client: Client, keys: Sequence[SigningKey] = ()) -> None:
        super().__init__(issuer, clients=[client], keys=keys, clock=_now)
        self.client_id = client.client_id
        self.faults = Faults()
        self.hits: list[Hit] = []
        self.id_tokens: list[str] = []  # every one that was issued
        self._moved: dict[str, str] = {}
        self._endpoints["revoke"] = {"POST": self._revoke_token}
        self._names[urlsplit(self.url("revoke")).path] = "revoke"

    @property
    def settings(self) -> Settings:
        """`ASGIAuthMiddleware(app, session_secret=..., **provider.settings)`."""
        client = self.clients[self.client_id]
        return {"issuer": self.issuer, "client_id": client.client_id, "client_secret": client.client_secret}

    def register(self, *redirect_uris: str) -> None:
        """Register these too, and the home page beside each for the return from logout."""
        client = self.clients[self.client_id]
        homes = [uri.removesuffix("auth/callback") for uri in redirect_uris]
        self.clients[self.client_id] = replace(
            client,
            redirect_uris=(*client.redirect_uris, *redirect_uris),
            post_logout_redirect_uris=(*client.post_logout_redirect_uris, *homes),
        )

    def count(self, endpoint: str, method: str | None = None) -> int:
        """How often somebody asked: `provider.count("token")`."""
        return sum(hit.endpoint == endpoint and method in {None, hit.method} for hit in self.hits)

    def last(self, endpoint: str, method: str | None = None) -> Hit:
        return next(hit for hit in reversed(self.hits) if hit.endpoint == endpoint and method in {None, hit.method})

    def url(self, name: str) -> str:
        return self._address + (PATHS | {"revoke": "/revoke"} | self._moved)[name]

    def move(self, name: str) -> None:
        """Serve an endpoint at an address that nobody could guess, and no longer where it was."""
        del self._names[urlsplit(self.url(name)).path]
        self._moved[name] = f"/{secrets.token_hex(8)}"
        self._names[urlsplit(self.url(name)).path] = name

    def new_key(self) -> SigningKey:
        return SigningKey.fresh()

    def rotate(self) -> None:
        """A new key signs, and the old one is no longer published."""
        self.keys = (self.new_key(),)

    def logout_token(self, sub: str | None, **changes: Any) -> str:  # noqa: ANN401  # JSON
        """A logout token (Back-Channel Logout 1.0, section 2.4); a change to `None` removes the claim."""
        now = int(self._clock())
        event: dict[str, Any] = {"http://schemas.openid.net/event/backchannel-logout": {}}
        claims = {"iss": self.issuer, "aud": self.client_id, "iat": now, "exp": now + 120, "jti": secrets.token_hex(8)}
        claims |= {"sub": sub, "events": event} | changes
        header = {"alg": "RS256", "typ": "logout+jwt", "kid": self.keys[0].kid}
        present = {name: value for name, value in claims.items() if value is not None}
        return self.faults.sign(self.keys[0], header, present)

    # Where the strict provider is overruled

    async def respond(self, name: str, request: Request) -> Response:
        form = parse_qsl((await request.body()).decode("latin-1"), keep_blank_values=True)
        query = parse_qsl(request.url.query, keep_blank_values=True)
        twice = _more_than_once(request.headers.keys()) | _more_than_once([field for field, _ in (*query, *form)])
        self.hits.append(Hit(name, request.method, dict(query), dict(form), dict(request.headers), twice))
        answer = self.faults.next_answer(name)
        honest = super().respond
        return await (answer(request, lambda: honest(name, request)) if answer else honest(name, request))

    def discovery_document(self) -> dict[str, Any]:
        revocation = {"revocation_endpoint": self.url("revoke")} if self.offers_revocation else {}
        return self.faults.discovery(super().discovery_document() | revocation)

    def jwks_document(self) -> dict[str, Any]:
        return self.faults.jwks(super().jwks_document())

    def redirect_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        return self.faults.callback(super().redirect_parameters(parameters))

    def token_response(self, grant: Grant, nonce: str) -> dict[str, Any]:
        before, answer = grant.refresh_token, super().token_response(grant, nonce)
        if before and not self.rotates:
            grant.refresh_token = before
            answer.pop("refresh_token")
        return self.faults.token_response(answer)

    def id_token_claims(self, grant: Grant, nonce: str, access_token: str) -> dict[str, Any]:
        return self.faults.id_token_claims(super().id_token_claims(grant, nonce, access_token))

    def sign(self, claims: dict[str, Any]) -> str:
        if self.faults.rotate_before_signing:
            self.faults.rotate_before_signing = False
            self.rotate()
        key = self.keys[0]
        header = self.faults.id_token_header({"alg": "RS256", "typ": "JWT", "kid": key.kid})
        self.id_tokens.append(self.faults.raw_id_token(self.faults.sign(key, header, claims)))
        return self.id_tokens[-1]

    def userinfo_claims(self, grant: Grant) -> dict[str, Any]:
        return self.faults.userinfo(super().userinfo_claims(grant))

    async def _revoke_token(self, request: Request) -> Response:
        """RFC 7009; a token that is not known is none."""
        form = await read_form(request)
        authenticate(self.clients, self.auth_methods, request.headers.get("authorization", ""), form)
        self._grants.revoke_token(form.get("token", ""))
        return Response()

    def error_document(self, error: str, description: str) -> dict[str, Any]:
        return self.faults.error(super().error_document(error, description))


def _more_than_once(names: Sequence[str]) -> frozenset[str]:
    return frozenset(name for name, count in Counter(names).items() if count > 1)


def _now() -> float:
    return time.time()  # looked up at each call, so that a test can move it
