"""This file is where sessions can be kept: what a user may name, or bring along, and the core's port to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ck_middleware.errors import ConfigError, Fault
from ck_middleware.stores.own import AsyncStore, Store, as_own_async, as_own_blocking
from ck_middleware.stores.urls import check_url, is_sqlite, redis_address, sqlite_path

if TYPE_CHECKING:
    from ck_middleware import ports

__all__ = ["AsyncStore", "Store", "check_url", "open_store"]


def open_store(setting: object, runtime: ports.Runtime, *, timeout: float) -> ports.Store:
    """The store that the setting `store` names or is, as this face asks it. Nothing is opened or connected yet.

    `timeout` is in seconds, for one question; a store may wait shorter. Raises `ConfigError` for what is no store, or
    one of the other face.
    """
    try:
        return _store(setting, runtime, timeout)
    except Fault as fault:
        raise ConfigError([f"store (CONSENTKEYS_STORE): {sentence}" for sentence in fault.args]) from None


def _store(setting: object, runtime: ports.Runtime, timeout: float) -> ports.Store:
    # Each kind is imported when it is named: most apps need one, and a cookie needs none.
    if not isinstance(setting, str):
        own: ports.Store = as_own_blocking(setting) if runtime.blocking else as_own_async(setting)
        return own
    if is_sqlite(setting):
        from ck_middleware.stores.sqlite import SQLiteStore  # noqa: PLC0415

        return SQLiteStore(sqlite_path(setting), runtime, timeout=timeout)
    from ck_middleware.stores.redis import RedisStore  # noqa: PLC0415

    return RedisStore(redis_address(setting), runtime, timeout=timeout)
