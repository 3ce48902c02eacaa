"""This file is the records of stored sessions: sealed, under names that tell nothing, and changed by one at a time.

Who reads the store learns no claim, no token and no cookie: a record is sealed under a key of its own purpose, its name
is a digest of the id in the cookie, and the names of a person and of a provider's session are keyed digests.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import struct
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ck_middleware.seal import Seal, derive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ck_middleware.config import AuthConfig
    from ck_middleware.ports import Store

TIMES = struct.Struct(">QQQI")  # began, confirmed, not before (seconds since the epoch), and the length of the claims
SESSION, LEASE, ONCE = "s:", "l:", "o:"  # what a name in the store starts with


@dataclass(frozen=True, slots=True)
class Record:
    """One stored session. `claims` and `tokens` are JSON, decoded when someone asks."""

    name: str
    began: int  # seconds since the epoch, as the other times
    confirmed: int  # when the provider last said that it stands
    not_before: int  # when the provider may be asked again, after it could not be
    claims: bytes = field(repr=False)
    tokens: bytes = field(default=b"", repr=False)
    # As it stands in the store, so that only this very state is replaced.
    sealed: bytes = field(default=b"", repr=False)


def new_id() -> str:
    """The id of a new session: 256 random bits."""
    return secrets.token_urlsafe(32)


def name_of(session_id: str) -> str:
    """What the store calls a session. Nobody gets from it to the cookie."""
    return SESSION + hashlib.sha256(session_id.encode()).hexdigest()


def public_id(record: Record) -> str:
    """What lists and logs call a session."""
    return record.name.removeprefix(SESSION)[:16]


class Vault:
    """Sealed records in a store, and the small promises that several processes make each other there."""

    def __init__(self, config: AuthConfig, store: Store) -> None:
        secrets, client = config.session_secret, config.client
        self._store = store
        self.sealed = store.get  # what stands under a name, for `opened`
        self._client = client
        self._seal = Seal(secrets, purpose="record", client=client)
        self._owner_keys = [derive(secret, purpose="owner", client=client) for secret in secrets]
        self._lifetime = config.session_lifetime
        self._idle = config.idle_timeout

    async def load(self, name: str) -> Record | None:
        """The session of this name, if it is there, ours, and not over. Raises `StoreUnavailable`, as all here do."""
        return self.opened(name, await self._store.get(name))

    def opened(self, name: str, sealed: bytes | None) -> Record | None:
        """What stands in the store as a session, if it is ours, and not over."""
        plain = self._seal.open_bytes(sealed, name=name) if sealed is not None else None
        if sealed is None or plain is None or len(plain) < TIMES.size:
            return None
        began, confirmed, not_before, length = TIMES.unpack_from(plain)
        claims, tokens = plain[TIMES.size : TIMES.size + length], plain[TIMES.size + length :]
        record = Record(name, began, confirmed, not_before, claims, tokens, sealed)
        return record if self.ends_at(record) > time.time() else None

    def ends_at(self, record: Record) -> float:
        """When the session ends, used or not, in seconds since the epoch."""
        return record.began + self._lifetime

    async def keep(self, record: Record, owners: Sequence[str]) -> None:
        """Keep a new session. `owners` are what it can later be found by, such as `sub` and `sid` of its person."""
        names = [self.owner_names(owner)[0] for owner in owners]
        await self._store.put(record.name, self._sealed(record), ttl=self._ttl(self.ends_at(record)), owners=names)

    async def change(self, old: Record, new: Record) -> Record | None:
        """Put `new` where exactly `old` is; `None` when somebody else was there first, or it has ended."""
        sealed = self._sealed(new)
        done = await self._store.swap(old.name, old.sealed, sealed, ttl=self._ttl(self.ends_at(new)))
        return replace(new, sealed=sealed) if done else None

    async def touch(self, name: str, *, ends_at: float) -> None:
        """Let a session live for another idle timeout, never past its end."""
        await self._store.touch(name, ttl=self._ttl(ends_at))

    async def end(self, name: str) -> bool:
        return await self._store.delete(name)

    async def of(self, owner: str) -> list[str]:
        """The names of the sessions of an owner, whichever of our secrets was in use when they began."""
        found: dict[str, None] = {}
        for name in self.owner_names(owner):
            found |= dict.fromkeys(await self._store.owned(name))
        return list(found)

    async def end_all(self, owner: str, *, but: str | None = None) -> list[bytes]:
        """End every session of an owner, wherever it is used, but the one called so. The claims of each."""
        ended = []
        for name in await self.of(owner):
            if name == but:
                continue
            record = await self.load(name)
            if await self.end(name) and record is not None:
                ended.append(record.claims)
        return ended

    async def living(self, names: Sequence[str]) -> set[str]:
        return await self._store.present(names)

    async def lease(self, name: str, *, seconds: float) -> bytes | None:
        """The right to do something alone, until it is given back or its time is over; `None` while another has it."""
        token = secrets.token_bytes(16)
        return token if await self._store.add(LEASE + name, token, ttl=seconds) else None

    async def give_back(self, name: str, lease: bytes) -> None:
        await self._store.delete(LEASE + name, lease)

    async def once(self, thing: str, *, seconds: float) -> bool:
        """True for the first who says so within the time, on whatever machine."""
        return await self._store.add(self._once_name(thing), b"1", ttl=seconds)

    async def forget(self, thing: str) -> None:
        """Let it happen again."""
        await self._store.delete(self._once_name(thing))

    async def answers(self) -> None:
        """Ask the store for something that is never there. Raises `StoreUnavailable` when it does not answer."""
        await self._store.get(ONCE + "health")

    def _once_name(self, thing: str) -> str:
        text = f"{self._client}\0{thing}"  # two apps may share a store
        return ONCE + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    async def close(self) -> None:
        await self._store.close()

    def owner_names(self, owner: str) -> list[str]:
        """What the store calls an owner, under each of our secrets; the first is in use."""
        return [hmac.digest(key, owner.encode("utf-8", "surrogatepass"), "sha256").hex() for key in self._owner_keys]

    def _ttl(self, ends_at: float) -> float:
        return max(1.0, min(self._idle, ends_at - time.time()))

    def _sealed(self, record: Record) -> bytes:
        times = TIMES.pack(record.began, record.confirmed, record.not_before, len(record.claims))
        return self._seal.seal_bytes(times + record.claims + record.tokens, name=record.name)


def owners_of(claims: dict[str, Any]) -> list[str]:
    """What a session is found by: its person, and the provider's own session when it names one."""
    owners = [person(claims["iss"], claims["sub"])]
    sid = claims.get("sid")
    return [*owners, provider_session(claims["iss"], sid)] if isinstance(sid, str) and sid else owners


def person(issuer: str, sub: str) -> str:
    return f"sub\0{issuer}\0{sub}"


def provider_session(issuer: str, sid: str) -> str:
    return f"sid\0{issuer}\0{sid}"
