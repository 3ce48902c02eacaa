"""This file is who asks a server for as much as it can give, over connections that stay open; a process of its own.

It reads from standard input what to do, as `Work` in JSON, and writes to standard output what came of it, as `Done`.
Whatever is answered must be 200 and end alike, or it is a fault.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import select
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

PATIENCE = 30  # seconds for an answer, on a busy machine


@dataclass(frozen=True)
class Work:
    port: int
    requests: list[str]  # sent in turn
    seconds: float
    first: int = 0  # of the requests
    connections: int = 32


@dataclass(frozen=True)
class Done:
    answers: int
    seconds: float
    sent: int

    @property
    def rate(self) -> float:
        return self.answers / self.seconds


def run(work: Work) -> Done:
    """Let a process of its own do it."""
    words = [sys.executable, __file__]
    told = subprocess.run(  # noqa: S603  # this very file
        words, input=json.dumps(asdict(work)), capture_output=True, text=True, check=False
    )
    if told.returncode:
        raise RuntimeError(told.stderr)
    return Done(**json.loads(told.stdout))


def ask(work: Work) -> Done:
    turns = itertools.count(work.first)
    encoded = [request.encode("latin-1") for request in work.requests]
    requests = (encoded[turn % len(encoded)] for turn in turns)
    address = ("127.0.0.1", work.port)
    end = _end_of_an_answer(address, next(requests))
    waiting = select.epoll()
    open_ones = {}
    for _ in range(work.connections):
        connection = socket.create_connection(address, PATIENCE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        open_ones[connection.fileno()] = connection
        waiting.register(connection, select.EPOLLIN)
    for connection in open_ones.values():
        connection.sendall(next(requests))
    answers, began = 0, time.monotonic()
    partial: dict[int, bytes] = {}
    while time.monotonic() - began < work.seconds:
        ready = waiting.poll(PATIENCE)
        if not ready:
            raise TimeoutError("no answer")
        for number, _ in ready:
            connection = open_ones[number]
            data = partial.pop(number, b"") + connection.recv(1 << 16)
            if not data.startswith(b"HTTP/1.1 200 "):
                raise ValueError(data)
            if not data.endswith(end):
                partial[number] = data
                continue
            answers += 1
            connection.sendall(next(requests))
    done = Done(answers, time.monotonic() - began, sent=next(turns) - work.first)
    for connection in open_ones.values():
        connection.close()
    return done


def _end_of_an_answer(address: tuple[str, int], request: bytes) -> bytes:
    """The body, which is the same each time, and the empty line before it."""
    with socket.create_connection(address, PATIENCE) as connection:
        connection.sendall(request)
        data = b""
        while True:
            data += connection.recv(1 << 16)
            head, found, body = data.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
            if found and length and len(body) == int(length[1]):
                return found + body


def main() -> None:
    cores = os.environ.get("OTHER_CORES")  # than the server's
    if cores:
        os.sched_setaffinity(0, map(int, cores.split(",")))
    json.dump(asdict(ask(Work(**json.load(sys.stdin)))), sys.stdout)


if __name__ == "__main__":
    main()
