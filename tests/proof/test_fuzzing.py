"""Whatever a stranger, a provider or a store sends is answered calmly: refused with one of our own words, or read.

Each reader gets the inputs kept in `corpus/`, which once found something or very nearly did, and then what hypothesis
makes of its grammar: the same inputs in every ordinary run, chance and many more of them with `--long`.
"""

import ast
import asyncio
import gc
import gzip
import ipaddress
import json
import math
import re
import time
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import parse_qs, urlencode, urlsplit

import httpcore
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.responses import Response

from ck_middleware import AuthConfig, ConfigError, cookies, id_token, jose, oidc, policy, upkeep
from ck_middleware.addresses import split
from ck_middleware.blocking import BlockingHttp, BlockingRuntime
from ck_middleware.errors import Fault, ProviderFaulty, TokenInvalid
from ck_middleware.forms import MOST_FIELDS, fields
from ck_middleware.looping import LoopHttp, LoopRuntime
from ck_middleware.ports import step
from ck_middleware.seal import Seal, Signature
from ck_middleware.sessions import NEVER_KEPT
from ck_middleware.signatures import verify
from ck_middleware.stores import open_store
from ck_middleware.stores.memory import AsyncMemoryStore, MemoryStore
from ck_middleware.strict_json import read_object
from support import forgery, grammars
from support.browser import Browser, query_of
from support.clock import Clock, Hurry
from support.faces import Answer, ASGIFace, Asked, Face, Guard, WSGIFace, told
from support.grammars import Edits, edited, live
from support.provider import CLIENT_ID, CLIENT_SECRET, MisbehavingProvider
from support.serving import RawServer

pytestmark = pytest.mark.usefixtures("clock")  # an input that is tried twice finds the same time

CORPUS = Path(__file__).with_name("corpus")
LONG = 20  # times as many examples, and chance in them
SECRET = "0123456789abcdef0123456789abcdef"

T = TypeVar("T")


class Search(Protocol):
    def __call__(
        self, reader: str, inputs: st.SearchStrategy[T], check: Callable[[T], object], *, examples: int = 100
    ) -> None:
        """Give `check` what is kept for this reader, and then so many inputs of a grammar."""


@pytest.fixture
def search(long: bool, tally: Callable[[str, int], None]) -> Search:  # noqa: FBT001  # what a fixture is
    def run(reader: str, inputs: st.SearchStrategy[T], check: Callable[[T], object], *, examples: int = 100) -> None:
        counted = 0

        @settings(
            max_examples=examples * (LONG if long else 1),
            derandomize=not long,
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(inputs)
        def one(found: T) -> None:
            nonlocal counted
            counted += 1
            check(found)

        for found in kept(reader):
            check(found)
            counted += 1
        one()
        tally("inputs", counted)

    return run


def kept(reader: str) -> list[Any]:
    """The inputs in the corpus: a Python literal a line, each below a comment that says what it is."""
    lines = (CORPUS / f"{reader}.txt").read_text("utf-8").splitlines()
    return [ast.literal_eval(line) for line in lines if line and not line.startswith("#")]


def refused(kind: type[Exception], read: Callable[[], object]) -> Exception | None:
    """How something was refused: in this way, since any other is a failure; `None` when it was not."""
    try:
        read()
    except kind as refusal:
        return refusal
    return None


def calm(answer: Answer, *, elsewhere: str = "") -> None:
    """No fault of ours, nothing that a browser could read in two ways, and nobody sent anywhere but `elsewhere`."""
    assert answer.status < 500, answer.text
    assert all((name + value).isascii() and (name + value).isprintable() for name, value in answer.headers)
    for location in [*answer.every("location"), *answer.every("hx-redirect")]:
        assert is_here(location) or (elsewhere and location.startswith(elsewhere)), location


def is_here(location: str) -> bool:
    """Whether a browser on a page of the app stays with it (WHATWG URL, 4.4: a backslash is a slash)."""
    seen = location.translate({9: None, 10: None, 13: None, ord("\\"): "/"})
    return seen.startswith("/") and not seen.startswith("//")


def cookie(value: str | bytes, name: str = "ck_session") -> grammars.Headers:
    text = value.decode("latin-1") if isinstance(value, bytes) else grammars.as_latin(value)
    return [("Host", "localhost:8000"), ("Cookie", f"{name}={text}" if name else text)]


# What strangers send: cookies


def test_a_cookie_header_gives_what_stands_in_it(search: Search) -> None:
    def check(header: bytes) -> None:
        for name in (b"ck_session", b"__Host-ck_session", b"\xa0__Host-ck_session"):
            found = cookies.values(header, name)
            assert len(found) <= header.count(name)
            assert all(value in header and b";" not in value for value in found)
        for name, value in cookies.starting_with(header, b"ck_login_"):
            assert name.startswith(b"ck_login_")
            assert value in header

    search("cookie_header", grammars.octets(grammars.cookie_headers), check, examples=150)


def test_every_cookie_is_found_whatever_stands_around_it(search: Search) -> None:
    def check(header: bytes) -> None:
        assert cookies.values(header + b"; ck_session=mine", b"ck_session")[-1] == b"mine"
        assert cookies.values(b"ck_session=mine;" + header, b"ck_session")[0] == b"mine"

    search("cookie_header", grammars.octets(grammars.cookie_headers), check)


@pytest.mark.parametrize("kind", ["cookie", "memory"])
def test_no_cookie_header_lets_anybody_in(search: Search, face: Face, provider: MisbehavingProvider) -> None:
    def check(header: bytes) -> None:
        sent = cookie(header, name="")
        for target in ("/", "/auth/me", "/auth/login", "/auth/logout", "/auth/callback?state=x&code=y"):
            calm(face.ask(Asked("GET", target, sent)), elsewhere=provider.url("auth") + "?")
        calm(face.ask(Asked("POST", "/auth/logout", sent)))
        assert face.seen == []

    search("cookie_header", grammars.octets(grammars.cookie_headers), check, examples=40)
    assert provider.count("token") == 0


def test_a_sealed_value_opens_as_it_was_sealed_and_in_no_other_spelling(search: Search) -> None:
    seal = Seal([SECRET], purpose="session", client="c")
    sealed = seal.seal(b"plain", name="ck_session")

    def check(changes: Edits) -> None:
        changed = edited(sealed, changes)
        opened = seal.open(changed.encode("utf-8", "surrogatepass"), name="ck_session")
        assert opened == (b"plain" if changed == sealed else None)

    search("edits", grammars.edits, check, examples=150)


def test_a_signed_value_is_good_as_it_was_signed_and_in_no_other_spelling(search: Search) -> None:
    signature = Signature([SECRET], purpose="session id", client="c")
    signed = signature.sign("an id")

    def check(changes: Edits) -> None:
        changed = edited(signed, changes)
        assert signature.verify(changed, max_age=60) == ("an id" if changed == signed else None)

    search("edits", grammars.edits, check, examples=150)


@pytest.mark.parametrize("kind", ["cookie", "memory"])
def test_a_changed_session_cookie_is_nobodys(search: Search, face: Face) -> None:
    browser = Browser(face)
    browser.log_in()
    own = browser.cookies["ck_session"]

    def check(changes: Edits) -> None:
        changed = edited(own, changes)
        answer = face.ask(Asked("GET", "/auth/me", cookie(changed)))
        assert answer.status == 401 or own in changed
        calm(answer)

    assert face.ask(Asked("GET", "/auth/me", cookie(own))).status == 200
    search("edits", grammars.edits, check, examples=60)


def test_a_changed_login_cookie_finishes_no_login(search: Search, face: Face, provider: MisbehavingProvider) -> None:
    browser = Browser(face)
    sent = query_of(browser.start_login())
    name = browser.cookie_named("ck_login_")
    own = browser.cookies[name]
    target = "/auth/callback?" + urlencode({"state": sent["state"], "code": "x", "iss": provider.issuer})

    def check(changes: Edits) -> None:
        changed, asked = edited(own, changes), provider.count("token")
        answer = face.ask(Asked("GET", target, cookie(changed, name)))
        assert answer.status == 400
        assert provider.count("token") <= asked + (own in changed)
        calm(answer)

    search("edits", grammars.edits, check, examples=60)
    assert face.ask(Asked("GET", target, cookie(own, name))).code == "code_refused"  # the honest provider's own word


# What strangers send: queries, forms, headers


def test_the_fields_of_a_query_are_what_a_browser_wrote(search: Search) -> None:
    def check(query: str) -> None:
        found = fields(grammars.as_latin(query).encode("latin-1"))
        assert sum(map(len, found.values())) <= MOST_FIELDS
        for name, values in found.items():
            again = fields(urlencode([(name, value) for value in values]).encode())
            assert again == {name: values}

    search("query", grammars.queries(), check, examples=150)


def test_a_path_to_return_to_stays_here_and_is_read_once(search: Search) -> None:
    def check(wanted: str) -> None:
        path = policy.return_path(wanted)
        if path is None:
            return
        assert path.isascii()
        assert is_here(path)
        assert policy.return_path(path) == path
        parts = urlsplit(httpx.URL("https://app.example/a/").join(path).__str__())
        assert (parts.scheme, parts.netloc) == ("https", "app.example")

    search("return_path", grammars.return_paths, check, examples=200)


def test_no_query_takes_a_login_elsewhere(search: Search, face: Face, provider: MisbehavingProvider) -> None:
    browser = Browser(face)
    allowed = {"response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge"}
    allowed |= {"code_challenge_method", "prompt", "login_hint"}

    def check(query: str) -> None:
        browser.cookies.clear()
        answer = browser.get("/auth/login?" + grammars.as_latin(query).replace("%40issuer%40", provider.issuer))
        calm(answer, elsewhere=provider.url("auth") + "?")
        if answer.status == 400:
            assert answer.code == "initiation_invalid"
            return
        sent = query_of(answer.location)
        assert sent.keys() <= allowed
        assert sent["redirect_uri"] == "http://localhost:8000/auth/callback"
        assert sent.get("prompt", "login") == "login"
        # What was remembered stands on the page of a login that fails.
        refused = browser.fetch("/auth/callback?" + urlencode({"state": sent["state"], "iss": "another"}))
        assert refused.code == "callback_invalid"
        (again,) = parse_qs(urlsplit(refused.json["login_url"]).query)["next"]
        assert is_here(again)
        assert not again.startswith("/auth/")

    initiated = grammars.queries(iss=st.just("@issuer@"), target_link_uri=grammars.addresses)
    search("query", grammars.queries(next=grammars.return_paths) | initiated, check, examples=60)


def test_no_callback_query_is_a_login(search: Search, face: Face, provider: MisbehavingProvider) -> None:
    browser = Browser(face)
    sent = query_of(browser.start_login())
    begun = dict(browser.cookies)

    def check(query: str) -> None:
        target = "/auth/callback?" + grammars.as_latin(query)
        target = target.replace("%40state%40", sent["state"]).replace("%40issuer%40", provider.issuer)
        browser.cookies = {}
        asked = provider.count("token")
        calm(browser.get(target))
        assert provider.count("token") == asked  # nothing of a stranger's goes to the provider
        browser.cookies = dict(begun)
        answer = browser.get(target)
        assert answer.status == 400 or "error=" in target  # which may say that the provider is in trouble
        assert answer.status in {400, 403, 502, 503}
        assert provider.count("token") <= asked + 1

    honest = {"state": st.just("@state@"), "iss": st.just("@issuer@"), "code": st.just("c")}
    errors = st.sampled_from(["access_denied", "server_error", "temporarily_unavailable", "login_required", "x"])
    search("query", grammars.queries(**honest, error=errors), check, examples=60)
    assert provider.count("token") > 0


@pytest.mark.parametrize("kind", ["cookie", "memory"])
def test_no_header_of_a_request_is_a_fault_of_ours(search: Search, guard: Guard, provider: MisbehavingProvider) -> None:
    face = guard(public=["/open"])
    browser = Browser(face)
    browser.log_in()
    own = browser.cookies["ck_session"]
    targets = [
        "/",
        "/open",
        "/api/x",
        "/auth/login",
        "/auth/callback",
        "/auth/logout",
        "/auth/me",
        "/auth/x",
        "/x?y=%ff",
    ]

    def check(asked: tuple[str, str, grammars.Headers, bytes]) -> None:
        method, target, headers, body = asked
        before = len(face.seen)
        calm(face.ask(Asked(method, target, headers, body)), elsewhere=provider.url("auth") + "?")
        assert set(face.seen[before:]) <= {"/open"}
        person = [*headers, ("Cookie", f"ck_session={own}")]
        calm(face.ask(Asked(method, target, person, body)), elsewhere=provider.url("auth") + "?")

    strategy = st.tuples(
        grammars.methods,
        st.sampled_from(targets),
        grammars.headers,
        grammars.octets(grammars.queries()),
    )
    search("request", strategy, check, examples=60)


@pytest.mark.parametrize("kind", ["cookie", "memory"])
def test_no_form_of_another_site_signs_anybody_out(search: Search, face: Face) -> None:
    browser = Browser(face)
    browser.log_in()
    cross_site = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}

    def check(form: str) -> None:
        body = grammars.as_latin(form).encode("latin-1")
        for headers in (cross_site, {"Origin": "https://evil.example"}, {}):
            sent = [*cookie(browser.cookies["ck_session"]), ("Accept", "text/html"), *headers.items()]
            calm(face.ask(Asked("POST", "/auth/logout", sent, body)))
        assert browser.is_logged_in

    search("query", grammars.queries(everywhere=st.just("1")), check, examples=40)


@pytest.mark.parametrize("kind", ["cookie", "memory"])
def test_a_changed_token_of_the_logout_form_signs_nobody_out(search: Search, face: Face) -> None:
    browser = Browser(face)
    browser.log_in()
    token = browser.get("/auth/logout").text.partition('value="')[2].partition('"')[0]
    sent = [*cookie(browser.cookies["ck_session"]), ("Accept", "text/html")]

    def check(changes: Edits) -> None:
        changed = edited(token, changes)
        body = urlencode({"token": changed}, errors="surrogatepass").encode()
        if changed != token:
            assert face.ask(Asked("POST", "/auth/logout", sent, body)).status == 200  # asked once more

    search("edits", grammars.edits, check, examples=60)
    body = urlencode({"token": token}).encode()
    assert face.ask(Asked("POST", "/auth/logout", sent, body)).status == 303


@pytest.mark.parametrize("kind", ["memory"])
def test_a_provider_ends_sessions_by_a_whole_logout_token_alone(
    search: Search, face: Face, provider: MisbehavingProvider
) -> None:
    browser = Browser(face)
    browser.log_in()
    token = provider.logout_token(browser.me().json["user"]["sub"])
    form = [("Content-Type", "application/x-www-form-urlencoded")]

    def post(body: bytes) -> int:
        answer = face.ask(Asked("POST", "/auth/backchannel-logout", form, body))
        calm(answer)
        return answer.status

    def check(changes: Edits) -> None:
        changed = edited(token, changes)
        if changed != token:
            assert post(urlencode({"logout_token": changed}, errors="surrogatepass").encode()) == 400

    def check_form(body: str) -> None:
        assert post(grammars.as_latin(body).encode("latin-1")) == 400

    def check_claims(payload: bytes) -> None:
        claims = live(payload, issuer=provider.issuer, client=CLIENT_ID)
        header = {"alg": "RS256", "typ": "logout+jwt", "kid": provider.keys[0].kid}
        signed = forgery.rs256(provider.keys[0], header, claims)
        status = post(urlencode({"logout_token": signed}).encode())
        assert status == 400 or (status == 200 and is_logout(claims, provider.issuer))

    search("edits", grammars.edits, check, examples=40)
    search("query", grammars.queries(logout_token=st.just("a.b.c")), check_form, examples=40)
    search("logout_token", grammars.logout_tokens, check_claims, examples=60)
    assert browser.is_logged_in
    assert post(urlencode({"logout_token": token}).encode()) == 200
    assert not browser.is_logged_in


def is_logout(payload: bytes, issuer: str) -> bool:
    claims = plainly(payload)
    assert claims["iss"] == issuer
    assert claims["aud"] in (CLIENT_ID, [CLIENT_ID])
    assert abs(claims["iat"] - time.time()) < 700
    assert claims["exp"] > time.time() - 61
    return "nonce" not in claims and bool(claims["jti"]) and bool(claims.get("sub") or claims.get("sid"))


def plainly(document: bytes) -> dict[str, Any]:
    """A JSON object as Python's own parser reads it, no member twice."""

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    found: dict[str, Any] = json.loads(document.decode(), object_pairs_hook=members)
    return found


# The provider


class Logins:
    """Logins at a face up to where the provider is asked for tokens, and answers what a test wants."""

    def __init__(self, face: Face, provider: MisbehavingProvider) -> None:
        self.browser = Browser(face)
        self.outcomes: set[int] = set()
        self._provider = provider

    def finish(self, answer: Callable[[str], Response]) -> Answer:
        """`answer` makes the token response, from the nonce."""
        self.browser.cookies.clear()
        sent = query_of(self.browser.start_login())
        self._provider.faults.answer("token", answer(sent["nonce"]), times=1)
        query = {"state": sent["state"], "code": "c", "iss": self._provider.issuer}
        finished = self.browser.get("/auth/callback?" + urlencode(query))
        self.outcomes.add(finished.status)
        return finished

    def id_token(self, payload: bytes, nonce: str, header: dict[str, Any] | bytes | None = None) -> str:
        """Signed by the provider whatever it says."""
        claims = live(payload, nonce=nonce, issuer=self._provider.issuer, client=CLIENT_ID)
        key = self._provider.keys[0]
        usual = {"alg": "RS256", "typ": "JWT", "kid": key.kid}
        return forgery.rs256(key, usual if header is None else header, claims)


@pytest.fixture
def logins(face: Face, provider: MisbehavingProvider) -> Logins:
    provider.faults.userinfo = lambda claims: claims
    return Logins(face, provider)


def json_of(document: bytes | Mapping[str, Any], status: int = 200, media_type: str = "application/json") -> Response:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Response(body, status, media_type=media_type)


TROUBLE = {400, 403, 502, 503}  # how a login may end that is none


def test_a_payload_that_the_provider_signed_logs_in_as_what_it_says(
    search: Search, guard: Guard, provider: MisbehavingProvider
) -> None:
    logins = Logins(guard(userinfo=False), provider)

    def check(payload: bytes) -> None:
        nonces: list[str] = []

        def answer(nonce: str) -> Response:
            nonces.append(nonce)
            return json_of({"access_token": "a", "token_type": "Bearer", "id_token": logins.id_token(payload, nonce)})

        finished = logins.finish(answer)
        if finished.status != 303:
            assert finished.code in {"token_invalid", "session_too_large"}
            return
        said = plainly(live(payload, nonce=nonces[0], issuer=provider.issuer, client=CLIENT_ID))
        assert said["iss"] == provider.issuer
        assert said["aud"] in (CLIENT_ID, [CLIENT_ID])
        assert said.get("azp") in (CLIENT_ID, None)
        assert said["nonce"] == nonces[0]
        assert said["exp"] > time.time() - 61
        assert -61 < time.time() - said["iat"] < 660
        claims = {name: value for name, value in said.items() if name not in NEVER_KEPT}
        assert logins.browser.me().json["user"] == json.loads(
            json.dumps(claims, ensure_ascii=False).encode("utf-8", "replace")
        )

    search("id_token", grammars.id_tokens, check, examples=80)
    assert logins.outcomes > {303}  # some are read, and some are not


def test_a_header_or_signature_that_is_odd_logs_nobody_in(
    search: Search, guard: Guard, provider: MisbehavingProvider
) -> None:
    logins = Logins(guard(userinfo=False), provider)
    payload = json.dumps(grammars.ID_TOKEN).encode()
    same: list[bool] = []

    def check(changed: tuple[bytes, Edits]) -> None:
        header, changes = changed
        key = provider.keys[0]

        def odd_header(nonce: str) -> Response:
            said = live(header, kid=str(key.kid), typ="JWT")
            return json_of(
                {"access_token": "a", "token_type": "Bearer", "id_token": logins.id_token(payload, nonce, said)}
            )

        def odd_text(nonce: str) -> Response:
            honest = logins.id_token(payload, nonce)
            token = edited(honest, changes)
            same.append(token == honest)
            return json_of({"access_token": "a", "token_type": "Bearer", "id_token": token})

        finished = logins.finish(odd_header)
        assert finished.status in TROUBLE or read_object(live(header, kid=str(key.kid), typ="JWT"))["alg"] == "RS256"
        assert logins.finish(odd_text).status in TROUBLE or same[-1]

    search("jose_header", st.tuples(grammars.jose_headers, grammars.edits), check, examples=40)
    assert logins.outcomes > {303}  # some are read, and some are not


@pytest.mark.parametrize("kind", ["cookie", "memory"])
def test_no_token_response_is_a_fault_of_ours(
    search: Search, guard: Guard, provider: MisbehavingProvider, kind: str
) -> None:
    logins = Logins(guard(userinfo=False, keep_tokens=kind == "memory"), provider)
    payload = json.dumps(grammars.ID_TOKEN).encode()

    def check(response: tuple[bytes, int, str, dict[str, str]]) -> None:
        document, status, media_type, headers = response

        def answer(nonce: str) -> Response:
            made = json_of(live(document, token=logins.id_token(payload, nonce)), status, media_type)
            made.raw_headers += [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
            return made

        finished = logins.finish(answer)
        assert finished.status in TROUBLE or (finished.status == 303 and status == 200)
        calm_of_the_provider(finished)

    strategy = st.tuples(grammars.token_responses, grammars.statuses, grammars.media_types, grammars.answer_headers)
    search("token_response", strategy, check, examples=60)
    assert logins.outcomes > {303}  # some are read, and some are not


def calm_of_the_provider(answer: Answer) -> None:
    assert answer.status in {303, *TROUBLE}, answer.text
    assert all(is_here(location) for location in answer.every("location"))


def test_no_userinfo_is_a_fault_of_ours(search: Search, logins: Logins, provider: MisbehavingProvider) -> None:
    payload = json.dumps(grammars.ID_TOKEN).encode()

    def check(response: tuple[bytes, int, str, dict[str, str]]) -> None:
        document, status, media_type, headers = response
        made = json_of(document, status, media_type)
        made.raw_headers += [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        provider.faults.answer("userinfo", made, times=1)
        finished = logins.finish(
            lambda nonce: json_of(
                {"access_token": "a", "token_type": "Bearer", "id_token": logins.id_token(payload, nonce)}
            )
        )
        calm_of_the_provider(finished)
        if finished.status == 303:
            person = logins.browser.me().json["user"]
            assert status == 200
            assert plainly(document)["sub"] == person["sub"] == "ck_u_1"
            assert person["iss"] == provider.issuer

    strategy = st.tuples(grammars.userinfos, grammars.statuses, grammars.media_types, grammars.answer_headers)
    search("userinfo", strategy, check, examples=60)
    assert logins.outcomes > {303}  # some are read, and some are not


def test_a_cookie_of_the_provider_is_not_even_read(guard: Guard, provider: MisbehavingProvider) -> None:
    """The standard library warns of one that it cannot read; where warnings are errors, nobody could log in."""
    logins = Logins(guard(userinfo=False), provider)
    payload = json.dumps(grammars.ID_TOKEN).encode()

    def answer(nonce: str) -> Response:
        made = json_of({"access_token": "a", "token_type": "Bearer", "id_token": logins.id_token(payload, nonce)})
        made.headers["set-cookie"] = "a=b; max-age=" + "9" * 400
        return made

    assert logins.finish(answer).status == 303


def test_no_discovery_document_is_a_fault_of_ours(search: Search, guard: Guard, provider: MisbehavingProvider) -> None:
    outcomes: set[int] = set()

    def check(document: bytes) -> None:
        said = live(document, issuer=provider.issuer)
        provider.faults.answer("discovery", json_of(said))
        face = guard()
        answer = face.ask(Asked("GET", "/auth/login", [("Host", "localhost:8000")]))
        face.close()
        outcomes.add(answer.status)
        assert answer.status in {303, 502, 503}
        response = httpx.Response(200, headers={"Content-Type": "a/a+json"}, content=said)
        if refused(ProviderFaulty, lambda: oidc.read_discovery(response, provider.issuer, {})):
            assert answer.status == 502
            return
        metadata = oidc.read_discovery(response, provider.issuer, {})
        assert answer.location.startswith(metadata.authorization_endpoint)
        for name in ("token_endpoint", "jwks_uri", "userinfo_endpoint", "revocation_endpoint"):
            if address := getattr(metadata, name):  # whatever is accepted can be asked, and in no clear text
                asked = httpx.Request("POST", address)
                assert asked.url.scheme == "https" or asked.url.host in {"localhost", "127.0.0.1", "::1"}

    search("discovery", grammars.discoveries, check, examples=60)
    assert outcomes > {303}


def test_no_key_set_is_a_fault_of_ours(search: Search, guard: Guard, provider: MisbehavingProvider) -> None:
    payload = json.dumps(grammars.ID_TOKEN).encode()
    outcomes: set[int] = set()

    def check(document: bytes) -> None:
        provider.faults.answer("jwks", json_of(key_set(document, provider)))
        face = guard(userinfo=False)
        logins = Logins(face, provider)
        finished = logins.finish(
            lambda nonce: json_of(
                {"access_token": "a", "token_type": "Bearer", "id_token": logins.id_token(payload, nonce)}
            )
        )
        face.close()
        outcomes.add(finished.status)
        calm_of_the_provider(finished)
        assert finished.status != 303 or modulus(provider).encode() in key_set(document, provider)

    search("key_set", grammars.key_sets, check, examples=40)
    assert outcomes > {303}


def modulus(provider: MisbehavingProvider) -> str:
    return str(forgery.rsa_jwk(provider.keys[0])["n"])


def key_set(document: bytes, provider: MisbehavingProvider) -> bytes:
    return live(document, n=modulus(provider), kid=str(provider.keys[0].kid))


def test_whatever_a_key_says_it_is_tried_or_left_alone(search: Search, provider: MisbehavingProvider) -> None:
    signed = forgery.rs256(provider.keys[0], {"alg": "RS256"}, b"payload")

    def check(document: bytes) -> None:
        said = key_set(document, provider)
        if refused(ValueError, lambda: jose.read_keys(read_object(said))):
            return
        keys = jose.read_keys(read_object(said))
        for algorithm in jose.ALGORITHMS:
            fitting = jose.candidates(keys, jose.Header(algorithm, None))
            payload = verify(signed, fitting, algorithm)
            assert payload is None or (payload, algorithm) == (b"payload", "RS256")

    search("key_set", grammars.key_sets, check, examples=150)


@pytest.mark.parametrize("answer", kept("http_answer"), ids=lambda answer: repr(answer[:40]))
def test_bytes_that_are_hardly_http_are_the_providers_trouble(guard: Guard, answer: bytes) -> None:
    head, star, rest = answer.partition(b"*")
    with RawServer([head, *([rest] * 5000 if star else ())]) as server:
        face = guard(issuer=server.url, timeout=10)
        assert face.ask(Asked("GET", "/auth/login", [("Host", "localhost:8000")])).status in {502, 503}


# Settings and stores


def test_an_environment_gives_a_configuration_or_a_list_of_what_is_wrong(
    search: Search, runner: asyncio.Runner, light_clients: None
) -> None:
    needed = {
        "CONSENTKEYS_CLIENT_ID": "ck_1",
        "CONSENTKEYS_CLIENT_SECRET": CLIENT_SECRET,
        "SESSION_SECRET": SECRET,
        "CONSENTKEYS_ISSUER": "http://127.0.0.1:9",
    }

    read = 0

    def check(environ: dict[str, str]) -> None:
        nonlocal read
        refusal = refused(ConfigError, lambda: AuthConfig.from_env(needed | environ))
        if refusal is not None:
            assert str(refusal).count("\n") >= 1
            assert CLIENT_SECRET not in str(refusal)
            return
        read += 1
        config = AuthConfig.from_env(needed | environ)
        given = {name: getattr(config, name) for name in AuthConfig.__dataclass_fields__}
        assert AuthConfig(**given) == config  # what was read is read again as it is
        faces: list[Face] = []
        # A face knows more of its store than the settings do.
        if refused(ConfigError, lambda: faces.extend([WSGIFace(config), ASGIFace(config, runner)])):
            return
        for face in faces:
            for target in ("/", "/auth/me", config.callback_path):
                calm(face.ask(Asked("GET", grammars.quoted_path(target), [("Host", "localhost")])))
            face.close()

    search("environment", grammars.environments, check, examples=150)
    assert read > 20


def test_the_address_of_a_store_is_one_or_is_refused_in_a_sentence(search: Search) -> None:
    def check(url: str) -> None:
        for runtime in (BlockingRuntime(), LoopRuntime()):
            refusal = refused(ConfigError, partial(open_store, url, runtime, timeout=1))
            assert refusal is None or "pass-word" not in str(refusal) + repr(refusal.__cause__)

    search("store_url", grammars.store_urls, check, examples=200)


def test_an_address_is_taken_apart_in_one_way(search: Search) -> None:
    def check(text: str) -> None:
        if refused(Fault, lambda: split(text)):
            return
        address = split(text)
        asked = httpx.URL(text)
        again = split(address.origin + address.path + address.query)
        assert again == address
        assert plain_host(httpx.URL(address.origin).host) == plain_host(asked.host)
        assert address.origin.startswith("https:") or asked.host in {"localhost", "127.0.0.1", "::1"}
        assert (asked.userinfo, asked.fragment) == (b"", "")

    search("address", grammars.addresses, check, examples=200)


def plain_host(host: str) -> str:
    """A host in one spelling, since an IPv6 address has several."""
    return str(ipaddress.IPv6Address(host)) if ":" in host else host


class Forger(MemoryStore):
    """A store that gives back something else than it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.forge: Callable[[bytes], bytes] = bytes

    def get(self, key: str) -> bytes | None:
        value = super().get(key)
        return None if value is None else self.forge(value)


class AsyncForger(AsyncMemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self._store = self.forger = Forger()


def test_a_record_that_the_store_changed_is_nobodys(search: Search, guard: Guard, face_name: str) -> None:
    store = Forger() if face_name == "wsgi" else AsyncForger()
    forger = store if isinstance(store, Forger) else store.forger
    browser = Browser(guard(store=store, keep_tokens=True, recheck="1h"))
    browser.log_in()
    cookies = dict(browser.cookies)

    def check(changes: Edits) -> None:
        for forge in (
            lambda value: edited(value.decode("latin-1"), changes).encode("utf-8", "surrogatepass"),
            lambda value: edited("", changes).encode("utf-8", "surrogatepass"),
        ):
            forger.forge = forge
            browser.cookies = dict(cookies)
            for target in ("/", "/auth/me", "/token", "/auth/logout"):
                answer = browser.fetch(target)
                calm(answer)
                assert answer.status in {200, 401} if target == "/auth/logout" else answer.status == 401

    search("edits", grammars.edits, check, examples=40)
    forger.forge = bytes
    browser.cookies = cookies
    assert told(browser.get("/"))["logged_in"]


# JSON


def test_a_document_is_read_as_everybody_would_read_it(search: Search) -> None:
    def check(document: bytes) -> None:
        if refused(ValueError, lambda: read_object(document)):
            return
        found = read_object(document)
        assert found == plainly(document)
        assert read_object(json.dumps(found)) == found  # what was read can be written, and says the same
        assert all(math.isfinite(number) for number in numbers(found))

    search("json", grammars.json_documents, check, examples=200)


def numbers(value: object) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    elif isinstance(value, dict | list):
        for member in value.values() if isinstance(value, dict) else value:
            yield from numbers(member)


def test_claims_are_read_or_refused_with_a_reason(search: Search) -> None:
    expected = id_token.Expected("https://i.example", "c", "n", "RS256", "at", 60, allow_missing_nonce=False)

    def check(payload: bytes) -> None:
        said = live(payload, issuer="https://i.example", client="c", nonce="n")
        for read in (
            lambda: id_token.read_claims(said, expected),
            lambda: id_token.read_refreshed(said, expected, sub="ck_u_1", auth_time=1),
            lambda: id_token.read_logout(said, "https://i.example", "c", 60),
        ):
            refused(TokenInvalid, read)

    search("id_token", grammars.id_tokens, check, examples=150)
    search("logout_token", grammars.logout_tokens, check, examples=100)


# Work and memory. What costs its length squared takes 64 times as long for 8 times the length. The time is the
# thread's own; what looks too long is measured again, since a busy machine can lengthen it and never shorten it.

SHORT, TIMES = 1 << 16, 8
COOKIES = (
    ";",
    "=",
    ",",
    " ",
    "a=b;",
    "ck_session=",
    "ck_session=;",
    "ck_session=a,",
    "a=b,ck_session=;",
    "ck_login_a=b;",
)
QUERIES = ("&", "a", "%", "%ff", "=", "+", ";", "a=b&", "state=a&", "/..", "%2f", "\\", "//", "[", "?", "#")
VALUES = ("/", "//", ":", "[", "]", "@", "9", "json", "text/html,", "http://", "localhost:", "a.", " ", "%", "\\")


def grows_with_its_length(read: Callable[[str], object], pattern: str) -> None:
    short, long = (pattern * (SHORT * times // len(pattern)) for times in (1, TIMES))
    for _ in range(20):
        if cost(read, long) < max(3 * TIMES * cost(read, short), 0.05):
            return
    pytest.fail(f"{pattern!r} again and again costs more than its length")


def cost(read: Callable[[str], object], text: str) -> float:
    """Seconds of this thread's own time, without those in which everything that there is was looked at for garbage."""
    gc.disable()
    try:
        start = time.thread_time()
        read(text)
        return time.thread_time() - start
    finally:
        gc.enable()


def test_the_measure_tells_what_grows_with_the_square() -> None:
    def squared(text: str) -> None:
        for start in range(0, len(text), 256):
            text.count("b", start)

    grows_with_its_length(lambda text: text.count("b"), "a")
    with pytest.raises(pytest.fail.Exception):
        grows_with_its_length(squared, "a")


@pytest.mark.parametrize("target", ["/x", "/auth/login", "/auth/callback?state=x"])
def test_the_work_for_cookies_grows_with_their_length(face: Face, target: str) -> None:
    for pattern in COOKIES:
        grows_with_its_length(lambda text: face.ask(Asked("GET", target, cookie(text, name=""))), pattern)


@pytest.mark.parametrize("target", ["/x?state=", "/auth/login?next=/", "/auth/callback?code=x&state="])
def test_the_work_for_a_query_grows_with_its_length(face: Face, target: str) -> None:
    for pattern in QUERIES:
        grows_with_its_length(lambda text: face.ask(Asked("GET", target + text, [("Host", "localhost")])), pattern)


@pytest.mark.parametrize("names", [("Host", "Origin", "Accept", "Sec-Fetch-Mode"), ("HX-Current-URL",), ("Referer",)])
def test_the_work_for_headers_grows_with_their_length(face: Face, names: Sequence[str]) -> None:
    for pattern in VALUES:
        grows_with_its_length(lambda text: face.ask(Asked("POST", "/x", [(name, text) for name in names])), pattern)


DOCUMENTS = (
    *(" ", "[", "{", '{"a":', "[],", "{},", "1,", "1", "0." + "1" * 100, "1e9", "-", "\\", "\\u0041", "\\ud800"),
    *('"a",', '"', "NaN,", "null,", '{"a":1},', '{"a":1,"a":2},', '["a"],', "\xe9", "\0"),
)


@pytest.mark.parametrize(("head", "tail"), [('{"keys": [', "]}"), ('{"keys": "', '"}'), ("", "")])
def test_the_work_for_a_document_grows_with_its_length(head: str, tail: str) -> None:
    def read(text: str) -> None:
        with suppress(ValueError):
            jose.read_keys(read_object((head + text.rstrip(",") + tail).encode()))

    for pattern in DOCUMENTS:
        grows_with_its_length(read, pattern)


def test_an_answer_in_a_million_pieces_is_put_together_once(
    runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch, light_clients: None
) -> None:
    """Each piece used to be a copy of all before it."""

    class Stream(httpx.AsyncByteStream):
        def __init__(self, text: str) -> None:
            self._text = text

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for _ in self._text:
                yield b"x"

    async def answer_on_a_loop(_: object, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=Stream(request.headers["x-text"]))

    def answer(_: object, request: httpcore.Request) -> httpcore.Response:
        return httpcore.Response(200, content=iter([b"x"] * len(dict(request.headers)[b"x-text"])))

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", answer_on_a_loop)
    monkeypatch.setattr(httpcore.ConnectionPool, "handle_request", answer)
    looping, blocking = LoopHttp(60), BlockingHttp(60)

    def asking(text: str) -> httpx.Request:
        return httpx.Request("GET", "http://127.0.0.1:9/", headers={"x-text": text})

    grows_with_its_length(lambda text: step(blocking.send(asking(text))), "x")
    grows_with_its_length(lambda text: runner.run(looping.send(asking(text))), "x")
    runner.run(looping.close())


MEBIBYTE = 1 << 20


@contextmanager
def in_memory_of(limit: int) -> Iterator[None]:
    """Nothing in here holds more bytes than that at once."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


def test_a_mebibyte_from_a_stranger_takes_some_mebibytes_of_memory(face: Face) -> None:
    host = ("Host", "localhost:8000")
    for pattern in ("a=b;", "ck_session=;", "ck_login_a=b;"):
        with in_memory_of(64 * MEBIBYTE):
            face.ask(Asked("GET", "/auth/login", [host, ("Cookie", pattern * (MEBIBYTE // len(pattern)))]))
    for pattern in ("%", "/a", "a=b&"):
        with in_memory_of(64 * MEBIBYTE):
            face.ask(Asked("GET", "/auth/login?next=/" + pattern * (MEBIBYTE // len(pattern)), [host]))


@pytest.mark.parametrize("endpoint", ["discovery", "jwks", "token", "userinfo"])
@pytest.mark.parametrize("encoding", ["gzip", "deflate", ""])
def test_what_unpacks_to_much_is_not_unpacked(
    guard: Guard, provider: MisbehavingProvider, endpoint: str, encoding: str
) -> None:
    much = bytes(64 * MEBIBYTE)
    made = json_of(zlib.compress(much) if encoding == "deflate" else gzip.compress(much))
    if encoding:
        made.headers["content-encoding"] = encoding
    browser = Browser(guard())
    back = browser.choose(browser.start_login()) if endpoint != "discovery" else "/auth/login"
    provider.faults.answer(endpoint, made)
    with in_memory_of(16 * MEBIBYTE):
        assert browser.come_back(back).status == 502
    provider.faults.heal(endpoint)
    assert browser.log_in().status == 303


def test_every_kept_input_is_replayed() -> None:
    text = Path(__file__).read_text("utf-8")
    readers = set(re.findall(r'(?:search|kept)\(\s*"(\w+)"', text))
    assert {file.stem for file in CORPUS.iterdir()} == readers
    assert all(kept(reader) for reader in readers)


JUNK = (None, 5, True, False, "text", b"x", [5], ["\ud800"], {"a": 1}, object())


class Babbling(MemoryStore):
    """A store of the app's own that answers one question with what nobody expects."""

    def __init__(self) -> None:
        super().__init__()
        self.babbles: dict[str, object] = {}

    def _answer(self, name: str, honest: Callable[[], object]) -> Any:
        return self.babbles[name] if name in self.babbles else honest()

    def get(self, key: str) -> Any:
        return self._answer("get", lambda: MemoryStore.get(self, key))

    def put(self, key: str, value: bytes, *, ttl: float, owners: Sequence[str] = ()) -> Any:
        return self._answer("put", lambda: MemoryStore.put(self, key, value, ttl=ttl, owners=owners))

    def swap(self, key: str, old: bytes, new: bytes, *, ttl: float) -> Any:
        return self._answer("swap", lambda: MemoryStore.swap(self, key, old, new, ttl=ttl))

    def touch(self, key: str, *, ttl: float) -> Any:
        return self._answer("touch", lambda: MemoryStore.touch(self, key, ttl=ttl))

    def add(self, key: str, value: bytes, *, ttl: float) -> Any:
        return self._answer("add", lambda: MemoryStore.add(self, key, value, ttl=ttl))

    def delete(self, key: str, value: bytes | None = None) -> Any:
        return self._answer("delete", lambda: MemoryStore.delete(self, key, value))

    def owned(self, owner: str) -> Any:
        return self._answer("owned", lambda: MemoryStore.owned(self, owner))


class AsyncBabbling(AsyncMemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self._store = self.babbling = Babbling()


@pytest.mark.parametrize("question", ["get", "put", "swap", "touch", "add", "delete", "owned"])
def test_a_store_that_answers_with_anything_is_out_of_order_at_most(
    guard: Guard,
    provider: MisbehavingProvider,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    face_name: str,
    question: str,
) -> None:
    Hurry(monkeypatch, upkeep)  # which waits for a lease that nobody gets
    store = Babbling() if face_name == "wsgi" else AsyncBabbling()
    babbling = store if isinstance(store, Babbling) else store.babbling
    face = guard(store=store, keep_tokens=True, recheck="1m")
    for junk in JUNK:
        babbling.babbles = {}
        browser = Browser(face)
        assert browser.log_in().status == 303
        sub = browser.me().json["user"]["sub"]
        clock.move(61)  # a re-check is due
        babbling.babbles = {question: junk}
        form = {"logout_token": provider.logout_token(sub)}
        answers = [
            browser.fetch("/x"),
            browser.request("POST", "/auth/backchannel-logout", form=form),
            browser.post("/auth/logout", form={"everywhere": "1"}),
            browser.log_in(),
        ]
        assert {answer.status for answer in answers} <= {200, 303, 400, 401, 503}, junk
