"""What asks the provider: relying parties on both HTTP ports."""

import asyncio
from collections.abc import Iterator
from typing import Unpack

import pytest

from ck_middleware.config import Settings
from support.faces import Configure
from support.relying import MANY, BlockingPort, Client, Clients, Hours, LoopPort, Port


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(params=["blocking", "loop"])
def clients(
    request: pytest.FixtureRequest, configure: Configure, runner: asyncio.Runner, light_clients: None
) -> Iterator[Clients]:
    """Relying parties on one kind of port; each knows nothing of the provider at first."""
    ports: list[Port] = []

    def make(**settings: Unpack[Settings]) -> Client:
        usual: Settings = {"timeout": MANY}
        config = configure(**(usual | settings))
        blocking = request.param == "blocking"
        ports.append(BlockingPort(config.timeout) if blocking else LoopPort(config.timeout, runner))
        return Client(config, ports[-1])

    yield make
    for port in ports:
        port.close()


@pytest.fixture
def client(clients: Clients) -> Client:
    return clients()


@pytest.fixture
def hours(monkeypatch: pytest.MonkeyPatch) -> Hours:
    hours = Hours()
    for module in ("provider", "snapshot"):
        monkeypatch.setattr(f"ck_middleware.{module}.time", hours)
    return hours
