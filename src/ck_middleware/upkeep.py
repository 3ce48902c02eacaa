"""This file is how a stored session stays true: its tokens fresh, and the provider's word on it no older than asked.

However many requests find the same thing due, on however many machines, one of them asks the provider; the others wait
briefly and use what it got. The lease for that lives in the store, so that one who dies with it holds nobody up longer.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from ck_middleware.errors import (
    AccessRefused,
    CodeRefused,
    KeyUnknown,
    LoginRefused,
    ProviderFaulty,
    ProviderUnreachable,
    StoreUnavailable,
    TokenInvalid,
)
from ck_middleware.events import ENDED, REFRESHED
from ck_middleware.log import DEBUG, INFO, WARNING
from ck_middleware.observing import OK
from ck_middleware.sessions import encode, kept
from ck_middleware.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ck_middleware.config import AuthConfig
    from ck_middleware.events import Teller
    from ck_middleware.ports import Runtime
    from ck_middleware.provider import Provider
    from ck_middleware.vault import Record, Vault

EARLY = 60  # seconds before its end at which an access token is replaced
BACKOFF = 5  # seconds without another attempt after one that the provider did not answer well
GRACE = 3600  # seconds, at least, that a session stands although the provider cannot confirm it
PAUSE = 0.05  # seconds between two looks at what somebody else is doing


class Upkeep:
    """Refresh and re-check, each by one at a time."""

    def __init__(self, config: AuthConfig, provider: Provider, vault: Vault, runtime: Runtime, teller: Teller) -> None:
        self._recheck = config.recheck
        self._keep = config.claims
        self._patience = config.timeout
        self._lease = lease_of(config.timeout)
        self._provider = provider
        self._vault = vault
        self._runtime = runtime
        self._teller = teller
        self._observers = teller.observers

    async def confirmed(self, record: Record) -> Record | None:
        """The session as the provider last confirmed it, asked again when that is due; `None` when it is over."""
        if self._recheck is None:
            return record
        due = self._is_unconfirmed(record)
        kept = await self._alone(record, self._is_unconfirmed, self._recheck_it) if due else record
        if kept is None or time.time() < kept.confirmed + self._recheck + max(self._recheck, GRACE):
            return kept
        await self._over(kept, "the provider could not confirm it for too long")
        return None

    async def access_token(self, record: Record) -> str | None:
        """A token that works for a while yet; `None` when there is none, or the session is over.

        Raises `ProviderUnreachable` or `ProviderFaulty` when it has ended and no new one can be had now.
        """
        kept = await self._alone(record, _is_ending, self._refresh) if _is_ending(record) else record
        tokens = Tokens.decoded(kept.tokens) if kept else None
        if tokens is None or tokens.until is None or time.time() < tokens.until:
            return tokens.access_token if tokens else None
        if tokens.refresh_token is None:
            return None
        raise ProviderUnreachable("the access token has ended, and the provider gave no new one")

    async def _alone(
        self, record: Record, is_due: Callable[[Record], bool], act: Callable[[Record], Awaitable[Record | None]]
    ) -> Record | None:
        """What `act` makes of the session, or what somebody else makes of it meanwhile; or as it is, after a while."""
        await self._know_metadata()
        patience = time.monotonic() + self._patience
        found: Record | None = record
        while found is not None and is_due(found):
            lease = await self._vault.lease(record.name, seconds=self._lease)
            if lease is not None:
                # A request that is cancelled in the middle would take the new refresh token with it.
                return await self._runtime.to_its_end(self._with_lease(record.name, lease, is_due, act))
            if time.monotonic() >= patience:
                return found
            await self._runtime.sleep(PAUSE)
            found = await self._vault.load(record.name)
        return found

    async def _with_lease(
        self,
        name: str,
        lease: bytes,
        is_due: Callable[[Record], bool],
        act: Callable[[Record], Awaitable[Record | None]],
    ) -> Record | None:
        try:
            found = await self._vault.load(name)  # who had the lease before us may have done it
            return await act(found) if found is not None and is_due(found) else found
        finally:
            await self._vault.give_back(name, lease)

    async def _know_metadata(self) -> None:
        try:
            await self._provider.metadata()
        except LoginRefused:
            return  # whoever needs it will say so

    async def _recheck_it(self, record: Record) -> Record | None:
        kept = await self._ask_again(record)
        outcome = "refused" if kept is None else OK if kept.confirmed > record.confirmed else "failed"
        self._observers.note("recheck", "session re-checked", level=DEBUG, outcome=outcome)
        return kept

    async def _ask_again(self, record: Record) -> Record | None:
        """Confirm a session: by refresh where there is a refresh token, else by userinfo."""
        tokens = Tokens.decoded(record.tokens)
        if tokens is None:
            return await self._later(record, ProviderFaulty("the session began before there was a recheck: no token"))
        if tokens.refresh_token is not None:
            return await self._refresh(record)
        try:
            news = await self._provider.userinfo(tokens.access_token, json.loads(record.claims)["sub"])
        except (AccessRefused, TokenInvalid) as refusal:
            await self._over(record, str(refusal))
            return None
        except (ProviderFaulty, ProviderUnreachable) as trouble:
            return await self._later(record, trouble)
        if news is None:
            return await self._later(record, ProviderFaulty("it has no userinfo_endpoint, and gave no refresh token"))
        claims = encode({**json.loads(record.claims), **kept(news, self._keep)})
        return await self._changed(record, replace(record, claims=claims, confirmed=int(time.time()), not_before=0))

    async def _refresh(self, record: Record) -> Record | None:
        tokens = Tokens.decoded(record.tokens)
        if tokens is None or tokens.refresh_token is None:
            return record
        try:
            given = await self._provider.refresh(tokens.refresh_token)
        except CodeRefused as refusal:
            await self._refused(record, refusal)
            return None
        except (ProviderFaulty, ProviderUnreachable) as trouble:
            self._refreshed("failed")
            return await self._later(record, trouble)
        return await self._take(record, given, tokens)

    async def _take(self, record: Record, given: Tokens, tokens: Tokens) -> Record | None:
        """The session with what the provider gave in place of its tokens, if that is of the same person and login."""
        try:
            new = await self._provider.checked(given, tokens, json.loads(record.claims)["sub"])
        except (KeyUnknown, ProviderFaulty, ProviderUnreachable) as trouble:
            # The old refresh token may be spent, and sent again it would pass for a copy: the new one is kept at least.
            rotated = replace(tokens, refresh_token=given.refresh_token)
            self._refreshed("failed")
            return await self._later(record, trouble, tokens=rotated.encoded())
        except TokenInvalid as refusal:
            await self._refused(record, refusal)
            return None
        renewed = replace(record, tokens=new.encoded(), confirmed=int(time.time()), not_before=0)
        changed = await self._surely_changed(record, renewed)
        if changed is None:  # logged out meanwhile: nobody must be left with tokens that work
            await self._provider.revoke(new)
            return None
        self._refreshed(OK)
        await self._teller.tell(REFRESHED, record.claims)
        return changed

    async def _refused(self, record: Record, refusal: LoginRefused) -> None:
        self._refreshed("refused")
        await self._over(record, str(refusal))

    def _refreshed(self, outcome: str) -> None:
        level = INFO if outcome == OK else DEBUG  # what follows from another one has its own line
        self._observers.note("refresh", "session refreshed", level=level, outcome=outcome)

    async def _later(self, record: Record, trouble: LoginRefused, *, tokens: bytes | None = None) -> Record | None:
        text = "session could not be refreshed or confirmed, and stays for now"
        self._observers.note("trouble", text, level=WARNING, kind="provider", reason=trouble)
        later = replace(record, not_before=int(time.time()) + BACKOFF)
        if tokens is None:
            return await self._changed(record, later)
        return await self._surely_changed(record, replace(later, tokens=tokens))

    async def _changed(self, old: Record, new: Record) -> Record | None:
        """The session with the change; or, if the lease was over before it was done, what somebody else made of it."""
        return await self._vault.change(old, new) or await self._vault.load(old.name)

    async def _surely_changed(self, old: Record, new: Record) -> Record | None:
        """The same, again and again while the store cannot be asked: the old refresh token would pass for a copy."""
        patience = time.monotonic() + self._patience
        while True:
            try:
                return await self._changed(old, new)
            except StoreUnavailable:
                if time.monotonic() >= patience:
                    raise
            await self._runtime.sleep(PAUSE)

    async def _over(self, record: Record, reason: str) -> None:
        await self._vault.end(record.name)
        self._observers.note("session_ended", "session ended", by="provider", reason=reason)
        await self._teller.tell(ENDED, record.claims)

    def _is_unconfirmed(self, record: Record) -> bool:
        now = time.time()
        return self._recheck is not None and now >= record.confirmed + self._recheck and now >= record.not_before


def lease_of(timeout: float) -> float:
    """For how many seconds one may ask the provider alone, when a call to it may take `timeout`."""
    # Metadata are known when the lease is taken; what is left is the token endpoint, and a key fetch or userinfo.
    return 2 * timeout + 1


def _is_ending(record: Record) -> bool:
    tokens, now = Tokens.decoded(record.tokens), time.time()
    if tokens is None or tokens.refresh_token is None or tokens.until is None:
        return False
    # A token that lives no longer than that would be replaced by every request; it is so in its second half.
    early = min(EARLY, (tokens.until - record.confirmed) / 2)
    return now >= tokens.until - early and now >= record.not_before
