"""This file is the promises of stored sessions, on real servers: gunicorn and uvicorn, SQLite files and a Redis."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest
import redis
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from websockets.asyncio.client import ClientConnection as AsyncConnection
from websockets.asyncio.client import connect as connect_soon
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from ck_middleware.dev.people import person_called
from ck_middleware.live import LOOK
from ck_middleware.upkeep import lease_of
from support.browser import NAVIGATION
from support.faces import Answer
from support.holding import Held
from support.provider import Honest, Hub, MisbehavingProvider
from support.redis_server import RedisServer
from support.servers import PATIENCE, Running, Visitor, serve, told

WSGI, ASGI = "support.apps.keeping_wsgi:app", "support.apps.keeping_asgi:app"
THREADS = "--worker-class gthread --threads 16"
# Four workers each. Those with the same store know it from nowhere but there.
CROWDED = {
    "gunicorn-sqlite": f"gunicorn {THREADS} --workers 4 --preload {WSGI}",
    "gunicorn-redis": f"gunicorn {THREADS} --workers 4 --preload {WSGI}",
    "uvicorn-sqlite": f"uvicorn --workers 4 {ASGI}",
    "uvicorn-redis": f"uvicorn --workers 4 {ASGI}",
}
# One process each, so that nobody else could answer while it waits for its store.
LONELY = {
    "gevent-sqlite": f"gunicorn --worker-class gevent --workers 1 --preload {WSGI}",
    "gevent-redis": f"gunicorn --worker-class gevent --workers 1 --preload {WSGI}",
    "uvicorn-sqlite": f"uvicorn --workers 1 {ASGI}",
    "uvicorn-redis": f"uvicorn --workers 1 {ASGI}",
}
CROWD = 50
TIMEOUT = 30  # seconds that every server gives the provider
HASTY = 1  # seconds that the hasty ones give their store
SOON = 20  # seconds within which a connection ends after its session, where 5 are promised, on a busy machine
NAVIGATES = tuple(f"{name}: {value}" for name, value in NAVIGATION.items())

say = partial(print, flush=True)  # the numbers, for whoever runs this with -s


@pytest.fixture(scope="module")
def house(hub: Hub) -> Iterator[MisbehavingProvider]:
    """The provider of the servers that are started once."""
    with hub.provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def crowded(
    hub: Hub, house: MisbehavingProvider, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Running]]:
    """The servers of `CROWDED` by name, each started when it is first asked for."""
    folder = tmp_path_factory.mktemp("crowded")
    stores = {"sqlite": f"sqlite:///{folder}/sessions.db", "redis": f"{redis_server.url}?prefix=crowded:"}
    with ExitStack() as stack:
        servers: dict[str, Running] = {}

        def server(name: str) -> Running:
            if name not in servers:
                own = tmp_path_factory.mktemp(name)
                environ = _environ(stores[name.partition("-")[2]])
                servers[name] = stack.enter_context(serve(CROWDED[name], house, own, **environ))
            return servers[name]

        yield server


@pytest.fixture
def server(request: pytest.FixtureRequest, crowded: Callable[[str], Running]) -> Iterator[Running]:
    with crowded(request.param).quoted() as running:
        yield running


@pytest.fixture
def provider(house: MisbehavingProvider) -> Iterator[MisbehavingProvider]:
    yield house
    house.faults.heal()


def _environ(store: str, **more: str) -> dict[str, str]:
    usual = {"CONSENTKEYS_STORE": store, "PROVIDER_TIMEOUT": str(TIMEOUT), "APP_ASKS_BEFORE_FORK": "1"}
    return usual | {"CONSENTKEYS_PUBLIC": "/alive,/admin/"} | more


def on(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("server", names, indirect=True)


@contextmanager
def logged_in(server: Running, name: str) -> Iterator[Visitor]:
    with Visitor(server.origin, name) as visitor:
        answer = visitor.log_in()
        assert answer.json()["name"] == name, answer.text
        yield visitor


def status(server: Running, cookie: str, target: str = "/who") -> int:
    return server.ask(target, *NAVIGATES, f"Cookie: {cookie}").status


def is_dead(server: Running, cookie: str) -> bool:
    """Whether no worker knows this cookie. As many connections as workers, and some more, come to all of them."""
    return {status(server, cookie) for _ in range(6)} == {303}


def _until(true: Callable[[], object]) -> float:
    """Wait for it. How many seconds it took."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < PATIENCE
        time.sleep(0.01)
    return time.monotonic() - began


# One refresh for a crowd


def _ended(answer: dict[str, Any]) -> dict[str, Any]:
    return answer | {"expires_in": 0}


def refreshes(provider: MisbehavingProvider) -> int:
    """How often somebody came with a refresh token. One that comes twice ends its session, as it was copied."""
    return sum(hit.endpoint == "token" and hit.form["grant_type"] == "refresh_token" for hit in provider.hits)


@contextmanager
def with_an_ended_token(server: Running, provider: MisbehavingProvider, name: str) -> Iterator[str]:
    """The cookie of somebody whose access token has ended; the next one lives for an hour."""
    provider.faults.token_response = _ended
    with logged_in(server, name) as visitor:
        provider.faults.heal()
        yield visitor.cookie


def rush(*servers: Running, cookie: str) -> list[Answer]:
    """All at once, over a connection each."""
    with ThreadPoolExecutor(CROWD) as at_once:
        asked = [servers[number % len(servers)] for number in range(CROWD)]
        return list(at_once.map(lambda server: server.ask("/token", f"Cookie: {cookie}"), asked))


def _assert_same_token(answers: list[Answer], *, what: str) -> set[int]:
    """The processes that gave the answers."""
    statuses = Counter(answer.status for answer in answers)
    assert statuses == {200: len(answers)}, [answer.text for answer in answers if answer.status != 200][:3]
    told = [answer.json for answer in answers]
    workers = Counter(one["pid"] for one in told)
    tokens = Counter(one["token"] for one in told)
    say(f"{what}: {len(answers)} good answers, {len(tokens)} token, workers {sorted(workers.values())}")
    assert len(tokens) == 1
    assert None not in tokens
    return set(workers)


def _assert_one_refresh(*servers: Running, provider: MisbehavingProvider, expires_in: int) -> None:
    """For a crowd. One that came to a single worker, as it may on a busy machine, shows little; another one comes."""
    workers = set[int]()
    while len(workers) < 2 or not all(workers & server.workers for server in servers):
        with with_an_ended_token(servers[0], provider, "Ada") as cookie:
            provider.faults.token_response = lambda answer: answer | {"expires_in": expires_in}
            before, began = refreshes(provider), time.monotonic()
            answers = rush(*servers, cookie=cookie)
            say(f"{refreshes(provider) - before} refresh, {time.monotonic() - began:.2f} s")
            workers = _assert_same_token(answers, what=" and ".join(server.command for server in servers))
            assert refreshes(provider) - before == 1


@on(*CROWDED)
def test_fifty_requests_with_an_ended_token_cause_one_refresh_and_get_its_result(
    server: Running, provider: MisbehavingProvider
) -> None:
    _assert_one_refresh(server, provider=provider, expires_in=3600)


@on(*CROWDED)
def test_tokens_that_live_shorter_than_a_minute_are_not_refreshed_by_every_request(
    server: Running, provider: MisbehavingProvider
) -> None:
    _assert_one_refresh(server, provider=provider, expires_in=59)


def test_two_servers_that_share_only_redis_refresh_once(
    crowded: Callable[[str], Running], provider: MisbehavingProvider
) -> None:
    _assert_one_refresh(crowded("gunicorn-redis"), crowded("uvicorn-redis"), provider=provider, expires_in=3600)


@on(*CROWDED)
def test_a_worker_killed_while_it_refreshes_holds_the_next_one_up_no_longer_than_its_lease(
    server: Running, provider: MisbehavingProvider
) -> None:
    hanging = Hanging()
    with with_an_ended_token(server, provider, "Ada") as cookie, ThreadPoolExecutor(8) as at_once:
        before = refreshes(provider)
        provider.faults.answer("token", hanging, times=1)
        first = [at_once.submit(_perhaps, server, cookie) for _ in range(8)]
        _until(lambda: hanging.port)
        os.kill(killed := _process_at(hanging.port, urlsplit(provider.issuer).port), signal.SIGKILL)
        assert killed in server.workers
        assert 0 < _cut_lease_short(server) <= lease_of(TIMEOUT)
        delay = _until(lambda: _perhaps(server, cookie) == 200)
        say(f"killed {killed}; a new token {delay:.2f} s after its lease; {Counter(one.result() for one in first)}")
        server.workers = set()
        server.await_workers(4)
        _assert_same_token(rush(server, cookie=cookie), what="afterwards")
        assert refreshes(provider) - before == 2


def _cut_lease_short(server: Running) -> float:
    """Let the one lease in its store end now, as it would by itself. How many seconds it had left."""
    store = server.environ["CONSENTKEYS_STORE"]
    if store.startswith("sqlite"):
        path = store.removeprefix("sqlite:///")
        with closing(sqlite3.connect(path, isolation_level=None, timeout=PATIENCE)) as file:
            (ends,) = file.execute("SELECT ends FROM kept WHERE key LIKE 'l:%' AND ends > ?", (time.time(),)).fetchone()
            file.execute("UPDATE kept SET ends = 0 WHERE key LIKE 'l:%'")
            return float(ends) - time.time()
    with redis.Redis.from_url(store.partition("?")[0]) as client:
        (key,) = client.scan_iter("crowded:s:l:*")
        left = int(client.pttl(key))
        client.pexpire(key, 1)
        return left / 1000


class Hanging:
    """A token endpoint that never says anything, and does nothing either."""

    def __init__(self) -> None:
        self.port = 0  # of who waits for it

    async def __call__(self, request: Request, honest: Honest) -> Response:
        assert request.client
        self.port = request.client.port
        while (await request.receive())["type"] != "http.disconnect":
            pass
        return PlainTextResponse("nobody hears this", 503)


def _perhaps(server: Running, cookie: str) -> int:
    """The status of an answer; 0 when the worker died over it."""
    try:
        return server.ask("/token", f"Cookie: {cookie}").status
    except (OSError, HTTPException):
        return 0


def _process_at(port: int, server_port: int | None) -> int:
    """The process that has the other end of a connection to a server on this machine, by the ports of both."""
    sockets = _sockets(f":{port:04X}", f":{server_port or 0:04X}")
    for process in Path("/proc").glob("[0-9]*"):
        if sockets & {link for _, link in _opened(process.name)}:
            return int(process.name)
    raise AssertionError(f"nobody has port {port}")


def _sockets(local: str, remote: str) -> set[str]:
    """How the kernel calls the ends of connections on this machine whose addresses end so."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]]
    return {f"socket:[{row[9]}]" for row in rows if row[1].endswith(local) and row[2].endswith(remote)}


def _opened(pid: int | str) -> set[tuple[str, str]]:
    """What a process has open: a number and what it leads to."""
    links = set()
    with suppress(OSError):  # it is gone
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                links.add((entry.name, os.readlink(entry)))  # noqa: PTH115  # a Path would make a path of a socket
    return links


# Every ending, seen from another server


class Scene:
    """Somebody who logged in at one server, with another beside it that shares nothing but the store."""

    def __init__(self, here: Running, there: Running, provider: MisbehavingProvider, visitor: Visitor) -> None:
        self.here, self.there, self.provider, self.visitor = here, there, provider, visitor
        self.sub, self.cookie = visitor.get("/who").json()["sub"], visitor.cookie
        self.sid = f"sid of {self.sub}"

    def back_channel(self, **claims: object) -> None:
        token = self.provider.logout_token(**{"sub": self.sub} | claims)
        where = f"{self.there.origin}/auth/backchannel-logout"
        answer = httpx.post(where, data={"logout_token": token}, timeout=PATIENCE)
        assert answer.status_code == 200, answer.text


def log_out(scene: Scene) -> None:
    assert scene.visitor.post(f"{scene.there.origin}/auth/logout").json()["success"] is True


def log_out_everywhere(scene: Scene) -> None:
    with logged_in(scene.there, scene.visitor.name) as another:
        assert another.post("/auth/logout", everywhere="1").json()["success"] is True


def log_in_again(scene: Scene) -> None:
    page = scene.visitor.get(f"{scene.there.origin}/auth/login?next=/who")
    assert scene.visitor.come_back(scene.visitor.choose(page)).json()["name"] == scene.visitor.name
    assert scene.visitor.cookie != scene.cookie
    assert status(scene.here, scene.visitor.cookie) == 200


def end_sessions_of_the_person(scene: Scene) -> None:
    assert scene.there.ask(f"/admin/end?sub={scene.sub}").json == {"ended": 1}


def end_sessions_of_the_providers_session(scene: Scene) -> None:
    assert scene.there.ask(f"/admin/end?sid={quote(scene.sid)}").json == {"ended": 1}


def back_channel_logout_of_the_person(scene: Scene) -> None:
    scene.back_channel()


def back_channel_logout_of_the_providers_session(scene: Scene) -> None:
    scene.back_channel(sub=None, sid=scene.sid)


def refresh_refused(scene: Scene) -> None:
    scene.provider.revoke(person_called(scene.visitor.name).key)
    assert scene.there.ask("/token", f"Cookie: {scene.cookie}").json["token"] is None


ENDINGS = (
    log_out,
    log_out_everywhere,
    log_in_again,
    end_sessions_of_the_person,
    end_sessions_of_the_providers_session,
    back_channel_logout_of_the_person,
    back_channel_logout_of_the_providers_session,
    refresh_refused,
)


@pytest.mark.parametrize("end", ENDINGS, ids=lambda end: end.__name__)
@pytest.mark.parametrize(
    "names",
    [("gunicorn-redis", "uvicorn-redis"), ("uvicorn-redis", "gunicorn-redis"), ("uvicorn-sqlite", "gunicorn-sqlite")],
    ids="-then-".join,
)
def test_a_session_that_ends_on_one_server_is_over_on_the_other_at_once(
    crowded: Callable[[str], Running],
    provider: MisbehavingProvider,
    names: tuple[str, str],
    end: Callable[[Scene], None],
) -> None:
    here, there = map(crowded, names)
    provider.faults.token_response = _ended
    provider.faults.id_token_claims = lambda claims: claims | {"sid": f"sid of {claims['sub']}"}
    name = f"{end.__name__} {uuid.uuid4().hex}"
    with logged_in(here, "Bystander") as bystander, logged_in(here, name) as visitor:
        scene = Scene(here, there, provider, visitor)
        assert status(there, scene.cookie) == 200
        end(scene)
        assert is_dead(here, scene.cookie)
        assert is_dead(there, scene.cookie)
        assert status(there, bystander.cookie) == 200


# Connections that outlive their request


@contextmanager
def listening(server: Running, cookie: str) -> Iterator[ClientConnection]:
    """A WebSocket, greeted by the app."""
    url, origin = f"{server.origin.replace('http', 'ws')}/talk", Origin(server.origin)
    cookies = {"Cookie": cookie}
    with connect(url, additional_headers=cookies, origin=origin, proxy=None, open_timeout=PATIENCE) as socket:
        assert json.loads(socket.recv(PATIENCE))["logged_in"] is True
        yield socket


def _close_code(socket: ClientConnection) -> tuple[int | None, float]:
    """With which code it was closed by the server, and when."""
    try:
        while True:
            socket.recv(PATIENCE)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None, time.monotonic()


def _last_part(visitor: Visitor, opened: Callable[[], object]) -> float:
    """Read a stream to its end, which comes in the middle of it; when that was."""
    ending = time.monotonic() + 2 * PATIENCE
    with suppress(httpx.RemoteProtocolError), visitor.stream("/stream") as response:
        assert response.status_code == 200
        for part in response.iter_raw():
            assert part.startswith(b"part")
            opened()
            assert time.monotonic() < ending
    return time.monotonic()


@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_open_connections_end_soon_after_their_session_whoever_ends_it(
    crowded: Callable[[str], Running], provider: MisbehavingProvider, store: str
) -> None:
    here, there = crowded(f"uvicorn-{store}"), crowded(f"gunicorn-{store}")
    with ExitStack() as stack, ThreadPoolExecutor(2 * 4) as at_once:
        people = [stack.enter_context(logged_in(here, f"Listener {number}")) for number in range(4)]
        ways = [log_out, back_channel_logout_of_the_person, end_sessions_of_the_person]
        scenes = [Scene(here, there, provider, visitor) for visitor in people[:3]]
        sockets = [stack.enter_context(listening(here, visitor.cookie)) for visitor in people]
        started: set[int] = set()
        closings = [at_once.submit(_close_code, socket) for socket in sockets[:3]]
        streams = [
            at_once.submit(_last_part, visitor, partial(started.add, number))
            for number, visitor in enumerate(people[:3])
        ]
        _until(lambda: len(started) == 3)
        endings = []
        for way, scene in zip(ways, scenes, strict=True):
            way(scene)
            endings.append(time.monotonic())
        for way, ended, closing, stream in zip(ways, endings, closings, streams, strict=True):
            code, closed = closing.result()
            took = closed - ended, stream.result() - ended
            say(f"{store}, {way.__name__}: socket {code} after {took[0]:.2f} s, stream after {took[1]:.2f} s")
            assert code == 1008
            assert max(took) < SOON
        sockets[3].send("hello")  # the neighbour of all this
        assert sockets[3].recv(PATIENCE) == "Listener 3 said hello"


IDLE, LIFETIME = 15, 20  # seconds; one that is used may be looked at late, on a machine that stood still for ten


def test_a_socket_that_is_used_outlives_the_idle_timeout_but_not_the_session(
    provider: MisbehavingProvider, redis_server: RedisServer, tmp_path: Path
) -> None:
    stores = {"sqlite": f"sqlite:///{tmp_path}/sessions.db", "redis": f"{redis_server.url}?prefix=brief:"}
    brief = {"CONSENTKEYS_IDLE_TIMEOUT": str(IDLE), "CONSENTKEYS_SESSION_LIFETIME": str(LIFETIME)}
    with ExitStack() as stack, ThreadPoolExecutor(2) as at_once:
        servers = {}
        for name, store in stores.items():
            (tmp_path / name).mkdir()
            environ = _environ(store, **brief)
            servers[name] = stack.enter_context(serve(LONELY["uvicorn-redis"], provider, tmp_path / name, **environ))
            stack.enter_context(servers[name].quoted())
        for name, ends in zip(stores, at_once.map(_idle_ends, servers.values()), strict=True):
            say(f"{name}: {ends}")
            assert {one: code for one, (code, _) in ends.items()} == dict.fromkeys(ends, 1008)
            assert IDLE - 1 < ends["silent"][1] < IDLE + SOON
            assert LIFETIME - 1 < ends["talking"][1] < LIFETIME + SOON
            assert LIFETIME - 1 < ends["silent, browsing"][1] < LIFETIME + SOON


def _idle_ends(server: Running) -> dict[str, tuple[int | None, float]]:
    """How sockets were closed, and how many seconds after login: one that talks, and one that does not."""
    began = time.monotonic()
    with ExitStack() as stack, ThreadPoolExecutor(3) as at_once:
        talking, silent, browsing = (
            stack.enter_context(logged_in(server, name)) for name in ("Talking", "Silent", "Browsing")
        )
        sockets = [stack.enter_context(listening(server, visitor.cookie)) for visitor in (talking, silent, browsing)]
        closings = [at_once.submit(_close_code, socket) for socket in sockets]
        while not closings[0].done() and time.monotonic() < began + LIFETIME + SOON:
            with suppress(ConnectionClosed):
                sockets[0].send("still here")
            browsing.get("/who")
            time.sleep(0.5)
        results = [closing.result() for closing in closings]
        names = ("talking", "silent", "silent, browsing")
        return {name: (code, round(at - began, 2)) for name, (code, at) in zip(names, results, strict=True)}


PEOPLE, EACH = 10, 20  # who has how many sockets


def test_two_hundred_open_sockets_cost_one_question_a_process_and_look(
    crowded: Callable[[str], Running], redis_server: RedisServer
) -> None:
    server = crowded("uvicorn-redis")
    with ExitStack() as stack, ThreadPoolExecutor(PEOPLE) as at_once:
        names = [f"Holder {number}" for number in range(PEOPLE)]
        visitors = [stack.enter_context(visitor) for visitor in at_once.map(partial(logged_in, server), names)]
        asyncio.run(_hold_many(server, visitors, redis_server))


async def _hold_many(server: Running, visitors: list[Visitor], redis_server: RedisServer) -> None:
    url = f"{server.origin.replace('http', 'ws')}/talk"
    cookies = [visitor.cookie for visitor in visitors for _ in range(EACH)]
    how: dict[str, Any] = {"origin": Origin(server.origin), "proxy": None, "open_timeout": PATIENCE}
    async with AsyncExitStack() as stack:
        opening = [connect_soon(url, additional_headers={"Cookie": cookie}, **how) for cookie in cookies]
        sockets = await asyncio.gather(*map(stack.enter_async_context, opening))
        await _look_after_many(server, visitors, redis_server, sockets)


async def _look_after_many(
    server: Running, visitors: list[Visitor], redis_server: RedisServer, sockets: list[AsyncConnection]
) -> None:
    pids = Counter([json.loads(await socket.recv())["pid"] for socket in sockets])
    await asyncio.sleep(LOOK)
    began, before = time.monotonic(), _questions(redis_server)
    while (asked := _questions(redis_server) - before) < 2 * len(pids):
        assert time.monotonic() < began + PATIENCE
        await asyncio.sleep(LOOK / 10)
    took = time.monotonic() - began
    say(f"{len(sockets)} sockets on {sorted(pids.values())}: {asked} questions in {took:.2f} s")
    assert asked <= len(pids) * (took / LOOK + 1)
    began = time.monotonic()
    subs = {visitor.get("/who").json()["sub"] for visitor in visitors}
    assert [server.ask(f"/admin/end?sub={sub}").json["ended"] for sub in subs] == [1] * PEOPLE
    await asyncio.gather(*(socket.wait_closed() for socket in sockets))
    say(f"all closed after {time.monotonic() - began:.2f} s")
    assert time.monotonic() - began < SOON
    assert {socket.close_code for socket in sockets} == {1008}


def _questions(redis_server: RedisServer) -> int:
    """How many commands it was sent, but for those of a script's own, and ours."""
    with redis.Redis.from_url(redis_server.url) as client:
        stats: dict[str, dict[str, int]] = client.info("commandstats")
        return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("eval", "set"))


# A store that fails, as people meet it


@dataclass
class Frail:
    """A server of one process, whose store can be made to fail."""

    server: Running
    hasty: Callable[[], Running]  # another one on the same store, which soon gives up on it
    folder: Path  # of its SQLite file
    redis: RedisServer


@pytest.fixture(scope="module")
def frail_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """It keeps what it acknowledged on the disk, and so over a restart."""
    with RedisServer(tmp_path_factory.mktemp("redis"), "--appendonly", "yes", "--appendfsync", "always") as server:
        yield server


@pytest.fixture(scope="module")
def frails(
    house: MisbehavingProvider, frail_redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Frail]]:
    with ExitStack() as stack:
        frails: dict[str, Frail] = {}

        def frail(name: str) -> Frail:
            if name not in frails:
                folder = tmp_path_factory.mktemp("frail") / "store"
                folder.mkdir()
                is_redis = name.endswith("redis")
                store = f"{frail_redis.url}?prefix={name}:" if is_redis else f"sqlite:///{folder}/sessions.db"

                @cache
                def start(**how: str) -> Running:
                    own = tmp_path_factory.mktemp(name)
                    return stack.enter_context(serve(LONELY[name], house, own, **_environ(store, **how)))

                frails[name] = Frail(start(), partial(start, STORE_TIMEOUT=str(HASTY)), folder, frail_redis)
            return frails[name]

        yield frail


@pytest.fixture
def frail(request: pytest.FixtureRequest, frails: Callable[[str], Frail]) -> Iterator[Frail]:
    frail = frails(request.param)
    with frail.server.quoted():
        yield frail


def frail_on(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("frail", names, indirect=True)


def _assert_calm(server: Running, visitor: Visitor) -> None:
    """Whoever has a session is asked to wait; nobody is let in, sent to log in, or told that they are logged out."""
    cookie = f"Cookie: {visitor.cookie}"
    page, script = server.ask("/who", *NAVIGATES, cookie), server.ask("/api/token", cookie)
    me, logout = server.ask("/auth/me", cookie), visitor.post("/auth/logout")
    assert [page.status, script.status, me.status, logout.status_code] == [503] * 4
    for answer in (page, script, me):
        assert int(answer.header("retry-after") or 0) > 0
        assert answer.every("set-cookie") == []
    assert "set-cookie" not in logout.headers
    assert "<html" in page.text
    assert script.json["error"]
    assert server.ask("/alive", cookie).json["logged_in"] is False
    assert server.ask("/who", *NAVIGATES).status == 303  # nobody needs a store to know that they are nobody


@frail_on("gevent-redis", "uvicorn-redis")
def test_while_redis_is_down_people_wait_and_afterwards_go_on_where_they_were(frail: Frail) -> None:
    with logged_in(frail.server, "Ada") as ada:
        told = ada.get("/token").json()
        frail.redis.kill()
        try:
            _assert_calm(frail.server, ada)
        finally:
            frail.redis.start()
        assert ada.get("/token").json() == told


@frail_on("gevent-redis", "uvicorn-redis")
def test_a_redis_that_restarts_while_a_token_is_refreshed_costs_nobody_their_session(
    frail: Frail, provider: MisbehavingProvider
) -> None:
    with with_an_ended_token(frail.server, provider, "Ada") as cookie, ThreadPoolExecutor(1) as aside:
        before = refreshes(provider)
        held = Held()
        provider.faults.answer("token", held, times=1)
        refreshing = aside.submit(_perhaps, frail.server, cookie)
        _until(lambda: refreshes(provider) > before)
        frail.redis.kill()
        held.let_go()
        time.sleep(0.5)  # the answer comes, and cannot be kept
        frail.redis.start()
        say(f"{frail.server.command}: meanwhile {refreshing.result()}")
        assert frail.server.ask("/token", f"Cookie: {cookie}").json["token"]
        assert refreshes(provider) == before + 1


@frail_on("uvicorn-redis")
def test_an_app_that_loses_patience_with_a_refresh_costs_nobody_their_session(
    frail: Frail, provider: MisbehavingProvider
) -> None:
    with with_an_ended_token(frail.server, provider, "Ada") as cookie:
        before = refreshes(provider)
        held = Held()
        provider.faults.answer("token", held, times=1)
        assert frail.server.ask("/token?within=0.3", f"Cookie: {cookie}").json == {"trouble": "TimeoutError"}
        held.let_go()
        assert frail.server.ask("/token", f"Cookie: {cookie}").json["token"]
        assert refreshes(provider) == before + 1


@frail_on("gevent-redis", "uvicorn-redis")
def test_a_redis_that_says_nothing_holds_up_only_who_needs_it(frail: Frail) -> None:
    with logged_in(frail.server, "Ada") as ada, ThreadPoolExecutor(10) as at_once:
        with frail.redis.paused():
            waiting = [at_once.submit(status, frail.server, ada.cookie) for _ in range(10)]
            time.sleep(0.1)
            assert {frail.server.ask("/alive").status for _ in range(20)} == {200}
            assert not any(one.done() for one in waiting)
        assert {one.result() for one in waiting} == {200}


@frail_on("gevent-redis", "uvicorn-redis")
def test_a_redis_that_says_nothing_is_not_waited_for_for_long(frail: Frail) -> None:
    hasty = frail.hasty()
    with logged_in(frail.server, "Ada") as ada, ThreadPoolExecutor(10) as at_once:
        began = time.monotonic()
        with frail.redis.paused():
            assert set(at_once.map(lambda _: status(hasty, ada.cookie), range(10))) == {503}
        say(f"{hasty.command}: 503 after {time.monotonic() - began:.2f} s at the latest")
        assert time.monotonic() - began < SOON
        _until(lambda: status(hasty, ada.cookie) == 200)


@frail_on("gevent-sqlite", "uvicorn-sqlite")
def test_a_lock_that_another_process_holds_delays_writes_alone(frail: Frail) -> None:
    with logged_in(frail.server, "Ada") as ada, logged_in(frail.server, "Bob") as bob, ThreadPoolExecutor(1) as aside:
        with _locked(frail) as other:
            leaving = aside.submit(bob.post, "/auth/logout")
            time.sleep(0.1)
            assert {status(frail.server, ada.cookie) for _ in range(20)} == {200}
            assert {frail.server.ask("/alive").status for _ in range(20)} == {200}
            assert not leaving.done()
            other.execute("ROLLBACK")
        assert leaving.result().status_code == 200
        assert ada.get("/who").json()["name"] == "Ada"


@frail_on("gevent-sqlite", "uvicorn-sqlite")
def test_a_lock_that_is_held_too_long_is_a_503_and_nobody_is_logged_out_by_it(frail: Frail) -> None:
    hasty = frail.hasty()
    with logged_in(frail.server, "Ada") as ada:
        began = time.monotonic()
        with _locked(frail):
            assert ada.post(f"{hasty.origin}/auth/logout").status_code == 503
        say(f"{hasty.command}: 503 after {time.monotonic() - began:.2f} s")
        assert time.monotonic() - began < SOON
        assert ada.get("/who").json()["name"] == "Ada"
        assert ada.post("/auth/logout").status_code == 200


@contextmanager
def _locked(frail: Frail) -> Iterator[sqlite3.Connection]:
    """Hold the lock of its file, as a process that is not the server."""
    with closing(sqlite3.connect(frail.folder / "sessions.db", isolation_level=None, timeout=PATIENCE)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield other


@frail_on("gevent-sqlite", "uvicorn-sqlite")
def test_a_file_that_cannot_be_reached_for_a_while_is_waited_for(frail: Frail) -> None:
    away = frail.folder.with_name("away")
    with logged_in(frail.server, "Ada") as ada:
        told = ada.get("/token").json()
        frail.folder.rename(away)
        try:
            _assert_calm(frail.server, ada)
        finally:
            away.rename(frail.folder)
        assert ada.get("/token").json() == told


@frail_on("gevent-sqlite", "uvicorn-sqlite")
def test_after_the_file_was_deleted_people_log_in_again_without_a_restart(frail: Frail) -> None:
    with logged_in(frail.server, "Ada") as ada:
        (frail.folder / "sessions.db").unlink()
        seen = [status(frail.server, ada.cookie) for _ in range(5)]
        say(f"{frail.server.command}: after the file was deleted {seen}")
        assert set(seen) <= {503, 303}
        assert seen[-1] == 303
        with logged_in(frail.server, "Ada") as again:
            assert again.get("/token").json()["token"]
        assert (frail.folder / "sessions.db").stat().st_mode & 0o777 == 0o600


# Deploys


@on(*CROWDED)
def test_workers_share_no_connection_so_that_everybody_sees_only_themselves(server: Running) -> None:
    with ExitStack() as stack, ThreadPoolExecutor(PEOPLE) as at_once:
        names = [f"Person {number}" for number in range(PEOPLE)]
        visitors = [stack.enter_context(visitor) for visitor in at_once.map(partial(logged_in, server), names)]
        workers = set[int]()
        while len(workers) < 2:
            visits = [told(answers) for answers in at_once.map(Visitor.look_around, visitors)]
            assert [{visit["name"] for visit in of_one} for of_one in visits] == [{name} for name in names]
            workers.update(visit["pid"] for of_one in visits for visit in of_one)


@on("gunicorn-sqlite", "gunicorn-redis")
def test_no_worker_uses_what_was_opened_before_its_fork(server: Running, redis_server: RedisServer) -> None:
    with logged_in(server, "Ada") as ada:
        asked = set[int]()
        while len(asked) < 4:
            asked.update(one["pid"] for one in told(ada.look_around()))
    sockets = _sockets("", f":{redis_server.port:04X}")
    before, *after = (
        {(number, link) for number, link in _opened(pid) if link in sockets or link.endswith("/sessions.db")}
        for pid in (server.supervisor, *asked)
    )
    own = [len(opened - before) for opened in after]
    say(f"{server.command}: opened before the fork {len(before)}, and by each worker for itself {own}")
    assert before
    assert all(own)


@on(*CROWDED)
def test_a_graceful_reload_turns_nobody_away_and_keeps_everybody_logged_in(server: Running) -> None:
    with logged_in(server, "Ada") as ada, ThreadPoolExecutor(1) as meanwhile:
        old = set(server.workers)
        reload = meanwhile.submit(server.reload)
        answers = Counter[int]()
        while not reload.done():
            answers[_perhaps(server, ada.cookie)] += 1
        reload.result()
        say(f"{server.command}: while it reloads {dict(answers)}")
        assert not old & server.workers
        assert answers.keys() <= {0, 200}
        assert answers[0] <= len(old)  # a connection that was accepted by a worker on its way out
        assert ada.get("/who").json()["name"] == "Ada"


@pytest.mark.parametrize("name", ["gunicorn-sqlite", "uvicorn-redis"])
def test_a_restart_keeps_everybody_logged_in(
    provider: MisbehavingProvider, redis_server: RedisServer, tmp_path: Path, name: str
) -> None:
    store = f"sqlite:///{tmp_path}/kept.db" if name == "gunicorn-sqlite" else f"{redis_server.url}?prefix=restart:"
    environ = _environ(store)
    one = CROWDED[name].replace("--workers 4", "--workers 1")
    with serve(one, provider, tmp_path, **environ) as server, logged_in(server, "Ada") as ada:
        cookie, sub = ada.cookie, ada.get("/who").json()["sub"]
    with serve(one, provider, tmp_path, **environ) as server:
        assert server.ask("/token", f"Cookie: {cookie}").json["sub"] == sub


# The command line, while servers run


@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_the_command_line_lists_and_ends_sessions_of_running_servers(
    crowded: Callable[[str], Running], provider: MisbehavingProvider, store: str
) -> None:
    server = crowded(f"gunicorn-{store}")
    provider.faults.id_token_claims = lambda claims: claims | {"sid": f"sid-{store}"}
    with logged_in(server, "Ada") as ada, logged_in(server, "Ada") as ada_again, logged_in(server, "Bob") as bob:
        ids = {visitor.get("/who").json()["session"] for visitor in (ada, ada_again)}
        sub = ada.get("/who").json()["sub"]
        listed = command(server, "sessions", "list", "--sub", sub)
        assert ids <= {line.split()[0] for line in listed.splitlines()}
        assert command(server, "sessions", "end", "--sub", sub).endswith("ended\n")
        assert is_dead(server, ada.cookie)
        assert is_dead(server, ada_again.cookie)
        assert status(server, bob.cookie) == 200
        assert command(server, "sessions", "end", "--sid", f"sid-{store}") == "1 session ended\n"
        assert is_dead(server, bob.cookie)


def command(server: Running, *words: str) -> str:
    """What `ck-middleware` says when it is run where the server runs."""
    done = subprocess.run(
        [sys.executable, "-m", "ck_middleware", *words],
        env=server.environ,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout
