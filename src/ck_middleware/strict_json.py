"""This file is JSON as a security protocol must read it: one meaning, or none."""

import json
from typing import Any


def read_object(text: bytes | str) -> dict[str, Any]:
    """The JSON object in `text`.

    Raises `ValueError` for anything else, and for what two parsers could read in two ways: duplicate members, NaN,
    infinities (RFC 8259, 4 and 6), and a depth that no honest document has.
    """
    try:
        found = json.loads(text, object_pairs_hook=_members, parse_constant=_refuse)
    except RecursionError:
        msg = "is nested too deeply"
        raise ValueError(msg) from None
    if not isinstance(found, dict):
        msg = "is not a JSON object"
        raise ValueError(msg)  # noqa: TRY004  # the document is wrong, not the call
    return found


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        msg = "has a member twice"
        raise ValueError(msg)
    return found


def _refuse(constant: str) -> None:
    msg = f"has {constant}, which is no JSON"
    raise ValueError(msg)
