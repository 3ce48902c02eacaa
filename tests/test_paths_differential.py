"""Whatever spelling of a protected path a framework accepts, its handler does not run for a stranger.

Each framework is asked first, without the guard, which of thousands of misspellings it routes to a protected handler.
Those are then sent through the guard. Scopes and environs are made by hand, since ready-made clients tidy paths up.
"""

import asyncio
import io
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, unquote_to_bytes
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import bottle
import falcon
import falcon.asgi
import pytest
from django.conf import settings as django_settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse
from django.urls import path as django_path
from django.urls import re_path as django_re_path
from fastapi import FastAPI
from flask import Flask
from litestar import Litestar
from litestar import get as litestar_get
from quart import Quart
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ck_middleware import ASGIAuthMiddleware, WSGIAuthMiddleware

SEED = 1729
ROUTES = ("/api/secret", "/api", "/admin", "/public")
PROTECTED = ROUTES[:3]
PROTECT = ["/api", "/admin"]
# The two ways to say it. Under a mount that nobody shows, a public path is spelled with the mount.
BY_PREFIX, BY_DEFAULT = {"protect": PROTECT}, {"public": ["/", "/public", "/public/", "/pre/public"]}
SETTINGS: dict[str, Any] = {
    "client_id": "ck_x",
    "client_secret": "s3cret",
    "session_secret": "x" * 40,
    "issuer": "http://127.0.0.1:9",  # nobody listens there; no refusal needs the provider
}


@dataclass
class Witness:
    """Knows whether the handler of a protected route has run."""

    ran: bool = False

    def serve(self, route: str) -> str:
        self.ran = self.ran or route in PROTECTED
        return route


# --- the frameworks, each with the same four routes

Wrap = Callable[[Any], Any]  # the guard, or nothing; it takes an app of its own face and gives one


def _plain(app: Any) -> Any:
    return app


def flask_app(witness: Witness, wrap: Wrap) -> WSGIApplication:
    app = Flask(__name__)
    for route in ROUTES:
        app.add_url_rule(route, endpoint=route, view_func=partial(witness.serve, route))
    wrapped: WSGIApplication = wrap(app.wsgi_app)
    return wrapped


def bottle_app(witness: Witness, wrap: Wrap) -> WSGIApplication:
    app = bottle.Bottle()
    for route in ROUTES:
        app.route(route, callback=partial(witness.serve, route))
    wrapped: WSGIApplication = wrap(app)
    return wrapped


class FalconResource:
    def __init__(self, witness: Witness, route: str) -> None:
        self._serve = partial(witness.serve, route)

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        response.text = self._serve()


class AsyncFalconResource(FalconResource):
    async def on_get(self, request: falcon.Request, response: falcon.Response) -> None:  # type: ignore[override]  # as falcon.asgi asks
        response.text = self._serve()


def falcon_wsgi_app(witness: Witness, wrap: Wrap) -> WSGIApplication:
    app = falcon.App()
    for route in ROUTES:
        app.add_route(route, FalconResource(witness, route))
    wrapped: WSGIApplication = wrap(app)
    return wrapped


def falcon_asgi_app(witness: Witness, wrap: Wrap) -> ASGIApp:
    app = falcon.asgi.App()
    for route in ROUTES:
        app.add_route(route, AsyncFalconResource(witness, route))
    wrapped: ASGIApp = wrap(app)
    return wrapped


def django_wsgi_app(witness: Witness, wrap: Wrap) -> WSGIApplication:
    def view(route: str) -> Callable[[Any], HttpResponse]:
        return lambda request: HttpResponse(witness.serve(route))

    routes = tuple(django_path(route[1:], view(route)) for route in ROUTES)
    wrapped: WSGIApplication = wrap(_django_handler(WSGIHandler, routes))
    return wrapped


def django_asgi_app(witness: Witness, wrap: Wrap) -> ASGIApp:
    def view(route: str) -> Callable[[Any], Any]:
        async def answer(request: Any) -> HttpResponse:
            return HttpResponse(witness.serve(route))

        return answer

    # A last route for the rest, since Django starts a thread for every 404 of its own.
    routes = (*(django_path(route[1:], view(route)) for route in ROUTES), django_re_path("", view("elsewhere")))
    wrapped: ASGIApp = wrap(_django_handler(ASGIHandler, routes))
    return wrapped


def _django_handler(base: Any, routes: tuple[Any, ...]) -> Any:
    """A handler with routes of its own, since Django has only one set of settings in a process."""
    if not django_settings.configured:
        django_settings.configure(ALLOWED_HOSTS=["*"], MIDDLEWARE=[], LOGGING_CONFIG=None, ROOT_URLCONF=__name__)

    class Handler(base):  # type: ignore[misc]  # Django has no types
        def resolve_request(self, request: Any) -> Any:
            request.urlconf = routes
            return super().resolve_request(request)

    return Handler()


def starlette_app(witness: Witness, wrap: Wrap) -> ASGIApp:
    def endpoint(route: str) -> Callable[[Request], Any]:
        async def answer(request: Request) -> PlainTextResponse:
            return PlainTextResponse(witness.serve(route))

        return answer

    wrapped: ASGIApp = wrap(Starlette(routes=[Route(route, endpoint(route)) for route in ROUTES]))
    return wrapped


def mounted_starlette_app(witness: Witness, wrap: Wrap) -> ASGIApp:
    """The guard stands inside the mount."""
    return Starlette(routes=[Mount("/m", app=starlette_app(witness, wrap))])


def fastapi_app(witness: Witness, wrap: Wrap, *, root_path: str = "") -> ASGIApp:
    def endpoint(route: str) -> Callable[[], Any]:
        async def answer() -> str:
            return witness.serve(route)

        return answer

    app = FastAPI()
    app.root_path = root_path  # as the argument would, which is on its way out
    for route in ROUTES:
        app.add_api_route(route, endpoint(route))
    wrapped: ASGIApp = wrap(app)
    return wrapped


def quart_app(witness: Witness, wrap: Wrap) -> ASGIApp:
    def view(route: str) -> Callable[[], Any]:
        async def answer() -> str:
            return witness.serve(route)

        return answer

    app = Quart(__name__)
    for route in ROUTES:
        app.add_url_rule(route, endpoint=route, view_func=view(route))
    wrapped: ASGIApp = wrap(app)
    return wrapped


def litestar_app(witness: Witness, wrap: Wrap) -> ASGIApp:
    def handler(route: str) -> Any:
        async def answer() -> str:
            return witness.serve(route)

        return litestar_get(route)(answer)

    app = Litestar([handler(route) for route in ROUTES], openapi_config=None, logging_config=None)
    wrapped: ASGIApp = wrap(app)
    return wrapped


# --- where a server says that the app is mounted, and where it leaves the mount in the path


class Place(NamedTuple):
    """`root` is what scope or environ call the mount, `head` what stands before the app's own path all the same."""

    root: str
    head: str


AT_THE_ROOT = Place("", "")
AS_UVICORN = Place("/pre", "/pre")
AS_HYPERCORN = Place("/pre", "")
AS_GUNICORN = Place("/pre", "")  # SCRIPT_NAME is never in PATH_INFO


@dataclass(frozen=True)
class Setup:
    face: str
    build: Callable[[Witness, Wrap], Any]
    places: tuple[Place, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    sample: int = 1500  # random mutants for each place
    share: float = 1  # of the chosen ones

    def guard(self, app: Any, rules: dict[str, list[str]]) -> Any:
        kind = ASGIAuthMiddleware if self.face == "asgi" else WSGIAuthMiddleware
        return kind(app, **SETTINGS | self.settings | rules)


WSGI_PLACES = (AT_THE_ROOT, AS_GUNICORN)
ASGI_PLACES = (AT_THE_ROOT, AS_UVICORN, AS_HYPERCORN)
UNSEEN = {"base_url": "http://localhost:8000/pre"}  # says what the scope does not

SETUPS = {
    "flask": Setup("wsgi", flask_app, WSGI_PLACES),
    "bottle": Setup("wsgi", bottle_app, WSGI_PLACES),
    "falcon-wsgi": Setup("wsgi", falcon_wsgi_app, WSGI_PLACES),
    "django-wsgi": Setup("wsgi", django_wsgi_app, WSGI_PLACES),
    "django-asgi": Setup("asgi", django_asgi_app, ASGI_PLACES, sample=100, share=0.1),  # its threads take their time
    "falcon-asgi": Setup("asgi", falcon_asgi_app, ASGI_PLACES),
    "starlette": Setup("asgi", starlette_app, ASGI_PLACES),
    "starlette-mount": Setup("asgi", mounted_starlette_app, (Place("", "/m"), Place("/pre", "/pre/m"))),
    "fastapi": Setup("asgi", fastapi_app, ASGI_PLACES, sample=800),
    "fastapi-root-path": Setup("asgi", partial(fastapi_app, root_path="/pre"), (Place("", "/pre"),), UNSEEN, 800),
    "quart": Setup("asgi", quart_app, ASGI_PLACES, sample=800),
    "litestar": Setup("asgi", litestar_app, ASGI_PLACES),
}


# --- the misspellings

SOME_UNICODE = "\u0130\u0131\u017f\u200b\u202e\u2028\u2044\u2215\u212a\u24d0\ufeff\uff0e\uff0f\uff41\ufffd\U0001d41a"
ALPHABET = [*map(chr, range(256)), *SOME_UNICODE]
BEFORE = ["/", "//", "///", "/./", "/../", "/.", "/x/..", "/x/../", "/public/..", "/public/../", "/public", "/public/"]
BEFORE += ["/;", "/;/", "/\ufffd", "/%2f", "/%2e/", "/%2e%2e/", "/\\", "\\", "/\x00/", "\x00", "\x01", " ", "\t", "\n"]
BEFORE += ["http:", "http:/", "http://evil.example", "https://evil.example/", "http://127.0.0.1/", "//evil.example"]
BEFORE += ["@evil.example", "evil.example", "*", "?", "#", "/?", "/#", "/public?", "/public#", "%2f", ".", "..", "./"]
BEFORE += [
    "/pre",
    "/pre/",
    "/x/pre",
    "/pre/pre",
    "/pre/x/pre",
    "/prex",
    "/m",
    "/public/pre",
    "/public/m",
    "/pre/public/pre",
    "/m/m",
    "/auth",
    "/auth/..",
    "/auth/me",
]
AFTER = ["/", "//", "///", "/.", "/..", "/./", "/../", "/x/..", ".", "..", "\n", "\r\n", "\n\n", "\n/", "\r", "\x00"]
AFTER += [" ", "\t", "\x0b", "\x0c", "\x1c", "\x85", "\xa0", "\u2028", "\u2029", "\ufeff", "\ufffd", "%", "%00", "%0a"]
AFTER += [
    "%20",
    "%2f",
    "%ff",
    ";",
    ";x=1",
    ";/",
    "?",
    "?x",
    "#",
    "#x",
    "\\",
    ".json",
    ".html",
    ":",
    "::$DATA",
    "~",
    "/pre",
]


def _chosen(path: str) -> Iterator[str]:
    """The misspellings that are known to lead somewhere, and every two of them together."""
    yield from {path, path[1:], path.upper(), path.title(), path.swapcase(), path.casefold()}
    yield from (before + part for before in BEFORE for part in (path, path[1:]))
    yield from (path + after for after in AFTER)
    yield from (before + path + after for before in BEFORE[:12] for after in AFTER[:16])
    slashes = [index for index, char in enumerate(path) if char == "/"]
    for other in ("//", "///", "/./", "/../", "\\", "%2f", "/%2f", "/;/", "/x/../", "", " /", "/ ", "/\x00", "\u2215"):
        yield from (path[:index] + other + path[index + 1 :] for index in slashes)
    yield "".join(f"%{ord(char):02x}" for char in path)
    yield from (path[:index] + f"%{ord(path[index]):02X}" + path[index + 1 :] for index in range(len(path)))
    yield from (path[:index] + path[index].upper() + path[index + 1 :] for index in range(len(path)))


def _mutants(path: str) -> Iterator[str]:
    """Every single character inserted, replaced or left out."""
    for index in range(len(path) + 1):
        yield path[:index] + path[index + 1 :]
        for char in ALPHABET:
            yield path[:index] + char + path[index:]
            yield path[:index] + char + path[index + 1 :]


def spellings(head: str, *, sample: int, share: float) -> list[str]:
    random = Random(SEED)  # noqa: S311 - the same in every run
    paths = [head + path for path in PROTECTED]
    mutants = sorted({mutant for path in paths for mutant in _mutants(path)})
    chosen = {mutant for path in paths for mutant in _chosen(path)}
    chosen |= {head + mutant for path in PROTECTED for mutant in _chosen(path)}
    some = random.sample(sorted(chosen), int(len(chosen) * share))
    return sorted({*paths, *PROTECTED, *some, *random.sample(mutants, sample)})


class Asked(NamedTuple):
    """One request as a server presents it: `path` is PATH_INFO or the scope's path."""

    path: str
    raw_path: bytes | None
    root: str


def presented_to_asgi(spelling: str, place: Place) -> Iterator[Asked]:
    """Without a raw path, and with each that a server could have decoded to this path, or to less than the mount."""
    yield Asked(spelling, None, place.root)
    yield Asked(spelling, quote(spelling, safe="/:@!$&'()*+,;=~").encode(), place.root)
    if place.root:
        yield Asked(spelling, quote(spelling.removeprefix(place.root), safe="/").encode(), place.root)


def presented_to_wsgi(spelling: str, place: Place) -> Iterator[Asked]:
    """As UTF-8 in the disguise of latin-1, and the same characters as bytes that are no UTF-8."""
    yield Asked(spelling.encode().decode("latin-1"), None, place.root)
    if not spelling.isascii() and max(spelling) <= "\xff":
        yield Asked(spelling, None, place.root)


# --- asking


class Asker:
    """Sends a request and says whether a protected handler has run."""

    def __init__(self, witness: Witness, runner: asyncio.Runner) -> None:
        self._witness = witness
        self._runner = runner

    def reaches(self, app: Any, asked: Asked, face: str) -> bool:
        self._witness.ran = False
        with suppress(Exception):  # frameworks fail over some of these; what counts is whether the handler ran
            if face == "asgi":
                self._runner.run(call_asgi(app, asked))
            else:
                call_wsgi(app, asked)
        return self._witness.ran


async def call_asgi(app: ASGIApp, asked: Asked, headers: tuple[tuple[bytes, bytes], ...] = ()) -> int:
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": asked.path,
        "query_string": b"",
        "root_path": asked.root,
        "headers": [(b"host", b"localhost:8000"), *headers],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }
    if asked.raw_path is not None:
        scope["raw_path"] = asked.raw_path
    messages: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]
    sent: list[Message] = []
    answered = asyncio.Event()

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await answered.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            answered.set()

    await app(scope, receive, send)
    status: int = sent[0]["status"]
    return status


def call_wsgi(app: WSGIApplication, asked: Asked) -> int:
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


def a_prefix_alone_guards(path: str) -> bool:
    """The guard that everybody writes first."""
    return any(path == prefix or path.startswith(prefix + "/") for prefix in PROTECT)


@dataclass
class Trial:
    """What became of all the spellings of one set-up."""

    asked: int = 0
    routed: list[Asked] = field(default_factory=list)  # the framework alone ran a protected handler
    leaked: list[Asked] = field(default_factory=list)  # so did the guarded one
    leaked_by_prefix: list[Asked] = field(default_factory=list)  # so would it have behind `a_prefix_alone_guards`


def try_all(setup: Setup, runner: asyncio.Runner) -> Trial:
    witness, trial = Witness(), Trial()
    asker = Asker(witness, runner)
    bare = setup.build(witness, _plain)
    guarded = [setup.build(witness, partial(setup.guard, rules=rules)) for rules in (BY_PREFIX, BY_DEFAULT)]
    present = presented_to_asgi if setup.face == "asgi" else presented_to_wsgi
    for place in setup.places:
        for spelling in spellings(place.head, sample=setup.sample, share=setup.share):
            for asked in present(spelling, place):
                trial.asked += 1
                if not asker.reaches(bare, asked, setup.face):
                    continue
                trial.routed.append(asked)
                if any(asker.reaches(app, asked, setup.face) for app in guarded):
                    trial.leaked.append(asked)
                if not a_prefix_alone_guards(asked.path):
                    trial.leaked_by_prefix.append(asked)
    return trial


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def trial_of(runner: asyncio.Runner) -> Iterator[Callable[[str], Trial]]:
    done: dict[str, Trial] = {}

    def trial_of(name: str) -> Trial:
        if name not in done:
            done[name] = try_all(SETUPS[name], runner)
        return done[name]

    logging.disable(logging.CRITICAL)  # thousands of "Not Found"
    yield trial_of
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", SETUPS)
def test_no_spelling_that_a_framework_accepts_gets_past_the_guard(name: str, trial_of: Callable[[str], Trial]) -> None:
    trial = trial_of(name)
    assert trial.leaked == []
    assert len(trial.routed) > len(PROTECTED)  # a framework that was never reached would prove nothing


def test_a_guard_that_asks_for_a_prefix_alone_would_be_passed(trial_of: Callable[[str], Trial]) -> None:
    assert sum(len(trial_of(name).leaked_by_prefix) for name in SETUPS) > 0


@pytest.mark.parametrize("rules", [BY_PREFIX, BY_DEFAULT], ids=["by-prefix", "by-default"])
@pytest.mark.parametrize("name", SETUPS)
def test_the_plain_spelling_is_let_through_where_it_is_not_protected(
    name: str, rules: dict[str, list[str]], runner: asyncio.Runner
) -> None:
    setup, witness = SETUPS[name], Witness()
    bare, guarded = (setup.build(witness, wrap) for wrap in (_plain, partial(setup.guard, rules=rules)))

    def status(app: Any, place: Place) -> int:
        asked = Asked(place.head + "/public", None, place.root)
        return runner.run(call_asgi(app, asked)) if setup.face == "asgi" else call_wsgi(app, asked)

    with_guard = [status(guarded, place) for place in setup.places]
    assert with_guard == [status(bare, place) for place in setup.places]  # not every framework knows every place
    assert 200 in with_guard


# --- what people do ask for

LEGITIMATE = [
    "/",
    "/public",
    "/public/",
    "/index.html",
    "/favicon.ico",
    "/robots.txt",
    "/.well-known/openid-configuration",
    "/.well-known/acme-challenge/abc-_123",
    "/a/b/c/d/e/f/g/h",
    "/a..b",
    "/...",
    "/..a/b..",
    "/.a/b.",
    "/file.tar.gz",
    "/~user/",
    "/@user",
    "/users/alice@example.com",
    "/users/alice%40example.com",
    "/a+b",
    "/a%20b",
    "/%20",
    "/a%2Bb",
    "/a,b;c=d",
    "/a;v=1/b",
    "/a=b&c=d",
    "/wiki/C%2B%2B",
    "/wiki/C%23",
    "/wiki/What%3F",
    "/wiki/100%25",
    "/wiki/%2541",
    "/wiki/AC%2FDC",
    "/wiki/Bob's_(page)!",
    "/wiki/Category:Things",
    "/$metadata",
    "/items(5)",
    "/items/[5]",
    "/items/%5B5%5D",
    "/%7Btemplate%7D",
    "/a%7Cb%5Eb%60",
    "/%3Cb%3E",
    "/%22quoted%22",
    "/*",
    "/-/health",
    "/_next/static/chunks/main-abc.js",
    "/caf%C3%A9",
    "/stra%C3%9Fe",
    "/%D1%80%D1%83%D1%81",
    "/%E6%97%A5%E6%9C%AC%E8%AA%9E/%E3%83%9A",
    "/%D8%A7%D9%84%D8%B9",
    "/e%CC%81",
    "/%F0%9F%98%80",
    "/%C4%B0stanbul",
    "/a%C2%A0b",
    "/a%E2%80%8Db",
    "/public?next=//evil.example/../x",
    "/public?a=%00%0a%ff&b=\\",
    "/public?x=http://example.com/#y",
    "/public?",
    "/?",
    "/public/?q=//",
    "/" + "x" * 4000,
    "/a" * 1000,
    "/api",
    "/api/",
    "/api/secret",
    "/API/secret",
    "/api-docs",
    "/apis/1",
    "/admin",
    "/administrators",
    "/auth",
    "/auth/me",
    "/auth/unknown",
    "/authors",
]


def _wsgi_tell(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"here"]


async def _asgi_tell(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("here")(scope, receive, send)


@pytest.mark.parametrize("target", LEGITIMATE)
def test_no_legitimate_request_is_refused(target: str, runner: asyncio.Runner) -> None:
    raw = target.partition("?")[0]
    wsgi = WSGIAuthMiddleware(_wsgi_tell, protect=PROTECT, **SETTINGS)
    asgi = ASGIAuthMiddleware(_asgi_tell, protect=PROTECT, **SETTINGS)
    statuses = {
        call_wsgi(wsgi, Asked(unquote_to_bytes(raw).decode("latin-1"), None, "")),
        call_wsgi(wsgi, Asked(unquote_to_bytes(raw).decode("latin-1"), None, "/pre")),
        runner.run(call_asgi(asgi, Asked(unquote(raw), raw.encode(), ""))),
        runner.run(call_asgi(asgi, Asked("/pre" + unquote(raw), b"/pre" + raw.encode(), "/pre"))),
        runner.run(call_asgi(asgi, Asked(unquote(raw), raw.encode(), "/pre"))),
    }
    assert len(statuses) == 1, "every face and every place of the mount answers alike"
    assert 400 not in statuses
