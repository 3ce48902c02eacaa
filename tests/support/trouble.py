"""This file is what people may find where an endpoint of the provider should be: every kind of trouble, as a server.

A trouble that waits does not answer before the time is over; any other is over at once.
"""

import contextlib
import gzip
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

from support.certified import CertifiedServer
from support.ports import HOST, Port
from support.serving import RawServer, full_listener

FAULTY, UNREACHABLE = (502, "provider_faulty"), (503, "provider_unreachable")
ELSEWHERE = "https://elsewhere.example/"
LONG = 3600  # seconds, where nobody waits so long
DRIP = 0.2  # seconds between two bytes, which is shorter than any timeout for one of them


@dataclass(frozen=True)
class Place:
    """Where a trouble is found. `certificate` is that of a server which is to be trusted."""

    url: str
    certificate: Path | None = None


@dataclass(frozen=True)
class Trouble:
    """`folder` is where it may keep a file; `refusal` are the status and the code that it ought to end a login with."""

    name: str
    refusal: tuple[int, str]
    at: Callable[[Path], AbstractContextManager[Place]]

    def __str__(self) -> str:
        return self.name


def whole(body: bytes, *fields: bytes, status: bytes = b"200 OK", kind: bytes = b"application/json") -> bytes:
    head = [b"HTTP/1.1 " + status, b"Content-Type: " + kind, b"Connection: close", *fields]
    return b"\r\n".join([*head, b"Content-Length: %d" % len(body), b"", body])


def page(status: bytes) -> bytes:
    return whole(b"<h1>Here is a page</h1>", status=status, kind=b"text/html")


def saying(
    pieces: Iterable[bytes], *, head: bytes = b"", pause: float = 0.0
) -> Callable[[Path], AbstractContextManager[Place]]:
    @contextlib.contextmanager
    def at(_: Path) -> Iterator[Place]:
        with RawServer(pieces, head=head, pause=pause) as server:
            yield Place(server.url)

    return at


def certified(
    *, host: str = HOST, days: int = 1, known: bool = True
) -> Callable[[Path], AbstractContextManager[Place]]:
    @contextlib.contextmanager
    def at(folder: Path) -> Iterator[Place]:
        with CertifiedServer(folder, host=host, days=days, body=b"[]") as server:
            yield Place(server.url, server.certificate if known else None)

    return at


@contextlib.contextmanager
def nobody(_: Path) -> Iterator[Place]:
    with Port() as port:
        yield Place(f"http://{HOST}:{port.number}")


@contextlib.contextmanager
def a_full_queue(_: Path) -> Iterator[Place]:
    with full_listener() as port:
        yield Place(f"http://{HOST}:{port}")


@contextlib.contextmanager
def no_handshake(_: Path) -> Iterator[Place]:
    with RawServer([b"x"], pause=LONG) as server:
        yield Place(f"https://{HOST}:{server.port}")


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
LONG_CHUNK = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"

AT_ONCE = [
    Trouble("a page", FAULTY, saying([page(b"200 OK")])),
    Trouble("a page of a proxy", FAULTY, saying([page(b"502 Bad Gateway")])),
    Trouble("an error", FAULTY, saying([whole(b"", status=b"500 Internal Server Error")])),
    Trouble("an error in JSON", FAULTY, saying([whole(b'{"error": "server_error"}', status=b"503 X")])),
    Trouble("too many requests", FAULTY, saying([whole(b"{}", b"Retry-After: 3600", status=b"429 X")])),
    Trouble("nothing there", FAULTY, saying([whole(b"", status=b"404 Not Found")])),
    Trouble("a redirect", FAULTY, saying([whole(b"", b"Location: " + ELSEWHERE.encode(), status=b"302 Found")])),
    Trouble("a redirect of a post", FAULTY, saying([whole(b"", b"Location: /", status=b"307 X")])),
    Trouble("an empty body", FAULTY, saying([whole(b"")])),
    Trouble("no content", FAULTY, saying([b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"])),
    Trouble("half a document", FAULTY, saying([whole(b'{"keys": [')])),
    Trouble("another document", FAULTY, saying([whole(b"[]")])),
    Trouble("a deep document", FAULTY, saying([whole(b'{"a":' * 50_000 + b"0" + b"}" * 50_000)])),
    Trouble("a compressed body", FAULTY, saying([whole(gzip.compress(b"{}"), b"Content-Encoding: gzip")])),
    Trouble("a huge body", FAULTY, saying([whole(b" " * (2 << 20))])),
    Trouble("a body without end", FAULTY, saying(repeat(LONG_CHUNK), head=CHUNKED)),
    Trouble("headers without end", UNREACHABLE, saying(repeat(b"X-Header: x\r\n" * 1000), head=HEAD)),
    Trouble("a header without end", UNREACHABLE, saying(repeat(b"x" * 10_000), head=HEAD + b"X-Header: ")),
    Trouble("another protocol", UNREACHABLE, saying([b"SSH-2.0-OpenSSH_9.6\r\n"])),
    Trouble("nobody", UNREACHABLE, nobody),
    Trouble("nothing said", UNREACHABLE, saying([])),
    Trouble("a body that breaks off", UNREACHABLE, saying([HEAD + b"Content-Length: 100\r\n\r\n{"])),
    Trouble("a chunk that breaks off", UNREACHABLE, saying([CHUNKED + b"64\r\n{"])),
    Trouble("a certificate that nobody knows", UNREACHABLE, certified(known=False)),
    Trouble("a certificate of another host", UNREACHABLE, certified(host="other.example")),
    Trouble("a certificate that has expired", UNREACHABLE, certified(days=-1)),
    # The honest neighbour of these three: it is heard, and has nothing to say.
    Trouble("a certificate that is good", FAULTY, certified()),
]
WAITING = [
    Trouble("silence", UNREACHABLE, saying([b"x"], pause=LONG)),
    Trouble("silence after the header", UNREACHABLE, saying([b"x"], head=CHUNKED, pause=LONG)),
    Trouble("a queue that is full", UNREACHABLE, a_full_queue),
    Trouble("no handshake", UNREACHABLE, no_handshake),
    Trouble("a header that drips", UNREACHABLE, saying(repeat(b"x"), head=HEAD + b"X-Slow: ", pause=DRIP)),
    Trouble("a body that drips", UNREACHABLE, saying(repeat(b"1\r\n \r\n"), head=CHUNKED, pause=DRIP)),
    Trouble("interim answers without end", UNREACHABLE, saying(repeat(INTERIM * 100), pause=0.01)),
]
TYPICAL = [
    trouble
    for trouble in AT_ONCE
    if trouble.name
    in {
        "a page",
        "an error",
        "a redirect",
        "an empty body",
        "another document",
        "a huge body",
        "nobody",
        "a body that breaks off",
        "a certificate that has expired",
    }
]
