"""This file is two hosts behind a load balancer: one may begin what the other ends, stop, or get a new secret."""

import itertools
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.deployed import DEPLOY, Front, Host, behind_nginx, environ_at, lines
from support.provider import Hub
from support.redis_server import RedisServer
from support.servers import PATIENCE, Visitor

KINDS = ("gunicorn-cookie", "uvicorn-redis")
ADDRESSES = ("127.0.0.2", "127.0.0.3")
OLD, NEW = "0123456789abcdef" * 4, "fedcba9876543210" * 4
ENOUGH = 20  # tries at what the next one or two bring about


@dataclass
class Pair:
    """Both hosts, with the load balancer before them."""

    hosts: list[Host]
    front: Front
    stack: ExitStack = field(default_factory=ExitStack)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def visitor(self) -> Visitor:
        visitor = Visitor(self.front.origin, f"Person {next(self.numbers)}", tls=self.front.tls)
        return self.stack.enter_context(visitor)

    def answered(self, path: str) -> list[str]:
        """The host of each answer to this path, the oldest first."""
        return [address for asked, address in self.front.served_by() if asked == path]

    def under_way(self) -> tuple[Visitor, str]:
        """Somebody who is at the provider, and the callback that they will come back to."""
        visitor = self.visitor()
        return visitor, visitor.choose(visitor.start_login())

    def logged_in(self) -> Visitor:
        visitor, callback = self.under_way()
        assert visitor.come_back(callback).json()["name"] == visitor.name
        return visitor

    def logged_in_at_each(self) -> list[Visitor]:
        """People, one at least of whom each host has logged in."""
        before, ending, people = len(self.answered("/auth/callback")), time.monotonic() + PATIENCE, list[Visitor]()
        while len(set(self.answered("/auth/callback")[before:])) < len(self.hosts):
            assert time.monotonic() < ending, "one host is never asked"
            people.append(self.logged_in())
            people[-1].get("/alive")  # or the turns would come out even
            time.sleep(0.02)
        return people

    def knows(self, visitor: Visitor) -> bool:
        """Whether every host does, when its turn comes."""
        before, ending = len(self.answered("/who")), time.monotonic() + PATIENCE
        while len(set(self.answered("/who")[before:])) < len(self.hosts):
            assert time.monotonic() < ending, "one host is never asked"
            answer = visitor.get("/who")
            if answer.history or answer.json()["name"] != visitor.name:
                return False
            time.sleep(0.02)
        return True


@contextmanager
def _pair(kind: str, hub: Hub, home: Path, redis: RedisServer) -> Iterator[Pair]:
    name, _, store = kind.partition("-")
    with hub.provider() as provider, ExitStack() as stack:
        environ = {"SESSION_SECRET": OLD}
        if store == "redis":
            environ["CONSENTKEYS_STORE"] = f"{redis.url}?prefix={home.name}:"
        hosts = [Host(address, lines()[name], home, environ) for address in ADDRESSES]
        for host in hosts:
            stack.callback(host.close)
        front = stack.enter_context(behind_nginx(home / "nginx", [host.address for host in hosts], change=_balanced))
        for host in hosts:
            host.start(**environ_at(front.origin, provider) | environ)
        pair = Pair(hosts, front)
        stack.enter_context(pair.stack)
        yield pair


def _balanced(app: str) -> str:
    """app.conf with the upstream of hosts.conf in place of its own."""
    hosts = (DEPLOY / "nginx" / "hosts.conf").read_text("utf-8")
    return re.sub(r"upstream app \{[^}]*\}\n", hosts, app)


@pytest.fixture(scope="module", params=KINDS)
def shared(
    request: pytest.FixtureRequest, hub: Hub, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    with _pair(request.param, hub, tmp_path_factory.mktemp(request.param), redis_server) as pair:
        yield pair


@pytest.fixture
def pair(shared: Pair) -> Iterator[Pair]:
    with shared.hosts[0].server.quoted(), shared.hosts[1].server.quoted():
        yield shared


def test_a_login_that_one_host_began_is_finished_by_the_other(pair: Pair) -> None:
    ways = set[tuple[str, str]]()
    for _ in range(ENOUGH):
        began, ended = len(pair.answered("/auth/login")), len(pair.answered("/auth/callback"))
        visitor = pair.logged_in()
        assert pair.knows(visitor)
        (begun,), (finished,) = pair.answered("/auth/login")[began:], pair.answered("/auth/callback")[ended:]
        ways.add((begun, finished))
        if {(one.address, other.address) for one, other in itertools.permutations(pair.hosts)} <= ways:
            return
        visitor.get("/alive")
    raise AssertionError(f"all logins went {ways}")


def test_who_logs_out_is_logged_out_at_both_hosts(pair: Pair, request: pytest.FixtureRequest) -> None:
    visitor = pair.logged_in()
    copy = f"Cookie: {visitor.cookie}"
    assert {host.server.ask("/who", copy).status for host in pair.hosts} == {200}
    assert visitor.post("/auth/logout").json()["success"] is True
    assert [visitor.get("/auth/me").status_code for _ in range(4)] == [401] * 4
    if "CONSENTKEYS_STORE" in pair.hosts[0].server.environ:  # and so is every copy of the cookie
        assert {host.server.ask("/who", copy).status for host in pair.hosts} == {303}


def test_a_host_that_stops_takes_no_login_and_no_session_with_it(pair: Pair) -> None:
    host = pair.hosts[0]
    members = pair.logged_in_at_each()
    coming, callback = pair.under_way()
    host.kill()
    assert coming.come_back(callback).json()["name"] == coming.name
    for member in (coming, *members):
        assert [answer.json()["name"] for answer in member.look_around()] == [member.name] * 10
    host.start()
    assert all(pair.knows(member) for member in (coming, *members))


@pytest.mark.parametrize("kind", ["gunicorn-redis", "uvicorn-cookie"])
def test_a_secret_is_changed_host_by_host_with_nobody_logged_out_and_no_login_lost(
    kind: str, hub: Hub, redis_server: RedisServer, tmp_path: Path
) -> None:
    with _pair(kind, hub, tmp_path, redis_server) as pair:
        members = pair.logged_in_at_each()
        for secret in (f"{OLD},{NEW}", f"{NEW},{OLD}"):
            for host in pair.hosts:
                members += _changed(pair, host, secret)
                assert all(pair.knows(member) for member in members)
        # Those who came before are gone by themselves when session_lifetime is over.
        members = pair.logged_in_at_each()
        for host in pair.hosts:
            members += _changed(pair, host, NEW)
            assert all(pair.knows(member) for member in members)


def _changed(pair: Pair, host: Host, secret: str) -> list[Visitor]:
    """Those who come in while a host gets this secret, and just afterwards."""
    coming, callback = pair.under_way()
    host.restart(SESSION_SECRET=secret)
    assert coming.come_back(callback).json()["name"] == coming.name
    return [coming, *pair.logged_in_at_each()]
