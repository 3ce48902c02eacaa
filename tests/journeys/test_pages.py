"""What people read, on either face: in their language, with the app's name, and in the app's own pages."""

import re
from pathlib import Path

import pytest

from ck_middleware import answers
from ck_middleware.pages import Page
from ck_middleware.pages.languages import ENGLISH, LANGUAGES
from support.browser import Browser
from support.faces import Guard


@pytest.fixture
def kind() -> str:
    return "cookie"  # no page depends on where sessions are kept


GERMAN = {"Accept-Language": "de-AT, en;q=0.5"}


@pytest.mark.parametrize("target", ["/auth/callback", "/auth/logout", "/auth/nothing", "//x"])
def test_a_page_is_in_the_readers_language_and_json_in_english(guard: Guard, target: str) -> None:
    browser = Browser(guard(app_name="Acme"))
    page = browser.get(target, GERMAN)
    assert page.header("content-language") == "de"
    assert '<html lang="de" dir="ltr">' in page.text
    assert "· Acme</title>" in page.text
    if page.status >= 400:
        told = browser.fetch(target, headers=GERMAN)
        assert told.json["error"] == ENGLISH.texts[told.code].title
        assert told.header("content-language") is None
        assert "Acme" not in told.text


def test_a_header_that_is_hostile_is_answered_in_english(guard: Guard) -> None:
    browser = Browser(guard())
    for header in ("*" * 60_000, ",".join(["de;q=0"] * 9_000), "de;q=" + "9" * 60_000, "\xff\x00de", "</title>"):
        page = browser.get("/auth/nothing", {"Accept-Language": header})
        assert (page.status, page.header("content-language")) == (404, "en")


def test_an_apps_own_page_signs_people_out(guard: Guard) -> None:
    """Also with a browser that does not say where a post comes from: it has the token."""

    def own(page: Page) -> str | None:
        return f"<h1>Bye?</h1>{page.button}" if page.code == "confirm_logout" else None

    browser = Browser(guard(pages=own))
    browser.log_in()
    page = browser.get("/auth/logout")
    assert page.text.startswith("<h1>Bye?</h1><form")
    assert page.header("content-security-policy") == answers.OWN_POLICY
    token = re.search('name="token" value="([^"]+)"', page.text)
    assert token
    assert browser.request("POST", "/auth/logout", form={"token": token[1]}).status == 303
    assert browser.fetch("/auth/me").status == 401


def test_an_own_page_that_fails_changes_nothing_but_the_page(guard: Guard) -> None:
    def own(page: Page) -> str:
        raise RuntimeError(page.reference)

    faulty, honest = Browser(guard(pages=own)), Browser(guard())
    for target in ("/auth/logout", "/auth/nothing", "//x"):
        assert faulty.get(target) == honest.get(target)
    refused = faulty.get("/auth/callback")
    assert (refused.status, refused.code) == (400, "callback_invalid")


def test_templates_are_the_pages_of_an_app(guard: Guard, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text('<html lang="$language"><h1>$title</h1>$button<p>$details</p>')
    browser = Browser(guard(pages=tmp_path))
    text = LANGUAGES["de"].texts["callback_invalid"]
    page = browser.get("/auth/callback", GERMAN)
    assert page.status == 400
    assert page.text.startswith(f'<html lang="de"><h1>{text.title}</h1><a class="act" href="/auth/login?next=')
    assert page.code == "callback_invalid"
    assert browser.fetch("/auth/callback").json["code"] == "callback_invalid"
