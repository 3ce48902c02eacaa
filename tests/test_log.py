"""What is written to the log, and above all what is not: nor to a page or a header."""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.responses import HTMLResponse, JSONResponse, Response

from ck_middleware.gate import Gate
from ck_middleware.log import ERROR, INFO, WARNING, event
from ck_middleware.messages import Request
from support.browser import Browser, query_of
from support.faces import Answer, Asked, Face, Guard
from support.forgery import another_key, without
from support.provider import CLIENT_SECRET, MisbehavingProvider, provider_alone

SESSION_SECRET = "a-session-secret-that-nobody-may-read"
OTHER_SECRET = "an-older-secret-that-nobody-may-read"

# Events


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    return caplog


def test_an_event_has_its_facts_as_fields(log: pytest.LogCaptureFixture) -> None:
    event(WARNING, "login_refused", "login refused", code="token_invalid", correlation_id="abc")
    (record,) = log.records
    assert (record.name, record.levelno) == ("ck_middleware", logging.WARNING)
    fields = {name: value for name, value in vars(record).items() if name.startswith("ck_")}
    assert fields == {"ck_event": "login_refused", "ck_code": "token_invalid", "ck_correlation_id": "abc"}


@pytest.mark.parametrize("level", [INFO, WARNING, ERROR])
def test_an_event_has_its_level(log: pytest.LogCaptureFixture, level: int) -> None:
    event(level, "x", "x")
    assert [record.levelno for record in log.records] == [level]


def test_what_nobody_listens_to_is_not_written(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Costly:
        def __str__(self) -> str:
            raise AssertionError("nobody asked")

    caplog.set_level(logging.WARNING, "ck_middleware")
    event(INFO, "x", "x", fact=Costly())
    assert caplog.records == []


HOSTILE = "a\r\nERROR forged line\x1b[31m\x00\x7f\x85\u2028\u202e\ud800 end"


def test_nobody_writes_a_line_of_their_own(log: pytest.LogCaptureFixture) -> None:
    event(WARNING, "x", HOSTILE, fact=HOSTILE, error=ValueError(HOSTILE))
    (record,) = log.records
    line = record.getMessage()
    assert line.isprintable()
    assert line.encode()  # and it can be written as UTF-8
    assert "forged line" in line  # escaped, not dropped: it may be what explains an attack
    for name, value in vars(record).items():
        assert not name.startswith("ck_") or str(value).isprintable()


def test_what_a_stranger_sends_does_not_fill_the_disk(log: pytest.LogCaptureFixture) -> None:
    event(WARNING, "x", "x", fact="y" * 100_000)
    (record,) = log.records
    assert len(record.getMessage()) < 1000


def test_a_text_with_percent_signs_is_a_text(log: pytest.LogCaptureFixture) -> None:
    event(WARNING, "x", "100% %s %(a)d", fact="%n")
    assert "100% %s %(a)d" in log.records[0].getMessage()


# Secrets


@dataclass
class Watch:
    """Everything that was secret, and everything that was shown."""

    kept: dict[str, str] = field(default_factory=dict)  # by what it is
    asked: dict[str, str] = field(default_factory=dict)  # may stand in a redirect to the provider, and nowhere else
    answers: list[Answer] = field(default_factory=list)

    def secret(self, what: str, value: str) -> None:
        self.kept[f"{what} {len(self.kept)}"] = value

    def token_response(self, members: dict[str, Any]) -> dict[str, Any]:
        for name in ("access_token", "refresh_token", "id_token"):
            self.secret(name, members[name])
            self.secret(f"signature of {name}", members[name].rpartition(".")[2])
        return members


class WatchedBrowser(Browser):
    """A browser whose every answer is looked at again later."""

    watch: Watch

    def request(self, method: str, target: str, *args: Any, **kwargs: Any) -> Answer:
        for name, value in self.cookies.items():
            self.watch.secret(f"cookie {name}", value)
        answer = super().request(method, target, *args, **kwargs)
        self.watch.answers.append(answer)
        if answer.status == 303 and "code_challenge" in answer.location:
            sent = query_of(answer.location)
            for name in ("state", "nonce", "code_challenge"):
                self.watch.asked[f"{name} {len(self.watch.asked)}"] = sent[name]
        for name, value in self.cookies.items():
            self.watch.secret(f"cookie {name}", value)
        return answer

    def choose(self, authorization_url: str, **answer: str) -> str:
        url = super().choose(authorization_url, **answer)
        if code := re.search("[?&]code=([^&]+)", url):
            self.watch.secret("code", code[1])
        return url


@pytest.fixture
def watch(provider: MisbehavingProvider) -> Watch:
    watch = Watch()
    watch.secret("client secret", CLIENT_SECRET)
    watch.secret("session secret", SESSION_SECRET)
    watch.secret("old session secret", OTHER_SECRET)
    provider.faults.token_response = watch.token_response
    return watch


@pytest.fixture
def browser(guard: Guard, watch: Watch) -> WatchedBrowser:
    browser = WatchedBrowser(guard(session_secret=[SESSION_SECRET, OTHER_SECRET], public=["/open"]))
    browser.watch = watch
    return browser


@pytest.fixture
def hunt(watch: Watch, provider: MisbehavingProvider, caplog: pytest.LogCaptureFixture) -> Callable[[], None]:
    """Looks for every secret in the log, whoever wrote it, and in every page and header."""
    caplog.set_level(logging.DEBUG)

    def search() -> None:
        for hit in provider.hits:
            for name in ("code", "code_verifier", "client_secret"):
                if hit.form.get(name):
                    watch.secret(name, hit.form[name])
            if "authorization" in hit.headers:
                watch.secret("Authorization", hit.headers["authorization"].partition(" ")[2])
        logged = "\n".join(logging.Formatter().format(record) + repr(vars(record)) for record in caplog.records)
        assert logged
        for what, secret in (watch.kept | watch.asked).items():
            assert secret not in logged, what
        for answer in watch.answers:
            _search(answer, watch)
        for record in caplog.records:
            assert record.name != "ck_middleware" or record.getMessage().isprintable()

    return search


def _search(answer: Answer, watch: Watch) -> None:
    """A cookie's value may stand in the header that sets it, and what the provider is asked in the way there."""
    shown = answer.text + "\n".join(f"{name}: {value}" for name, value in answer.headers if name != "set-cookie")
    set_cookies = "\n".join(answer.every("set-cookie"))
    to_provider = "code_challenge=" in (answer.header("location") or "")
    for what, secret in watch.kept.items():
        assert secret not in shown, what
        assert what.startswith("cookie ") or secret not in set_cookies, what
    for what, secret in watch.asked.items():
        assert to_provider or secret not in shown, what
        assert secret not in set_cookies, what


Story = Callable[[WatchedBrowser, MisbehavingProvider], object]


def login_and_logout(browser: WatchedBrowser, provider: MisbehavingProvider) -> None:
    browser.get("/dashboard?code=x")
    browser.log_in("/auth/login?next=/dashboard&login_hint=ada")
    browser.get("/dashboard")
    browser.get("/open")
    assert browser.is_logged_in
    browser.get("/auth/logout")
    browser.post("/auth/logout", {"Sec-Fetch-Site": "cross-site"})
    browser.fetch("/auth/logout", "POST")
    browser.log_in()
    browser.post("/auth/logout")


def replay(browser: WatchedBrowser, provider: MisbehavingProvider) -> None:
    url = browser.choose(browser.start_login())
    copied = dict(browser.cookies)
    browser.come_back(url)
    browser.come_back(url)
    browser.cookies = copied
    assert browser.come_back(url).code == "code_refused"
    assert browser.come_back(url).code == "login_expired"


def foreign_callback(browser: WatchedBrowser, provider: MisbehavingProvider) -> None:
    url = browser.choose(browser.start_login())
    browser.cookies.clear()
    assert browser.come_back(url).status == 400
    assert browser.fetch(url.removeprefix("http://localhost:8000")).status == 400


def wrong_issuer(browser: WatchedBrowser, provider: MisbehavingProvider) -> None:
    provider.faults.callback = lambda query: query | {"iss": HOSTILE.replace("\ud800", "")}
    assert browser.log_in().status == 400


def twice(browser: WatchedBrowser, provider: MisbehavingProvider) -> None:
    provider.faults.callback = lambda query: query | {"code": [query["code"], query["code"]]}
    assert browser.log_in().status == 400


def hostile_error(browser: WatchedBrowser, provider: MisbehavingProvider) -> None:
    provider.faults.callback = lambda query: {"state": query["state"], "iss": query["iss"], "error": "a\r\nforged"}
    assert browser.log_in().status == 400


def denied(browser: WatchedBrowser, provider: MisbehavingProvider) -> None:
    assert browser.log_in(decision="deny").status == 403


def forged_token(browser: WatchedBrowser, provider: MisbehavingProvider) -> None:
    provider.faults.sign = another_key
    assert browser.log_in().code == "token_invalid"


def spoilt_token(browser: WatchedBrowser, provider: MisbehavingProvider) -> None:
    for spoil in (str.upper, lambda token: "x." + token, lambda token: token * 20, lambda token: token + "\r\nx"):
        provider.faults.raw_id_token = spoil
        assert browser.log_in().code in {"token_invalid", "provider_faulty"}


def wrong_nonce(browser: WatchedBrowser, provider: MisbehavingProvider) -> None:
    provider.faults.id_token_claims = lambda claims: claims | {"nonce": "another"}
    assert browser.log_in().code == "token_invalid"


def no_id_token(browser: WatchedBrowser, provider: MisbehavingProvider) -> None:
    watched = provider.faults.token_response
    provider.faults.token_response = lambda members: without("id_token")(watched(members))
    assert browser.log_in().code == "token_invalid"


def broken_userinfo(browser: WatchedBrowser, provider: MisbehavingProvider) -> None:
    for broken in (Response(status_code=500), JSONResponse({"sub": "x"}), HTMLResponse("<h1>x</h1>")):
        provider.faults.answer("userinfo", broken)
        assert browser.log_in().status >= 400


def echoing_provider(browser: WatchedBrowser, provider: MisbehavingProvider) -> None:
    """Some provider's error says back what it was sent."""
    provider.faults.error = lambda document: {
        "error": f"invalid_{provider.last('token').form['code']}",
        "error_description": str(provider.last("token").form),
    }
    provider.auth_methods = ("client_secret_basic",)
    assert browser.log_in().status == 502
    provider.faults.answer("token", Response(CLIENT_SECRET, 500))
    assert browser.log_in().status == 502


def too_large(browser: WatchedBrowser, provider: MisbehavingProvider) -> None:
    provider.faults.userinfo = lambda claims: claims | {"groups": ["x"] * 3000}
    assert browser.log_in().code == "session_too_large"


def planted_cookies(browser: WatchedBrowser, provider: MisbehavingProvider) -> None:
    browser.log_in()
    session = browser.cookies["ck_session"]
    browser.get("/dashboard", {"Cookie": f"ck_session={session}; ck_session={session}"})
    browser.get("/auth/me", {"Cookie": f"ck_session={session}x"})
    browser.get("//dashboard")
    browser.get("/auth/nothing")
    browser.get("/auth/login", {"Host": "evil.example\r\nforged"})


STORIES = [
    login_and_logout,
    replay,
    foreign_callback,
    wrong_issuer,
    twice,
    hostile_error,
    denied,
    forged_token,
    spoilt_token,
    wrong_nonce,
    no_id_token,
    broken_userinfo,
    echoing_provider,
    too_large,
    planted_cookies,
]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_no_secret_is_shown_to_anyone(
    browser: WatchedBrowser, provider: MisbehavingProvider, hunt: Callable[[], None], story: Story
) -> None:
    story(browser, provider)
    hunt()


@pytest.mark.parametrize("auth", ["client_secret_post", "client_secret_basic"])
def test_no_secret_is_shown_while_the_provider_is_down(
    guard: Guard, watch: Watch, hunt: Callable[[], None], auth: str
) -> None:
    with provider_alone() as (provider, server):
        settings = provider.settings | {"session_secret": SESSION_SECRET, "client_auth": auth}
        browser = WatchedBrowser(guard(**settings))
        browser.watch = watch
        back = browser.choose(browser.start_login())
        server.stop()
        assert browser.come_back(back).status == 503
        assert browser.get("/auth/login").status == 303  # its page cannot be reached, but is known
    hunt()


def test_no_secret_is_shown_by_a_fault_of_ours(
    browser: WatchedBrowser, hunt: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(self: Gate, request: Request) -> None:
        raise ValueError(request.cookies.decode() + SESSION_SECRET + CLIENT_SECRET)

    browser.log_in()
    monkeypatch.setattr(Gate, "admit", broken)
    assert browser.get("/dashboard").status == 500
    assert browser.fetch("/api/x").status == 500
    hunt()


def test_the_hunt_finds_what_there_is(browser: WatchedBrowser, hunt: Callable[[], None]) -> None:
    browser.log_in()
    logging.getLogger("somebody.else").debug("cookies: %s", browser.cookies)
    with pytest.raises(AssertionError, match="cookie ck_session"):
        hunt()


def test_a_refusal_on_a_page_is_found_in_the_log(browser: Browser, log: pytest.LogCaptureFixture) -> None:
    answer = browser.fetch("/auth/callback?state=x&code=y")
    facts = [vars(record) for record in log.records if record.name == "ck_middleware"]
    assert [(fact["ck_code"], fact["ck_correlation_id"]) for fact in facts] == [
        (answer.json["code"], answer.json["correlation_id"])
    ]


def test_nobody_is_identified_in_the_log(
    guard: Guard, provider: MisbehavingProvider, log: pytest.LogCaptureFixture
) -> None:
    """No address, no user agent, no pseudonym, no e-mail (CONSENTKEYS.md, duties)."""
    face: Face = guard()
    browser = Browser(face)
    agent = {"User-Agent": "an-agent-of-its-own", "X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9"}
    browser.request("GET", "/auth/callback?state=x", agent)
    browser.log_in(name="Ada Lovelace")
    person = browser.me().json["user"]
    browser.request("POST", "/auth/logout", agent)
    face.ask(Asked("GET", "/auth/login", [("Host", "app.example"), *agent.items()]))
    logged = "\n".join(
        f"{record.getMessage()} {vars(record)}" for record in log.records if record.name == "ck_middleware"
    )
    assert logged
    for hint in ("an-agent-of-its-own", "203.0.113.9", person["sub"], person["email"], "Ada Lovelace"):
        assert hint not in logged
