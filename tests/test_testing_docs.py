"""`docs/testing.md` promises what the test kit does: its samples pass as they stand, and its faults are answered so."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from ck_middleware import WSGIAuthMiddleware
from ck_middleware.testing import Provider, another_key, saying, without
from ck_middleware.testing.plugin import provider, running_provider
from support.documents import ROOT

__all__ = ["provider", "running_provider"]  # fixtures of the kit, in place of the ones that our other tests have

DOCUMENT = ROOT / "docs" / "testing.md"
TEXT = DOCUMENT.read_text("utf-8")
SAMPLES = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", TEXT, re.DOTALL))
BEFORE, MEANWHILE = (
    re.findall(r"^\| ([^|]+) \| `([^`]+)` \| (\d+)(?: `(\w+)`)? \|$", part, re.MULTILINE)
    for part in TEXT.partition("While they are there")[::2]
)
# The apps that the samples are about
SHOP_IN_FLASK = """
from ck_middleware import WSGIAuthMiddleware, get_user
from flask import Flask, request

app = Flask(__name__)
app.wsgi_app = WSGIAuthMiddleware(app.wsgi_app)
app.get("/dashboard")(lambda: f"Welcome, {get_user(request).name}!")
"""
SHOP_IN_FASTAPI = """
from ck_middleware import ASGIAuthMiddleware
from fastapi import FastAPI, Request

app = FastAPI()
app.add_middleware(ASGIAuthMiddleware)

@app.get("/api/data")
async def data(request: Request):
    return {"user": dict(request.user.claims)}
"""
SETTINGS = """
ALLOWED_HOSTS, SECRET_KEY = ["localhost"], "of the tests"
ROOT_URLCONF, WSGI_APPLICATION = "shop_in_django.urls", "shop_in_django.wsgi.application"
"""
URLS = """
from ck_middleware import get_user
from django.http import HttpResponse
from django.urls import path

urlpatterns = [path("dashboard", lambda request: HttpResponse(f"Welcome, {get_user(request).name}!"))]
"""
WSGI = """
from ck_middleware import WSGIAuthMiddleware
from django.core.wsgi import get_wsgi_application

application = WSGIAuthMiddleware(get_wsgi_application())
"""
SHOPS = {
    "shop_in_flask.py": SHOP_IN_FLASK,
    "shop_in_fastapi.py": SHOP_IN_FASTAPI,
    "shop_in_django/__init__.py": "",
    "shop_in_django/settings.py": SETTINGS,
    "shop_in_django/urls.py": URLS,
    "shop_in_django/wsgi.py": WSGI,
}
PATIENCE = 110  # seconds for a test run in a process of its own, on a busy machine


def test_the_samples_pass(tmp_path: Path) -> None:
    """All of them together, as the tests of one project."""
    run = _run(
        tmp_path,
        ["pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)],
        {"DJANGO_SETTINGS_MODULE": "shop_in_django.settings", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    promised = sum(len(re.findall(r"^ *def test_", code, re.MULTILINE)) for code in SAMPLES.values())
    assert f"{promised} passed" in run.stdout, run.stdout + run.stderr
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_sample_for_django_passes_with_djangos_own_runner(tmp_path: Path) -> None:
    run = _run(tmp_path, ["django", "test", "--settings=settings_of_tests", "--pattern=test_shop_in_django.py"], {})
    promised = len(re.findall(r"^ *def test_", SAMPLES["test_shop_in_django.py"], re.MULTILINE))
    assert f"Ran {promised} tests" in run.stderr, run.stdout + run.stderr
    assert run.returncode == 0, run.stdout + run.stderr


def _run(home: Path, words: list[str], environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A Python module over all samples and their apps, in an environment that has no settings but these."""
    (home / "shop_in_django").mkdir()
    for name, code in (SHOPS | SAMPLES).items():
        (home / name).write_text(code, "utf-8")
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CONSENTKEYS_", "SESSION_", "DJANGO_"))
    }
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=home,
        env=clean | environ,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_there_is_a_sample_for_each_kind_of_client() -> None:
    shops = {f"test_shop_in_{framework}.py" for framework in ("flask", "fastapi", "django")}
    assert (
        shops | {"conftest.py", "settings_of_tests.py", "test_any_app.py", "test_people.py", "test_login.py"}
        == SAMPLES.keys()
    )


@pytest.mark.parametrize(("line", "status", "code"), [row[1:] for row in BEFORE], ids=[row[0] for row in BEFORE])
def test_a_fault_before_the_login_is_answered_so(
    line: str, status: str, code: str, provider: Provider, light_clients: None
) -> None:
    names = {"provider": provider, "saying": saying, "without": without, "another_key": another_key}
    exec(line, dict(names))  # noqa: S102  # our own document
    client = _client(provider, timeout=1 if "hang" in line else 60)
    answer = client.get("/auth/login")
    if answer.status_code == 303:
        answer = client.get(provider.sign_in(answer.headers["Location"]))
    _check(answer, status, code)


@pytest.mark.parametrize(("line", "status", "code"), [row[1:] for row in MEANWHILE], ids=[row[0] for row in MEANWHILE])
def test_a_fault_during_the_login_is_answered_so(
    line: str, status: str, code: str, provider: Provider, light_clients: None
) -> None:
    client = _client(provider, timeout=60)
    there = client.get("/auth/login").headers["Location"]
    names: dict[str, Any] = {"provider": provider, "there": there}
    if "there" not in line:
        names["back"] = provider.sign_in(there)
    exec(line, names)  # noqa: S102
    _check(client.get(names["back"]), status, code)


def test_the_tables_are_read() -> None:
    assert len(BEFORE) >= 10
    assert len(MEANWHILE) >= 4


def _client(provider: Provider, timeout: float) -> Any:
    app = Flask("guarded")
    app.wsgi_app = WSGIAuthMiddleware(  # type: ignore[method-assign]  # as Flask says
        app.wsgi_app, session_secret="0123456789abcdef" * 2, timeout=timeout, **provider.settings
    )
    return app.test_client()


def _check(answer: Any, status: str, code: str) -> None:
    assert answer.status_code == int(status), answer.text
    if code:
        assert f"Code {code}" in answer.text
    else:
        assert answer.headers["Location"] == "/"
