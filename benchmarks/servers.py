"""This file is how much of a bare app's throughput is left behind each layer, on real servers.

    python benchmarks/servers.py [--json FILE] [--rounds 7] [--seconds 1.0] [--only WORD]

A server is one process on one core; who asks is another process, on another core where there is one. A round begins
new servers, and asks the bare app and the layer for the same things. The share that is left is the median of the
rounds: once by answers in a second, once by the CPU time that the server's process took for an answer, which a busy
machine moves less.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from driving import HEAD, HTML, PAGE
from families import BARE, BY_HAND, FAMILIES, named
from layers import ALIVE, TOKENS, Family, Layer, session_of
from load import Work, run

from support.ports import Port
from support.servers import MODULES, Running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from load import Done

WARM = 0.2  # seconds for which a pair is asked before its turn
MANY = 6_000  # cookies, more than are remembered: each has been forgotten before it comes again
UVICORN = "uvicorn served:app --no-access-log --log-level warning --lifespan off"
SERVERS = {
    "uvicorn, uvloop, httptools": ("asgi", f"{UVICORN} --loop uvloop --http httptools", 0.88),
    "uvicorn, asyncio, h11": ("asgi", f"{UVICORN} --loop asyncio --http h11", 0.97),
    "gunicorn, gthread": ("wsgi", "gunicorn served:app --worker-class gthread --threads 4", 0.95),
}
WITH_ALL = {"SessionMiddleware", "session, the guide's decorator"}  # also with tokens in the cookie


@dataclass(frozen=True)
class Pair:
    """A layer, and what is asked of it and of the bare app."""

    family: Family
    layer: str
    what: str
    requests: list[str]
    target: float | None = None


@dataclass
class Row:
    server: str
    app: str
    layer: str
    left: float
    left_by_cpu: float
    microseconds: float  # of CPU for one answer behind the layer
    target: float | None


def request(path: str, cookie: str = "") -> str:
    lines = [f"GET {path} HTTP/1.1", *HEAD.format(accept=HTML, mode="navigate").split("\n")]
    return "\r\n".join([*lines, *([f"cookie: {cookie}"] if cookie else []), "", ""])


def pairs(face: str, target: float) -> Iterator[Pair]:
    for family in FAMILIES:
        for layer in family.layers:
            if family.face == face and family.name != "Starlette" and layer.name != BY_HAND:
                yield from _pairs_of(family, layer, target)


def _pairs_of(family: Family, layer: Layer, target: float) -> Iterator[Pair]:
    if layer.cookie is None:
        yield Pair(family, layer.name, "", [request(PAGE)])
        return
    cookie = layer.cookie(session_of(0))
    if layer.name != "ck-middleware":
        yield Pair(family, layer.name, "", [request(PAGE, cookie)])
    else:
        yield Pair(family, layer.name, "logged in", [request(PAGE, cookie)], target)
        cookies = [layer.cookie(session_of(number)) for number in range(MANY)]
        yield Pair(family, layer.name, "cookie never seen", [request(PAGE, one) for one in cookies])
        yield Pair(family, layer.name, "public path", [request(ALIVE)])
    if layer.name in WITH_ALL:
        yield Pair(family, layer.name, "tokens", [request(PAGE, layer.cookie(session_of(0) | TOKENS))])


class Servers:
    """Those of one kind, each begun when it is first asked, on the core of this process."""

    def __init__(self, command: str, folder: Path, stack: ExitStack) -> None:
        self._command, self._folder, self._stack = command, folder, stack
        self._running: dict[str, Running] = {}
        self._sent: Counter[tuple[str, int]] = Counter()

    def ask(self, name: str, requests: list[str], seconds: float) -> tuple[Done, float]:
        """What came of it, and the seconds of CPU that the server's process took for an answer."""
        if name not in self._running:
            self._running[name] = self._stack.enter_context(self._serve(name))
        running = self._running[name]
        (worker,) = running.workers
        before = cpu_seconds(worker)
        # From where the last turn ended: one that began anew would bring cookies that have just been seen.
        turn = name, len(requests)
        done = run(Work(running.port, requests, seconds, first=self._sent[turn]))
        self._sent[turn] += done.sent
        return done, (cpu_seconds(worker) - before) / done.answers

    @contextmanager
    def _serve(self, name: str) -> Iterator[Running]:
        folder = self._folder / str(len(self._running))
        folder.mkdir()
        path = os.pathsep.join(map(str, (Path(__file__).parent, *MODULES)))
        with Port() as port:
            running = Running(self._command, port.number, folder, os.environ | {"LAYER": name, "PYTHONPATH": path})
            try:
                running.await_workers(1)
                yield running
            finally:
                running.stop()


def cpu_seconds(process: int) -> float:
    return time.clock_gettime((~process << 3) | 2)  # Linux: the clock of all the threads of that process


@contextmanager
def a_core_each() -> Iterator[None]:
    """Servers that are begun meanwhile have one core, and what asks them the others."""
    all_cores = os.sched_getaffinity(0)
    first = min(all_cores)
    os.sched_setaffinity(0, {first})
    os.environ["OTHER_CORES"] = ",".join(map(str, all_cores - {first} or all_cores))
    try:
        yield
    finally:
        os.sched_setaffinity(0, all_cores)
        del os.environ["OTHER_CORES"]


def share(servers: Servers, pair: Pair, seconds: float, *, layer_first: bool) -> tuple[float, float, float]:
    """What is left of the bare app's answers, the same by CPU time, and the microseconds of that for one answer.

    In turn the one and the other is asked first, so that a machine that becomes slower favours neither.
    """
    names = named(pair.family, BARE), named(pair.family, pair.layer)
    for name in names:
        servers.ask(name, pair.requests, WARM)
    turns = {name: servers.ask(name, pair.requests, seconds) for name in names[:: -1 if layer_first else 1]}
    (bare, bare_cpu), (done, cpu) = (turns[name] for name in names)
    return done.rate / bare.rate, bare_cpu / cpu, cpu * 1e6


def measured(server: str, *, rounds: int, seconds: float, only: str) -> list[Row]:
    face, command, target = SERVERS[server]
    chosen = [pair for pair in pairs(face, target) if only in f"{server} {pair.family.name} {pair.layer}"]
    shares: list[list[tuple[float, float, float]]] = [[] for _ in chosen]
    for number in range(rounds):
        # With new servers each time: how quick one is, is partly the luck of where its process has its memory.
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack, a_core_each():
            servers = Servers(command, Path(folder), stack)
            for pair, found in zip(chosen, shares, strict=True):
                found.append(share(servers, pair, seconds, layer_first=number % 2 > 0))
    rows = []
    for pair, found in zip(chosen, shares, strict=True):
        left, by_cpu, took = (statistics.median(one) for one in zip(*found, strict=True))
        name = f"{pair.layer}, {pair.what}" if pair.what else pair.layer
        rows.append(Row(server, pair.family.name, name, round(left, 3), round(by_cpu, 3), round(took, 1), pair.target))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the table there too")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each turn")
    parser.add_argument("--only", default="", help="pairs in whose name this stands")
    options = parser.parse_args()
    rows = []
    print(f"{'server, app, layer':84}{'left':>7}{'by CPU':>8}{'target':>8}{'us':>8}")
    for server in SERVERS:
        for row in measured(server, rounds=options.rounds, seconds=options.seconds, only=options.only):
            goal = f"{row.target:8.2f}" if row.target else f"{'-':>8}"
            name = f"{row.server}; {row.app}; {row.layer}"
            print(f"{name:84}{row.left:7.2f}{row.left_by_cpu:8.2f}{goal}{row.microseconds:8.1f}", flush=True)
            rows.append(row)
    if options.json:
        head = {"python": platform.python_version(), "rounds": options.rounds, "seconds": options.seconds}
        options.json.write_text(json.dumps(head | {"rows": [asdict(row) for row in rows]}, indent=1) + "\n")


if __name__ == "__main__":
    main()
