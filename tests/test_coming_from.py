"""The pages for those who come from elsewhere: their samples log people in, and what they call a counterpart is one."""

import asyncio
import os
import re
import subprocess
import sys
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ck_middleware import AuthConfig
from support.browser import Browser, query_of
from support.documents import ROOT
from support.fences import samples
from support.provider import MisbehavingProvider
from support.shown import ShownASGI, ShownWSGI, run

PAGES = sorted((ROOT / "docs").glob("coming-from-*.md"))
PAGES.remove(ROOT / "docs" / "coming-from-the-guide.md")  # tests/proof/test_guide.py
SETTINGS = {setting.name for setting in fields(AuthConfig)}
NO_COUNTERPART = {"not needed", "not there", "in the app"}
PATIENCE = 120  # seconds for a test run in a process of its own, on a busy machine


def _counterparts(page: Path) -> list[str]:
    """The middle cells of the table of settings."""
    table = page.read_text("utf-8").partition("## Each setting")[2].partition("\n## ")[0]
    return [row.split("|")[2].strip() for row in table.partition("|---|---|---|\n")[2].splitlines() if row]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_counterpart_is_a_setting(page: Path) -> None:
    cells = _counterparts(page)
    named = [set(re.findall(r"`(\w+)`", cell)) for cell in cells if cell not in NO_COUNTERPART]
    assert len(cells) > 20
    assert len(named) > 10
    assert all(named)
    assert set[str]().union(*named) <= SETTINGS


def test_there_is_a_page_for_each() -> None:
    known = {"authlib", "express-openid-connect", "flask-pyoidc", "mozilla-django-oidc", "oauth2-proxy"}
    assert {page.stem.removeprefix("coming-from-") for page in PAGES} == known


def _sample(page: str) -> str:
    (sample,) = samples(ROOT / "docs" / f"coming-from-{page}.md", "python")
    return sample.code


@pytest.mark.parametrize(
    ("page", "face", "redirect_uri", "wanted", "shown"),
    [
        ("authlib", "asgi", "http://localhost:8000/auth", "/dashboard", '{"welcome":"Ada"}'),
        ("express-openid-connect", "asgi", "http://localhost:8000/callback", "/profile", '"name":"Ada"'),
        ("flask-pyoidc", "wsgi", "http://localhost:5000/redirect_uri", "/", '"name":"Ada"'),
        ("oauth2-proxy", "wsgi", "http://localhost:8000/oauth2/callback", "/dashboard", "Welcome, ck_u_"),
    ],
)
def test_a_sample_logs_people_in_at_the_redirect_uri_that_there_was(
    page: str,
    face: str,
    redirect_uri: str,
    wanted: str,
    shown: str,
    configured: None,
    provider: MisbehavingProvider,
    runner: asyncio.Runner,
) -> None:
    provider.register(redirect_uri)
    app = run(_sample(page))["app"]
    with closing(ShownWSGI(app) if face == "wsgi" else ShownASGI(app, runner)) as shown_app:
        browser = Browser(shown_app, origin="http://" + urlsplit(redirect_uri).netloc)
        login = browser.get(wanted)
        assert login.status == 303
        there = browser.start_login(login.location)
        assert query_of(there)["redirect_uri"] == redirect_uri
        assert browser.come_back(browser.choose(there, name="Ada")).location == wanted
        assert shown in browser.get(wanted).text


def test_what_was_open_is_open(configured: None) -> None:
    assert Browser(ShownWSGI(run(_sample("oauth2-proxy"))["app"])).get("/health").text == "ok"


DJANGO = ROOT / "docs" / "coming-from-mozilla-django-oidc.md"
FILES = {sample.head.removeprefix("# "): sample.code for sample in samples(DJANGO, "python")}
PROJECT = {
    "project.py": """
from settings import *
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"]
ALLOWED_HOSTS, SECRET_KEY, ROOT_URLCONF = ["localhost"], "of the tests", "urls"
WSGI_APPLICATION, ASGI_APPLICATION = "wsgi.application", "asgi.application"
""",
    "urls.py": """
from django.http import JsonResponse
from django.urls import path

def dashboard(request):
    return JsonResponse({"pk": request.user.pk, "name": request.user.username, "first": request.user.first_name})

urlpatterns = [path("dashboard", dashboard)]
""",
    "asgi.py": FILES["wsgi.py"].replace("wsgi", "asgi").replace("WSGI", "ASGI"),
    "test_users.py": """
from ck_middleware.testing import log_in
from django.contrib.auth.models import User
from django.test import TestCase

class Users(TestCase):
    def setUp(self):
        self.old = User.objects.create_user("a hash of the address", email="Ada@example.test")

    def ask(self, client, **claims):
        log_in(client, sub="ck_u_ada", name="Ada", email="ada@example.test", **claims)
        return client.get("/dashboard")

    def test_who_was_there_before_is_the_same(self):
        for _ in range(2):
            told = self.ask(self.client, email_verified=True).json()
            self.assertEqual(told, {"pk": self.old.pk, "name": "ck_u_ada", "first": "Ada"})

    async def test_and_on_asgi(self):
        told = (await self.ask(self.async_client, email_verified=True)).json()
        self.assertEqual(told, {"pk": self.old.pk, "name": "ck_u_ada", "first": "Ada"})

    def test_an_address_that_nobody_verified_takes_over_nothing(self):
        self.assertNotEqual(self.ask(self.client).json()["pk"], self.old.pk)

    def test_one_who_has_a_row_takes_over_no_other(self):
        User.objects.create_user("ck_u_ada")
        self.assertNotEqual(self.ask(self.client, email_verified=True).json()["pk"], self.old.pk)
""",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, code in (FILES | PROJECT).items():
        (tmp_path / name).write_text(code, "utf-8")
    return tmp_path


def test_djangos_users_stay_who_they_are(project: Path) -> None:
    assert FILES.keys() == {"settings.py", "wsgi.py", "users.py"}
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("CONSENTKEYS_", "DJANGO_"))},
        "CONSENTKEYS_CLIENT_ID": "ck_of_the_tests",
        "CONSENTKEYS_CLIENT_SECRET": "of the tests",
        "SESSION_SECRET": "of the tests and nowhere else in use",
    }
    words = [sys.executable, "-W", "error", "-m", "django", "test", "--settings=project"]
    tests = subprocess.run(
        words, cwd=project, env=environ, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert f"Ran {PROJECT['test_users.py'].count('def test_')} tests" in tests.stderr, tests.stdout + tests.stderr
    assert tests.returncode == 0, tests.stdout + tests.stderr
