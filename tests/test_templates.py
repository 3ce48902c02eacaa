"""An app's own pages, as a folder of templates."""

import re
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import pytest

from ck_middleware.errors import Fault
from ck_middleware.pages import Page
from ck_middleware.pages.languages import ENGLISH
from ck_middleware.pages.templates import MARKUP, TEXTS, Templates

NASTY = "\"><script>alert('x')</script>&amp;"


def page(code: str = "signed_out", **texts: str) -> Page:
    usual = {"title": "Title", "words": "Words.", "action": "Go", "url": "/go"}
    return Page(code=code, status=200, language="en", direction="ltr", **(usual | texts))


def faults(folder: Path) -> list[str]:
    with pytest.raises(Fault) as raised:
        Templates(folder)
    return list(raised.value.args)


def test_each_page_has_its_file_and_one_is_for_all_others(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("any: $title, $button")
    (tmp_path / "signed_out.html").write_text("out: ${title}, $$5")
    templates = Templates(tmp_path)
    assert templates(page("signed_out")) == "out: Title, $5"
    assert templates(page("not_found", action="")) == "any: Title, "


def test_a_page_without_a_file_is_ours(tmp_path: Path) -> None:
    (tmp_path / "signed_out.html").write_text("out")
    (tmp_path / "style.css").write_text("$nothing is looked at here")
    assert Templates(tmp_path)(page("not_found")) is None


@pytest.mark.parametrize("name", TEXTS)
def test_every_text_is_escaped(tmp_path: Path, name: str) -> None:
    (tmp_path / "page.html").write_text(f'<p title="${name}">$button')
    nasty: dict[str, Any] = {name: NASTY}
    shown = Templates(tmp_path)(replace(page(), **nasty))
    assert shown is not None
    assert shown.startswith(f'<p title="{escape(NASTY)}">')
    assert "<script" not in shown


def test_the_button_is_a_link_or_a_form_that_posts(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("$button")
    templates = Templates(tmp_path)
    assert templates(page(url=NASTY)) == page(url=NASTY).button
    assert "<script" not in (templates(page(url=NASTY, token=NASTY, action=NASTY)) or "")
    form = templates(page("confirm_logout", token="signed")) or ""
    assert re.search('<form method="post" action="/go"><input type="hidden" name="token" value="signed">', form)


def test_a_template_may_take_our_style(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("$style$button")
    assert (Templates(tmp_path)(page()) or "").startswith(page().style)


def test_a_template_is_read_once(tmp_path: Path) -> None:
    file = tmp_path / "signed_out.html"
    file.write_text("first")
    templates = Templates(tmp_path)
    file.unlink()
    assert templates(page()) == "first"


def test_every_fault_is_told_with_its_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "signed_out.html").write_text("<h1>\n$titel</h1>\n<p>$ 5</p>")
    (tmp_path / "sign_out.html").write_text("")
    (tmp_path / "not_found.html").write_bytes(b"\xff")
    (tmp_path / "cross_site.html").write_text("$frobnicated")
    known = ", ".join(TEXTS + MARKUP)
    assert faults(tmp_path) == [
        f"cross_site.html, line 1: $frobnicated is not known; there are {known}",
        "not_found.html is not text in UTF-8; save it so",
        "sign_out.html is called like no page; did you mean signed_out.html?",
        "signed_out.html, line 2: $titel is not known; did you mean title?",
        "signed_out.html, line 3: there is a $ with no name after it; write $$ for the sign itself",
    ]


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "signed_out.html").mkdir()
    assert faults(tmp_path) == ["signed_out.html cannot be read: Is a directory"]


def test_a_folder_without_templates_is_refused(tmp_path: Path) -> None:
    assert "is a folder without any *.html" in faults(tmp_path)[0]
    assert "is not a folder that is here" in faults(tmp_path / "elsewhere")[0]
    assert "cannot be looked into: File name too long" in faults(tmp_path / ("x" * 300))[0]


def test_an_editor_at_work_keeps_no_app_from_starting(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("$button")
    (tmp_path / ".#page.html").symlink_to("ada@machine.1234:5678")
    (tmp_path / "._page.html").write_bytes(b"\x00\x05\x16\x07")
    assert Templates(tmp_path)(page())


@pytest.mark.parametrize("name", ["page", "confirm_logout"])
@pytest.mark.parametrize("text", ["$title", "$url", "$token", "$action"])
def test_a_page_that_could_sign_nobody_out_is_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / f"{name}.html").write_text(text)
    assert f"{name}.html has neither $button nor $url and $token" in faults(tmp_path)[0]
    (tmp_path / f"{name}.html").write_text('<form action="$url" method="post"><input name="token" value="${token}">')
    assert Templates(tmp_path)(page("confirm_logout", token="signed"))


def test_what_signs_nobody_out_needs_no_button(tmp_path: Path) -> None:
    (tmp_path / "confirm_logout.html").write_text("$button")
    (tmp_path / "page.html").write_text("$title")
    assert Templates(tmp_path)(page()) == "Title"


def test_everything_that_a_page_has_may_stand_in_a_template(tmp_path: Path) -> None:
    names = {name for name in dir(Page) if not name.startswith("_")} - {"html"}
    assert set(TEXTS + MARKUP) == names
    for code in ENGLISH.texts:
        (tmp_path / f"{code}.html").write_text("".join(f"${name} " for name in names))
    templates = Templates(tmp_path)
    assert all(templates(page(code)) for code in ENGLISH.texts)
