"""This file is who is logged in: a session is found, started and ended here.

A sealed session is one cookie: two times and the claims, under AES-256-GCM. Nothing is kept on the server. The times
stand before the claims, so that a request whose app asks nothing of the user decodes nothing of them.
"""

from __future__ import annotations

import json
import struct
import time
from typing import TYPE_CHECKING, Any

from ck_middleware import cookies
from ck_middleware.errors import SessionTooLarge
from ck_middleware.messages import Pass
from ck_middleware.user import ANONYMOUS, User

if TYPE_CHECKING:
    from ck_middleware.cookies import Attributes
    from ck_middleware.messages import Request
    from ck_middleware.seal import Seal

TIMES = struct.Struct(">QQ")  # when the person logged in, when they were last seen; seconds since the epoch
RENEWED_AFTER = 0.1  # of the idle timeout; not on every response
AHEAD = 60  # seconds by which the clock of the machine that sealed may be ahead of ours

# Proof of one login, and no business of the app; a token that userinfo happens to carry is no claim either.
NEVER_KEPT = frozenset({"nonce", "at_hash", "c_hash", "access_token", "refresh_token", "id_token"})
ALWAYS_KEPT = frozenset({"iss", "sub"})


class SealedSessions:
    """Sessions that live in the browser alone. Logout forgets this browser's copy."""

    def __init__(
        self,
        seal: Seal,
        attributes: Attributes,
        *,
        lifetime: float,
        idle: float,
        keep: tuple[str, ...] | None,
    ) -> None:
        """`lifetime` and `idle` are seconds; `keep` names the claims to keep, `None` all of them."""
        self._seal = seal
        self._attributes = attributes
        self._lifetime = lifetime
        self._idle = idle
        self._keep = None if keep is None else ALWAYS_KEPT.union(keep)
        self.name = f"{attributes.prefix}ck_session"
        self._name = self.name.encode()

    async def find(self, request: Request) -> Pass:
        """The user, and the cookie that renews their session or clears what is none."""
        found = cookies.values(request.cookies, self._name)
        if not found:
            return Pass(ANONYMOUS)
        # Two cookies of our name: one was planted, and nobody can say which. Neither counts.
        plain = self._seal.open(found[0], name=self.name) if len(found) == 1 else None
        if plain is None:
            return Pass(ANONYMOUS, (self.end(),))
        began, seen = TIMES.unpack_from(plain)
        now = time.time()
        if began > now + AHEAD or now >= began + self._lifetime or now >= seen + self._idle:
            return Pass(ANONYMOUS, (self.end(),))
        user = User(plain[TIMES.size :])
        if now < seen + self._idle * RENEWED_AFTER:
            return Pass(user)
        return Pass(user, (self._cookie(began, int(now), plain[TIMES.size :]),))

    def carried(self, request: Request) -> bool:
        """Whether the request brought a session cookie, good or bad."""
        return bool(cookies.values(request.cookies, self._name))

    def start(self, claims: dict[str, Any]) -> str:
        """The `Set-Cookie` of a new session. Raises `SessionTooLarge`, naming the fattest claim."""
        kept = {name: value for name, value in claims.items() if self._keeps(name)}
        now = int(time.time())
        cookie = self._cookie(now, now, _encode(kept))
        size = len(cookie.partition(";")[0])
        if size > cookies.LARGEST:
            fattest = max(kept, key=lambda name: len(_encode(kept[name])))
            raise SessionTooLarge(
                f"the session cookie would have {size} bytes, and browsers drop one of more than {cookies.LARGEST}; "
                f"the largest claim is {fattest!r}: name the claims to keep in claims (CONSENTKEYS_CLAIMS), "
                "or keep sessions in a store (CONSENTKEYS_STORE)"
            )
        return cookie

    def end(self) -> str:
        """The `Set-Cookie` that ends the session in this browser."""
        return self._attributes.clear(self.name)

    def _keeps(self, claim: str) -> bool:
        return claim not in NEVER_KEPT and (self._keep is None or claim in self._keep)

    def _cookie(self, began: int, seen: int, claims: bytes) -> str:
        value = self._seal.seal(TIMES.pack(began, seen) + claims, name=self.name)
        # The browser may forget it when it has ended anyway; what counts is the time inside the seal.
        rest = min(self._idle, began + self._lifetime - seen)
        return self._attributes.set(self.name, value, max_age=max(1, int(rest)))


def _encode(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
