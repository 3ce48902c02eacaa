"""This file is what others add to a request beside what we do: instructions, which are the same every time, and time.

    python benchmarks/peers.py [--json FILE] [--only WORD] [--time-only]

"Added" is with the layer less without it: the same app, the same driver, in one process. How both are measured is
said in hot.py. A session is six claims; "tokens" is the same with 1.8 KB of tokens beside them, for those who keep
tokens in the cookie.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import layers_django
from driving import ASGIDriver, Inputs, WSGIDriver
from families import FAMILIES
from hot import Case, run
from layers import TOKENS, Family, Layer, as_served, session_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack

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
            if layer.name.startswith("ck-middleware") and layer.cookie:
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


if __name__ == "__main__":
    run(__file__, __doc__, all_cases)
