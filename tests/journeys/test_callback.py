"""What comes back through the browser, and is not what was asked."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.responses import PlainTextResponse

from support.browser import Browser, query_of
from support.clock import Clock
from support.faces import Answer, Asked, Face, Guard
from support.forgery import without
from support.provider import MisbehavingProvider

AGAIN = 'href="/auth/login?next='


def refused(answer: Answer, status: int, code: str) -> bool:
    """A calm page with its code and, where that helps, a way to try again."""
    return (answer.status, answer.code) == (status, code) and AGAIN in answer.text


# Nobody here began it


def test_a_callback_nobody_began_is_a_page_to_start_again(browser: Browser, provider: MisbehavingProvider) -> None:
    answer = browser.get("/auth/callback?code=x&state=foreign")
    assert refused(answer, 400, "login_expired")
    assert provider.hits == []
    assert browser.cookies == {}


def test_a_callback_without_state_is_refused(browser: Browser, provider: MisbehavingProvider) -> None:
    url = browser.choose(browser.start_login())
    code = query_of(url)["code"]
    asked = provider.count("token")
    for query in (f"code={code}", f"code={code}&state=", "", "?", "%FF"):
        assert refused(browser.get(f"/auth/callback?{query}"), 400, "callback_invalid")
    assert provider.count("token") == asked
    assert browser.come_back(url).status == 303  # it is still good


def test_nobody_is_logged_in_by_a_link_that_another_browser_began(face: Face, provider: MisbehavingProvider) -> None:
    attacker, victim = Browser(face), Browser(face)
    url = attacker.choose(attacker.start_login(), name="Mallory")
    answer = victim.come_back(url)
    assert refused(answer, 400, "login_expired")
    assert provider.count("token") == 0
    assert not victim.is_logged_in
    assert attacker.come_back(url).status == 303
    assert attacker.is_logged_in


def test_the_answer_to_one_login_does_not_finish_another(browser: Browser, provider: MisbehavingProvider) -> None:
    one, other = browser.start_login(), browser.start_login()
    code = query_of(browser.choose(one))["code"]
    state = query_of(other)["state"]
    answer = browser.get(f"/auth/callback?code={code}&state={state}&iss={provider.issuer}")
    assert (answer.status, answer.code) == (400, "code_refused")  # PKCE binds the code to its own login
    assert not browser.is_logged_in


def test_a_login_begun_with_another_issuer_is_not_finished(guard: Guard, provider: MisbehavingProvider) -> None:
    before = Browser(guard())
    url = before.choose(before.start_login())
    after = Browser(guard(issuer="http://127.0.0.1:9/moved"), cookies=before.cookies)
    assert refused(after.come_back(url), 400, "login_expired")
    assert provider.count("token") == 0


def test_a_page_that_says_start_again_leads_to_a_login(browser: Browser) -> None:
    page = browser.get("/auth/callback?code=x&state=foreign").text
    again = page.partition('href="')[2].partition('"')[0]
    assert browser.log_in(again).location == "/"
    assert browser.is_logged_in


def test_a_program_reads_the_refusal_as_json(browser: Browser) -> None:
    answer = browser.fetch("/auth/callback?code=x&state=foreign")
    assert answer.status == 400
    assert answer.json["code"] == "login_expired"
    assert answer.json["login_url"] == "/auth/login?next=%2F"
    assert len(answer.json["correlation_id"]) == 12


# It was finished before, or takes too long


def test_the_back_button_leads_on_when_logged_in(browser: Browser, provider: MisbehavingProvider) -> None:
    url = browser.choose(browser.start_login("/auth/login?next=/dashboard"))
    browser.come_back(url)
    answer = browser.come_back(url)
    assert (answer.status, answer.location) == (303, "/")
    assert provider.count("token") == 1
    assert browser.come_back(answer.location).status == 200  # and no loop


def test_a_callback_again_after_logout_is_a_page(browser: Browser) -> None:
    url = browser.choose(browser.start_login())
    browser.come_back(url)
    browser.post("/auth/logout")
    assert refused(browser.come_back(url), 400, "login_expired")
    assert not browser.is_logged_in


@pytest.mark.parametrize("kind", ["cookie"])
def test_a_copied_login_cookie_is_stopped_by_the_code(browser: Browser) -> None:
    url = browser.choose(browser.start_login())
    copied = dict(browser.cookies)
    browser.come_back(url)
    thief = Browser(browser.face, cookies=copied)
    answer = thief.come_back(url)
    assert refused(answer, 400, "code_refused")
    assert not thief.is_logged_in


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_a_copied_login_cookie_is_stopped_before_the_provider_is_asked(
    browser: Browser, provider: MisbehavingProvider
) -> None:
    url = browser.choose(browser.start_login())
    copied = dict(browser.cookies)
    browser.come_back(url)
    thief = Browser(browser.face, cookies=copied)
    answer = thief.come_back(url)
    assert refused(answer, 400, "login_expired")
    assert not thief.is_logged_in
    # A second use of the code could have cost the honest one their tokens (RFC 6749, 4.1.2).
    assert provider.count("token") == 1
    assert browser.is_logged_in


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_of_two_copies_of_a_login_at_once_one_is_redeemed(
    browser: Browser, face: Face, provider: MisbehavingProvider
) -> None:
    target = urlsplit(browser.choose(browser.start_login()))
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    headers = [("Host", "localhost:8000"), ("Cookie", cookie)]
    answers = face.at_once([Asked("GET", f"{target.path}?{target.query}", headers)] * 8)
    assert sorted(answer.status for answer in answers) == [303, *[400] * 7]
    assert provider.count("token") == 1


def test_a_login_may_take_as_long_as_reading_mail_does(browser: Browser, clock: Clock) -> None:
    url = browser.start_login("/auth/login?next=/dashboard")
    clock.move(890)  # as long as a magic link lives
    back = browser.choose(url)
    clock.move(590)
    assert browser.come_back(back).location == "/dashboard"


def test_a_login_that_took_too_long_is_a_page(guard: Guard, provider: MisbehavingProvider, clock: Clock) -> None:
    browser = Browser(guard(login_lifetime="5m"))
    back = browser.choose(browser.start_login("/auth/login?next=/dashboard"))
    clock.move(300)
    answer = browser.come_back(back)
    assert refused(answer, 400, "login_expired")
    assert 'href="/auth/login?next=%2Fdashboard"' in answer.text
    assert provider.count("token") == 0
    assert browser.cookies == {}


def test_a_login_just_in_time_is_a_login(guard: Guard, clock: Clock) -> None:
    browser = Browser(guard(login_lifetime="5m"))
    back = browser.choose(browser.start_login("/auth/login?next=/dashboard"))
    clock.move(299)
    assert browser.come_back(back).location == "/dashboard"


def test_a_forgotten_tab_leads_on_when_logged_in(browser: Browser, clock: Clock) -> None:
    back = browser.choose(browser.start_login("/auth/login?next=/forgotten"))
    browser.log_in()
    clock.move(1801)
    answer = browser.come_back(back)
    assert (answer.status, answer.location) == (303, "/forgotten")
    assert browser.is_logged_in
    assert list(browser.cookies) == ["ck_session"]


# The provider, or the person, said no


def test_a_denied_consent_is_a_403_and_can_be_changed(browser: Browser, provider: MisbehavingProvider) -> None:
    answer = browser.log_in("/auth/login?next=/dashboard", decision="deny")
    assert refused(answer, 403, "access_denied")
    assert 'href="/auth/login?next=%2Fdashboard"' in answer.text
    assert provider.count("token") == 0
    assert browser.cookies == {}
    assert browser.log_in("/auth/login?next=/dashboard").location == "/dashboard"


def test_a_denied_consent_does_not_end_a_session(browser: Browser) -> None:
    browser.log_in()
    assert browser.log_in("/auth/login?prompt=login", decision="deny").status == 403
    assert browser.is_logged_in


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        ("access_denied", 403, "access_denied"),
        ("server_error", 502, "provider_faulty"),
        ("temporarily_unavailable", 503, "provider_unreachable"),
        ("invalid_request", 400, "callback_invalid"),
        ("login_required", 400, "callback_invalid"),
        ("something_new", 400, "callback_invalid"),
        ("<script>alert(1)</script>", 400, "callback_invalid"),
    ],
)
def test_an_error_of_the_provider_has_its_page(
    browser: Browser, provider: MisbehavingProvider, error: str, status: int, code: str
) -> None:
    described = {"error": error, "error_description": "<b>desc-1</b>", "error_uri": "https://evil.example/"}
    provider.faults.callback = lambda query: without("code")(query) | described
    answer = browser.log_in()
    assert (answer.status, answer.code) == (status, code)
    assert provider.count("token") == 0
    assert not browser.is_logged_in
    for echoed in ("<script>", "desc-1", "evil.example"):
        assert echoed not in answer.text


def test_an_error_beside_a_code_is_an_error(browser: Browser, provider: MisbehavingProvider) -> None:
    provider.faults.callback = lambda query: query | {"error": "access_denied"}
    assert browser.log_in().status == 403
    assert provider.count("token") == 0


# It is not whole, or from somebody else


def test_a_callback_without_code_is_refused(browser: Browser, provider: MisbehavingProvider) -> None:
    provider.faults.callback = without("code")
    assert refused(browser.log_in(), 400, "callback_invalid")
    assert provider.count("token") == 0


@pytest.mark.parametrize(
    "code", ["x" * 20_000, "x\x00", "x\n", "\x7f", "\u00e9"], ids=["long", "zero", "newline", "delete", "accent"]
)
def test_no_stranger_makes_the_provider_pass_for_faulty(
    browser: Browser, provider: MisbehavingProvider, code: str
) -> None:
    """By a code that no provider has issued, and that many would answer with anything but `invalid_grant`."""
    provider.faults.callback = lambda query: query | {"code": code}
    provider.faults.answer("token", PlainTextResponse("Content Too Large", 413))
    assert refused(browser.log_in(), 400, "callback_invalid")
    assert browser.get("/auth/health").json["login"] == "ok"
    assert provider.count("token") == 0


@pytest.mark.parametrize("name", ["state", "code", "iss"])
def test_a_parameter_that_comes_twice_is_refused(browser: Browser, provider: MisbehavingProvider, name: str) -> None:
    provider.faults.callback = lambda query: query | {name: [query[name], query[name]]}
    assert refused(browser.log_in(), 400, "callback_invalid")
    assert provider.count("token") == 0
    assert not browser.is_logged_in


def test_an_error_that_comes_twice_is_refused(browser: Browser, provider: MisbehavingProvider) -> None:
    provider.faults.callback = lambda query: query | {"error": ["access_denied", "access_denied"]}
    assert refused(browser.log_in(), 400, "callback_invalid")


@pytest.mark.parametrize("parameter", ["session_state", "scope", "utm_source", "code_2"])
def test_what_is_not_known_is_ignored(browser: Browser, provider: MisbehavingProvider, parameter: str) -> None:
    provider.faults.callback = lambda query: query | {parameter: ["a", "b"]}
    assert browser.log_in().status == 303
    assert browser.is_logged_in


def advertised(document: dict[str, Any]) -> dict[str, Any]:
    return document


unadvertised = without("authorization_response_iss_parameter_supported")


@pytest.mark.parametrize(
    ("discovery", "callback", "accepted"),
    [
        (advertised, lambda query: query, True),
        (advertised, without("iss"), False),
        (advertised, lambda query: query | {"iss": ""}, False),
        (advertised, lambda query: query | {"iss": "https://evil.example"}, False),
        (advertised, lambda query: query | {"iss": query["iss"] + "/"}, False),
        (advertised, lambda query: query | {"iss": query["iss"].upper()}, False),
        (unadvertised, lambda query: query, True),
        (unadvertised, without("iss"), True),
        (unadvertised, lambda query: query | {"iss": ""}, False),
        (unadvertised, lambda query: query | {"iss": "https://evil.example"}, False),
    ],
)
def test_an_answer_is_from_the_issuer_that_was_asked(
    browser: Browser,
    provider: MisbehavingProvider,
    discovery: Callable[[dict[str, Any]], dict[str, Any]],
    callback: Callable[[dict[str, Any]], dict[str, Any]],
    accepted: bool,  # noqa: FBT001  # a column of the table
) -> None:
    provider.faults.discovery, provider.faults.callback = discovery, callback
    answer = browser.log_in()
    assert browser.is_logged_in == accepted
    assert provider.count("token") == accepted
    if not accepted:
        assert refused(answer, 400, "callback_invalid")


def test_an_error_has_to_prove_where_it_comes_from(browser: Browser, provider: MisbehavingProvider) -> None:
    denied = {"error": "access_denied", "iss": "https://evil.example"}
    provider.faults.callback = lambda query: without("code")(query) | denied
    assert refused(browser.log_in(), 400, "callback_invalid")


def test_a_refused_callback_cannot_be_mended(browser: Browser, provider: MisbehavingProvider) -> None:
    good = browser.choose(browser.start_login())
    bad = good.replace("iss=", "iss=https%3A%2F%2Fevil.example%2F&was=")
    assert refused(browser.come_back(bad), 400, "callback_invalid")
    assert refused(browser.come_back(good), 400, "login_expired")
    assert provider.count("token") == 0


def test_a_refusal_of_the_provider_is_final_for_this_login(browser: Browser, provider: MisbehavingProvider) -> None:
    provider.faults.id_token_claims = lambda claims: claims | {"aud": "another"}
    url = browser.choose(browser.start_login())
    assert refused(browser.come_back(url), 400, "token_invalid")
    assert provider.count("userinfo") == 0  # all tokens are worth nothing now
    provider.faults.heal()
    assert refused(browser.come_back(url), 400, "login_expired")
    assert not browser.is_logged_in
