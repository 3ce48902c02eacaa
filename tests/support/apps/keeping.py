"""This file is what both apps with stored sessions have in common: their settings, and what they tell of a token."""

import hashlib
import os
from contextlib import AbstractContextManager
from typing import Any

from ck_middleware import get_user
from ck_middleware.config import Settings
from support.apps.telling import TIMEOUT, told
from support.asked import PATIENCE, waiting_at_most

# There is no variable of ours for these two; whatever else differs, the environment says.
SETTINGS: Settings = {"keep_tokens": True, "timeout": TIMEOUT}


def store_timeout() -> AbstractContextManager[None]:
    """An app that is made in here waits for its store as long as the environment says."""
    return waiting_at_most(float(os.environ.get("STORE_TIMEOUT", PATIENCE)))


def token_told(carrier: object, session_id: str, token: str | None) -> dict[str, Any]:
    """Who came, which process answered, and a token by its fingerprint alone."""
    fingerprint = hashlib.sha256(token.encode()).hexdigest()[:12] if token else None
    return told(carrier, ()) | {"session": session_id, "token": fingerprint, "issuer": get_user(carrier).issuer}
