"""This file is one thing that the doctor found: what it is, why it matters, and what mends it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Level(StrEnum):
    GOOD = "good"
    NOTE = "note"  # worth knowing; nothing has to be done
    WARNING = "warning"  # works, but not as it should
    PROBLEM = "problem"  # people cannot log in, or are not safe


# What the provider's own guide calls the failures that people search for.
INVALID_SIGNATURE: Final = "Invalid signature"
STATE_MISMATCH: Final = "State mismatch"
EXCHANGE_FAILED: Final = "Token exchange failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """`check` is a stable name for programs; `also` is what a failure of this kind is called elsewhere."""

    level: Level
    check: str
    what: str
    why: str = ""
    fix: str = ""
    also: str = ""


def good(check: str, what: str) -> Finding:
    return Finding(Level.GOOD, check, what)


def note(check: str, what: str, *, fix: str = "") -> Finding:
    return Finding(Level.NOTE, check, what, fix=fix)


def warning(check: str, what: str, *, why: str, fix: str, also: str = "") -> Finding:
    return Finding(Level.WARNING, check, what, why, fix, also)


def problem(check: str, what: str, *, why: str, fix: str, also: str = "") -> Finding:
    return Finding(Level.PROBLEM, check, what, why, fix, also)


def sentence(text: str) -> str:
    """With a capital letter and a full stop."""
    return text[:1].upper() + text[1:] + ("." if text and text[-1].isalnum() else "")
