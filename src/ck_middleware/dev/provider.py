"""This file is an OpenID provider for development: as strict as a provider should be, for this machine alone.

It keeps everything in memory, and asks nobody for a password. Sources: OpenID Connect Core 1.0, Discovery 1.0 and
RP-Initiated Logout 1.0, RFC 6749 (OAuth 2.0), RFC 7636 (PKCE), RFC 6750 (Bearer), RFC 9207 (`iss`).
"""

import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import jwt
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from ck_middleware.dev import pages
from ck_middleware.dev.authorization import AuthorizationRequest, check, read_authorization_request
from ck_middleware.dev.clients import Client, authenticate
from ck_middleware.dev.forms import Refusal, Unanswerable, read_form, read_parameters
from ck_middleware.dev.grants import ACCESS_LIFETIME, Grant, Grants, base64url
from ck_middleware.dev.loopback import loopback_address
from ck_middleware.dev.memory import Shelf
from ck_middleware.dev.people import LONGEST_NAME, PEOPLE, SCOPES, Person, person_called
from ck_middleware.dev.signing import ALGORITHM, SigningKey

PATHS: Final = {
    "auth": "/auth",
    "token": "/token",
    "userinfo": "/userinfo",
    "jwks": "/.well-known/jwks.json",
    "discovery": "/.well-known/openid-configuration",
    "logout": "/logout",
}
PAGE_LIFETIME = 900  # seconds to choose who signs in; as long as ConsentKeys' magic link
NO_STORE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}  # RFC 6749, section 5.1

Endpoint = Callable[[Request], Awaitable[Response]]


class DevProvider:
    """The provider, as an ASGI app that answers below the path of its issuer, mounted there or not.

    The first of `keys` signs, all are published; without any, one is made here. `clock` gives seconds since 1970.
    Raises `ConfigError` when the issuer is not a loopback address.
    """

    def __init__(
        self,
        issuer: str,
        *,
        clients: Sequence[Client],
        people: Sequence[Person] = PEOPLE,
        keys: Sequence[SigningKey] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._address = loopback_address(issuer)
        self._path = urlsplit(self._address).path
        self.issuer = issuer
        self.clients = {client.client_id: client for client in clients}
        self.people = {person.key: person for person in people}
        self.keys = tuple(keys) or (SigningKey.fresh(),)
        self.auth_methods: Sequence[str] = ("client_secret_post", "client_secret_basic")
        self._clock = clock
        self._requests: Shelf[AuthorizationRequest] = Shelf(PAGE_LIFETIME, clock)
        self._grants = Grants(clock)
        self._endpoints: dict[str, dict[str, Endpoint]] = {
            "auth": {"GET": self._ask, "POST": self._decide},
            "token": {"POST": self._token},
            "userinfo": {"GET": self._userinfo, "POST": self._userinfo},
            "jwks": {"GET": self._jwks},
            "discovery": {"GET": self._discovery},
            "logout": {"GET": self._logout, "POST": self._logout},
        }
        self._names = {self._path + path: name for name, path in PATHS.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        name = self._names.get(scope["path"])
        request = Request(scope, receive)
        response = PlainTextResponse("Not Found", 404) if name is None else await self.respond(name, request)
        await response(scope, receive, send)

    async def respond(self, name: str, request: Request) -> Response:
        """The answer of one endpoint, by its name in `PATHS`."""
        endpoint = self._endpoints[name].get(request.method)
        if endpoint is None:
            return PlainTextResponse("Method Not Allowed", 405, {"Allow": ", ".join(self._endpoints[name])})
        try:
            return await endpoint(request)
        except Unanswerable as why:
            return pages.refusal(str(why))
        except Refusal as why:
            if name in {"auth", "logout"}:
                return pages.refusal(f"{why.description} ({why.error}).", why.status)
            return self._refusal(why)

    def url(self, name: str) -> str:
        """The address of an endpoint, by its name in `PATHS`."""
        return self._address + PATHS[name]

    def revoke(self, person: str) -> None:
        """What a person does at the dashboard of ConsentKeys: every code and token made for them is void at once."""
        self._grants.revoke(person)

    # What the provider says: the tests' provider overrides these.

    def discovery_document(self) -> dict[str, Any]:
        public = ["none"] if any(client.client_secret is None for client in self.clients.values()) else []
        return {
            "issuer": self.issuer,
            "authorization_endpoint": self.url("auth"),
            "token_endpoint": self.url("token"),
            "userinfo_endpoint": self.url("userinfo"),
            "jwks_uri": self.url("jwks"),
            "end_session_endpoint": self.url("logout"),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": [ALGORITHM],
            "scopes_supported": list(SCOPES),
            "claims_supported": ["sub", "name", "preferred_username", "email", "email_verified"],
            "token_endpoint_auth_methods_supported": [*self.auth_methods, *public],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
            "request_uri_parameter_supported": False,
        }

    def jwks_document(self) -> dict[str, Any]:
        return {"keys": [key.jwk() for key in self.keys]}

    def redirect_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """What goes back to the application in the query; a list stands for a repeated parameter."""
        return parameters

    def token_response(self, grant: Grant, nonce: str) -> dict[str, Any]:
        access_token = self._grants.issue(grant)
        return {
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": ACCESS_LIFETIME,
            "refresh_token": grant.refresh_token,
            "scope": " ".join(sorted(grant.request.scope)),
            "id_token": self.sign(self.id_token_claims(grant, nonce, access_token)),
        }

    def id_token_claims(self, grant: Grant, nonce: str, access_token: str) -> dict[str, Any]:
        now = int(self._clock())
        return {
            "iss": self.issuer,
            "sub": grant.sub,
            "aud": grant.request.client_id,
            "exp": now + ACCESS_LIFETIME,
            "iat": now,
            "auth_time": grant.auth_time,
            "at_hash": base64url(hashlib.sha256(access_token.encode()).digest()[:16]),
        } | ({"nonce": nonce} if nonce else {})

    def sign(self, claims: dict[str, Any]) -> str:
        return self.keys[0].sign(claims)

    def userinfo_claims(self, grant: Grant) -> dict[str, Any]:
        return {"sub": grant.sub} | grant.person.claims(grant.request.scope)

    def error_document(self, error: str, description: str) -> dict[str, Any]:
        return {"error": error, "error_description": description}

    # Documents

    async def _discovery(self, _: Request) -> Response:
        return JSONResponse(self.discovery_document())

    async def _jwks(self, _: Request) -> Response:
        return JSONResponse(self.jwks_document())

    # Authorization

    async def _ask(self, request: Request) -> Response:
        parameters = read_parameters(request.scope["query_string"])
        asked = read_authorization_request(self.clients, parameters)
        try:
            check(parameters)
        except Refusal as why:
            return self._redirect_back(asked, {"error": why.error, "error_description": why.description})
        return pages.choose(self._requests.put(asked), asked, self.people.values())

    async def _decide(self, request: Request) -> Response:
        if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
            raise Unanswerable("The form was sent by another site.")  # signing somebody in unasked: login CSRF
        form = await read_form(request)
        denied = form.get("decision") == "deny"
        person = None if denied else self._person(form)
        asked = self._requests.take(form.get("request", ""))
        if asked is None:
            raise Unanswerable(
                "This page was answered already, or is too old. Go back to the application and sign in again."
            )
        if person is None:
            return self._redirect_back(asked, {"error": "access_denied", "error_description": "the person said no"})
        return self._redirect_back(asked, {"code": self._grants.allow(asked, person)})

    def _person(self, form: Mapping[str, str]) -> Person:
        name = " ".join(form.get("name", "").split())
        if 0 < len(name) <= LONGEST_NAME:
            return person_called(name)
        if (person := self.people.get(form.get("person", ""))) is None:
            raise Unanswerable(f"Choose one of the people, or type a name of at most {LONGEST_NAME} characters.")
        return person

    def _redirect_back(self, asked: AuthorizationRequest, answer: dict[str, Any]) -> Response:
        state = {"state": asked.state} if asked.state else {}
        query = self.redirect_parameters(answer | state | {"iss": self.issuer})  # RFC 9207
        return _redirect(asked.redirect_uri, query)

    # Tokens

    async def _token(self, request: Request) -> Response:
        if request.scope["query_string"]:
            raise Refusal("invalid_request", "parameters belong in the body, never in the address (RFC 6749, 2.3.1)")
        form = await read_form(request)
        client = authenticate(self.clients, self.auth_methods, request.headers.get("authorization", ""), form)
        match form.get("grant_type"):
            case "authorization_code":
                grant = self._grants.redeem(client, form)
                answer = self.token_response(grant, grant.request.nonce)
            case "refresh_token":
                grant = self._grants.renew(client, form)
                answer = self.token_response(grant, "")  # no nonce: OpenID Connect Core 1.0, 12.2
            case None:
                raise Refusal("invalid_request", "grant_type is missing")
            case _:
                raise Refusal("unsupported_grant_type", "grant_type must be authorization_code or refresh_token")
        return JSONResponse(answer, headers=NO_STORE)

    async def _userinfo(self, request: Request) -> Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return Response(status_code=401, headers=NO_STORE | {"WWW-Authenticate": 'Bearer realm="userinfo"'})
        grant = self._grants.find(token.strip())
        if grant is None:
            challenge = 'Bearer realm="userinfo", error="invalid_token"'
            raise Refusal("invalid_token", "the access token is not valid", status=401, challenge=challenge)
        return JSONResponse(self.userinfo_claims(grant), headers=NO_STORE)

    def _refusal(self, why: Refusal) -> Response:
        challenge = {"WWW-Authenticate": why.challenge} if why.challenge else {}
        return JSONResponse(self.error_document(why.error, why.description), why.status, NO_STORE | challenge)

    # Logout (OpenID Connect RP-Initiated Logout 1.0)

    async def _logout(self, request: Request) -> Response:
        posted = request.method == "POST"
        parameters = await read_form(request) if posted else read_parameters(request.scope["query_string"])
        client = self._client_signing_out(parameters)
        target = parameters.get("post_logout_redirect_uri")
        if target is None:
            return pages.signed_out()
        if client is None or target not in client.post_logout_redirect_uris:
            raise Unanswerable(
                f"post_logout_redirect_uri {target!r} is not registered, or neither client_id nor id_token_hint came."
            )
        state = {"state": parameters["state"]} if "state" in parameters else {}
        return _redirect(target, state)

    def _client_signing_out(self, parameters: Mapping[str, str]) -> Client | None:
        named = {parameters["client_id"]} if "client_id" in parameters else set[str]()
        if "id_token_hint" in parameters:
            named.add(self._audience(parameters["id_token_hint"]))
        if not named:
            return None
        if len(named) > 1 or not named <= self.clients.keys():
            raise Unanswerable("client_id is not registered, or is not the audience of id_token_hint.")
        return self.clients[named.pop()]

    def _audience(self, id_token: str) -> str:
        for key in self.keys:
            try:
                return str(key.read(id_token, self.issuer)["aud"])
            except jwt.InvalidTokenError:
                continue
        raise Unanswerable("id_token_hint is not an ID token of this provider.")


def _redirect(target: str, query: Mapping[str, Any]) -> Response:
    joined = "&" if "?" in target else "?"
    where = target + joined + urlencode(query, doseq=True) if query else target
    return RedirectResponse(where, status_code=303, headers=NO_STORE | {"Referrer-Policy": "no-referrer"})
