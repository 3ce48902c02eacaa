"""This file is the answer to whoever watches over the app: can it serve sessions, and can people log in.

Anybody may ask, as often as they like: the store is asked by one at a time and every few seconds at most, the provider
never, and what is told is two words.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from ck_middleware import answers
from ck_middleware.errors import StoreUnavailable
from ck_middleware.forms import fields, only
from ck_middleware.observing import OK

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from ck_middleware.messages import Request, Response
    from ck_middleware.ports import Runtime
    from ck_middleware.provider import Provider
    from ck_middleware.vault import Vault

GOOD_FOR: Final = 2  # seconds that an answer of the store is told again
BAD_FOR: Final = 5  # seconds that it is told again that there was none, for which one has waited
UNAVAILABLE, UNKNOWN = "unavailable", "unknown"
RETRY: Final = (("Retry-After", "5"),)


class Health:
    """What is known of the store and the provider in this process."""

    def __init__(
        self, provider: Provider, vault: Vault | None, lock: AbstractAsyncContextManager[object], runtime: Runtime
    ) -> None:
        self._provider = provider
        self._vault = vault
        self._lock = lock
        self._runtime = runtime
        self._sessions = OK if vault is None else UNKNOWN
        self._until = float("inf") if vault is None else float("-inf")  # on the monotonic clock
        self._asking = False

    async def answer(self, request: Request) -> Response:
        """200, or 503 when the store cannot be asked. That nobody can log in is told, and is no reason to be replaced.

        With `probe=live` always 200, and at once: that this process answers is all that is asked for then.
        """
        is_live = only(fields(request.query), "probe") == "live"
        if not is_live:
            await self._look()
        known = {"sessions": self._sessions, "login": self._provider.login}
        if is_live or self._sessions == OK:
            return answers.data(200, known)
        return answers.data(503, known, headers=RETRY)

    async def _look(self) -> None:
        """Ask the store, unless that was done lately, or somebody is at it and there is an older answer to give."""
        if not self._is_known():
            # Whoever hangs up meanwhile leaves the answer to those who ask next, and not the question.
            await self._runtime.to_its_end(self._look_alone())

    async def _look_alone(self) -> None:
        async with self._lock:
            if not self._is_known():
                await self._ask()

    def _is_known(self) -> bool:
        return time.monotonic() < self._until or (self._asking and self._sessions != UNKNOWN)

    async def _ask(self) -> None:
        if self._vault is None:
            return
        self._asking = True
        try:
            await self._vault.answers()
        except StoreUnavailable:
            self._sessions, lasts = UNAVAILABLE, BAD_FOR
        else:
            self._sessions, lasts = OK, GOOD_FOR
        finally:
            self._asking = False
        self._until = time.monotonic() + lasts
