"""How the provider is asked, on either face: in time, in bounds, over TLS, and following nobody elsewhere."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest

from ck_middleware.blocking import BlockingHttp
from ck_middleware.errors import ProviderFaulty, ProviderUnreachable
from ck_middleware.looping import LoopHttp
from ck_middleware.ports import step
from support.certified import CertifiedServer, Tunnel
from support.ports import HOST, Port
from support.serving import RawServer

PATIENCE = 60  # seconds for a hang-up to be noticed, on a busy machine


class Ask(Protocol):
    def __call__(self, url: str, *, timeout: float = 60) -> httpx.Response: ...


@pytest.fixture
def ask(face_name: str) -> Ask:
    """One question to a provider, as a face asks it."""
    return _in_a_loop if face_name == "asgi" else _in_this_thread


def _in_this_thread(url: str, *, timeout: float = 60) -> httpx.Response:
    return step(BlockingHttp(timeout).send(httpx.Request("GET", url)))


def _in_a_loop(url: str, *, timeout: float = 60) -> httpx.Response:
    async def asking() -> httpx.Response:
        async with closing(LoopHttp(timeout)) as http:
            return await http.send(httpx.Request("GET", url))

    return asyncio.run(asking())


@asynccontextmanager
async def closing(http: LoopHttp) -> AsyncIterator[LoopHttp]:
    try:
        yield http
    finally:
        await http.close()


def reply(body: bytes = b"{}", *headers: bytes, status: bytes = b"200 OK") -> bytes:
    head = [b"HTTP/1.1 " + status, b"Content-Type: application/json", b"Connection: close", *headers]
    return b"\r\n".join([*head, b"Content-Length: %d" % len(body), b"", body])


@pytest.mark.usefixtures("light_clients")
def test_an_answer_is_its_status_media_type_and_body(ask: Ask) -> None:
    with RawServer([reply(b"\x1f\x8b", b"Content-Encoding: gzip", b"Set-Cookie: a=b", status=b"418 Teapot")]) as server:
        response = ask(server.url)
    assert (response.status_code, response.content) == (418, b"\x1f\x8b")  # nothing is unpacked
    assert response.headers["content-type"] == "application/json"
    assert "set-cookie" not in response.headers


@pytest.mark.usefixtures("light_clients")
@pytest.mark.parametrize("status", [b"301 X", b"302 X", b"303 X", b"307 X", b"308 X"])
def test_no_redirect_is_followed(ask: Ask, status: bytes) -> None:
    with RawServer([reply()]) as elsewhere:
        location = b"Location: " + elsewhere.url.encode()
        with RawServer([reply(b"", location, status=status)]) as server:
            assert ask(server.url).status_code == int(status[:3])
        assert elsewhere.connections == 0


# Time and size


@pytest.mark.usefixtures("light_clients")
def test_a_provider_that_never_answers_is_not_waited_for(ask: Ask) -> None:
    with RawServer([b"x"], pause=60) as server, pytest.raises(ProviderUnreachable):
        ask(server.url, timeout=0.2)


@pytest.mark.usefixtures("light_clients")
@pytest.mark.parametrize("pause", [0.1, 0.45])
def test_a_provider_that_answers_a_byte_at_a_time_is_not_waited_for(ask: Ask, pause: float) -> None:
    began = time.monotonic()
    with RawServer([b"HTTP/1.1 200 OK\r\n\r\n", *[b"x"] * 1000], pause=pause) as server:
        with pytest.raises(ProviderUnreachable):
            ask(server.url, timeout=0.5)
        assert time.monotonic() - began < 15


@pytest.mark.usefixtures("light_clients")
def test_an_answer_without_end_is_cut(ask: Ask) -> None:
    endless = [b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", *[b" " * (1 << 18)] * 9]
    with RawServer(endless) as server, pytest.raises(ProviderFaulty):
        ask(server.url)
    with RawServer([reply(b" " * (1 << 20))]) as server:
        assert len(ask(server.url).content) == 1 << 20


# Whoever does not answer


@pytest.mark.usefixtures("light_clients")
@pytest.mark.parametrize("pieces", [[], [b"SSH-2.0\r\n"], [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"]])
def test_an_answer_that_is_none_is_an_outage(ask: Ask, pieces: list[bytes]) -> None:
    with RawServer(pieces) as server, pytest.raises(ProviderUnreachable):
        ask(server.url)


@pytest.mark.usefixtures("light_clients")
def test_nobody_there_is_an_outage(ask: Ask) -> None:
    with Port() as closed, pytest.raises(ProviderUnreachable):
        ask(f"http://{HOST}:{closed.number}")
    with pytest.raises(ProviderUnreachable):
        ask("http://does-not-exist.invalid")


@pytest.fixture
def two_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of `two.example`: one where nobody is, and then this machine's."""
    honest = socket.getaddrinfo

    def addresses(host: str | bytes, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        if host not in {"two.example", b"two.example"}:
            return list(honest(host, port, *args, **kwargs))
        return [*honest("127.0.0.9", port, *args, **kwargs), *honest(HOST, port, *args, **kwargs)]

    monkeypatch.setattr(socket, "getaddrinfo", addresses)


@pytest.mark.usefixtures("light_clients", "two_addresses")
def test_of_several_addresses_the_first_that_answers_will_do(ask: Ask) -> None:
    with RawServer([reply(b'"here"')]) as server:
        port = server.url.rpartition(":")[2]
        assert ask(f"http://two.example:{port}").json() == "here"
    with Port() as closed, pytest.raises(ProviderUnreachable):
        ask(f"http://two.example:{closed.number}")


@pytest.mark.usefixtures("light_clients")
def test_a_handshake_that_nobody_answers_leaves_no_connection_open(ask: Ask) -> None:
    with RawServer([]) as server:
        with pytest.raises(ProviderUnreachable) as refused:
            ask(f"https://{HOST}:{server.port}", timeout=1)
        assert server.given_up.wait(PATIENCE)
    assert refused.traceback  # all this time, so that nothing was closed only because it was forgotten


# Proxies


@pytest.fixture
def proxy_settings(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without any, to be filled."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


@pytest.mark.usefixtures("light_clients")
def test_a_proxy_of_the_environment_is_used(ask: Ask, proxy_settings: pytest.MonkeyPatch) -> None:
    with RawServer([reply(b'"through the proxy"')]) as proxy, RawServer([reply(b'"directly"')]) as server:
        assert ask(server.url).json() == "directly"
        proxy_settings.setenv("http_proxy", proxy.url)
        assert ask("http://provider.example/x").json() == "through the proxy"
        proxy_settings.setenv("no_proxy", HOST)
        assert ask(server.url).json() == "directly"
        proxy_settings.delenv("http_proxy")
        proxy_settings.setenv("all_proxy", proxy.url)
        assert ask("http://provider.example/x").json() == "through the proxy"


@pytest.mark.usefixtures("light_clients")
@pytest.mark.parametrize(
    "proxy", ["socks5://hunter2@127.0.0.1:9", "ftp://hunter2@x:1", "http://[::1hunter2", f"http://hunter2@{HOST}:99999"]
)
def test_a_proxy_that_cannot_be_used_is_an_unreachable_provider(
    ask: Ask, proxy_settings: pytest.MonkeyPatch, proxy: str
) -> None:
    proxy_settings.setenv("all_proxy", proxy)
    with pytest.raises(ProviderUnreachable) as caught:
        ask("http://provider.example/x")
    assert "hunter2" not in str(caught.value)


def test_a_proxy_opens_a_tunnel_to_an_https_provider(
    ask: Ask, tmp_path: Path, proxy_settings: pytest.MonkeyPatch
) -> None:
    with CertifiedServer(tmp_path, host="provider.example") as server, Tunnel(server) as proxy:
        trusting = server.trusting
        proxy_settings.setattr(httpx, "create_ssl_context", lambda: trusting)
        proxy_settings.setenv("https_proxy", proxy.url)
        assert ask("https://provider.example/x").json() == {}
        assert proxy.asked == ["CONNECT provider.example:443 HTTP/1.1"]
        with pytest.raises(ProviderUnreachable):  # the certificate counts in a tunnel too
            ask("https://another.example/x")


# Without a loop


def test_a_coroutine_that_never_suspends_runs_to_its_end() -> None:
    async def inner() -> int:
        return 2

    async def outer() -> int:
        return await inner() + await inner()

    assert step(outer()) == 4


def test_an_exception_of_the_core_reaches_the_caller() -> None:
    async def fails() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        step(fails())


def test_a_coroutine_that_waits_for_a_loop_is_ended() -> None:
    ended: list[bool] = []

    async def waits() -> None:
        try:
            await asyncio.sleep(0)
        finally:
            ended.append(True)

    with pytest.raises(RuntimeError, match="event loop"):
        step(waits())
    assert ended == [True]
