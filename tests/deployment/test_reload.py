"""This file is deploys on one host: what is under way when workers are replaced comes to its end, and nobody is out."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.deployed import Deployed, deployed, environ_at, lines
from support.holding import Held
from support.ports import Port
from support.provider import Hub, MisbehavingProvider
from support.redis_server import RedisServer
from support.servers import PATIENCE, Visitor

SERVERS = (
    ("gunicorn", "cookie"),
    ("gunicorn --preload", "sqlite"),
    ("gunicorn-asgi", "redis"),
    ("uvicorn", "cookie"),
)


@pytest.fixture
def provider(hub: Hub) -> Iterator[MisbehavingProvider]:
    with hub.provider() as provider:
        yield provider


@pytest.fixture(params=SERVERS, ids="-".join)
def server(
    request: pytest.FixtureRequest, provider: MisbehavingProvider, redis_server: RedisServer, tmp_path: Path
) -> Iterator[Deployed]:
    line, kind = request.param
    name, _, option = line.partition(" ")
    stores = {
        "cookie": "cookie",
        "sqlite": f"sqlite:///{tmp_path}/sessions.db",
        "redis": f"{redis_server.url}?prefix=reload-{os.getpid()}:",
    }
    with Port() as port:
        environ = environ_at(f"http://localhost:{port.number}", provider) | {"CONSENTKEYS_STORE": stores[kind]}
        with deployed(f"{lines()[name]} {option}", port.number, tmp_path / name, environ) as server, server.quoted():
            yield server


def test_a_reload_loses_no_login_and_logs_nobody_out(server: Deployed, provider: MisbehavingProvider) -> None:
    with (
        Visitor(server.origin, "Ada") as ada,
        Visitor(server.origin, "Bob") as bob,
        Visitor(server.origin, "Eve") as eve,
        ThreadPoolExecutor(1) as aside,
    ):
        assert ada.log_in().json()["name"] == "Ada"
        away, returning = bob.choose(bob.start_login()), eve.choose(eve.start_login())
        asked, held = provider.count("token"), Held()
        provider.faults.answer("token", held, times=1)
        coming = aside.submit(eve.step, returning)  # to a worker that is replaced before it can answer
        _until(lambda: provider.count("token") > asked)
        old = set(server.workers)
        server.deploy(CONSENTKEYS_PUBLIC="/alive,/new")
        os.kill(server.supervisor, signal.SIGHUP)
        _until(lambda: "hup" in server.written().lower())
        held.let_go()
        assert coming.result().headers["location"] == "/who"
        _until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in old))
        server.workers = set()
        server.await_workers(len(old))
        assert bob.come_back(away).json()["name"] == "Bob"
        for visitor in (ada, bob, eve):
            answers = [answer.json() for answer in visitor.look_around()]
            assert {answer["name"] for answer in answers} == {visitor.name}
            assert not old & {answer["pid"] for answer in answers}
        # What was loaded before the workers were made, stays: another app needs another gunicorn.
        assert server.ask("/new").status == (303 if "--preload" in server.command else 200)


def _until(true: Callable[[], object]) -> None:
    ending = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < ending
        time.sleep(0.02)
