"""Every document keeps what it says: its samples run or can be read, and its links lead somewhere."""

import ast
import asyncio
import json
import re
import shlex
import subprocess
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from inspect import CO_COROUTINE
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any
from urllib.parse import urlsplit
from wsgiref.simple_server import demo_app

import pytest
import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ck_middleware import ASGIAuthMiddleware, AuthConfig, WSGIAuthMiddleware
from ck_middleware.cli import commands
from ck_middleware.config import unread
from ck_middleware.stores.memory import AsyncMemoryStore
from support.browser import Browser
from support.documents import ROOT, anchor, every_test, named_and_not_there
from support.fences import Sample, samples, without_samples
from support.provider import MisbehavingProvider
from support.shown import ShownASGI, run

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
DOCUMENT = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)

# Which test runs the samples of a document: one for all of them, or one for each in its order.
FRAMEWORKS = "test_who_wanted_the_dashboard_gets_there_by_logging_in_and_is_named"
COMING = "test_a_sample_logs_people_in_at_the_redirect_uri_that_there_was"
RUN: Mapping[str, tuple[str, ...]] = {
    "README.md": ("test_the_asgi_sample_guards_its_app", "test_the_wsgi_sample_guards_its_app"),
    "docs/coming-from-authlib.md": (COMING,),
    "docs/coming-from-express-openid-connect.md": (COMING,),
    "docs/coming-from-flask-pyoidc.md": (COMING,),
    "docs/coming-from-mozilla-django-oidc.md": ("test_djangos_users_stay_who_they_are",),
    "docs/coming-from-oauth2-proxy.md": (COMING,),
    "docs/coming-from-the-guide.md": ("test_the_sample_logs_people_in_at_the_redirect_uri_of_the_guide",),
    "docs/deploy.md": ("test_people_come_in_by_https_and_go_again",),  # each is a file that the servers are run with
    "docs/frameworks.md": (FRAMEWORKS,),  # each is cut out of an example, and compared with it
    "docs/observability.md": (
        "test_the_other_samples_are_apps",
        "test_what_four_workers_count_adds_up_to_what_there_was",
        "test_what_four_workers_count_adds_up_to_what_there_was",
        "test_the_other_samples_are_apps",
        "test_an_observer_of_ones_own_counts_by_labels",
        "test_the_audit_log_has_who_came_and_went_and_nothing_else",
    ),
    "docs/pages.md": (
        "test_the_documents_templates_are_templates",
        "test_the_documents_templates_are_templates",
        "test_the_documents_function_makes_pages",
    ),
    "docs/scripts.md": (
        "test_fetch_lets_people_sign_in_and_come_back_to_where_they_were",
        "test_htmx_lets_people_sign_in_and_come_back_to_where_they_were",
        "test_a_single_page_app_says_so_before_the_session_ends",
        "test_a_single_page_app_lets_people_sign_in_at_the_view_that_needs_it",
        "test_a_websocket_is_for_people_who_are_signed_in_and_ends_with_their_session",
        "test_a_page_that_a_login_led_to_asks_again_when_it_comes_back",
    ),
    "docs/sessions.md": ("test_the_app_gets_a_token", "test_the_app_ends_sessions"),
    "docs/settings.md": ("test_both_ways_to_configure_are_one",),
    "docs/testing.md": ("test_the_samples_pass",),
    "docs/tutorial.md": (
        "test_the_first_app_shows_everybody_the_same_notes",
        "test_two_lines_make_it_ask_for_a_login",
        "test_two_lines_make_it_ask_for_a_login",  # what curl shows
        "test_everybody_has_notes_of_their_own",
        "test_its_tests_pass",
    ),
}
TO_RUN = {"python", "console", "js", "html"}


def _name(document: Path) -> str:
    return str(document.relative_to(ROOT))


def _in(language: str) -> list[Any]:
    """Every sample in a language, as parameters that say where it is."""
    return [
        pytest.param(sample, id=f"{document.stem}-{number}")
        for document in DOCUMENTS
        for number, sample in enumerate(samples(document, language))
    ]


# Samples


@DOCUMENT
def test_every_sample_is_run_by_a_test(document: Path) -> None:
    shown = [sample for sample in samples(document) if sample.language in TO_RUN]
    tests = RUN.get(_name(document), ())
    assert len(tests) == len(shown) or (len(tests) == 1 and shown), (
        f"{_name(document)}: {len(tests)} tests for the samples in lines {[sample.line for sample in shown]}"
    )
    assert set(tests) <= frozenset[str]().union(*every_test().values())


@DOCUMENT
def test_every_sample_is_in_a_language_that_is_looked_at(document: Path) -> None:
    looked_at = TO_RUN | READ.keys() | {"sh", "text", "promql", "{eval-rst}"}
    assert {sample.language for sample in samples(document)} - looked_at <= {""}


READ: dict[str, Callable[[str], object]] = {
    "json": json.loads,
    "toml": tomllib.loads,
    "yaml": lambda text: list(yaml.safe_load_all(text)),
}


@pytest.mark.parametrize(
    ("sample", "read"),
    [pytest.param(*one.values, read, id=str(one.id)) for language, read in READ.items() for one in _in(language)],
)
def test_what_is_for_programs_can_be_read(sample: Sample, read: Callable[[str], object]) -> None:
    assert read(sample.code)


@pytest.mark.parametrize("sample", _in("sh"))
def test_a_command_can_be_given(sample: Sample) -> None:
    subprocess.run(["bash", "-n"], input=sample.code, text=True, check=True)  # noqa: S607  # whichever there is
    for line in sample.code.splitlines():
        _check(shlex.split(line, comments=True))


def _check(words: list[str]) -> None:
    """Refuse what nobody offers: a command or option of ours, a target, an extra, a variable."""
    match words:
        case ["ck-middleware", *arguments]:
            commands._parser().parse_args(arguments)
        case ["make", target, *_]:
            assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE)
        case ["pip", "install", *packages]:
            extras = [extra for package in packages for extra in re.findall(r"\[(\w+)\]", package)]
            assert set(extras) <= PROJECT["project"]["optional-dependencies"].keys()
        case ["export", variable]:
            assert unread({variable.partition("=")[0]: ""}) == {}


# Links


@DOCUMENT
def test_what_it_names_is_there(document: Path) -> None:
    assert named_and_not_there(document) == []


def test_every_document_is_in_the_list_that_the_navigation_follows() -> None:
    contents = ROOT / "docs" / "README.md"
    listed = re.findall(r"^- \[[^\]]+\]\(([^)]+)\)", contents.read_text("utf-8"), re.MULTILINE)
    assert sorted((contents.parent / page).resolve() for page in listed) == [
        page for page in DOCUMENTS if page not in {contents, ROOT / "README.md"}
    ]


@DOCUMENT
def test_a_link_into_another_document_finds_its_heading(document: Path) -> None:
    text = without_samples(document)
    wanted = re.findall(r"\]\(([^)#:]+\.md)#([^)]+)\)", text)
    assert [link for link in wanted if link[1] not in _headings(document.parent / link[0])] == []


def _headings(document: Path) -> set[str]:
    """The anchors of a document, the second of a name with a number, as both the site and code forges have them."""
    seen: Counter[str] = Counter()
    anchors = set()
    for title in re.findall(r"^#+ (.+)$", without_samples(document), re.MULTILINE):
        name = anchor(title)
        anchors.add(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return anchors


@DOCUMENT
def test_a_link_to_elsewhere_is_an_address(document: Path) -> None:
    addresses = re.findall(r"(?:\]\(|<)(\w+:[^)>\s]*)[)>]", without_samples(document))
    for address in addresses:
        parts = urlsplit(address)
        assert parts.scheme == "https" or parts.hostname == "localhost", address
        assert re.fullmatch(r"[a-z0-9.-]+", parts.hostname or ""), address
        assert address.isascii(), address


# What no test elsewhere runs


def _samples_of(name: str, language: str = "python") -> list[str]:
    return [sample.code for sample in samples(ROOT / "docs" / name, language)]


async def _awaited(code: str, **names: Any) -> dict[str, Any]:
    """The names that a sample has made which awaits something, as if it stood in an `async def`."""
    compiled = compile(code, "sample", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    assert isinstance(compiled, CodeType)
    assert compiled.co_flags & CO_COROUTINE
    await FunctionType(compiled, names)()
    return names


def test_both_ways_to_configure_are_one(configured: None) -> None:
    (code,) = _samples_of("settings.md")
    made = run(code, app=demo_app)
    assert isinstance(made["app"], WSGIAuthMiddleware)
    assert isinstance(made["config"], AuthConfig)
    assert made["app"].config == made["config"]


def test_the_app_gets_a_token(configured: None, provider: MisbehavingProvider, runner: asyncio.Runner) -> None:
    code, _ = _samples_of("sessions.md")

    async def token(request: Request) -> Response:
        return JSONResponse((await _awaited(code, request=request))["token"])

    app = Starlette(routes=[Route("/token", token)])
    guarded = ASGIAuthMiddleware(app, store=AsyncMemoryStore(), keep_tokens=True)
    with closing(ShownASGI(guarded, runner)) as face:
        ada = Browser(face)
        ada.log_in(name="Ada")
        asked = provider.last("userinfo").headers["authorization"]
        assert f"Bearer {ada.get('/token').json}" == asked


def test_the_app_ends_sessions(configured: None, runner: asyncio.Runner) -> None:
    _, code = _samples_of("sessions.md")
    wrapping, _, ending = code.partition("...\n")
    names = {"ASGIAuthMiddleware": ASGIAuthMiddleware, "app": Starlette(), "store": AsyncMemoryStore()}
    made = run(wrapping.replace('"redis://localhost/0"', "store"), **names)
    with closing(ShownASGI(made["guarded"], runner)) as face:
        ada, grace = Browser(face), Browser(face)
        ada.log_in(name="Ada")
        grace.log_in(name="Grace")
        runner.run(_awaited(ending.replace("ck_u_...", ada.me().json["user"]["sub"]), guarded=made["guarded"]))
        assert not ada.is_logged_in
        assert grace.is_logged_in
