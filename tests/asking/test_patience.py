"""A provider that takes its time, or more, holds nobody up for longer than was said, however many ask."""

import asyncio
import itertools
import socket
import time

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from ck_middleware import oidc
from ck_middleware.errors import ProviderFaulty, ProviderUnreachable
from ck_middleware.looping import LoopHttp
from ck_middleware.provider import Provider
from ck_middleware.transaction import begin
from support.canned import Canned, document_of, json_answer
from support.faces import Configure
from support.ports import HOST
from support.provider import Honest, MisbehavingProvider, provider_alone
from support.relying import CROWD, HASTY, LATE, MANY, SETTINGS, Client, Clients, given, in_the_end, wait_until, within
from support.serving import dripping_header, full_listener

# How long an answer may take


@pytest.mark.parametrize("endpoint", ["discovery", "userinfo"])
def test_a_provider_that_hangs_costs_one_timeout(
    clients: Clients, provider: MisbehavingProvider, endpoint: str
) -> None:
    client = clients(timeout=HASTY)
    provider.faults.hang(endpoint, times=1)
    with within(LATE), pytest.raises(ProviderUnreachable):
        client.log_in()
    assert in_the_end(client.log_in)["name"] == "Ada"


def test_a_body_that_drips_ends_with_the_timeout(clients: Clients, provider: MisbehavingProvider) -> None:
    client = clients(timeout=HASTY)
    provider.faults.drip("discovery", times=1)
    with within(LATE), pytest.raises(ProviderUnreachable):
        client.log_in()
    assert in_the_end(client.log_in)["name"] == "Ada"


def test_a_header_that_drips_ends_with_the_timeout(clients: Clients) -> None:
    with dripping_header() as server:
        client = clients(timeout=HASTY, issuer=server.url)
        with within(LATE), pytest.raises(ProviderUnreachable):
            client.discover()


def test_a_host_with_many_addresses_costs_one_timeout(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    with full_listener() as port:
        addresses = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (HOST, port))] * 40
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: addresses)
        with within(LATE), pytest.raises(ProviderUnreachable):
            clients(timeout=HASTY, issuer="https://idp.example").discover()


def test_a_host_is_reached_at_whichever_address_answers(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    with full_listener() as port, Canned() as server:
        server.answer = json_answer(document_of(f"http://localhost:{server.port}"))
        dead, alive = ((socket.AF_INET, socket.SOCK_STREAM, 6, "", (HOST, number)) for number in (port, server.port))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: [dead, alive])
        client = clients(timeout=HASTY, issuer=f"http://localhost:{server.port}")
        assert in_the_end(client.discover).token_endpoint


def test_an_answer_that_takes_its_time_is_waited_for(clients: Clients, provider: MisbehavingProvider) -> None:
    provider.faults.hang("discovery", 0.3)
    assert clients().log_in()["name"] == "Ada"


def test_a_provider_that_is_down_is_unreachable_until_it_is_up(clients: Clients) -> None:
    with provider_alone() as (provider, server):
        client = clients(issuer=provider.issuer)
        server.stop()
        with pytest.raises(ProviderUnreachable):
            client.discover()
        server.start()
        assert client.log_in()["name"] == "Ada"
        server.stop()
        with pytest.raises(ProviderUnreachable):
            client.port.run(client.provider.redeem(begin(issuer="", redirect_uri="", return_to=""), "a code"))
        server.start()
        assert client.log_in()["name"] == "Ada"


def test_a_connection_is_used_again_soon_and_not_after_a_long_pause(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    later, now = 0.0, time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + later)
    with Canned() as server:
        server.answer = json_answer({})
        client = clients(issuer=server.url)
        for later, connections in ((0.0, 1), (1.0, 1), (60.0, 2)):  # noqa: B007  # the clock reads it
            assert client.port.run(client.port.http.send(oidc.discovery_request(server.url))).status_code == 200
            assert server.connections == connections


# A crowd


def test_a_crowd_causes_one_fetch_of_each_document(client: Client, provider: MisbehavingProvider) -> None:
    provider.faults.hang("discovery", 0.1)
    provider.faults.hang("jwks", 0.1)
    assert [found["name"] for found in client.log_in_all_at_once() if isinstance(found, dict)] == ["Ada"] * CROWD
    assert (provider.count("discovery"), provider.count("jwks"), provider.count("token")) == (1, 1, CROWD)


def test_a_crowd_that_has_nothing_to_discover_shares_one_client(
    clients: Clients, provider: MisbehavingProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = itertools.count()
    light = httpx.create_ssl_context
    monkeypatch.setattr(httpx, "create_ssl_context", lambda: (next(made), light())[1])
    client = clients(**given(provider, *SETTINGS))
    assert [found["name"] for found in client.log_in_all_at_once() if isinstance(found, dict)] == ["Ada"] * CROWD
    assert (next(made), provider.count("jwks")) == (1, 1)


def test_a_crowd_with_new_keys_causes_one_more_fetch(client: Client, provider: MisbehavingProvider) -> None:
    client.log_in()
    provider.rotate()
    provider.faults.hang("jwks", 0.1)
    assert [found["name"] for found in client.log_in_all_at_once() if isinstance(found, dict)] == ["Ada"] * CROWD
    assert provider.count("jwks") == 2


def test_a_crowd_shares_a_failure_and_the_next_one_asks_again(client: Client, provider: MisbehavingProvider) -> None:
    async def fail_slowly(request: Request, honest: object) -> Response:
        await asyncio.sleep(1)
        return HTMLResponse("down", 503)

    provider.faults.answer("discovery", fail_slowly)
    began = time.monotonic()
    assert {type(found) for found in client.log_in_all_at_once()} == {ProviderFaulty}
    took = time.monotonic() - began
    assert took < LATE  # one by one they would be later
    assert provider.count("discovery") <= took  # nobody asks while somebody else waits for the answer
    provider.faults.heal()
    assert client.log_in()["name"] == "Ada"


@pytest.mark.parametrize("endpoint", ["discovery", "token"])
def test_a_crowd_that_waits_in_vain_fails_in_about_one_timeout(
    clients: Clients, provider: MisbehavingProvider, endpoint: str
) -> None:
    client = clients(timeout=HASTY)
    logins = [client.redeem() for _ in range(CROWD)]
    provider.faults.hang(endpoint)
    with within(LATE):
        found = client.port.crowd(logins)
    assert {type(one) for one in found} == {ProviderUnreachable}
    provider.faults.heal()
    assert in_the_end(client.log_in)["name"] == "Ada"


class Together:
    """Answers nobody before all of them have asked."""

    def __init__(self, number: int) -> None:
        self._missing = number
        self._all = asyncio.Event()

    async def __call__(self, request: Request, honest: Honest) -> Response:
        self._missing -= 1
        if self._missing == 0:
            self._all.set()
        await self._all.wait()
        return await honest()


def test_a_crowd_is_served_all_at_once_by_a_provider_that_takes_its_time(
    client: Client, provider: MisbehavingProvider
) -> None:
    client.log_in()
    provider.faults.answer("token", Together(CROWD))  # one by one they would wait in vain
    assert [found["name"] for found in client.log_in_all_at_once() if isinstance(found, dict)] == ["Ada"] * CROWD


def test_who_gives_up_while_asking_takes_nobody_along(
    provider: MisbehavingProvider,
    configure: Configure,
    runner: asyncio.Runner,
    light_clients: None,
) -> None:
    http = LoopHttp(MANY)
    known = Provider(configure(), http)

    async def story() -> oidc.Metadata:
        provider.faults.hang("discovery", times=1)
        first, second = (asyncio.create_task(known.metadata()) for _ in range(2))
        await asyncio.to_thread(wait_until, lambda: provider.count("discovery") == 1)
        first.cancel()
        found = await second
        await http.close()
        return found

    with within(MANY):
        assert runner.run(story()).issuer == provider.issuer


def test_a_port_works_in_the_loop_that_uses_it(
    provider: MisbehavingProvider, configure: Configure, light_clients: None
) -> None:
    http = LoopHttp(MANY)
    known = Provider(configure(), http)

    async def story() -> oidc.Metadata:
        found, _ = await asyncio.gather(known.metadata(), known.metadata())
        await http.close()
        return found

    assert [asyncio.run(story()).issuer for _ in range(2)] == [provider.issuer] * 2
