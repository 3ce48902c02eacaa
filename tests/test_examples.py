"""This file is the examples and the demo, started as their heads say, and entered by a browser over real sockets."""

import ast
from collections.abc import Iterator
from html import escape
from pathlib import Path
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest

from ck_middleware import AuthConfig, WSGIAuthMiddleware
from ck_middleware.config import Settings
from ck_middleware.testing import Person, log_in
from support.documented import FRAMEWORKS, Framework, shown, written
from support.documents import AsWritten
from support.examples import APPS, EXAMPLES, NAME, SESSION_SECRET, SITES, Browser, served, started
from support.ports import Port
from support.provider import Hub, MisbehavingProvider

DOCUMENT = EXAMPLES.parent / "docs" / "frameworks.md"


@pytest.fixture(scope="module")
def provider(hub: Hub) -> Iterator[MisbehavingProvider]:
    with hub.provider() as provider:
        yield provider


@pytest.fixture(scope="module", params=SITES)
def example(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def origin(example: str, provider: MisbehavingProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with started(example, provider, tmp_path_factory.mktemp("home")) as origin:
        yield origin


@pytest.fixture
def browser(origin: str) -> Iterator[Browser]:
    with Browser(origin) as browser:
        yield browser


def test_the_home_page_is_open_and_shows_the_way_in(browser: Browser) -> None:
    home = browser.ask("/")
    assert home.status_code == 200
    assert 'href="/auth/login"' in home.text


def test_a_stranger_is_sent_from_the_dashboard_to_the_login(browser: Browser) -> None:
    answer = browser.ask("/dashboard")
    assert (answer.status_code, answer.headers["location"]) == (303, "/auth/login?next=%2Fdashboard")


def test_a_stranger_is_told_by_the_api_where_the_login_is(browser: Browser) -> None:
    answer = browser.ask("/api/data")
    assert answer.status_code == 401
    assert answer.json() == {"error": "Authentication required", "login_url": "/auth/login?next=%2Fapi%2Fdata"}


def test_who_wanted_the_dashboard_gets_there_by_logging_in_and_is_named(browser: Browser) -> None:
    dashboard = browser.log_in("/dashboard")
    assert dashboard.url == f"{browser.origin}/dashboard"
    assert escape(NAME) in dashboard.text
    assert "<b>" not in dashboard.text


def test_the_link_of_the_home_page_leads_to_the_dashboard(browser: Browser) -> None:
    assert browser.log_in("/auth/login").url == f"{browser.origin}/dashboard"


@pytest.fixture
def ada(browser: Browser, provider: MisbehavingProvider) -> Person:
    """Somebody who is logged in, where the login is not the matter: by another guard with the example's settings."""
    config = AuthConfig(**(provider.settings | Settings(session_secret=SESSION_SECRET)))
    return log_in(browser.client, app=WSGIAuthMiddleware(_nobody, config), sub="ada")


def _nobody(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    raise AssertionError("the example answers, in a process of its own")


def test_the_api_answers_who_has_logged_in(browser: Browser, ada: Person) -> None:
    answer = browser.ask("/api/data")
    assert answer.status_code == 200
    assert answer.json()["user"]["sub"] == browser.ask("/auth/me").json()["user"]["sub"] == ada.sub


def test_the_logout_button_ends_the_session(browser: Browser, ada: Person) -> None:
    assert browser.ask("/dashboard").status_code == 200
    home = browser.submit("/auth/logout")
    assert home.url == f"{browser.origin}/"
    assert browser.ask("/dashboard").status_code == 303
    assert browser.ask("/api/data").status_code == 401


@pytest.fixture(scope="module")
def demo_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def demo_origin(demo_home: Path) -> Iterator[str]:
    with Port() as port:
        words = ["ck-middleware", "demo", "--port", str(port.number)]
        with served(words, port=port.number, home=demo_home, place=EXAMPLES) as origin:
            yield origin


@pytest.fixture
def visitor(demo_origin: str) -> Iterator[Browser]:
    with Browser(demo_origin) as browser:
        yield browser


def test_the_demo_needs_no_setting_and_says_where_it_is(visitor: Browser, demo_home: Path) -> None:
    assert f" {visitor.origin} " in (demo_home / "log").read_text()
    assert visitor.ask("/").status_code == 200


def test_the_demo_turns_strangers_away(visitor: Browser) -> None:
    assert visitor.ask("/dashboard").headers["location"] == "/auth/login?next=%2Fdashboard"
    assert visitor.ask("/api/data").json()["login_url"] == "/auth/login?next=%2Fapi%2Fdata"


def test_the_demo_can_be_entered(visitor: Browser) -> None:
    dashboard = visitor.log_in("/dashboard")
    assert dashboard.url == f"{visitor.origin}/dashboard"
    assert escape(NAME) in dashboard.text
    assert visitor.ask("/api/data").json()["user"]["name"] == NAME


def test_the_demo_can_be_left(visitor: Browser) -> None:
    visitor.log_in("/dashboard")
    assert visitor.submit("/auth/logout").url == f"{visitor.origin}/"
    assert visitor.ask("/dashboard").status_code == 303


def test_the_document_shows_what_the_examples_do(as_written: AsWritten) -> None:
    as_written(DOCUMENT, written)


def test_every_example_is_in_the_document_and_is_entered_by_a_test() -> None:
    files = {str(file.relative_to(EXAMPLES)) for file in EXAMPLES.rglob("*.*") if "__pycache__" not in file.parts}
    told = {file for row in FRAMEWORKS for file in (row.file, row.page) if file}
    pages = {row.page for row in FRAMEWORKS if row.page}
    assert files == told == {*SITES, *APPS} | pages


@pytest.mark.parametrize("row", FRAMEWORKS, ids=lambda row: row.file)
def test_an_example_is_no_longer_than_a_reader_likes(row: Framework) -> None:
    code = ast.parse((EXAMPLES / row.file).read_text("utf-8")) if row.file.endswith(".py") else None
    lines = {node.lineno for node in ast.walk(code) if isinstance(node, ast.stmt)} if code else set()
    assert len(lines) <= 30
    assert len(shown(row.file).splitlines()) <= 20
