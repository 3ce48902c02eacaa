"""What is written to the log, and above all what is not: nor to a page or a header."""

import logging

import pytest

from ck_middleware.log import ERROR, INFO, WARNING, event
from support.browser import Browser
from support.faces import Asked, Face, Guard
from support.provider import MisbehavingProvider


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


def test_a_refusal_on_a_page_is_found_in_the_log(browser: Browser, log: pytest.LogCaptureFixture) -> None:
    answer = browser.fetch("/auth/callback?state=x&code=y")
    facts = [vars(record) for record in log.records if record.name == "ck_middleware"]
    assert [(fact["ck_code"], fact["ck_correlation_id"]) for fact in facts] == [
        (answer.json["code"], answer.json["correlation_id"])
    ]


def test_nobody_is_identified_in_the_log(
    guard: Guard, provider: MisbehavingProvider, log: pytest.LogCaptureFixture
) -> None:
    """No address, no user agent, no pseudonym, no e-mail."""
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
