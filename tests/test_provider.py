"""The provider as we know it: what is asked of it and how often, and that it cannot hold us up or lead us astray.

Every promise is kept over both HTTP ports, that of the WSGI face and that of the ASGI face, against a real server.
"""

import asyncio
import base64
import contextlib
import gzip
import itertools
import json
import logging
import re
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from html import unescape
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar, Unpack, cast

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from ck_middleware import oidc
from ck_middleware.blocking import BlockingHttp
from ck_middleware.config import AuthConfig, Settings
from ck_middleware.errors import (
    ClientRefused,
    CodeRefused,
    LoginRefused,
    ProviderFaulty,
    ProviderUnreachable,
    TokenInvalid,
)
from ck_middleware.looping import LoopHttp
from ck_middleware.ports import LARGEST_ANSWER, Http, step
from ck_middleware.provider import COOLDOWN, Provider
from ck_middleware.snapshot import BELIEVED, FRESH, RETRY, Snapshot
from ck_middleware.transaction import Transaction, begin
from support import forgery
from support.browser import at_provider, query_of
from support.faces import Configure
from support.forgery import Claims, without
from support.ports import HOST
from support.provider import CLIENT_ID, CLIENT_SECRET, REDIRECT_URIS, Honest, Hub, MisbehavingProvider, provider_alone
from support.serving import RawServer, dripping_header, full_listener

T = TypeVar("T")

ENDPOINTS = ["discovery", "jwks", "token", "userinfo"]
SETTINGS = {
    "authorization_endpoint": "auth",
    "token_endpoint": "token",
    "jwks_uri": "jwks",
    "userinfo_endpoint": "userinfo",
}
CROWD = 20  # more than the connections that either client keeps
HASTY = 1.0  # seconds: the shortest timeout that there is, for what is to be given up
LATE = 15.0  # seconds after which it was not given up in one of them, on a busy machine
MANY = 60.0  # seconds, where nobody waits so long


# Who asks


class Port(Protocol):
    """An HTTP port, and the way in which its face runs the core on it."""

    @property
    def http(self) -> Http: ...

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T: ...

    def crowd(self, coroutines: Sequence[Coroutine[Any, Any, T]]) -> list[T | BaseException]:
        """All of them at once, each with what it returned or raised."""

    def close(self) -> None: ...


class BlockingPort:
    def __init__(self, timeout: float) -> None:
        self.http = BlockingHttp(timeout)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return step(coroutine)

    def crowd(self, coroutines: Sequence[Coroutine[Any, Any, T]]) -> list[T | BaseException]:
        start = threading.Barrier(len(coroutines), timeout=MANY)

        def one(coroutine: Coroutine[Any, Any, T]) -> T | BaseException:
            start.wait()
            try:
                return step(coroutine)
            except LoginRefused as refusal:
                return refusal

        with ThreadPoolExecutor(len(coroutines)) as threads:
            return list(threads.map(one, coroutines))

    def close(self) -> None:
        """Its connections are closed by `light_clients`."""


class LoopPort:
    def __init__(self, timeout: float, runner: asyncio.Runner) -> None:
        self.http = LoopHttp(timeout)
        self._runner = runner

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(coroutine)

    def crowd(self, coroutines: Sequence[Coroutine[Any, Any, T]]) -> list[T | BaseException]:
        async def all_at_once() -> list[T | BaseException]:
            return await asyncio.gather(*coroutines, return_exceptions=True)

        return self._runner.run(all_at_once())

    def close(self) -> None:
        self._runner.run(self.http.close())


class Client:
    """A relying party with people who come back from the provider."""

    def __init__(self, config: AuthConfig, port: Port) -> None:
        self.config = config
        self.port = port
        self.provider = Provider(config, port.http)

    def redeem(self) -> Coroutine[Any, Any, Claims]:
        return self._claims(*self.arrival())

    async def _claims(self, transaction: Transaction, code: str) -> Claims:
        return (await self.provider.redeem(transaction, code)).claims

    def arrival(self) -> tuple[Transaction, str]:
        """Somebody who has just been at the provider: what was asked for them, and the code they bring."""
        transaction = begin(issuer=self.config.issuer, redirect_uri=REDIRECT_URIS[0], return_to="/")
        metadata = oidc.Metadata(self.config.issuer, f"{self.config.issuer}/auth", "", "")
        url = oidc.authorization_url(metadata, self.config, transaction, {})
        hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', at_provider("GET", url).text)
        form = {name: unescape(value) for name, value in hidden} | {"name": "Ada"}
        return transaction, query_of(at_provider("POST", metadata.authorization_endpoint, form).location)["code"]

    def log_in(self) -> Claims:
        return self.port.run(self.redeem())

    def log_in_all_at_once(self) -> list[Claims | BaseException]:
        return self.port.crowd([self.redeem() for _ in range(CROWD)])

    def discover(self) -> oidc.Metadata:
        return self.port.run(self.provider.metadata())


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


class Clients(Protocol):
    def __call__(self, **settings: Unpack[Settings]) -> Client: ...


@pytest.fixture(params=["blocking", "loop"])
def clients(
    request: pytest.FixtureRequest, configure: Configure, runner: asyncio.Runner, light_clients: None
) -> Iterator[Clients]:
    """Relying parties on one kind of port; each knows nothing of the provider at first."""
    ports: list[Port] = []

    def make(**settings: Unpack[Settings]) -> Client:
        usual: Settings = {"timeout": MANY}
        config = configure(**(usual | settings))
        blocking = request.param == "blocking"
        ports.append(BlockingPort(config.timeout) if blocking else LoopPort(config.timeout, runner))
        return Client(config, ports[-1])

    yield make
    for port in ports:
        port.close()


@pytest.fixture
def client(clients: Clients) -> Client:
    return clients()


class Hours:
    """The clock by which the provider is believed, standing still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def hours(monkeypatch: pytest.MonkeyPatch) -> Hours:
    hours = Hours()
    for module in ("provider", "snapshot"):
        monkeypatch.setattr(f"ck_middleware.{module}.time", hours)
    return hours


def asked(provider: MisbehavingProvider) -> list[str]:
    """What the relying party asked for, in order; what the people did at the provider is left out."""
    return [hit.endpoint for hit in provider.hits if hit.endpoint != "auth"]


def given(provider: MisbehavingProvider, *names: str) -> Settings:
    """These endpoints as settings."""
    return cast("Settings", {name: provider.url(SETTINGS[name]) for name in names})


def misbehave(provider: MisbehavingProvider, faults: dict[str, Any]) -> None:
    for name, fault in faults.items():
        setattr(provider.faults, name, fault)


def in_the_end(act: Callable[[], T]) -> T:
    """What a hasty client gets, who may be too hasty for a busy machine at first."""
    ending = time.monotonic() + MANY
    while True:
        try:
            return act()
        except ProviderUnreachable:
            assert time.monotonic() < ending


def wait_until(holds: Callable[[], bool]) -> None:
    ending = time.monotonic() + MANY
    while not holds():
        assert time.monotonic() < ending
        time.sleep(0.01)


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


# How often the provider is asked


def test_nothing_is_asked_before_somebody_logs_in(clients: Clients, provider: MisbehavingProvider) -> None:
    one, _ = clients(), clients()
    assert provider.hits == []
    assert one.log_in()


def test_the_first_login_asks_for_each_thing_once(client: Client, provider: MisbehavingProvider) -> None:
    claims = client.log_in()
    assert asked(provider) == ["discovery", "token", "jwks", "userinfo"]
    assert (claims["iss"], claims["aud"], claims["name"]) == (provider.issuer, CLIENT_ID, "Ada")


def test_every_later_login_takes_two_calls(client: Client, provider: MisbehavingProvider) -> None:
    client.log_in()
    provider.hits.clear()
    for _ in range(3):
        client.log_in()
    assert asked(provider) == ["token", "userinfo"] * 3


@pytest.mark.parametrize(
    ("names", "settings", "calls"),
    [
        (tuple(SETTINGS), {}, ["token", "jwks", "userinfo"]),
        (("authorization_endpoint", "token_endpoint", "jwks_uri"), {"userinfo": False}, ["token", "jwks"]),
        (("authorization_endpoint", "token_endpoint", "jwks_uri"), {}, ["discovery", "token", "jwks", "userinfo"]),
        (("token_endpoint", "jwks_uri", "userinfo_endpoint"), {}, ["discovery", "token", "jwks", "userinfo"]),
    ],
)
def test_settings_that_say_all_leave_nothing_to_discover(
    clients: Clients, provider: MisbehavingProvider, names: tuple[str, ...], settings: Settings, calls: list[str]
) -> None:
    assert clients(**(given(provider, *names) | settings)).log_in()
    assert asked(provider) == calls


def test_settings_alone_do_not_promise_that_every_answer_names_its_issuer(
    clients: Clients, provider: MisbehavingProvider
) -> None:
    assert not clients(**given(provider, *SETTINGS)).discover().always_sends_iss
    assert clients().discover().always_sends_iss


@pytest.mark.parametrize("name", ["token_endpoint", "jwks_uri", "userinfo_endpoint"])
def test_an_endpoint_of_the_settings_is_the_one_that_is_asked(
    clients: Clients, provider: MisbehavingProvider, name: str
) -> None:
    provider.faults.discovery = lambda document: document | {name: f"{provider.issuer}/nowhere"}
    with pytest.raises(ProviderFaulty):
        clients().log_in()
    assert clients(**given(provider, name)).log_in()


def test_userinfo_is_not_asked_when_the_settings_say_so(clients: Clients, provider: MisbehavingProvider) -> None:
    claims = clients(userinfo=False).log_in()
    assert provider.count("userinfo") == 0
    assert "name" not in claims


def test_a_provider_without_userinfo_is_not_asked_for_it(client: Client, provider: MisbehavingProvider) -> None:
    provider.faults.discovery = without("userinfo_endpoint")
    assert client.log_in()["sub"]
    assert provider.count("userinfo") == 0


# How the client proves who it is


@pytest.mark.parametrize("method", ["client_secret_post", "client_secret_basic"])
def test_the_client_authenticates_as_the_settings_say(
    clients: Clients, provider: MisbehavingProvider, method: str
) -> None:
    provider.auth_methods = [method]
    assert clients(client_auth=method).log_in()
    provider.auth_methods = [{"client_secret_post", "client_secret_basic"}.difference([method]).pop()]
    with pytest.raises(ClientRefused):
        clients(client_auth=method).log_in()


def test_a_public_client_has_no_secret_to_send(clients: Clients, hub: Hub) -> None:
    with hub.provider(client_secret=None) as public:
        assert clients(issuer=public.issuer, client_secret=None, client_auth="none").log_in()
        assert "client_secret" not in public.last("token").form


@pytest.mark.parametrize("spelling", ["error_description", "message"])
def test_a_wrong_secret_is_told_apart_from_a_wrong_code(
    clients: Clients, provider: MisbehavingProvider, spelling: str
) -> None:
    provider.faults.error = lambda error: {"error": error["error"], spelling: error["error_description"]}
    with pytest.raises(ClientRefused):
        clients(client_secret="wrong").log_in()
    client = clients()
    transaction, code = client.arrival()
    assert client.port.run(client.provider.redeem(transaction, code)).claims
    with pytest.raises(CodeRefused):
        client.port.run(client.provider.redeem(transaction, code))


# What is believed: nothing, before every check has passed


def claims_with(**changes: object) -> dict[str, Any]:
    return {"id_token_claims": lambda claims: claims | changes}


def header_with(**changes: object) -> dict[str, Any]:
    return {"id_token_header": lambda header: header | changes}


REFUSED: dict[str, dict[str, Any]] = {
    "unsigned": {"sign": forgery.alg_none},
    "signed by another": {"sign": forgery.another_key},
    "broken signature": {"sign": forgery.broken_signature},
    "signed with the public key": {"sign": forgery.hs256_with_public_key},
    "signed with the client secret": {"sign": forgery.hs256(CLIENT_SECRET.encode())},
    "another algorithm, key published": {"sign": forgery.es256, "jwks": forgery.with_ec_key},
    "brings its own key": header_with(jwk=forgery.rsa_jwk(forgery.rsa_key(99))) | {"sign": forgery.another_key},
    "access token": header_with(typ="at+jwt"),
    "logout token": header_with(typ="logout+jwt"),
    "critical header": header_with(crit=["exp"]),
    "unknown key id": header_with(kid="unknown"),
    "unknown key id, some keys nameless": header_with(kid="unknown")
    | {"jwks": lambda jwks: {"keys": [*jwks["keys"], *forgery.without_kid(jwks)["keys"]]}},
    "too large": {"raw_id_token": lambda token: token + "A" * 20_000},
    "no token": {"raw_id_token": lambda token: "no token"},
    "other issuer": claims_with(iss="https://evil.example"),
    "no issuer": {"id_token_claims": without("iss")},
    "no subject": {"id_token_claims": without("sub")},
    "other audience": claims_with(aud=CLIENT_ID + "1"),
    "second audience": claims_with(aud=[CLIENT_ID, CLIENT_ID + "1"]),
    "no audience": {"id_token_claims": without("aud")},
    "other party": claims_with(azp="another"),
    "expired": claims_with(exp=int(time.time()) - 360),
    "no expiry": {"id_token_claims": without("exp")},
    "endless expiry": claims_with(exp=10**400),
    "not issued": {"id_token_claims": without("iat")},
    "issued long ago": claims_with(iat=int(time.time()) - 3600),
    "other nonce": claims_with(nonce="another"),
    "no nonce": {"id_token_claims": without("nonce")},
    "other access token": claims_with(at_hash="AAAAAAAAAAAAAAAAAAAAAA"),
    "no id token": {"token_response": without("id_token")},
    "no key set": {"jwks": lambda jwks: {"keys": "none"}},
    "empty key set": {"jwks": lambda jwks: {"keys": []}},
    "no token type": {"token_response": without("token_type")},
    "other token type": {"token_response": lambda answer: answer | {"token_type": "mac"}},
    "no access token": {"token_response": without("access_token")},
}

ACCEPTED: dict[str, dict[str, Any]] = {
    "audience in a list": claims_with(aud=[CLIENT_ID]),
    "party is us": claims_with(azp=CLIENT_ID),
    "no hash of the access token": {"id_token_claims": without("at_hash")},
    "float times": {"id_token_claims": lambda claims: claims | {"auth_time": claims["auth_time"] + 0.5}},
    "unknown claims": claims_with(unknown=[{"a": 1}]),
    "no typ": {"id_token_header": without("typ")},
    "no key id": {"id_token_header": without("kid")},
    "no key id anywhere": {"id_token_header": without("kid"), "jwks": forgery.without_kid},
    "no key id, several keys": {"id_token_header": without("kid"), "jwks": forgery.with_other_keys},
    "several keys": {"jwks": forgery.with_other_keys},
    "decoys": {"jwks": forgery.with_decoys},
    "broken keys": {"jwks": forgery.with_broken_keys},
    "key set with other members": {"jwks": lambda jwks: {**jwks, "unknown": 1}},
    "token type in other letters": {"token_response": lambda answer: answer | {"token_type": "bEARER"}},
    "no expires_in": {"token_response": without("expires_in")},
    "unknown token members": {"token_response": lambda answer: answer | {"unknown": 1}},
}


@pytest.mark.parametrize("fault", REFUSED)
def test_userinfo_is_never_asked_before_the_id_token_is_verified(
    client: Client, provider: MisbehavingProvider, fault: str
) -> None:
    misbehave(provider, REFUSED[fault])
    with pytest.raises((TokenInvalid, ProviderFaulty)):
        client.log_in()
    assert provider.count("token") == 1
    assert provider.count("userinfo") == 0


@pytest.mark.parametrize("oddity", ACCEPTED)
def test_a_provider_may_be_odd_within_the_rules(client: Client, provider: MisbehavingProvider, oddity: str) -> None:
    misbehave(provider, ACCEPTED[oddity])
    assert client.log_in()["name"] == "Ada"
    assert asked(provider) == ["discovery", "token", "jwks", "userinfo"]


def test_a_login_after_a_refused_one_works(client: Client, provider: MisbehavingProvider) -> None:
    provider.faults.sign = forgery.another_key
    with pytest.raises(TokenInvalid):
        client.log_in()
    provider.faults.heal()
    assert client.log_in()["name"] == "Ada"


def test_the_algorithm_that_the_settings_agree_on_is_the_one(clients: Clients, provider: MisbehavingProvider) -> None:
    misbehave(provider, {"sign": forgery.es256, "jwks": forgery.with_ec_key})
    client = clients(id_token_algorithms=["ES256"])
    assert client.log_in()
    provider.faults.heal()
    with pytest.raises(TokenInvalid):
        client.log_in()


def test_a_nonce_may_be_missing_where_the_settings_allow_it_and_never_wrong(
    clients: Clients, provider: MisbehavingProvider
) -> None:
    client = clients(allow_missing_nonce=True)
    provider.faults.id_token_claims = without("nonce")
    assert client.log_in()
    provider.faults.id_token_claims = lambda claims: claims | {"nonce": "another"}
    with pytest.raises(TokenInvalid):
        client.log_in()


def test_userinfo_about_another_person_is_refused(client: Client, provider: MisbehavingProvider) -> None:
    provider.faults.userinfo = lambda claims: claims | {"sub": "another"}
    with pytest.raises(TokenInvalid):
        client.log_in()
    provider.faults.heal()
    assert client.log_in()["name"] == "Ada"


def test_userinfo_adds_to_the_id_token_and_never_overrides_it(client: Client, provider: MisbehavingProvider) -> None:
    evil = dict.fromkeys(["iss", "aud", "exp", "iat", "nonce", "sid", "auth_time", "acr", "amr"], "evil")
    provider.faults.userinfo = lambda claims: claims | evil
    assert "evil" not in client.log_in().values()


def test_the_access_token_never_stands_in_an_address(client: Client, provider: MisbehavingProvider) -> None:
    client.log_in()
    hit = provider.last("userinfo")
    assert (hit.method, hit.query, hit.form) == ("GET", {}, {})
    assert hit.headers["authorization"].startswith("Bearer ")


# What an answer may be


def with_body(change: Callable[[bytes], bytes], **headers: str) -> Callable[[Request, Any], Awaitable[Response]]:
    """The strict provider's answer with another body, and more headers."""

    async def answer(request: Request, honest: Callable[[], Awaitable[Response]]) -> Response:
        honestly = await honest()
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return Response(change(bytes(honestly.body)), honestly.status_code, more, media_type="application/json")

    return answer


@pytest.mark.parametrize("status", [302, 307])
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_no_redirect_is_followed(client: Client, provider: MisbehavingProvider, endpoint: str, status: int) -> None:
    provider.faults.redirect(endpoint, provider.url(endpoint) + "?again=1", status=status, times=1)
    with pytest.raises(ProviderFaulty):
        client.log_in()
    assert provider.count(endpoint) == 1
    assert client.log_in()["name"] == "Ada"


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_an_answer_of_more_than_a_mebibyte_is_refused(
    client: Client, provider: MisbehavingProvider, endpoint: str
) -> None:
    provider.faults.huge(endpoint, LARGEST_ANSWER, times=1)
    with pytest.raises(ProviderFaulty):
        client.log_in()
    provider.faults.huge(endpoint, LARGEST_ANSWER - 10_000, times=1)
    assert client.log_in()["name"] == "Ada"


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_compressed_answer_is_refused_and_not_unpacked(
    client: Client, provider: MisbehavingProvider, endpoint: str
) -> None:
    provider.faults.answer(endpoint, with_body(gzip.compress, content_encoding="gzip"), times=1)
    with pytest.raises(ProviderFaulty):
        client.log_in()
    assert provider.last(endpoint).headers["accept-encoding"] == "identity"
    provider.faults.answer(endpoint, with_body(bytes), times=1)
    assert client.log_in()["name"] == "Ada"


@pytest.mark.parametrize(
    "answer",
    [
        HTMLResponse("<h1>Welcome</h1>"),
        HTMLResponse("<h1>Bad Gateway</h1>", 502),
        JSONResponse([]),
    ],
)
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_an_answer_that_is_no_document_is_refused(
    client: Client, provider: MisbehavingProvider, endpoint: str, answer: Response
) -> None:
    provider.faults.answer(endpoint, answer, times=1)
    with pytest.raises(ProviderFaulty):
        client.log_in()
    assert client.log_in()["name"] == "Ada"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500])
def test_userinfo_that_is_refused_ends_the_login(client: Client, provider: MisbehavingProvider, status: int) -> None:
    provider.faults.answer("userinfo", JSONResponse({"error": "invalid_token"}, status), times=1)
    with pytest.raises(ProviderFaulty):
        client.log_in()
    assert client.log_in()["name"] == "Ada"


def test_cookies_of_the_provider_are_never_sent_back(client: Client, provider: MisbehavingProvider) -> None:
    for endpoint in ENDPOINTS:
        provider.faults.answer(endpoint, with_body(bytes, set_cookie="tracker=1; Path=/"))
    for _ in range(2):
        client.log_in()
    assert not [hit for hit in provider.hits if "cookie" in hit.headers]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: a\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}",
        b"HTTP/1.1 200 OK\r\nX-Large: " + b"x" * 300_000,
    ],
)
def test_a_server_that_speaks_no_http_counts_as_unreachable(clients: Clients, answer: bytes) -> None:
    with RawServer([answer]) as server, pytest.raises(ProviderUnreachable):
        clients(issuer=server.url).discover()


def test_an_honest_server_that_speaks_http_is_understood(clients: Clients) -> None:
    with Canned() as server:
        server.answer = json_answer(document_of(server.url))
        assert clients(issuer=server.url).discover().issuer == server.url


# How long an answer may take


@pytest.mark.parametrize("endpoint", ["discovery", "userinfo"])
def test_a_provider_that_hangs_costs_one_timeout(
    clients: Clients, provider: MisbehavingProvider, endpoint: str
) -> None:
    client = clients(timeout=HASTY)
    provider.faults.hang(endpoint, times=1)
    with within(LATE), pytest.raises(ProviderUnreachable):
        client.log_in()
    assert in_the_end(client.log_in)["name"] == "Ada"


def test_a_body_that_drips_ends_with_the_timeout(clients: Clients, provider: MisbehavingProvider) -> None:
    client = clients(timeout=HASTY)
    provider.faults.drip("discovery", times=1)
    with within(LATE), pytest.raises(ProviderUnreachable):
        client.log_in()
    assert in_the_end(client.log_in)["name"] == "Ada"


def test_a_header_that_drips_ends_with_the_timeout(clients: Clients) -> None:
    with dripping_header() as server:
        client = clients(timeout=HASTY, issuer=server.url)
        with within(LATE), pytest.raises(ProviderUnreachable):
            client.discover()


def test_a_host_with_many_addresses_costs_one_timeout(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    with full_listener() as port:
        addresses = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (HOST, port))] * 40
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: addresses)
        with within(LATE), pytest.raises(ProviderUnreachable):
            clients(timeout=HASTY, issuer="https://idp.example").discover()


def test_a_host_is_reached_at_whichever_address_answers(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    with full_listener() as port, Canned() as server:
        server.answer = json_answer(document_of(f"http://localhost:{server.port}"))
        dead, alive = ((socket.AF_INET, socket.SOCK_STREAM, 6, "", (HOST, number)) for number in (port, server.port))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: [dead, alive])
        client = clients(timeout=HASTY, issuer=f"http://localhost:{server.port}")
        assert in_the_end(client.discover).token_endpoint


def test_an_answer_that_takes_its_time_is_waited_for(clients: Clients, provider: MisbehavingProvider) -> None:
    provider.faults.hang("discovery", 0.3)
    assert clients().log_in()["name"] == "Ada"


def test_a_provider_that_is_down_is_unreachable_until_it_is_up(clients: Clients) -> None:
    with provider_alone() as (provider, server):
        client = clients(issuer=provider.issuer)
        server.stop()
        with pytest.raises(ProviderUnreachable):
            client.discover()
        server.start()
        assert client.log_in()["name"] == "Ada"
        server.stop()
        with pytest.raises(ProviderUnreachable):
            client.port.run(client.provider.redeem(begin(issuer="", redirect_uri="", return_to=""), "a code"))
        server.start()
        assert client.log_in()["name"] == "Ada"


def test_a_connection_is_used_again_soon_and_not_after_a_long_pause(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    later, now = 0.0, time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + later)
    with Canned() as server:
        server.answer = json_answer({})
        client = clients(issuer=server.url)
        for later, connections in ((0.0, 1), (1.0, 1), (60.0, 2)):  # noqa: B007  # the clock reads it
            assert client.port.run(client.port.http.send(oidc.discovery_request(server.url))).status_code == 200
            assert server.connections == connections


# How long an answer is believed


def test_metadata_and_keys_are_used_for_a_while(client: Client, provider: MisbehavingProvider, hours: Hours) -> None:
    client.log_in()
    hours.pass_by(FRESH - 1)
    client.log_in()
    assert (provider.count("discovery"), provider.count("jwks")) == (1, 1)
    hours.pass_by(1)
    client.log_in()
    client.log_in()
    assert (provider.count("discovery"), provider.count("jwks")) == (2, 2)


def test_what_the_provider_says_anew_replaces_the_old(
    client: Client, provider: MisbehavingProvider, hours: Hours
) -> None:
    client.log_in()
    provider.faults.discovery = without("userinfo_endpoint")
    assert client.discover().userinfo_endpoint
    hours.pass_by(FRESH)
    assert client.discover().userinfo_endpoint is None


@pytest.mark.parametrize(
    "failure",
    [
        {"discovery": HTMLResponse("down", 503), "jwks": HTMLResponse("down", 503)},
        {"discovery": JSONResponse({"issuer": "https://evil.example"}), "jwks": JSONResponse({"keys": None})},
        {"discovery": HTMLResponse("down", 503)},
        {"jwks": HTMLResponse("down", 503)},
    ],
)
class TestOutage:
    def test_the_old_answers_stay_in_use(
        self, client: Client, provider: MisbehavingProvider, hours: Hours, failure: dict[str, Response]
    ) -> None:
        client.log_in()
        for endpoint, answer in failure.items():
            provider.faults.answer(endpoint, answer)
        hours.pass_by(FRESH)
        assert client.log_in()["name"] == "Ada"
        hours.pass_by(BELIEVED - FRESH - 1)
        assert client.log_in()["name"] == "Ada"

    def test_they_are_not_believed_for_ever(
        self, client: Client, provider: MisbehavingProvider, hours: Hours, failure: dict[str, Response]
    ) -> None:
        client.log_in()
        for endpoint, answer in failure.items():
            provider.faults.answer(endpoint, answer)
        hours.pass_by(BELIEVED)
        with pytest.raises(ProviderFaulty):
            client.log_in()
        provider.faults.heal()
        assert client.log_in()["name"] == "Ada"

    def test_the_provider_is_asked_again_at_intervals(
        self, client: Client, provider: MisbehavingProvider, hours: Hours, failure: dict[str, Response]
    ) -> None:
        client.log_in()
        for endpoint, answer in failure.items():
            provider.faults.answer(endpoint, answer)
        hours.pass_by(FRESH)
        provider.hits.clear()
        for _ in range(3):
            client.log_in()
        assert [provider.count(endpoint) for endpoint in failure] == [1] * len(failure)
        provider.faults.heal()
        hours.pass_by(RETRY)
        client.log_in()
        client.log_in()
        assert [provider.count(endpoint) for endpoint in failure] == [2] * len(failure)


def test_an_outage_ends_when_the_answers_are_too_old_even_between_two_attempts(
    client: Client, provider: MisbehavingProvider, hours: Hours
) -> None:
    client.discover()
    provider.faults.answer("discovery", HTMLResponse("down", 503))
    hours.pass_by(BELIEVED - 1)
    assert client.discover().issuer == provider.issuer
    hours.pass_by(RETRY)
    with pytest.raises(ProviderFaulty):
        client.discover()


# Keys that change


def test_new_keys_are_fetched_when_a_token_names_one(client: Client, provider: MisbehavingProvider) -> None:
    client.log_in()
    provider.rotate()
    assert client.log_in()["name"] == "Ada"
    assert client.log_in()["name"] == "Ada"
    assert provider.count("jwks") == 2


def test_keys_may_change_twice_in_a_row(client: Client, provider: MisbehavingProvider) -> None:
    client.log_in()
    for _ in range(2):
        provider.rotate()
        assert client.log_in()["name"] == "Ada"
    assert provider.count("jwks") == 3


def test_keys_may_change_just_before_a_token_is_signed(client: Client, provider: MisbehavingProvider) -> None:
    client.log_in()
    provider.faults.rotate_before_signing = True
    assert client.log_in()["name"] == "Ada"
    assert provider.count("jwks") == 2


def test_keys_may_change_though_tokens_name_none(client: Client, provider: MisbehavingProvider) -> None:
    misbehave(provider, {"id_token_header": without("kid"), "jwks": forgery.without_kid})
    client.log_in()
    provider.rotate()
    assert client.log_in()["name"] == "Ada"
    assert provider.count("jwks") == 2


def test_a_key_that_nobody_published_is_asked_for_once_and_then_not_for_a_while(
    client: Client, provider: MisbehavingProvider, hours: Hours
) -> None:
    client.log_in()
    provider.faults.id_token_header = lambda header: header | {"kid": "unknown"}
    for fetches in (2, 2, 2):
        with pytest.raises(TokenInvalid):
            client.log_in()
        assert provider.count("jwks") == fetches
    hours.pass_by(COOLDOWN)
    with pytest.raises(TokenInvalid):
        client.log_in()
    assert provider.count("jwks") == 3


def test_a_key_that_nobody_published_disturbs_no_other_login(
    client: Client, provider: MisbehavingProvider, hours: Hours
) -> None:
    client.log_in()
    provider.faults.id_token_header = lambda header: header | {"kid": "unknown"}
    with pytest.raises(TokenInvalid):
        client.log_in()
    provider.faults.heal()
    assert client.log_in()["name"] == "Ada"
    provider.rotate()
    hours.pass_by(COOLDOWN)
    assert client.log_in()["name"] == "Ada"


def test_a_wrong_signature_of_a_known_key_is_no_reason_to_ask_again(
    client: Client, provider: MisbehavingProvider
) -> None:
    client.log_in()
    provider.faults.sign = forgery.another_key
    with pytest.raises(TokenInvalid):
        client.log_in()
    assert provider.count("jwks") == 1


@pytest.mark.parametrize("answer", [HTMLResponse("down", 503), JSONResponse({}), JSONResponse({"keys": "none"})])
def test_a_failed_fetch_leaves_the_known_keys_in_use(
    client: Client, provider: MisbehavingProvider, answer: Response
) -> None:
    client.log_in()
    provider.faults.answer("jwks", answer)
    provider.faults.id_token_header = lambda header: header | {"kid": "unknown"}
    with pytest.raises(ProviderFaulty):
        client.log_in()
    provider.faults.heal()
    assert client.log_in()["name"] == "Ada"
    assert provider.count("jwks") == 2


# One fetched value


class Counted:
    """Something to fetch: another number each time, or a failure while it `is_down`."""

    def __init__(self) -> None:
        self.fetches = 0
        self.is_down = False

    async def fetch(self) -> tuple[int]:
        self.fetches += 1
        if self.is_down:
            raise ProviderUnreachable("down")
        return (self.fetches,)


def test_who_saw_an_old_value_gets_the_newer_one_that_somebody_fetched(clients: Clients) -> None:
    port, source = clients().port, Counted()
    snapshot = Snapshot(source.fetch, port.http)
    old = port.run(snapshot.get())
    new = port.run(snapshot.replace(old))
    assert (port.run(snapshot.replace(old)), port.run(snapshot.get()), source.fetches) == (new, new, 2)


def test_a_failure_is_only_for_who_has_the_newest_value_already(clients: Clients) -> None:
    port, source = clients().port, Counted()
    snapshot = Snapshot(source.fetch, port.http)
    old = port.run(snapshot.get())
    new = port.run(snapshot.replace(old))
    source.is_down = True
    with pytest.raises(ProviderUnreachable):
        port.run(snapshot.replace(new))
    assert port.run(snapshot.replace(old)) == new


# A crowd


def test_a_crowd_causes_one_fetch_of_each_document(client: Client, provider: MisbehavingProvider) -> None:
    provider.faults.hang("discovery", 0.1)
    provider.faults.hang("jwks", 0.1)
    assert [found["name"] for found in client.log_in_all_at_once() if isinstance(found, dict)] == ["Ada"] * CROWD
    assert (provider.count("discovery"), provider.count("jwks"), provider.count("token")) == (1, 1, CROWD)


def test_a_crowd_that_has_nothing_to_discover_shares_one_client(
    clients: Clients, provider: MisbehavingProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = itertools.count()
    light = httpx.create_ssl_context
    monkeypatch.setattr(httpx, "create_ssl_context", lambda: (next(made), light())[1])
    client = clients(**given(provider, *SETTINGS))
    assert [found["name"] for found in client.log_in_all_at_once() if isinstance(found, dict)] == ["Ada"] * CROWD
    assert (next(made), provider.count("jwks")) == (1, 1)


def test_a_crowd_with_new_keys_causes_one_more_fetch(client: Client, provider: MisbehavingProvider) -> None:
    client.log_in()
    provider.rotate()
    provider.faults.hang("jwks", 0.1)
    assert [found["name"] for found in client.log_in_all_at_once() if isinstance(found, dict)] == ["Ada"] * CROWD
    assert provider.count("jwks") == 2


def test_a_crowd_shares_a_failure_and_the_next_one_asks_again(client: Client, provider: MisbehavingProvider) -> None:
    async def fail_slowly(request: Request, honest: object) -> Response:
        await asyncio.sleep(1)
        return HTMLResponse("down", 503)

    provider.faults.answer("discovery", fail_slowly)
    began = time.monotonic()
    assert {type(found) for found in client.log_in_all_at_once()} == {ProviderFaulty}
    took = time.monotonic() - began
    assert took < LATE  # one by one they would be later
    assert provider.count("discovery") <= took  # nobody asks while somebody else waits for the answer
    provider.faults.heal()
    assert client.log_in()["name"] == "Ada"


@pytest.mark.parametrize("endpoint", ["discovery", "token"])
def test_a_crowd_that_waits_in_vain_fails_in_about_one_timeout(
    clients: Clients, provider: MisbehavingProvider, endpoint: str
) -> None:
    client = clients(timeout=HASTY)
    logins = [client.redeem() for _ in range(CROWD)]
    provider.faults.hang(endpoint)
    with within(LATE):
        found = client.port.crowd(logins)
    assert {type(one) for one in found} == {ProviderUnreachable}
    provider.faults.heal()
    assert in_the_end(client.log_in)["name"] == "Ada"


class Together:
    """Answers nobody before all of them have asked."""

    def __init__(self, number: int) -> None:
        self._missing = number
        self._all = asyncio.Event()

    async def __call__(self, request: Request, honest: Honest) -> Response:
        self._missing -= 1
        if self._missing == 0:
            self._all.set()
        await self._all.wait()
        return await honest()


def test_a_crowd_is_served_all_at_once_by_a_provider_that_takes_its_time(
    client: Client, provider: MisbehavingProvider
) -> None:
    client.log_in()
    provider.faults.answer("token", Together(CROWD))  # one by one they would wait in vain
    assert [found["name"] for found in client.log_in_all_at_once() if isinstance(found, dict)] == ["Ada"] * CROWD


def test_who_gives_up_while_asking_takes_nobody_along(
    provider: MisbehavingProvider,
    configure: Configure,
    runner: asyncio.Runner,
    light_clients: None,
) -> None:
    http = LoopHttp(MANY)
    known = Provider(configure(), http)

    async def story() -> oidc.Metadata:
        provider.faults.hang("discovery", times=1)
        first, second = (asyncio.create_task(known.metadata()) for _ in range(2))
        await asyncio.to_thread(wait_until, lambda: provider.count("discovery") == 1)
        first.cancel()
        found = await second
        await http.close()
        return found

    with within(MANY):
        assert runner.run(story()).issuer == provider.issuer


def test_a_port_works_in_the_loop_that_uses_it(
    provider: MisbehavingProvider, configure: Configure, light_clients: None
) -> None:
    http = LoopHttp(MANY)
    known = Provider(configure(), http)

    async def story() -> oidc.Metadata:
        found, _ = await asyncio.gather(known.metadata(), known.metadata())
        await http.close()
        return found

    assert [asyncio.run(story()).issuer for _ in range(2)] == [provider.issuer] * 2


# The log


@pytest.mark.parametrize(
    "fault", [{}, {"sign": forgery.another_key}, claims_with(nonce="another"), header_with(kid="x")]
)
def test_no_secret_reaches_the_log(
    clients: Clients, provider: MisbehavingProvider, caplog: pytest.LogCaptureFixture, fault: dict[str, Any]
) -> None:
    caplog.set_level(logging.DEBUG)
    misbehave(provider, fault)
    issued: Claims = {}

    def remember(answer: Claims) -> Claims:
        issued.update(answer)
        return answer

    provider.faults.token_response = remember
    for method in ("client_secret_post", "client_secret_basic"):
        client = clients(client_auth=method)
        transaction, code = client.arrival()
        with contextlib.suppress(TokenInvalid):
            client.port.run(client.provider.redeem(transaction, code))
        tokens = [issued[name] for name in ("access_token", "id_token", "refresh_token")]
        credentials = [value for name, value in provider.last("token").headers.items() if name == "authorization"]
        for secret in (code, transaction.verifier, transaction.nonce, CLIENT_SECRET, *tokens, *credentials):
            assert secret not in caplog.text


# Certificates and proxies: servers of which we believe nothing at first


def json_answer(document: object) -> bytes:
    body = json.dumps(document).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def document_of(issuer: str) -> dict[str, Any]:
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/auth",
        "token_endpoint": f"{issuer}/token",
        "jwks_uri": f"{issuer}/jwks",
    }


class Canned:
    """A server that gives everybody one `answer`, and remembers the head of every request."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.answer = b""
        self.heads: list[str] = []
        self.connections = 0
        canned = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                canned.connections += 1
                while head := b"".join(itertools.takewhile(lambda line: line != b"\r\n", self.rfile)):
                    canned.heads.append(head.decode())
                    self.wfile.write(canned.answer)

        class Listener(socketserver.ThreadingTCPServer):
            daemon_threads = True

            def finish_request(self, request: Any, client_address: Any) -> None:
                with contextlib.suppress(OSError):  # who does not trust the certificate hangs up
                    if context:
                        request = context.wrap_socket(request, server_side=True)
                    with request:
                        super().finish_request(request, client_address)

        self._server = Listener((HOST, 0), Handler)
        self.port = self._server.server_address[1]
        self.url = f"{'https' if context else 'http'}://{HOST}:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class TestProxies:
    @pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
    def test_a_proxy_of_the_environment_is_asked(
        self, clients: Clients, provider: MisbehavingProvider, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        with Canned() as proxy:
            proxy.answer = json_answer(document_of(provider.issuer))
            monkeypatch.setenv(name, proxy.url)
            assert clients().discover().token_endpoint == f"{provider.issuer}/token"
        assert proxy.heads[0].startswith(f"GET {provider.url('discovery')} HTTP/1.1")
        assert provider.hits == []

    @pytest.mark.parametrize("hosts", ["127.0.0.1", "other.example,127.0.0.1", "*"])
    def test_a_host_may_be_left_out(
        self, clients: Clients, provider: MisbehavingProvider, monkeypatch: pytest.MonkeyPatch, hosts: str
    ) -> None:
        with Canned() as proxy:
            monkeypatch.setenv("HTTP_PROXY", proxy.url)
            monkeypatch.setenv("NO_PROXY", hosts)
            assert clients().log_in()["name"] == "Ada"
        assert proxy.heads == []

    def test_a_proxy_may_be_written_without_its_scheme(
        self, clients: Clients, provider: MisbehavingProvider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Canned() as proxy:
            proxy.answer = json_answer(document_of(provider.issuer))
            monkeypatch.setenv("HTTP_PROXY", f"{HOST}:{proxy.port}")
            assert clients().discover().issuer == provider.issuer
        assert len(proxy.heads) == 1

    def test_a_proxy_is_told_who_asks(
        self, clients: Clients, provider: MisbehavingProvider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Canned() as proxy:
            proxy.answer = json_answer(document_of(provider.issuer))
            monkeypatch.setenv("HTTP_PROXY", f"http://user:p%40ss@{HOST}:{proxy.port}")
            assert clients().discover().issuer == provider.issuer
        credentials = base64.b64encode(b"user:p@ss").decode()
        assert f"proxy-authorization: basic {credentials}".lower() in proxy.heads[0].lower()

    def test_a_proxy_learns_the_host_of_an_https_address_and_no_more(
        self, clients: Clients, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Canned() as proxy:
            proxy.answer = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
            with pytest.raises(ProviderUnreachable):
                clients(issuer="https://idp.invalid/tenant").discover()
        assert proxy.heads[0].startswith("CONNECT idp.invalid:443 HTTP/1.1")
        assert "tenant" not in "".join(proxy.heads)

    def test_a_proxy_that_is_down_makes_the_provider_unreachable(
        self, clients: Clients, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Canned() as proxy:
            monkeypatch.setenv("HTTP_PROXY", proxy.url)
        with pytest.raises(ProviderUnreachable):
            clients().discover()


REAL_CONTEXT = httpx.create_ssl_context


def certificate(directory: Path, name: str, *names: x509.GeneralName) -> tuple[Path, ssl.SSLContext]:
    """A self-signed certificate for these names, and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = directory / f"{name}.pem", directory / f"{name}.key"
    public.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return public, context


@pytest.fixture
def tls_clients(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> Clients:
    """Relying parties that look at certificates as they do outside of tests."""
    monkeypatch.setattr(httpx, "create_ssl_context", REAL_CONTEXT)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    return clients


def test_a_certificate_that_nobody_vouches_for_is_refused_until_the_environment_does(
    tls_clients: Clients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public, context = certificate(tmp_path, "idp", x509.IPAddress(ip_address(HOST)))
    with Canned(context) as server:
        server.answer = json_answer(document_of(server.url))
        with pytest.raises(ProviderUnreachable):
            tls_clients(issuer=server.url).discover()
        assert server.heads == []
        monkeypatch.setenv("SSL_CERT_FILE", str(public))
        assert tls_clients(issuer=server.url).discover().issuer == server.url


def test_a_certificate_of_another_host_is_refused(
    tls_clients: Clients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public, context = certificate(tmp_path, "other", x509.DNSName("other.example"))
    monkeypatch.setenv("SSL_CERT_FILE", str(public))
    with Canned(context) as server:
        server.answer = json_answer(document_of(server.url))
        with pytest.raises(ProviderUnreachable):
            tls_clients(issuer=server.url).discover()
        assert server.heads == []
