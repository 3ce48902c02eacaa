"""Each step of `docs/tutorial.md`, as somebody takes it who reads it: with its files, its commands and a browser."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from html import escape
from pathlib import Path
from typing import Protocol

import pytest

from support.documents import ROOT
from support.examples import Browser, served
from support.fences import samples
from support.ports import Port

TUTORIAL = ROOT / "docs" / "tutorial.md"
(BEFORE, HEAD, AFTER), TESTS = samples(TUTORIAL, "python")[:3], samples(TUTORIAL, "python")[3]
COMMANDS = [line for sample in samples(TUTORIAL, "sh") for line in sample.code.splitlines()]
PEOPLE = {"otter": "Quiet Otter", "heron": "Patient Heron"}
PATIENCE = 120  # seconds for a test run in a process of its own, on a busy machine


class Run(Protocol):
    """Start an `app.py`, as the text says, and open a browser before it."""

    def __call__(self, app: str, environ: Mapping[str, str]) -> AbstractContextManager[Browser]: ...


@pytest.fixture(scope="module")
def port() -> Iterator[Port]:
    """In place of the app's port of the text, which may be taken here."""
    with Port() as port:
        yield port


@pytest.fixture(scope="module")
def exported(port: Port, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What the lines say that the provider prints to be copied, while it runs."""
    home = tmp_path_factory.mktemp("provider")
    with Port() as own:
        words = [*_words("ck-middleware provider"), "--port", str(own.number)]
        words += ["--redirect-uri", f"http://localhost:{port.number}/auth/callback"]
        with served(words, port=own.number, home=home, place=home):
            yield dict(re.findall(r"^export (\w+)=(.+)$", (home / "log").read_text("utf-8"), re.MULTILINE))


@pytest.fixture
def run(port: Port, tmp_path: Path) -> Run:
    @contextmanager
    def started(app: str, environ: Mapping[str, str]) -> Iterator[Browser]:
        (tmp_path / "app.py").write_text(app, "utf-8")
        words = [str(port.number) if word == "5000" else word for word in _words("flask run --port 5000")]
        with (
            served(words, port=port.number, home=tmp_path, place=tmp_path, **environ) as origin,
            Browser(origin) as one,
        ):
            yield one

    return started


def _words(command: str) -> list[str]:
    assert command in COMMANDS
    return shlex.split(command)


def _wrapped() -> str:
    """The first app with the head of the second."""
    return HEAD.code + BEFORE.code[BEFORE.code.index("\n@app.get") :]


def test_the_demo_lets_anybody_in(tmp_path: Path) -> None:
    with Port() as port:
        words = [*_words("ck-middleware demo"), "--port", str(port.number)]
        with served(words, port=port.number, home=tmp_path, place=tmp_path) as origin, Browser(origin) as browser:
            assert "dashboard" in browser.ask("/").text
            assert PEOPLE["otter"] in browser.log_in("/dashboard", "otter").text


def test_the_first_app_shows_everybody_the_same_notes(run: Run) -> None:
    with run(BEFORE.code, {}) as browser:
        assert 'href="/notes"' in browser.ask("/").text
        browser.submit("/notes", note="Buy <milk>")
        assert escape("Buy <milk>") in browser.ask("/notes").text
        assert browser.ask("/api/notes").json() == ["Buy <milk>"]


def test_two_lines_make_it_ask_for_a_login(run: Run, exported: dict[str, str]) -> None:
    old, new = BEFORE.code.splitlines()[1:], _wrapped().splitlines()[1:]
    assert [line for line in new if line and line not in old] == [
        "from ck_middleware import WSGIAuthMiddleware",
        'app.wsgi_app = WSGIAuthMiddleware(app.wsgi_app, public=["/"])',
    ]
    with run(_wrapped(), exported) as browser:
        assert browser.ask("/").status_code == 200
        _check_what_curl_shows(browser)
        notes = browser.log_in("/notes", "otter")
        assert notes.url == f"{browser.origin}/notes"
        assert "<h1>Notes</h1>" in notes.text


def _check_what_curl_shows(browser: Browser) -> None:
    (console,) = samples(TUTORIAL, "console")
    command, *shown = console.code.splitlines()
    program, include, address = shlex.split(command.removeprefix("$ "))
    assert (program, include) == ("curl", "-i")
    answer = browser.ask(address.removeprefix("http://localhost:5000"), accept="*/*")
    heads = [f"{name}: {value}".lower() for name, value in answer.headers.items()]
    said = [f"{answer.http_version} {answer.status_code} {answer.reason_phrase}".lower(), *heads, answer.text.lower()]
    assert [line for line in shown if line != "..." and line.lower() not in said] == []


def test_everybody_has_notes_of_their_own(run: Run, exported: dict[str, str]) -> None:
    with run(AFTER.code, exported) as one, Browser(one.origin) as other:
        assert 'href="/auth/login"' in one.ask("/").text
        assert f"Notes of {PEOPLE['otter']}" in one.log_in("/auth/login", "otter").text
        one.submit("/notes", note="Buy milk")
        assert f"Notes of {PEOPLE['heron']}" in other.log_in("/notes", "heron").text
        assert one.ask("/api/notes").json() == ["Buy milk"]
        assert other.ask("/api/notes").json() == []
        one.submit("/auth/logout")
        assert 'href="/auth/login"' in one.ask("/").text


def test_who_was_logged_in_is_so_after_a_restart(run: Run, exported: dict[str, str]) -> None:
    with run(AFTER.code, exported) as browser:
        browser.log_in("/notes", "otter")
        session = browser.cookies
    with run(AFTER.code, exported) as browser:
        assert browser.ask("/notes", cookie=session).status_code == 200


def test_its_tests_pass(exported: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(AFTER.code, "utf-8")
    (tmp_path / TESTS.head.removeprefix("# ")).write_text(TESTS.code, "utf-8")
    words = [sys.executable, *_words("python -m pytest")[1:], "-p", "no:cacheprovider", "-W", "error"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "CONSENTKEYS_"))}
    env = clean | exported | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    run = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert f"{TESTS.code.count('def test_')} passed" in run.stdout, run.stdout + run.stderr
