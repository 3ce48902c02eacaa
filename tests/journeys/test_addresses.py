"""Where the app is: at the address it was told, under a mount, or on this machine."""

import pytest

from support.browser import Browser, query_of
from support.faces import Guard, told
from support.provider import CLIENT_SECRET, MisbehavingProvider


@pytest.mark.parametrize("origin", ["http://localhost:8000", "http://127.0.0.1:8000", "http://localhost"])
def test_on_this_machine_no_address_is_needed(guard: Guard, origin: str) -> None:
    browser = Browser(guard(), origin=origin)
    assert query_of(browser.start_login())["redirect_uri"] == f"{origin}/auth/callback"
    assert browser.log_in("/auth/login?next=/dashboard").location == "/dashboard"
    assert browser.is_logged_in


def test_on_this_machine_by_its_ipv6_number_too(guard: Guard, provider: MisbehavingProvider) -> None:
    provider.register("http://[::1]:8000/auth/callback")
    browser = Browser(guard(), origin="http://[::1]:8000")
    browser.log_in()
    assert browser.is_logged_in


@pytest.mark.parametrize(
    "host",
    [
        "app.example",
        "10.0.0.1:8000",
        "localhost.evil.example",
        "localhost:8000@evil.example",
        "evil.example:8000#localhost",
        "127.0.0.1.nip.io",
        "localhost:8000, evil.example",
        "localhost:",
        "",
    ],
)
def test_elsewhere_the_address_has_to_be_told(guard: Guard, provider: MisbehavingProvider, host: str) -> None:
    browser = Browser(guard())
    answer = browser.get("/auth/login", {"Host": host})
    assert (answer.status, answer.code) == (400, "base_url_missing")
    assert browser.cookies == {}
    assert provider.hits == []


def test_a_host_header_does_not_change_the_address_that_was_told(guard: Guard) -> None:
    browser = Browser(guard(base_url="https://app.example"))
    answer = browser.get("/auth/login", {"Host": "evil.example", "X-Forwarded-Host": "evil.example"})
    assert query_of(answer.location)["redirect_uri"] == "https://app.example/auth/callback"


def test_over_https_the_cookies_are_bound_to_the_host(guard: Guard) -> None:
    browser = Browser(guard(base_url="https://app.example"), origin="https://app.example")
    browser.log_in("/auth/login?next=/dashboard")
    assert list(browser.cookies) == ["__Host-ck_session"]
    assert told(browser.get("/dashboard"))["logged_in"]
    assert len(browser.set_cookies) == 3  # the login begun, the session, the login finished
    for cookie in browser.set_cookies:
        name, attributes = cookie.partition("=")[0], cookie.partition("; ")[2].split("; ")
        assert name.startswith(("__Host-ck_login_", "__Host-ck_session"))
        assert attributes[1:] == ["Path=/", "HttpOnly", "SameSite=Lax", "Secure"]


def test_over_http_the_cookies_have_plain_names(browser: Browser) -> None:
    browser.log_in()
    assert list(browser.cookies) == ["ck_session"]
    for cookie in browser.set_cookies:
        assert cookie.partition("; ")[2].split("; ")[1:] == ["Path=/", "HttpOnly", "SameSite=Lax"]


def test_over_https_a_cookie_without_the_prefix_is_none(guard: Guard) -> None:
    browser = Browser(guard(base_url="https://app.example"), origin="https://app.example")
    browser.log_in()
    value = browser.cookies["__Host-ck_session"]
    for name in (
        "ck_session",
        "\xa0__Host-ck_session",
        "\x85__Host-ck_session",
        "__host-ck_session",
        "=__Host-ck_session",
    ):
        assert browser.get("/", {"Cookie": f"{name}={value}"}).status == 303
    assert browser.get("/", {"Cookie": f"a=b;\t__Host-ck_session ={value}"}).status == 200


# Mounts


def test_a_mount_that_the_server_shows(guard: Guard, provider: MisbehavingProvider) -> None:
    provider.register("https://app.example/pre/auth/callback")
    browser = Browser(guard(base_url="https://app.example/pre"), origin="https://app.example", mount="/pre")
    turned_away = browser.get("/pre/dashboard?x=1")
    assert turned_away.location == "/pre/auth/login?next=%2Fpre%2Fdashboard%3Fx%3D1"
    assert browser.log_in(turned_away.location).location == "/pre/dashboard?x=1"
    assert told(browser.get("/pre/dashboard?x=1"))["logged_in"]
    assert browser.me().status == 200
    assert f'action="{browser.at("/auth/logout")}"' in browser.get("/pre/auth/logout").text
    browser.post("/pre/auth/logout")
    assert not browser.is_logged_in


def test_a_mount_that_the_server_shows_needs_no_setting_on_this_machine(
    guard: Guard, provider: MisbehavingProvider
) -> None:
    provider.register("http://localhost:8000/pre/auth/callback")
    browser = Browser(guard(), mount="/pre")
    assert browser.log_in(browser.get("/pre/dashboard").location).location == "/pre/dashboard"
    assert browser.log_in().location == "/pre/"
    assert told(browser.get("/pre/"))["logged_in"]


def test_a_mount_that_a_proxy_cuts_off(guard: Guard, provider: MisbehavingProvider) -> None:
    provider.register("https://app.example/pre/auth/callback")
    browser = Browser(guard(base_url="https://app.example/pre"), origin="https://app.example", hidden_mount="/pre")
    turned_away = browser.get("/pre/dashboard?x=1")
    assert turned_away.location == "/pre/auth/login?next=%2Fpre%2Fdashboard%3Fx%3D1"
    assert browser.log_in(turned_away.location).location == "/pre/dashboard?x=1"
    assert told(browser.get("/pre/dashboard?x=1"))["logged_in"]
    assert browser.log_in().location == "/pre/"


def test_a_mount_that_only_the_app_knows_of(guard: Guard, provider: MisbehavingProvider) -> None:
    """As with `FastAPI(root_path="/pre")`: nobody cuts it off before the app does."""
    provider.register("https://app.example/pre/auth/callback")
    face = guard(base_url="https://app.example/pre", protect=["/dashboard"])
    browser = Browser(face, origin="https://app.example")
    turned_away = browser.get("/pre/dashboard")
    assert turned_away.location == "/pre/auth/login?next=%2Fpre%2Fdashboard"
    assert browser.log_in(turned_away.location).location == "/pre/dashboard"
    assert face.seen == []
    assert told(browser.get("/pre/dashboard"))["logged_in"]
    assert browser.get("/pre/auth/me").status == 200


def test_one_of_our_own_addresses_is_no_place_to_return_to_under_a_mount_either(
    guard: Guard, provider: MisbehavingProvider
) -> None:
    provider.register("https://app.example/pre/auth/callback")
    browser = Browser(guard(base_url="https://app.example/pre"), origin="https://app.example", mount="/pre")
    assert browser.log_in("/pre/auth/login?next=/pre/auth/logout").location == "/pre/"
    assert browser.log_in("/pre/auth/login?next=/pre/x").location == "/pre/x"


# The redirect URI


@pytest.mark.parametrize("path", ["/oidc/return", "/auth/callback/", "/auth/cb", "/Callback"])
def test_the_callback_may_be_anywhere(guard: Guard, provider: MisbehavingProvider, path: str) -> None:
    redirect_uri = f"https://app.example{path}"
    provider.register(redirect_uri)
    browser = Browser(guard(redirect_uri=redirect_uri), origin="https://app.example")
    assert browser.log_in("/auth/login?next=/dashboard").location == "/dashboard"
    assert provider.last("token").form["redirect_uri"] == redirect_uri
    assert browser.is_logged_in
    assert browser.get("/auth/callback?code=x&state=y").status == 404


def test_a_redirect_uri_is_sent_byte_for_byte(guard: Guard, provider: MisbehavingProvider) -> None:
    redirect_uri = "https://APP.example:443/auth/call%62ack"
    provider.register(redirect_uri)
    browser = Browser(guard(redirect_uri=redirect_uri), origin="https://app.example")
    assert query_of(browser.start_login())["redirect_uri"] == redirect_uri
    browser.log_in()
    assert provider.last("token").form["redirect_uri"] == redirect_uri
    assert browser.is_logged_in


def test_a_redirect_uri_with_a_query_keeps_it(guard: Guard, provider: MisbehavingProvider) -> None:
    redirect_uri = "https://app.example/auth/callback?tenant=1"
    provider.register(redirect_uri)
    browser = Browser(guard(redirect_uri=redirect_uri), origin="https://app.example")
    browser.log_in()
    assert browser.is_logged_in


def test_a_public_client_has_no_secret(guard: Guard, provider: MisbehavingProvider) -> None:
    client = provider.clients[provider.settings["client_id"]]
    provider.clients[client.client_id] = type(client)(client.client_id, None, client.redirect_uris)
    browser = Browser(guard(client_secret="", client_auth="none"))
    browser.log_in()
    assert browser.is_logged_in
    form = provider.last("token").form
    assert "client_secret" not in form
    assert CLIENT_SECRET not in str(provider.last("token").headers)
