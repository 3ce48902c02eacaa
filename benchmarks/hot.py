"""This file is what the middleware adds to a request: instructions, which are the same every time, and time.

    python benchmarks/hot.py [--json FILE] [--only WORD] [--time-only]

"Added" is with the layer less without it: the same app, the same driver, in one process. Instructions are counted by
valgrind, where there is one. Time is the median of interleaved rounds, as a multiple of opening a sealed session by
hand (base64, AES-GCM, JSON), which no session in a cookie can do without at first sight.
"""

import argparse
import asyncio
import base64
import gc
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from counting import Ask, be_counted, can_count, count, requests_needed
from driving import CLAIMS, ASGIDriver, Inputs, WSGIDriver, claims_of

from ck_middleware.stores.memory import AsyncMemoryStore, MemoryStore
from support.redis_server import RedisServer

ROUNDS, REQUESTS = 21, 200
HAND = "opened by hand"

Limits = Sequence[tuple[int | None, int | None]]  # for ASGI and WSGI: instructions that may be added, and the record
SEEN: Limits = ((20_000, 10_000), (15_000, 8_000))
AMONG_OTHERS: Limits = ((40_000, None), (30_000, None))  # 60 cookies may cost twice as much as one
FIRST: Limits = ((75_000, 40_000), (70_000, 35_000))
PUBLIC: Limits = ((8_000, 5_000), (5_000, 3_000))
REFUSED: Limits = ((60_000, None), (60_000, None))
MEMORY: Limits = ((25_000, None), (25_000, None))
SQLITE: Limits = ((120_000, None), (120_000, None))


@dataclass(frozen=True)
class Case:
    """One kind of request, how it is made without the layer and with it, and the instructions that it may add."""

    face: str
    name: str
    bare: Ask
    guarded: Ask
    target: int | None = None
    record: int | None = None


AllCases = Callable[..., list[Case]]  # of an ExitStack and a word; `unique` is how many requests no two may share


@dataclass
class Row:
    """One line of the table."""

    face: str
    case: str
    added_instructions: int | None
    target: int | None
    record: int | None
    added_microseconds: float
    by_hand: float  # the same time, as a multiple of opening a sealed session by hand


class Cases:
    """Every kind of request on one face."""

    _drive: Any  # of either face, with a layer of the same face

    def __init__(self, face: str, folder: Path, redis: RedisServer, runner: asyncio.Runner, *, unique: int) -> None:
        self._face = face
        self._drive = ASGIDriver(runner) if face == "asgi" else WSGIDriver()
        self._folder, self._redis = folder, redis
        self._unique = unique  # how many cookies a case has that must not see one twice
        self._plain = self._drive.layer(protect=["/private", "/api"], public=["/health"])
        self._session = self._drive.cookie(self._plain, CLAIMS)

    def __iter__(self) -> Iterator[Case]:
        yield Case(
            self._face,
            "nothing: a wrapper that calls the app",
            self._drive.bare(Inputs()),
            self._drive.wrapped(Inputs()),
        )
        yield from self._logged_in()
        yield from self._first_sight()
        yield from self._growth()
        yield from self._nobody()
        yield from self._stored()

    def _case(self, name: str, limits: Limits = (), layer: object = None, **request: Any) -> Case:  # noqa: ANN401  # fields of Inputs
        guarded = self._drive.guarded(layer or self._plain, Inputs(**request))
        target, record = dict(zip(("asgi", "wsgi"), limits, strict=False)).get(self._face, (None, None))
        return Case(self._face, name, self._drive.bare(Inputs(**request)), guarded, target, record)

    def _logged_in(self) -> Iterator[Case]:
        yield self._case("logged in, seen before", SEEN, cookies=[self._session])
        reading = self._drive.layer(reads=True)
        yield self._case("logged in, seen before; the app reads the name", layer=reading, cookies=[self._session])
        if self._face == "asgi":
            yield self._case("WebSocket handshake, logged in", SEEN, websocket=True, cookies=[self._session])

    def _first_sight(self) -> Iterator[Case]:
        for size in ("", 1000, 2900):
            people = range(self._unique)
            cookies = [self._drive.cookie(self._plain, claims_of(number, int(size or 0))) for number in people]
            name = "logged in, first sight" + (f"; {size} bytes of claims" if size else "")
            yield self._case(name, () if size else FIRST, cookies=cookies)

    def _growth(self) -> Iterator[Case]:
        for size in (1000, 2900):
            cookie = self._drive.cookie(self._plain, claims_of(0, size))
            yield self._case(f"logged in, seen before; {size} bytes of claims", SEEN, cookies=[cookie])
        others = [f"other_{number}=value-of-{number:020d}" for number in range(59)]
        cookies = ["; ".join([*others[:30], self._session, *others[30:]])]
        yield self._case("logged in, seen before; 60 cookies", AMONG_OTHERS, cookies=cookies)
        for number in (1, 100, 10_000):
            many = self._drive.layer(protect=["/private", *(f"/area/{one}/part" for one in range(1, number))])
            yield self._case(f"logged in, seen before; {number} prefixes", SEEN, many, cookies=[self._session])
            yield self._case(f"public path never seen; {number} prefixes", (), many, path="/area/{}/other")

    def _nobody(self) -> Iterator[Case]:
        yield self._case("public path, no cookie", PUBLIC, path="/health")
        for name, cookie in _strangers(self._session).items():
            yield self._case(f"public path, {name} cookie", FIRST, path="/health", cookies=[cookie])
        yield self._case("nobody, 401", REFUSED, path="/api/x", accept="application/json")
        yield self._case("nobody, sent to log in", REFUSED)
        if self._face == "asgi":
            yield self._case("WebSocket handshake, nobody", REFUSED, websocket=True)

    def _stored(self) -> Iterator[Case]:
        store = MemoryStore() if self._face == "wsgi" else AsyncMemoryStore()
        places: dict[str, tuple[object, Limits]] = {
            "memory": (store, MEMORY),
            "SQLite": (f"sqlite:///{self._folder}/{self._face}.db", SQLITE),
            "Redis": (f"{self._redis.url}?prefix={self._face}:", ()),
        }
        for name, (place, limits) in places.items():
            layer = self._drive.layer(store=place)
            cookies = [self._drive.cookie(layer, CLAIMS)]
            yield (case := self._case(f"stored session, {name}", limits, layer, cookies=cookies))
        asking = self._drive.asking_redis(self._redis.url, Inputs(cookies=cookies))
        yield replace(case, name="stored session, Redis, beyond one question", bare=asking, target=30_000)


def _strangers(session: str) -> dict[str, str]:
    """Cookies of our name that are none of ours: one of the right shape, one that is not, one that is too long."""
    name, _, value = session.partition("=")
    # The last but tenth character: still base64url, and the tag does not fit.
    forged = value[:-10] + ("B" if value[-10] == "A" else "A") + value[-9:]
    return {"a forged": f"{name}={forged}", "a foreign": f"{name}=eyJ.{value[4:]}", "a huge": f"{name}={'x' * 7000}"}


def by_hand() -> Ask:
    box, nonce = AESGCM(bytes(32)), bytes(12)
    value = base64.urlsafe_b64encode(nonce + box.encrypt(nonce, json.dumps(CLAIMS).encode(), b"session"))

    def ask(number: int) -> None:
        for _ in range(number):
            sealed = base64.urlsafe_b64decode(value)
            json.loads(box.decrypt(sealed[:12], sealed[12:], b"session"))

    return ask


def all_cases(stack: ExitStack, only: str, *, unique: int) -> list[Case]:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    redis = stack.enter_context(RedisServer(folder))
    runner = stack.enter_context(asyncio.Runner())
    found = [case for face in ("asgi", "wsgi") for case in Cases(face, folder, redis, runner, unique=unique)]
    return [case for case in found if only in f"{case.face} {case.name}"]


def timed(found: list[Case]) -> dict[tuple[str, str], float]:
    """Microseconds that each case adds, and those of opening a session by hand."""
    hand = by_hand()
    took: dict[tuple[str, str], list[float]] = {
        name: [] for name in [("", HAND), *((case.face, case.name) for case in found)]
    }
    gc.collect()
    gc.freeze()
    for _ in range(ROUNDS):
        took["", HAND].append(_seconds(hand))
        for case in found:
            took[case.face, case.name].append(_seconds(case.guarded) - _seconds(case.bare))
    return {what: statistics.median(rounds) * 1e6 for what, rounds in took.items()}


def _seconds(ask: Ask) -> float:
    began = time.perf_counter()
    ask(REQUESTS)
    return (time.perf_counter() - began) / REQUESTS


def printed(rows: list[Row]) -> None:
    print(f"{'added to one request':60}{'instructions':>13}{'target':>9}{'record':>9}{'us':>8}{'x by hand':>11}")
    for row in rows:
        figures = [
            f"{figure:,}" if figure is not None else "-" for figure in (row.added_instructions, row.target, row.record)
        ]
        columns = f"{figures[0]:>13}{figures[1]:>9}{figures[2]:>9}{row.added_microseconds:8.1f}{row.by_hand:11.2f}"
        print(f"{row.face + ': ' + row.case:60}{columns}")


def run(program: str, about: str | None, all_cases: AllCases) -> None:
    """The command line of a program that measures such cases, to its end."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the table there too")
    parser.add_argument("--only", default="", help="cases in whose name this stands")
    parser.add_argument("--time-only", action="store_true", help="count nothing")
    parser.add_argument("--be-counted", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | {"PYTHONHASHSEED": "0"})  # noqa: S606
    with ExitStack() as stack:
        unique = requests_needed() if options.be_counted else ROUNDS * REQUESTS
        found = all_cases(stack, options.only, unique=unique)
        if options.be_counted:
            both = {f"{case.face}|{case.name}": (case.bare, case.guarded) for case in found}
            be_counted({f"{name}|{which}": ask for name, asks in both.items() for which, ask in enumerate(asks)})
            return
        counts: dict[str, float] = {}
        if can_count() and not options.time_only:
            counts = count([program, "--be-counted", "--only", options.only])
        times = timed(found)
    rows = []
    for case in found:
        bare, guarded = (counts.get(f"{case.face}|{case.name}|{which}") for which in range(2))
        added = round(guarded - bare) if bare is not None and guarded is not None else None
        took = times[case.face, case.name]
        rows.append(
            Row(case.face, case.name, added, case.target, case.record, round(took, 2), round(took / times["", HAND], 2))
        )
    printed(rows)
    if options.json:
        head = {"python": platform.python_version(), "by_hand_microseconds": round(times["", HAND], 2)}
        options.json.write_text(json.dumps(head | {"rows": [asdict(row) for row in rows]}, indent=1) + "\n")


if __name__ == "__main__":
    run(__file__, __doc__, all_cases)
