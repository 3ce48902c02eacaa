"""Settings that are addresses and paths, and where the app is by them."""

import pytest

from ck_middleware.addresses import is_loopback
from support.configured import HOME, URLS, configured, problem, problems

# Addresses


@pytest.mark.parametrize("name", ["issuer", "base_url", *URLS])
@pytest.mark.parametrize(
    "address",
    [
        *("https://a.example", "HTTPS://A.example:8443/x", "https://[2001:db8::1]", "https://under_score.example"),
        *("http://localhost:8000", "http://LOCALHOST", "http://127.0.0.1:1", "http://127.9.8.7", "http://[::1]:65535"),
        *("https://10.0.0.1/tenant/x", "https://a.example:443"),
    ],
)
def test_https_and_http_on_this_machine_are_addresses(name: str, address: str) -> None:
    assert getattr(configured(**{name: address}), name) == address


@pytest.mark.parametrize("name", ["issuer", "base_url", "redirect_uri", *URLS])
@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        *[(address, "is plain http") for address in ("http://a.example/x", "http://10.0.0.1/x", "http://[::2]/x")],
        *[(address, "is plain http") for address in ("http://localhost.evil.example/x", "http://127.1/x")],
        *[
            (address, "is not an absolute https address")
            for address in ("a.example", "//a.example", "/x", "", "https:")
        ],
        *[(address, "is not an absolute https address") for address in ("https://", "https:///x", "ftp://a.example/")],
        *[(address, "is not an absolute https address") for address in ("https:a.example", "javascript:alert(1)")],
        *[
            (address, "is not an absolute https address")
            for address in ("https://a..b/", "https://<host>/", "https://*.a/")
        ],
        *[(address, "is not an absolute https address") for address in ("http://[::1]evil.example/x", "https://[x]/")],
        *[
            (address, "is not an absolute https address")
            for address in ("https://a.example:/x", "https://a.example:x/")
        ],
        *[(address, "is not an absolute https address") for address in ("https://a.example:123456/", "https://a:1:2/")],
        *[(address, "has no valid port") for address in ("https://a.example:0/x", "https://a.example:65536/x")],
        *[(address, "has no valid host") for address in ("https://[:::]/x", "https://[1.2.3.4]/x")],
        *[(address, "has a user name (@)") for address in ("https://user@a.example/x", "https://u:p@a.example/x")],
        *[(address, "has a user name (@)") for address in ("https://@a.example/x", "http://localhost@evil.example/x")],
        *[(address, "has a fragment (#)") for address in ("https://a.example/#x", "https://a.example/x#")],
        *[
            (address, "white space, a control")
            for address in ("https://a.example/ x", " https://a.example/x", "https://a\t/")
        ],
        *[
            (address, "white space, a control")
            for address in ("https://a.example/x\n", "https://a.example\\x", "https://\u017f/")
        ],
        *[
            (address, "white space, a control")
            for address in ("https://b\u00fccher.example/x", "https://a.example/\x7f")
        ],
    ],
)
def test_anything_else_is_refused(name: str, address: str, sentence: str) -> None:
    assert sentence in problem(**{name: address})


@pytest.mark.parametrize("name", ["issuer", "base_url"])
@pytest.mark.parametrize("address", ["https://a.example/?x=1", "https://a.example?"])
def test_issuer_and_base_url_have_no_query(name: str, address: str) -> None:
    assert "has a query (?)" in problem(**{name: address})


@pytest.mark.parametrize("name", URLS)
def test_an_endpoint_may_have_a_query(name: str) -> None:
    address = "https://a.example/x?tenant=1@2&y=/?"
    assert getattr(configured(**{name: address}), name) == address


@pytest.mark.parametrize(
    ("given", "issuer"),
    [
        ("https://a.example", "https://a.example"),
        ("https://A.example/", "https://A.example/"),
        ("https://a.example/.well-known/openid-configuration", "https://a.example"),
        ("https://a.example/t/.well-known/openid-configuration", "https://a.example/t"),
        ("https://a.example/openid-configuration", "https://a.example/openid-configuration"),
    ],
)
def test_an_issuer_is_kept_as_it_is_but_for_the_discovery_path(given: str, issuer: str) -> None:
    assert configured(issuer=given).issuer == issuer


@pytest.mark.parametrize("path", ["//", "/a//b", "/./", "/a/..", "/a%20b", "/%61", "/a;b", "/a*"])
def test_a_base_url_whose_path_has_two_readings_is_refused(path: str) -> None:
    assert "has a path that can be read in two ways" in problem(base_url=HOME + path)


@pytest.mark.parametrize("host", ["localhost", "LocalHost", "127.0.0.1", "127.255.1.2", "::1", "[::1]"])
def test_this_machine_is_known_by_its_names(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "localhost.",
        "localhost.example",
        "a.localhost",
        "127.1",
        "127.0.0.01",
        "128.0.0.1",
        "0.0.0.0",  # noqa: S104  # nothing binds to it
        "::2",
        "[127.0.0.1]",
        "127.0.0.1:80",
        "1",
    ],
)
def test_nothing_else_is_this_machine(host: str) -> None:
    assert not is_loopback(host)


# Where the app is


@pytest.mark.parametrize(
    ("settings", "origin", "mount", "callback_path"),
    [
        ({}, None, "", "/auth/callback"),
        ({"auth_prefix": "/my/login"}, None, "", "/my/login/callback"),
        ({"base_url": HOME}, HOME, "", "/auth/callback"),
        ({"base_url": "HTTPS://App.Example.COM:443/Sub/"}, HOME, "/Sub", "/auth/callback"),
        ({"base_url": f"{HOME}:8443/a/~b@c"}, f"{HOME}:8443", "/a/~b@c", "/auth/callback"),
        ({"base_url": "http://localhost:080"}, "http://localhost", "", "/auth/callback"),
        ({"base_url": "http://localhost:443"}, "http://localhost:443", "", "/auth/callback"),
        ({"base_url": "http://[0:0:0::1]:8000"}, "http://[::1]:8000", "", "/auth/callback"),
        ({"redirect_uri": f"{HOME}/auth/callback"}, HOME, "", "/auth/callback"),
        ({"redirect_uri": f"{HOME}:443/sub/auth/callback?x=/"}, HOME, "/sub", "/auth/callback"),
        ({"redirect_uri": f"{HOME}/sub/auth/callback/"}, HOME, "", "/sub/auth/callback/"),
        ({"redirect_uri": f"{HOME}/back"}, HOME, "", "/back"),
        ({"redirect_uri": f"{HOME}/caf%C3%A9"}, HOME, "", "/café"),
        ({"base_url": HOME, "redirect_uri": "https://APP.example.com:443/in"}, HOME, "", "/in"),
        ({"base_url": f"{HOME}/sub", "redirect_uri": f"{HOME}/sub/in"}, HOME, "/sub", "/in"),
        ({"base_url": f"{HOME}/sub", "redirect_uri": f"{HOME}/sub/x/auth/callback"}, HOME, "/sub", "/x/auth/callback"),
    ],
)
def test_the_place_of_the_app_follows_from_its_addresses(
    settings: dict[str, object], origin: str | None, mount: str, callback_path: str
) -> None:
    config = configured(**settings)
    assert (config.origin, config.mount, config.callback_path) == (origin, mount, callback_path)
    assert config.address == (None if origin is None else origin + mount)
    assert config.redirect_uri == settings.get("redirect_uri")


@pytest.mark.parametrize(
    ("base_url", "secure"), [(HOME, True), ("HTTPS://a.example", True), ("http://localhost:8000", False), (None, False)]
)
def test_only_an_https_origin_is_secure(base_url: str | None, secure: bool) -> None:  # noqa: FBT001  # a row of the table
    assert configured(base_url=base_url).secure is secure


@pytest.mark.parametrize(
    "redirect_uri", ["https://other.example/in", f"{HOME}:8443/in", "http://localhost/in", "https://example.com/in"]
)
def test_a_redirect_uri_on_another_origin_is_refused(redirect_uri: str) -> None:
    assert "is not on the origin of base_url" in problem(base_url=HOME, redirect_uri=redirect_uri)


@pytest.mark.parametrize("path", ["", "/", "/sub", "/sub/", "/subway/in", "/SUB/in", "/other/in"])
def test_a_redirect_uri_outside_the_mount_cannot_be_served(path: str) -> None:
    text = problem(base_url=f"{HOME}/sub", redirect_uri=HOME + path)
    assert "give it one, such as /sub/auth/callback" in text


@pytest.mark.parametrize("path", ["", "/", "?x=1"])
def test_the_home_page_is_no_callback(path: str) -> None:
    assert "has no path below that of base_url" in problem(redirect_uri=HOME + path)


@pytest.mark.parametrize(
    "path",
    [
        "//in",
        "/a/../in",
        "/in/.",
        "/%2e%2e/in",
        "/in%0a",
        "/in%ff",
        "/a%5Cb",
        "//auth/callback",
        "/a%20b/auth/callback",
    ],
)
def test_a_redirect_uri_with_two_readings_is_refused(path: str) -> None:
    assert "can be read in two ways" in problem(redirect_uri=HOME + path)


@pytest.mark.parametrize("route", ["login", "logout", "me", "backchannel-logout", "%6de"])
def test_the_callback_is_not_where_another_route_is(route: str) -> None:
    assert "another of our routes" in problem(redirect_uri=f"{HOME}/auth/{route}")
    assert "another of our routes" in problem(base_url=f"{HOME}/x", redirect_uri=f"{HOME}/x/auth/{route}")


def test_the_callback_may_stand_beside_them() -> None:
    assert configured(redirect_uri=f"{HOME}/auth/login2").callback_path == "/auth/login2"
    assert configured(redirect_uri=f"{HOME}/login").callback_path == "/login"


def test_a_refused_address_is_told_once() -> None:
    assert len(problems(base_url="nonsense", redirect_uri=f"{HOME}/auth/me")) == 1


# Paths


@pytest.mark.parametrize(
    ("given", "prefixes"),
    [
        ("/api", ("/api",)),
        ("/a, /b/,", ("/a", "/b")),
        (["/a b", "/c,d/"], ("/a b", "/c,d")),
        (("/",), ("/",)),
        ("/Ünï/x.y/..z", ("/Ünï/x.y/..z",)),
    ],
)
@pytest.mark.parametrize("name", ["protect", "api"])
def test_prefixes_lose_their_trailing_slash(name: str, given: object, prefixes: tuple[str, ...]) -> None:
    assert getattr(configured(**{name: given}), name) == prefixes


def test_public_entries_keep_theirs() -> None:
    entries = ("/static/", "/health", "/")
    assert configured(public=list(entries)).public == entries
    assert configured(public=", ".join(entries)).public == entries


@pytest.mark.parametrize("name", ["protect", "api", "public", "auth_prefix"])
@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        *[(path, 'does not begin with "/"') for path in ("api", "./api", "https://a.example/api")],
        *[
            (path, "looks like a pattern")
            for path in ("/api/*", "/a?", "/a#b", "/%61pi", "/users/<id>", "/users/{id}", "*", "^/api", '["/api"]')
        ],
        *[(path, "can be read in two ways") for path in ("//", "//api", "/a//b", "/a/.", "/../a", "/a\\b", "/a\x00b")],
        *[(path, "can be read in two ways") for path in ("/a\ufffdb", "/a\udcffb", "/a\tb")],
    ],
)
def test_a_path_that_would_cover_nothing_or_too_much_is_refused(name: str, path: str, sentence: str) -> None:
    text = problem(**{name: path})
    assert sentence in text
    assert repr(path) in text


@pytest.mark.parametrize("nothing", [[], (), "", " , "])
def test_a_guard_that_protects_nothing_is_refused(nothing: object) -> None:
    assert "nothing would be protected" in problem(protect=nothing)


@pytest.mark.parametrize("name", ["public", "api"])
@pytest.mark.parametrize("nothing", [[], (), ""])
def test_nothing_public_and_no_api_are_fine(name: str, nothing: object) -> None:
    assert getattr(configured(**{name: nothing}), name) == ()


@pytest.mark.parametrize(("given", "prefix"), [("/auth/", "/auth"), ("/my/log-in", "/my/log-in")])
def test_our_routes_may_have_another_prefix(given: str, prefix: str) -> None:
    assert configured(auth_prefix=given).auth_prefix == prefix


@pytest.mark.parametrize("prefix", ["/", "/a b", "/é", "/a;b", "/a,b"])
def test_a_prefix_that_cannot_hold_our_routes_is_refused(prefix: str) -> None:
    assert "cannot hold our routes" in problem(auth_prefix=prefix)


@pytest.mark.parametrize("name", ["after_login", "after_logout"])
@pytest.mark.parametrize("path", ["/", "/welcome?tab=1#top", "/a%20b"])
def test_people_are_sent_to_paths_on_this_origin(name: str, path: str) -> None:
    assert getattr(configured(**{name: path}), name) == path


@pytest.mark.parametrize("name", ["after_login", "after_logout"])
@pytest.mark.parametrize(
    "path", ["", "welcome", "//evil.example", "/\\evil.example", "https://app.example.com/", "/a\n"]
)
def test_and_nowhere_else(name: str, path: str) -> None:
    assert "is not a path on this origin" in problem(**{name: path})
