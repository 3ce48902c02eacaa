"""This file is the promise that people come in, each as themselves, on the servers that apps run on."""

import asyncio
import json
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from ck_middleware.blocking import BlockingHttp
from ck_middleware.ports import step
from support.apps.telling import MALLORY
from support.holding import Dripping, Held
from support.provider import Hub, MisbehavingProvider
from support.servers import PATIENCE, Running, Visitor, serve, told
from support.serving import Server

PLAIN, FLASK, STARLETTE = (f"support.apps.{name}:app" for name in ("plain", "flasked", "starry"))
WSGI = {
    "sync": f"gunicorn --worker-class sync --workers 2 {PLAIN}",
    "sync-preload": f"gunicorn --worker-class sync --workers 2 --preload {PLAIN}",
    "gthread": f"gunicorn --worker-class gthread --threads 4 --workers 2 {PLAIN}",
    "gthread-preload": f"gunicorn --worker-class gthread --threads 4 --workers 2 --preload {FLASK}",
    "gevent": f"gunicorn --worker-class gevent --workers 2 {PLAIN}",
    "gevent-preload": f"gunicorn --worker-class gevent --workers 2 --preload {PLAIN}",
}
ASGI = {
    "httptools": f"uvicorn --http httptools --loop uvloop --ws websockets --workers 2 {STARLETTE}",
    "h11": f"uvicorn --http h11 --loop asyncio --ws wsproto {STARLETTE}",
    "gunicorn-asgi": f"gunicorn --worker-class asgi --workers 2 {STARLETTE}",
}
SERVERS = WSGI | ASGI
# One process each, so that nobody else could answer while it waits for the provider.
LONELY = {
    "gthread": f"gunicorn --worker-class gthread --threads 32 --workers 1 {PLAIN}",
    "gevent-preload": f"gunicorn --worker-class gevent --workers 1 --preload {PLAIN}",
    "h11": f"uvicorn --http h11 --loop asyncio --ws websockets-sansio {STARLETTE}",
    "httptools": f"uvicorn --http httptools --loop uvloop --ws websockets-sansio {STARLETTE}",
}
PEOPLE = 20
HASTY = 1  # seconds that an impatient app gives the provider
LATE = 15  # seconds after which one has waited for more than that, on a busy machine


def on(*names: str) -> pytest.MarkDecorator:
    """Run a test on these servers, each started once."""
    return pytest.mark.parametrize("shared", names, indirect=True)


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with Hub().running() as hub:
        yield hub


@pytest.fixture
def provider(hub: Hub) -> Iterator[MisbehavingProvider]:
    with hub.provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("served") / "file"
    file.write_bytes(os.urandom(3 << 20))
    return file


@pytest.fixture(scope="module")
def shared(
    request: pytest.FixtureRequest, hub: Hub, file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp(request.param)
    with hub.provider() as provider, serve(SERVERS[request.param], provider, directory, APP_FILE=str(file)) as running:
        yield running


@pytest.fixture
def server(shared: Running) -> Iterator[Running]:
    with shared.quoted():
        yield shared


@pytest.fixture
def impatient(request: pytest.FixtureRequest, provider: MisbehavingProvider, tmp_path: Path) -> Iterator[Running]:
    """A server of one process that nobody has logged in at, so it knows nothing of its provider yet."""
    with serve(LONELY[request.param], provider, tmp_path, PROVIDER_TIMEOUT=str(HASTY)) as running, running.quoted():
        yield running


@pytest.fixture
def lonely(request: pytest.FixtureRequest, provider: MisbehavingProvider, tmp_path: Path) -> Iterator[Running]:
    """A server of one process that waits for its provider."""
    with serve(LONELY[request.param], provider, tmp_path, PROVIDER_TIMEOUT=str(PATIENCE)) as running, running.quoted():
        yield running


@pytest.fixture
def ada(server: Running) -> Iterator[Visitor]:
    with Visitor(server.origin, "Ada") as visitor:
        assert visitor.log_in().json()["name"] == "Ada"
        yield visitor


@pytest.fixture
def bob(server: Running) -> Iterator[Visitor]:
    with Visitor(server.origin, "Bob") as visitor:
        assert visitor.log_in().json()["name"] == "Bob"
        yield visitor


# Crowds


@on(*SERVERS)
def test_twenty_people_at_once_log_in_and_each_sees_only_themselves(server: Running) -> None:
    with ExitStack() as stack, ThreadPoolExecutor(PEOPLE) as at_once:
        visitors = [stack.enter_context(Visitor(server.origin, f"Person {number}")) for number in range(PEOPLE)]
        logins = told(list(at_once.map(Visitor.log_in, visitors)))
        names = [visitor.name for visitor in visitors]
        assert [login["name"] for login in logins] == names
        assert len({login["sub"] for login in logins}) == PEOPLE
        workers = set[int]()
        while workers != server.workers:  # all have come to all of them
            visits = [told(answers) for answers in at_once.map(Visitor.look_around, visitors)]
            assert [{visit["name"] for visit in of_one} for of_one in visits] == [{name} for name in names]
            workers.update(visit["pid"] for of_one in visits for visit in of_one)


@on("sync", "gevent-preload")
def test_a_login_that_one_worker_began_is_finished_by_another(server: Running) -> None:
    with Visitor(server.origin, "Ada") as ada:
        page = ada.start_login()
        server.kill_workers()
        assert ada.come_back(ada.choose(page)).json()["name"] == "Ada"


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # Python 3.12 warns of the server's thread
def test_after_a_fork_parent_and_child_get_each_their_own_answers() -> None:
    with Server(_echo) as server:
        http = BlockingHttp(timeout=PATIENCE)

        def ask(word: str) -> str:
            return step(http.send(httpx.Request("GET", f"{server.url}/?{word}"))).text

        def ask_often(who: str) -> list[str]:
            return [ask(f"{who}-{number}") for number in range(50)]

        assert ask("before") == "before"
        with _in_a_child(lambda: ask_often("child")) as answers_of_child:
            assert ask_often("parent") == [f"parent-{number}" for number in range(50)]
            assert ask("bye") == "bye"
            assert json.load(answers_of_child) == [f"child-{number}" for number in range(50)]


@contextmanager
def _in_a_child(act: Callable[[], object]) -> Iterator[TextIO]:
    """Do this in a child of this process meanwhile. At the end, what came of it can be read."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(PATIENCE)
        try:
            os.write(writing, json.dumps(act()).encode())
        finally:
            os._exit(0)  # whatever happens: a second test run begins nowhere
    os.close(writing)
    with os.fdopen(reading) as pipe:
        yield pipe
        os.waitpid(child, 0)


async def _echo(scope: Scope, receive: Receive, send: Send) -> None:
    word = scope["query_string"].decode()
    await asyncio.sleep(0.002)
    await PlainTextResponse(word, headers={"Connection": "close"} if word == "bye" else {})(scope, receive, send)


# A provider that is slow


@pytest.mark.parametrize("impatient", ["gthread", "gevent-preload", "h11"], indirect=True)
def test_a_login_at_a_hanging_provider_ends_in_time_and_one_question_serves_the_crowd(
    impatient: Running, provider: MisbehavingProvider
) -> None:
    provider.faults.hang("discovery")
    with ThreadPoolExecutor(PEOPLE) as at_once:
        began = time.monotonic()
        answers = list(at_once.map(lambda _: impatient.ask("/auth/login"), range(PEOPLE)))
        took = time.monotonic() - began
    assert {answer.status for answer in answers} == {503}
    assert took < LATE  # all wait for the same, and nobody for those who came before
    assert provider.count("discovery") <= took / (0.9 * HASTY)  # nobody asks while another one waits for the answer
    provider.faults.heal()
    _until(lambda: impatient.ask("/auth/login").status == 303)


@pytest.mark.parametrize(
    ("impatient", "fault"),
    [("gthread", "hang"), ("h11", "hang"), ("gevent-preload", "drip"), ("httptools", "drip")],
    indirect=["impatient"],
)
def test_a_login_that_the_provider_does_not_finish_ends_in_time(
    impatient: Running, provider: MisbehavingProvider, fault: str
) -> None:
    _until(lambda: impatient.ask("/auth/login").status == 303)
    with Visitor(impatient.origin, "Ada") as ada:
        callback = ada.choose(ada.start_login())
        getattr(provider.faults, fault)("token")
        began = time.monotonic()
        assert ada.come_back(callback).status_code == 503
        assert HASTY * 0.9 < time.monotonic() - began < LATE


@pytest.mark.parametrize(
    ("lonely", "kind"),
    [("gthread", Held), ("h11", Held), ("gevent-preload", Dripping), ("httptools", Dripping)],
    indirect=["lonely"],
)
def test_while_the_provider_keeps_some_logins_waiting_everybody_else_is_served(
    lonely: Running, provider: MisbehavingProvider, kind: type[Held]
) -> None:
    held = kind()
    with ExitStack() as stack, ThreadPoolExecutor(3) as at_once:
        ada, *others = (stack.enter_context(Visitor(lonely.origin, name)) for name in ("Ada", "Bob", "Eve", "Grace"))
        assert ada.log_in().json()["name"] == "Ada"
        callbacks = [visitor.choose(visitor.start_login()) for visitor in others]
        asked = provider.count("token")
        provider.faults.answer("token", held)
        ends = [
            at_once.submit(visitor.come_back, callback) for visitor, callback in zip(others, callbacks, strict=True)
        ]
        _until(lambda: provider.count("token") == asked + len(ends))
        served = told([ada.get("/who") for _ in range(50)])
        assert not any(end.done() for end in ends), "the 50 came through only after a login had ended"
        assert {visit["name"] for visit in served} == {"Ada"}
        held.let_go()
        assert [end.result().json()["name"] for end in ends] == ["Bob", "Eve", "Grace"]


def _until(true: Callable[[], bool]) -> None:
    ending = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < ending
        time.sleep(0.01)


# WebSockets


def _talk(server: Running, tag: str, *, cookie: str = "", origin: str = "") -> tuple[dict[str, Any], str]:
    """What the app tells who connects, and answers to a word. Raises `InvalidStatus` when it refuses."""
    url = f"{server.origin.replace('http', 'ws')}/talk/{tag}"
    headers = {"Cookie": cookie} if cookie else {}
    own_origin = Origin(origin or server.origin)
    with connect(url, additional_headers=headers, origin=own_origin, proxy=None, open_timeout=PATIENCE) as socket:
        greeting = json.loads(socket.recv(PATIENCE))
        socket.send("hello")
        return greeting, str(socket.recv(PATIENCE))


def _refusal(server: Running, **how: str) -> int:
    """The status that refuses a WebSocket. The app behind the middleware must not have heard of it."""
    tag = uuid.uuid4().hex
    with pytest.raises(InvalidStatus) as refused:
        _talk(server, tag, **how)
    assert {"path": f"/talk/{tag}"} not in server.record()
    return refused.value.response.status_code


@on(*ASGI)
def test_a_websocket_from_our_own_page_is_accepted_and_knows_who_is_there(server: Running, ada: Visitor) -> None:
    tag = uuid.uuid4().hex
    greeting, answer = _talk(server, tag, cookie=ada.cookie)
    assert greeting["name"] == "Ada"
    assert answer == "Ada said hello"
    assert {"path": f"/talk/{tag}"} in server.record()


@on(*ASGI)
def test_a_websocket_of_a_stranger_is_refused_before_the_app_hears_of_it(server: Running, refusal: int) -> None:
    assert _refusal(server) == refusal
    assert _refusal(server, cookie="ck_session=forged") == refusal


@on(*ASGI)
@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost", "http://127.0.0.1:{port}", "null"])
def test_a_websocket_opened_by_another_site_is_refused_though_the_cookie_comes_along(
    server: Running, ada: Visitor, refusal: int, origin: str
) -> None:
    assert _refusal(server, cookie=ada.cookie, origin=origin.format(port=server.port)) == refusal


@on(*ASGI)
def test_a_websocket_with_two_sessions_is_refused(server: Running, ada: Visitor, bob: Visitor, refusal: int) -> None:
    assert _refusal(server, cookie=f"{ada.cookie}; {bob.cookie}") == refusal


@pytest.fixture
def refusal(server: Running) -> int:
    """401 where the server can say so; closing before accept is a 403 (ASGI, WebSocket close)."""
    return 403 if server.command.startswith("gunicorn") else 401


# Lifespan


@pytest.mark.parametrize("name", ["h11", "httptools"])
def test_startup_and_shutdown_reach_the_app_and_nothing_is_left_open(
    name: str, provider: MisbehavingProvider, tmp_path: Path
) -> None:
    with serve(LONELY[name], provider, tmp_path) as server, Visitor(server.origin, "Ada") as ada:
        assert ada.log_in().json()["greeting"] == "made at startup"
        assert server.record() == [{"lifespan": "startup"}, {"path": "/alive"}, {"path": "/who"}]
        server.stop(signal.SIGINT)  # uvicorn dies of any other one, before Python could say what was left open
        assert server.record()[-1] == {"lifespan": "shutdown"}
        assert "unclosed" not in server.written()
        assert "Traceback" not in server.written()


# Files and streams


@on("sync", "gthread")
def test_a_file_is_still_sent_by_the_kernel_and_arrives_whole(server: Running, ada: Visitor, file: Path) -> None:
    assert ada.get("/file").content == file.read_bytes()


def test_a_file_that_brings_a_renewed_session_is_still_sent_by_the_kernel(
    provider: MisbehavingProvider, file: Path, tmp_path: Path
) -> None:
    settings = {"APP_FILE": str(file), "CONSENTKEYS_IDLE_TIMEOUT": "15"}
    with serve(WSGI["sync"], provider, tmp_path, **settings) as server, Visitor(server.origin, "Ada") as ada:
        ada.log_in()
        before = ada.cookie
        time.sleep(1.6)  # a tenth of the idle timeout, and no less
        assert ada.get("/file").content == file.read_bytes()
        assert ada.cookie != before
        assert ada.get("/who").json()["name"] == "Ada"


@on("sync", "gthread", "gevent", *ASGI)
def test_the_first_part_of_a_stream_arrives_before_the_second_is_made(
    server: Running, ada: Visitor, tmp_path: Path
) -> None:
    go_on = tmp_path / "go-on"
    with ada.stream(f"/stream?{go_on}") as response:
        parts = response.iter_raw()
        assert next(parts) == b"first\n"
        go_on.touch()
        assert b"".join(parts) == b"second\n"


# What a stranger writes into headers


FORGED = [f"{name}: {MALLORY}" for name in ("Remote-User", "remote-user", "Remote_User", "REMOTE_USER", "REMOTE-USER")]


@on(*SERVERS)
def test_no_header_of_a_request_passes_for_an_identity(server: Running, ada: Visitor) -> None:
    stranger = server.ask("/alive", *FORGED).json
    assert (stranger["logged_in"], stranger["remote_user"], stranger["forged"]) == (False, None, [])
    logged_in = server.ask("/who", *FORGED, f"Cookie: {ada.cookie}", *FORGED).json
    assert (logged_in["name"], logged_in["forged"]) == ("Ada", [])
    assert logged_in["remote_user"] == logged_in["sub"]


@on(*SERVERS)
def test_two_sessions_in_one_header_are_nobodys(server: Running, ada: Visitor, bob: Visitor) -> None:
    assert server.ask("/who", f"Cookie: {ada.cookie}").json["name"] == "Ada"
    for first, second in ((ada, bob), (bob, ada), (ada, ada)):
        assert server.ask("/who", f"Cookie: {first.cookie}; {second.cookie}").status == 303


@on(*ASGI)
def test_a_session_counts_in_whichever_of_two_cookie_fields_it_stands(server: Running, ada: Visitor) -> None:
    for fields in (ada.cookie, "theme=dark"), ("theme=dark", ada.cookie), ("a=1; b=2", f"c=3; {ada.cookie}; d=4"):
        assert server.ask("/who", *(f"Cookie: {field}" for field in fields)).json["name"] == "Ada"


@on(*ASGI)
def test_two_sessions_in_two_cookie_fields_are_nobodys(server: Running, ada: Visitor, bob: Visitor) -> None:
    for fields in (ada.cookie, bob.cookie), (f"{ada.cookie}; a=1", f"b=2; {bob.cookie}"):
        assert server.ask("/who", *(f"Cookie: {field}" for field in fields)).status == 303


@on("sync", "gevent")
def test_two_cookie_fields_that_gunicorn_joins_with_a_comma_never_log_in_another_than_the_first(
    server: Running, ada: Visitor, bob: Visitor
) -> None:
    for fields in (
        (ada.cookie, "theme=dark"),
        ("theme=dark", ada.cookie),
        ("theme=dark; a=1", f"b=2; {ada.cookie}"),
        (ada.cookie, bob.cookie),
        (f"{ada.cookie}; a=1", f"{bob.cookie}; b=2"),
        (f"a=1; {ada.cookie}", f"b=2; {bob.cookie}"),
        (f"{ada.cookie}; a=1", f"b=2; {bob.cookie}"),
    ):
        answer = server.ask("/who", *(f"Cookie: {field}" for field in fields))
        assert answer.status == 303 or answer.json["name"] == "Ada"


@on("sync")
def test_a_mount_that_a_trusted_proxy_names_is_kept(server: Running) -> None:
    answer = server.ask("/zz/who", "SCRIPT_NAME: /zz")
    assert (answer.status, answer.location) == (303, "/zz/auth/login?next=%2Fzz%2Fwho")
    asked = parse_qs(urlsplit(server.ask("/zz/auth/login", "SCRIPT_NAME: /zz").location).query)
    assert asked["redirect_uri"] == [f"{server.origin}/zz/auth/callback"]


@on("sync")
@pytest.mark.parametrize(
    "mount", ["//evil.example", "/zz//evil.example", "/\\evil.example", "/.//evil.example", "/../evil.example", "evil"]
)
@pytest.mark.parametrize("path", ["/who", "/auth/login", "/auth/callback", "/auth/logout", "/alive"])
def test_a_mount_that_leads_away_is_refused(server: Running, mount: str, path: str) -> None:
    answer = server.ask(mount + path, f"SCRIPT_NAME: {mount}")
    assert (answer.status, answer.every("location")) == (400, [])


@on(*SERVERS)
def test_without_a_base_url_nobody_logs_in_at_a_foreign_host(server: Running) -> None:
    assert server.ask("/auth/login").status == 303
    for host in (
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "localhost:80@evil.example",
        "localhost:evil.example",
        "[::1].evil.example",
        "",
    ):
        answer = server.ask("/auth/login", f"Host: {host}")
        assert (answer.status, answer.every("location")) == (400, [])
