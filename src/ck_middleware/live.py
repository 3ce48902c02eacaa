"""This file is connections that outlive the request they began with: each ends soon after its session.

Every request of somebody logged in is known here while it lasts, which for most is too short to be noticed. One task
for the process looks after those that go on, WebSockets and streams, and asks the store once for all of them.
"""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ck_middleware.errors import StoreUnavailable
from ck_middleware.sessions import RENEWED_AFTER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from ck_middleware.vault import Vault

LOOK = 2.0  # seconds between two looks; a session that ended elsewhere is noticed within this and one store call
PATIENCE = 2.0  # seconds for one question to the store
AT_ONCE = 500  # names in one question to the store


@dataclass(eq=False, slots=True)
class Connection:
    """One request under way, and the session that it belongs to."""

    ends_at: float  # seconds since the epoch: the absolute end of its session
    name: str | None  # what the store calls its session; `None` for a sealed one
    used: float  # when it last carried anything; infinity for a response, which is in use as long as it goes on
    touched: float  # when the store was last told of that
    task: asyncio.Task[object] | None = None
    stands: Callable[[], Coroutine[Any, Any, bool]] | None = None  # asks the provider when that is due
    asked: float = math.inf  # when it was last asked, or infinity while it is being asked
    may_end: bool = True  # false as long as its response has not begun
    cancelled: int = 0  # how often we asked the app to end

    @property
    def ended(self) -> bool:
        return self.cancelled > 0


class Live:
    """The connections of one process and loop."""

    def __init__(self, vault: Vault | None, *, idle: float, recheck: float | None) -> None:
        self._vault = vault
        self._idle = idle
        self._recheck = recheck or math.inf
        self._connections: set[Connection] = set()
        self._watch: asyncio.Task[None] | None = None
        self._questions: set[asyncio.Task[None]] = set()

    async def run(self, app: Awaitable[None], connection: Connection) -> bool:
        """Run the app until it returns, or its session ends; false when the session ended first."""
        connection.task = asyncio.current_task()
        self._connections.add(connection)
        # A loop that was closed with its tasks in the middle of something never says that they are done.
        if self._watch is None or self._watch.done() or self._watch.get_loop() is not asyncio.get_running_loop():
            self._watch = asyncio.create_task(self._look_after_them())
        try:
            await app
            _forgive(connection)  # the app took it for its own end, and nobody outside is to see it
        except asyncio.CancelledError:
            # Ours only if nobody else, such as the server at its own end, cancelled the task too.
            if not connection.ended or _forgive(connection) > 0:
                raise
        finally:
            self._connections.discard(connection)
        return not connection.ended

    async def _look_after_them(self) -> None:
        while self._connections:
            await asyncio.sleep(LOOK)
            now = time.time()
            lasting = [one for one in self._connections if one.touched <= now - LOOK / 2]
            for one in lasting:
                if now >= one.ends_at or self._is_idle(one, now):
                    self._end(one)
            for one in await self._gone(lasting):
                self._end(one)
            await self._touch([one for one in lasting if not one.ended])
            self._ask_about([one for one in lasting if not one.ended and now >= one.asked + self._recheck])

    def _ask_about(self, connections: list[Connection]) -> None:
        """Let the provider confirm their sessions, beside the looking."""
        for one in connections:
            if one.stands is not None:
                one.asked = math.inf
                task = asyncio.create_task(self._confirm(one, one.stands))
                self._questions.add(task)
                task.add_done_callback(self._questions.discard)

    async def _confirm(self, connection: Connection, stands: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        try:
            if not await stands():
                self._end(connection)
        except StoreUnavailable:
            return
        finally:
            connection.asked = time.time()

    def _is_idle(self, connection: Connection, now: float) -> bool:
        # Whether a stored session is used elsewhere, the store knows: it is gone from there when it is not.
        return (self._vault is None or connection.name is None) and now >= connection.used + self._idle

    async def _gone(self, connections: list[Connection]) -> list[Connection]:
        """Those whose session the store no longer has. One that cannot be asked ends nothing."""
        names = sorted({one.name for one in connections if one.name})
        if self._vault is None or not names:
            return []
        living = set[str]()
        try:
            async with asyncio.timeout(PATIENCE):
                for start in range(0, len(names), AT_ONCE):
                    living |= await self._vault.living(names[start : start + AT_ONCE])
        except (StoreUnavailable, TimeoutError):
            return []
        return [one for one in connections if one.name and one.name not in living]

    def _end(self, connection: Connection) -> None:
        """Ask the app to end, and ask again at the next look if it goes on."""
        # One that is over by itself is left alone: its task may already be at another request.
        if connection in self._connections and connection.may_end and connection.task is not None:
            connection.cancelled += 1
            connection.task.cancel()

    async def _touch(self, connections: list[Connection]) -> None:
        """What a socket carries is use of its session, as a request is."""
        for one in connections:
            used = min(one.used, time.time())
            if self._vault and one.name and used > one.touched + self._idle * RENEWED_AFTER:
                one.touched = used
                with suppress(StoreUnavailable, TimeoutError):
                    async with asyncio.timeout(PATIENCE):
                        await self._vault.touch(one.name, ends_at=one.ends_at)


def _forgive(connection: Connection) -> int:
    """Take our requests to end back. How many are left, which are somebody else's."""
    left = 0
    for _ in range(connection.cancelled):
        left = connection.task.uncancel() if connection.task else 0
    return left
