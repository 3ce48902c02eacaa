"""Many people at once, in threads, greenlets and tasks, at an app that often fails: everybody is themselves."""

import asyncio
import gc
import json
import random
import re
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import partial
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import httpx
import pytest
from gevent import GreenletExit
from starlette.types import Message

from ck_middleware import get_user
from ck_middleware.dev.people import Person, person_called
from support.apps import restless
from support.browser import Browser
from support.clock import Clock
from support.faces import ASGIFace, Asked, Face, Guard, Headers, WSGIFace
from support.provider import CLIENT_ID, Hub, MisbehavingProvider
from support.servers import PATIENCE, TLS, Running, Visitor, serve

HERE = "127.0.0.1"
CROWD = 50
VISITS = 500
PEOPLE = [person_called(f"Person {number:02}") for number in range(CROWD)]
ENDS = tuple(f"/who?end={end}" for end in restless.ENDS)
TOKEN = "/who?token=1"
LEFT = "/who?left"  # the client goes away after the first bytes
LIFE = 0.15  # of the idle timeout; after it every answer brings a new cookie
NAMES = re.compile(r"Person \d\d|ck_u_[0-9a-f]{32}|[0-9a-f]{12}@example\.test")

Tally = Callable[[str, int], None]


@dataclass(frozen=True)
class Got:
    """What came back, whole or not."""

    headers: Headers
    body: bytes
    broken: type[BaseException] | None = None

    def names(self) -> set[str]:
        return set(NAMES.findall(f"{self.headers} {self.body.decode()}"))

    def cookies(self) -> list[str]:
        return [value.partition(";")[0] for name, value in self.headers if name.lower() == "set-cookie"]


def names_of(person: Person) -> set[str]:
    return {person.name, person.sub(CLIENT_ID), str(person.email)}


def plan(*targets: str) -> list[tuple[int, str]]:
    """Who comes, and where to, in an order that is the same each time."""
    visits = [(number % CROWD, targets[number // CROWD % len(targets)]) for number in range(VISITS)]
    random.Random(1).shuffle(visits)  # noqa: S311  # nothing secret
    return visits


def assert_themselves(person: Person, target: str, got: Got) -> None:
    """Nobody else's name in any part of it, and in a whole answer one's own wherever one is named."""
    assert got.names() <= names_of(person), (target, got)
    if target == "/auth/me":
        assert json.loads(got.body)["user"]["name"] == person.name
    if target not in {"/who?end=well", TOKEN}:
        return
    assert ("x-person", person.name) in [(name.lower(), value) for name, value in got.headers]
    told = json.loads(got.body)[1]
    for seen in (told["before"], told["after"]):
        assert (seen["name"], seen["email"]) == (person.name, person.email)
        assert {seen["sub"], seen["remote"], seen["claims"]["sub"]} == {person.sub(CLIENT_ID)}
        assert seen.get("of", seen["sub"]) == seen["sub"]
    assert told["kept"] == {"mark": person.name, "context": person.name}
    # What others added to their own claims, to their user and to what it may do is not here.
    assert {tuple(groups) for groups in told["before"]["groups"]} == {("people",)}
    assert told["before"]["marks"] == [None]


def add_groups(claims: dict[str, Any]) -> dict[str, Any]:
    return claims | {"groups": ["people"]}


# In process: threads around the WSGI face, tasks around the ASGI face


@pytest.fixture(params=["cookie", "sqlite", "redis"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def face(guard: Guard, kind: str, provider: MisbehavingProvider) -> Face:
    provider.faults.userinfo = add_groups
    return guard(keep_tokens=kind != "cookie")


@pytest.fixture
def cookies(face: Face) -> list[str]:
    """The session of each of the people, who log in where nobody fails; thereafter the app is restless."""
    browsers = [Browser(face) for _ in PEOPLE]
    for browser, person in zip(browsers, PEOPLE, strict=True):
        assert browser.log_in(name=person.name).status == 303
    set_app(face)
    return [f"ck_session={browser.cookies['ck_session']}" for browser in browsers]


def set_app(face: Face) -> None:
    if isinstance(face, WSGIFace):
        face.app.app = restless.wsgi
    if isinstance(face, ASGIFace):
        face.app.app = restless.asgi


def asking(target: str, cookie: str) -> Asked:
    return Asked("GET", target, [("Host", "localhost:8000"), ("Cookie", cookie)])


def crowd(face: Face, asked: Sequence[Asked]) -> list[Got]:
    """All of them at once, and what each got. Nothing of anybody is left when they are gone."""
    if isinstance(face, ASGIFace):
        got = face._runner.run(_tasks(face, asked))
    else:
        start = threading.Barrier(CROWD, timeout=PATIENCE)

        def some(mine: Sequence[Asked]) -> list[Got]:
            start.wait()
            return [_in_thread(face, one) for one in mine]

        with ThreadPoolExecutor(CROWD) as threads:
            parts = list(threads.map(some, [asked[number::CROWD] for number in range(CROWD)]))
            gc.collect()
            assert not list(restless.users), "the threads are there yet, and something in them knows a user"
        got = [parts[number % CROWD][number // CROWD] for number in range(len(asked))]
    gc.collect()
    assert not list(restless.users)
    return got


def _in_thread(face: Face, asked: Asked) -> Got:
    assert isinstance(face, WSGIFace)
    headers, parts, broken = Headers(), list[bytes](), None

    def start_response(status: str, given: Headers, exc_info: object = None, /) -> Callable[[bytes], object]:
        headers[:] = given
        return parts.append

    try:
        body = iter(face.app(face.environ(asked), start_response))
        for part in body:
            parts.append(part)
            if asked.target == LEFT:
                body.close()  # type: ignore[attr-defined]  # PEP 3333 has it where there is one
    except (restless.Failed, GreenletExit) as error:
        broken = type(error)
    return Got(headers, b"".join(parts), broken)


async def _tasks(face: ASGIFace, asked: Sequence[Asked]) -> list[Got]:
    return await asyncio.gather(*(asyncio.create_task(_in_task(face, one)) for one in asked))


async def _in_task(face: ASGIFace, asked: Asked) -> Got:
    headers, parts, broken = Headers(), list[bytes](), None

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        headers.extend((name.decode(), value.decode()) for name, value in message.get("headers", ()))
        parts.append(message.get("body", b""))
        if asked.target == LEFT and parts[-1]:
            asyncio.current_task().cancel()  # type: ignore[union-attr]  # as a server does when its client has gone

    try:
        await face.app(face.scope(asked), receive, send)
    except (restless.Failed, asyncio.CancelledError) as error:
        broken = type(error)
    return Got(headers, b"".join(parts), broken)


def test_fifty_people_in_five_hundred_requests_at_once_are_each_themselves(
    face: Face, kind: str, cookies: list[str], clock: Clock, provider: MisbehavingProvider, tally: Tally
) -> None:
    clock.move(LIFE * 7200)
    visits = plan(*ENDS, LEFT, "/auth/me", *(() if kind == "cookie" else (TOKEN,)))
    everything = crowd(face, [asking(target, cookies[who]) for who, target in visits])
    tally("requests", VISITS)
    renewed: dict[int, str] = {}
    for (who, target), got in zip(visits, everything, strict=True):
        assert_themselves(PEOPLE[who], target, got)
        assert got.broken is expected(face, target), target
        if cookies_set := got.cookies():
            renewed[who] = cookies_set[-1]
    assert len(set(renewed.values())) == CROWD
    for who, got in zip(renewed, crowd(face, [asking("/auth/me", renewed[who]) for who in renewed]), strict=True):
        assert_themselves(PEOPLE[who], "/auth/me", got)
    tokens = [
        (who, json.loads(got.body)[1]["token"])
        for (who, target), got in zip(visits, everything, strict=True)
        if target == TOKEN
    ]
    assert len(dict(tokens)) == (0 if kind == "cookie" else CROWD)
    assert_own_tokens(provider, tokens)


def assert_own_tokens(provider: MisbehavingProvider, tokens: Sequence[tuple[int, str]]) -> None:
    """The provider says whose each is."""
    with httpx.Client(verify=TLS) as client:
        for who, token in dict.fromkeys(tokens):
            answer = client.get(provider.url("userinfo"), headers={"Authorization": f"Bearer {token}"})
            assert answer.json()["name"] == PEOPLE[who].name


def expected(face: Face, target: str) -> type[BaseException] | None:
    """What has to reach the server of all that the app raises: the very same."""
    stopped = GreenletExit if isinstance(face, WSGIFace) else asyncio.CancelledError
    if "end=quits" in target or (target == LEFT and isinstance(face, ASGIFace)):
        return stopped
    return restless.Failed if "end=fails" in target else None


@pytest.mark.parametrize("kind", ["cookie", "sqlite"], indirect=True)
def test_what_an_app_leaves_on_a_stranger_is_not_found_on_the_next(guard: Guard, kind: str) -> None:
    face = guard(public=["/"])
    found = []

    for _ in range(2):
        Browser(face).get("/")
        user = get_user(face.carriers[-1])
        found.append(getattr(user, "mark", None))
        user.mark = "mine"  # type: ignore[attr-defined]  # as apps do
        if isinstance(face, ASGIFace):
            found.append(list(face.carriers[-1]["auth"].scopes))
            face.carriers[-1]["auth"].scopes.append("admin")
    assert set(map(str, found)) <= {"None", "[]"}


# On sockets: greenlets, threads and tasks of real servers, over one store

SERVERS = {
    "gevent": "gunicorn --worker-class gevent support.apps.restless_wsgi:app",
    "gthread": "gunicorn --worker-class gthread --threads 16 support.apps.restless_wsgi:app",
    "uvicorn": "uvicorn support.apps.restless_asgi:app",
}


@dataclass(frozen=True)
class House:
    """A provider, and a store that all the servers share, so that whoever logged in at one is known at the others."""

    provider: MisbehavingProvider
    folder: Path
    cookies: list[str]

    def serve(self, name: str) -> AbstractContextManager[Running]:
        folder = self.folder / name
        folder.mkdir()
        return serve(SERVERS[name], self.provider, folder, CONSENTKEYS_STORE=f"sqlite:///{self.folder}/sessions.db")


@pytest.fixture(scope="module")
def house(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with hub.provider() as provider:
        provider.faults.userinfo = add_groups
        yield House(provider, tmp_path_factory.mktemp("house"), [])


@pytest.fixture
def running(request: pytest.FixtureRequest, house: House) -> Iterator[Running]:
    with house.serve(request.param) as running, running.quoted():
        if not house.cookies:
            with ThreadPoolExecutor(8) as at_once:
                house.cookies.extend(at_once.map(partial(log_in, running.origin), PEOPLE))
        yield running


def log_in(origin: str, person: Person) -> str:
    with Visitor(origin, person.name) as visitor:
        visitor.log_in()
        return visitor.cookie


def over_a_socket(port: int, target: str, cookie: str) -> bytes:
    """Every byte of the answer, until the server closes; the first alone, for someone who then leaves."""
    request = f"GET {target} HTTP/1.1\r\nHost: localhost:{port}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
    got = b""
    with socket.create_connection((HERE, port), PATIENCE) as connection, suppress(ConnectionResetError):
        connection.sendall(request.encode())
        while part := connection.recv(1 << 16):
            got += part
            if target == LEFT:
                break
    return got


# A thread of gunicorn's that ends with what is no `Exception` takes its whole worker along, with any app.
@pytest.mark.parametrize(
    ("running", "ends"), [("gevent", ENDS), ("gthread", ENDS[:4]), ("uvicorn", ENDS)], indirect=["running"]
)
def test_on_a_real_server_they_are_each_themselves_too(
    running: Running, house: House, ends: Sequence[str], tally: Tally
) -> None:
    visits = plan(*ends, LEFT, "/auth/me", TOKEN)
    with ThreadPoolExecutor(CROWD) as at_once:
        everything = list(
            at_once.map(lambda visit: over_a_socket(running.port, visit[1], house.cookies[visit[0]]), visits)
        )
    tally("requests", VISITS)
    whole = Counter[str]()
    for (who, target), got in zip(visits, everything, strict=True):
        assert set(NAMES.findall(got.decode())) <= names_of(PEOPLE[who]), (target, got)
        if target in {"/auth/me", "/who?end=well", TOKEN}:
            assert_themselves(PEOPLE[who], target, parsed(got))
            whole[target] += 1
    assert whole.total() > VISITS // 10 * 3
    assert running.ask("/alive").json["pid"] in running.workers, "it is another one by now"


def parsed(got: bytes) -> Got:
    """A whole answer, taken apart by a client of the standard library."""
    near, far = socket.socketpair()
    with near, far:
        far.sendall(got)
        far.shutdown(socket.SHUT_WR)
        response = HTTPResponse(near)
        response.begin()
        assert response.status == 200, got
        return Got(response.getheaders(), response.read())
