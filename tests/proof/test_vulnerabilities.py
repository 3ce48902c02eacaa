"""Published vulnerabilities of programs that do this job, each played against this one, on both faces.

The name of a test begins with the identifier; `docs/security.md` has a row for each, with what it was. Beside every
attack stands the honest neighbour of it, who gets in.
"""

import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from starlette.responses import Response

from ck_middleware import ConfigError
from ck_middleware.dev.signing import SigningKey
from support import forgery
from support.browser import Browser, query_of
from support.clock import Clock
from support.documents import ROOT, promises_of
from support.faces import Answer, Asked, Configure, Face, Guard, told
from support.forgery import Claims, Signer
from support.provider import Hub, MisbehavingProvider

DOCUMENT = ROOT / "docs" / "security.md"
APP = "https://app.example"
BOTH_KINDS = pytest.mark.parametrize("kind", ["cookie", "memory"])


def _refused(answer: Answer, status: int, code: str) -> None:
    """A login that ended so, and left no session behind."""
    assert (answer.status, answer.code) == (status, code), answer.text
    assert not [cookie for cookie in answer.every("set-cookie") if "ck_session=" in cookie]


def _ask(face: Face, target: str, headers: Mapping[str, str] | None = None, *, method: str = "GET") -> Answer:
    """One request with exactly these headers, of a client that is no browser."""
    return face.ask(Asked(method, target, list({"Host": "localhost:8000", **(headers or {})}.items())))


# State and nonce


@BOTH_KINDS
def test_cve_2025_68158_a_login_begun_in_another_browser_is_not_finished_in_this_one(
    face: Face, provider: MisbehavingProvider
) -> None:
    """A state that the server remembers for everybody is no proof of who began."""
    attacker, victim = Browser(face), Browser(face)
    callback = attacker.choose(attacker.start_login(), name="Mallory")
    _refused(victim.come_back(callback), 400, "login_expired")
    assert not victim.is_logged_in
    assert provider.count("token") == 0
    assert attacker.come_back(callback).status == 303
    assert attacker.me().json["user"]["name"] == "Mallory"


@BOTH_KINDS
def test_cve_2025_68158_who_is_logged_in_stays_who_they_are(face: Face, provider: MisbehavingProvider) -> None:
    attacker, victim = Browser(face), Browser(face)
    victim.log_in(name="Ada")
    victim.come_back(attacker.choose(attacker.start_login(), name="Mallory"))
    assert victim.me().json["user"]["name"] == "Ada"
    assert provider.count("token") == 1


@pytest.mark.parametrize(
    ("state", "code"),
    [
        pytest.param("", "callback_invalid", id="none"),
        pytest.param("state=", "callback_invalid", id="empty"),
        pytest.param("state=invented", "login_expired", id="invented"),
        pytest.param("state={state}", "login_expired", id="of-the-attacker"),
    ],
)
def test_cve_2025_14546_a_state_is_not_only_sent_but_checked(
    face: Face, provider: MisbehavingProvider, state: str, code: str
) -> None:
    attacker, victim = Browser(face), Browser(face)
    own = victim.choose(victim.start_login(), name="Ada")  # the victim has a login under way, with its cookie
    sent = query_of(attacker.choose(attacker.start_login(), name="Mallory"))
    query = f"{state.format(**sent)}&code={quote(sent['code'])}&iss={quote(provider.issuer)}"
    _refused(victim.get(f"/auth/callback?{query}"), 400, code)
    assert provider.count("token") == 0
    assert victim.come_back(own).status == 303
    assert victim.me().json["user"]["name"] == "Ada"


def test_cve_2026_42206_the_tokens_of_one_login_do_not_finish_another(
    face: Face, provider: MisbehavingProvider
) -> None:
    """All of a good token response is played again, so that its hash fits: nothing but the nonce tells."""
    stolen: list[Claims] = []

    def seen(answer: Claims) -> Claims:
        stolen.append(answer)
        return answer

    provider.faults.token_response = seen
    Browser(face).log_in(name="Ada")
    provider.faults.token_response = lambda answer: stolen[0]
    attacker = Browser(face)
    _refused(attacker.log_in(name="Mallory"), 400, "token_invalid")
    assert provider.count("userinfo") == 1
    provider.faults.heal()
    assert attacker.log_in(name="Mallory").status == 303


# Algorithms and keys


def _with_secret(encoding: Encoding, form: PublicFormat) -> Signer:
    def sign(key: SigningKey, header: Claims, claims: Claims) -> str:
        return forgery.hs256(key.private.public_key().public_bytes(encoding, form))(key, header, claims)

    return sign


@pytest.mark.parametrize(
    ("encoding", "form"),
    [
        pytest.param(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo, id="pem"),
        pytest.param(Encoding.PEM, PublicFormat.PKCS1, id="pkcs1"),
        pytest.param(Encoding.DER, PublicFormat.SubjectPublicKeyInfo, id="der"),
        pytest.param(Encoding.OpenSSH, PublicFormat.OpenSSH, id="openssh"),
    ],
)
def test_cve_2022_29217_a_public_key_in_any_format_is_no_shared_secret(
    face: Face, provider: MisbehavingProvider, encoding: Encoding, form: PublicFormat
) -> None:
    _forged(face, provider, _with_secret(encoding, form))


def test_cve_2022_29217_no_setting_lets_shared_secrets_in(configure: Configure) -> None:
    for algorithms in (["HS256"], ["RS256", "HS256"], ["none"]):
        with pytest.raises(ConfigError):
            configure(id_token_algorithms=algorithms)
    assert configure(id_token_algorithms=["RS256", "ES256"]).id_token_algorithms == ("RS256", "ES256")


def test_cve_2026_48526_a_public_key_as_jwk_is_no_shared_secret(face: Face, provider: MisbehavingProvider) -> None:
    (published,) = provider.jwks_document()["keys"]
    as_served = str(published).replace("'", '"').encode()
    _forged(face, provider, forgery.hs256(as_served))


def _rs512(algorithm: str) -> Signer:
    """A good signature by SHA-512, under a header that says `algorithm`."""

    def sign(key: SigningKey, header: Claims, claims: Claims) -> str:
        said = header | {"alg": algorithm}
        return forgery.token(said, claims, lambda data: key.private.sign(data, padding.PKCS1v15(), hashes.SHA512()))

    return sign


@pytest.mark.parametrize("said", ["RS256", "RS512"])
def test_cve_2026_48523_the_list_of_algorithms_holds_for_the_key_as_well_as_for_the_header(
    guard: Guard, provider: MisbehavingProvider, said: str
) -> None:
    """The header says what is allowed, and the key has it verified as what is not."""
    provider.faults.jwks = lambda jwks: {"keys": [key | {"alg": "RS512"} for key in jwks["keys"]]}
    provider.faults.sign = _rs512(said)
    _refused(Browser(guard()).log_in(), 400, "token_invalid")
    provider.faults.sign = _rs512("RS512")
    provider.faults.id_token_claims = forgery.without("at_hash")  # whose hash goes with the algorithm
    assert Browser(guard(id_token_algorithms=["RS512"])).log_in().status == 303


@pytest.mark.parametrize("secret", [b"", b"\0"], ids=["empty", "one-octet"])
@pytest.mark.parametrize("said", ["HS256", "RS256"])
def test_cve_2026_102266_an_empty_shared_key_in_the_key_set_verifies_nothing(
    face: Face, provider: MisbehavingProvider, secret: bytes, said: str
) -> None:
    kid = provider.keys[0].kid
    empty = {"kty": "oct", "kid": kid, "k": urlsafe_b64encode(secret).rstrip(b"=").decode(), "use": "sig", "alg": said}
    provider.faults.jwks = lambda jwks: {"keys": [empty, *jwks["keys"]]}
    _forged(face, provider, forgery.hs256(secret))


@pytest.mark.parametrize("kid", ["key-99", "key-0", None], ids=["own", "ours", "none"])
def test_cve_2026_27962_a_token_does_not_bring_its_own_key(
    face: Face, provider: MisbehavingProvider, hub: Hub, kid: str | None
) -> None:
    own = forgery.rsa_key(99)
    with hub.provider() as elsewhere:
        elsewhere.keys = (own,)
        brought = {"jwk": forgery.rsa_jwk(own), "jku": elsewhere.url("jwks"), "x5u": elsewhere.url("jwks"), "kid": kid}

        def sign(key: SigningKey, header: Claims, claims: Claims) -> str:
            said = {name: value for name, value in (header | brought).items() if value is not None}
            return forgery.rs256(own, said, claims)

        _forged(face, provider, sign)
        assert elsewhere.hits == []


@pytest.mark.parametrize(
    "critical", [{"crit": ["cnf"], "cnf": {}}, {"crit": ["b64"], "b64": True}, {"crit": []}], ids=["cnf", "b64", "none"]
)
def test_cve_2025_59420_what_is_critical_and_not_understood_is_refused(
    face: Face, provider: MisbehavingProvider, critical: Claims
) -> None:
    provider.faults.id_token_header = lambda header: header | critical
    _refused(Browser(face).log_in(), 400, "token_invalid")
    provider.faults.heal()
    assert Browser(face).log_in().status == 303


def test_cve_2026_48524_tokens_with_invented_key_names_do_not_cost_the_keys_we_have(
    face: Face, provider: MisbehavingProvider
) -> None:
    assert Browser(face).log_in().status == 303
    provider.faults.answer("jwks", Response(status_code=503))
    for kid in ("invented", "another", "a third"):
        provider.faults.id_token_header = _called(kid)
        _refused(Browser(face).log_in(), 502, "provider_faulty")
    provider.faults.id_token_header = forgery.unchanged
    assert Browser(face).log_in().status == 303


def _called(kid: str) -> forgery.Change:
    return lambda header: header | {"kid": kid}


def _forged(face: Face, provider: MisbehavingProvider, sign: Signer) -> None:
    """A token that is signed so logs nobody in, and the provider is asked nothing more; a good one does."""
    provider.faults.sign = sign
    _refused(Browser(face).log_in(), 400, "token_invalid")
    assert provider.count("userinfo") == 0
    provider.faults.sign = forgery.rs256
    assert Browser(face).log_in().status == 303


@pytest.mark.parametrize("status", [302, 307])
@pytest.mark.parametrize("endpoint", ["discovery", "jwks", "token", "userinfo"])
def test_cve_2026_102267_keys_come_from_where_they_were_asked_for(
    guard: Guard, provider: MisbehavingProvider, hub: Hub, endpoint: str, status: int
) -> None:
    """A redirect is an answer that cannot be used, and so is anything else from where it leads."""
    with hub.provider() as elsewhere:
        elsewhere.keys = (forgery.rsa_key(99),)
        provider.faults.redirect(endpoint, elsewhere.url(endpoint), status=status)
        browser = Browser(guard())
        answer = browser.get("/auth/login") if endpoint == "discovery" else browser.log_in()
        _refused(answer, 502, "provider_faulty")
        assert elsewhere.hits == []
    provider.faults.heal()
    assert Browser(guard()).log_in().status == 303


# Return addresses


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example",
        "//evil.example",
        "https:evil.example",
        "javascript:alert(1)",
        "evil.example",
        "@evil.example",
        " //evil.example",
        "/x/../..//evil.example",
    ],
)
def test_cve_2021_43812_after_a_login_nobody_lands_elsewhere(browser: Browser, wanted: str) -> None:
    assert browser.log_in(f"/auth/login?next={quote(wanted, safe='')}").location == "/"
    assert browser.log_in("/auth/login?next=/inbox?page=2").location == "/inbox?page=2"


@pytest.mark.parametrize("wanted", ["/\\evil.example", "\\\\evil.example", "/\t/evil.example", "/%5cevil.example"])
def test_ghsa_qqxw_m5fj_f7gv_a_backslash_is_what_browsers_make_of_it(browser: Browser, wanted: str) -> None:
    assert browser.log_in(f"/auth/login?next={quote(wanted, safe='')}").location == "/"
    assert browser.log_in("/auth/login?next=/evil.example").location == "/evil.example"


@pytest.mark.parametrize("target", ["//evil.example", "///evil.example/x", "/%2fevil.example", "/%5cevil.example"])
def test_ghsa_7p99_3798_f85c_a_path_that_is_an_address_elsewhere_begins_no_login(face: Face, target: str) -> None:
    """Where every path needs a login, the path itself is the address to return to."""
    browser = Browser(face)
    answer = browser.get(target)
    assert answer.status == 400
    assert answer.every("location") == answer.every("set-cookie") == []
    assert face.seen == []
    login = browser.get("/evil.example")
    assert login.location == "/auth/login?next=%2Fevil.example"
    assert browser.log_in(login.location).location == "/evil.example"


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "https:evil.example",
        "http://localhost:8000@evil.example/",
        "http://localhost:8000.evil.example/",
        "http://localhost:8000\\@evil.example/",
        "http://localhost:8000//evil.example",
        "http://localhost:8001/",
        "javascript:alert(1)",
    ],
)
def test_cve_2021_39191_a_login_that_another_site_begins_ends_here(
    browser: Browser, provider: MisbehavingProvider, target: str
) -> None:
    """Third-party initiated login (OpenID Connect Core, 4)."""
    begin = f"/auth/login?iss={quote(provider.issuer, safe='')}&target_link_uri="
    assert browser.log_in(begin + quote(target, safe="")).location == "/"
    assert browser.log_in(begin + quote("http://localhost:8000/inbox?page=2", safe="")).location == "/inbox?page=2"


# Paths


@pytest.mark.parametrize(
    "host",
    [
        "localhost:8000/public/?",
        "localhost:8000/public/#",
        "localhost:8000\\public",
        "public/..@localhost",
        "",
        "/public/",
    ],
)
def test_cve_2026_48710_a_host_header_moves_no_path(guard: Guard, host: str) -> None:
    face = guard(protect=["/admin"], public=["/admin/public/"])
    assert _ask(face, "/admin/secret", {"Host": host}).status == 303
    assert face.seen == []
    ada = Browser(face)
    ada.log_in()
    assert told(ada.get("/admin/secret", {"Host": host}))["logged_in"]
    assert _ask(face, "/admin/public/page", {"Host": host}).status == 200


@pytest.mark.parametrize("query", ["?/health", "?x=/static/", "?x=/static/app.css", "?/../static/app.css"])
def test_cve_2025_54576_a_query_opens_no_path(guard: Guard, query: str) -> None:
    face = guard(public=["/health", "/static/"])
    assert _ask(face, f"/admin{query}").status == 303
    assert _ask(face, f"/api/secret{query}").status == 401
    assert face.seen == []
    assert _ask(face, f"/health{query}").status == 200


@pytest.mark.parametrize(
    "target",
    ["/admin%23/health", "/admin%23/static/app.css", "/admin/secret%23/static/", "/health%23", "/admin%2523/static/"],
)
def test_cve_2026_41059_a_number_sign_opens_no_path(guard: Guard, target: str) -> None:
    face = guard(public=["/health", "/static/"])
    assert _ask(face, target).status == 303
    assert _ask(face, target.replace("%23", "#")).status in {303, 400}  # bare, as no browser sends it
    assert face.seen == []
    assert _ask(face, "/static/notes%20%23%201.txt").status == 200
    assert face.seen == ["/static/notes # 1.txt"]


@pytest.mark.parametrize("target", ["//admin", "/admin//secret", "///admin/secret", "/api//secret", "/admin/./secret"])
def test_cve_2025_71399_empty_and_dot_segments_reach_nobody(guard: Guard, target: str) -> None:
    """A router that forgives them would serve what the guard took for another path."""
    face = guard(protect=["/admin", "/api"])
    ada = Browser(face)
    ada.log_in()
    for client in (Browser(face), ada):
        assert client.get(target).status == 400
    assert face.seen == []
    assert told(ada.get("/admin/secret"))["logged_in"]


@pytest.mark.parametrize("target", ["//auth/login", "/auth//login", "/auth/./login", "/x/../auth/login"])
def test_cve_2025_71399_our_own_addresses_have_one_spelling(browser: Browser, target: str) -> None:
    assert browser.get(target).status == 400
    assert browser.get("/auth/login").status == 303


# Headers

SPELLINGS = ("Remote-User", "Remote_User", "REMOTE_USER", "REMOTE-USER", "remote_User")
FORWARDED = ("X-Forwarded-User", "X_Forwarded_User", "X-Forwarded_User", "X-Auth-Request-User", "X-Auth-Request-Email")


@pytest.mark.parametrize("name", [*SPELLINGS, *FORWARDED, "Authorization"])
def test_cve_2025_64484_no_spelling_of_a_header_makes_a_user(guard: Guard, name: str) -> None:
    face = guard(public=["/"])
    forged = {name: "admin"}
    assert not told(_ask(face, "/", forged))["logged_in"]
    assert _ask(face, "/admin", forged).status == 303
    ada = Browser(face)
    ada.log_in()
    sub = ada.me().json["user"]["sub"]
    assert told(ada.get("/", forged))["sub"] == sub


@pytest.mark.parametrize("name", SPELLINGS)
def test_cve_2026_3902_a_header_with_an_underscore_does_not_become_one_with_a_hyphen(guard: Guard, name: str) -> None:
    """Servers and frameworks fold both to one name; what some take for a verified user does not reach the app."""
    face = guard(public=["/"])
    _ask(face, "/", {name: "admin", "X_Custom": "kept"})
    ada = Browser(face)
    ada.log_in()
    sub = ada.me().json["user"]["sub"]
    ada.get("/", {name: "admin"})
    anonymous, logged_in = face.carriers
    for carrier in (anonymous, logged_in):
        assert "admin" not in _identities(carrier)
    assert "kept" in str(_headers(anonymous))
    assert logged_in["ck_middleware.user"].sub == sub


def _headers(carrier: Mapping[str, Any]) -> dict[str, str]:
    if "headers" in carrier:
        return {name.decode(): value.decode() for name, value in carrier["headers"]}
    return {key: value for key, value in carrier.items() if key.startswith("HTTP_")}


def _identities(carrier: Mapping[str, Any]) -> list[Any]:
    """Whatever a framework may take for a user that its server has verified."""
    found = [value for name, value in _headers(carrier).items() if "remote" in name.lower()]
    return [*found, *(carrier.get(name) for name in ("REMOTE_USER", "AUTH_TYPE"))]


@pytest.mark.parametrize("name", ["X-Forwarded-Uri", "X-Original-URL", "X-Original-Uri", "X-Rewrite-URL", "Forwarded"])
def test_cve_2026_40575_the_path_is_that_of_the_request_line(guard: Guard, name: str) -> None:
    face = guard(public=["/health"])
    assert _ask(face, "/admin", {name: "/health"}).status == 303
    assert face.seen == []
    assert _ask(face, "/health", {name: "/admin"}).status == 200


@pytest.mark.parametrize("value", ["middleware", "src/middleware", ":".join(["middleware"] * 5), "1"])
def test_cve_2025_29927_no_header_says_that_the_guard_has_run(face: Face, value: str) -> None:
    said = {"X-Middleware-Subrequest": value, "X-Internal": value}
    assert _ask(face, "/admin", said).status == 303
    assert _ask(face, "/api/secret", said).status == 401
    assert face.seen == []
    ada = Browser(face)
    ada.log_in()
    assert told(ada.get("/admin", said))["logged_in"]


@pytest.mark.parametrize("agent", ["GoogleHC/1.0", "kube-probe/1.31", "ELB-HealthChecker/2.0", "Ping", ""])
def test_cve_2026_34457_health_checkers_are_strangers_too(guard: Guard, agent: str) -> None:
    face = guard(public=["/health"])
    for target in ("/admin", "/healthz", "/health/../admin", "/ping"):
        assert _ask(face, target, {"User-Agent": agent}).status in {303, 400}
    assert face.seen == []
    assert _ask(face, "/health", {"User-Agent": agent}).status == 200


# Sessions and cookies


@BOTH_KINDS
def test_cve_2021_41246_a_login_makes_a_new_session(face: Face, kind: str) -> None:
    attacker, victim = Browser(face), Browser(face)
    attacker.log_in(name="Mallory")
    planted = attacker.cookies["ck_session"]
    victim.cookies["ck_session"] = planted
    assert victim.me().json["user"]["name"] == "Mallory"
    victim.log_in(name="Ada")
    assert victim.cookies["ck_session"] != planted
    assert victim.me().json["user"]["name"] == "Ada"
    attacker.cookies["ck_session"] = planted
    answer = attacker.me()
    assert answer.status == 401 if kind == "memory" else answer.json["user"]["name"] == "Mallory"


@BOTH_KINDS
def test_cve_2021_41246_a_chosen_session_name_is_never_kept(face: Face) -> None:
    victim = Browser(face, cookies={"ck_session": "chosen"})
    victim.log_in(name="Ada")
    assert victim.cookies["ck_session"] != "chosen"
    assert not Browser(face, cookies={"ck_session": "chosen"}).is_logged_in
    assert victim.is_logged_in


@BOTH_KINDS
def test_cve_2026_19349_what_stands_for_a_login_under_way_is_no_session(face: Face) -> None:
    browser = Browser(face)
    url = browser.start_login()
    (name,) = browser.cookies
    sent = query_of(url)
    for replayed in (browser.cookies[name], name, sent["state"], sent["nonce"], sent["code_challenge"]):
        stranger = Browser(face, cookies={"ck_session": replayed})
        assert not stranger.is_logged_in
        assert stranger.get("/admin").status == 303
    assert face.seen == []
    assert browser.come_back(browser.choose(url)).status == 303
    session = browser.cookies["ck_session"]
    other = Browser(face)
    callback = other.choose(other.start_login())
    other.cookies = dict.fromkeys(other.cookies, session)  # nor is a session a login under way
    _refused(other.come_back(callback), 400, "login_expired")
    assert browser.is_logged_in


@pytest.mark.parametrize("count", ["99999999", "-1", "2", "1e9", "NaN", ""])
def test_cve_2024_24814_no_cookie_says_how_many_there_are(face: Face, count: str) -> None:
    counters = dict.fromkeys(("ck_session_chunks", "ck_session.chunks", "ck_session.0", "ck_session_0"), count)
    plain, counted = Browser(face).get("/admin"), Browser(face, cookies=counters).get("/admin")
    assert (counted.status, counted.headers, counted.body) == (plain.status, plain.headers, plain.body)
    ada = Browser(face)
    ada.log_in()
    ada.cookies |= counters
    assert told(ada.get("/admin"))["logged_in"]


@pytest.mark.parametrize("planted", ["={}", "; ={}", "=x; ={}", " = {}", "=={}"])
def test_cve_2023_23934_a_cookie_without_a_name_is_not_the_name_in_its_value(
    guard: Guard, provider: MisbehavingProvider, planted: str
) -> None:
    """A neighbouring domain can plant one; read wrongly it is our cookie, and its `__Host-` proves nothing."""
    face = guard(base_url=APP)
    attacker, ada = (Browser(face, origin=APP) for _ in range(2))
    attacker.log_in(name="Mallory")
    ada.log_in(name="Ada")
    (named,) = attacker.cookies.items()
    header = planted.format("=".join(named))
    assert Browser(face, origin=APP).request("GET", "/auth/me", {"Cookie": header}).status == 401
    own = "; ".join(["=".join(pair) for pair in ada.cookies.items()] + [header])
    assert ada.request("GET", "/auth/me", {"Cookie": own}).json["user"]["name"] == "Ada"


@BOTH_KINDS
def test_cve_2025_48947_an_answer_that_sets_a_session_is_kept_by_no_shared_cache(guard: Guard, clock: Clock) -> None:
    cacheable = [("Cache-Control", "public, s-maxage=31536000"), ("CDN-Cache-Control", "max-age=31536000")]
    face = guard(answer_headers=cacheable, idle_timeout=1000)
    ada = Browser(face)
    callback = ada.log_in()
    assert callback.header("cache-control") == "no-store"
    fresh = ada.get("/page")
    assert fresh.every("set-cookie") == []
    assert fresh.header("cache-control") == "public, s-maxage=31536000"  # the app's own word, about its own page
    clock.move(200)  # past a tenth of the idle timeout
    renewed = ada.get("/page")
    assert len(renewed.every("set-cookie")) == 1
    assert renewed.header("cache-control") == "private"
    assert renewed.header("vary") == "Cookie"
    assert renewed.every("cdn-cache-control") == []
    assert told(renewed)["logged_in"]


# What a stranger's words become

SCRIPT = "<script>alert(1)</script>"


@pytest.mark.parametrize("name", ["error", "error_description", "error_uri", "state", "code", "iss"])
def test_cve_2021_32702_no_word_of_the_callback_is_on_the_page(
    browser: Browser, provider: MisbehavingProvider, name: str
) -> None:
    words = {"error": "server_error", "state": query_of(browser.start_login())["state"], "iss": provider.issuer}
    words[name] = SCRIPT
    query = "&".join(f"{key}={quote(value)}" for key, value in words.items())
    page = browser.get(f"/auth/callback?{query}")
    assert page.status in {400, 502}
    assert "alert" not in page.text
    assert "script" not in page.text
    assert "default-src 'none'" in (page.header("content-security-policy") or "")
    assert "alert" not in browser.fetch(f"/auth/callback?{query}").text
    denied = browser.come_back(browser.choose(browser.start_login(), decision="deny"))
    _refused(denied, 403, "access_denied")


# The document


def test_every_vulnerability_that_is_tested_has_its_row_and_the_other_way_round(
    tally: Callable[[str, int], None],
) -> None:
    rows = re.findall(r"^\| ((?:CVE|GHSA)-[\w-]+) \|.*\| `(test_\w+)` \|$", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    named = {test for test in promises_of(Path(__file__)) if test.startswith(("test_cve_", "test_ghsa_"))}
    for identifier, test in rows:
        assert test in named
        assert test.startswith(f"test_{_spelled(identifier)}_")
    told_of = [_spelled(identifier) for identifier, _ in rows]
    assert len(told_of) == len(set(told_of))
    assert {_identifier(test) for test in named} == set(told_of)
    tally("identifiers", len(rows))


def _spelled(identifier: str) -> str:
    return identifier.lower().replace("-", "_")


def _identifier(test: str) -> str:
    found = re.match(r"test_(cve_\d+_\d+|ghsa(?:_\w{4}){3})_", test)
    assert found, test
    return found[1]
