"""This file is answers of the tests' provider that are kept until the test lets them go."""

import asyncio
import threading
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from support.provider import Honest

PATIENCE = 100.0  # seconds after which it goes by itself, should the test have forgotten it


class Held:
    """Answers well, but not before it is let go: `provider.faults.answer("token", held)`."""

    def __init__(self) -> None:
        self._going = threading.Event()

    def let_go(self) -> None:
        self._going.set()

    async def __call__(self, request: Request, honest: Honest) -> Response:
        await self._let_go_within(PATIENCE)
        return await honest()

    async def _let_go_within(self, seconds: float) -> None:
        await asyncio.to_thread(self._going.wait, seconds)


class Dripping(Held):
    """Answers well, byte by byte, a second apart until it is let go."""

    async def __call__(self, request: Request, honest: Honest) -> Response:
        answer = await honest()

        async def drops() -> AsyncIterator[bytes]:
            for octet in bytes(answer.body):
                yield bytes([octet])
                await self._let_go_within(1)

        return StreamingResponse(drops(), answer.status_code, {"content-type": "application/json"})
