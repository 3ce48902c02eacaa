"""How the provider is asked on the event loop; what both ports promise is in test_ports.py."""

import asyncio
import os
import ssl
import time

import httpx
import pytest

from ck_middleware.looping import LoopHttp
from support.provider import MisbehavingProvider
from support.serving import RawServer


@pytest.mark.usefixtures("light_clients")
def test_connections_are_kept_and_cookies_are_not(provider: MisbehavingProvider, port_teller: str) -> None:
    async def twice() -> None:
        http = LoopHttp(60)
        answers = [await http.send(httpx.Request("GET", port_teller)) for _ in range(2)]
        assert answers[0].json() == answers[1].json()
        await http.send(httpx.Request("GET", provider.url("jwks")))
        await http.close()

    asyncio.run(twice())
    assert "cookie" not in provider.last("jwks").headers


@pytest.mark.usefixtures("light_clients")
def test_a_worker_does_not_use_the_connections_of_its_parent(
    port_teller: str, made: list[httpx.AsyncClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def forked() -> None:
        http = LoopHttp(60)
        parent = (await http.send(httpx.Request("GET", port_teller))).json()
        pid = os.getpid()
        monkeypatch.setattr(os, "getpid", lambda: pid + 1)
        child = (await http.send(httpx.Request("GET", port_teller))).json()
        assert child != parent
        for client in made:
            await client.aclose()

    asyncio.run(forked())
    assert len(made) == 2


@pytest.mark.usefixtures("light_clients")
def test_each_loop_has_its_own_connections() -> None:
    http = LoopHttp(60)

    async def ask(url: str) -> int:
        return (await http.send(httpx.Request("GET", url))).status_code

    with RawServer([b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"]) as server:
        assert asyncio.run(ask(server.url)) == 200
        assert asyncio.run(ask(server.url)) == 200
    asyncio.run(http.close())


def test_two_first_questions_at_once_share_one_client(
    port_teller: str, made: list[httpx.AsyncClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly() -> ssl.SSLContext:
        time.sleep(0.05)
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    monkeypatch.setattr(httpx, "create_ssl_context", slowly)

    async def both() -> None:
        http = LoopHttp(60)
        await asyncio.gather(*(http.send(httpx.Request("GET", port_teller)) for _ in range(3)))
        await http.close()
        left_open = [client for client in made if not client.is_closed]
        for client in left_open:
            await client.aclose()
        assert left_open == []

    asyncio.run(both())


def test_a_lock_is_for_whichever_loop_runs() -> None:
    lock = LoopHttp(60).lock()

    async def alone() -> list[str]:
        order: list[str] = []

        async def enter(name: str) -> None:
            async with lock:
                order.append(name + " in")
                await asyncio.sleep(0)
                order.append(name + " out")

        await asyncio.gather(enter("a"), enter("b"))
        return order

    for _ in range(2):
        assert asyncio.run(alone()) == ["a in", "a out", "b in", "b out"]
