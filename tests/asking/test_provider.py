"""The provider as we know it: what is asked of it and how often, and that it cannot lead us astray.

Every promise is kept over both HTTP ports, that of the WSGI face and that of the ASGI face, against a real server.
"""

import contextlib
import gzip
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from ck_middleware.config import Settings
from ck_middleware.errors import ClientRefused, CodeRefused, ProviderFaulty, ProviderUnreachable, TokenInvalid
from ck_middleware.ports import LARGEST_ANSWER
from support import forgery
from support.canned import Canned, document_of, json_answer
from support.forgery import Claims, without
from support.provider import CLIENT_ID, CLIENT_SECRET, Hub, MisbehavingProvider
from support.relying import ENDPOINTS, SETTINGS, Client, Clients, asked, given, misbehave
from support.serving import RawServer

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
