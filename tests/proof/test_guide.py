"""What the provider's own guide does wrong, and that none of it is so here.

`docs/coming-from-the-guide.md` lists it, and names a test for each: one of these, or one that stands elsewhere.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from flask import Flask, session
from starlette.responses import JSONResponse, Response

from ck_middleware import WSGIAuthMiddleware
from support.browser import Browser, query_of
from support.documents import ROOT, named_and_not_there
from support.faces import Face, Guard, WSGIFace
from support.fences import samples
from support.provider import MisbehavingProvider

DOCUMENT = ROOT / "docs" / "coming-from-the-guide.md"
PUBLIC = ("README.md", "docs/sessions.md", "docs/coming-from-the-guide.md", "docs/security.md")


# The document


def test_every_weakness_has_a_test_that_is_there(tally: Callable[[str, int], None]) -> None:
    rows = re.findall(
        r"^\| (\d+) \| .+ \| `(?:test_\w+\.py::)?test_\w+` \|$", DOCUMENT.read_text("utf-8"), re.MULTILINE
    )
    assert [int(number) for number in rows] == list(range(1, len(rows) + 1))
    assert len(rows) >= 40
    assert named_and_not_there(DOCUMENT) == []
    tally("weaknesses", len(rows))


def _samples(name: str) -> list[str]:
    return [sample.code for sample in samples(ROOT / name, "python")]


def test_nothing_that_we_show_runs_a_debugger() -> None:
    shown = [path.read_text("utf-8") for path in (ROOT / "examples").iterdir() if path.suffix == ".py"]
    shown += [sample for name in PUBLIC for sample in _samples(name)]
    assert len(shown) > 5
    # NiceGUI's own `ui.run` is how its apps are served; those of Flask and Quart are for development.
    assert not [text for text in shown if re.search(r"debug\s*=\s*True|(?<!\bui)\.run\(", text, re.IGNORECASE)]


class Sample(WSGIFace):
    """The app of the document, as it stands there."""

    def __init__(self, app: Flask) -> None:
        guarded = app.wsgi_app
        assert isinstance(guarded, WSGIAuthMiddleware)
        self.app = guarded
        self.seen = []
        self._carriers = []


@pytest.fixture
def sample(provider: MisbehavingProvider, monkeypatch: pytest.MonkeyPatch, light_clients: None) -> Browser:
    """A browser before the sample, which has the variables of the guide and the development provider's address."""
    environment = {
        "CONSENTKEYS_CLIENT_ID": provider.settings["client_id"],
        "CONSENTKEYS_CLIENT_SECRET": f" {provider.settings['client_secret']}\n",
        "SESSION_SECRET": "one of your own of thirty-two bytes or more",
        "CONSENTKEYS_BASE_URL": provider.issuer,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, str(value))
    (code,) = _samples("docs/coming-from-the-guide.md")
    names: dict[str, Any] = {"__name__": "app"}
    exec(code, names)  # noqa: S102  # our own document
    return Browser(Sample(names["app"]), origin="http://localhost:5000")


def test_the_sample_logs_people_in_at_the_redirect_uri_of_the_guide(
    sample: Browser, provider: MisbehavingProvider
) -> None:
    assert "/auth/login" in sample.get("/").text
    assert sample.get("/dashboard").location == "/auth/login?next=%2Fdashboard"
    assert sample.log_in("/auth/login").location == "/dashboard"
    assert query_of(sample.start_login())["redirect_uri"] == "http://localhost:5000/auth/callback"
    assert "Welcome, Ada!" in sample.get("/dashboard").text
    assert sample.get("/").location == "/dashboard"
    assert provider.last("token").form["code_verifier"]


def test_the_sample_answers_as_the_guide_does(sample: Browser) -> None:
    assert sample.fetch("/api/data").status == 401
    assert sample.fetch("/api/data").json["error"] == "Authentication required"
    assert sample.me().json == {"error": "Not authenticated"}
    sample.log_in()
    assert sample.fetch("/api/data").json["message"] == "This is protected data"
    assert sample.me().json["user"] == sample.fetch("/api/data").json["user"]
    logout = sample.fetch("/auth/logout", "POST", {"Origin": "http://localhost:5000"})
    assert logout.json["success"] is True
    assert sample.me().json == {"error": "Not authenticated"}


def test_the_sample_lets_people_out_by_its_form(sample: Browser) -> None:
    sample.log_in()
    assert sample.post("/auth/logout").status == 303
    assert sample.get("/dashboard").status == 303


def test_the_sample_escapes_what_a_person_is_called(sample: Browser) -> None:
    sample.log_in(name="<script>alert(1)</script>")
    page = sample.get("/dashboard").text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>" not in page


# Weaknesses that no test elsewhere is about


@pytest.mark.parametrize(
    "query", ["", "code={code}", "code={code}&state=", "code={code}&state={state}", "state={state}"]
)
def test_a_callback_with_neither_state_nor_cookie_is_refused(
    face: Face, provider: MisbehavingProvider, query: str
) -> None:
    attacker, victim = Browser(face), Browser(face)
    callback = attacker.choose(attacker.start_login(), name="Mallory")
    sent = {name: quote(value) for name, value in query_of(callback).items()}
    provider.hits.clear()
    answer = victim.get(f"/auth/callback?{query.format(**sent)}")
    assert answer.status == 400
    assert not victim.is_logged_in
    assert provider.hits == []
    assert attacker.come_back(callback).status == 303


def test_no_code_is_redeemed_without_its_verifier(browser: Browser, provider: MisbehavingProvider) -> None:
    lost = browser.choose(browser.start_login())
    browser.cookies.clear()
    assert browser.come_back(lost).status == 400
    assert provider.count("token") == 0
    url = browser.start_login()
    assert browser.come_back(browser.choose(url)).status == 303
    verifier = provider.last("token").form["code_verifier"]
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    assert query_of(url)["code_challenge"] == digest


@pytest.mark.parametrize("status", [200, 400, 401, 403, 500, 503])
@pytest.mark.parametrize(
    "body",
    [{"error": "invalid_token", "error_description": "The token has ended"}, {"error": "oops", "message": "Ended"}, {}],
    ids=["standard", "own", "empty"],
)
def test_an_error_of_userinfo_is_no_user(
    browser: Browser, provider: MisbehavingProvider, status: int, body: dict[str, str]
) -> None:
    provider.faults.answer("userinfo", JSONResponse(body, status))
    answer = browser.log_in()
    assert answer.status in {400, 502}
    assert not browser.is_logged_in
    assert browser.get("/dashboard").status == 303
    provider.faults.heal()
    assert browser.log_in().status == 303
    assert browser.is_logged_in


@pytest.mark.parametrize("endpoint", ["discovery", "jwks", "token", "userinfo"])
@pytest.mark.parametrize("body", ["<html>Internal marker-1f9c</html>", '{"error": "marker-1f9c"}', "marker-1f9c {"])
def test_no_text_of_an_exception_reaches_the_browser(
    browser: Browser, provider: MisbehavingProvider, endpoint: str, body: str
) -> None:
    """Nor what the provider said, nor where it is."""
    provider.faults.answer(endpoint, Response(body, 500, media_type="application/json"))
    page = browser.get("/auth/login") if endpoint == "discovery" else browser.log_in()
    assert page.status == 502
    for text in ("marker-1f9c", urlsplit(provider.issuer).netloc, "Traceback", "Error", "httpx"):
        assert text not in page.text
    assert page.code == "provider_faulty"
    provider.faults.heal()
    assert browser.log_in().status == 303


def test_nothing_can_be_read_from_a_cookie(guard: Guard, provider: MisbehavingProvider) -> None:
    browser = Browser(guard())
    url = browser.start_login()
    begun = dict(browser.cookies)
    browser.come_back(browser.choose(url, name="Ada Lovelace"))
    user, sent = browser.me().json["user"], query_of(url)
    known = [user["sub"], user["name"], user["email"], provider.issuer, str(provider.settings["client_id"])]
    known += [sent["state"], sent["nonce"], provider.last("token").form["code_verifier"]]
    known.append(provider.last("userinfo").headers["authorization"].removeprefix("Bearer "))
    readable = "".join(_readings([*begun.values(), *browser.cookies.values()]))
    assert not [text for text in known if text in readable]


def test_what_can_be_read_from_a_cookie_is_found() -> None:
    """The neighbour of the test before: what Flask itself keeps in a session, as the guide does."""
    app = Flask(__name__)
    app.secret_key = "of thirty-two bytes, as it should be"

    @app.get("/")
    def keep() -> str:
        session["user"], session["access_token"] = {"name": "Ada Lovelace"}, "the token"
        return ""

    cookie = app.test_client().get("/").headers["Set-Cookie"].partition(";")[0].partition("=")[2]
    readable = "".join(_readings([cookie]))
    assert "Ada Lovelace" in readable
    assert "the token" in readable


def _readings(values: Iterable[str]) -> Iterable[str]:
    """Whatever base64 makes of the parts of a cookie."""
    for value in values:
        yield value
        for part in value.split("."):
            yield base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode("utf-8", "replace")
