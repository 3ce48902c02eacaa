"""`ck-middleware explain` says which rule decides, and exactly what a stranger and a person get; `secret` makes one."""

import os
import sys
from pathlib import Path

import pytest

from ck_middleware.cli import main

APPS = """
from django.conf import settings
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from flask import Flask
from ck_middleware import ASGIAuthMiddleware, WSGIAuthMiddleware

api = FastAPI()
api.add_middleware(ASGIAuthMiddleware, protect=["/dashboard", "/api"], public=["/dashboard/help"])

site = Flask(__name__)
site.wsgi_app = WSGIAuthMiddleware(site.wsgi_app, protect=["/dashboard", "/api"], public=["/dashboard/help"],
                                   store="sqlite:///never.db")

class apps:
    wrapped = WSGIAuthMiddleware(lambda environ, start_response: [], protect=["/dashboard", "/api"],
                                 public=["/dashboard/help"])

def make():
    return site

bare = FastAPI()

late = FastAPI()
late.add_middleware(ASGIAuthMiddleware, protect=["/dashboard", "/api"], public=["/dashboard/help"])
late.add_middleware(CORSMiddleware, allow_origins=["http://localhost:3000"])
late.add_middleware(GZipMiddleware)
"""

FOUND = ["api", "site", "apps.wrapped", "make()"]
CHALLENGE = 'WWW-Authenticate: OpenIDConnect realm="login"'


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, light_clients: None) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in [name for name in os.environ if name.startswith("CONSENTKEYS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CONSENTKEYS_CLIENT_ID", "ck_x")
    monkeypatch.setenv("CONSENTKEYS_CLIENT_SECRET", "s3cret")
    monkeypatch.setenv("CONSENTKEYS_ISSUER", "http://127.0.0.1:1")
    monkeypatch.setenv("SESSION_SECRET", "0123456789abcdef0123456789abcdef")


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "explained.py").write_text(APPS)
    monkeypatch.delitem(sys.modules, "explained", raising=False)
    return "explained"


def _explained(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, str]:
    assert main(["explain", *argv]) == 0
    asked, *lines = capsys.readouterr().out.splitlines()
    assert asked == f"{argv[0].upper()} {argv[1]}"
    return {line[2:14].strip(): line[14:] for line in lines}


@pytest.mark.parametrize("app", FOUND)
def test_the_rules_of_an_app_are_found(app: str, module: str, capsys: pytest.CaptureFixture[str]) -> None:
    answers = _explained(capsys, "GET", "/dashboard/x?y=1", "--app", f"{module}:{app}")
    assert answers == {
        "rule": "protect has /dashboard",
        "logged out": "303; Location: /auth/login?next=%2Fdashboard%2Fx%3Fy%3D1",
        "logged in": "on to the app, with the user",
    }
    assert not Path("never.db").exists()


@pytest.mark.parametrize(
    ("method", "path", "rule", "logged_out", "logged_in"),
    [
        ("get", "/api/x", "protect has /api, and api has /api", f"401; {CHALLENGE}", "on to the app, with the user"),
        ("GET", "/about", "no entry of protect", "on to the app, as nobody", "on to the app, with the user"),
        ("GET", "/dashboard/help", "public has /dashboard/help", "on to the app, as nobody", "on to the app, with"),
        ("GET", "/auth/me", "an address of the middleware", "401", "200"),
        ("POST", "/auth/me", "an address of the middleware", "405; Allow: GET", "405; Allow: GET"),
        ("GET", "//dashboard", "can be read in two ways", "400", "400"),
        ("GET", "/%2e%2e/dashboard", "can be read in two ways", "400", "400"),
        ("GET", "/DASHBOARD", "protect has /dashboard", "303", "on to the app, with the user"),
    ],
)
def test_the_rule_and_both_answers_are_told(
    method: str,
    path: str,
    rule: str,
    logged_out: str,
    logged_in: str,
    module: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    answers = _explained(capsys, method, path, "--app", f"{module}:api")
    assert rule in answers["rule"]
    assert answers["logged out"].startswith(logged_out)
    assert answers["logged in"].startswith(logged_in)


def test_without_an_app_the_environment_speaks_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "GET", "/x"]) == 0
    told = capsys.readouterr()
    assert "protect has /" in told.out
    assert "--app" in told.err


def test_middleware_that_was_added_after_ours_is_named_but_not_the_one_for_cors(
    module: str, capsys: pytest.CaptureFixture[str]
) -> None:
    late, good = (_explained(capsys, "GET", "/api/x", "--app", f"{module}:{app}") for app in ("late", "api"))
    assert late.pop("before it").startswith("GZipMiddleware, for strangers too")
    assert late == good


def test_headers_count(capsys: pytest.CaptureFixture[str]) -> None:
    told = _explained(capsys, "GET", "/x", "--header", "HX-Request: true")["logged out"]
    assert told == f"401; {CHALLENGE}; HX-Redirect: /auth/login?next=%2Fx"


def test_a_header_that_is_given_is_the_one_that_counts(capsys: pytest.CaptureFixture[str]) -> None:
    told = _explained(capsys, "GET", "/auth/login", "--header", "Host: app.example")["logged out"]
    assert told == "400; base_url_missing"
    posted = ("POST", "/auth/logout", "--header", "Origin: http://localhost:8000", "--header", "Host: localhost:8000")
    assert _explained(capsys, *posted)["logged in"] == "303; Location: /"


def test_a_long_address_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    assert _explained(capsys, "GET", "/" + "x" * 300)["logged out"].endswith("xxx...")


@pytest.mark.parametrize(
    ("app", "sentence"),
    [
        ("nowhere_at_all:app", "There is no nowhere_at_all:app"),
        ("explained:nix", "There is no explained:nix"),
        ("explained:bare", "explained:bare is not wrapped"),
        ("explained:bare", "name that: explained:NAME"),
    ],
)
def test_an_app_that_cannot_be_explained_is_a_sentence(
    app: str, sentence: str, module: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", "GET", "/", "--app", app]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("argv", [("GET", "x"), ("GET", "/ö"), ("GET", "/", "--header", "nothing")])
def test_what_is_no_request_is_refused(argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["explain", *argv])
    assert ended.value.code == 2


def test_a_secret_is_all_that_a_script_gets(capsys: pytest.CaptureFixture[str]) -> None:
    made = []
    for _ in range(2):
        assert main(["secret"]) == 0
        said = capsys.readouterr()
        made.append(said.out.strip())
        assert "SESSION_SECRET=<new>,<old>" in said.err
    assert len(set(made)) == 2
    assert all(len(secret) == 43 for secret in made)
