"""This file is who is logged in: how a session is found, started and ended, and the kind that needs no store.

A sealed session is one cookie: two times and the claims, under AES-256-GCM. Nothing is kept on the server. The times
stand before the claims, so that a request whose app asks nothing of the user decodes nothing of them.
"""

from __future__ import annotations

import json
import struct
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from ck_middleware import cookies
from ck_middleware.errors import SessionTooLarge
from ck_middleware.messages import Pass
from ck_middleware.seal import AHEAD, Seal
from ck_middleware.user import User

if TYPE_CHECKING:
    from collections.abc import Collection

    from ck_middleware.config import AuthConfig
    from ck_middleware.cookies import Attributes
    from ck_middleware.messages import Request
    from ck_middleware.tokens import Login, Tokens

TIMES = struct.Struct(">QQ")  # when the person logged in, when they were last seen; seconds since the epoch
RENEWED_AFTER = 0.1  # of the idle timeout; not on every response

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
    return {
        name: value for name, value in claims.items() if name not in NEVER_KEPT and (wanted is None or name in wanted)
    }


class SealedSessions:
    """Sessions that live in the browser alone. Logout forgets this browser's copy."""

    def __init__(self, config: AuthConfig, attributes: Attributes) -> None:
        self._seal = Seal(config.session_secret, purpose="session", client=config.client)
        self._attributes = attributes
        self._lifetime = config.session_lifetime
        self._idle = config.idle_timeout
        self._keep = config.claims
        self.name = f"{attributes.prefix}ck_session"
        self._name = self.name.encode()

    async def find(self, request: Request) -> Pass:
        found = cookies.values(request.cookies, self._name)
        if not found:
            return Pass(User())
        # Two cookies of our name: one was planted, and nobody can say which. Neither counts.
        plain = self._seal.open(found[0], name=self.name) if len(found) == 1 else None
        if plain is None:
            return Pass(User(), (self._attributes.clear(self.name),))
        began, seen = TIMES.unpack_from(plain)
        now = time.time()
        if began > now + AHEAD or now >= began + self._lifetime or now >= seen + self._idle:
            return Pass(User(), (self._attributes.clear(self.name),))
        user, ends_at = User(plain[TIMES.size :]), began + self._lifetime
        if now < seen + self._idle * RENEWED_AFTER:
            return Pass(user, ends_at=ends_at, idle_ends_at=seen + self._idle)
        renewal = self._cookie(began, int(now), plain[TIMES.size :])
        return Pass(user, (renewal,), ends_at=ends_at, idle_ends_at=seen + self._idle)

    async def look(self, request: Request) -> Pass:
        found = await self.find(request)
        return replace(found, cookies=()) if found.user.is_authenticated else found

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
