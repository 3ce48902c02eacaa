r"""This file is the `Cookie` and `Set-Cookie` headers, read and written on bytes.

The frameworks' parsers disagree with each other and with browsers: some strip Unicode white space, so that
`\xa0__Host-x` reads as `__Host-x`; some unquote; some lose the whole header over one odd cookie. This one takes names
as they are, strips only space and tab, and shows every cookie of a name, so that two of them can be refused.
"""

from collections.abc import Iterator

LARGEST = 4096  # bytes of name and value together; browsers drop a larger cookie without a word (RFC 6265, 6.1)


def values(header: bytes, name: bytes) -> list[bytes]:
    """Every value of the cookie called `name`. More than one means that somebody planted another."""
    parts = header.split(name)
    if len(parts) == 1:
        return []
    if len(parts) == 2:  # noqa: PLR2004  # what stands before the name, and after it
        before, after = parts
        if after[:1] == b"=" and (not before or before[-2:] == b"; "):
            # It is there once, and where a name stands: what most browsers send needs no taking apart.
            return [after.partition(b";")[0][1:].strip(b" \t").partition(b",")[0]]
    found = [value for other, value in _pairs(header) if other == name]
    return [part for value in found for part in _unjoined(value, name)]


def _unjoined(value: bytes, name: bytes) -> list[bytes]:
    """A value without what a WSGI server joined to it from another `Cookie` field; ours has no comma."""
    own, comma, joined = value.partition(b",")
    # A cookie of our name behind the comma may stand in another's value as well: it counts against us, never for us.
    return [own, joined] if comma and name + b"=" in joined else [own]


def starting_with(header: bytes, prefix: bytes) -> list[tuple[bytes, bytes]]:
    """Name and value of every cookie whose name starts with `prefix`."""
    if prefix not in header:
        return []
    return [(name, value) for name, value in _pairs(header) if name.startswith(prefix)]


def _pairs(header: bytes) -> Iterator[tuple[bytes, bytes]]:
    for part in header.split(b";"):
        name, equals, value = part.partition(b"=")
        if equals:
            yield name.strip(b" \t"), value.strip(b" \t")


class Attributes:
    """How our cookies are set: for this site alone, unseen by scripts, not sent along by other sites' posts."""

    def __init__(self, *, secure: bool) -> None:
        # `__Host-` keeps a sibling domain from planting a cookie of our name (RFC 6265bis, 4.1.3.2).
        self.prefix = "__Host-" if secure else ""
        self._tail = "; Path=/; HttpOnly; SameSite=Lax" + ("; Secure" if secure else "")

    def set(self, name: str, value: str, *, max_age: int) -> str:
        return f"{name}={value}; Max-Age={max_age}{self._tail}"

    def clear(self, name: str) -> str:
        return f"{name}=; Max-Age=0{self._tail}"
