"""This file is the one way in which this package writes to the log: one line an event, and nothing secret in it."""

import logging
import traceback
from typing import Final

DEBUG: Final = logging.DEBUG
INFO: Final = logging.INFO
WARNING: Final = logging.WARNING
ERROR: Final = logging.ERROR
LOGGER: Final = logging.getLogger("ck_middleware")
LONGEST = 300  # characters of one value; what a stranger sends must not fill the disk


def event(level: int, name: str, text: str, **facts: object) -> None:
    """Log one event. `facts` stand in the line and, as `ck_<fact>`, in the record for structured handlers."""
    if not LOGGER.isEnabledFor(level):
        return
    said = {fact: _bounded(value) for fact, value in facts.items()}
    line = " ".join([_bounded(text), *(f"{fact}={value}" for fact, value in said.items())])
    extra = {"ck_event": name} | {f"ck_{fact}": value for fact, value in said.items()}
    LOGGER.log(level, "%s", line, extra=extra)


def is_heard(level: int) -> bool:
    return LOGGER.isEnabledFor(level)


def where_raised(exc: BaseException) -> str:
    """File and line of an exception, in place of its text: that may quote anything."""
    at = traceback.extract_tb(exc.__traceback__)[-1]
    return f"{at.filename}:{at.lineno}"


def printable(text: str) -> str:
    """Control characters escaped, so that nobody can write a line of their own into a log or a terminal (CWE-117)."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _bounded(value: object) -> str:
    return printable(str(value)[:LONGEST])
