"""The provider is down, slow or wrong, or changes its keys: who is refused, how, and who does not notice."""

import contextlib
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol, Unpack, cast
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.responses import HTMLResponse, JSONResponse, Response

from ck_middleware.config import Settings
from support.browser import Browser
from support.clock import Clock
from support.faces import TOKEN, Answer, Face, Guard, told
from support.forgery import Change, without
from support.provider import Hub, MisbehavingProvider, provider_alone
from support.serving import RawServer
from support.trouble import AT_ONCE, TYPICAL, WAITING, Place, Trouble

HASTY = 1  # seconds: the shortest timeout that there is, where waiting is in vain
PATIENT = 60  # seconds, where an honest answer comes
BOUND = 20  # seconds beside the timeout, for a machine that has other things to do; who hangs takes for ever
CROWD = 50

KINDS = ("cookie", "sqlite", "redis")
cookie = pytest.mark.parametrize("kind", ["cookie"])
stored = pytest.mark.parametrize("kind", ["memory"])  # a store that is never in trouble itself


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# Down, and up again


def test_a_login_fails_while_the_provider_is_down_and_works_when_it_is_up(guard: Guard) -> None:
    with provider_alone() as (provider, server):
        browser = Browser(guard(**provider.settings))
        server.stop()
        answer = browser.get("/auth/login?next=/dashboard")
        assert (answer.status, answer.code) == (503, "provider_unreachable")
        assert answer.header("retry-after")
        assert "Try again" in answer.text
        assert browser.cookies == {}
        again = answer.text.partition('href="')[2].partition('"')[0]
        server.start()
        assert browser.log_in(again).location == "/dashboard"
        assert browser.is_logged_in


def test_a_provider_that_goes_down_in_the_middle_of_a_login(guard: Guard) -> None:
    with provider_alone() as (provider, server):
        browser = Browser(guard(**provider.settings))
        back = browser.choose(browser.start_login())
        server.stop()
        answer = browser.come_back(back)
        assert (answer.status, answer.code) == (503, "provider_unreachable")
        assert not browser.is_logged_in
        server.start()
        browser.log_in()
        assert browser.is_logged_in


def test_who_is_logged_in_does_not_notice_an_outage(guard: Guard) -> None:
    with provider_alone() as (provider, server):
        face = guard(**provider.settings)
        browser = Browser(face)
        browser.log_in(name="Ada")
        server.stop()
        assert told(browser.get("/dashboard"))["name"] == "Ada"
        assert browser.is_logged_in
        restarted = Browser(guard(**provider.settings), cookies=browser.cookies)  # nothing is fetched at a start
        assert told(restarted.get("/dashboard"))["name"] == "Ada"


# Wrong answers


def test_a_program_reads_of_an_outage_as_json(browser: Browser, provider: MisbehavingProvider) -> None:
    provider.faults.answer("discovery", Response(status_code=500))
    answer = browser.fetch("/auth/login")
    assert (answer.status, answer.json["code"]) == (502, "provider_faulty")
    assert browser.cookies == {}


def test_metadata_is_fetched_once_for_many_logins(browser: Browser, provider: MisbehavingProvider) -> None:
    for _ in range(3):
        browser.log_in()
    assert (provider.count("discovery"), provider.count("jwks"), provider.count("token")) == (1, 1, 3)


def test_metadata_of_another_issuer_starts_no_login(browser: Browser, provider: MisbehavingProvider) -> None:
    provider.faults.discovery = lambda document: document | {"issuer": document["issuer"] + "/"}
    answer = browser.get("/auth/login")
    assert (answer.status, answer.code) == (502, "provider_faulty")
    assert provider.count("auth") == 0
    assert browser.cookies == {}


def test_keys_may_change_between_two_logins(browser: Browser, provider: MisbehavingProvider) -> None:
    browser.log_in(name="Ada")
    provider.rotate()
    browser.log_in(name="Grace")
    assert told(browser.get("/"))["name"] == "Grace"
    assert provider.count("jwks") == 2


def test_keys_may_change_just_before_signing(browser: Browser, provider: MisbehavingProvider) -> None:
    browser.log_in(name="Ada")
    provider.faults.rotate_before_signing = True
    browser.log_in(name="Grace")
    assert told(browser.get("/"))["name"] == "Grace"


@pytest.mark.parametrize(
    ("userinfo", "status", "code"),
    [
        (JSONResponse({"sub": "somebody-else", "name": "Mallory"}), 400, "token_invalid"),
        (JSONResponse({"name": "Mallory"}), 400, "token_invalid"),
        (Response(status_code=500), 502, "provider_faulty"),
        (JSONResponse({"error": "invalid_token"}, 401), 502, "provider_faulty"),
        (HTMLResponse("<h1>Welcome</h1>"), 502, "provider_faulty"),
        (JSONResponse(["a", "list"]), 502, "provider_faulty"),
    ],
)
def test_userinfo_that_cannot_be_used_ends_the_login(
    browser: Browser, provider: MisbehavingProvider, userinfo: Response, status: int, code: str
) -> None:
    provider.faults.answer("userinfo", userinfo)
    answer = browser.log_in()
    assert (answer.status, answer.code) == (status, code)
    assert browser.cookies == {}
    provider.faults.heal()
    assert browser.log_in().status == 303


def test_userinfo_says_nothing_of_the_login_itself(browser: Browser, provider: MisbehavingProvider) -> None:
    provider.faults.userinfo = lambda claims: claims | {"iss": "https://evil.example", "aud": "x", "exp": 1}
    browser.log_in()
    claims = browser.me().json["user"]
    assert claims["iss"] == provider.issuer
    assert claims["exp"] > 1


def test_a_wrong_client_secret_is_a_502(guard: Guard) -> None:
    browser = Browser(guard(client_secret="not-the-right-one"))
    answer = browser.log_in()
    assert (answer.status, answer.code) == (502, "client_refused")
    assert "not-the-right-one" not in answer.text
    assert not browser.is_logged_in


@pytest.mark.parametrize(
    "error",
    [
        lambda document: document,
        lambda document: {"error": document["error"], "message": document["error_description"]},
    ],
)
def test_an_unknown_client_is_a_502_in_both_shapes_of_errors(
    guard: Guard, provider: MisbehavingProvider, error: Callable[[dict[str, str]], dict[str, str]]
) -> None:
    provider.faults.error = error
    browser = Browser(guard())
    back = browser.choose(browser.start_login())
    provider.clients.clear()
    answer = browser.come_back(back)
    assert (answer.status, answer.code) == (502, "client_refused")


def test_a_failed_login_leaves_the_session_before_it_alone(browser: Browser, provider: MisbehavingProvider) -> None:
    browser.log_in(name="Ada")
    provider.faults.answer("token", Response("<h1>Bad Gateway</h1>", 502))
    assert browser.log_in(name="Grace").status == 502
    assert told(browser.get("/"))["name"] == "Ada"


# Every trouble at every endpoint

Tally = Callable[[str, int], None]
ENDPOINTS = {
    "jwks": "jwks_uri",
    "token": "token_endpoint",
    "userinfo": "userinfo_endpoint",
    "revoke": "revocation_endpoint",
}
NEEDED = {
    "authorization_endpoint": "auth",
    "token_endpoint": "token",
    "userinfo_endpoint": "userinfo",
    "jwks_uri": "jwks",
}
INSIDE = re.compile(r"Traceback|[A-Z][A-Za-z]*(?:Error|Exception)\b|httpx|httpcore|\.py\b|errno|SSL|127\.0\.0\.1")


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guard: Guard) -> Iterator[Callable[[Trouble], Place]]:
    """Opens a trouble. Certificates that are to be trusted are trusted from then on."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    monkeypatch.setattr(httpx, "create_ssl_context", lambda: context)  # in place of what `guard` put there
    with ExitStack() as opened:

        def open_(trouble: Trouble) -> Place:
            place = opened.enter_context(trouble.at(tmp_path))
            if place.certificate:
                context.load_verify_locations(place.certificate)
            return place

        yield open_


@dataclass
class Stage:
    """A provider of its own: well at first, and then with a trouble at one endpoint.

    Whoever meets the trouble does so at an app that knows only the metadata of the provider, as after a restart.
    All its apps share their sessions.
    """

    guard: Guard
    provider: MisbehavingProvider
    endpoint: str
    place: Place
    settings: Settings

    def __post_init__(self) -> None:
        self.settings = {**self.provider.settings, **self.settings}
        if self.endpoint == "discovery":  # the document is found at the issuer
            issuer = {"iss": self.place.url}
            self.settings["issuer"] = issuer["iss"]
            self.provider.faults.callback = lambda query: query | issuer
            self.provider.faults.id_token_claims = lambda claims: claims | issuer

    def before(self) -> Face:
        """An app that the provider answers."""
        if self.endpoint != "discovery":
            return self.guard(**(self.settings | Settings(timeout=PATIENT)))
        known = cast("Settings", {name: self.provider.url(short) for name, short in NEEDED.items()})
        return self.guard(**(self.settings | known | Settings(timeout=PATIENT)))

    def meanwhile(self, timeout: float) -> Face:
        """An app that meets the trouble."""
        face = self.guard(**(self.settings | Settings(timeout=timeout)))
        if self.endpoint != "discovery":
            moved = {ENDPOINTS[self.endpoint]: self.place.url}
            self.provider.faults.discovery = lambda document: document | moved
            wait_until(lambda: Browser(face).get("/auth/login").status == 303)  # a hasty one may try in vain at first
        return face


class Stages(Protocol):
    def __call__(self, endpoint: str, place: Place, **settings: Unpack[Settings]) -> Stage: ...


@pytest.fixture
def stages(guard: Guard, hub: Hub) -> Iterator[Stages]:
    with ExitStack() as running:

        def make(endpoint: str, place: Place, **settings: Unpack[Settings]) -> Stage:
            return Stage(guard, running.enter_context(hub.provider()), endpoint, place, settings)

        yield make


Places = Callable[[Trouble], Place]
Act = Callable[[], Answer]


def refuse_logins(stages: Stages, places: Places, troubles: Sequence[Trouble], *, timeout: float) -> int:
    """People who are under way while each endpoint is in each of these troubles, all at once, and how many."""
    acts: dict[tuple[str, str, str], Act] = {}
    members: list[Browser] = []
    for trouble in troubles:
        place = places(trouble)
        for endpoint in ("discovery", "jwks", "token", "userinfo"):
            stage = stages(endpoint, place)
            before = stage.before()
            member, guest = Browser(before), Browser(before)
            member.log_in(name="Ada")
            back = guest.choose(guest.start_login())
            member.face = guest.face = stage.meanwhile(timeout)
            members.append(member)
            acts[trouble.name, endpoint, "callback"] = partial(guest.come_back, back)
            if endpoint == "discovery":
                acts[trouble.name, endpoint, "login"] = partial(Browser(guest.face).get, "/auth/login")
                acts[trouble.name, endpoint, "fetch"] = partial(Browser(guest.face).fetch, "/auth/login")
    answers = dict(zip(acts, in_time(members[0].face, list(acts.values()), timeout), strict=True))
    expected = {trouble.name: trouble.refusal for trouble in troubles}
    assert {act: (answer.status, answer.code) for act, answer in answers.items()} == {
        act: expected[act[0]] for act in acts
    }
    for answer in answers.values():
        assert not INSIDE.search(answer.text)
        assert not [cookie for cookie in answer.every("set-cookie") if "ck_session" in cookie]
    assert {told(member.get("/"))["name"] for member in members} == {"Ada"}
    return len(acts)


def in_time(face: Face, acts: Sequence[Act], timeout: float) -> list[Answer]:
    began = time.monotonic()
    answers = face.together(acts)
    assert time.monotonic() - began < timeout + BOUND
    return answers


@cookie
@pytest.mark.parametrize("trouble", AT_ONCE, ids=str)
def test_a_login_that_meets_trouble_is_refused(stages: Stages, places: Places, trouble: Trouble, tally: Tally) -> None:
    tally("logins refused", refuse_logins(stages, places, [trouble], timeout=PATIENT))


@cookie
def test_a_login_that_waits_in_vain_is_refused_in_time(stages: Stages, places: Places, tally: Tally) -> None:
    tally("logins refused", refuse_logins(stages, places, WAITING, timeout=HASTY))


@cookie
def test_a_login_at_a_slow_provider_succeeds(guard: Guard, provider: MisbehavingProvider) -> None:
    for endpoint in ("discovery", "jwks", "token", "userinfo"):
        provider.faults.hang(endpoint, 0.2)
    browser = Browser(guard(timeout=PATIENT))
    assert browser.log_in(name="Ada").status == 303
    assert told(browser.get("/"))["name"] == "Ada"


# Sessions in trouble

RECHECK, ENDING = 900, 3600 - 30  # seconds; an access token lives an hour, and is renewed in its last minute


@dataclass(frozen=True)
class Duty:
    """What is due for a session, which endpoint it takes, and what comes of it while that one is in trouble."""

    name: str
    endpoint: str
    settings: Settings
    act: Callable[[Browser, MisbehavingProvider], Answer]
    outcome: Callable[[Answer], object]
    expected: object
    change: Mapping[str, Change] = field(default_factory=dict)  # to the provider, from before the login
    ends: bool = False

    def __str__(self) -> str:
        return self.name


def visit(browser: Browser, _: MisbehavingProvider) -> Answer:
    return browser.get("/")


def ask_for_the_token(browser: Browser, _: MisbehavingProvider) -> Answer:
    return browser.get(TOKEN)


def log_out(browser: Browser, _: MisbehavingProvider) -> Answer:
    return browser.post("/auth/logout")


def log_out_from_behind(browser: Browser, provider: MisbehavingProvider) -> Answer:
    form = {"logout_token": provider.logout_token(told(browser.get("/"))["sub"])}
    return Browser(browser.face).post("/auth/backchannel-logout", form=form)


def status(answer: Answer) -> int:
    return answer.status


def told_of_the_token(answer: Answer) -> list[str]:
    return list(answer.json)


def sent_to(answer: Answer) -> str:
    return urlsplit(answer.location).path.rpartition("/")[2]


TOKENS = Settings(keep_tokens=True)
LONG_RECHECK = Settings(recheck=RECHECK)
DUTIES = [
    Duty("a token to be renewed", "token", TOKENS, ask_for_the_token, told_of_the_token, ["token"]),
    Duty(
        "a token that has ended",
        "token",
        TOKENS,
        ask_for_the_token,
        lambda answer: answer.json,
        {"error": "ProviderUnreachable"},
        {"token_response": lambda answer: answer | {"expires_in": 100}},
    ),
    Duty("a recheck by refresh", "token", LONG_RECHECK, visit, status, 200),
    Duty(
        "a recheck by userinfo",
        "userinfo",
        LONG_RECHECK,
        visit,
        status,
        200,
        {"token_response": without("refresh_token")},
    ),
    Duty("a recheck after a restart", "discovery", LONG_RECHECK, visit, status, 200),
    Duty("a logout that revokes tokens", "revoke", TOKENS, log_out, sent_to, "logout", ends=True),
    Duty("a logout after a restart", "discovery", TOKENS, log_out, sent_to, "", ends=True),
    Duty("a logout by the provider", "jwks", Settings(), log_out_from_behind, status, 400),
]


def meet_duties(stages: Stages, places: Places, clock: Clock, troubles: Sequence[Trouble], *, timeout: float) -> int:
    """Sessions that are due for everything while what it takes is in each of these troubles, all at once."""
    met: dict[tuple[str, str], tuple[Duty, Browser, Act]] = {}
    for trouble in troubles:
        place = places(trouble)
        for duty in DUTIES:
            stage = stages(duty.endpoint, place, **duty.settings)
            stage.provider.offers_revocation = True
            for name, change in duty.change.items():
                setattr(stage.provider.faults, name, change)
            member = Browser(stage.before())
            member.log_in(name="Ada")
            member.face = stage.meanwhile(timeout)
            met[trouble.name, duty.name] = duty, member, partial(duty.act, member, stage.provider)
    clock.move(ENDING)
    (_, first, _), *_ = met.values()
    answers = in_time(first.face, [act for _, _, act in met.values()], timeout)
    outcomes = {key: duty.outcome(answer) for (key, (duty, _, _)), answer in zip(met.items(), answers, strict=True)}
    assert outcomes == {key: duty.expected for key, (duty, _, _) in met.items()}
    standing = {key: "ck_session" in member.cookies and member.is_logged_in for key, (_, member, _) in met.items()}
    assert standing == {key: not duty.ends for key, (duty, _, _) in met.items()}
    return len(met)


@stored
@pytest.mark.parametrize("trouble", TYPICAL, ids=str)
def test_a_session_outlasts_trouble_and_can_be_ended(
    stages: Stages, places: Places, clock: Clock, trouble: Trouble, tally: Tally
) -> None:
    tally("sessions kept or ended", meet_duties(stages, places, clock, [trouble], timeout=PATIENT))


@stored
def test_a_session_outlasts_a_provider_that_is_waited_for_in_vain(
    stages: Stages, places: Places, clock: Clock, tally: Tally
) -> None:
    tally("sessions kept or ended", meet_duties(stages, places, clock, WAITING, timeout=HASTY))


# Everybody else


@pytest.mark.parametrize("kind", ["cookie", "sqlite"])
@pytest.mark.parametrize(("endpoint", "connections"), [("discovery", 1), ("jwks", 1), ("token", 5), ("userinfo", 5)])
def test_while_logins_wait_everybody_else_is_served(stages: Stages, endpoint: str, connections: int) -> None:
    with RawServer([b"x"], pause=3600) as silent:
        stage = stages(endpoint, Place(silent.url), public=["/health"])
        before = stage.before()
        member, guests = Browser(before), [Browser(before) for _ in range(5)]
        member.log_in(name="Ada")
        backs = [guest.choose(guest.start_login()) for guest in guests]
        face = member.face = stage.meanwhile(PATIENT)
        for guest in guests:
            guest.face = face

        def look_around() -> list[Answer]:
            with letting_go(silent):
                wait_until(lambda: silent.connections == connections)
                return [member.get("/dashboard"), member.me(), *(Browser(face).get(to) for to in ("/health", "/api"))]

        waiting: list[Callable[[], list[Answer]]]
        waiting = [partial(wait_for, guest, back) for guest, back in zip(guests, backs, strict=True)]
        *refused, served = face.together([*waiting, look_around])
        assert [answer.status for answer in served] == [200, 200, 200, 401]
        assert told(served[0])["name"] == "Ada"
        assert {(answer.status, answer.code) for (answer,) in refused} == {(503, "provider_unreachable")}


@stored
def test_while_a_session_is_confirmed_everybody_else_is_served(stages: Stages, clock: Clock) -> None:
    with RawServer([b"x"], pause=3600) as silent:
        stage = stages("token", Place(silent.url), public=["/health"], recheck=RECHECK)
        member, due = Browser(stage.before()), Browser(stage.before())
        due.log_in(name="Ada")
        clock.move(RECHECK)
        member.log_in(name="Grace")
        face = due.face = member.face = stage.meanwhile(PATIENT)

        def look_around() -> list[Answer]:
            with letting_go(silent):
                wait_until(lambda: silent.connections == 1)
                return [member.get("/dashboard"), member.me(), Browser(face).get("/health")]

        confirmed, served = face.together([lambda: [due.get("/")], look_around])
        assert [answer.status for answer in (*served, *confirmed)] == [200] * 4


def wait_for(guest: Browser, back: str) -> list[Answer]:
    return [guest.come_back(back)]


@contextlib.contextmanager
def letting_go(server: RawServer) -> Iterator[None]:
    """Whatever happens: who waits must not wait for ever."""
    try:
        yield
    finally:
        server.let_go()


def wait_until(holds: Callable[[], bool]) -> None:
    ending = time.monotonic() + PATIENT
    while not holds():
        assert time.monotonic() < ending
        time.sleep(0.01)


# When it is over


@cookie
def test_a_crowd_after_an_outage_causes_one_fetch_of_each_document(guard: Guard) -> None:
    with provider_alone() as (provider, server):
        face = guard(**(provider.settings | Settings(timeout=PATIENT)))
        crowd = [Browser(face) for _ in range(CROWD)]
        server.stop()
        assert crowd[0].get("/auth/login").status == 503
        server.start()
        there = face.together([browser.start_login for browser in crowd])
        assert provider.count("discovery") == 1
        backs = [browser.choose(url) for browser, url in zip(crowd, there, strict=True)]
        server.stop()
        assert crowd[0].come_back(backs[0]).status == 503
        server.start()
        arrivals = [partial(browser.come_back, back) for browser, back in zip(crowd, backs, strict=True)]
        assert {answer.status for answer in face.together(arrivals[1:])} == {303}
        assert (provider.count("discovery"), provider.count("jwks")) == (1, 1)
        assert provider.count("token") == CROWD - 1
        assert all(browser.is_logged_in for browser in crowd[1:])
