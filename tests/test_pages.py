"""What a stranger sees of us."""

import base64
import hashlib
import json
import logging
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import ck_middleware
from ck_middleware import AuthConfig, answers, errors
from ck_middleware.answers import Pages
from ck_middleware.config import Settings
from ck_middleware.errors import LoginRefused
from ck_middleware.messages import Response
from ck_middleware.pages import Page
from ck_middleware.pages.languages import ENGLISH, LANGUAGES
from ck_middleware.pages.templates import MARKUP, TEXTS
from support.documents import ROOT
from support.faces import PlainRequest
from support.fences import samples
from support.provider import CLIENT_ID, CLIENT_SECRET

NASTY = "\"><script>alert('x')</script>&amp;"
PERSON = PlainRequest()
PROGRAM = PlainRequest(headers={"accept": "application/json"})
NEEDED: Settings = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "session_secret": "0123456789abcdef" * 2}
DOCUMENT = ROOT / "docs" / "pages.md"


def subclasses(kind: type[LoginRefused]) -> list[type[LoginRefused]]:
    return [found for sub in kind.__subclasses__() for found in (sub, *subclasses(sub))]


REFUSALS = subclasses(LoginRefused)


def said(own: Callable[[Page], str | None] | None = None, *, app_name: str | None = None) -> Pages:
    return Pages(AuthConfig(**(NEEDED | {"pages": own, "app_name": app_name})))


def refused(
    kind: type[LoginRefused],
    request: PlainRequest = PERSON,
    *,
    again: str = "/auth/login?next=%2F",
    by: Pages | None = None,
) -> Response:
    told = (by or said()).login_refused
    return told(request, kind("a secret reason"), reference="abc123", again=again, cookies=("a=b",))


def every_page(request: PlainRequest = PERSON, by: Pages | None = None) -> list[Response]:
    by = by or said()
    return [
        *(refused(kind, request, by=by) for kind in REFUSALS),
        by.confirm_logout(request, "/auth/logout", "token", cookies=()),
        by.signed_out(request, "/auth/login", cookies=()),
        by.notice(request, 404, "not_found"),
        by.notice(request, 400, "path_refused"),
        by.notice(request, 405, "method_not_allowed"),
        by.notice(request, 403, "cross_site"),
        by.failed(request, "abc123"),
        by.store_down(request, reference="abc123", headers=()),
    ]


def every_answer() -> list[Response]:
    return [
        *every_page(),
        *every_page(by=said(lambda page: page.title)),
        *(refused(kind, PROGRAM) for kind in REFUSALS),
        said().notice(PROGRAM, 404, "not_found"),
        answers.data(200, {"user": {}}),
        answers.redirect("/x"),
    ]


class Outline(HTMLParser):
    """The elements of a page, and that each that was opened was closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.opened: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(page)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.opened.append((tag, dict(attrs)))
        if tag not in {"meta", "input"}:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for found, attributes in self.opened if found == tag]


def text(response: Response) -> str:
    return response.body.decode()


def test_every_answer_says_how_it_may_be_used() -> None:
    for response in every_answer():
        headers = dict(response.headers)
        assert len(headers) == len(response.headers)
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        policy = headers["Content-Security-Policy"].split("; ")
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert not any("unsafe" in part or part.startswith("script-src") for part in policy)


def test_the_policy_allows_the_style_of_the_page_and_no_other() -> None:
    for response in every_page():
        (style,) = re.findall("<style>(.*?)</style>", text(response), re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        assert f"style-src 'sha256-{digest}'" in dict(response.headers)["Content-Security-Policy"]


def test_pages_need_no_script_and_load_nothing() -> None:
    for response in every_page():
        outline = Outline(text(response))
        tags = {tag for tag, _ in outline.opened}
        assert tags <= {
            "html",
            "head",
            "meta",
            "title",
            "style",
            "body",
            "main",
            "h1",
            "p",
            "div",
            "a",
            "form",
            "input",
            "button",
        }
        assert not any(name.startswith("on") for _, attributes in outline.opened for name in attributes)
        assert not any("style" in attributes or "src" in attributes for _, attributes in outline.opened)
        assert "url(" not in text(response)
        assert "@import" not in text(response)


def test_pages_can_be_read_and_used_by_everyone() -> None:
    for response in every_page():
        outline = Outline(text(response))
        assert outline.all("html") == [{"lang": "en", "dir": "ltr"}]
        assert len(outline.all("h1")) == len(outline.all("main")) == len(outline.all("title")) == 1
        assert "prefers-color-scheme:dark" in text(response)
        assert ":focus-visible" in text(response)
        assert dict(response.headers)["Content-Type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_refusal_shows_its_code_and_reference_and_never_its_reason(kind: type[LoginRefused]) -> None:
    page, answer = refused(kind), refused(kind, PROGRAM)
    assert page.status == answer.status == kind.status
    assert page.cookies == answer.cookies == ("a=b",)
    assert f"Code {kind.code}, reference abc123" in text(page)
    members = json.loads(answer.body)
    assert (members["code"], members["correlation_id"]) == (kind.code, "abc123")
    assert members["login_url"] == "/auth/login?next=%2F"
    for response in (page, answer):
        assert "a secret reason" not in text(response)
        assert ("Retry-After" in dict(response.headers)) == (kind.status == 503)


@pytest.mark.parametrize("kind", REFUSALS)
def test_every_refusal_has_a_way_to_try_again(kind: type[LoginRefused]) -> None:
    links = Outline(text(refused(kind))).all("a")
    assert [link["href"] for link in links] == ["/auth/login?next=%2F"]


def test_each_refusal_has_a_code_of_its_own() -> None:
    like_its_parent = {errors.AccessRefused, errors.KeyUnknown}  # told apart by who asks again for a session
    codes = [kind.code for kind in REFUSALS if kind not in like_its_parent]
    assert len(codes) == len(set(codes))
    assert LoginRefused.code not in codes


def test_what_is_put_into_a_page_is_escaped() -> None:
    page = refused(errors.CallbackInvalid, again=NASTY)
    assert [link["href"] for link in Outline(text(page)).all("a")] == [NASTY]
    posted = said().confirm_logout(PERSON, NASTY, NASTY, cookies=())
    left = said(app_name=NASTY).signed_out(PERSON, NASTY, cookies=())
    confirm = Outline(text(posted))
    assert [form["action"] for form in confirm.all("form")] == [NASTY]
    assert [field["value"] for field in confirm.all("input")] == [NASTY]
    assert [link["href"] for link in Outline(text(left)).all("a")] == [NASTY]
    for response in (page, posted, left):
        assert "<script" not in text(response)


def test_json_is_no_page_whatever_is_in_it() -> None:
    answer = answers.data(200, {"user": {"name": NASTY + "\u2028Zoë\ud800"}})
    assert dict(answer.headers)["Content-Type"] == "application/json"
    assert answer.body.isascii()
    assert json.loads(answer.body)["user"]["name"] == NASTY + "\u2028Zoë\ud800"


def test_the_logout_page_posts() -> None:
    page = said().confirm_logout(PERSON, "/pre/auth/logout", "signed", cookies=("a=b",))
    outline = Outline(text(page))
    assert (page.status, page.cookies) == (200, ("a=b",))
    assert outline.all("form") == [{"method": "post", "action": "/pre/auth/logout"}]
    assert outline.all("input") == [{"type": "hidden", "name": "token", "value": "signed"}]
    assert len(outline.all("button")) == 1


def test_a_redirect_never_repeats_a_post() -> None:
    response = answers.redirect("/x", cookies=("a=b",))
    assert (response.status, response.body, response.cookies) == (303, b"", ("a=b",))
    assert dict(response.headers)["Location"] == "/x"


def test_a_notice_reads_as_json_for_programs() -> None:
    answer = said().notice(PROGRAM, 405, "method_not_allowed", headers=(("Allow", "GET"),))
    assert (answer.status, dict(answer.headers)["Allow"]) == (405, "GET")
    assert json.loads(answer.body)["code"] == "method_not_allowed"
    page = said().notice(PERSON, 405, "method_not_allowed", headers=(("Allow", "GET"),))
    assert (page.status, dict(page.headers)["Allow"]) == (405, "GET")


def test_a_page_whose_reference_stands_in_the_log_shows_it() -> None:
    for response in (said().failed(PERSON, "abc123"), said().store_down(PERSON, reference="abc123", headers=())):
        assert "reference abc123" in text(response)


def test_the_name_of_the_app_stands_on_every_page_and_in_no_answer_for_programs() -> None:
    by = said(app_name="Acme")
    for page in every_page(by=by):
        assert re.search("<title>[^<]+ · Acme</title>", text(page))
        assert "this app" not in text(page)
    assert "to come back to Acme." in text(by.confirm_logout(PERSON, "/", "token", cookies=()))
    assert "to come back to this app." in text(said().confirm_logout(PERSON, "/", "token", cookies=()))
    assert "Acme" not in text(refused(errors.SessionTooLarge, PROGRAM, by=by))


@pytest.mark.parametrize("tag", LANGUAGES)
def test_a_page_is_in_the_language_of_who_reads_it(tag: str) -> None:
    language = LANGUAGES[tag]
    reader = PlainRequest(headers={"accept-language": f"{tag}-XX, *;q=0.1"})
    for response in every_page(reader):
        assert Outline(text(response)).all("html") == [{"lang": tag, "dir": language.direction}]
        assert dict(response.headers)["Content-Language"] == tag
    page = text(refused(errors.LoginUnfinished, reader))
    assert language.texts["login_expired"].title in page
    assert language.details.format(code="login_expired", reference="abc123") in page
    assert f">{language.texts['login_expired'].action}</a>" in page


def test_programs_are_told_the_same_in_every_language() -> None:
    german = PlainRequest(headers={"accept": "application/json", "accept-language": "de"})
    assert refused(errors.LoginUnfinished, german) == refused(errors.LoginUnfinished, PROGRAM)
    assert said().notice(german, 404, "not_found") == said().notice(PROGRAM, 404, "not_found")
    assert "Content-Language" not in dict(said().notice(german, 404, "not_found").headers)


def test_an_app_can_have_pages_of_its_own() -> None:
    shown: list[Page] = []

    def own(page: Page) -> str | None:
        shown.append(page)
        return f"<h1>{page.code}</h1>" if page.code == "signed_out" else None

    by = said(own, app_name="Acme")
    left = by.signed_out(PERSON, "/auth/login", cookies=("a=b",))
    assert (left.status, text(left), left.cookies) == (200, "<h1>signed_out</h1>", ("a=b",))
    assert by.notice(PERSON, 404, "not_found") == said(app_name="Acme").notice(PERSON, 404, "not_found")
    assert [page.code for page in shown] == ["signed_out", "not_found"]
    assert shown[0] == Page(
        code="signed_out",
        status=200,
        language="en",
        direction="ltr",
        app_name="Acme",
        title=ENGLISH.texts["signed_out"].title,
        words=ENGLISH.texts["signed_out"].words,
        action="Sign in",
        url="/auth/login",
    )


def test_an_own_page_is_told_all_that_ours_says() -> None:
    shown: list[Page] = []
    by = said(shown.append)
    refused(errors.LoginUnfinished, PlainRequest(headers={"accept-language": "de"}), by=by)
    by.confirm_logout(PERSON, "/auth/logout", "signed", cookies=())
    refusal, confirm = shown
    assert (refusal.code, refusal.status, refusal.reference) == ("login_expired", 400, "abc123")
    assert (refusal.language, refusal.url, refusal.token) == ("de", "/auth/login?next=%2F", "")
    assert refusal.details == "Code login_expired, Referenz abc123"
    assert (confirm.url, confirm.token) == ("/auth/logout", "signed")
    assert Outline(confirm.button).all("input") == [{"type": "hidden", "name": "token", "value": "signed"}]
    assert "signed" not in repr(confirm)


def test_programs_are_answered_whatever_pages_an_app_has() -> None:
    def own(page: Page) -> str:
        raise AssertionError

    assert refused(errors.CodeRefused, PROGRAM, by=said(own)) == refused(errors.CodeRefused, PROGRAM)


def test_an_own_page_has_our_headers_and_its_own_styles_and_no_scripts() -> None:
    ours = dict(said().notice(PERSON, 404, "not_found", headers=(("Retry-After", "1"),)).headers)
    own = dict(said(lambda _: "x").notice(PERSON, 404, "not_found", headers=(("Retry-After", "1"),)).headers)
    same = ours.keys() - {"Content-Security-Policy", "Content-Language"}
    assert {name: own[name] for name in same} == {name: ours[name] for name in same}
    assert own.keys() == ours.keys() - {"Content-Language"}  # in which one it is, the app alone knows
    policy = dict(part.split(" ", 1) for part in own["Content-Security-Policy"].split("; "))
    assert policy.pop("style-src").split() == [answers.OUR_STYLE, "'self'"]
    assert policy == {
        "default-src": "'none'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
        "img-src": "'self'",
        "font-src": "'self'",
    }


def raising(page: Page) -> str:
    raise ZeroDivisionError("a secret of the app")


def awaited(page: Page) -> Any:
    async def later() -> str:
        return page.html

    return later()


@pytest.mark.parametrize("broken", [raising, lambda _: b"bytes", lambda _: 1, lambda _: "\ud800", awaited])
def test_an_own_page_that_fails_is_replaced_by_ours(
    broken: Callable[[Page], str | None], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "ck_middleware"):
        assert every_page(by=said(broken)) == every_page()
    assert len(caplog.records) == len(every_page())
    assert "a secret of the app" not in caplog.text


def all_but_the_texts() -> str:
    house = Path(ck_middleware.__file__).parent
    return "".join(file.read_text("utf-8") for file in house.rglob("*.py") if file.parent.name != "texts")


def test_every_text_is_used() -> None:
    used = {kind.code for kind in REFUSALS}
    source = all_but_the_texts()
    for code in ENGLISH.texts.keys() - used:
        assert f'"{code}"' in source, code


@pytest.mark.parametrize("tag", LANGUAGES)
def test_no_text_of_a_page_stands_elsewhere(tag: str) -> None:
    """Than in the folder of texts, which is the one to translate."""
    source = all_but_the_texts()
    for text in LANGUAGES[tag].texts.values():
        assert f'"{text.title}"' not in source
        assert f">{text.title}<" not in source
        assert text.words not in source


# What docs/pages.md says


def test_the_document_names_every_page_and_all_that_may_stand_in_one() -> None:
    text = DOCUMENT.read_text("utf-8")
    codes = text.partition("The codes are ")[2].partition("\n\n")[0]
    assert sorted(re.findall(r"`(\w+)`", codes)) == sorted(ENGLISH.texts)
    table = text.partition("|---|---|\n")[2].partition("\n\n")[0]
    assert sorted(re.findall(r"`\$(\w+)`", "".join(re.findall(r"^\| (.*?) \|", table, re.MULTILINE)))) == sorted(
        TEXTS + MARKUP
    )


def test_the_documents_templates_are_templates(tmp_path: Path) -> None:
    for sample in samples(DOCUMENT, "html"):
        (tmp_path / sample.head.removeprefix("<!-- ").removesuffix(" -->")).write_text(sample.code)
    by = Pages(AuthConfig(**(NEEDED | {"pages": tmp_path})))
    signed_out = text(by.signed_out(PERSON, "/auth/login", cookies=()))
    assert "See you soon" in signed_out
    assert 'href="/auth/login' in signed_out
    assert "for $0" in signed_out
    assert all("Acme" in text(page) for page in every_page(by=by))
    assert "acme.svg" in text(refused(errors.CallbackInvalid, by=by))
    assert "Code callback_invalid, reference abc123" in text(refused(errors.CallbackInvalid, by=by))


def test_the_documents_function_makes_pages() -> None:
    (sample,) = samples(DOCUMENT, "python")
    names: dict[str, Any] = {}
    exec(sample.code, names)  # noqa: S102  # our own document
    by = said(names["own"])
    refusal = text(refused(errors.CallbackInvalid, by=by, again=NASTY))
    assert "reference abc123" in refusal
    assert "<script" not in refusal
    assert by.store_down(PERSON, reference="abc123", headers=()) == said().store_down(
        PERSON, reference="abc123", headers=()
    )


def test_the_document_tells_the_policy_of_own_pages() -> None:
    told = DOCUMENT.read_text("utf-8").partition("The content security policy is ")[2]
    assert "".join(re.findall("`([^`]+)`", told)).replace(" ;", ";") == answers.OWN_POLICY.replace(
        f"{answers.OUR_STYLE} ", ""
    )
