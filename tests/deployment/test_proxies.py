"""This file is the servers of deploy/Procfile behind nginx and Caddy, as deploy/ has them: people come in and go."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPSConnection
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from support.apps.telling import MALLORY
from support.browser import NAVIGATION
from support.deployed import Deployed, Front, behind_caddy, behind_nginx, deployed, environ_at, lines
from support.ports import HOST, Port
from support.provider import Hub, MisbehavingProvider
from support.servers import PATIENCE, Visitor

ASGI = ("gunicorn-asgi", "uvicorn", "hypercorn", "granian")
WSGI = ("gunicorn", "waitress")
NGINX = tuple(f"nginx-{name}" for name in (*WSGI, *ASGI))
CADDY = ("caddy-gunicorn", "caddy-uvicorn")
# What a stranger may write, of what proxies say to apps.
FORGED = {
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Protocol": "http",
    "X-Forwarded-Ssl": "off",
    "X-Forwarded-For": "6.6.6.6",
    "X-Forwarded-Host": f"{MALLORY}.example",
    "X-Forwarded-Port": f"80{MALLORY}",
    "X-Forwarded-Prefix": f"/{MALLORY}",
    "Forwarded": f"for=6.6.6.6;proto=http;host={MALLORY}.example",
    "X-Script-Name": f"/{MALLORY}",
    "SCRIPT_NAME": f"/{MALLORY}",
    "PATH_INFO": f"/{MALLORY}",
}
NEIGHBOUR = "127.0.0.9"  # another address than the proxy's
LARGEST = 4096  # bytes of a cookie that browsers keep


@dataclass
class Site:
    server: Deployed
    front: Front
    provider: MisbehavingProvider

    def visitor(self, name: str) -> Visitor:
        return Visitor(self.front.origin, name, tls=self.front.tls)

    @contextmanager
    def logged_in(self, name: str) -> Iterator[Visitor]:
        with self.visitor(name) as visitor:
            assert visitor.log_in().json()["name"] == name
            yield visitor


@pytest.fixture(scope="module")
def shared(request: pytest.FixtureRequest, hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    proxy, _, name = request.param.partition("-")
    home, line = tmp_path_factory.mktemp(request.param), lines()[name]
    with hub.provider() as provider, Port() as port:
        upstream = f"{HOST}:{port.number}"
        proxied = behind_nginx(home / proxy, [upstream]) if proxy == "nginx" else behind_caddy(home / proxy, upstream)
        with proxied as front:
            environ = environ_at(front.origin, provider)
            with deployed(line, port.number, home / name, environ, workers=1 if name == "waitress" else 2) as server:
                yield Site(server, front, provider)


@pytest.fixture
def site(shared: Site) -> Iterator[Site]:
    with shared.server.quoted():
        yield shared
    shared.provider.faults.heal()


def on(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("shared", names, indirect=True)


def _redirect_uri(answer: httpx.Response) -> list[str]:
    return parse_qs(urlsplit(answer.headers["location"]).query)["redirect_uri"]


@on(*NGINX, *CADDY)
def test_people_come_in_by_https_and_go_again(site: Site) -> None:
    with site.visitor("Ada") as ada:
        page = ada.start_login()
        to_provider = page.history[-1]
        assert _redirect_uri(to_provider) == [f"{site.front.origin}/auth/callback"]
        kept = to_provider.headers["set-cookie"]
        assert kept.startswith("__Host-ck_login_")
        assert "; Secure" in kept
        home = ada.come_back(ada.choose(page))
        assert "; Secure" in home.history[0].headers["set-cookie"]
        assert ada.cookie.startswith("__Host-ck_session=")
        seen = home.json()
        assert (seen["name"], seen["scheme"], seen["client"], seen["mount"]) == ("Ada", "https", HOST, "")
        assert ada.post("/auth/logout").json()["success"] is True
        assert str(ada.get("/who").url).startswith(site.provider.issuer)


@on(*NGINX, *CADDY)
def test_nothing_that_a_client_writes_passes_for_the_word_of_the_proxy(site: Site) -> None:
    with site.logged_in("Ada") as ada:
        seen = ada.get("/who", **FORGED).json()
        assert (seen["name"], seen["scheme"], seen["client"], seen["mount"]) == ("Ada", "https", HOST, "")
        assert seen["forged"] == []
    with httpx.Client(base_url=site.front.origin, verify=site.front.tls, trust_env=False, timeout=PATIENCE) as stranger:
        to_login = stranger.get("/who", headers=NAVIGATION | FORGED)
        assert to_login.headers["location"] == "/auth/login?next=%2Fwho"
        to_provider = stranger.get("/auth/login", headers=NAVIGATION | FORGED)
        assert _redirect_uri(to_provider) == [f"{site.front.origin}/auth/callback"]
        assert "; Secure" in to_provider.headers["set-cookie"]


@on(*NGINX)
def test_no_client_says_where_the_app_is(site: Site) -> None:
    host = f"{MALLORY}.example"
    with httpx.Client(base_url=site.front.origin, verify=site.front.tls, trust_env=False, timeout=PATIENCE) as stranger:
        assert stranger.get("/alive", headers={"Host": host}).json()["forged"] == []


@on(*(name for name in NGINX if name != "nginx-hypercorn"))  # it asks how many proxies there are, and not who
def test_who_is_not_the_proxy_is_not_believed_to_be(site: Site) -> None:
    fields = [f"{name}: {value}" for name, value in (FORGED | {"X-Forwarded-Proto": "https"}).items()]
    seen = site.server.ask("/alive", *fields, source=NEIGHBOUR).json
    assert (seen["scheme"], seen["client"], seen["mount"]) == ("http", NEIGHBOUR, "")


@on(*NGINX, *CADDY)
def test_the_largest_session_and_every_login_that_a_browser_may_have_under_way_pass(site: Site) -> None:
    with site.visitor("Ada") as ada:
        size = _length_of_a_session(ada, site.provider, padding=1000)
        padding = 1000 + (LARGEST - 8 - size) * 3 // 4
        assert LARGEST - 16 < _length_of_a_session(ada, site.provider, padding=padding) <= LARGEST
        pages = [ada.get(f"/auth/login?next=/who%3f{'x' * 250}") for _ in range(10)]
        answer = ada.come_back(ada.choose(pages[-1]))
        assert answer.json()["name"] == "Ada"
        assert len(answer.history[0].request.headers["cookie"]) > 7000


def _length_of_a_session(visitor: Visitor, provider: MisbehavingProvider, *, padding: int) -> int:
    provider.faults.id_token_claims = lambda claims: claims | {"padding": "x" * padding}
    assert visitor.come_back(visitor.choose(visitor.get("/auth/login?next=/who"))).status_code == 200
    return len(visitor.cookie)


@on(*(name for name in (*NGINX, *CADDY) if name.partition("-")[2] in ASGI))
def test_websockets_pass_and_those_of_strangers_do_not(site: Site) -> None:
    with site.logged_in("Ada") as ada:
        assert _talk(site, ada.cookie, site.front.origin) == "Ada said hello"
        for cookie, origin in (("", site.front.origin), (ada.cookie, "https://evil.example")):
            with pytest.raises(InvalidStatus) as refused:
                _talk(site, cookie, origin)
            assert refused.value.response.status_code in {401, 403}


def _talk(site: Site, cookie: str, origin: str) -> str:
    url = f"{site.front.origin.replace('https', 'wss')}/talk/x"
    how: dict[str, Any] = {"origin": Origin(origin), "ssl": site.front.tls, "proxy": None, "open_timeout": PATIENCE}
    with connect(url, additional_headers={"Cookie": cookie}, **how) as socket:
        assert json.loads(socket.recv(PATIENCE))["name"] == "Ada"
        socket.send("hello")
        return str(socket.recv(PATIENCE))


@on("nginx-hypercorn", "caddy-hypercorn")
@pytest.mark.parametrize("protocols", [["h2c"], ["h2c", "websocket"], ["websocket", "h2c"]], ids="-".join)
def test_nobody_speaks_to_the_server_past_the_proxy_by_another_protocol(site: Site, protocols: list[str]) -> None:
    """What says HTTP/2 to the server itself would write the headers of the proxy too."""
    to = urlsplit(site.front.origin)
    with closing(HTTPSConnection(str(to.hostname), to.port, timeout=PATIENCE, context=site.front.tls)) as client:
        client.putrequest("GET", "/alive")
        client.putheader("Connection", "Upgrade")
        for protocol in protocols:
            client.putheader("Upgrade", protocol)
        client.endheaders()
        assert client.getresponse().status in ({200} if protocols == ["h2c"] else {200, 400})


@on("nginx-gunicorn")
def test_who_comes_by_http_is_sent_to_https(site: Site) -> None:
    answer = httpx.get(f"http://localhost:{site.front.plain}/who?a=1", trust_env=False, timeout=PATIENCE)
    assert (answer.status_code, answer.headers["location"]) == (308, f"{site.front.origin}/who?a=1")
