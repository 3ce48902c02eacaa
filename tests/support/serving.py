"""This file is real servers for tests: the one of the test kit, and one that speaks raw bytes."""

import contextlib
import re
import socket
import socketserver
import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

from ck_middleware.testing.server import HOST, PATIENCE, Server

__all__ = ["PATIENCE", "RawServer", "Server", "dripping_header"]


class RawServer:
    """Sends these pieces to whoever asks, with a pause before each, as no well-behaved server would, and hangs up."""

    def __init__(self, pieces: Iterable[bytes], *, pause: float = 0.0, head: bytes = b"") -> None:
        """`pieces` may be without end; each connection gets them from the first. `head` comes without a pause."""
        self.connections = 0
        self.given_up = threading.Event()  # somebody went before they had asked for anything
        raw = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                raw.connections += 1
                if not _read_request(self.request):
                    raw.given_up.set()
                    return
                with contextlib.suppress(OSError):
                    self.request.sendall(head)
                    for piece in pieces:
                        if raw._stopped.wait(pause):
                            return
                        self.request.sendall(piece)

        class Listener(socketserver.ThreadingTCPServer):
            daemon_threads = True
            request_queue_size = 128  # a crowd comes at once

        self._stopped = threading.Event()
        self._server = Listener((HOST, 0), Handler)
        self.port: int = self._server.server_address[1]
        self.url = f"http://{HOST}:{self.port}"

    def let_go(self) -> None:
        """Pause no longer, and hang up on everyone who waits."""
        self._stopped.set()

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.let_go()
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def full_listener() -> Iterator[int]:
    """The port of a server whose queue is full: who connects hears nothing."""
    with contextlib.ExitStack() as sockets:
        listening = sockets.enter_context(socket.create_server((HOST, 0), backlog=0))
        for _ in range(4):
            waiting = sockets.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


def dripping_header() -> RawServer:
    """A server whose header never ends: one byte a second."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Slow: "
    return RawServer([head[index : index + 1] for index in range(len(head))] + [b"x"] * 1000, pause=1)


def _read_request(connection: socket.socket) -> bool:
    """Read all of it, if it comes: who hangs up with something unread takes back what they said."""
    read, length = b"", 0
    try:
        while b"\r\n\r\n" not in read or len(read) < length:
            piece = connection.recv(1 << 16)
            if not piece:
                return False
            read += piece
            head, end, _ = read.partition(b"\r\n\r\n")
            told = re.search(rb"(?i)\r\ncontent-length: *([0-9]+)", head)
            length = len(head + end) + int(told[1]) if told else 0
    except OSError:
        return False
    return True
