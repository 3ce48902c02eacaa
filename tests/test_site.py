"""Where the app stands, and which requests a person looks at."""

import pytest

from ck_middleware import AuthConfig
from ck_middleware.config import Settings
from ck_middleware.errors import HostUnknown
from ck_middleware.site import Site, is_navigation
from support.faces import PlainRequest

HERE = {"Host": "localhost:8000"}
APP: Settings = {"base_url": "https://app.example"}
MOUNTED: Settings = {"base_url": "https://app.example/pre"}
NOWHERE: Settings = {}


def site(settings: Settings) -> Site:
    needed: Settings = {"client_id": "ck_a", "client_secret": "x" * 8, "session_secret": "s" * 32}
    return Site(AuthConfig(**(needed | settings)))


@pytest.mark.parametrize(
    ("headers", "navigation"),
    [
        # A client that says nothing counts as a person's.
        ({}, True),
        ({"Accept": "*/*"}, True),
        ({"User-Agent": "curl/8", "Accept": "*/*"}, True),
        # A browser that goes somewhere
        ({"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Sec-Fetch-Mode": "navigate"}, True),
        ({"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, True),
        ({"Accept": "text/html, application/json"}, True),
        ({"Accept": "application/json, TEXT/HTML"}, True),
        # A script, and what else says that it is no navigation
        ({"Sec-Fetch-Mode": "cors"}, False),
        ({"Sec-Fetch-Mode": "same-origin", "Accept": "text/html"}, False),
        ({"Sec-Fetch-Mode": "no-cors"}, False),
        ({"Sec-Fetch-Mode": "websocket"}, False),
        ({"X-Requested-With": "XMLHttpRequest"}, False),
        ({"X-Requested-With": "xmlhttprequest", "Accept": "text/html"}, False),
        ({"X-Requested-With": "com.example.webview", "Accept": "text/html"}, True),  # Android's web views
        ({"HX-Request": "true", "Accept": "text/html"}, False),
        ({"Accept": "application/json"}, False),
        ({"Accept": "APPLICATION/JSON"}, False),
        ({"Accept": "application/problem+json, */*"}, False),
        ({"Accept": "text/event-stream"}, False),
        ({"Accept": "application/json", "Sec-Fetch-Mode": "navigate"}, False),
    ],
)
def test_what_a_person_looks_at(headers: dict[str, str], navigation: bool) -> None:  # noqa: FBT001
    assert is_navigation(PlainRequest(headers=headers)) == navigation


@pytest.mark.parametrize(
    ("settings", "path", "root_path", "local"),
    [
        (NOWHERE, "/x", "", "/x"),
        (NOWHERE, "/pre/x", "/pre", "/x"),  # uvicorn
        (NOWHERE, "/x", "/pre", "/x"),  # hypercorn, granian, daphne
        (NOWHERE, "/prex", "/pre", "/prex"),
        (NOWHERE, "/pre", "/pre", "/"),
        (MOUNTED, "/pre/x", "", "/x"),
        (MOUNTED, "/x", "", "/x"),
        (MOUNTED, "/pre/pre/x", "/pre", "/pre/x"),
        (MOUNTED, "/other/pre/x", "/other", "/pre/x"),
    ],
)
def test_the_path_inside_the_app(settings: Settings, path: str, root_path: str, local: str) -> None:
    assert site(settings).inside(path, root_path, root_path) == local


def test_a_mount_that_the_server_has_cut_off_is_not_cut_off_again() -> None:
    assert site(NOWHERE).inside("/pre/x", "/pre", "") == "/pre/x"
    assert site(MOUNTED).inside("/pre/x", "/other", "") == "/pre/x"
    assert site(MOUNTED).inside("", "/pre", "") == "/"


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:65535"])
def test_on_this_machine_the_host_says_the_address(host: str) -> None:
    here = PlainRequest(headers={"Host": host}, mount="/pre")
    assert site(NOWHERE).address(here) == f"http://{host}/pre"
    assert site(NOWHERE).redirect_uri(here) == f"http://{host}/pre/auth/callback"


@pytest.mark.parametrize(
    "host",
    [
        "",
        "app.example",
        "localhost.evil.example",
        "evil.localhost",
        "localhost:",
        "localhost:123456",
        "localhost:8000\n",
        "localhost:8000/x",
        "user@localhost",
        "127.0.0.1.evil.example",
        "[::1].evil.example",
        "[::2]",
        "127.0.0.2",
        "localhost:٣",
    ],
)
def test_elsewhere_it_does_not(host: str) -> None:
    with pytest.raises(HostUnknown):
        site(NOWHERE).address(PlainRequest(headers={"Host": host}))
    assert site(APP).address(PlainRequest(headers={"Host": host})) == "https://app.example"


@pytest.mark.parametrize(
    ("settings", "origin", "host", "own"),
    [
        (APP, "https://app.example", "anything", True),
        (APP, "https://app.example:443", "app.example", False),
        (APP, "http://app.example", "app.example", False),
        (APP, "https://evil.example", "evil.example", False),
        (APP, "https://app.example.evil.example", "app.example", False),
        (APP, "null", "app.example", False),
        (MOUNTED, "https://app.example", "app.example", True),
        (NOWHERE, "http://localhost:8000", "localhost:8000", True),
        (NOWHERE, "https://localhost:8000", "localhost:8000", True),
        (NOWHERE, "http://localhost:9000", "localhost:8000", False),
        (NOWHERE, "http://127.0.0.1:8000", "localhost:8000", False),
        (NOWHERE, "https://evil.example", "evil.example", False),  # DNS rebinding
        (NOWHERE, "http://localhost.evil.example", "localhost.evil.example", False),
        (NOWHERE, "null", "localhost:8000", False),
    ],
)
def test_an_origin_is_the_apps_own_or_not(settings: Settings, origin: str, host: str, own: bool) -> None:  # noqa: FBT001
    assert site(settings).is_own(origin, PlainRequest(headers={"Host": host})) == own


NAVIGATE = HERE | {"Sec-Fetch-Mode": "navigate"}
SCRIPT = HERE | {"Sec-Fetch-Mode": "cors"}
FROM_PAGE = {"Referer": "http://localhost:8000/page?x=1"}
BOOSTED = SCRIPT | {"HX-Request": "true", "HX-Boosted": "true", "HX-Current-URL": "http://localhost:8000/list"}


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "return_to"),
    [
        # A page that was asked for is the page to come back to.
        ("GET", "/dash", "", NAVIGATE, "/dash"),
        ("HEAD", "/dash", "", NAVIGATE, "/dash"),
        ("GET", "/dash", "a=1&b=%20", NAVIGATE | FROM_PAGE, "/dash?a=1&b=%20"),
        ("GET", "/é/a b?c", "", NAVIGATE, "/%C3%A9/a%20b%3Fc"),
        ("GET", "/a%2fb", "", NAVIGATE, "/a%252fb"),
        ("GET", "/dash", "100%", NAVIGATE, "/dash?100%25"),
        ("GET", "/dash", "q=<x>\"' y", NAVIGATE, "/dash?q=%3Cx%3E%22'%20y"),
        ("GET", "/" + "a" * 2048, "", NAVIGATE, "/"),
        # A form that was posted came from a page.
        ("POST", "/dash", "", NAVIGATE | FROM_PAGE, "/page?x=1"),
        ("PUT", "/dash", "", SCRIPT | FROM_PAGE, "/page?x=1"),
        ("POST", "/dash", "", NAVIGATE, "/"),
        ("POST", "/dash", "", NAVIGATE | {"Referer": "https://evil.example/page"}, "/"),
        ("POST", "/dash", "", NAVIGATE | {"Referer": "http://localhost:9000/page"}, "/"),
        ("POST", "/dash", "", NAVIGATE | {"Referer": "http://localhost:8000@evil.example/page"}, "/"),
        ("POST", "/dash", "", NAVIGATE | {"Referer": "http://[bad/page"}, "/"),
        ("POST", "/dash", "", NAVIGATE | {"Referer": "/page"}, "/"),
        ("POST", "/dash", "", NAVIGATE | {"Referer": "http://localhost:8000//evil.example"}, "/"),
        ("POST", "/dash", "", NAVIGATE | {"Referer": "http://localhost:8000/\\evil.example"}, "/"),
        ("POST", "/dash", "", NAVIGATE | {"Referer": "HTTP://LOCALHOST:8000/Page"}, "/Page"),
        ("POST", "/dash", "", NAVIGATE | {"Referer": "http://localhost:8000"}, "/"),
        ("POST", "/dash", "", NAVIGATE | {"Referer": "http://localhost:8000?x=1"}, "/?x=1"),
        # So did a script, and a fragment of a page.
        ("GET", "/data", "", SCRIPT | FROM_PAGE, "/page?x=1"),
        ("GET", "/data", "", SCRIPT, "/data"),
        (
            "GET",
            "/part",
            "",
            SCRIPT | {"HX-Request": "true", "HX-Current-URL": "http://localhost:8000/list?p=2"},
            "/list?p=2",
        ),
        ("GET", "/part", "", SCRIPT | FROM_PAGE | {"HX-Current-URL": "http://localhost:8000/list"}, "/list"),
        ("GET", "/part", "", SCRIPT | {"HX-Request": "true", "HX-Current-URL": "https://evil.example/list"}, "/part"),
        ("GET", "/orders", "page=2", BOOSTED, "/orders?page=2"),
        ("POST", "/orders", "", BOOSTED, "/list"),
    ],
)
def test_where_a_login_leads_back_to(
    method: str, path: str, query: str, headers: dict[str, str], return_to: str
) -> None:
    request = PlainRequest(path, method=method, query=query, headers=headers)
    assert site(NOWHERE).return_to(request, path, person=is_navigation(request)) == return_to


def test_a_login_leads_back_below_the_mount() -> None:
    mounted = site(MOUNTED)
    page = PlainRequest("/dash", headers={"Sec-Fetch-Mode": "navigate"})
    assert mounted.return_to(page, "/dash", person=is_navigation(page)) == "/pre/dash"
    form = PlainRequest("/dash", method="POST", headers={"Referer": "https://app.example/pre/page"})
    assert mounted.return_to(form, "/dash", person=is_navigation(form)) == "/pre/page"
    assert mounted.return_to(PlainRequest("/dash", method="POST"), "/dash", person=True) == "/pre/"
    assert mounted.login_url(page, "/pre/dash?a=1") == "/pre/auth/login?next=%2Fpre%2Fdash%3Fa%3D1"


def test_a_mount_is_quoted_in_addresses() -> None:
    page = PlainRequest("/é/dash", mount="/é", headers=NAVIGATE)
    assert site(NOWHERE).return_to(page, "/dash", person=is_navigation(page)) == "/%C3%A9/dash"
    assert site(NOWHERE).login_url(page, "/x") == "/%C3%A9/auth/login?next=%2Fx"
    assert site(NOWHERE).address(page) == "http://localhost:8000/%C3%A9"
