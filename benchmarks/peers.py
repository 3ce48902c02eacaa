"""This file is what others add to a request beside what we do: instructions, which are the same every time, and time.

    python benchmarks/peers.py [--json FILE] [--only WORD] [--time-only]

"Added" is with the layer less without it: the same app, the same driver, in one process. How both are measured is
said in hot.py. A session is six claims; "tokens" is the same with 1.8 KB of tokens beside them, for those who keep
tokens in the cookie.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import layers_django
from counting import be_counted, can_count, count, requests_needed
from driving import ASGIDriver, Inputs, WSGIDriver
from families import FAMILIES
from hot import HAND, REQUESTS, ROUNDS, Case, Row, printed, timed
from layers import TOKENS, Family, Layer, as_served, session_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import Message, Receive, Scope


class Cases:
    """Every layer of a family, beside the bare app."""

    def __init__(self, family: Family, runner: asyncio.Runner, *, unique: int) -> None:
        self._family = family
        self._is_asgi = family.face == "asgi"
        self._drive: Any = ASGIDriver(runner) if self._is_asgi else WSGIDriver()
        self._runner = runner
        self._unique = unique

    def __iter__(self) -> Iterator[Case]:
        for layer in self._family.layers:
            session = session_of(0)
            yield self._case(layer, "", [layer.cookie(session)] if layer.cookie else [])
            if layer.name == "ck-middleware" and layer.cookie:
                cookies = [layer.cookie(session_of(number)) for number in range(self._unique)]
                yield self._case(layer, ", cookie never seen", cookies)
            if layer.keeps_tokens and layer.cookie:
                yield self._case(layer, ", tokens", [layer.cookie(session | TOKENS)])

    def _case(self, layer: Layer, what: str, cookies: list[str]) -> Case:
        bare, guarded = self._family.bare(), layer.guarded()
        if not self._is_asgi:
            bare, guarded = as_served(bare), as_served(guarded)
        self._check(guarded, Inputs(cookies=cookies))
        name = f"{self._family.name}: {layer.name}{what}"
        return Case(
            self._family.face,
            name,
            self._drive.guarded(bare, Inputs(cookies=cookies)),
            self._drive.guarded(guarded, Inputs(cookies=cookies)),
        )

    def _check(self, app: Any, inputs: Inputs) -> None:  # noqa: ANN401  # of either face
        """That the app is reached: a refusal would be measured as well as an answer."""
        statuses: list[object] = []
        if self._is_asgi:
            for scope in inputs.scopes(1):
                self._runner.run(_status(app, scope, statuses))
        else:
            for environ in inputs.environs(1):
                app(environ, lambda status, *_: statuses.append(int(status.split()[0])))
        if statuses != [200]:
            raise LookupError(f"answered {statuses}")


async def _status(app: Any, scope: Scope, statuses: list[object]) -> None:  # noqa: ANN401  # of either face
    async def send(message: Message) -> None:
        statuses.extend([message["status"]] if "status" in message else [])

    receive: Receive = asyncio.Event().wait  # type: ignore[assignment]  # nobody asks
    await app(scope, receive, send)


def all_cases(stack: ExitStack, only: str, *, unique: int) -> list[Case]:
    layers_django.begin(Path(stack.enter_context(tempfile.TemporaryDirectory())))
    runner = stack.enter_context(asyncio.Runner())
    families = (*FAMILIES, layers_django.DJANGO)
    found = [case for family in families for case in Cases(family, runner, unique=unique)]
    return [case for case in found if only in f"{case.face} {case.name}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
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
        counts = {}
        if can_count() and not options.time_only:
            counts = count([__file__, "--be-counted", "--only", options.only])
        times = timed(found)
    rows = []
    for case in found:
        name = f"{case.face}|{case.name}"
        added = round(counts[f"{name}|1"] - counts[f"{name}|0"]) if counts else None
        took = times[case.face, case.name]
        rows.append(Row(case.face, case.name, added, None, None, round(took, 2), round(took / times["", HAND], 2)))
    printed(rows)
    if options.json:
        head = {"python": platform.python_version(), "by_hand_microseconds": round(times["", HAND], 2)}
        options.json.write_text(json.dumps(head | {"rows": [asdict(row) for row in rows]}, indent=1) + "\n")


if __name__ == "__main__":
    main()
