"""This file is relying parties, one on either HTTP port, and people who come back to them from the provider."""

import asyncio
import contextlib
import re
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from typing import Any, Protocol, TypeVar, Unpack, cast

from ck_middleware import oidc
from ck_middleware.blocking import BlockingHttp
from ck_middleware.config import AuthConfig, Settings
from ck_middleware.errors import LoginRefused, ProviderUnreachable
from ck_middleware.looping import LoopHttp
from ck_middleware.ports import Http, step
from ck_middleware.provider import Provider
from ck_middleware.transaction import Transaction, begin
from support.browser import at_provider, query_of
from support.forgery import Claims
from support.provider import REDIRECT_URIS, MisbehavingProvider

T = TypeVar("T")

ENDPOINTS = ["discovery", "jwks", "token", "userinfo"]
SETTINGS = {
    "authorization_endpoint": "auth",
    "token_endpoint": "token",
    "jwks_uri": "jwks",
    "userinfo_endpoint": "userinfo",
}
CROWD = 20  # more than the connections that either client keeps
HASTY = 1.0  # seconds: the shortest timeout that there is, for what is to be given up
LATE = 15.0  # seconds after which it was not given up in one of them, on a busy machine
MANY = 60.0  # seconds, where nobody waits so long


class Port(Protocol):
    """An HTTP port, and the way in which its face runs the core on it."""

    @property
    def http(self) -> Http: ...

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T: ...

    def crowd(self, coroutines: Sequence[Coroutine[Any, Any, T]]) -> list[T | BaseException]:
        """All of them at once, each with what it returned or raised."""

    def close(self) -> None: ...


class BlockingPort:
    def __init__(self, timeout: float) -> None:
        self.http = BlockingHttp(timeout)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return step(coroutine)

    def crowd(self, coroutines: Sequence[Coroutine[Any, Any, T]]) -> list[T | BaseException]:
        start = threading.Barrier(len(coroutines), timeout=MANY)

        def one(coroutine: Coroutine[Any, Any, T]) -> T | BaseException:
            start.wait()
            try:
                return step(coroutine)
            except LoginRefused as refusal:
                return refusal

        with ThreadPoolExecutor(len(coroutines)) as threads:
            return list(threads.map(one, coroutines))

    def close(self) -> None:
        """Its connections are closed by `light_clients`."""


class LoopPort:
    def __init__(self, timeout: float, runner: asyncio.Runner) -> None:
        self.http = LoopHttp(timeout)
        self._runner = runner

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(coroutine)

    def crowd(self, coroutines: Sequence[Coroutine[Any, Any, T]]) -> list[T | BaseException]:
        async def all_at_once() -> list[T | BaseException]:
            return await asyncio.gather(*coroutines, return_exceptions=True)

        return self._runner.run(all_at_once())

    def close(self) -> None:
        self._runner.run(self.http.close())


class Client:
    """A relying party with people who come back from the provider."""

    def __init__(self, config: AuthConfig, port: Port) -> None:
        self.config = config
        self.port = port
        self.provider = Provider(config, port.http)

    def redeem(self) -> Coroutine[Any, Any, Claims]:
        return self._claims(*self.arrival())

    async def _claims(self, transaction: Transaction, code: str) -> Claims:
        return (await self.provider.redeem(transaction, code)).claims

    def arrival(self) -> tuple[Transaction, str]:
        """Somebody who has just been at the provider: what was asked for them, and the code they bring."""
        transaction = begin(issuer=self.config.issuer, redirect_uri=REDIRECT_URIS[0], return_to="/")
        metadata = oidc.Metadata(self.config.issuer, f"{self.config.issuer}/auth", "", "")
        url = oidc.authorization_url(metadata, self.config, transaction, {})
        hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', at_provider("GET", url).text)
        form = {name: unescape(value) for name, value in hidden} | {"name": "Ada"}
        return transaction, query_of(at_provider("POST", metadata.authorization_endpoint, form).location)["code"]

    def log_in(self) -> Claims:
        return self.port.run(self.redeem())

    def log_in_all_at_once(self) -> list[Claims | BaseException]:
        return self.port.crowd([self.redeem() for _ in range(CROWD)])

    def discover(self) -> oidc.Metadata:
        return self.port.run(self.provider.metadata())


class Clients(Protocol):
    def __call__(self, **settings: Unpack[Settings]) -> Client: ...


class Hours:
    """The clock by which the provider is believed, standing still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


def asked(provider: MisbehavingProvider) -> list[str]:
    """What the relying party asked for, in order; what the people did at the provider is left out."""
    return [hit.endpoint for hit in provider.hits if hit.endpoint != "auth"]


def given(provider: MisbehavingProvider, *names: str) -> Settings:
    """These endpoints as settings."""
    return cast("Settings", {name: provider.url(SETTINGS[name]) for name in names})


def misbehave(provider: MisbehavingProvider, faults: dict[str, Any]) -> None:
    for name, fault in faults.items():
        setattr(provider.faults, name, fault)


def in_the_end(act: Callable[[], T]) -> T:
    """What a hasty client gets, who may be too hasty for a busy machine at first."""
    ending = time.monotonic() + MANY
    while True:
        try:
            return act()
        except ProviderUnreachable:
            assert time.monotonic() < ending


def wait_until(holds: Callable[[], bool]) -> None:
    ending = time.monotonic() + MANY
    while not holds():
        assert time.monotonic() < ending
        time.sleep(0.01)


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds
