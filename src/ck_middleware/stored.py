"""This file is sessions that live in a store: the cookie carries a signed random id, and nothing of the person."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from ck_middleware import cookies, vault
from ck_middleware.id_token import OLDEST
from ck_middleware.messages import NOBODY, Pass
from ck_middleware.recent import Recent
from ck_middleware.seal import AHEAD, Signature
from ck_middleware.session import Found
from ck_middleware.sessions import BESIDE, REMEMBERED, REMEMBERED_OCTETS, RENEWED_AFTER, TAIL, Ending, encode, kept
from ck_middleware.tokens import Tokens
from ck_middleware.user import sub_of

if TYPE_CHECKING:
    from ck_middleware.config import AuthConfig
    from ck_middleware.cookies import Attributes
    from ck_middleware.messages import Request
    from ck_middleware.tokens import Login
    from ck_middleware.upkeep import Upkeep
    from ck_middleware.vault import Record, Vault

LONGEST = 256  # characters of a signed id; a longer value is none, and costs nothing


@dataclass(slots=True)
class Signed:
    """What a session cookie said that we signed. Whether there still is such a session only the store knows."""

    pair: bytes = field(repr=False)  # name and value, to be compared whole
    id: str = field(repr=False)
    name: str  # what the store calls the session
    since: float  # seconds since the epoch, a little before it was signed: clocks differ
    renewed: float  # from then on the cookie is replaced
    until: float


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
        self._none = Pass(cookies=(attributes.clear(self.name),))
        self._head = self._name + b"="
        self._verified: Recent[bytes, Signed] = Recent(entries=REMEMBERED, octets=REMEMBERED_OCTETS)
        self._seen = self._verified.get
        # Records that were opened lately, and what they came to. The store is asked all the same, at every request:
        # one that it no longer has is over, and one that it has in another state is opened anew.
        self._passed: Recent[str, tuple[Record, Pass]] = Recent(entries=REMEMBERED, octets=REMEMBERED_OCTETS)
        self._known = self._passed.get

    def at_once(self, header: bytes) -> Pass | None:  # noqa: ARG002  # only the store knows
        return None

    async def find(self, request: Request) -> Pass:
        """The user, and the cookie that renews their session or clears what is none. Raises `StoreUnavailable`."""
        return await self.ask(request.cookies)

    async def ask(self, header: bytes) -> Pass:
        signed, now = self._seen(header[TAIL]), time.time()
        if signed is None or signed.pair != header:  # as with sealed sessions
            found = cookies.values(header, self._name)
            if not found:
                return NOBODY
            signed = self._read(found)
        if signed is None or not signed.since <= now < signed.until:
            return self._none
        known, sealed = self._known(signed.name), await self._vault.sealed(signed.name)
        if known is None or known[0].sealed != sealed or self._rechecks or known[1].ends_at <= time.time():
            passed = await self._judged(signed.name, sealed)
            if passed is None:
                return self._none
        else:  # exactly as it was, so that nothing has to be opened
            passed = known[1]
        if now < signed.renewed:
            return passed
        await self._vault.touch(signed.name, ends_at=passed.ends_at)
        return replace(passed, cookies=(self._cookie(signed.id, passed.ends_at),))

    async def look(self, request: Request) -> Pass:
        """The same, without a renewal. Raises `StoreUnavailable`."""
        signed = self._read(cookies.values(request.cookies, self._name))
        passed = await self._judged(signed.name, await self._vault.sealed(signed.name)) if signed else None
        if signed is None or passed is None:
            return self._none if self.carried(request) else NOBODY
        return replace(passed, idle_ends_at=signed.until)

    async def _judged(self, name: str, sealed: bytes | None) -> Pass | None:
        """Whose session it is that the store has, if it has one, and the provider says no other when it is asked."""
        known = self._known(name)
        if known is not None and known[0].sealed == sealed and time.time() < known[1].ends_at:
            record: Record | None = known[0]
        else:
            record = self._vault.opened(name, sealed)
        if self._rechecks and record is not None:
            record = await self._upkeep.confirmed(record)
        if record is None:
            self._passed.forget(name)
            return None
        return known[1] if known is not None and known[0] is record else self._pass(record)

    def _pass(self, record: Record) -> Pass:
        token = partial(self._upkeep.access_token, record) if self._keeps_tokens else None
        stands = partial(self._stands, record.name) if self._rechecks else None
        ends_at = self._vault.ends_at(record)
        session = Found(vault.public_id(record), record.name, record.claims, ends_at, token, stands)
        passed = Pass(record.claims, sub_of(record.claims), (), session, ends_at)
        octets = BESIDE + len(record.claims) + len(record.tokens) + len(record.sealed)
        self._passed.keep(record.name, (record, passed), octets=octets)
        return passed

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
        signed = self._read(cookies.values(request.cookies, self._name))
        record = await self._vault.load(signed.name) if signed else None
        if record is not None:
            await self._vault.end(record.name)
        tokens = Tokens.decoded(record.tokens) if record else None
        hint = tokens.id_token if tokens and self._keeps_tokens else None
        return Ending((self._attributes.clear(self.name),), tokens, hint)

    async def end_all(self, owner: str) -> list[bytes]:
        return await self._vault.end_all(owner)

    async def end_others(self, owner: str, request: Request) -> list[bytes]:
        signed = self._read(cookies.values(request.cookies, self._name))
        return await self._vault.end_all(owner, but=signed.name if signed else None)

    async def first(self, thing: str) -> bool:
        return await self._vault.once(thing, seconds=self._once)

    async def again(self, thing: str) -> None:
        await self._vault.forget(thing)

    async def _stands(self, name: str) -> bool:
        record = await self._vault.load(name)
        return record is not None and await self._upkeep.confirmed(record) is not None

    def _read(self, found: list[bytes]) -> Signed | None:
        """What the one cookie says, if we signed it, and lately. One that we did not sign never reaches the store."""
        if len(found) != 1 or len(found[0]) > LONGEST:
            return None
        value, pair = found[0], self._head + found[0]
        signed = self._seen(value[TAIL])
        if signed is None or signed.pair != pair:
            signed = self._verify(value, pair)
        return signed if signed and signed.since <= time.time() < signed.until else None

    def _verify(self, value: bytes, pair: bytes) -> Signed | None:
        dated = self._signature.verify_dated(value.decode("latin-1"))
        if dated is None:
            return None
        session_id, at = dated
        times = float(at - AHEAD), at + self._idle * RENEWED_AFTER, at + self._idle
        signed = Signed(pair, session_id, vault.name_of(session_id), *times)
        self._verified.keep(value[TAIL], signed, octets=BESIDE + len(pair))
        return signed

    def _cookie(self, session_id: str, ends_at: float) -> str:
        rest = min(self._idle, ends_at - time.time())
        return self._attributes.set(self.name, self._signature.sign(session_id), max_age=max(1, int(rest)))
