"""This file is how what the middleware's own parts do is brought to its end in a test, whatever the face."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from ck_middleware.asgi import ASGIAuthMiddleware
from ck_middleware.ports import step
from ck_middleware.wsgi import WSGIAuthMiddleware

if TYPE_CHECKING:
    from collections.abc import Coroutine

Middleware: TypeAlias = ASGIAuthMiddleware | WSGIAuthMiddleware

T = TypeVar("T")


def to_its_end(middleware: Middleware, work: Coroutine[Any, Any, T]) -> T:
    """What `work` on the sessions of a middleware gives, here and now.

    A store of ASGI needs an event loop. It gets one of its own, in a thread, since the test may be running in another.
    """
    if isinstance(middleware, WSGIAuthMiddleware) or not middleware.config.has_store:
        return step(work)
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, _tidily(middleware, work)).result()


async def _tidily(middleware: ASGIAuthMiddleware, work: Coroutine[Any, Any, T]) -> T:
    try:
        return await work
    finally:
        # What this loop has opened goes with it. A store object belongs to the app, and may not survive its end.
        vault = middleware._gate.vault  # noqa: SLF001  # the kit is of the same house
        if vault is not None and isinstance(middleware.config.store, str):
            await vault.close()
