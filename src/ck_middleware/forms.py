"""This file is the fields of a query or a form, as a browser sends them."""

from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl

LONGEST = 32 * 1024  # bytes; to read more of a stranger's would take two hundred times as much memory
MOST_FIELDS = 50  # of a query or form


def fields(encoded: bytes) -> dict[str, list[str]]:
    """The fields of a query or a form. One that cannot be read has none."""
    found: dict[str, list[str]] = {}
    if len(encoded) > LONGEST:
        return found
    try:
        pairs = parse_qsl(encoded.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError:
        return found
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def only(found: Mapping[str, Sequence[str]], name: str) -> str:
    """The one value of a field; empty when there is none, or more than one."""
    values = found.get(name, ())
    return values[0] if len(values) == 1 else ""
