"""This file is apps that documents show, run as they stand there, for a browser of the tests to enter."""

import asyncio
from typing import Any

from support.faces import ASGIFace, WSGIFace


class ShownWSGI(WSGIFace):
    def __init__(self, app: Any) -> None:
        self.app = app

    def close(self) -> None:
        """A WSGI server says nothing at its end."""


class ShownASGI(ASGIFace):
    def __init__(self, app: Any, runner: asyncio.Runner) -> None:
        self.app = app
        self._runner = runner

    def close(self) -> None:
        """What a server says at its end, to an app that has to be told of a beginning first."""
        self.call({"type": "lifespan", "state": {}}, [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])


def run(code: str, **names: Any) -> dict[str, Any]:
    """The names that a sample has made."""
    made = {"__name__": "app", **names}
    exec(code, made)  # noqa: S102  # our own document
    return made
