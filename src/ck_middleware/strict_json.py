"""This file is JSON as a security protocol must read it: one meaning, or none."""

import json
import math
from typing import Any

DEEPEST = 32  # levels of objects and lists; no honest document comes near


def read_object(text: bytes | str) -> dict[str, Any]:
    """The JSON object in `text`.

    Raises `ValueError` for anything else, and for what two parsers could read in two ways: duplicate members, numbers
    that are none (RFC 8259, 4 and 6), and a depth that could exhaust the stack of whoever reads it next.
    """
    try:
        text = text.decode() if isinstance(text, bytes) else text  # UTF-8 alone; json would guess (RFC 8259, 8.1)
        found = json.loads(text, object_pairs_hook=_members, parse_constant=_finite, parse_float=_finite)
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("is not a JSON object")  # noqa: TRY004  # the document is wrong, not the call
    _check_depth(found, DEEPEST)
    return found


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("has a member twice")
    return found


def _finite(number: str) -> float:
    value = float(number)  # `1e999` is infinity to Python
    if not math.isfinite(value):
        raise ValueError("has a number that is none")
    return value


def _check_depth(value: object, left: int) -> None:
    if isinstance(value, dict | list):
        if left == 0:
            raise ValueError("is nested too deeply")
        for member in value.values() if isinstance(value, dict) else value:
            _check_depth(member, left - 1)
