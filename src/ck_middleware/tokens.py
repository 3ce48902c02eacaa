"""This file is what the provider hands over beside the person: tokens, and what the next ones must agree with."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of one login, worth nothing until the ID token is verified (RFC 9700, 2.1)."""

    access_token: str = field(repr=False)
    until: float | None = None  # seconds since the epoch at which the access token ends; `None` when nobody said
    refresh_token: str | None = field(default=None, repr=False)
    id_token: str | None = field(default=None, repr=False)
    nonce: str | None = field(default=None, repr=False)
    auth_time: float | None = None

    def encoded(self) -> bytes:
        present = {name: value for name, value in asdict(self).items() if value is not None}
        return json.dumps(present, separators=(",", ":")).encode()

    @classmethod
    def decoded(cls, encoded: bytes) -> Tokens | None:
        """The tokens, or `None` when none were kept."""
        return cls(**json.loads(encoded)) if encoded else None


@dataclass(frozen=True, slots=True)
class Login:
    """What a login gave: the person, and tokens to act for them."""

    claims: dict[str, Any] = field(repr=False)
    tokens: Tokens
