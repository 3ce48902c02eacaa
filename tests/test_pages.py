"""What a stranger sees of us."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from ck_middleware import errors, pages
from ck_middleware.errors import LoginRefused
from ck_middleware.messages import Response

NASTY = "\"><script>alert('x')</script>&amp;"


def subclasses(kind: type[LoginRefused]) -> list[type[LoginRefused]]:
    return [found for sub in kind.__subclasses__() for found in (sub, *subclasses(sub))]


REFUSALS = subclasses(LoginRefused)


def refused(kind: type[LoginRefused], *, person: bool, again: str = "/auth/login?next=%2F") -> Response:
    return pages.login_refused(
        kind("a secret reason"), person=person, reference="abc123", again=again, cookies=("a=b",)
    )


def every_page() -> list[Response]:
    return [
        *(refused(kind, person=True) for kind in REFUSALS),
        pages.confirm_logout("/auth/logout", "token", cookies=()),
        pages.signed_out("/auth/login", cookies=()),
        pages.notice(404, "not_found", person=True),
        pages.notice(400, "path_refused", person=True),
        pages.notice(405, "method_not_allowed", person=True),
        pages.notice(403, "cross_site", person=True),
        pages.notice(500, "internal_error", person=True),
        pages.notice(503, "store_unavailable", person=True),
    ]


def every_answer() -> list[Response]:
    return [
        *every_page(),
        *(refused(kind, person=False) for kind in REFUSALS),
        pages.notice(404, "not_found", person=False),
        pages.data(200, {"user": {}}),
        pages.redirect("/x"),
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
        assert outline.all("html") == [{"lang": "en"}]
        assert len(outline.all("h1")) == len(outline.all("main")) == len(outline.all("title")) == 1
        assert "prefers-color-scheme:dark" in text(response)
        assert ":focus-visible" in text(response)
        assert dict(response.headers)["Content-Type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_refusal_shows_its_code_and_reference_and_never_its_reason(kind: type[LoginRefused]) -> None:
    page, answer = refused(kind, person=True), refused(kind, person=False)
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
    links = Outline(text(refused(kind, person=True))).all("a")
    assert [link["href"] for link in links] == ["/auth/login?next=%2F"]


def test_each_refusal_has_a_code_of_its_own() -> None:
    like_its_parent = {errors.AccessRefused, errors.KeyUnknown}  # told apart by who asks again for a session
    codes = [kind.code for kind in REFUSALS if kind not in like_its_parent]
    assert len(codes) == len(set(codes))
    assert LoginRefused.code not in codes


def test_what_is_put_into_a_page_is_escaped() -> None:
    page = refused(errors.CallbackInvalid, person=True, again=NASTY)
    assert [link["href"] for link in Outline(text(page)).all("a")] == [NASTY]
    confirm = Outline(text(pages.confirm_logout(NASTY, NASTY, cookies=())))
    assert [form["action"] for form in confirm.all("form")] == [NASTY]
    assert [field["value"] for field in confirm.all("input")] == [NASTY]
    assert [link["href"] for link in Outline(text(pages.signed_out(NASTY, cookies=()))).all("a")] == [NASTY]
    for response in (page, pages.confirm_logout(NASTY, NASTY, cookies=()), pages.signed_out(NASTY, cookies=())):
        assert "<script" not in text(response)


def test_json_is_no_page_whatever_is_in_it() -> None:
    answer = pages.data(200, {"user": {"name": NASTY + "\u2028Zoë\ud800"}})
    assert dict(answer.headers)["Content-Type"] == "application/json"
    assert answer.body.isascii()
    assert json.loads(answer.body)["user"]["name"] == NASTY + "\u2028Zoë\ud800"


def test_the_logout_page_posts() -> None:
    page = pages.confirm_logout("/pre/auth/logout", "signed", cookies=("a=b",))
    outline = Outline(text(page))
    assert (page.status, page.cookies) == (200, ("a=b",))
    assert outline.all("form") == [{"method": "post", "action": "/pre/auth/logout"}]
    assert outline.all("input") == [{"type": "hidden", "name": "token", "value": "signed"}]
    assert len(outline.all("button")) == 1


def test_a_redirect_never_repeats_a_post() -> None:
    response = pages.redirect("/x", cookies=("a=b",))
    assert (response.status, response.body, response.cookies) == (303, b"", ("a=b",))
    assert dict(response.headers)["Location"] == "/x"


def test_a_notice_reads_as_json_for_programs() -> None:
    answer = pages.notice(405, "method_not_allowed", person=False, headers=(("Allow", "GET"),), cookies=("a=b",))
    assert (answer.status, dict(answer.headers)["Allow"], answer.cookies) == (405, "GET", ("a=b",))
    assert json.loads(answer.body)["code"] == "method_not_allowed"
    page = pages.notice(405, "method_not_allowed", person=True, headers=(("Allow", "GET"),), cookies=("a=b",))
    assert (page.status, dict(page.headers)["Allow"], page.cookies) == (405, "GET", ("a=b",))


def test_every_text_is_used() -> None:
    used = {kind.code for kind in REFUSALS}
    source = "".join(file.read_text("utf-8") for file in Path(pages.__file__).parent.glob("*.py"))
    for code in pages.TEXTS.keys() - used:
        assert len(re.findall(f'"{code}"', source)) > 1, code
