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
from typing import TYPE_CHECKING, Any, TypeAlias

from ck_middleware.errors import StoreUnavailable
from ck_middleware.sessions import RENEWED_AFTER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from ck_middleware.messages import Pass
    from ck_middleware.vault import Vault

LOOK = 1.5  # seconds between two looks; a session that ended elsewhere is noticed at the second, after one store call
PATIENCE = 2.0  # seconds for one question to the store
AT_ONCE = 500  # names in one question to the store


@dataclass(slots=True)
class Visit:
    """A request with a stored session, as it is noted while it lasts: few last until somebody looks."""

    passed: Pass
    began: float
    may_end: bool = False  # until its response has begun, it is at work, and may itself be what ends the session


@dataclass(eq=False, slots=True)
class Connection:
    """One that goes on, and the session that it belongs to."""

    passed: Pass
    task: asyncio.Task[object] | None
    touched: float  # when the store was last told of its use
    asked: float  # when the provider was last asked, or infinity while it is being asked
    used: float = math.inf  # when it last carried anything; a response is in use as long as it goes on
    lasting: bool = False  # whether it was there at the last look
    visit: Visit | None = None  # what it was noted as
    cancelled: int = 0  # how often we asked the app to end

    @classmethod
    def talking(cls, passed: Pass) -> Connection:
        """A WebSocket, which is in use whenever it carries something."""
        now = time.time()
        return cls(passed, asyncio.current_task(), now, now, used=now)

    @property
    def name(self) -> str | None:
        """What the store calls its session; `None` for a sealed one."""
        return self.passed.session.name if self.passed.session else None

    @property
    def stands(self) -> Callable[[], Coroutine[Any, Any, bool]] | None:
        """Asks the provider when that is due."""
        return self.passed.session.stands if self.passed.session else None

    @property
    def may_end(self) -> bool:
        return self.visit is None or self.visit.may_end

    @property
    def ended(self) -> bool:
        return self.cancelled > 0


# What is noted of a request: of one with a sealed session, nothing but whose it is.
Noted: TypeAlias = "Pass | Visit | Connection"


class Live:
    """The connections of one process and loop."""

    def __init__(self, vault: Vault | None, *, idle: float, recheck: float | None) -> None:
        self._vault = vault
        self._idle = idle
        self._recheck = recheck or math.inf
        self._connections: dict[asyncio.Task[object] | Connection, Noted] = {}
        # Who looks after them, in each loop that has some. A loop itself does not keep its tasks.
        self._watches: dict[asyncio.AbstractEventLoop, asyncio.TimerHandle | asyncio.Task[None]] = {}
        self._questions: set[asyncio.Task[None]] = set()

    async def run(self, app: Awaitable[None], noted: Noted) -> bool:
        """Run the app until it returns, or its session ends; false when the session ended first."""
        loop = asyncio.get_running_loop()
        if loop not in self._watches:
            self._begin_watch(loop)
        task, connections = asyncio.current_task(loop), self._connections
        key: asyncio.Task[object] | Connection | None = task
        if key is None or key in connections:  # no task, or one in which the app calls itself through this layer
            key = noted = _connection(noted, task, time.time())
        connections[key] = noted
        try:
            await app
        except asyncio.CancelledError:
            # Ours only if nobody else, such as the server at its own end, cancelled the task too.
            if _forgive(connections[key]) != 0:
                raise
            return False
        finally:
            found = connections.pop(key)
        # The app may have taken it for its own end, and nobody outside is to see it.
        return type(found) is not Connection or _forgive(found) is None

    def _begin_watch(self, loop: asyncio.AbstractEventLoop) -> None:
        # A loop that was closed with its tasks in the middle of something never says that they are done.
        for other in [other for other in [*self._watches] if other.is_closed()]:
            self._watches.pop(other, None)
        # Most requests are over by then, and one that leaves nobody behind is not worth a task.
        self._watches[loop] = loop.call_later(LOOK, self._begin_looking, loop)

    def _begin_looking(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._connections:
            self._watches[loop] = loop.create_task(self._look_after_them(loop))
        else:
            self._watches.pop(loop, None)

    async def _look_after_them(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            while self._connections:
                await self._look()
                await asyncio.sleep(LOOK)
        finally:
            self._watches.pop(loop, None)

    async def _look(self) -> None:
        now = time.time()
        lasting = self._lasting(now)
        for one in lasting:
            if now >= one.passed.ends_at or self._is_idle(one, now):
                self._end(one)
        for one in await self._gone(lasting):
            self._end(one)
        await self._touch([one for one in lasting if not one.ended])
        self._ask_about([one for one in lasting if not one.ended and now >= one.asked + self._recheck])

    def _lasting(self, now: float) -> list[Connection]:
        """Those of this loop that were there at the last look; the others of it are noted for the next."""
        here, lasting = asyncio.get_running_loop(), list[Connection]()
        for key, one in self._connections.copy().items():  # other threads go on writing to it
            task = key.task if isinstance(key, Connection) else key
            if task is not None and task.get_loop() is not here:
                continue  # another thread's, where alone it may be ended
            if not isinstance(one, Connection):
                self._connections[key] = connection = _connection(one, task, now)
                connection.lasting = True
            elif not one.lasting:
                one.lasting = True
            else:
                lasting.append(one)
        return lasting

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
        task = connection.task
        if task is None or not connection.may_end:
            return
        if self._connections.get(task) is connection or connection in self._connections:
            connection.cancelled += 1
            task.cancel()

    async def _touch(self, connections: list[Connection]) -> None:
        """What a socket carries is use of its session, as a request is."""
        for one in connections:
            used = min(one.used, time.time())
            if self._vault and one.name and used > one.touched + self._idle * RENEWED_AFTER:
                one.touched = used
                with suppress(StoreUnavailable, TimeoutError):
                    async with asyncio.timeout(PATIENCE):
                        await self._vault.touch(one.name, ends_at=one.passed.ends_at)


def _connection(noted: Noted, task: asyncio.Task[object] | None, now: float) -> Connection:
    if isinstance(noted, Visit):
        return Connection(noted.passed, task, noted.began, noted.began, visit=noted)
    return noted if isinstance(noted, Connection) else Connection(noted, task, now, now)


def _forgive(found: Noted) -> int | None:
    """Take our requests to end back. How many are left, of somebody else; `None` when there were none of ours."""
    if not isinstance(found, Connection) or not found.cancelled:
        return None
    left = 0
    for _ in range(found.cancelled):
        left = found.task.uncancel() if found.task else 0
    return left
