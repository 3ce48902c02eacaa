"""This file is what several settings have in common, each kind with its reader: a text, a flag, a list, a duration.

A reader takes what it is given, text from the environment or anything that a caller wrote, and gives its normal form.
Or it refuses with `Fault`, in a sentence that says what is wrong and what would be right.
"""

import math
import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final, NoReturn, ParamSpec

from ck_middleware.errors import Fault

LONGEST_SPAN: Final = 100 * 365 * 86400  # seconds; clocks of machines and stores cannot count as far as a float can
SWITCH: Final = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(("0", "false", "no", "off"), False)
UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}

_SPAN: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhd]?)")

P = ParamSpec("P")


def refuse(*sentences: str) -> NoReturn:
    raise Fault(*sentences)


def faults_of(read: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> tuple[str, ...]:
    """Call a reader for the sentences it refuses with; none when it is content."""
    try:
        read(*args, **kwargs)
    except Fault as fault:
        return fault.args
    return ()


def text(value: object) -> str:
    if not isinstance(value, str):
        refuse(f"is of type {type(value).__name__}; give text")
    return value


def flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if not isinstance(value, str) or value.lower() not in SWITCH:
        refuse("is neither true nor false; give True or False, or one of 1, true, yes, on, 0, false, no, off")
    return SWITCH[value.lower()]


def words(value: object) -> tuple[str, ...]:
    """Read a list as it is, or one text with commas between, where white space around them does not count."""
    if isinstance(value, str):
        return tuple(word for part in value.split(",") if (word := part.strip()))
    if not isinstance(value, Sequence):
        refuse(f"is of type {type(value).__name__}; give a list of texts, or one text with commas between")
    listed = tuple(map(text, value))
    if not all(map(str.strip, listed)):
        refuse("has an empty entry; take it out")
    return listed


def each(listed: tuple[str, ...], read: Callable[[str], str]) -> tuple[str, ...]:
    """Read every entry of a list, and refuse with the faults of all."""
    if found := [sentence for word in listed for sentence in faults_of(read, word)]:
        refuse(*found)
    return tuple(map(read, listed))


def seconds(value: object) -> float:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return math.inf
    spelled = _SPAN.fullmatch(value) if isinstance(value, str) else None
    if spelled is None:
        refuse("is not a duration; give seconds, or text such as 90, 30s, 15m, 8h or 7d")
    return float(spelled[1]) * UNITS[spelled[2]]


def duration(value: object) -> float:
    span = seconds(value)
    if not 1 <= span <= LONGEST_SPAN:
        refuse("is not a time one can wait; give at least 1 second, and at most a century")
    return span
