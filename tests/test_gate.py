"""Who comes in: every path, method and claim of a stranger, on both faces."""

import secrets
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from ck_middleware import ASGIAuthMiddleware, AuthConfig, ConfigError, WSGIAuthMiddleware
from ck_middleware.gate import LONGEST_MOUNT, Gate
from support.browser import Browser
from support.clock import Clock
from support.faces import Face, Guard, told
from support.provider import MisbehavingProvider

METHODS = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "QUERY",
    "PROPFIND",
    "get",
    "X",
]


@pytest.fixture
def ada(browser: Browser) -> Browser:
    browser.log_in(name="Ada")
    return browser


# Methods


@pytest.mark.parametrize("method", METHODS)
def test_no_method_comes_in_without_a_login(face: Face, method: str) -> None:
    stranger = Browser(face)
    for path in ("/dashboard", "/api/items"):
        assert stranger.request(method, path).status in {303, 401}
    assert face.seen == []


@pytest.mark.parametrize("method", METHODS)
def test_every_method_comes_in_with_one(ada: Browser, method: str) -> None:
    assert ada.request(method, "/dashboard").status == 200
    assert ada.request(method, "/api/items").status == 200
    assert ada.face.seen == ["/dashboard", "/api/items"]


def test_a_head_request_is_answered_without_a_body(browser: Browser) -> None:
    page, api = browser.request("HEAD", "/dashboard"), browser.request("HEAD", "/api/items")
    assert (page.status, page.location, page.body) == (303, "/auth/login?next=%2Fdashboard", b"")
    assert (api.status, api.body) == (401, b"")
    assert int(api.header("content-length") or 0) > 0


@pytest.mark.parametrize("path", ["/dashboard", "/api/items"])
def test_a_preflight_is_refused_and_not_redirected(browser: Browser, path: str) -> None:
    headers = {
        "Sec-Fetch-Mode": "cors",
        "Origin": "https://elsewhere.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-requested-with",
    }
    answer = browser.request("OPTIONS", path, headers)
    assert answer.status == 401
    assert not any(name.startswith("access-control-") for name, _ in answer.headers)
    assert browser.request("OPTIONS", path, {"Sec-Fetch-Mode": "navigate"}).status == 401
    assert browser.face.seen == []


def test_a_preflight_to_an_open_path_is_the_apps(guard: Guard) -> None:
    browser = Browser(guard(public=["/open"]))
    assert browser.request("OPTIONS", "/open").status == 200


def test_a_form_that_was_posted_too_late_leads_back_to_its_page(browser: Browser) -> None:
    answer = browser.post("/orders", {"Referer": "http://localhost:8000/orders/new?copy=1"}, form={"a": "b"})
    assert (answer.status, answer.location) == (303, "/auth/login?next=%2Forders%2Fnew%3Fcopy%3D1")
    assert browser.log_in(answer.location).location == "/orders/new?copy=1"


def test_a_form_from_elsewhere_leads_to_the_usual_place(browser: Browser) -> None:
    answer = browser.post("/orders", {"Referer": "https://evil.example/phish"})
    assert answer.location == "/auth/login?next=%2F"


# Pages and programs


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Mode": "cors", "Accept": "*/*"},
        {"Accept": "application/json"},
        {"Accept": "text/event-stream"},
        {"X-Requested-With": "XMLHttpRequest"},
        {"HX-Request": "true", "Sec-Fetch-Mode": "cors"},
    ],
)
def test_who_says_that_it_is_no_navigation_gets_a_401(browser: Browser, headers: dict[str, str]) -> None:
    answer = browser.request("GET", "/dashboard", headers)
    assert answer.status == 401
    assert answer.json == {"error": "Authentication required", "login_url": "/auth/login?next=%2Fdashboard"}
    assert answer.header("www-authenticate")
    assert answer.header("location") is None


def test_htmx_is_told_where_to_go(browser: Browser) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": "http://localhost:8000/list?p=2", "Sec-Fetch-Mode": "cors"}
    for path in ("/list/rows", "/api/rows"):
        answer = browser.request("GET", path, headers)
        assert answer.status == 401
        assert answer.header("hx-redirect") == "/auth/login?next=%2Flist%3Fp%3D2"
    assert browser.fetch("/list/rows").header("hx-redirect") is None


def test_a_client_that_says_nothing_is_redirected_outside_the_api(face: Face) -> None:
    browser = Browser(face)
    silent = {"Accept": "", "Sec-Fetch-Mode": ""}
    assert browser.request("GET", "/dashboard", silent).status == 303
    assert browser.request("GET", "/api/items", silent).status == 401


@pytest.mark.parametrize(
    ("path", "status"),
    [("/api", 401), ("/api/", 401), ("/API/x", 401), ("/api/x", 401), ("/apix", 303), ("/x/api", 303)],
)
def test_an_api_prefix_ends_at_a_segment(browser: Browser, path: str, status: int) -> None:
    assert browser.get(path).status == status


# Protected and public


def test_prefixes_are_protected_and_the_rest_is_open(guard: Guard) -> None:
    browser = Browser(guard(protect=["/dashboard"], public=["/dashboard/help", "/dashboard/static/"]))
    for path in (
        "/dashboard",
        "/dashboard/x",
        "/Dashboard",
        "/dashboard/help/",
        "/dashboard/static",
        "/dashboard/HELP",
    ):
        assert browser.get(path).status == 303
    for path in ("/", "/dashboards", "/dashboard/help", "/dashboard/static/x.css"):
        assert not told(browser.get(path))["logged_in"]


def test_an_open_page_knows_who_is_logged_in(guard: Guard) -> None:
    browser = Browser(guard(protect=["/dashboard"]))
    assert not told(browser.get("/"))["logged_in"]
    browser.log_in(name="Ada")
    assert told(browser.get("/"))["name"] == "Ada"


@pytest.mark.parametrize(
    "target",
    [
        "//dashboard",
        "/x//dashboard",
        "/./dashboard",
        "/x/../dashboard",
        "/%2fdashboard",
        "/dash%00board",
        "/x%5cy",
        "/%0a",
    ],
)
def test_a_path_with_two_readings_is_refused_logged_in_or_not(ada: Browser, target: str) -> None:
    for browser in (ada, Browser(ada.face)):
        for headers in ({}, {"Accept": "application/json"}):
            answer = browser.get(target, headers)
            assert (answer.status, answer.header("set-cookie")) == (400, None)
    assert ada.face.seen == []
    assert ada.fetch(target).json["code"] == "path_refused"


@pytest.mark.parametrize("mount", ["/pre//x", "/../pre", "pre", "/a\\b", "//evil.example"])
def test_a_mount_with_two_readings_is_refused(face: Face, mount: str) -> None:
    answer = Browser(face, mount=mount).get(f"{mount}/dashboard")
    assert answer.status == 400
    assert face.seen == []


@pytest.mark.parametrize(("length", "status"), [(LONGEST_MOUNT, 303), (LONGEST_MOUNT + 1, 400)])
def test_a_mount_is_of_some_length_at_most(face: Face, length: int, status: int) -> None:
    mount = "/" + "x" * (length - 1)
    assert Browser(face, mount=mount).get(f"{mount}/dashboard").status == status
    assert face.seen == []


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-User": "ada"},
        {"Remote-User": "ada"},
        {"Authorization": "Bearer x"},
        {"X-Forwarded-For": "127.0.0.1"},
        {"X-Original-URL": "/open"},
        {"X-Rewrite-URL": "/open"},
        {"X-HTTP-Method-Override": "OPTIONS"},
        {"User-Agent": "kube-probe/1.0"},
        {"Forwarded": "for=127.0.0.1;proto=https"},
        {"X-Forwarded-Prefix": "/open"},
    ],
)
def test_no_header_opens_the_guard(guard: Guard, headers: dict[str, str]) -> None:
    face = guard(public=["/open"])
    assert Browser(face).get("/dashboard", headers).status == 303
    assert Browser(face).get("/dashboard?path=/open&token=x", headers).status == 303
    assert face.seen == []


# The app's own response


def test_the_response_of_the_app_is_its_own(guard: Guard) -> None:
    headers = [("Cache-Control", "public, max-age=60"), ("Vary", "Accept"), ("X-Own", "1"), ("Set-Cookie", "own=1")]
    browser = Browser(guard(answer_headers=headers))
    browser.log_in()
    answer = browser.get("/")
    given = [("content-type", "application/json"), *((name.lower(), value) for name, value in headers)]
    assert answer.headers == given


def test_a_response_that_renews_a_session_is_for_one_person(guard: Guard, clock: Clock) -> None:
    headers = [("Cache-Control", "public, max-age=60"), ("Vary", "Accept"), ("Set-Cookie", "own=1")]
    browser = Browser(guard(answer_headers=headers, idle_timeout=100))
    browser.log_in()
    clock.move(10)
    answer = browser.get("/")
    assert answer.header("cache-control") == "private, max-age=60"
    assert answer.header("vary") == "Accept, Cookie"
    own, ours = answer.every("set-cookie")
    assert own == "own=1"
    assert ours.startswith("ck_session=")
    assert told(browser.get("/"))["logged_in"]


def test_an_open_response_that_clears_a_cookie_is_for_one_person_too(guard: Guard) -> None:
    browser = Browser(guard(public=["/open"]))
    answer = browser.get("/open", {"Cookie": "ck_session=bad"})
    assert not told(answer)["logged_in"]
    assert answer.header("cache-control") == "private"
    assert answer.header("vary") == "Cookie"
    assert (answer.header("set-cookie") or "").startswith("ck_session=; Max-Age=0;")


def test_all_that_we_answer_ourselves_is_kept_nowhere_and_framed_nowhere(
    guard: Guard, provider: MisbehavingProvider
) -> None:
    browser = Browser(guard(public=["/open"]))
    answers = [
        browser.get("/dashboard"),
        browser.get("/api/x"),
        browser.request("OPTIONS", "/api/x"),
        browser.get("//x"),
        browser.get("/auth/login"),
        browser.get("/auth/nothing"),
        browser.request("PUT", "/auth/login"),
        browser.get("/auth/callback?state=x&code=y"),
        browser.fetch("/auth/callback?state=x&code=y"),
        browser.log_in(decision="deny"),
        browser.log_in(),
        browser.me(),
        browser.get("/auth/logout"),
        browser.post("/auth/logout", {"Sec-Fetch-Site": "cross-site"}),
        browser.fetch("/auth/logout", "POST"),
        browser.me(),
        browser.post("/auth/logout"),
        browser.get("/auth/logout"),
        browser.get("/auth/login", {"Host": "app.example"}),
    ]
    for answer in answers:
        assert answer.header("cache-control") == "no-store"
        assert answer.header("x-content-type-options") == "nosniff"
        assert answer.header("referrer-policy") == "no-referrer"
        assert answer.header("x-frame-options") == "DENY"
        assert "frame-ancestors 'none'" in (answer.header("content-security-policy") or "")
        assert int(answer.header("content-length") or -1) == len(answer.body)


# When the guard itself has a fault


@pytest.mark.parametrize("headers", [{}, {"Accept": "application/json"}])
@pytest.mark.parametrize(
    ("part", "paths"), [("_place", ("/dashboard", "/open", "/auth/me")), ("admit", ("/dashboard", "/auth/me"))]
)
def test_a_fault_in_the_guard_lets_nobody_in(
    guard: Guard, monkeypatch: pytest.MonkeyPatch, part: str, paths: tuple[str, ...], headers: dict[str, str]
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("the text of the exception")

    face = guard(public=["/open"])
    monkeypatch.setattr(Gate, part, broken)
    for path in paths:
        answer = Browser(face).get(path, headers)
        assert answer.status == 500
        assert "the text of the exception" not in answer.text
        assert "ZeroDivision" not in answer.text
        assert answer.header("cache-control") == "no-store"
    assert face.seen == []


def test_a_fault_of_the_app_is_not_ours(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    face = guard(public=["/open"])

    def fails(carrier: object) -> bytes:
        raise ZeroDivisionError("of the app")

    monkeypatch.setattr("support.faces._told", fails)
    with pytest.raises(ZeroDivisionError, match="of the app"):
        Browser(face).get("/open")


# Settings


@pytest.mark.parametrize("middleware", [ASGIAuthMiddleware, WSGIAuthMiddleware])
def test_settings_come_whole_or_as_keywords(
    middleware: type[ASGIAuthMiddleware | WSGIAuthMiddleware], monkeypatch: pytest.MonkeyPatch
) -> None:
    def app(*_: object) -> None:
        raise NotImplementedError

    secret = secrets.token_urlsafe(32)
    config = AuthConfig(client_id="ck_a", client_secret="a-secret", session_secret=secret)
    assert callable(middleware(app, config))  # type: ignore[arg-type]  # an app of neither kind, never called
    assert callable(middleware(app, client_id="ck_a", client_secret="b-secret", session_secret=secret))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="both") as caught:
        middleware(app, config, client_id="ck_a", session_secret=secret)  # type: ignore[arg-type]
    assert secret not in str(caught.value)
    monkeypatch.setenv("CONSENTKEYS_CLIENT_ID", "ck_a")
    monkeypatch.setenv("CONSENTKEYS_CLIENT_SECRET", "a-secret")
    monkeypatch.setenv("SESSION_SECRET", secret)
    assert callable(middleware(app, protect=["/x"]))  # type: ignore[arg-type]
    with pytest.raises(ConfigError):
        middleware(app, session_secret="short")  # type: ignore[arg-type]


def test_a_wsgi_app_behind_the_asgi_face_is_refused_by_name() -> None:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        raise NotImplementedError

    with pytest.raises(ConfigError) as caught:
        ASGIAuthMiddleware(app)  # type: ignore[arg-type]  # the mistake that is meant
    assert "WSGIAuthMiddleware" in caught.value.problems[0]


def test_an_asgi_app_behind_the_wsgi_face_is_refused_by_name() -> None:
    async def function(scope: Scope, receive: Receive, send: Send) -> None:
        raise NotImplementedError

    for app in (function, Starlette()):
        with pytest.raises(ConfigError) as caught:
            WSGIAuthMiddleware(app)  # type: ignore[arg-type]  # the mistake that is meant
        assert "ASGIAuthMiddleware" in caught.value.problems[0]


def test_settings_in_the_place_of_the_configuration_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        ASGIAuthMiddleware(Starlette(), ["/api"])  # type: ignore[arg-type]  # the mistake that is meant
    assert "AuthConfig" in caught.value.problems[0]


def test_a_variable_that_looks_misspelt_is_told_at_start(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in {
        "CLIENT_ID": "ck_x",
        "CLIENT_SECRET": "s3cret",
        "SESION_LIFETIME": "1h",
        "WALLPAPER": "x",
    }.items():
        monkeypatch.setenv(f"CONSENTKEYS_{name}", value)
    monkeypatch.setenv("SESSION_SECRET", "0123456789abcdef0123456789abcdef")
    WSGIAuthMiddleware(lambda environ, start_response: [])
    assert "CONSENTKEYS_SESSION_LIFETIME" in caplog.text
    assert "WALLPAPER" not in caplog.text
