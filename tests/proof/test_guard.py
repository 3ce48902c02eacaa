"""Whatever spelling of a protected path a framework accepts, its handler does not run for a stranger.

Each framework is asked first, without the guard, which of thousands of misspellings it routes to a protected handler.
Those are then sent through the guard. Scopes and environs are made by hand, since ready-made clients tidy paths up.
"""

import asyncio
import io
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, NamedTuple
from wsgiref.types import WSGIApplication, WSGIEnvironment

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as searching
from hypothesis import strategies as st
from starlette.types import ASGIApp, Message, Scope

from ck_middleware import ASGIAuthMiddleware, AuthConfig, WSGIAuthMiddleware
from ck_middleware.config import Settings
from support.browser import Browser
from support.faces import ASGIFace, Face, Guard, WSGIFace
from support.faces import Asked as AskedOfFace
from support.frameworks import asgi, django, fastapi, wsgi
from support.frameworks.site import MOUNT, PREFIXES, PROTECTED, SOCKET, Build, Witness, plain
from support.legitimate import LEGITIMATE, Legitimate
from support.provider import Hub, MisbehavingProvider
from support.spellings import (
    AS_GUNICORN,
    AS_HYPERCORN,
    AS_UVICORN,
    AT_THE_ROOT,
    Asked,
    Place,
    presented_to_asgi,
    presented_to_wsgi,
    spellings,
    target_on_asgi,
    target_on_wsgi,
    targets,
)

Tally = Callable[[str, int], None]

pytestmark = pytest.mark.timeout(1800)  # seconds; a long search takes minutes for each framework

SESSION_SECRET = "x" * 40
ORIGIN = "http://localhost:8000"
TURNED_AWAY = {303, 400, 401, 403}  # the last one: a WebSocket where a server knows no other refusal
RAISED = 500  # what a server makes of an app that raises

Rules = Mapping[str, Settings]

BY_DEFAULT: Settings = {"public": ["/", "/public", "/public/", "/pre/public", MOUNT + "/public"]}


def rules(*, head: str = "") -> Rules:
    """The two ways to say it. Under a mount that nobody shows, a path is spelled with the mount."""
    return {"by-prefix": {"protect": [head + prefix for prefix in PREFIXES]}, "by-default": BY_DEFAULT}


@dataclass(frozen=True)
class Setup:
    """A framework, and where it stands. `sample` is how many mutants are tried in each place."""

    face: str
    build: Build
    places: tuple[Place, ...]
    settings: Settings = field(default_factory=Settings)
    rules: Rules = field(default_factory=rules)
    sample: int = 1500
    share: float = 1  # of the misspellings that are known to lead somewhere
    by_raw_path: bool = False
    has_sockets: bool = False

    def guarded(self, witness: Witness, settings: Settings) -> Any:
        kind: Any = ASGIAuthMiddleware if self.face == "asgi" else WSGIAuthMiddleware
        return self.build(witness, lambda app: kind(app, AuthConfig(**(settings | self.settings))))

    def presented(self, spelling: str, place: Place) -> Iterator[list[Asked]]:
        """Requests that are one and the same to the framework, though not to the guard."""
        if self.face == "wsgi":
            yield from ([asked] for asked in presented_to_wsgi(spelling, place))
        elif self.by_raw_path:
            yield from ([asked] for asked in presented_to_asgi(spelling, place, by_raw_path=True))
        else:
            yield list(presented_to_asgi(spelling, place, by_raw_path=False))


WSGI_PLACES = (AT_THE_ROOT, AS_GUNICORN)
ASGI_PLACES = (AT_THE_ROOT, AS_UVICORN, AS_HYPERCORN)
UNDER_MOUNT = (Place("", MOUNT), Place("/pre", "/pre" + MOUNT))
UNSEEN: Settings = {"base_url": ORIGIN + "/pre"}  # says what the scope does not

on_wsgi = partial(Setup, "wsgi", places=WSGI_PLACES)
on_asgi = partial(Setup, "asgi", places=ASGI_PLACES, has_sockets=True)
hidden = partial(on_asgi, places=(Place("", "/pre"),), settings=UNSEEN)
SETUPS = {
    "flask": on_wsgi(wsgi.flask_app),
    "flask-inside-mount": on_wsgi(wsgi.dispatched_flask_app, places=(Place("", MOUNT), Place("/pre", MOUNT))),
    "bottle": on_wsgi(wsgi.bottle_app),
    "pyramid": on_wsgi(wsgi.pyramid_app),
    "falcon-wsgi": on_wsgi(wsgi.falcon_wsgi_app),
    "django-wsgi": on_wsgi(django.django_wsgi_app),
    "django-asgi": on_asgi(django.django_asgi_app, sample=500, share=0.5, has_sockets=False),
    "django-asgi-forced": hidden(django.forced_django_asgi_app, sample=500, share=0.5, has_sockets=False),
    "falcon-asgi": on_asgi(asgi.falcon_asgi_app),
    "starlette": on_asgi(asgi.starlette_app),
    "starlette-inside-mount": on_asgi(asgi.mounted_starlette_app, places=UNDER_MOUNT),
    "starlette-outside-mount": on_asgi(asgi.mounting_starlette_app, places=UNDER_MOUNT, rules=rules(head=MOUNT)),
    "fastapi": on_asgi(fastapi.fastapi_app, sample=800),
    "fastapi-root-path": hidden(partial(fastapi.fastapi_app, root_path="/pre"), sample=800),
    "quart": on_asgi(asgi.quart_app, sample=500),
    "litestar": on_asgi(asgi.litestar_app, sample=800),
    "blacksheep": on_asgi(asgi.blacksheep_app, sample=800, by_raw_path=True),
}
WITH_SOCKETS = [name for name, setup in SETUPS.items() if setup.has_sockets]


# Asking


class Answered(NamedTuple):
    status: int  # of a WebSocket: 101 or 403
    ran: bool  # a protected handler


class Stand:
    """A framework without the guard, and behind it in both ways to say what is protected."""

    def __init__(self, setup: Setup, settings: Settings) -> None:
        self.asked = 0
        self.by_prefix = setup.rules["by-prefix"]["protect"]
        self._witness = Witness()
        self._bare = setup.build(self._witness, plain)
        self._guarded = {name: setup.guarded(self._witness, settings | rule) for name, rule in setup.rules.items()}
        self._call = _call_asgi if setup.face == "asgi" else _call_wsgi

    async def bare(self, asked: Asked) -> Answered:
        return await self._ask(self._bare, asked)

    async def guarded(self, asked: Asked, *, cookie: str = "") -> dict[str, Answered]:
        return {name: await self._ask(app, asked, cookie) for name, app in self._guarded.items()}

    async def _ask(self, app: Any, asked: Asked, cookie: str = "") -> Answered:
        self.asked += 1
        self._witness.ran = False
        try:
            status = await self._call(app, asked, cookie)
        except Exception:  # noqa: BLE001  # frameworks fail over some of these; what counts is whether the handler ran
            status = RAISED
        return Answered(status, self._witness.ran)


async def _call_asgi(app: ASGIApp, asked: Asked, cookie: str) -> int:
    kind = "websocket" if asked.is_socket else "http"
    scope: Scope = {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "ws" if asked.is_socket else "http",
        "path": asked.path,
        "query_string": b"",
        "root_path": asked.root,
        "headers": [(b"host", b"localhost:8000"), *([(b"cookie", cookie.encode())] if cookie else [])],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "extensions": {},
        "state": {},
        **({"subprotocols": []} if asked.is_socket else {"method": "GET"}),
    }
    if asked.raw_path is not None:
        scope["raw_path"] = asked.raw_path
    messages: list[Message] = [{"type": f"{kind}.connect" if asked.is_socket else "http.request"}]
    sent: list[Message] = []
    answered = asyncio.Event()

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await answered.wait()
        return {"type": f"{kind}.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)
        if message["type"] != "http.response.start" and not message.get("more_body", False):
            answered.set()

    await app(scope, receive, send)
    status: int = sent[0].get("status", 101 if sent[0]["type"] == "websocket.accept" else 403)
    return status


async def _call_wsgi(app: WSGIApplication, asked: Asked, cookie: str) -> int:
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": asked.root,
        "PATH_INFO": asked.path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "localhost:8000",
        "HTTP_COOKIE": cookie,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    started: list[str] = []

    def start_response(status: str, headers: Any, exc_info: Any = None, /) -> Callable[[bytes], object]:
        started.append(status)
        return lambda data: None

    answer = app(environ, start_response)
    b"".join(answer)
    if hasattr(answer, "close"):
        answer.close()
    return int(started[-1].split()[0])


def a_prefix_alone_guards(path: str, prefixes: Iterable[str]) -> bool:
    """The guard that everybody writes first."""
    return any(path == prefix or path.startswith(prefix + "/") for prefix in prefixes)


@dataclass
class Trial:
    """What became of all the spellings of one set-up."""

    asked: int = 0
    routed: list[Asked] = field(default_factory=list)  # the framework alone ran a protected handler
    leaked: list[tuple[str, Asked]] = field(default_factory=list)  # so did the guarded one
    unclear: list[tuple[Answered, Asked]] = field(default_factory=list)  # and these were not turned away in good order
    leaked_by_prefix: list[Asked] = field(default_factory=list)  # so would it have behind `a_prefix_alone_guards`


async def try_all(stand: Stand, setup: Setup, routes: Sequence[str], *, sample: int | None) -> Trial:
    trial, done = Trial(), set[Asked]()
    for place in setup.places:
        for spelling in spellings(routes, place.head, sample=sample, share=setup.share):
            for alike in setup.presented(spelling, place):
                new = [asked._replace(is_socket=SOCKET in routes) for asked in alike if asked not in done]
                done.update(alike)
                if new and (await stand.bare(new[0])).ran:
                    await _try(stand, trial, new)
    trial.asked = stand.asked
    return trial


async def _try(stand: Stand, trial: Trial, alike: Sequence[Asked]) -> None:
    trial.routed += alike
    for asked in alike:
        answers = await stand.guarded(asked)
        trial.leaked += [(rule, asked) for rule, answered in answers.items() if answered.ran]
        trial.unclear += [(answered, asked) for answered in answers.values() if not _turned_away(answered, asked)]
        if not a_prefix_alone_guards(asked.path, stand.by_prefix):
            trial.leaked_by_prefix.append(asked)


def _turned_away(answered: Answered, asked: Asked) -> bool:
    # Below `/auth` all is ours, and most of it is not there. Litestar cuts the mount out of the middle.
    return answered.status in TURNED_AWAY or (answered.status == 404 and asked.path.startswith("/auth/"))


class Known(NamedTuple):
    settings: Settings
    cookie: str  # of somebody who has logged in


@pytest.fixture(scope="module")
def known(hub: Hub, runner: asyncio.Runner) -> Iterator[Known]:
    with hub.provider() as provider:
        settings: Settings = {"session_secret": SESSION_SECRET, **provider.settings}
        face = ASGIFace(AuthConfig(**settings), runner)
        browser = Browser(face, ORIGIN)
        browser.log_in()
        face.close()
        yield Known(settings, f"ck_session={browser.cookies['ck_session']}")


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)  # thousands of "Not Found"
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def trial_of(request: pytest.FixtureRequest, known: Known, runner: asyncio.Runner) -> Callable[[str], Trial]:
    @cache
    def trial_of(name: str) -> Trial:
        setup = SETUPS[name]
        sample = None if request.config.getoption("--long") else setup.sample
        return runner.run(try_all(Stand(setup, known.settings), setup, PROTECTED, sample=sample))

    return trial_of


# Spellings that a framework accepts


@pytest.mark.parametrize("name", SETUPS)
def test_no_spelling_that_a_framework_accepts_gets_past_the_guard(
    name: str, trial_of: Callable[[str], Trial], tally: Tally
) -> None:
    trial = trial_of(name)
    assert trial.leaked == []
    assert trial.unclear == []
    assert len(trial.routed) > len(PROTECTED)  # a framework that was never reached would prove nothing
    tally("requests", trial.asked)
    tally("of them routed to a protected handler", len(trial.routed))


def test_a_guard_that_asks_for_a_prefix_alone_would_be_passed(trial_of: Callable[[str], Trial], tally: Tally) -> None:
    leaks = {name: len(trial_of(name).leaked_by_prefix) for name in SETUPS}
    assert sum(map(bool, leaks.values())) > len(SETUPS) / 2, leaks
    tally("of them past a naive guard", sum(leaks.values()))


@pytest.mark.parametrize("name", WITH_SOCKETS)
def test_no_spelling_that_a_framework_accepts_opens_a_websocket(
    name: str, known: Known, runner: asyncio.Runner, tally: Tally, *, long: bool
) -> None:
    setup = SETUPS[name]
    trial = runner.run(try_all(Stand(setup, known.settings), setup, [SOCKET], sample=None if long else 100))
    assert trial.leaked == []
    assert trial.unclear == []
    assert len(trial.routed) > 1
    tally("requests", trial.asked)
    tally("of them routed to a protected handler", len(trial.routed))


@pytest.mark.parametrize("name", SETUPS)
def test_no_search_finds_a_way_past_the_guard_and_none_that_only_friends_are_refused(
    name: str, known: Known, runner: asyncio.Runner, tally: Tally, *, long: bool
) -> None:
    setup = SETUPS[name]
    stand = Stand(setup, known.settings)
    presented = target_on_asgi if setup.face == "asgi" else target_on_wsgi

    @search(long=long)
    @given(st.sampled_from(setup.places), targets(PROTECTED))
    def holds(place: Place, target: bytes) -> None:
        runner.run(compare(stand, presented(place.head.encode() + target, place), known.cookie))

    holds()
    tally("requests", stand.asked)


def search(*, long: bool) -> searching:
    """The same search in every run, but for a long one."""
    return searching(
        max_examples=5000 if long else 120,
        derandomize=not long,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


async def compare(stand: Stand, asked: Asked, cookie: str) -> None:
    """Strangers are turned away from what is protected. Else the app answers as it does without us, or nobody."""
    alone = await stand.bare(asked)
    strangers = (await stand.guarded(asked)).values()
    friends = (await stand.guarded(asked, cookie=cookie)).values()
    assert not any(stranger.ran for stranger in strangers)
    if "/auth" in asked.path:  # which is ours
        return
    assert all(stranger == alone or stranger.status in TURNED_AWAY for stranger in strangers)
    assert all(friend in {alone, Answered(400, ran=False)} for friend in friends)
    # What is refused, is refused whoever asks.
    assert [answer.status == 400 for answer in strangers] == [answer.status == 400 for answer in friends]


@pytest.mark.parametrize("rule", rules())
@pytest.mark.parametrize("name", SETUPS)
def test_the_plain_spelling_is_let_through_where_it_is_not_protected(
    name: str, rule: str, known: Known, runner: asyncio.Runner
) -> None:
    stand = Stand(SETUPS[name], known.settings)

    async def answers(place: Place) -> tuple[int, int]:
        asked = Asked(place.head + "/public", None, place.root)
        return (await stand.bare(asked)).status, (await stand.guarded(asked))[rule].status

    found = [runner.run(answers(place)) for place in SETUPS[name].places]
    assert all(alone == with_guard for alone, with_guard in found)  # not every framework knows every place
    assert (200, 200) in found


@pytest.mark.parametrize("name", SETUPS)
def test_the_plain_spelling_is_let_through_for_a_friend(name: str, known: Known, runner: asyncio.Runner) -> None:
    setup = SETUPS[name]
    stand = Stand(setup, known.settings)
    for route in PROTECTED:
        place = setup.places[0]
        answers = runner.run(stand.guarded(Asked(place.head + route, None, place.root), cookie=known.cookie))
        assert set(answers.values()) == {Answered(200, ran=True)}


# What people do ask for

MOUNTS = ["", "/pre"]
PUBLIC = ["/", "/robots.txt", "/page", "/static/", "/assets/", "/.well-known/", "/wiki/", "/caf\u00e9", "/a b", "/go"]


def asked_by(headers: dict[str, str], request: Legitimate, mount: str = "") -> AskedOfFace:
    sent = {"Host": "localhost:8000"} | request.headers | headers
    return AskedOfFace(request.method, request.target, list(sent.items()), request.body, mount)


def came_in(face: Face, asked: AskedOfFace) -> bool:
    """Whether the app has answered, and saw the path that was asked for."""
    before = len(face.seen)
    answer = face.ask(asked)
    path = asked.path.decode("latin-1") if isinstance(face, WSGIFace) else asked.mount + asked.path.decode()
    return answer.status == 200 and face.seen[before:] == [path]


@pytest.mark.parametrize("mount", MOUNTS)
def test_no_legitimate_request_of_a_friend_is_refused(
    guard: Guard, provider: MisbehavingProvider, mount: str, tally: Tally
) -> None:
    provider.register(ORIGIN + mount + "/auth/callback")
    face = guard()
    browser = Browser(face, mount=mount)
    browser.log_in()
    cookie = {"Cookie": f"ck_session={browser.cookies['ck_session']}"}
    refused = [request for request in LEGITIMATE if not came_in(face, asked_by(cookie, request, mount))]
    assert refused == []
    tally("legitimate requests", len(LEGITIMATE))


@pytest.mark.parametrize("mount", MOUNTS)
def test_no_legitimate_request_is_refused_where_no_login_is_needed(guard: Guard, mount: str, tally: Tally) -> None:
    face = guard(protect=["/members"])
    refused = [request for request in LEGITIMATE if not came_in(face, asked_by({}, request, mount))]
    assert refused == []
    tally("legitimate requests", len(LEGITIMATE))


@pytest.mark.parametrize("face_name", ["asgi"])
def test_no_legitimate_request_is_refused_where_a_server_leaves_the_mount_out_of_the_path(guard: Guard) -> None:
    face = guard(protect=["/members"])
    assert isinstance(face, ASGIFace)
    for request in LEGITIMATE:
        scope = face.scope(asked_by({}, request)) | {"root_path": "/pre"}
        assert face.call(scope, [{"type": "http.request", "body": request.body}])[0]["status"] == 200, request


def test_no_legitimate_websocket_of_a_friend_is_refused(guard: Guard, tally: Tally) -> None:
    face = guard()
    browser = Browser(face, ORIGIN)
    browser.log_in()
    fields = {"Origin": ORIGIN, "Connection": "Upgrade", "Upgrade": "websocket"}
    fields["Cookie"] = f"ck_session={browser.cookies['ck_session']}"
    asked = [asked_by(fields, request) for request in LEGITIMATE if request.method == "GET"]
    assert [one for one in asked if not connects(face, one)] == []
    tally("legitimate requests", len(asked))


def connects(face: Face, asked: AskedOfFace) -> bool:
    if not isinstance(face, ASGIFace):
        return came_in(face, asked)
    scope = face.scope(asked) | {"type": "websocket", "scheme": "ws"}
    sent: list[Message] = face.call(scope, [{"type": "websocket.connect"}])
    return bool(sent[0]["type"] == "websocket.accept")


@pytest.mark.parametrize("mount", MOUNTS)
def test_no_legitimate_request_to_what_is_public_is_refused(guard: Guard, mount: str) -> None:
    face = guard(public=PUBLIC)
    let_in = {asked.path.decode() for asked in strangers(mount) if came_in(face, asked)}
    missing = {
        entry for entry in PUBLIC if not any(path == entry or path.startswith(entry[:-1] + "/") for path in let_in)
    }
    assert missing == set()
    assert not any(path.startswith(("/api", "/admin", "/members", "/a+b")) for path in let_in)


def strangers(mount: str) -> list[AskedOfFace]:
    return [asked_by({}, request, mount) for request in LEGITIMATE]


@pytest.mark.parametrize("mount", MOUNTS)
def test_a_stranger_who_asks_for_something_legitimate_is_asked_to_log_in(guard: Guard, mount: str) -> None:
    face = guard()
    assert {face.ask(asked).status for asked in strangers(mount)} == {303, 401}
    assert face.seen == []


def test_there_are_a_hundred_legitimate_requests_and_each_is_another() -> None:
    assert len({str(request) for request in LEGITIMATE}) == len(LEGITIMATE) >= 100
