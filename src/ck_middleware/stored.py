"""This file is sessions that live in a store: the cookie carries a signed random id, and nothing of the person."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ck_middleware import cookies, vault
from ck_middleware.id_token import OLDEST
from ck_middleware.messages import Pass
from ck_middleware.seal import AHEAD, Signature
from ck_middleware.session import Found
from ck_middleware.sessions import RENEWED_AFTER, Ending, encode, kept
from ck_middleware.tokens import Tokens
from ck_middleware.user import User

if TYPE_CHECKING:
    from ck_middleware.config import AuthConfig
    from ck_middleware.cookies import Attributes
    from ck_middleware.messages import Request
    from ck_middleware.tokens import Login
    from ck_middleware.upkeep import Upkeep
    from ck_middleware.vault import Vault

LONGEST = 256  # characters of a signed id; a longer value is none, and costs nothing


class StoredSessions:
    """Sessions in a store. Logout deletes the record, and with it every copy of the cookie, on every machine."""

    def __init__(self, config: AuthConfig, attributes: Attributes, records: Vault, upkeep: Upkeep) -> None:
        self._attributes = attributes
        self._vault = records
        self._upkeep = upkeep
        self._signature = Signature(config.session_secret, purpose="session id", client=config.client)
        self._keep = config.claims
        self._idle = config.idle_timeout
        self._once = max(config.login_lifetime, OLDEST) + config.leeway  # nothing that happens once is believed longer
        self._rechecks = config.recheck is not None
        self._keeps_tokens = config.keep_tokens
        self._holds_tokens = config.keep_tokens or config.recheck is not None  # a re-check needs something to ask with
        self.name = f"{attributes.prefix}ck_session"
        self._name = self.name.encode()

    async def find(self, request: Request) -> Pass:
        """The user, and the cookie that renews their session or clears what is none. Raises `StoreUnavailable`."""
        signed, found = await self._found(request)
        if signed is None or found.session is None or time.time() < signed[1] + self._idle * RENEWED_AFTER:
            return found
        await self._vault.touch(found.session.name, ends_at=found.ends_at)
        return replace(found, cookies=(self._cookie(signed[0], found.ends_at),))

    async def look(self, request: Request) -> Pass:
        """The same, without a renewal. Raises `StoreUnavailable`."""
        signed, found = await self._found(request)
        return replace(found, idle_ends_at=signed[1] + self._idle) if signed else found

    async def _found(self, request: Request) -> tuple[tuple[str, int] | None, Pass]:
        """What the cookie says, if its session stands, and whose it is."""
        if not self.carried(request):
            return None, Pass(User())
        signed = self._read(request)
        record = await self._vault.load(vault.name_of(signed[0])) if signed else None
        record = await self._upkeep.confirmed(record) if record else None
        if signed is None or record is None:
            return None, Pass(User(), (self._attributes.clear(self.name),))
        token = partial(self._upkeep.access_token, record) if self._keeps_tokens else None
        ends_at = self._vault.ends_at(record)
        stands = partial(self._stands, record.name) if self._rechecks else None
        session = Found(vault.public_id(record), record.name, record.claims, ends_at, token, stands)
        return signed, Pass(User(record.claims), (), session, ends_at)

    def carried(self, request: Request) -> bool:
        return bool(cookies.values(request.cookies, self._name))

    async def start(self, login: Login, request: Request) -> tuple[str, ...]:
        """A new session, in place of the one that this browser had. Raises `StoreUnavailable`."""
        session_id, now = vault.new_id(), int(time.time())
        claims = encode(kept(login.claims, self._keep))
        tokens = login.tokens.encoded() if self._holds_tokens else b""
        record = vault.Record(vault.name_of(session_id), now, now, 0, claims, tokens)
        await self._vault.keep(record, vault.owners_of(login.claims))
        await self.end(request)  # second: who cannot be given a new one keeps the old one
        return (self._cookie(session_id, self._vault.ends_at(record)),)

    async def end(self, request: Request) -> Ending:
        """End the session of this browser. Raises `StoreUnavailable`, and then it has not ended."""
        signed = self._read(request)
        record = await self._vault.load(vault.name_of(signed[0])) if signed else None
        if record is not None:
            await self._vault.end(record.name)
        tokens = Tokens.decoded(record.tokens) if record else None
        hint = tokens.id_token if tokens and self._keeps_tokens else None
        return Ending((self._attributes.clear(self.name),), tokens, hint)

    async def end_all(self, owner: str) -> list[bytes]:
        return await self._vault.end_all(owner)

    async def end_others(self, owner: str, request: Request) -> list[bytes]:
        signed = self._read(request)
        return await self._vault.end_all(owner, but=vault.name_of(signed[0]) if signed else None)

    async def first(self, thing: str) -> bool:
        return await self._vault.once(thing, seconds=self._once)

    async def again(self, thing: str) -> None:
        await self._vault.forget(thing)

    async def _stands(self, name: str) -> bool:
        record = await self._vault.load(name)
        return record is not None and await self._upkeep.confirmed(record) is not None

    def _read(self, request: Request) -> tuple[str, int] | None:
        """The id in the cookie, and when it was signed. One that we did not sign never reaches the store."""
        found = cookies.values(request.cookies, self._name)
        if len(found) != 1 or len(found[0]) > LONGEST:
            return None
        signed = self._signature.verify_dated(found[0].decode("latin-1"))
        return signed if signed and -AHEAD <= time.time() - signed[1] < self._idle else None

    def _cookie(self, session_id: str, ends_at: float) -> str:
        rest = min(self._idle, ends_at - time.time())
        return self._attributes.set(self.name, self._signature.sign(session_id), max_age=max(1, int(rest)))
