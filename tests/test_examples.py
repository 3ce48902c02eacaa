"""This file is the examples and the demo, started as their heads say, and entered by a browser over real sockets."""

import ast
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Self

import httpx
import pytest

from support.ports import Port
from support.provider import Hub, MisbehavingProvider

EXAMPLES = Path(__file__).parent.parent / "examples"
PATIENCE = 40  # seconds for a server to start on a busy machine
PERSON, NAME = "zoe", "Zoë <b>Ångström</b> & Söhne"  # a name that does harm where it is not escaped


class Browser:
    """As much of a browser as these pages need. It sends `Origin` with a form, as browsers do."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self._client = httpx.Client(base_url=origin, timeout=PATIENCE, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._client.close()

    def ask(self, path: str) -> httpx.Response:
        """One request, no redirect followed."""
        return self._client.get(path)

    def visit(self, path: str) -> httpx.Response:
        return self._client.get(path, follow_redirects=True)

    def submit(self, url: str | httpx.URL, **fields: str) -> httpx.Response:
        return self._client.post(url, data=fields, headers={"Origin": self.origin}, follow_redirects=True)

    def log_in(self, path: str) -> httpx.Response:
        """Go where a login is needed, choose a person at the provider, and come back."""
        page = self.visit(path)
        request = re.search(r'name="request" value="([^"]+)"', page.text)
        assert request, f"{page.url} answered {page.status_code} and no choice of people: {page.text}"
        chosen = self._client.post(page.url, data={"request": request[1], "person": PERSON}, follow_redirects=True)
        chosen.raise_for_status()
        return chosen


@contextmanager
def served(words: Sequence[str], *, port: int, home: Path, **environ: str) -> Iterator[str]:
    """Run a program of this Python in the examples' folder for as long as it takes, and give its origin.

    What it says is in `home / "log"`.
    """
    ours = ("CONSENTKEYS_", "SESSION_", "XDG_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    command = [sys.executable, "-m", *words]
    with (home / "log").open("w") as log:
        # A home of its own, since gunicorn opens a socket in the home of who starts it.
        process = subprocess.Popen(
            command, cwd=EXAMPLES, env=clean | {"HOME": str(home)} | environ, stdout=log, stderr=log
        )
    try:
        _await_answer(process, port)
        yield f"http://localhost:{port}"
    finally:
        process.terminate()
        process.wait(PATIENCE)
        print((home / "log").read_text())  # noqa: T201  # pytest shows it beside a failure


def _await_answer(process: "subprocess.Popen[bytes]", port: int) -> None:
    ending = time.monotonic() + PATIENCE
    while time.monotonic() < ending:
        assert process.poll() is None, "the server has ended"
        try:
            socket.create_connection(("localhost", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("the server does not listen")


def _run_line(example: str, port: int) -> list[str]:
    """The line of the head that starts the server, with another port than 5000."""
    head = ast.get_docstring(ast.parse((EXAMPLES / example).read_text("utf-8"))) or ""
    (line,) = re.findall(r"^ +((?:gunicorn|uvicorn) .*)$", head, re.MULTILINE)
    return [word.replace("5000", str(port)) for word in shlex.split(line)]


@pytest.fixture(scope="module")
def provider(hub: Hub) -> Iterator[MisbehavingProvider]:
    with hub.provider() as provider:
        yield provider


@pytest.fixture(scope="module", params=["flask_app.py", "django_app.py", "fastapi_app.py", "starlette_app.py"])
def origin(
    request: pytest.FixtureRequest, provider: MisbehavingProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    with Port() as port:
        provider.register(f"http://localhost:{port.number}/auth/callback")
        with served(
            _run_line(request.param, port.number),
            port=port.number,
            home=tmp_path_factory.mktemp("home"),
            CONSENTKEYS_ISSUER=provider.issuer,
            CONSENTKEYS_CLIENT_ID=str(provider.settings["client_id"]),
            CONSENTKEYS_CLIENT_SECRET=str(provider.settings["client_secret"]),
            SESSION_SECRET=os.urandom(32).hex(),
        ) as origin:
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
    assert "zoe@example.test" in dashboard.text


def test_the_link_of_the_home_page_leads_to_the_dashboard(browser: Browser) -> None:
    assert browser.log_in("/auth/login").url == f"{browser.origin}/dashboard"
    assert browser.visit("/").url == f"{browser.origin}/dashboard"


def test_the_api_answers_who_has_logged_in(browser: Browser) -> None:
    dashboard = browser.log_in("/dashboard")
    answer = browser.ask("/api/data")
    assert answer.status_code == 200
    assert answer.json()["user"]["name"] == NAME
    assert answer.json()["user"]["sub"] in dashboard.text


def test_the_logout_button_ends_the_session(browser: Browser) -> None:
    browser.log_in("/dashboard")
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
        words = ["ck_middleware", "demo", "--port", str(port.number)]
        with served(words, port=port.number, home=demo_home) as origin:
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
