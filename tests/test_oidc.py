"""What the provider is asked, and what counts as its answer."""

import base64
import hashlib
import json
from dataclasses import asdict
from typing import Any, Unpack
from urllib.parse import parse_qsl, unquote_plus, urlsplit

import httpx
import pytest

from ck_middleware import oidc
from ck_middleware.addresses import LONGEST
from ck_middleware.config import AuthConfig, Settings
from ck_middleware.errors import ClientRefused, CodeRefused, LoginRefused, ProviderFaulty, TokenInvalid
from ck_middleware.oidc import ENDPOINTS, PROTOCOL_CLAIMS, Metadata
from ck_middleware.tokens import Tokens
from ck_middleware.transaction import Transaction, begin
from support.clock import Clock

ISSUER = "https://idp.example"
CLIENT_ID = "ck_+/%:&1"  # every character that a client may forget to encode
CLIENT_SECRET = "s+e/c=r%e:t&0 1"
REDIRECT_URI = "https://app.example/auth/callback"
DOCUMENT: dict[str, Any] = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/auth",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/.well-known/jwks.json",
    "userinfo_endpoint": f"{ISSUER}/userinfo",
    "end_session_endpoint": f"{ISSUER}/logout",
    "revocation_endpoint": f"{ISSUER}/revoke",
    "response_types_supported": ["code"],
}
LOCAL = {name: f"http://localhost:3000/{name}" for name in ENDPOINTS} | {"issuer": "http://localhost:3000"}
METADATA = Metadata(ISSUER, f"{ISSUER}/auth", f"{ISSUER}/token", f"{ISSUER}/.well-known/jwks.json")
TOKENS = {"id_token": "a.b.c", "access_token": "at-1", "token_type": "Bearer"}
NOT_OBJECTS = [
    b"",
    b"null",
    b"[]",
    b'"text"',
    b"{",
    b"<html>",
    b'{"a": 1, "a": 1}',
    b'{"a": NaN}',
    b"\xff",
    b"[" * 9999,
]
NO_JSON_TYPES = [
    "",
    "text/html",
    "text/html; charset=utf-8",
    "text/json",
    "application/jwt",
    "application/jsonp",
    "json",
]
JSON_TYPES = [
    "application/json",
    "application/json; charset=utf-8",
    "APPLICATION/JSON;charset=UTF-8",
    " application/json ",
    "application/jwk-set+json",
    "application/problem+json",
]


def config(**settings: Unpack[Settings]) -> AuthConfig:
    needed: Settings = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "session_secret": "k3y-" * 8}
    return AuthConfig(**(needed | settings))


@pytest.fixture
def transaction() -> Transaction:
    return begin(issuer=ISSUER, redirect_uri=REDIRECT_URI, return_to="/")


def said(found: object, *, status: int = 200, media_type: str = "application/json") -> httpx.Response:
    """An answer of the provider; bytes are taken as they are."""
    body = found if isinstance(found, bytes) else json.dumps(found).encode()
    return httpx.Response(status, headers={"Content-Type": media_type}, content=body)


def changed(document: dict[str, Any], members: dict[str, Any]) -> dict[str, Any]:
    """A document with these members laid over it; one that is `...` is left out."""
    return {name: value for name, value in (document | members).items() if value is not ...}


def discovered(
    members: dict[str, Any] | None = None, *, given: dict[str, str | None] | None = None, expected: str = ISSUER
) -> Metadata:
    return oidc.read_discovery(said(changed(DOCUMENT, members or {})), expected, given or {})


def fields(encoded: str | bytes) -> dict[str, str]:
    pairs = parse_qsl(encoded if isinstance(encoded, str) else encoded.decode(), keep_blank_values=True)
    assert len(dict(pairs)) == len(pairs), "a parameter twice"
    return dict(pairs)


# Discovery


@pytest.mark.parametrize(
    ("issuer", "url"),
    [
        ("https://idp.example", "https://idp.example/.well-known/openid-configuration"),
        ("https://idp.example/", "https://idp.example/.well-known/openid-configuration"),
        ("https://idp.example/a/b", "https://idp.example/a/b/.well-known/openid-configuration"),
        ("https://idp.example/a//", "https://idp.example/a//.well-known/openid-configuration"),
        ("http://localhost:3000", "http://localhost:3000/.well-known/openid-configuration"),
    ],
)
def test_metadata_is_asked_for_below_the_issuer(issuer: str, url: str) -> None:
    request = oidc.discovery_request(issuer)
    assert (request.method, str(request.url)) == ("GET", url)


def test_metadata_is_what_the_document_says() -> None:
    found = asdict(discovered())
    endpoints = {name: DOCUMENT[name] for name in (*ENDPOINTS, "revocation_endpoint")}
    assert found == {"issuer": ISSUER, "always_sends_iss": False} | endpoints


def test_members_that_nobody_knows_do_not_matter() -> None:
    assert (
        discovered({"unknown": [1], "mtls_endpoint_aliases": {"token_endpoint": "http://evil.example"}}) == discovered()
    )


@pytest.mark.parametrize(
    "issuer",
    [
        ...,
        None,
        "",
        5,
        [ISSUER],
        f"{ISSUER}/",
        f"{ISSUER}/tenant",
        ISSUER.upper(),
        "https://IDP.example",
        "https://idp.example:443",
        "http://idp.example",
        "https://evil.example",
    ],
)
def test_the_document_of_another_issuer_is_refused(issuer: object) -> None:
    with pytest.raises(ProviderFaulty):
        discovered({"issuer": issuer})


@pytest.mark.parametrize("issuer", [f"{ISSUER}/", f"{ISSUER}/tenant", "https://IDP.example:8443"])
def test_an_issuer_is_accepted_exactly_as_it_is_configured(issuer: str) -> None:
    assert discovered({"issuer": issuer}, expected=issuer).issuer == issuer


@pytest.mark.parametrize("supported", [..., ["code"], ["code", "id_token"], ["id_token", "code id_token", "code"]])
def test_a_provider_that_offers_the_code_flow_is_accepted(supported: object) -> None:
    assert discovered({"response_types_supported": supported}) == discovered()


@pytest.mark.parametrize(
    "supported", [[], ["id_token"], ["code id_token"], ["CODE"], [["code"]], "code", {"code": 1}, None]
)
def test_a_provider_that_does_not_offer_the_code_flow_is_refused(supported: object) -> None:
    with pytest.raises(ProviderFaulty):
        discovered({"response_types_supported": supported})


@pytest.mark.parametrize("missing", [..., None, "", 5, [f"{ISSUER}/x"], {}])
@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
def test_an_endpoint_that_a_login_needs_must_be_there(name: str, missing: object) -> None:
    with pytest.raises(ProviderFaulty):
        discovered({name: missing})


@pytest.mark.parametrize("missing", [..., None])
@pytest.mark.parametrize("name", ["userinfo_endpoint", "end_session_endpoint", "revocation_endpoint"])
def test_an_endpoint_that_a_login_does_not_need_may_be_missing(name: str, missing: object) -> None:
    assert getattr(discovered({name: missing}), name) is None


@pytest.mark.parametrize(
    ("said_so", "known"), [(..., False), (False, False), (True, True), ("true", False), (1, False)]
)
def test_whether_every_answer_has_iss_is_told_by_a_boolean_alone(said_so: object, known: bool) -> None:  # noqa: FBT001
    assert discovered({"authorization_response_iss_parameter_supported": said_so}).always_sends_iss is known


# Endpoints: clear text is for this machine alone


@pytest.mark.parametrize(
    "url",
    [
        "https://idp.example/auth",
        "https://auth.other.example/auth?tenant=a&x=%2F",
        "https://IDP.example:8443/Auth",
        "https://idp.example",
        "https://127.0.0.1/auth",
        "https://[2001:db8::1]:8443/auth",
        "https://xn--bcher-kva.example/auth",
        "HTTPS://idp.example/auth",
        "https://idp.example/" + "a" * (LONGEST - 20),
    ],
)
@pytest.mark.parametrize("name", ENDPOINTS)
def test_an_https_address_is_used_as_it_stands(name: str, url: str) -> None:
    assert getattr(discovered({name: url}), name) == url


@pytest.mark.parametrize(
    ("url", "used"),
    [
        ("http://idp.example/auth", "https://idp.example/auth"),
        ("http://idp.example/auth?a=http://b.example:80/", "https://idp.example/auth?a=http://b.example:80/"),
        ("http://idp.example:80/auth", "https://idp.example/auth"),
        ("http://idp.example:80", "https://idp.example"),
        ("http://idp.example:8080/auth", "https://idp.example:8080/auth"),
        ("http://idp.example", "https://idp.example"),
        ("HTTP://IDP.EXAMPLE/Auth", "https://idp.example/Auth"),
    ],
)
@pytest.mark.parametrize("name", ENDPOINTS)
def test_an_http_address_on_the_issuers_own_host_is_used_with_https(name: str, url: str, used: str) -> None:
    assert getattr(discovered({name: url}), name) == used


@pytest.mark.parametrize(
    "url",
    [
        "http://other.example/auth",
        "http://auth.idp.example/auth",
        "http://example/auth",
        "http://idp.example.evil.example/auth",
        "http://localhost:3000/auth",
        "http://127.0.0.1/auth",
        "http://[::1]/auth",
        "http://idp.example@evil.example/auth",
        "http://evil.example/?http://idp.example/",
    ],
)
@pytest.mark.parametrize("name", ENDPOINTS)
def test_an_http_address_on_another_host_is_refused(name: str, url: str) -> None:
    with pytest.raises(ProviderFaulty):
        discovered({name: url})


@pytest.mark.parametrize(
    "url",
    [
        "https://user@idp.example/auth",
        "https://user:password@idp.example/auth",
        "https://@idp.example/auth",
        "https://idp.example/auth#fragment",
        "https://idp.example/auth#",
        "https://idp.example/auth?a=b#c",
        "https://idp.example\\@evil.example/auth",
        "https://idp.example/a\\b",
        "https://idp.example/a b",
        " https://idp.example/auth",
        "https://idp.example/auth\n",
        "https://idp.example/a\tb",
        "https://idp.example/a\x00",
        "https://idp.example/é",
        "https://idp.éxample/auth",
        "https://idp.example/\ud800",
        "https:///auth",
        "https:/idp.example/auth",
        "https:idp.example/auth",
        "//idp.example/auth",
        "/auth",
        "auth",
        "https://",
        "https://?a=b",
        "https://.",
        "https://idp..example/auth",
        "https://idp.example:/auth",
        "https://idp.example:0/auth",
        "https://idp.example:65536/auth",
        "https://idp.example:+80/auth",
        "https://idp.example:a/auth",
        "https://[::1]evil.example/auth",
        "https://[::1/auth",
        "https://[zz]/auth",
        "https://[1:2]/auth",
        "https://999.1.1.1/auth",
        "https://01.02.03.04/auth",
        "https://idp%2eexample/auth",
        "https://idp<.example/auth",
        "ftp://idp.example/auth",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "data:application/json,{}",
        "ws://idp.example/auth",
        "https://idp.example/" + "a" * LONGEST,
        "http://idp.example/" + "a" * 100_000,
    ],
)
@pytest.mark.parametrize("name", ENDPOINTS)
def test_what_is_no_plain_address_is_refused(name: str, url: str) -> None:
    with pytest.raises(ProviderFaulty):
        discovered({name: url})


@pytest.mark.parametrize(
    "url", ["http://localhost:3000/auth", "http://127.0.0.1:3001/auth", "http://[::1]/auth", "https://idp.example/auth"]
)
@pytest.mark.parametrize("name", ENDPOINTS)
def test_a_provider_on_this_machine_may_use_http_here(name: str, url: str) -> None:
    assert getattr(discovered(LOCAL | {name: url}, expected=LOCAL["issuer"]), name) == url


@pytest.mark.parametrize(
    "url", ["http://idp.example/auth", "http://192.168.0.1/auth", "http://localhost.evil.example/"]
)
@pytest.mark.parametrize("name", ENDPOINTS)
def test_a_provider_on_this_machine_may_not_use_http_elsewhere(name: str, url: str) -> None:
    with pytest.raises(ProviderFaulty):
        discovered(LOCAL | {name: url}, expected=LOCAL["issuer"])


def test_an_https_provider_on_this_machine_is_not_asked_in_clear_text() -> None:
    issuer = "https://localhost:3000"
    assert discovered(LOCAL | {"issuer": issuer}, expected=issuer).token_endpoint == f"{issuer}/token_endpoint"


@pytest.mark.parametrize(
    "discovered_one", [..., None, "https://idp.example/other", "http://evil.example/", "no address"]
)
@pytest.mark.parametrize("name", ENDPOINTS)
def test_an_endpoint_of_the_settings_wins(name: str, discovered_one: object) -> None:
    found = discovered({name: discovered_one}, given={name: "https://own.example/x"})
    assert getattr(found, name) == "https://own.example/x"
    untouched = [other for other in ENDPOINTS if other != name]
    assert [getattr(found, other) for other in untouched] == [DOCUMENT[other] for other in untouched]


# Whatever is asked


def test_no_answer_may_be_compressed(transaction: Transaction) -> None:
    for request in (
        oidc.discovery_request(ISSUER),
        oidc.keys_request(METADATA),
        oidc.token_request(METADATA, config(), transaction, "code-1"),
        oidc.refresh_request(METADATA, config(), "rt-1"),
        oidc.revocation_request(f"{ISSUER}/revoke", config(), "rt-1"),
        oidc.userinfo_request(f"{ISSUER}/userinfo", "at-1"),
    ):
        assert request.headers["accept-encoding"] == "identity"


def test_the_keys_are_asked_for_where_the_metadata_says() -> None:
    metadata = discovered({"jwks_uri": f"{ISSUER}/some/where"})
    request = oidc.keys_request(metadata)
    assert (request.method, str(request.url), request.read()) == ("GET", f"{ISSUER}/some/where", b"")


# The authorization request


def test_the_browser_takes_the_whole_request_along(transaction: Transaction) -> None:
    url = oidc.authorization_url(METADATA, config(scope="openid email"), transaction, {})
    challenge = base64.urlsafe_b64encode(hashlib.sha256(transaction.verifier.encode()).digest()).decode().rstrip("=")
    assert url.startswith(f"{ISSUER}/auth?")
    assert fields(urlsplit(url).query) == {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": REDIRECT_URI,
        "scope": "openid email",
        "state": transaction.state,
        "nonce": transaction.nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }


def test_the_verifier_and_the_secret_stay_at_home(transaction: Transaction) -> None:
    url = oidc.authorization_url(METADATA, config(), transaction, {})
    assert transaction.verifier not in url
    assert CLIENT_SECRET not in unquote_plus(url)


@pytest.mark.parametrize("extra", [{"prompt": "login"}, {"login_hint": "ada+x@example.com"}, {"prompt": "a", "x": "b"}])
def test_what_is_passed_on_stands_beside_ours(transaction: Transaction, extra: dict[str, str]) -> None:
    plain = fields(urlsplit(oidc.authorization_url(METADATA, config(), transaction, {})).query)
    url = oidc.authorization_url(METADATA, config(), transaction, extra)
    assert fields(urlsplit(url).query) == plain | extra


@pytest.mark.parametrize(
    "name",
    [
        "response_type",
        "client_id",
        "redirect_uri",
        "scope",
        "state",
        "nonce",
        "code_challenge",
        "code_challenge_method",
    ],
)
def test_what_is_passed_on_never_takes_the_place_of_ours(transaction: Transaction, name: str) -> None:
    plain = fields(urlsplit(oidc.authorization_url(METADATA, config(), transaction, {})).query)
    url = oidc.authorization_url(METADATA, config(), transaction, {name: "evil"})
    assert fields(urlsplit(url).query) == plain


def test_a_query_that_the_endpoint_has_already_stays(transaction: Transaction) -> None:
    metadata = discovered({"authorization_endpoint": f"{ISSUER}/auth?tenant=a%2Fb"})
    url = oidc.authorization_url(metadata, config(), transaction, {})
    assert url.startswith(f"{ISSUER}/auth?tenant=a%2Fb&")
    assert fields(urlsplit(url).query)["client_id"] == CLIENT_ID


# The token request


def token_request(transaction: Transaction, **settings: Unpack[Settings]) -> tuple[httpx.Request, dict[str, str]]:
    request = oidc.token_request(METADATA, config(**settings), transaction, "c+o/d=e")
    assert (request.method, str(request.url)) == ("POST", f"{ISSUER}/token")
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    return request, fields(request.read())


def test_the_code_goes_with_what_binds_it(transaction: Transaction) -> None:
    _, form = token_request(transaction, client_auth="client_secret_basic")
    assert form == {
        "grant_type": "authorization_code",
        "code": "c+o/d=e",
        "redirect_uri": REDIRECT_URI,
        "code_verifier": transaction.verifier,
    }


@pytest.mark.parametrize("settings", [{}, {"client_auth": "client_secret_post"}])
def test_the_secret_goes_in_the_form_by_default(transaction: Transaction, settings: Settings) -> None:
    request, form = token_request(transaction, **settings)
    assert (form["client_id"], form["client_secret"]) == (CLIENT_ID, CLIENT_SECRET)
    assert "authorization" not in request.headers


@pytest.mark.parametrize(
    ("client_id", "client_secret", "pair"),
    [
        ("ck_1", "secret", "ck_1:secret"),
        ("c:k", "a+/%:&= z", "c%3Ak:a%2B%2F%25%3A%26%3D+z"),
        (CLIENT_ID, CLIENT_SECRET, "ck_%2B%2F%25%3A%261:s%2Be%2Fc%3Dr%25e%3At%260+1"),
    ],
)
def test_basic_encodes_each_half_first(transaction: Transaction, client_id: str, client_secret: str, pair: str) -> None:
    request, form = token_request(
        transaction, client_id=client_id, client_secret=client_secret, client_auth="client_secret_basic"
    )
    scheme, _, encoded = request.headers["authorization"].partition(" ")
    assert (scheme, base64.b64decode(encoded).decode()) == ("Basic", pair)
    assert [unquote_plus(half) for half in pair.split(":")] == [client_id, client_secret]
    assert form.keys().isdisjoint({"client_id", "client_secret"})


def test_a_public_client_names_itself_and_sends_no_secret(transaction: Transaction) -> None:
    request, form = token_request(transaction, client_auth="none")
    assert form["client_id"] == CLIENT_ID
    assert "client_secret" not in form
    assert "authorization" not in request.headers


# The token response


@pytest.mark.parametrize("kind", ["Bearer", "bearer", "BEARER", "bEARER"])
def test_the_token_type_is_bearer_in_any_letter_case(kind: str) -> None:
    assert oidc.read_tokens(said(TOKENS | {"token_type": kind})) == Tokens("at-1", id_token="a.b.c")


@pytest.mark.parametrize("kind", [..., None, "", "mac", "DPoP", "Bearer ", "bearer,", 5, ["Bearer"], True])
def test_another_token_type_is_refused(kind: object) -> None:
    with pytest.raises(ProviderFaulty):
        oidc.read_tokens(said(changed(TOKENS, {"token_type": kind})))


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"expires_in": None},
        {"scope": "openid", "refresh_token": None},
        {"unknown": {"a": [1]}},
    ],
)
def test_what_a_token_response_may_leave_out_or_add_does_not_matter(members: dict[str, object]) -> None:
    assert oidc.read_tokens(said(TOKENS | members)) == Tokens("at-1", id_token="a.b.c")


NO_SECONDS: list[Any] = [..., None, -1, 1.5, True, "", "soon", "1e3", "²", "9" * 10, 10**400, [60], {}]


@pytest.mark.parametrize(
    ("expires_in", "seconds"),
    [
        (3600, 3600),
        ("3600", 3600),
        (0, 0),
        (999_999_999, 999_999_999),
        *[(odd, None) for odd in NO_SECONDS],
    ],
)
def test_when_an_access_token_ends_is_known_if_the_provider_says_it(
    clock: Clock, expires_in: object, seconds: int | None
) -> None:
    until = oidc.read_tokens(said(changed(TOKENS, {"expires_in": expires_in}))).until
    assert until == (None if seconds is None else clock.now + seconds)


NO_TOKENS: list[Any] = [..., None, "", 5, ["rt"], "é", "a\nb", "\ud800"]


@pytest.mark.parametrize(("token", "kept"), [("rt-1", "rt-1"), *[(odd, None) for odd in NO_TOKENS]])
def test_a_refresh_token_is_a_text_or_none(token: object, kept: str | None) -> None:
    assert oidc.read_tokens(said(changed(TOKENS, {"refresh_token": token}))).refresh_token == kept


@pytest.mark.parametrize("token", [..., None, "", 5, ["a.b.c"], {"a": 1}])
def test_a_token_response_may_be_without_an_id_token_and_says_so(token: object) -> None:
    """A refresh need not bring one (OpenID Connect Core, 12.2); at login `Provider.redeem` demands it."""
    assert oidc.read_tokens(said(changed(TOKENS, {"id_token": token}))).id_token is None


@pytest.mark.parametrize("token", [..., None, "", 5, ["at"], "é", "a\nb", "a\r\nX-Header: 1", "\ud800"])
def test_a_token_response_without_an_access_token_is_refused(token: object) -> None:
    with pytest.raises(ProviderFaulty):
        oidc.read_tokens(said(changed(TOKENS, {"access_token": token})))


REFUSALS: list[tuple[int, object, type[LoginRefused]]] = [
    (400, {"error": "invalid_grant", "error_description": "The code was used before."}, CodeRefused),
    (400, {"error": "invalid_grant", "message": "The code was used before."}, CodeRefused),
    (400, {"error": "invalid_grant"}, CodeRefused),
    (401, {"error": "invalid_grant"}, CodeRefused),
    (400, {"error": "invalid_client", "error_description": "No such client."}, ClientRefused),
    (401, {"error": "invalid_client", "message": "No such client."}, ClientRefused),
    (403, {"error": "invalid_client"}, ClientRefused),
    (401, {"error": "unauthorized"}, ClientRefused),
    (401, {"message": "Unauthorized"}, ClientRefused),
    (401, b"<html>Unauthorized</html>", ClientRefused),
    (401, b"", ClientRefused),
    (400, {"error": "invalid_request", "error_description": "x"}, ProviderFaulty),
    (400, {"error": "unauthorized_client", "message": "x"}, ProviderFaulty),
    (400, {"error": ["invalid_grant"]}, ProviderFaulty),
    (400, {"error": {"code": "invalid_grant"}}, ProviderFaulty),
    (400, {"error": None}, ProviderFaulty),
    (400, {"error": "x\r\n\x1b[31m" * 1000}, ProviderFaulty),
    (400, {}, ProviderFaulty),
    (400, [], ProviderFaulty),
    (400, b'{"error": "invalid_grant", "error": "invalid_client"}', ProviderFaulty),
    (400, b"<html>Bad Request</html>", ProviderFaulty),
    (403, b"<html>Forbidden</html>", ProviderFaulty),
    (404, b"", ProviderFaulty),
    (429, {"error": "slow_down"}, ProviderFaulty),
    (500, {"error": "server_error"}, ProviderFaulty),
    (502, b"<html>Bad Gateway</html>", ProviderFaulty),
    (503, b"\xff\xfe", ProviderFaulty),
    (302, b"", ProviderFaulty),
    (201, TOKENS, ProviderFaulty),
    (204, b"", ProviderFaulty),
]


@pytest.mark.parametrize(("status", "body", "kind"), REFUSALS)
@pytest.mark.parametrize("media_type", ["application/json", "text/html"])
def test_a_refusal_of_the_token_endpoint_is_told_apart(
    status: int, body: object, kind: type[LoginRefused], media_type: str
) -> None:
    with pytest.raises(LoginRefused) as refusal:
        oidc.read_tokens(said(body, status=status, media_type=media_type))
    assert type(refusal.value) is kind


def test_refused_credentials_name_their_settings() -> None:
    with pytest.raises(ClientRefused, match=r"CONSENTKEYS_CLIENT_ID.*CONSENTKEYS_CLIENT_SECRET"):
        oidc.read_tokens(said({"error": "invalid_client"}, status=401))


# Refresh and revocation


def test_a_refresh_token_goes_to_the_token_endpoint_with_who_asks() -> None:
    request = oidc.refresh_request(METADATA, config(), "rt-1")
    assert (request.method, str(request.url)) == ("POST", METADATA.token_endpoint)
    own = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    assert fields(request.read()) == {"grant_type": "refresh_token", "refresh_token": "rt-1"} | own


def test_a_token_is_revoked_where_the_metadata_say_by_who_asks() -> None:
    request = oidc.revocation_request(f"{ISSUER}/revoke", config(client_auth="client_secret_basic"), "rt-1")
    assert (request.method, str(request.url)) == ("POST", f"{ISSUER}/revoke")
    assert request.headers["authorization"].startswith("Basic ")
    assert fields(request.read()) == {"token": "rt-1"}


# Userinfo


def test_the_access_token_goes_in_the_header_alone() -> None:
    request = oidc.userinfo_request(f"{ISSUER}/userinfo?x=1", "at-1")
    assert (request.method, str(request.url), request.read()) == ("GET", f"{ISSUER}/userinfo?x=1", b"")
    assert request.headers["authorization"] == "Bearer at-1"


def test_userinfo_adds_what_it_says_about_the_person() -> None:
    claims = {"sub": "ck_u_1", "name": "Ada", "email_verified": "true", "address": {"country": "GB"}}
    assert oidc.read_userinfo(said(claims), "ck_u_1") == {name: claims[name] for name in claims if name != "sub"}


@pytest.mark.parametrize("sub", [..., None, "", "ck_u_2", "CK_U_1", "ck_u_1 ", 5, ["ck_u_1"], {"a": "ck_u_1"}])
def test_userinfo_about_another_person_is_refused(sub: object) -> None:
    with pytest.raises(TokenInvalid):
        oidc.read_userinfo(said(changed({"name": "Ada"}, {"sub": sub})), "ck_u_1")


@pytest.mark.parametrize("sub", ["", None])
def test_two_empty_subjects_are_not_the_same(sub: object) -> None:
    with pytest.raises(TokenInvalid):
        oidc.read_userinfo(said({"sub": sub}), "")


@pytest.mark.parametrize(
    "name",
    [
        "iss",
        "sub",
        "aud",
        "exp",
        "iat",
        "nbf",
        "jti",
        "nonce",
        "sid",
        "auth_time",
        "acr",
        "amr",
        "azp",
        "at_hash",
        "c_hash",
    ],
)
def test_userinfo_never_says_what_the_id_token_said(name: str) -> None:
    claims = {"sub": "ck_u_1", "name": "Ada"}
    assert oidc.read_userinfo(said({name: "evil"} | claims), "ck_u_1") == {"name": "Ada"}
    assert name in PROTOCOL_CLAIMS


# Documents, however they fail to be any


def read_discovery(response: httpx.Response) -> object:
    return oidc.read_discovery(response, ISSUER, {})


def read_userinfo(response: httpx.Response) -> object:
    return oidc.read_userinfo(response, "ck_u_1")


READERS = [
    pytest.param(read_discovery, DOCUMENT, id="discovery"),
    pytest.param(oidc.read_key_document, {"keys": []}, id="keys"),
    pytest.param(oidc.read_tokens, TOKENS, id="tokens"),
    pytest.param(read_userinfo, {"sub": "ck_u_1"}, id="userinfo"),
]


@pytest.mark.parametrize(("read", "document"), READERS)
class TestDocuments:
    @pytest.mark.parametrize("media_type", JSON_TYPES)
    def test_one_that_says_it_is_json_is_read(self, read: Any, document: object, media_type: str) -> None:
        assert read(said(document, media_type=media_type)) is not None

    @pytest.mark.parametrize("media_type", NO_JSON_TYPES)
    def test_one_that_says_it_is_something_else_is_refused(self, read: Any, document: object, media_type: str) -> None:
        with pytest.raises(ProviderFaulty):
            read(said(document, media_type=media_type))

    def test_one_that_does_not_say_what_it_is_is_refused(self, read: Any, document: object) -> None:
        with pytest.raises(ProviderFaulty):
            read(httpx.Response(200, content=json.dumps(document).encode()))

    @pytest.mark.parametrize("body", NOT_OBJECTS)
    def test_one_that_is_no_object_is_refused(self, read: Any, document: object, body: bytes) -> None:
        with pytest.raises(ProviderFaulty):
            read(said(body))

    @pytest.mark.parametrize("status", [201, 202, 204, 301, 302, 303, 307, 308, 400, 403, 404, 429, 500, 502, 503])
    def test_one_with_another_status_is_refused(self, read: Any, document: object, status: int) -> None:
        with pytest.raises(ProviderFaulty):
            read(said(document, status=status))

    def test_a_broken_one_is_not_quoted(self, read: Any, document: object) -> None:
        with pytest.raises(ProviderFaulty) as refusal:
            read(said(b'{"access_token": "at-1", "id_token" "a.b.c"}'))
        assert "at-1" not in str(refusal.value)


# Leaving


@pytest.mark.parametrize(
    ("endpoint", "start"), [(f"{ISSUER}/logout", f"{ISSUER}/logout?"), (f"{ISSUER}/out?a=b", f"{ISSUER}/out?a=b&")]
)
def test_the_browser_logs_out_at_the_provider_with_a_way_back(endpoint: str, start: str) -> None:
    back = {"post_logout_redirect_uri": "https://app.example/bye?x=1", "state": "st-1"}
    for hint, who in ((None, {"client_id": CLIENT_ID}), ("a.b.c", {"id_token_hint": "a.b.c"})):
        url = oidc.end_session_url(
            endpoint, config(), return_to=back["post_logout_redirect_uri"], state="st-1", hint=hint
        )
        assert url.startswith(start)
        assert {name: value for name, value in fields(urlsplit(url).query).items() if name != "a"} == who | back
