"""This file is who is logged in: how a session is found, started and ended, and the kind that needs no store.

A sealed session is one cookie: two times and the claims, under AES-256-GCM. Nothing is kept on the server but, for
speed, what cookies said that were opened lately. The times stand before the claims, so that a request whose app asks
nothing of the user decodes nothing of them.
"""

from __future__ import annotations

import json
import struct
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from ck_middleware import cookies
from ck_middleware.errors import SessionTooLarge
from ck_middleware.messages import NOBODY, Pass
from ck_middleware.recent import Recent
from ck_middleware.seal import AHEAD, Seal
from ck_middleware.user import sub_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from ck_middleware.config import AuthConfig
    from ck_middleware.cookies import Attributes
    from ck_middleware.messages import Request
    from ck_middleware.tokens import Login, Tokens

TIMES = struct.Struct(">QQ")  # when the person logged in, when they were last seen; seconds since the epoch
RENEWED_AFTER = 0.1  # of the idle timeout; not on every response

REMEMBERED = 4096  # sessions that were opened lately
REMEMBERED_OCTETS = 6 << 20  # that they take at most
BESIDE = 900  # bytes that one takes beside its cookie and its claims
TAIL = slice(-32, None)  # of a cookie: by it one is looked up. It holds the tag of the seal, which nobody guesses

# Proof of one login, and no business of the app; a token that userinfo happens to carry is no claim either.
NEVER_KEPT = frozenset({"nonce", "at_hash", "c_hash", "access_token", "refresh_token", "id_token"})
ALWAYS_KEPT = frozenset({"iss", "sub"})


@dataclass(frozen=True, slots=True)
class Ending:
    """What is left of a session that has ended: cookies to set, tokens to revoke, a hint for the provider."""

    cookies: tuple[str, ...] = field(repr=False)
    tokens: Tokens | None = None
    hint: str | None = field(default=None, repr=False)


class Sessions(Protocol):
    """Who is logged in, wherever it is kept."""

    def at_once(self, header: bytes) -> Pass | None:
        """What `find` would say of this `Cookie` header, or `None` when the store has to be asked for that."""

    async def ask(self, header: bytes) -> Pass:
        """What `find` would say of this `Cookie` header."""

    async def find(self, request: Request) -> Pass:
        """The user, and the cookie that renews their session or clears what is none."""

    async def look(self, request: Request) -> Pass:
        """The same, but it is no use of the session and renews nothing; and when it ends if nobody uses it."""

    def carried(self, request: Request) -> bool:
        """Whether the request brought a session cookie, good or bad."""

    async def start(self, login: Login, request: Request) -> tuple[str, ...]:
        """The cookies of a new session. Raises `SessionTooLarge` when it does not fit one."""

    async def end(self, request: Request) -> Ending:
        """End the session of this browser."""

    async def end_all(self, owner: str) -> list[bytes]:
        """End every session of an owner, as far as they can be found. The claims of each."""

    async def end_others(self, owner: str, request: Request) -> list[bytes]:
        """The same, but for the session of this browser."""

    async def again(self, thing: str) -> None:
        """Let it happen for the first time again: what it was for did not come about."""

    async def first(self, thing: str) -> bool:
        """Whether a thing that may happen once happens for the first time, as far as we can know."""


def kept(claims: dict[str, Any], names: Collection[str] | None) -> dict[str, Any]:
    """The claims to keep: those named, or all, and never what proves a login."""
    wanted = None if names is None else ALWAYS_KEPT.union(names)
    found = {
        name: value for name, value in claims.items() if name not in NEVER_KEPT and (wanted is None or name in wanted)
    }
    # First, where `sub_of` finds it at once.
    return {"sub": found["sub"], **found} if "sub" in found else found


@dataclass(slots=True)
class Opened:
    """What a session cookie said, and when it may still be believed, in seconds since the epoch."""

    pair: bytes = field(repr=False)  # name and value, to be compared whole
    began: int
    since: float  # a little before it began: clocks differ
    renewed: float  # from then on the cookie is replaced
    until: float
    passed: Pass


class SealedSessions:
    """Sessions that live in the browser alone. Logout forgets this browser's copy."""

    def __init__(self, config: AuthConfig, attributes: Attributes) -> None:
        self._seal = Seal(config.session_secret, purpose="session", client=config.client)
        self._attributes = attributes
        self._lifetime = config.session_lifetime
        self._idle = config.idle_timeout
        self._renewed_after = config.idle_timeout * RENEWED_AFTER
        self._keep = config.claims
        self.name = f"{attributes.prefix}ck_session"
        self._name = self.name.encode()
        self._head = self._name + b"="
        self._opened: Recent[bytes, Opened] = Recent(entries=REMEMBERED, octets=REMEMBERED_OCTETS)
        self._seen = self._opened.get
        self._none = Pass(cookies=(attributes.clear(self.name),))

    def at_once(self, header: bytes) -> Pass:
        opened = self._seen(header[TAIL])
        if opened is None or opened.pair != header:  # other cookies stand beside ours, or ours was never seen, or none
            found = cookies.values(header, self._name)
            if not found:
                return NOBODY
            # Two cookies of our name: one was planted, and nobody can say which. Neither counts.
            opened = self._open(found[0]) if len(found) == 1 else None
            if opened is None:
                return self._none
        now = time.time()
        if opened.since <= now < opened.renewed:
            return opened.passed
        if not opened.since <= now < opened.until:
            return self._none
        return replace(opened.passed, cookies=(self._cookie(opened.began, int(now), opened.passed.claims),))

    def _open(self, value: bytes) -> Opened | None:
        """What a cookie of ours says, good or too old; `None` for any other value.

        Only what the seal has opened is remembered, so that nobody fills the memory who has not logged in. It is
        compared whole, by way of its tail: how long that takes tells something only to those who have the tail, and
        with it the tag, which can be had only with the cookie.
        """
        pair, tail = self._head + value, value[TAIL]
        opened = self._seen(tail)
        if opened is not None and opened.pair == pair:
            return opened
        plain = self._seal.open(value, name=self.name)
        if plain is None:
            return None
        began, seen = TIMES.unpack_from(plain)
        claims, ends_at = plain[TIMES.size :], began + self._lifetime
        idle_ends_at = seen + self._idle
        until, renewed = min(ends_at, idle_ends_at), seen + self._renewed_after
        passed = Pass(claims, sub_of(claims), (), None, ends_at, idle_ends_at)
        since = float(began - AHEAD)  # like the clock's: a whole number is several times as dear to compare
        opened = Opened(pair, began, since, min(renewed, until), until, passed)
        self._opened.keep(tail, opened, octets=BESIDE + len(pair) + len(claims))
        return opened

    async def ask(self, header: bytes) -> Pass:
        return self.at_once(header)

    async def find(self, request: Request) -> Pass:
        return self.at_once(request.cookies)

    async def look(self, request: Request) -> Pass:
        found = self.at_once(request.cookies)
        return replace(found, cookies=()) if found.claims else found

    def carried(self, request: Request) -> bool:
        return bool(cookies.values(request.cookies, self._name))

    async def start(self, login: Login, request: Request) -> tuple[str, ...]:  # noqa: ARG002  # the new cookie replaces any
        claims, now = kept(login.claims, self._keep), int(time.time())
        cookie = self._cookie(now, now, encode(claims))
        size = len(cookie.partition(";")[0])
        if size > cookies.LARGEST:
            fattest = max(claims, key=lambda name: len(encode(claims[name])))
            raise SessionTooLarge(
                f"the session cookie would have {size} bytes, and browsers drop one of more than {cookies.LARGEST}; "
                f"the largest claim is {fattest!r}: name the claims to keep in claims (CONSENTKEYS_CLAIMS), "
                "or keep sessions in a store (CONSENTKEYS_STORE)"
            )
        return (cookie,)

    async def end(self, request: Request) -> Ending:  # noqa: ARG002  # a browser's copy is forgotten whatever it holds
        return Ending((self._attributes.clear(self.name),))

    async def end_all(self, owner: str) -> list[bytes]:  # noqa: ARG002  # copies in other browsers are out of reach
        return []

    async def end_others(self, owner: str, request: Request) -> list[bytes]:  # noqa: ARG002  # as end_all
        return []

    async def again(self, thing: str) -> None:
        """Nothing was remembered."""

    async def first(self, thing: str) -> bool:  # noqa: ARG002  # the provider's single-use code stops a second time
        return True

    def _cookie(self, began: int, seen: int, claims: bytes) -> str:
        value = self._seal.seal(TIMES.pack(began, seen) + claims, name=self.name)
        # The browser may forget it when it has ended anyway; what counts is the time inside the seal.
        rest = min(self._idle, began + self._lifetime - seen)
        return self._attributes.set(self.name, value, max_age=max(1, int(rest)))


def encode(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
