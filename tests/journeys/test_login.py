"""Logging in, whole, and what the app then knows."""

import base64
import hashlib
import re
from urllib.parse import quote, urlsplit

import pytest

from ck_middleware.config import Settings
from support.browser import Browser, query_of
from support.faces import Face, Guard, told
from support.forgery import without
from support.provider import CLIENT_ID, MisbehavingProvider

CALLBACK = "http://localhost:8000/auth/callback"


def test_somebody_logs_in_and_the_app_knows_them(browser: Browser, provider: MisbehavingProvider) -> None:
    assert browser.get("/dashboard").status == 303
    answer = browser.log_in(browser.get("/dashboard").location, name="Ada")
    assert (answer.status, answer.location) == (303, "/dashboard")
    person = told(browser.get("/dashboard"))
    assert person["logged_in"]
    assert person["name"] == "Ada"
    assert person["sub"].startswith("ck_u_")
    assert person["claims"]["iss"] == provider.issuer


def test_without_a_login_the_app_is_not_called(browser: Browser) -> None:
    assert browser.get("/dashboard").status == 303
    assert browser.get("/").status == 303
    assert browser.face.seen == []


def test_the_authorization_request_is_complete(browser: Browser, provider: MisbehavingProvider) -> None:
    url = browser.start_login()
    assert url.partition("?")[0] == provider.url("auth")
    query = query_of(url)
    fixed = {name: query.pop(name) for name in ("response_type", "client_id", "redirect_uri", "scope")}
    assert fixed == {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": CALLBACK,
        "scope": "openid profile email",
    }
    assert query.pop("code_challenge_method") == "S256"
    assert sorted(query) == ["code_challenge", "nonce", "state"]
    assert all(re.fullmatch("[A-Za-z0-9_-]{43}", value) for value in query.values())  # 256 bits


def test_every_login_has_its_own_state_nonce_and_challenge(browser: Browser) -> None:
    one, other = query_of(browser.start_login()), query_of(browser.start_login())
    assert {name for name in one if one[name] == other[name]} == {
        "response_type",
        "client_id",
        "redirect_uri",
        "scope",
        "code_challenge_method",
    }


def test_the_code_is_redeemed_with_verifier_and_the_same_redirect_uri(
    browser: Browser, provider: MisbehavingProvider
) -> None:
    url = browser.start_login()
    browser.come_back(browser.choose(url))
    form = provider.last("token").form
    assert re.fullmatch("[A-Za-z0-9._~-]{43,128}", form["code_verifier"])
    digest = hashlib.sha256(form["code_verifier"].encode()).digest()
    assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == query_of(url)["code_challenge"]
    assert form["redirect_uri"] == query_of(url)["redirect_uri"]
    assert form["code_verifier"] not in url


def test_the_answer_to_the_callback_leaves_no_code_in_the_address_bar(browser: Browser) -> None:
    answer = browser.log_in()
    assert answer.status == 303
    assert answer.location == "/"
    assert answer.header("referrer-policy") == "no-referrer"
    assert answer.header("cache-control") == "no-store"
    assert answer.body == b""


def test_after_login_nothing_of_it_stays_in_the_browser_but_the_session(browser: Browser) -> None:
    browser.log_in()
    assert list(browser.cookies) == ["ck_session"]


@pytest.mark.parametrize(
    "target",
    [
        "/dashboard?tab=2&q=a%20b",
        "/dashboard?next=/elsewhere",
        "/d/%C3%A9t%C3%A9?x=%26&y",
        "/files/a%23b%3Fc",
        "/dashboard?a=%2F%2Fevil.example",
        "/api-docs?url=https://app.example/x",
    ],
)
def test_a_deep_link_survives_the_login(browser: Browser, target: str) -> None:
    answer = browser.log_in(browser.get(target).location)
    assert answer.location == target
    assert browser.come_back(answer.location).status == 200


@pytest.mark.parametrize(
    "wanted",
    [
        "//evil.example",
        "////evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "\x01//evil.example",
        "https://evil.example/",
        "https:evil.example",
        "https:///evil.example",
        "http:\\\\evil.example",
        "javascript:alert(1)",
        "/.//evil.example",
        "/x/../..//evil.example",
        "/%2fevil.example",
        "/%5cevil.example",
        ".evil.example",
        "@evil.example",
        "http://localhost:8000/dashboard",
        "/x\r\nSet-Cookie: a=b",
        "/" + "a" * 2048,
        "/auth/logout",
        "/auth/login?next=/x",
        "/AUTH/logout",
        "/auth%2Flogout",
        "",
    ],
)
def test_nobody_is_sent_anywhere_else_after_a_login(browser: Browser, wanted: str) -> None:
    assert browser.log_in(f"/auth/login?next={quote(wanted, safe='')}").location == "/"


def test_two_places_to_go_are_none(browser: Browser) -> None:
    assert browser.log_in("/auth/login?next=/a&next=/b").location == "/"


def test_after_login_says_where_people_land(guard: Guard) -> None:
    browser = Browser(guard(after_login="/welcome?first=1"))
    assert browser.log_in().location == "/welcome?first=1"
    assert browser.log_in("/auth/login?next=/dashboard").location == "/dashboard"


def test_a_program_is_told_where_to_log_in(browser: Browser, provider: MisbehavingProvider) -> None:
    answer = browser.request("GET", "/api/items?page=2", {"Accept": "*/*"})
    assert answer.status == 401
    assert answer.json == {
        "error": "Authentication required",
        "login_url": "/auth/login?next=%2Fapi%2Fitems%3Fpage%3D2",
    }
    challenge = answer.header("www-authenticate") or ""
    assert challenge
    assert not challenge.lower().startswith("basic")
    assert "error" not in challenge
    assert browser.set_cookies == []
    assert provider.hits == []
    assert browser.log_in(answer.json["login_url"]).location == "/api/items?page=2"
    assert browser.get("/api/items?page=2").status == 200


def test_me_is_who_is_logged_in(browser: Browser, provider: MisbehavingProvider) -> None:
    nobody = browser.me()
    assert (nobody.status, nobody.json) == (401, {"error": "Not authenticated"})
    browser.log_in(person="otter")
    me = browser.me()
    assert me.status == 200
    claims = me.json["user"]
    assert claims["name"] == "Quiet Otter"
    assert claims["email"] == "quiet.otter@example.test"
    assert claims["iss"] == provider.issuer
    assert list(me.json) == ["user", "expires_at", "idle_expires_at"]


def test_no_token_and_no_proof_of_the_login_is_told_to_anyone(browser: Browser, provider: MisbehavingProvider) -> None:
    provider.faults.userinfo = lambda claims: (
        claims
        | {
            "access_token": "secret-1",
            "refresh_token": "secret-2",
            "id_token": "secret-3",
            "c_hash": "secret-4",
        }
    )
    provider.faults.id_token_claims = lambda claims: claims | {"c_hash": "secret-5"}
    browser.log_in()
    hidden = {"nonce", "at_hash", "c_hash", "access_token", "refresh_token", "id_token"}
    assert browser.me().json["user"].keys().isdisjoint(hidden)
    assert told(browser.get("/"))["claims"].keys().isdisjoint(hidden)


def test_the_claims_setting_says_what_is_kept(guard: Guard) -> None:
    browser = Browser(guard(claims=["email"]))
    browser.log_in(person="otter")
    assert sorted(browser.me().json["user"]) == ["email", "iss", "sub"]


def test_without_userinfo_the_id_token_is_all_there_is(guard: Guard, provider: MisbehavingProvider) -> None:
    browser = Browser(guard(userinfo=False))
    browser.log_in()
    assert "name" not in browser.me().json["user"]
    assert provider.count("userinfo") == 0


def test_userinfo_is_asked_where_there_is_one(browser: Browser, provider: MisbehavingProvider) -> None:
    provider.faults.discovery = without("userinfo_endpoint")
    browser.log_in()
    assert browser.is_logged_in
    assert provider.count("userinfo") == 0


def test_another_account_replaces_the_first(browser: Browser) -> None:
    browser.log_in(name="Ada")
    first = told(browser.get("/"))
    url = browser.start_login("/auth/login?prompt=login")
    assert query_of(url)["prompt"] == "login"
    browser.come_back(browser.choose(url, name="Grace"))
    second = told(browser.get("/"))
    assert second["name"] == "Grace"
    assert second["sub"] != first["sub"]


def test_a_hint_is_passed_on(browser: Browser) -> None:
    assert (
        query_of(browser.start_login("/auth/login?login_hint=ada%40example.test"))["login_hint"] == "ada@example.test"
    )


@pytest.mark.parametrize(
    "extra",
    [
        "client_id=evil",
        "scope=admin",
        "redirect_uri=https://evil.example/",
        "state=chosen",
        "nonce=chosen",
        "code_challenge=chosen&code_challenge_method=plain",
        "response_type=token",
        "response_mode=fragment",
        "prompt=none",
        "prompt=consent",
        "prompt=login&prompt=login",
        "max_age=1",
        "ui_locales=de",
        "request=x&request_uri=https://evil.example/",
        "login_hint=",
        "login_hint=a&login_hint=b",
        "login_hint=a%0Ab",
        "login_hint=" + "a" * 256,
        "&".join(f"p{number}=1" for number in range(60)) + "&login_hint=a",
        "login_hint=%FF",
    ],
)
def test_nothing_else_of_a_query_reaches_the_provider(browser: Browser, extra: str) -> None:
    query = query_of(browser.start_login(f"/auth/login?{extra}"))
    assert sorted(query) == sorted(query_of(browser.start_login()))
    assert query["client_id"] == CLIENT_ID
    assert query["response_type"] == "code"
    assert query["redirect_uri"] == CALLBACK
    assert "chosen" not in query.values()
    assert query["code_challenge_method"] == "S256"


def test_each_login_is_a_new_session(browser: Browser) -> None:
    browser.log_in()
    first = browser.cookies["ck_session"]
    browser.log_in()
    assert browser.cookies["ck_session"] != first
    assert browser.is_logged_in


def test_a_session_planted_before_the_login_is_not_the_session_after_it(face: Face, kind: str) -> None:
    attacker, victim = Browser(face), Browser(face)
    attacker.log_in(name="Mallory")
    planted = attacker.cookies["ck_session"]
    victim.cookies["ck_session"] = planted
    victim.log_in(name="Ada")
    assert victim.cookies["ck_session"] != planted
    assert told(victim.get("/"))["name"] == "Ada"
    if kind == "cookie":
        assert told(attacker.get("/"))["name"] == "Mallory"
    else:  # a new login deletes the session that it replaces
        assert not attacker.is_logged_in


def endpoints(provider: MisbehavingProvider) -> Settings:
    return {
        "authorization_endpoint": provider.url("auth"),
        "token_endpoint": provider.url("token"),
        "userinfo_endpoint": provider.url("userinfo"),
        "jwks_uri": provider.url("jwks"),
    }


def test_explicit_endpoints_leave_nothing_to_discover(guard: Guard, provider: MisbehavingProvider) -> None:
    provider.faults.callback = without("iss")  # nothing says that it comes
    browser = Browser(guard(**endpoints(provider)))
    browser.log_in(name="Ada")
    assert told(browser.get("/"))["name"] == "Ada"
    assert provider.count("discovery") == 0
    assert browser.post("/auth/logout").location == "/"


def test_one_explicit_endpoint_wins_over_discovery(guard: Guard, provider: MisbehavingProvider) -> None:
    provider.faults.discovery = lambda document: document | {"userinfo_endpoint": "https://elsewhere.example/userinfo"}
    browser = Browser(guard(userinfo_endpoint=provider.url("userinfo")))
    browser.log_in(name="Ada")
    assert told(browser.get("/"))["name"] == "Ada"
    assert provider.count("discovery") == 1


def test_an_id_token_without_nonce_is_refused(browser: Browser, provider: MisbehavingProvider) -> None:
    provider.faults.id_token_claims = without("nonce")
    answer = browser.log_in()
    assert (answer.status, answer.code) == (400, "token_invalid")
    assert not browser.is_logged_in


def test_an_id_token_without_nonce_is_accepted_where_the_setting_says_so(
    guard: Guard, provider: MisbehavingProvider
) -> None:
    provider.faults.id_token_claims = without("nonce")
    browser = Browser(guard(allow_missing_nonce=True))
    browser.log_in()
    assert browser.is_logged_in


def test_a_wrong_nonce_is_refused_whatever_the_setting_says(guard: Guard, provider: MisbehavingProvider) -> None:
    provider.faults.id_token_claims = lambda claims: claims | {"nonce": "another"}
    browser = Browser(guard(allow_missing_nonce=True))
    answer = browser.log_in()
    assert (answer.status, answer.code) == (400, "token_invalid")
    assert not browser.is_logged_in


@pytest.mark.parametrize("method", ["client_secret_post", "client_secret_basic"])
def test_the_client_proves_itself_as_the_provider_wants_it(
    guard: Guard, provider: MisbehavingProvider, method: str
) -> None:
    provider.auth_methods = (method,)
    browser = Browser(guard(client_auth=method))
    browser.log_in()
    assert browser.is_logged_in


def test_a_provider_that_does_not_speak_of_pkce_gets_it_all_the_same(
    browser: Browser, provider: MisbehavingProvider
) -> None:
    provider.faults.discovery = without("code_challenge_methods_supported")
    assert query_of(browser.start_login())["code_challenge_method"] == "S256"
    browser.log_in()
    assert browser.is_logged_in


def test_people_see_each_their_own(face: Face) -> None:
    ada, grace = Browser(face), Browser(face)
    ada.log_in(name="Ada")
    grace.log_in(name="Grace")
    assert told(ada.get("/"))["name"] == "Ada"
    assert told(grace.get("/"))["name"] == "Grace"


def test_a_login_page_of_another_prefix(guard: Guard, provider: MisbehavingProvider) -> None:
    provider.register("http://localhost:8000/account/callback")
    browser = Browser(guard(auth_prefix="/account"))
    turned_away = browser.get("/dashboard").location
    assert urlsplit(turned_away).path == "/account/login"
    assert browser.log_in(turned_away).location == "/dashboard"
    assert browser.get("/account/me").json["user"]["name"] == "Ada"
    assert told(browser.get("/auth/me"))["logged_in"]  # the app's own


# What is too large for a cookie


@pytest.mark.parametrize("kind", ["cookie"])
def test_more_claims_than_a_cookie_holds_end_the_login(
    guard: Guard, provider: MisbehavingProvider, sessions: object
) -> None:
    provider.faults.userinfo = lambda claims: claims | {"groups": ["a-group-with-a-long-name"] * 200}
    browser = Browser(guard())
    answer = browser.log_in()
    assert (answer.status, answer.code) == (502, "session_too_large")
    assert not browser.is_logged_in
    assert browser.cookies == {}


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_a_store_holds_more_claims_than_a_cookie(guard: Guard, provider: MisbehavingProvider) -> None:
    groups = ["a-group-with-a-long-name"] * 2000
    provider.faults.userinfo = lambda claims: claims | {"groups": groups}
    browser = Browser(guard())
    browser.log_in()
    assert told(browser.get("/"))["claims"]["groups"] == groups
    assert sum(len(name) + len(value) for name, value in browser.cookies.items()) < 150


def test_naming_the_claims_to_keep_is_a_remedy(guard: Guard, provider: MisbehavingProvider) -> None:
    provider.faults.userinfo = lambda claims: claims | {"groups": ["a-group-with-a-long-name"] * 200}
    browser = Browser(guard(claims=["name", "email"]))
    browser.log_in(name="Ada")
    assert told(browser.get("/"))["name"] == "Ada"
