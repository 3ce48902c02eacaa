"""This file is how our cookies are put on an app's own response."""

from collections.abc import Iterable, Sequence

# Rewritten here, or said to shared caches alone (RFC 9213).
REPLACED = frozenset({"cache-control", "vary", "cdn-cache-control", "surrogate-control"})

ADDED = (("cache-control", "private"), ("vary", "Cookie"))  # where the app says nothing of either

Headers = list[tuple[str, str]]
Octets = list[tuple[bytes, bytes]]

REPLACED_OCTETS = frozenset(name.encode() for name in REPLACED)
ADDED_OCTETS = [(name.encode(), value.encode()) for name, value in ADDED]


def with_cookies(headers: Iterable[tuple[str, str]], cookies: Sequence[str]) -> Headers:
    """The app's headers, with our cookies, and kept out of shared caches: who gets a session's cookie is that session.

    Whatever the app said that is stricter stands.
    """
    headers = [*headers]
    if REPLACED.isdisjoint([name.lower() for name, _ in headers]):
        return [*headers, *ADDED, *[("set-cookie", cookie) for cookie in cookies]]
    kept = [(name, value) for name, value in headers if name.lower() not in REPLACED]
    kept.append(("cache-control", _private(_all(headers, "cache-control"))))
    kept.append(("vary", _varying(_all(headers, "vary"))))
    return kept + [("set-cookie", cookie) for cookie in cookies]


def octets_with_cookies(headers: Octets, cookies: Sequence[str]) -> Octets:
    """The same for headers as ASGI has them. Where the app says nothing of caches, none of them is decoded."""
    if REPLACED_OCTETS.isdisjoint([name.lower() for name, _ in headers]):
        return [*headers, *ADDED_OCTETS, *[(b"set-cookie", cookie.encode("latin-1")) for cookie in cookies]]
    pairs = with_cookies([(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers], cookies)
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]


def _all(headers: Iterable[tuple[str, str]], wanted: str) -> list[str]:
    """Every member of a comma-separated header, however many fields it came in."""
    values = ",".join(value for name, value in headers if name.lower() == wanted)
    return [member.strip() for member in values.split(",") if member.strip()]


def _private(directives: list[str]) -> str:
    if {"no-store", "private"} & {directive.lower() for directive in directives}:
        return ", ".join(directives)
    shared = ("public", "s-maxage")  # these invite shared caches (RFC 9111, 5.2.2)
    return ", ".join(["private", *(one for one in directives if not one.lower().startswith(shared))])


def _varying(names: list[str]) -> str:
    covered = {"*", "cookie"} & {name.lower() for name in names}
    return ", ".join(names if covered else [*names, "Cookie"])
