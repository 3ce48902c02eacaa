"""This file is what an app can be told of: somebody logged in, was refreshed, logged out, or was ended."""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from ck_middleware.errors import ConfigError
from ck_middleware.log import ERROR, where_raised

if TYPE_CHECKING:
    from ck_middleware.observing import Observers
    from ck_middleware.ports import Runtime

LOGGED_IN: Final = "login"
REFRESHED: Final = "refresh"
LOGGED_OUT: Final = "logout"
ENDED: Final = "end"


@dataclass(frozen=True, slots=True)
class Event:
    """What happened, and to whom. `name` is `login`, `refresh`, `logout` or `end`."""

    name: str
    issuer: str
    sub: str


Listener: TypeAlias = Callable[[Event], Awaitable[None] | None]


class Teller:
    """Calls the app's own listener, who is told whom it happened to; `observers` are not.

    An exception in it is logged and harms nobody's login.
    """

    def __init__(self, listener: Listener | None, runtime: Runtime, observers: Observers) -> None:
        if runtime.blocking and any(map(inspect.iscoroutinefunction, (listener, getattr(listener, "__call__", None)))):  # noqa: B004
            raise ConfigError(["on_event: is an async function, and this is the WSGI face; give a plain one"])
        self.observers = observers
        self._blocking = runtime.blocking
        self._listener = listener

    async def tell(self, name: str, claims: bytes) -> None:
        if self._listener is None:
            return
        said = json.loads(claims)
        try:
            answer = self._listener(Event(name, said["iss"], said["sub"]))
            if inspect.isawaitable(answer):
                await self._awaitable(answer)
        except Exception as exc:  # noqa: BLE001  # it is the app's code, and the login has happened
            text, kind = "on_event raised an exception", type(exc).__name__
            note = self.observers.note
            note("trouble", text, level=ERROR, kind="listener", about=name, exception=kind, at=where_raised(exc))

    def _awaitable(self, answer: Awaitable[None]) -> Awaitable[None]:
        if not self._blocking:
            return answer
        if inspect.iscoroutine(answer):
            answer.close()
        raise TypeError("on_event gave something to await, and this is the WSGI face")
