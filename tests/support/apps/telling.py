"""This file is what every served app says of a request: who came, which process answered, and what a stranger wrote.

The apps are told where they are by their environment alone, as apps are in production.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ck_middleware import get_user

MALLORY = "mallory"  # what the tests write into every header that might pass for an identity
TIMEOUT = os.environ.get("PROVIDER_TIMEOUT", "60")  # seconds; there is no variable of ours for it


def told(carrier: object, claimed: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """`claimed` is whatever the server presents by name: an environ's items, or header fields."""
    user = get_user(carrier)
    return {
        "logged_in": user.is_authenticated,
        "sub": user.sub,
        "name": user.name,
        "pid": os.getpid(),
        "forged": sorted(name for name, value in claimed if MALLORY in str(value)),
    }


def record(**facts: Any) -> None:
    """Write down that the app was called, where the test can read it, whichever process this is."""
    with Path(os.environ["APP_RECORD"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps(facts) + "\n")
