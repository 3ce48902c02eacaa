"""What a request may cost, counted in calls of functions: the same every time, whatever else the machine does.

A bound is about a sixth more than what was counted when it was written. Who exceeds one has put work into the way
of every request; `python benchmarks/hot.py` says how much.
"""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from types import FrameType
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from starlette.types import Message, Receive, Scope, Send

import ck_middleware
from ck_middleware import ASGIAuthMiddleware, AuthConfig, WSGIAuthMiddleware
from ck_middleware.observing import Observation
from ck_middleware.ports import step
from ck_middleware.stores.memory import AsyncMemoryStore, MemoryStore
from ck_middleware.tokens import Login, Tokens
from ck_middleware.wsgi import WSGIRequest
from support.faces import Configure

Ask = Callable[[], None]

PLAIN = {"protect": ["/api", "/dashboard"]}
MANY = {"protect": [f"/area-{number}/inner" for number in range(10_000)] + ["/api", "/dashboard"]}


def _calls(ask: Ask) -> int:
    """How many functions are called while the same is asked once more.

    The least of some times: what looks after connections in the background may have had its turn in one of them.
    """
    for _ in range(3):
        ask()
    return min(_calls_once(ask) for _ in range(3))


def _calls_once(ask: Ask) -> int:
    counted = 0

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal counted
        counted += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        ask()
    finally:
        sys.setprofile(before)
    return counted


class WSGI:
    def __init__(self, config: AuthConfig) -> None:
        self.seen = 0
        self.app = WSGIAuthMiddleware(self._app, config)
        login = Login({"iss": config.issuer, "sub": "ada", "name": "Ada"}, Tokens("-"))
        nobody = WSGIRequest({"REQUEST_METHOD": "GET"})
        self.cookie = step(self.app._gate.sessions.start(login, nobody))[0].partition(";")[0]

    def _app(self, environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        self.seen += 1
        return []

    def asking(self, path: str, *cookies: str) -> Ask:
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": "", "SCRIPT_NAME": ""}
        environ |= {"HTTP_COOKIE": "; ".join(cookies)} if cookies else {}

        def ask() -> None:
            self.app(dict(environ), lambda *_: lambda _: None)

        return ask


class ASGI:
    def __init__(self, config: AuthConfig, runner: asyncio.Runner) -> None:
        self.seen = 0
        self.app = ASGIAuthMiddleware(self._app, config)
        self._runner = runner
        login = Login({"iss": config.issuer, "sub": "ada", "name": "Ada"}, Tokens("-"))
        nobody = WSGIRequest({"REQUEST_METHOD": "GET"})
        self.cookie = runner.run(self.app._gate.sessions.start(login, nobody))[0].partition(";")[0]

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen += 1

    def asking(self, path: str, *cookies: str) -> Ask:
        """Within a task that runs, so that what starting a loop costs is not counted."""
        headers = [(b"host", b"localhost"), (b"accept", b"*/*")]
        headers += [(b"cookie", "; ".join(cookies).encode())] if cookies else []
        scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "root_path": ""}
        scope |= {"query_string": b"", "headers": headers}

        async def receive() -> Message:
            return {"type": "http.request"}

        async def send(message: Message) -> None: ...

        async def one() -> None:
            await self.app(dict(scope), receive, send)

        def ask() -> None:
            self._runner.run(one())

        return ask

    def floor(self) -> int:
        async def nothing() -> None: ...

        return _calls(lambda: self._runner.run(nothing()))


@pytest.fixture
def wsgi(configure: Configure) -> Callable[..., WSGI]:
    return lambda **settings: WSGI(configure(**settings))


@pytest.fixture
def asgi(configure: Configure, runner: asyncio.Runner) -> Callable[..., ASGI]:
    return lambda **settings: ASGI(configure(**settings), runner)


OTHERS = [f"cookie{number}={'v' * 20}" for number in range(60)]
FORGED = "ck_session=" + "A" * 700
LONG = "/api/" + "x" * 600

# Who asks, where, with which cookies beside the session, and how many calls that may take on WSGI and on ASGI.
BUDGETS = {
    "logged in": ("/api/x", ["mine"], 20, 21),
    "logged in, among sixty cookies": ("/api/x", [*OTHERS, "mine"], 33, 34),
    "anybody on a public path": ("/open/x", [], 14, 11),
    "a stranger who is refused": ("/api/x", [], 77, 74),
    "a forged cookie": ("/api/x", [FORGED], 138, 137),
    "logged in, at an address too long to be remembered": (LONG, ["mine"], 91, 81),
}


def _cost(face: WSGI | ASGI, path: str, cookies: list[str]) -> int:
    floor = face.floor() if isinstance(face, ASGI) else 0
    return _calls(face.asking(path, *(face.cookie if cookie == "mine" else cookie for cookie in cookies))) - floor


@pytest.mark.parametrize("who", BUDGETS)
def test_a_request_costs_no_more_than_it_did(who: str, wsgi: Callable[..., WSGI], asgi: Callable[..., ASGI]) -> None:
    path, cookies, most_wsgi, most_asgi = BUDGETS[who]
    assert 0 < _cost(wsgi(**PLAIN), path, cookies) <= most_wsgi
    assert 0 < _cost(asgi(**PLAIN), path, cookies) <= most_asgi


@pytest.mark.parametrize("who", BUDGETS)
def test_ten_thousand_prefixes_cost_as_much_as_two(
    who: str, wsgi: Callable[..., WSGI], asgi: Callable[..., ASGI]
) -> None:
    path, cookies, *_ = BUDGETS[who]
    assert _cost(wsgi(**MANY), path, cookies) == _cost(wsgi(**PLAIN), path, cookies)
    assert _cost(asgi(**MANY), path, cookies) == _cost(asgi(**PLAIN), path, cookies)


def test_a_stored_session_costs_little_more(wsgi: Callable[..., WSGI], asgi: Callable[..., ASGI]) -> None:
    assert _cost(wsgi(**PLAIN, store=MemoryStore()), "/api/x", ["mine"]) <= 30
    assert _cost(asgi(**PLAIN, store=AsyncMemoryStore()), "/api/x", ["mine"]) <= 34


@pytest.mark.parametrize("who", BUDGETS)
def test_who_observes_a_request_with_a_cookie_is_told_nothing_and_costs_nothing(
    who: str, wsgi: Callable[..., WSGI], asgi: Callable[..., ASGI]
) -> None:
    def observer(observation: Observation) -> None:
        raise AssertionError(observation.name)

    path, cookies, *_ = BUDGETS[who]
    watched = {**PLAIN, "observers": [observer]}
    assert _cost(wsgi(**watched), path, cookies) == _cost(wsgi(**PLAIN), path, cookies)
    assert _cost(asgi(**watched), path, cookies) == _cost(asgi(**PLAIN), path, cookies)


class Counting(MemoryStore):
    """Knows how often it was asked for a record."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def get(self, key: str) -> bytes | None:
        self.asked += 1
        return super().get(key)


class AsyncCounting(AsyncMemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.counting = self._store = Counting()


def test_a_request_asks_the_store_once_and_never_believes_what_is_over(
    wsgi: Callable[..., WSGI], asgi: Callable[..., ASGI], runner: asyncio.Runner
) -> None:
    """Of a session that was remembered, one that has ended, and a cookie that nobody signed."""
    blocking, awaited = Counting(), AsyncCounting()
    faces = ((wsgi(**PLAIN, store=blocking), blocking), (asgi(**PLAIN, store=awaited), awaited.counting))
    for face, store in faces:
        ask, forged = face.asking("/api/x", face.cookie), face.asking("/api/x", face.cookie[:-1] + "~")
        store.asked = 0
        for number in range(1, 4):
            ask()
            assert store.asked == face.seen == number
        for key in [*store._kept]:
            store.delete(key)
        store.asked = 0
        for number in range(1, 4):
            ask()
            forged()
            assert store.asked == number
        assert face.seen == 3  # the first three


def test_claims_that_nobody_asks_for_are_not_decoded(
    wsgi: Callable[..., WSGI], monkeypatch: pytest.MonkeyPatch
) -> None:
    face = wsgi(**PLAIN)
    ask = face.asking("/api/x", face.cookie)
    ask()

    def decoded(*_: object) -> None:
        raise AssertionError("somebody decoded the claims")

    monkeypatch.setattr("ck_middleware.user._decode", decoded)
    ask()


@pytest.mark.parametrize(("face", "other"), [("ASGI", {"wsgi", "blocking"}), ("WSGI", {"asgi", "live", "looping"})])
def test_a_face_imports_nothing_of_the_other(face: str, other: set[str]) -> None:
    code = f"import sys; from ck_middleware import {face}AuthMiddleware; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert f"ck_middleware.{face.lower()}" in loaded
    assert {f"ck_middleware.{name}" for name in other}.isdisjoint(loaded)


def test_what_verifies_tokens_is_imported_by_nobody_before_a_login() -> None:
    code = "import sys, ck_middleware.asgi, ck_middleware.wsgi; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"jwt", "ck_middleware.signatures"}.isdisjoint(loaded)


def test_a_face_is_there_for_whoever_looks_and_what_is_none_is_not() -> None:
    assert set(dir(ck_middleware)) >= {"ASGIAuthMiddleware", "WSGIAuthMiddleware"}
    with pytest.raises(AttributeError, match="'ck_middleware' has no attribute 'WSGIAuth'"):
        _ = ck_middleware.WSGIAuth  # type: ignore[attr-defined]  # that is the point
