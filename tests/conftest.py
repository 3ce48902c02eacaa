"""Fixtures that every test may ask for, and the rule that in CI nothing is skipped."""

import asyncio
import itertools
import os
import ssl
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, TypeVar, Unpack

import httpcore
import httpx
import pytest
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from ck_middleware import AuthConfig
from ck_middleware.config import Settings
from ck_middleware.stores import redis, sqlite
from ck_middleware.stores.memory import AsyncMemoryStore, MemoryStore
from support.asked import PATIENCE
from support.browser import Browser
from support.clock import Clock
from support.documents import AsWritten
from support.faces import ASGIFace, Configure, Face, Guard, Headers, WSGIFace
from support.provider import Hub, MisbehavingProvider
from support.redis_server import RedisServer
from support.serving import Server

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

pytest_plugins = ("support.proof",)

SESSION_SECRET = "0123456789abcdef0123456789abcdef"

_numbers = itertools.count()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="let the proof search with chance, and for minutes")
    parser.addoption("--write-docs", action="store_true", help="write those files of docs/ that tests compare")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _skips_fail_in_ci((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _skips_fail_in_ci((yield))


def _skips_fail_in_ci(report: Report) -> Report:
    """In CI a test that was skipped proved nothing. An expected failure is reported as a skip too, and stays one."""
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which is a failure in CI: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def hub() -> Iterator[Hub]:
    with Hub().running() as hub:
        yield hub


@pytest.fixture(scope="session")
def runner() -> Iterator[asyncio.Runner]:
    """The loop in which every app of the ASGI face lives."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def provider(hub: Hub) -> Iterator[MisbehavingProvider]:
    with hub.provider() as provider:
        yield provider


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture(params=["wsgi", "asgi"])
def face_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def kind() -> str:
    """Where sessions are kept: `cookie`, `memory`, `sqlite` or `redis`. The journeys go through more than this one."""
    return "cookie"


@pytest.fixture
def sessions(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, kind: str, face_name: str, tmp_path: Path
) -> Settings:
    """The settings that choose a kind of session: the same place for every app of one test."""
    for module in (redis, sqlite):
        monkeypatch.setattr(module, "LONGEST_WAIT", PATIENCE)
    if kind == "cookie":
        return {}
    if kind == "memory":
        return {"store": MemoryStore() if face_name == "wsgi" else AsyncMemoryStore()}
    if kind == "sqlite":
        return {"store": f"sqlite:///{tmp_path}/sessions.db"}
    url = os.environ.get("REDIS_URL") or request.getfixturevalue("redis_server").url
    return {"store": f"{url}?prefix=journey-{os.getpid()}-{next(_numbers)}:"}


@pytest.fixture
def configure(provider: MisbehavingProvider) -> Configure:
    """The tests' provider's client, with other settings laid over."""

    def make(**settings: Unpack[Settings]) -> AuthConfig:
        usual: Settings = {"session_secret": SESSION_SECRET, "timeout": PATIENCE, **provider.settings}
        return AuthConfig(**(usual | settings))

    return make


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[httpx.AsyncClient]:
    """Every asynchronous client that was made."""
    made: list[httpx.AsyncClient] = []

    class Client(httpx.AsyncClient):
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            made.append(self)

    monkeypatch.setattr(httpx, "AsyncClient", Client)
    return made


@pytest.fixture
def as_written(request: pytest.FixtureRequest) -> AsWritten:
    def compare(document: Path, write: Callable[[str], str]) -> None:
        text = document.read_text("utf-8")
        if request.config.getoption("--write-docs"):
            text = write(text)
            document.write_text(text, "utf-8")
        assert text == write(text), f"run pytest {request.node.nodeid.partition('::')[0]} --write-docs"

    return compare


@pytest.fixture
def configured(provider: MisbehavingProvider, monkeypatch: pytest.MonkeyPatch, light_clients: None) -> None:
    """What the samples of documents take from the environment."""
    told = {
        "CONSENTKEYS_ISSUER": provider.issuer,
        "CONSENTKEYS_CLIENT_ID": provider.settings["client_id"],
        "CONSENTKEYS_CLIENT_SECRET": provider.settings["client_secret"],
        "SESSION_SECRET": "one of your own of thirty-two bytes or more",
    }
    for name, value in told.items():
        monkeypatch.setenv(name, str(value))


@pytest.fixture
def guard(
    face_name: str, sessions: Settings, configure: Configure, runner: asyncio.Runner, light_clients: None
) -> Iterator[Guard]:
    """Guarded apps on one face with one kind of session, made from one text."""
    faces: list[Face] = []

    def make(*, answer_headers: Headers | None = None, **settings: Unpack[Settings]) -> Face:
        config = configure(**(sessions | settings))
        if face_name == "wsgi":
            faces.append(WSGIFace(config, answer_headers=answer_headers))
        else:
            faces.append(ASGIFace(config, runner, answer_headers=answer_headers))
        return faces[-1]

    yield make
    for face in faces:
        face.close()


@pytest.fixture
def face(guard: Guard) -> Face:
    """The app as most tests meet it: everything needs a login."""
    return guard()


@pytest.fixture
def browser(face: Face) -> Browser:
    return Browser(face)


@pytest.fixture
def light_clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """HTTP clients that need no certificates, as the provider is on loopback, and leave no socket open."""
    pools: list[httpcore.ConnectionPool] = []

    class Pool(httpcore.ConnectionPool):
        def __init__(self, **settings: object) -> None:
            super().__init__(**settings)  # type: ignore[arg-type]  # whatever the face says
            pools.append(self)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    monkeypatch.setattr(httpx, "create_ssl_context", lambda: context)
    monkeypatch.setattr(httpcore, "ConnectionPool", Pool)
    yield
    for pool in pools:
        pool.close()


@pytest.fixture
def port_teller() -> Iterator[str]:
    """The address of a server that tells from which port it is asked, which is to say over which connection."""
    with Server(_telling_the_port) as server:
        yield server.url


async def _telling_the_port(scope: Scope, receive: Receive, send: Send) -> None:
    await JSONResponse(scope["client"][1], headers={"set-cookie": "planted=1"})(scope, receive, send)
