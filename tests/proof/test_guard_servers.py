"""Hand-written bytes, sent to real servers: no request line gets a stranger to a protected handler.

Each server serves several frameworks at once, with the guard and without it, which shows that a request line would have
led somewhere.
"""

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import version

import pytest
from packaging.version import Version

from support.apps.framed import SECRET, WELCOME
from support.frameworks.site import SOCKET
from support.legitimate import LEGITIMATE, Legitimate
from support.ports import HOST
from support.provider import Hub
from support.request_lines import PLAIN, REQUESTS, TARGETS, Sent
from support.servers import PATIENCE, Running, Visitor, serve

Tally = Callable[[str, int], None]

ASGI, WSGI = "support.apps.framed_asgi:app", "support.apps.framed_wsgi:app"
UVICORN = "uvicorn --log-level critical"
SERVERS = {
    "uvicorn-httptools": f"{UVICORN} --http httptools {ASGI}",
    "uvicorn-h11": f"{UVICORN} --http h11 --ws wsproto {ASGI}",
    "uvicorn-mounted": f"{UVICORN} --http h11 --root-path /pre {ASGI}",
    "hypercorn": f"hypercorn {ASGI}",
    "granian": f"granian --interface asgi {ASGI}",
    "gunicorn-asgi": f"gunicorn --worker-class asgi {ASGI}",
    "hypercorn-wsgi": f"hypercorn {WSGI}",
    "granian-wsgi": f"granian --interface wsgi {WSGI}",
    "gunicorn": f"gunicorn --worker-class gthread --threads 4 {WSGI}",
    "waitress": f"waitress {WSGI}",
}
SITES = {ASGI: ["starlette", "quart", "litestar", "blacksheep"], WSGI: ["flask", "bottle", "pyramid"]}
# Quart of Python 3.13 waits after an answer until its client goes, and gunicorn until Quart is done; without us too.
DEADLOCKED = {("gunicorn-asgi", "quart")} if Version(version("quart")) >= Version("0.23") else set()
AT_THE_ROOT = [name for name in SERVERS if name != "uvicorn-mounted"]
WITH_SOCKETS = [name for name in AT_THE_ROOT if SERVERS[name].endswith(ASGI)]

on = pytest.mark.parametrize
TURNED_AWAY = {303, 400, 401}


@pytest.fixture(scope="module")
def shared(
    request: pytest.FixtureRequest, hub: Hub, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Running, list[str]]]:
    """A server, and the frameworks on it."""
    command = SERVERS[request.param]
    with hub.provider() as provider, serve(command, provider, tmp_path_factory.mktemp(request.param)) as running:
        sites = SITES[command.rpartition(" ")[2]]
        yield running, [name for name in sites if (request.param, name) not in DEADLOCKED]


@pytest.fixture
def server(shared: tuple[Running, list[str]]) -> Iterator[Running]:
    with shared[0].quoted():
        yield shared[0]


@pytest.fixture
def sites(shared: tuple[Running, list[str]]) -> list[str]:
    return shared[1]


@pytest.fixture(scope="module")
def cookie(shared: tuple[Running, list[str]]) -> bytes:
    """Of somebody who has logged in at this server."""
    with Visitor(shared[0].origin, "Ada") as visitor:
        assert visitor.log_in().json()["name"] == "Ada"
        return visitor.cookie.encode()


def exchange(server: Running, octets: bytes, *, whole: bool = True) -> bytes:
    """What comes back, byte for byte: all until the server hangs up, or the head alone."""
    answer = b""
    with (
        socket.create_connection((HOST, server.port), timeout=PATIENCE) as connection,
        suppress(ConnectionResetError, BrokenPipeError),  # a server may have heard enough
    ):
        connection.sendall(octets)
        while (whole or b"\r\n\r\n" not in answer) and (part := connection.recv(65536)):
            answer += part
    return answer


def site(name: str) -> bytes:
    return b"App: " + name.encode()


def status(answer: bytes) -> int:
    """Zero, when there was no answer."""
    found = re.match(rb"HTTP/1\.[01] ([0-9]{3}) ", answer)
    return int(found[1]) if found else 0


def says_secret(server: Running, sent: Sent, name: str) -> bool:
    return SECRET.encode() in exchange(server, sent.octets(site(name)))


# Strangers


@pytest.fixture(scope="module")
def leading(shared: tuple[Running, list[str]]) -> dict[str, list[Sent]]:
    """By framework, what leads to a protected handler where nobody guards it."""
    server, (first, *others) = shared
    found = {first: [sent for sent in REQUESTS if says_secret(server, sent, first + "-bare")]}
    # What is no matter of the target is the same to every framework.
    about_targets = REQUESTS[: len(TARGETS)]
    return found | {
        name: [sent for sent in about_targets if says_secret(server, sent, name + "-bare")] for name in others
    }


@on("shared", SERVERS, indirect=True)
def test_no_request_line_gets_a_stranger_to_a_protected_handler(
    server: Running, leading: dict[str, list[Sent]], tally: Tally
) -> None:
    passed, unclear = [], []
    for name, requests in leading.items():
        assert len(requests) > 2 * len(PLAIN), f"{name} was hardly reached, which would prove nothing"
        answers = [(sent, exchange(server, sent.octets(site(name)))) for sent in requests]
        passed += [(name, sent) for sent, answer in answers if SECRET.encode() in answer]
        unclear += [(name, sent, answer) for sent, answer in answers if status(answer) not in TURNED_AWAY]
        tally("of them routed to a protected handler", len(requests))
    assert passed == []
    assert unclear == []
    tally("requests", len(REQUESTS) + (len(leading) - 1) * len(TARGETS) + sum(map(len, leading.values())))


@on("shared", SERVERS, indirect=True)
def test_a_guard_that_asks_for_a_prefix_alone_would_be_passed(
    server: Running, leading: dict[str, list[Sent]], tally: Tally
) -> None:
    passed = [
        sent for name, requests in leading.items() for sent in requests if says_secret(server, sent, name + "-naive")
    ]
    assert len(passed) > 3
    tally("of them past a naive guard", len(passed))


@on("shared", SERVERS, indirect=True)
def test_no_request_line_makes_the_guard_fail(server: Running, tally: Tally) -> None:
    def fails(sent: Sent, *more: bytes) -> bool:
        return status(exchange(server, sent.octets(*more))) >= 500

    # A server may fail by itself: gunicorn does where a client chooses a mount that is none.
    assert [sent for sent in REQUESTS if fails(sent) and not fails(sent, site("bare"))] == []
    tally("requests", len(REQUESTS))


INNER = b"GET /admin HTTP/1.1\r\nHost: localhost\r\nApp: %s\r\n\r\n"
LAST = Sent(b"GET", b"/public")
CHUNKED, LENGTH = b"Transfer-Encoding: chunked", b"Content-Length: %d"
# Header fields in which two readers see the end of a body in two places, and what stands before the inner request.
CARRIERS: list[tuple[list[bytes], bytes]] = [
    ([], b""),
    ([LENGTH], b""),
    ([CHUNKED], b"0\r\n\r\n"),
    ([LENGTH, CHUNKED], b"0\r\n\r\n"),
    ([CHUNKED, LENGTH], b"0\r\n\r\n"),
    ([LENGTH, b"Transfer-Encoding: xchunked"], b"0\r\n\r\n"),
    ([LENGTH, b"Transfer-Encoding: chunked, identity"], b"0\r\n\r\n"),
    ([LENGTH, b"Transfer-Encoding:\tchunked"], b"0\r\n\r\n"),
    ([LENGTH, b"Transfer-Encoding : chunked"], b"0\r\n\r\n"),
    ([LENGTH, b"Transfer_Encoding: chunked"], b"0\r\n\r\n"),
    ([LENGTH, b"Content-Length: 0"], b""),
    ([b"Content-Length: 0", LENGTH], b""),
    ([LENGTH, b"Content_Length: 0"], b""),
    ([b"Content-Length: +0"], b""),
    ([b"Content-Length: 0, %d"], b""),
]


@on("shared", SERVERS, indirect=True)
def test_no_request_inside_another_gets_a_stranger_to_a_protected_handler(
    server: Running, sites: list[str], tally: Tally
) -> None:
    for name in sites:
        for fields, end in CARRIERS:
            inner = end + INNER % name.encode()
            sized = tuple(field.replace(b"%d", b"%d" % len(inner)) for field in fields)
            outer = Sent(b"POST", b"/public", sized, closing=False).octets(site(name))
            answer = exchange(server, outer + inner + LAST.octets(site(name)))
            assert SECRET.encode() not in answer, fields
    tally("requests", 3 * len(CARRIERS) * len(sites))


FORGED = ["Remote-User: mallory", "remote-user: mallory", "REMOTE_USER: mallory", "Remote_User: mallory"]


@on("shared", SERVERS, indirect=True)
@on("fields", [*([field] for field in FORGED), FORGED, FORGED[::-1]], ids=range(6))
def test_no_header_field_passes_for_an_identity(server: Running, fields: list[str]) -> None:
    seen = server.ask("/public", *fields).json
    assert not seen["logged_in"]
    assert seen["forged"] == []


# WebSockets

HANDSHAKE = [b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"]
HANDSHAKE += [b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
SOCKETS = [target.replace(b"/secret", b"/live") for target in TARGETS if b"/secret" in target]


def opens(server: Running, target: bytes, *fields: bytes) -> bool:
    sent = Sent(b"GET", target, (*HANDSHAKE, *fields), closing=False)
    return status(exchange(server, sent.octets(), whole=False)) == 101


@on("shared", WITH_SOCKETS, indirect=True)
def test_no_request_line_opens_a_websocket_to_a_stranger(server: Running, sites: list[str], tally: Tally) -> None:
    for name in sites:
        leading = [target for target in SOCKETS if opens(server, target, site(name + "-bare"))]
        assert SOCKET.encode() in leading
        assert [target for target in leading if opens(server, target, site(name))] == []
        tally("requests", len(SOCKETS) + len(leading))


@on("shared", WITH_SOCKETS, indirect=True)
@on(
    "origin",
    [b"https://evil.example", b"http://localhost.evil.example", b"http://localhost:1", b"null", b"http://LOCALHOST"],
)
def test_a_websocket_that_a_foreign_page_opens_is_refused(server: Running, cookie: bytes, origin: bytes) -> None:
    assert not opens(server, b"/who", b"Cookie: " + cookie, b"Origin: " + origin)


@on("shared", WITH_SOCKETS, indirect=True)
@on("fields", [[], [b"Origin: http://localhost"], [b"Origin: https://localhost"]], ids=["none", "own", "own-tls"])
def test_a_websocket_of_a_friend_is_open(server: Running, cookie: bytes, fields: list[bytes]) -> None:
    assert opens(server, b"/who", b"Cookie: " + cookie, *fields)


# Cookies


@on("shared", AT_THE_ROOT, indirect=True)
@on("name", ["Cookie", "cookie", "COOKIE"])
def test_a_cookie_field_in_any_case_is_read(server: Running, cookie: bytes, name: str) -> None:
    assert server.ask("/who", f"{name}: a=b; {cookie.decode()}").json["name"] == "Ada"


@on("shared", AT_THE_ROOT, indirect=True)
def test_two_cookies_of_our_name_are_nobodys(server: Running, cookie: bytes) -> None:
    joined = (b"Cookie: " + cookie + b"; " + cookie,)
    doubled = (b"Cookie: " + cookie, b"cookie: " + cookie)
    planted = (b"Cookie: ck_session=x", b"Cookie: " + cookie)
    for fields in (joined, doubled, doubled[::-1], planted, planted[::-1]):
        assert status(exchange(server, Sent(b"GET", b"/who", fields).octets())) in TURNED_AWAY


@on("shared", AT_THE_ROOT, indirect=True)
def test_a_cookie_of_another_spelling_is_nobodys(server: Running, cookie: bytes) -> None:
    for field in (
        b"Cookie: \xa0" + cookie,
        b"Cookie: CK_SESSION" + cookie[10:],
        b"X-Cookie: " + cookie,
        b"Cookie: =" + cookie,
    ):
        assert status(exchange(server, Sent(b"GET", b"/who", (field,)).octets())) in TURNED_AWAY


# The honest


@on("shared", SERVERS, indirect=True)
@on("target", [b"/public", b"/public?/api/secret", b"/%70ublic", b"/public?next=//x/../y"])
def test_the_plain_way_to_an_open_page_is_open(server: Running, sites: list[str], target: bytes) -> None:
    for name in sites:
        answer = exchange(server, Sent(b"GET", target).octets(site(name)))
        if (name, target) == ("blacksheep", b"/%70ublic"):  # which does not decode what it routes
            continue
        assert status(answer) == 200
        assert WELCOME.encode() in answer


@on("shared", SERVERS, indirect=True)
def test_the_plain_way_to_a_protected_page_leads_to_the_login(server: Running, sites: list[str]) -> None:
    for name in sites:
        assert status(exchange(server, Sent(b"GET", b"/admin").octets(site(name)))) == 303
        assert status(exchange(server, Sent(b"GET", b"/api/secret").octets(site(name)))) == 401


@on("shared", AT_THE_ROOT, indirect=True)
def test_the_plain_way_to_a_protected_page_is_open_to_a_friend(
    server: Running, sites: list[str], cookie: bytes
) -> None:
    for name in sites:
        for target in PLAIN:
            answer = exchange(server, Sent(b"GET", target, (b"Cookie: " + cookie,)).octets(site(name)))
            assert SECRET.encode() in answer


@on("shared", AT_THE_ROOT, indirect=True)
def test_no_legitimate_request_is_refused(server: Running, cookie: bytes, tally: Tally) -> None:
    def comes_in(request: Legitimate, *fields: bytes) -> bool:
        lines = [f"{name}: {value}".encode() for name, value in request.headers.items()]
        lines += [b"Content-Length: %d" % len(request.body)] * bool(request.body)
        sent = Sent(request.method.encode(), request.target.encode(), (*lines, *fields), request.body)
        answer = exchange(server, sent.octets())
        return status(answer) == 200 and (
            request.method == "HEAD" or b'"logged_in": true' in answer.replace(b":t", b": t")
        )

    assert [request for request in LEGITIMATE if not comes_in(request, b"Cookie: " + cookie)] == []
    tally("legitimate requests", len(LEGITIMATE))
