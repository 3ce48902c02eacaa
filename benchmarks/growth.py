"""This file is whether memory grows with what has been: requests, logins, and logins that nobody ended.

    python benchmarks/growth.py [--json FILE] [--requests 100000] [--logins 2000] [--abandoned 10000]

Each face is a process of its own, which guards an app and plays the browser; the provider is in another one. Memory is
what Python has allocated (tracemalloc) and what the process holds (resident). Ends with 1 when something grows.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import json
import os
import platform
import subprocess
import sys
import tracemalloc
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from driving import ASGIDriver, WSGIDriver

from ck_middleware import AuthConfig
from ck_middleware.recent import BATCHES
from ck_middleware.sessions import REMEMBERED
from support.browser import Browser
from support.faces import ASGIFace, WSGIFace
from support.provider import provider_alone

if TYPE_CHECKING:
    from collections.abc import Callable

STEPS = 10
SETTLED = 2  # steps after which whatever is bounded has reached its bound
# What is remembered is forgotten in batches of so many sessions (of fewer, with larger cookies than these): a step is
# some batches, or half of one, so that the readings before and after are at the same points of a batch.
BATCH = REMEMBERED // BATCHES
PEOPLE = 16 * BATCH  # whose cookies come in turn: more than are remembered
KIB = 1024
MOST_TRACED, MOST_RESIDENT = 64 * KIB, 2 * KIB * KIB  # bytes: noise, and fragments


@dataclass
class Row:
    """One line of the table: what was done, and by how many bytes the most of the later steps was above the earlier."""

    face: str
    what: str
    times: int
    traced: int
    resident: int
    traced_at_end: int
    resident_at_end: int

    @property
    def is_flat(self) -> bool:
        return self.traced < MOST_TRACED and self.resident < MOST_RESIDENT


class Grown:
    """A guarded app on one face, and what people do there. Remembers nothing of it itself."""

    def __init__(self, name: str, runner: asyncio.Runner) -> None:
        config = AuthConfig.from_env(claims=["sub"])
        self._name = name
        self._face: Any = ASGIFace(config, runner) if name == "asgi" else WSGIFace(config)
        self._drive: Any = ASGIDriver(runner) if name == "asgi" else WSGIDriver()

    def measure(self, what: str, times: int, act: Callable[[], None], *, step: int) -> Row:
        """Do this so often, or somewhat more, and look at the memory after each step."""
        seen = []
        for _ in range(max(SETTLED + 2, -(-times // step))):
            for _ in range(step):
                act()
                self._face.seen.clear()
                self._face.carriers.clear()
            gc.collect()
            seen.append((tracemalloc.get_traced_memory()[0], resident()))
        settled = seen[SETTLED:]
        early, late = settled[: len(settled) // 2], settled[len(settled) // 2 :]
        traced, held = (
            max(one) - max(other) for one, other in zip(zip(*late, strict=True), zip(*early, strict=True), strict=True)
        )
        return Row(self._name, what, step * len(seen), traced, held, *seen[-1])

    def requests(self) -> Callable[[], None]:
        """Somebody who is logged in asks, each time another of very many."""
        browser = Browser(self._face)
        browser.log_in()
        claims = browser.me().json["user"]
        sub = len(claims["sub"])
        people = [claims | {"sub": f"{number:0{sub}d}"} for number in range(PEOPLE)]
        cookies = itertools.cycle([self._drive.cookie(self._face.app, one) for one in people])

        def act() -> None:
            if browser.get("/page", {"Cookie": next(cookies)}).status != 200:  # noqa: PLR2004  # the word for it
                raise RuntimeError("nobody is logged in")

        return act

    def log_in(self) -> None:
        browser = Browser(self._face)
        browser.log_in()
        if not browser.is_logged_in:
            raise RuntimeError("no login")

    def abandon(self) -> None:
        Browser(self._face).start_login()


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text("utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def rows_of(face: str, options: argparse.Namespace) -> list[Row]:
    tracemalloc.start()
    with asyncio.Runner() as runner:
        grown = Grown(face, runner)
        return [
            grown.measure("requests", options.requests, grown.requests(), step=PEOPLE),
            grown.measure("logins", options.logins, grown.log_in, step=BATCH // 2),
            grown.measure(
                "logins that nobody ended", options.abandoned, grown.abandon, step=options.abandoned // STEPS
            ),
        ]


def in_a_process(face: str, options: argparse.Namespace) -> list[Row]:
    """The same in a process of its own, whose provider is in this one."""
    with provider_alone() as (provider, _):
        told = {f"CONSENTKEYS_{name.upper()}": str(value) for name, value in provider.settings.items()}
        environment = os.environ | told | {"SESSION_SECRET": "thirty-two bytes that nobody else knows"}
        counts = [f"--{name}={getattr(options, name)}" for name in ("requests", "logins", "abandoned")]
        words = [sys.executable, __file__, "--face", face, *counts]
        done = subprocess.run(  # noqa: S603  # this very file
            words, env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
    return [Row(**row) for row in json.loads(done.stdout)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the table there too")
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--logins", type=int, default=2_000)
    parser.add_argument("--abandoned", type=int, default=10_000)
    parser.add_argument("--face", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.face:
        json.dump([asdict(row) for row in rows_of(options.face, options)], sys.stdout)
        return
    rows = [row for face in ("asgi", "wsgi") for row in in_a_process(face, options)]
    print(f"{'memory that came':40}{'times':>9}{'allocated KiB':>15}{'resident KiB':>14}")
    for row in rows:
        name, verdict = f"{row.face}: {row.what}", "flat" if row.is_flat else "GROWS"
        print(f"{name:40}{row.times:9,}{row.traced / KIB:15.1f}{row.resident / KIB:14.1f}  {verdict}")
    if options.json:
        told = [asdict(row) | {"is_flat": row.is_flat} for row in rows]
        options.json.write_text(json.dumps({"python": platform.python_version(), "rows": told}, indent=1) + "\n")
    if not all(row.is_flat for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
