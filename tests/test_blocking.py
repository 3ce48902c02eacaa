"""How the provider is asked in the caller's thread; what both ports promise is in test_ports.py."""

import itertools
import os
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import httpcore
import httpx
import pytest
from starlette.responses import PlainTextResponse

from ck_middleware.blocking import BlockingHttp
from ck_middleware.errors import ProviderUnreachable
from ck_middleware.ports import step
from support.provider import MisbehavingProvider


def asking(url: str, *, http: BlockingHttp | None = None) -> httpx.Response:
    return step((http or BlockingHttp(60)).send(httpx.Request("GET", url)))


@pytest.mark.usefixtures("light_clients")
def test_time_that_is_up_before_the_next_piece_is_asked_for_is_up(port_teller: str) -> None:
    """A provider that sends without pause, and a machine that is slow to take it."""
    moments = itertools.chain([0.0], itertools.repeat(100.0))
    clock = SimpleNamespace(monotonic=lambda: next(moments))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ck_middleware.blocking.time", clock)  # the tests' own servers keep the real one
        with pytest.raises(ProviderUnreachable):
            asking(port_teller)


@pytest.mark.usefixtures("light_clients")
def test_connections_are_kept_and_cookies_are_not(provider: MisbehavingProvider, port_teller: str) -> None:
    http = BlockingHttp(60)
    assert asking(port_teller, http=http).json() == asking(port_teller, http=http).json()
    provider.faults.answer("jwks", PlainTextResponse("", headers={"set-cookie": "planted=1"}))
    for _ in range(2):
        asking(provider.url("jwks"), http=http)
    assert "cookie" not in provider.last("jwks").headers


@pytest.mark.usefixtures("light_clients")
def test_a_worker_does_not_use_the_connections_of_its_parent(port_teller: str, monkeypatch: pytest.MonkeyPatch) -> None:
    http = BlockingHttp(60)
    parent = asking(port_teller, http=http).json()
    pid = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: pid + 1)
    assert asking(port_teller, http=http).json() != parent


@pytest.mark.usefixtures("light_clients")
def test_threads_do_not_mix_up_their_answers(provider: MisbehavingProvider) -> None:
    http = BlockingHttp(60)

    def ask(number: int) -> bool:
        url = provider.url("userinfo" if number % 2 else "jwks")
        return asking(url, http=http).status_code == (401 if number % 2 else 200)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(40)))


def test_a_lock_keeps_a_crowd_apart() -> None:
    lock = BlockingHttp(60).lock()
    inside = threading.Semaphore(1)
    crowded: list[bool] = []

    async def enter() -> None:
        async with lock:
            crowded.append(not inside.acquire(blocking=False))
            linger()
            inside.release()

    def linger() -> None:
        time.sleep(0.005)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: step(enter()), range(16)))
    assert crowded == [False] * 16


def test_a_context_is_made_once_for_each_process(monkeypatch: pytest.MonkeyPatch, port_teller: str) -> None:
    made: list[ssl.SSLContext] = []

    def make() -> ssl.SSLContext:
        made.append(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        return made[-1]

    pools: list[httpcore.ConnectionPool] = []

    class Pool(httpcore.ConnectionPool):
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            pools.append(self)

    monkeypatch.setattr(httpx, "create_ssl_context", make)
    monkeypatch.setattr(httpcore, "ConnectionPool", Pool)
    http = BlockingHttp(60)
    assert made == []  # not at construction, which may be before a fork
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: asking(port_teller, http=http), range(16)))
    assert len(made) == len(pools) == 1
    pools[0].close()
