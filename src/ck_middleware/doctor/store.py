"""This file is the store of sessions: whether it can be reached, written, and seen by another worker."""

from __future__ import annotations

import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from ck_middleware.addresses import is_loopback
from ck_middleware.blocking import BlockingRuntime
from ck_middleware.doctor.finding import STATE_MISMATCH, Finding, good, note, problem, sentence, warning
from ck_middleware.errors import ConfigError, StoreUnavailable
from ck_middleware.ports import step
from ck_middleware.stores import open_store
from ck_middleware.stores.urls import is_sqlite, sqlite_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ck_middleware.config import AuthConfig
    from ck_middleware.ports import Store

LIFE: Final = 30  # seconds that what is written for a try would live, were it not removed


def examine(config: AuthConfig) -> Iterator[Finding]:
    if not config.has_store:
        yield good("store", "Sessions are in the cookie; there is no store to ask.")
        return
    try:
        one, another = (open_store(config.store, BlockingRuntime(), timeout=config.timeout) for _ in range(2))
    except ConfigError as exc:  # such as a package that is not installed
        for what, _, fix in (text.partition("; ") for text in exc.problems):
            yield problem("store", what + ".", why="The app does not start with it.", fix=fix)
        return
    try:
        is_seen = step(_is_seen(one, another))
    except StoreUnavailable as exc:
        yield problem(
            "store",
            sentence(str(exc)),
            why="Everybody who is logged in gets a 503, and nobody can log in.",
            fix="See CONSENTKEYS_STORE, and whether this machine and this user may reach and write it.",
            also=STATE_MISMATCH,
        )
        return
    if not is_seen:
        yield problem(
            "store",
            "What one connection writes, another one does not see.",
            why="Workers would not know each other's sessions.",
            fix="Point all of them at one store; a replica that lags is none.",
            also=STATE_MISMATCH,
        )
        return
    yield good("store", "The store can be reached and written, and two connections see the same.")
    yield from _file(config) if is_sqlite(str(config.store)) else _network(config)


async def _is_seen(one: Store, another: Store) -> bool:
    """Whether one connection finds what another one wrote. Nothing of it is left."""
    key, value = "doctor:" + secrets.token_hex(16), secrets.token_bytes(16)
    await one.put(key, value, ttl=LIFE)
    seen = await another.get(key)
    await another.delete(key)
    await one.close()
    await another.close()
    return seen == value


def _file(config: AuthConfig) -> Iterator[Finding]:
    path = Path(sqlite_path(str(config.store)))
    yield note("store", f"Sessions are in {path}: for the workers of one machine.", fix="On several, use Redis.")
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield warning(
            "store",
            f"{path} may be read by other users of this machine.",
            why="Records are sealed, but who is logged in, and how often, is nobody's business.",
            fix=f"chmod 600 {path}",
        )


def _network(config: AuthConfig) -> Iterator[Finding]:
    address = urlsplit(str(config.store))
    if address.scheme == "redis" and not is_loopback(address.hostname or "localhost"):
        yield note("store", "Redis is asked in clear text.", fix="Across machines, rediss:// keeps its password safe.")
