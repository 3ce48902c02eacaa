"""This file is what the owner of an app may do with stored sessions: see those of a person, and end them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ck_middleware.errors import ConfigError
from ck_middleware.events import ENDED
from ck_middleware.vault import person, provider_session, public_id

if TYPE_CHECKING:
    from ck_middleware.config import AuthConfig
    from ck_middleware.events import Teller
    from ck_middleware.vault import Vault


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """One session of a person. `began` and `expires_at` are seconds since the epoch; `id` is that of `get_session`."""

    id: str
    sub: str
    began: int
    expires_at: int


class Admin:
    """Sessions by their person, or by the provider's own session. Raises `StoreUnavailable`."""

    def __init__(self, config: AuthConfig, vault: Vault | None, teller: Teller) -> None:
        self._issuer = config.issuer
        self._vault = vault
        self._teller = teller

    async def sessions(self, sub: str) -> list[SessionInfo]:
        vault = self._stored()
        records = [await vault.load(name) for name in await vault.of(person(self._issuer, sub))]
        return [
            SessionInfo(public_id(record), sub, record.began, int(vault.ends_at(record)))
            for record in records
            if record is not None
        ]

    async def end_sessions(self, *, sub: str | None = None, sid: str | None = None) -> int:
        """End every session of a person, or those that began in the provider's session `sid`. How many there were."""
        if (sub is None) == (sid is None):
            raise TypeError("end_sessions takes sub or sid, one of them")
        owner = person(self._issuer, sub) if sub is not None else provider_session(self._issuer, sid or "")
        ended = await self._stored().end_all(owner)
        for claims in ended:
            self._teller.observers.note("session_ended", "session ended by the app", by="app")
            await self._teller.tell(ENDED, claims)
        return len(ended)

    def _stored(self) -> Vault:
        if self._vault is None:
            raise ConfigError(["store (CONSENTKEYS_STORE): sessions can be listed and ended only in a store"])
        return self._vault
