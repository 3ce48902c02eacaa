"""This file is one run of a conformance module: a client under test, what the provider sees of it, and what it says.

The judge is the provider, as in the OpenID Foundation's suite: a login counts as accepted when userinfo is asked, and
as refused when it is not. That somebody is logged in then, or nobody, is asked of the app.
"""

import math
from base64 import b64decode, urlsafe_b64encode
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from re import fullmatch
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

import httpx

from ck_middleware.dev.grants import ACCESS_LIFETIME
from support.browser import FORM, Browser, at_provider
from support.clock import Clock
from support.faces import TOKEN, Answer, Asked, Face, told
from support.provider import CLIENT_ID, CLIENT_SECRET, Hit, MisbehavingProvider

CALLBACK = "http://localhost:8000/auth/callback"
WATCHED = ("auth", "token", "userinfo", "logout")  # discovery and keys may come from a cache, and say nothing
PERSON = ("auth", "POST")  # the choice of the person at the provider
RANDOM = "[A-Za-z0-9_-]{43}"  # 256 bits
VERIFIER = "[A-Za-z0-9._~-]{43,128}"  # RFC 7636, 4.1
AUTHORIZATION = {"response_type", "client_id", "redirect_uri", "scope", "state", "nonce"}
PKCE = {"code_challenge", "code_challenge_method"}
ENTROPY = 128  # bits, as the suite measures them; 256 random ones come out at 210, give or take 30


class Outcome(NamedTuple):
    """What came of a run: what was answered, what the provider was asked, and whether somebody is logged in."""

    answer: str
    asked: tuple[str, ...]
    logged_in: bool

    def __str__(self) -> str:
        asked = ", ".join(f"`{endpoint}`" for endpoint in self.asked) or "nothing"
        return f"{self.answer}; asked: {asked}; {'logged in' if self.logged_in else 'nobody logged in'}"


class Judge:
    """What the suite checks on every run, of every request that the provider gets."""

    used: set[str] = set()  # noqa: RUF012  # verifiers, states, nonces, codes: of all runs, since none comes twice

    def __init__(self, provider: MisbehavingProvider) -> None:
        self._provider = provider
        self._judged = 0

    def look(self) -> int:
        """Judge the requests that are new. How many there were."""
        new = self._provider.hits[self._judged :]
        for hit in new:
            assert not hit.twice, f"{hit.endpoint}: given twice: {hit.twice}"
            judge = getattr(self, f"_{hit.endpoint}")
            judge(hit)
        self._judged += len(new)
        return len(new)

    def _discovery(self, hit: Hit) -> None:
        assert (hit.method, hit.query, hit.form) == ("GET", {}, {})
        assert "authorization" not in hit.headers

    _jwks = _discovery

    def _auth(self, hit: Hit) -> None:
        if hit.method == "POST":
            return  # the person, on the provider's own page
        query = hit.query
        assert query["client_id"] == CLIENT_ID
        assert query["redirect_uri"] == CALLBACK
        assert query["response_type"] == "code"
        assert "openid" in query["scope"].split(" ")
        assert query["code_challenge_method"] == "S256"
        # Neither a request object, nor `max_age=0` beside `prompt=none`, nor anything else that nobody agreed on.
        assert query.keys() <= AUTHORIZATION | PKCE | {"login_hint"}
        for name in ("state", "nonce", "code_challenge"):
            assert fullmatch(RANDOM, query[name])
            self._once(query[name])

    def _token(self, hit: Hit) -> None:
        assert (hit.method, hit.query) == ("POST", {})
        self._authenticated(hit)
        if hit.form["grant_type"] == "authorization_code":
            self._redeemed(hit.form)
        else:
            assert hit.form["grant_type"] == "refresh_token"

    def _authenticated(self, hit: Hit) -> None:
        """RFC 6749, 2.3.1: by Basic alone, each half form-encoded before they were joined."""
        scheme, _, encoded = hit.headers["authorization"].partition(" ")
        assert scheme == "Basic"
        pair = b64decode(encoded, validate=True).decode("ascii").split(":")
        assert [unquote_plus(half) for half in pair] == [CLIENT_ID, CLIENT_SECRET]
        assert "client_secret" not in hit.form
        assert hit.form.get("client_id", CLIENT_ID) == CLIENT_ID

    def _redeemed(self, form: dict[str, str]) -> None:
        grant = self._provider._grants._codes.find(form["code"])
        assert grant is not None, "a code that was never given"
        assert form["redirect_uri"] == grant.request.redirect_uri == CALLBACK
        verifier = form["code_verifier"]
        assert fullmatch(VERIFIER, verifier)
        assert entropy(verifier) >= ENTROPY
        digest = urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        assert digest == grant.request.code_challenge
        self._once(verifier)
        self._once(form["code"])

    def _userinfo(self, hit: Hit) -> None:
        """RFC 6750, 2: the token in one place, which is not the address."""
        assert (hit.query, hit.form) == ({}, {})
        scheme, _, token = hit.headers["authorization"].partition(" ")
        assert scheme == "Bearer"
        assert self._provider._grants.find(token) is not None, "a token that was never given"

    def _logout(self, hit: Hit) -> None:
        sent = hit.query | hit.form
        assert sent["id_token_hint"] in self._provider.id_tokens
        assert sent["post_logout_redirect_uri"] in self._provider.clients[CLIENT_ID].post_logout_redirect_uris

    def _once(self, value: str) -> None:
        assert value not in self.used, "used before"
        self.used.add(value)


def entropy(text: str) -> float:
    """Shannon's, of the whole text, in bits."""
    shares = [count / len(text) for count in Counter(text).values()]
    return -len(text) * sum(share * math.log2(share) for share in shares)


class Run:
    """A client under test, and a person who uses it. Each act gives its `Outcome`; the last one stays."""

    def __init__(self, provider: MisbehavingProvider, face: Face, clock: Clock, watch: Callable[[], None]) -> None:
        self.provider = provider
        self.faults = provider.faults
        self.face = face
        self.browser = Browser(face)
        self.outcome: Outcome | None = None
        self._clock = clock
        self._watch = watch  # judges what the provider has been asked

    def log_in(self, target: str = "/auth/login") -> Outcome:
        """A login from its beginning, as far as the client lets it come."""
        seen = len(self.provider.hits)
        answer = self.browser.get(target)
        if answer.status == 303:
            answer = self.browser.come_back(self.browser.choose(answer.location, person="otter"))
        return self._came_of(f"303 to `{answer.location}`" if answer.status == 303 else _refusal(answer), seen)

    def refresh(self) -> Outcome:
        """The access token ends, and the app asks for one to call userinfo with."""
        seen = len(self.provider.hits)
        self._clock.move(ACCESS_LIFETIME)
        token = told(self.browser.get(TOKEN))["token"]
        if token is None:
            return self._came_of("no token for the app", seen)
        headers = {"Authorization": f"Bearer {token}"}
        answer = httpx.get(self.provider.url("userinfo"), headers=headers, timeout=10, trust_env=False)
        return self._came_of(f"a new token, and {answer.status_code} for it", seen)

    def log_out(self, *, meanwhile: Callable[[], object] = bool) -> Outcome:
        """From the app's own button to the provider's page, and back to wherever that leads."""
        seen = len(self.provider.hits)
        away = self.browser.post("/auth/logout").location
        assert not self.browser.is_logged_in  # whatever comes of the rest
        back = at_provider("GET", away).location
        meanwhile()
        answer = self.browser.come_back(back)
        steps = "303, then " if answer.status == 303 else ""
        page = self.browser.come_back(answer.location) if steps else answer
        assert not told(page)["logged_in"]
        return self._came_of(f"{steps}a page for anyone", seen)

    def be_told(self, **changes: Any) -> Outcome:
        """The provider ends the session from behind: its server posts a logout token, with more than is needed."""
        seen = len(self.provider.hits)
        answer = self.tell(str(told(self.browser.get("/dashboard"))["sub"]), **changes)
        return self._came_of(str(answer.status), seen)

    def tell(self, sub: str, **changes: Any) -> Answer:
        token = self.provider.logout_token(sub, **({"sid": "sid-1", "trace_id": "x"} | changes))
        headers = [("Host", "localhost:8000"), *FORM.items()]
        body = f"trace_id=x&logout_token={token}&logout_hint=x".encode()
        answer = self.face.ask(Asked("POST", "/auth/backchannel-logout", headers, body))
        assert answer.header("cache-control") == "no-store"
        return answer

    def _came_of(self, answer: str, seen: int) -> Outcome:
        self._watch()
        hits = self.provider.hits[seen:]
        asked = [hit.endpoint for hit in hits if hit.endpoint in WATCHED and (hit.endpoint, hit.method) != PERSON]
        self.outcome = Outcome(answer, tuple(asked), self._is_somebody())
        return self.outcome

    def _is_somebody(self) -> bool:
        """Whether somebody is logged in, by two accounts: ours, and that of the app."""
        reached = len(self.face.seen)
        comes_in = self.browser.get("/dashboard").status == 200
        assert (len(self.face.seen) > reached) == comes_in == self.browser.is_logged_in
        return comes_in


def _refusal(answer: Answer) -> str:
    return f"{answer.status} `{answer.code}`"
