"""This file is how a store says in the log that it cannot be asked: clearly, and not once for every request."""

from __future__ import annotations

import time

from ck_middleware import log
from ck_middleware.errors import StoreUnavailable

QUIET = 5.0  # seconds in which the same fault is told once: every request meets it, and the log must stay readable


class Complaints:
    """What is wrong with one store. A line has the kind of fault and what to do, and no key, value or URL."""

    def __init__(self) -> None:
        self._told: dict[str, float] = {}

    def unavailable(self, fault: str, advice: str, **facts: object) -> StoreUnavailable:
        """The error to raise, after a line in the log unless it was there just now."""
        told = f"the store of sessions cannot be asked: {advice}"
        now = time.monotonic()
        if now - self._told.get(fault, -QUIET) >= QUIET:
            self._told[fault] = now
            log.event(log.ERROR, "store", told, fault=fault, **facts)
        return StoreUnavailable(told)
