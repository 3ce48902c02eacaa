"""This file is one login under way: what we asked, kept by the browser that asked, until the answer comes."""

import hashlib
import json
import secrets
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from ck_middleware import cookies
from ck_middleware.cookies import Attributes
from ck_middleware.seal import Seal

AT_ONCE = 6  # logins under way in one browser; people open tabs
TOGETHER = 3584  # bytes of their cookies; with the session they fit the 8 KiB that servers take in one header line


@dataclass(frozen=True, slots=True)
class Transaction:
    """What one authorization request said, and where its person wants to go. Secret until the token request."""

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)  # PKCE code verifier (RFC 7636, 4.1)
    issuer: str  # whom we asked (RFC 9700, 4.4.2: an answer from anyone else is a mix-up)
    redirect_uri: str
    return_to: str
    began: int  # seconds since the epoch


def begin(*, issuer: str, redirect_uri: str, return_to: str) -> Transaction:
    """A new login: `state`, `nonce` and verifier of 256 random bits each, 43 characters long."""
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    return Transaction(state, nonce, verifier, issuer, redirect_uri, return_to, int(time.time()))


class Transactions:
    """The logins that a browser has under way, each in a sealed cookie named after its state."""

    def __init__(self, seal: Seal, attributes: Attributes, *, lifetime: float) -> None:
        self._seal = seal
        self._attributes = attributes
        self._lifetime = lifetime
        self._prefix = f"{attributes.prefix}ck_login_"

    def keep(self, transaction: Transaction, header: bytes) -> tuple[str, ...]:
        """The `Set-Cookie` that keeps it, and those that let the oldest of too many others go."""
        name = self._name(transaction.state)
        value = self._seal.seal(json.dumps(asdict(transaction), separators=(",", ":")).encode(), name=name)
        room, places, dropped = TOGETHER - len(name) - len(value), AT_ONCE - 1, []
        for began, other, size in sorted(self._under_way(header), reverse=True):
            room, places = room - size, places - 1
            if not began or room < 0 or places < 0:
                dropped.append(self._attributes.clear(other))
        # Each once: a name planted twice must not be cleared twice in one answer (RFC 6265, 4.1.1).
        return (self._attributes.set(name, value, max_age=int(self._lifetime)), *dict.fromkeys(dropped))

    def find(self, state: str, header: bytes) -> Transaction | None:
        """The login that this browser began with `state`, however old, or `None`."""
        name = self._name(state)
        found = cookies.values(header, name.encode())
        transaction = self._open(name, found[0]) if len(found) == 1 else None
        if transaction is None or not transaction.state:
            return None
        return transaction if secrets.compare_digest(transaction.state.encode(), state.encode()) else None

    def is_over(self, transaction: Transaction) -> bool:
        """Whether it began too long ago. The sealed time counts; a browser's own clock does not."""
        return time.time() - transaction.began >= self._lifetime

    def forget(self, state: str) -> str:
        """The `Set-Cookie` that consumes it."""
        return self._attributes.clear(self._name(state))

    def _name(self, state: str) -> str:
        # A digest, because the state itself may hold anything that a stranger puts into the callback's address.
        return self._prefix + hashlib.sha256(state.encode("utf-8", "replace")).hexdigest()[:16]

    def _under_way(self, header: bytes) -> list[tuple[int, str, int]]:
        """When it began, cookie name and size, for each cookie of ours; 0 for one that is no use any more."""
        found = []
        for raw, value in cookies.starting_with(header, self._prefix.encode())[:50]:
            name = raw.decode("ascii", "replace")
            if not name.isascii() or not name.removeprefix(self._prefix).isalnum():
                continue  # never ours, and no name that could be written into a header
            transaction = self._open(name, value)
            alive = transaction is not None and not self.is_over(transaction)
            found.append((transaction.began if transaction and alive else 0, name, len(raw) + len(value)))
        return found

    def _open(self, name: str, value: bytes) -> Transaction | None:
        plain = self._seal.open(value, name=name)
        fields: dict[str, Any] | None = None if plain is None else json.loads(plain)
        return None if fields is None else Transaction(**fields)
