"""This file is the tests' provider: the strict one, which can be told to misbehave, and which remembers every hit."""

import asyncio
import contextlib
import itertools
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from ck_middleware.config import Settings
from ck_middleware.dev import Client, DevProvider
from ck_middleware.dev.clients import authenticate
from ck_middleware.dev.forms import read_form
from ck_middleware.dev.grants import Grant
from ck_middleware.dev.provider import PATHS
from support import forgery
from support.forgery import Change, Signer, unchanged
from support.serving import Server

CLIENT_ID = "ck_0123456789abcdef0123456789abcdef"
CLIENT_SECRET = "s+e/c=r%e:t&0123456789"  # every character that a client may forget to encode
REDIRECT_URIS = (
    "https://app.example/auth/callback",
    "http://localhost/auth/callback",
    "http://localhost:5000/auth/callback",
    "http://localhost:8000/auth/callback",
    "http://127.0.0.1:8000/auth/callback",
)
LONG = 3600  # seconds, where a test waits for nobody

Honest = Callable[[], Awaitable[Response]]
Answer = Callable[[Request, Honest], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Hit:
    """One request that arrived. Header names are lower case."""

    endpoint: str
    method: str
    query: dict[str, str]
    form: dict[str, str]
    headers: dict[str, str]
    twice: frozenset[str] = frozenset()  # what came more than once: names of headers, and of fields in either place


@dataclass
class Faults:
    """How the provider misbehaves, each until it is set back or `heal` is called.

    A change takes what the strict provider would say and gives what is said instead.
    """

    discovery: Change = unchanged
    jwks: Change = unchanged
    callback: Change = unchanged  # the query of the redirect back; a list stands for a repeated parameter
    token_response: Change = unchanged
    id_token_claims: Change = unchanged
    id_token_header: Change = unchanged
    sign: Signer = forgery.rs256
    raw_id_token: Callable[[str], str] = str
    rotate_before_signing: bool = False  # once: between the fetch of the keys and the next signature
    userinfo: Change = unchanged
    error: Change = unchanged  # the JSON of every error
    _answers: dict[str, list[Answer]] = field(default_factory=dict)

    def answer(self, endpoint: str, answer: Response | Answer, *, times: int | None = None) -> None:
        """Answer with this in place of the strict provider, always or so many times."""
        chosen = _instead(answer) if isinstance(answer, Response) else answer
        self._answers[endpoint] = [chosen] * (times or 100_000)

    def hang(self, endpoint: str, seconds: float = LONG, *, times: int | None = None) -> None:
        """Answer well, but so late. Who hangs up is waited for no longer."""
        self.answer(endpoint, _late(seconds), times=times)

    def drip(self, endpoint: str, *, times: int | None = None) -> None:
        """Answer well, but one byte a second; for the header there is `serving.dripping_header`."""
        self.answer(endpoint, _dripping, times=times)

    def huge(self, endpoint: str, size: int = 2 << 20, *, times: int | None = None) -> None:
        """Answer well, with so many bytes of white space after it."""
        self.answer(endpoint, _padded(size), times=times)

    def redirect(self, endpoint: str, to: str, *, status: int = 302, times: int | None = None) -> None:
        self.answer(endpoint, RedirectResponse(to, status), times=times)

    def heal(self, endpoint: str | None = None) -> None:
        """Behave again: at one endpoint, or altogether."""
        if endpoint is None:
            vars(self).update(vars(Faults()))
        else:
            self._answers.pop(endpoint, None)

    def next_answer(self, endpoint: str) -> Answer | None:
        answers = self._answers.get(endpoint)
        return answers.pop() if answers else None


class MisbehavingProvider(DevProvider):
    """One registered client, whose id and secret are in `settings`, beside `issuer`."""

    offers_revocation = False  # RFC 7009
    rotates = True  # refresh tokens, each good for one refresh

    def __init__(
        self, issuer: str, *, client_secret: str | None = CLIENT_SECRET, redirect_uris: Sequence[str] = REDIRECT_URIS
    ) -> None:
        client = Client(CLIENT_ID, client_secret, ())
        super().__init__(issuer, clients=[client], keys=[forgery.rsa_key()], clock=_now)
        self.register(*redirect_uris)
        self.faults = Faults()
        self.hits: list[Hit] = []
        self.id_tokens: list[str] = []  # every one that was issued
        self._moved: dict[str, str] = {}
        self._spare_keys = itertools.count(1)
        self._endpoints["revoke"] = {"POST": self._revoke_token}
        self._names[urlsplit(self.url("revoke")).path] = "revoke"

    @property
    def settings(self) -> Settings:
        """`ASGIAuthMiddleware(app, session_secret=..., **provider.settings)`."""
        client = self.clients[CLIENT_ID]
        return {"issuer": self.issuer, "client_id": client.client_id, "client_secret": client.client_secret}

    def register(self, *redirect_uris: str) -> None:
        """Register these too, and the home page beside each for the return from logout."""
        client = self.clients[CLIENT_ID]
        homes = [uri.removesuffix("auth/callback") for uri in redirect_uris]
        self.clients[CLIENT_ID] = replace(
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

    def rotate(self) -> None:
        """A new key signs, and the old one is no longer published."""
        self.keys = (forgery.rsa_key(next(self._spare_keys)),)

    def logout_token(self, sub: str | None, **changes: Any) -> str:
        """A logout token (Back-Channel Logout 1.0, section 2.4); a change to `None` removes the claim."""
        now = int(self._clock())
        event: dict[str, Any] = {"http://schemas.openid.net/event/backchannel-logout": {}}
        claims = {"iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 120, "jti": secrets.token_hex(8)}
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
        """RFC 7009, section 2: with one of its tokens the whole grant is over; one that is not known is none."""
        form = await read_form(request)
        authenticate(self.clients, self.auth_methods, request.headers.get("authorization", ""), form)
        token = form.get("token", "")
        for grant in (self._grants._refresh.find(token), self._grants._access.find(token)):
            if grant is not None:
                grant.is_revoked = True
        return Response()

    def error_document(self, error: str, description: str) -> dict[str, Any]:
        return self.faults.error(super().error_document(error, description))


class Hub:
    """Many providers on one real server, each below a path of its own, so that a fresh one costs nothing."""

    def __init__(self) -> None:
        self._providers: dict[str, MisbehavingProvider] = {}
        self._numbers = itertools.count(1)
        self._server = Server(self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        provider = self._providers.get(scope["path"].split("/")[1])
        await (provider or PlainTextResponse("no such provider", 404))(scope, receive, send)

    @contextlib.contextmanager
    def running(self) -> Iterator["Hub"]:
        with self._server:
            yield self

    @contextlib.contextmanager
    def provider(self, **settings: Any) -> Iterator[MisbehavingProvider]:
        """A fresh provider at `http://127.0.0.1:<port>/p<N>`."""
        path = f"p{next(self._numbers)}"
        self._providers[path] = provider = MisbehavingProvider(f"{self._server.url}/{path}", **settings)
        try:
            yield provider
        finally:
            del self._providers[path]


@contextlib.contextmanager
def provider_alone(**settings: Any) -> Iterator[tuple[MisbehavingProvider, Server]]:
    """A provider on a port of its own, with the server that can be stopped and started again."""
    server = Server()
    server.app = provider = MisbehavingProvider(server.url, **settings)
    with server:
        yield provider, server


def _more_than_once(names: Sequence[str]) -> frozenset[str]:
    return frozenset(name for name, count in Counter(names).items() if count > 1)


def _now() -> float:
    return time.time()  # looked up at each call, so that a test can move it


def _instead(response: Response) -> Answer:
    async def answer(request: Request, honest: Honest) -> Response:
        return response

    return answer


def _late(seconds: float) -> Answer:
    async def answer(request: Request, honest: Honest) -> Response:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(_hung_up(request), seconds)
        return await honest()

    return answer


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _dripping(request: Request, honest: Honest) -> Response:
    answer = await honest()

    async def bytes_one_by_one() -> AsyncIterator[bytes]:
        for octet in bytes(answer.body):
            yield bytes([octet])
            await asyncio.sleep(1)

    return StreamingResponse(bytes_one_by_one(), answer.status_code, {"content-type": "application/json"})


def _padded(size: int) -> Answer:
    async def answer(request: Request, honest: Honest) -> Response:
        honestly = await honest()
        return Response(bytes(honestly.body) + b" " * size, honestly.status_code, media_type="application/json")

    return answer
