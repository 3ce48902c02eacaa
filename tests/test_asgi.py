"""The ASGI face: what it makes of a scope and what the app receives."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.authentication import requires
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from ck_middleware import ASGIAuthMiddleware, get_user
from ck_middleware.config import Settings
from ck_middleware.gate import Gate
from support.browser import Browser
from support.clock import Clock
from support.faces import ASGIFace, Asked, Configure, answer_of
from support.provider import MisbehavingProvider

HERE = [("Host", "localhost:8000")]
OWN, FOREIGN = ("Origin", "http://localhost:8000"), ("Origin", "https://evil.example")
CONNECT: Message = {"type": "websocket.connect"}


@pytest.fixture
def face(configure: Configure, runner: asyncio.Runner, light_clients: None) -> Iterator[ASGIFace]:
    face = ASGIFace(configure(public=["/open"], idle_timeout=100), runner)
    yield face
    face.close()


@pytest.fixture
def ada(face: ASGIFace) -> Browser:
    browser = Browser(face)
    browser.log_in(name="Ada")
    return browser


def session_of(browser: Browser) -> tuple[str, str]:
    return ("Cookie", f"ck_session={browser.cookies['ck_session']}")


# Scopes


@pytest.mark.parametrize("kind", ["ftp", "HTTP", "", "webtransport"])
def test_a_scope_that_is_not_known_gets_nowhere(face: ASGIFace, kind: str) -> None:
    with pytest.raises(RuntimeError, match="scope type"):
        face.call({"type": kind, "path": "/open", "headers": []}, [])
    assert face.seen == []


def test_the_lifespan_is_the_apps(configure: Configure, runner: asyncio.Runner) -> None:
    scope: Scope = {"type": "lifespan", "asgi": {}, "state": {}}
    met: list[tuple[Scope, Receive, Send]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        met.append((scope, receive, send))

    async def receive() -> Message:
        return {}

    async def send(message: Message) -> None:
        """Nothing is sent."""

    async def call() -> None:
        await ASGIAuthMiddleware(app, configure())(scope, receive, send)

    runner.run(call())
    assert met == [(scope, receive, send)]
    assert scope == {"type": "lifespan", "asgi": {}, "state": {}}


def test_an_app_without_lifespan_says_so_itself(configure: Configure, runner: asyncio.Runner) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise NotImplementedError(scope["type"])

    middleware = ASGIAuthMiddleware(app, configure())
    with pytest.raises(NotImplementedError, match="lifespan"):
        runner.run(_called(middleware, {"type": "lifespan"}))


async def _called(app: ASGIAuthMiddleware, scope: Scope) -> list[Message]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


def test_at_the_end_every_connection_to_the_provider_is_closed(
    configure: Configure, runner: asyncio.Runner, made: list[httpx.AsyncClient]
) -> None:
    face = ASGIFace(configure(), runner)
    Browser(face).log_in()
    assert [client.is_closed for client in made] == [False]
    face.close()
    assert [client.is_closed for client in made] == [True]
    face.close()
    Browser(face).log_in()  # a server that ends its lifespan twice, and goes on
    face.close()
    assert [client.is_closed for client in made] == [True, True]


# What the app receives


def test_the_app_gets_the_user_where_its_framework_looks(ada: Browser, face: ASGIFace) -> None:
    ada.get("/dashboard")
    scope = face.carriers[-1]
    assert scope["user"] is scope["ck_middleware.user"] is get_user(scope)
    assert scope["user"].name == "Ada"
    assert scope["auth"].scopes == ["authenticated"]


def test_nobody_is_an_anonymous_user(face: ASGIFace) -> None:
    Browser(face).get("/open")
    scope = face.carriers[-1]
    assert not scope["user"].is_authenticated
    assert scope["user"] is scope["ck_middleware.user"]
    assert scope["auth"].scopes == []


def test_what_stood_there_before_us_is_gone(face: ASGIFace) -> None:
    scope = face.scope(Asked("GET", "/open", HERE))
    scope |= {"user": "mallory", "auth": "everything", "ck_middleware.user": "mallory"}
    face.call(scope, [{"type": "http.request"}])
    seen = face.carriers[-1]
    assert not seen["user"].is_authenticated
    assert not seen["ck_middleware.user"].is_authenticated
    assert seen["auth"].scopes == []


def test_starlettes_own_guard_works(ada: Browser, face: ASGIFace, runner: asyncio.Runner) -> None:
    @requires("authenticated")
    async def page(request: Request) -> JSONResponse:
        return JSONResponse({"name": request.user.display_name})

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await (await page(Request(scope)))(scope, receive, send)

    ada.get("/dashboard")
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    async def call() -> None:
        await app(face.carriers[-1], receive, send)

    runner.run(call())
    assert answer_of(sent).json == {"name": "Ada"}


def test_send_and_receive_are_the_servers_own(
    configure: Configure, runner: asyncio.Runner, ada: Browser, clock: Clock
) -> None:
    met: list[tuple[Receive, Send]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        met.append((receive, send))

    async def receive() -> Message:
        return {}

    async def send(message: Message) -> None:
        """Nothing is sent."""

    ada.log_in()
    middleware = ASGIAuthMiddleware(app, configure(idle_timeout=100))
    scope = ASGIFace(configure(), runner).scope(Asked("GET", "/", [*HERE, session_of(ada)]))

    async def call() -> None:
        await middleware(dict(scope), receive, send)

    runner.run(call())
    assert met == [(receive, send)]
    clock.move(50)  # a cookie is to be set now
    runner.run(call())
    assert met[1][0] is receive
    assert met[1][1] is not send


def test_only_the_start_of_a_response_is_touched(
    configure: Configure, runner: asyncio.Runner, ada: Browser, clock: Clock
) -> None:
    start: Message = {"type": "http.response.start", "status": 200, "trailers": True}
    rest: list[Message] = [
        {"type": "http.response.body", "body": b"a", "more_body": True},
        {"type": "http.response.body", "body": b"b"},
        {"type": "http.response.trailers", "headers": [(b"x", b"y")]},
    ]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in (start, *rest):
            await send(message)

    ada.log_in()
    clock.move(50)
    middleware = ASGIAuthMiddleware(app, configure(idle_timeout=100))
    scope = ASGIFace(configure(), runner).scope(Asked("GET", "/", [*HERE, session_of(ada)]))
    first, *others = runner.run(_called(middleware, scope))
    assert others == rest
    assert (first["status"], first["trailers"]) == (200, True)
    assert [name for name, _ in first["headers"]] == [b"cache-control", b"vary", b"set-cookie"]
    assert "headers" not in start


@pytest.mark.parametrize("name", ["remote-user", "Remote-User", "remote_user", "REMOTE_USER", "Remote_user"])
def test_a_header_that_claims_an_identity_is_dropped(ada: Browser, face: ASGIFace, name: str) -> None:
    kept = [(b"x-remote-user", b"a"), (b"remote-users", b"b"), (b"remote-addr", b"c"), (b"remoteXuser", b"d")]
    for session in ([], [session_of(ada)]):
        scope = face.scope(Asked("GET", "/open", [*HERE, *session]))
        before = list(scope["headers"])
        scope["headers"] = [(name.encode(), b"admin"), *before, (b"remote-user", b"root"), *kept]
        face.call(scope, [{"type": "http.request"}])
        assert face.carriers[-1]["headers"] == [*before, *kept]


def test_a_websocket_carries_no_claimed_identity_either(face: ASGIFace) -> None:
    face.call(_websocket(face, "/open", ("Remote-User", "admin")), [CONNECT])
    assert not any(name == b"remote-user" for name, _ in face.carriers[-1]["headers"])


def test_several_cookie_fields_are_one_header(ada: Browser, face: ASGIFace) -> None:
    """As HTTP/2 splits them (RFC 9113, 8.2.3)."""
    crumbs = [("Cookie", "a=b"), session_of(ada), ("Cookie", "c=d")]
    assert face.ask(Asked("GET", "/", [*HERE, *crumbs])).status == 200
    assert face.ask(Asked("GET", "/", [*HERE, *crumbs, session_of(ada)])).status == 303


def test_two_fields_of_a_header_are_not_mistaken_for_one(ada: Browser, face: ASGIFace) -> None:
    asked = Asked("POST", "/auth/logout", [*HERE, session_of(ada), OWN, FOREIGN])
    assert face.ask(asked).status == 403
    assert ada.is_logged_in


# Paths: servers differ in what they make of a mount.


@pytest.mark.parametrize(
    ("path", "raw_path", "root_path"),
    [
        ("/pre/dashboard", b"/pre/dashboard", "/pre"),  # uvicorn
        ("/pre/dashboard", b"/dashboard", "/pre"),
        ("/dashboard", b"/dashboard", "/pre"),  # hypercorn, granian, daphne
        ("/pre/dashboard", None, "/pre/"),
        ("/dashboard", None, "/pre"),
    ],
)
def test_a_mount_is_seen_however_the_server_shows_it(
    face: ASGIFace, path: str, raw_path: bytes | None, root_path: str
) -> None:
    scope = face.scope(Asked("GET", "/", HERE)) | {"path": path, "raw_path": raw_path, "root_path": root_path}
    assert answer_of(face.call(scope, [])).location == "/pre/auth/login?next=%2Fpre%2Fdashboard"
    login = {"path": path.replace("dashboard", "auth/me"), "raw_path": None}
    assert answer_of(face.call(scope | login, [])).status == 401


def test_a_scope_may_leave_out_what_is_optional(face: ASGIFace) -> None:
    scope = {"type": "http", "method": "GET", "path": "/dashboard", "headers": []}
    assert answer_of(face.call(scope, [])).location == "/auth/login?next=%2Fdashboard"
    assert face.call({"type": "websocket", "path": "/dashboard", "headers": []}, [CONNECT]) == CLOSED


@pytest.mark.parametrize("raw_path", [b"/open#/dashboard", b"/open?x", b"/dashboard", b"open", b"/%FF"])
def test_a_raw_path_that_says_something_else_is_refused(face: ASGIFace, raw_path: bytes) -> None:
    scope = face.scope(Asked("GET", "/open", HERE)) | {"raw_path": raw_path}
    assert answer_of(face.call(scope, [])).status == 400
    assert face.seen == []


def test_the_body_of_a_request_that_is_refused_is_not_read(face: ASGIFace, runner: asyncio.Runner) -> None:
    async def receive() -> Message:
        raise NotImplementedError

    sent: list[int] = []

    async def send(message: Message) -> None:
        sent.append(message.get("status", 0))

    async def call() -> None:
        for method, target in (("POST", "/page"), ("POST", "/api/x"), ("POST", "//x"), ("PUT", "/auth/me")):
            await face.app(face.scope(Asked(method, target, HERE)), receive, send)

    runner.run(call())
    assert sent == [303, 0, 401, 0, 400, 0, 405, 0]


# Bodies: only the logout form is ever read, and never the whole of a long one.


def logout(face: ASGIFace, browser: Browser, incoming: list[Message]) -> int:
    scope = face.scope(Asked("POST", "/auth/logout", [*HERE, session_of(browser), ("Origin", "null")]))
    return answer_of(face.call(scope, incoming)).status


def _parts(*parts: bytes) -> list[Message]:
    last = len(parts) - 1
    return [{"type": "http.request", "body": part, "more_body": at < last} for at, part in enumerate(parts)]


def test_a_form_may_come_in_pieces(ada: Browser, face: ASGIFace) -> None:
    token = ada.get("/auth/logout").text.partition('name="token" value="')[2].partition('"')[0]
    body = f"token={token}".encode()
    assert logout(face, ada, _parts(body[:5], b"", body[5:])) == 303


def test_a_form_that_does_not_arrive_whole_is_none(ada: Browser, face: ASGIFace) -> None:
    token = ada.get("/auth/logout").text.partition('name="token" value="')[2].partition('"')[0]
    body = f"token={token}".encode()
    assert logout(face, ada, [*_parts(body, b"")[:1], {"type": "http.disconnect"}]) == 403
    assert logout(face, ada, []) == 403


def test_a_form_without_end_is_not_read_to_its_end(ada: Browser, face: ASGIFace) -> None:
    assert logout(face, ada, _parts(*[b"x" * 1000] * 6)) == 403


# WebSockets


def _websocket(face: ASGIFace, target: str, *headers: tuple[str, str], denial: bool = False) -> dict[str, Any]:
    scope = face.scope(Asked("GET", target, [*HERE, *headers])) | {"type": "websocket", "scheme": "ws"}
    del scope["method"]
    return scope | ({"extensions": {"websocket.http.response": {}}} if denial else {})


ACCEPTED = [{"type": "websocket.accept"}]
CLOSED = [{"type": "websocket.close", "code": 1008, "reason": ""}]


def test_a_websocket_without_login_is_closed_before_it_is_accepted(face: ASGIFace) -> None:
    assert face.call(_websocket(face, "/ws", OWN), [CONNECT]) == CLOSED
    assert face.call(_websocket(face, "/ws", OWN) | {"extensions": None}, [CONNECT]) == CLOSED
    assert face.seen == []


def test_a_websocket_without_login_is_denied_where_the_server_can(face: ASGIFace) -> None:
    sent = face.call(_websocket(face, "/ws", OWN, denial=True), [CONNECT])
    assert [message["type"] for message in sent] == ["websocket.http.response.start", "websocket.http.response.body"]
    answer = answer_of(sent)
    assert answer.status == 401
    assert answer.json["error"] == "Authentication required"
    assert answer.header("cache-control") == "no-store"
    assert face.seen == []


def test_a_websocket_is_refused_only_after_the_server_has_announced_it(face: ASGIFace, runner: asyncio.Runner) -> None:
    order: list[str] = []

    async def receive() -> Message:
        order.append("connect")
        return CONNECT

    async def send(message: Message) -> None:
        order.append(message["type"])

    async def call() -> None:
        await face.app(_websocket(face, "/ws"), receive, send)

    runner.run(call())
    assert order == ["connect", "websocket.close"]


@pytest.mark.parametrize(
    ("origin", "sent"),
    [
        ([OWN], ACCEPTED),
        ([], ACCEPTED),  # a program; browsers always send one
        ([FOREIGN], CLOSED),
        ([("Origin", "null")], CLOSED),
        ([("Origin", "http://localhost:9000")], CLOSED),
        ([OWN, FOREIGN], CLOSED),
    ],
)
def test_a_websocket_of_another_site_is_not_logged_in(
    ada: Browser, face: ASGIFace, origin: list[tuple[str, str]], sent: list[Message]
) -> None:
    assert face.call(_websocket(face, "/ws", session_of(ada), *origin), [CONNECT]) == sent


def test_an_open_websocket_of_another_site_is_anonymous(ada: Browser, face: ASGIFace) -> None:
    assert face.call(_websocket(face, "/open", session_of(ada), FOREIGN), [CONNECT]) == ACCEPTED
    assert not face.carriers[-1]["user"].is_authenticated
    assert face.carriers[-1]["auth"].scopes == []
    assert face.call(_websocket(face, "/open", session_of(ada), OWN), [CONNECT]) == ACCEPTED
    assert face.carriers[-1]["user"].name == "Ada"


def test_behind_a_base_url_only_its_origin_is_the_apps(
    configure: Configure, runner: asyncio.Runner, provider: MisbehavingProvider, light_clients: None
) -> None:
    provider.register("https://app.example/pre/auth/callback")
    face = ASGIFace(configure(base_url="https://app.example/pre"), runner)
    browser = Browser(face, origin="https://app.example", hidden_mount="/pre")
    browser.log_in()
    session = ("Cookie", f"__Host-ck_session={browser.cookies['__Host-ck_session']}")
    for origin, sent in (
        ("https://app.example", ACCEPTED),
        ("http://app.example", CLOSED),
        ("https://app.example/pre", CLOSED),
        ("http://localhost:8000", CLOSED),
    ):
        assert face.call(_websocket(face, "/ws", session, ("Origin", origin)), [CONNECT]) == sent
    face.close()


def test_a_handshake_sets_no_cookie(ada: Browser, face: ASGIFace, clock: Clock) -> None:
    ada.log_in()
    clock.move(50)
    assert face.call(_websocket(face, "/ws", session_of(ada), OWN), [CONNECT]) == ACCEPTED
    bad = ("Cookie", "ck_session=bad")
    assert face.call(_websocket(face, "/open", bad, OWN), [CONNECT]) == ACCEPTED
    denied = answer_of(face.call(_websocket(face, "/ws", bad, OWN, denial=True), [CONNECT]))
    assert denied.every("set-cookie") == []


@pytest.mark.parametrize(
    ("target", "status"),
    [("/auth/me", 404), ("/auth/login", 404), ("/auth/callback?code=x&state=y", 404), ("/auth/x", 404), ("//ws", 400)],
)
def test_our_own_addresses_are_no_websockets(ada: Browser, face: ASGIFace, target: str, status: int) -> None:
    sent = face.call(_websocket(face, target, session_of(ada), OWN, denial=True), [CONNECT])
    assert answer_of(sent).status == status
    assert face.call(_websocket(face, target, session_of(ada), OWN), [CONNECT]) == CLOSED
    assert face.seen == []


def test_a_fault_in_the_guard_lets_no_websocket_in(face: ASGIFace, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError("the text of the exception")

    monkeypatch.setattr(Gate, "admit", broken)
    assert face.call(_websocket(face, "/open", OWN), [CONNECT]) == CLOSED
    answer = answer_of(face.call(_websocket(face, "/open", OWN, denial=True), [CONNECT]))
    assert answer.status == 500
    assert "the text" not in answer.text
    assert face.seen == []


# Tasks


def test_a_request_that_is_cancelled_stays_cancelled(
    face: ASGIFace, provider: MisbehavingProvider, runner: asyncio.Runner
) -> None:
    provider.faults.hang("discovery")

    async def impatient() -> None:
        async with asyncio.timeout(0.1):
            await _called(_middleware(face), face.scope(Asked("GET", "/auth/login", HERE)))

    with pytest.raises(TimeoutError):
        runner.run(impatient())
    provider.faults.heal()
    assert face.ask(Asked("GET", "/auth/login", HERE)).status == 303  # and it leaves no lock behind


def _middleware(face: ASGIFace) -> ASGIAuthMiddleware:
    assert isinstance(face.app, ASGIAuthMiddleware)
    return face.app


def test_a_slow_provider_stops_nobody_else(
    ada: Browser, face: ASGIFace, configure: Configure, provider: MisbehavingProvider, runner: asyncio.Runner
) -> None:
    provider.faults.hang("token", 0.3)
    callback = ada.choose(ada.start_login()).removeprefix("http://localhost:8000")
    cookies = "; ".join(f"{name}={value}" for name, value in ada.cookies.items())
    login = face.scope(Asked("GET", callback, [*HERE, ("Cookie", cookies)]))
    page = face.scope(Asked("GET", "/dashboard", [*HERE, session_of(ada)]))
    ended: list[str] = []

    async def timed(name: str, scope: Scope) -> None:
        sent = await _called(_middleware(face), scope)
        ended.append(f"{name} {sent[0]['status']}")

    async def both() -> None:
        await asyncio.gather(timed("login", login), timed("page", page))

    runner.run(both())
    assert ended == ["page 200", "login 303"]


def test_a_crowd_asks_for_metadata_once(face: ASGIFace, provider: MisbehavingProvider, runner: asyncio.Runner) -> None:
    async def crowd() -> list[list[Message]]:
        scopes = [face.scope(Asked("GET", "/auth/login", HERE)) for _ in range(10)]
        return await asyncio.gather(*(_called(_middleware(face), scope) for scope in scopes))

    assert [sent[0]["status"] for sent in runner.run(crowd())] == [303] * 10
    assert provider.count("discovery") == 1


# Start


@pytest.mark.parametrize(
    ("root_path", "settings", "warned"),
    [
        ("/pre", {"protect": ["/api"]}, True),
        ("/pre", {}, False),  # everything needs a login, also below it
        ("/pre", {"protect": ["/api"], "base_url": "https://app.example/pre"}, False),
        ("", {"protect": ["/api"]}, False),
        ("/", {"protect": ["/api"]}, False),
        (None, {"protect": ["/api"]}, False),
        (str(Path(__file__).parent), {"protect": ["/api"]}, False),  # Quart calls the folder of the app by this name
    ],
)
def test_a_mount_that_only_the_app_sees_is_warned_of(
    configure: Configure,
    caplog: pytest.LogCaptureFixture,
    root_path: str | None,
    settings: Settings,
    warned: bool,  # noqa: FBT001  # a column of the table
) -> None:
    class App:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            raise NotImplementedError

    app = App()
    app.root_path = root_path  # type: ignore[attr-defined]  # as FastAPI has it
    ASGIAuthMiddleware(app, configure(**settings))
    assert bool(caplog.records) == warned
