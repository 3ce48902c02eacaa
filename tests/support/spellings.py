"""This file is how else a path may be spelled, and how servers present a spelling to an app."""

from collections.abc import Iterator, Sequence
from random import Random
from typing import NamedTuple
from urllib.parse import quote, unquote, unquote_to_bytes

from hypothesis import strategies as st

SEED = 1729

SOME_UNICODE = "\u0130\u0131\u017f\u200b\u202e\u2028\u2044\u2215\u212a\u24d0\ufeff\uff0e\uff0f\uff41\ufffd\U0001d41a"
ALPHABET = [*map(chr, range(256)), *SOME_UNICODE]

BEFORE = ["/", "//", "///", "/./", "/../", "/.", "/x/..", "/x/../", "/public/..", "/public/../", "/public", "/public/"]
BEFORE += ["/;", "/;/", "/\ufffd", "/%2f", "/%2e/", "/%2e%2e/", "/\\", "\\", "/\x00/", "\x00", "\x01", " ", "\t", "\n"]
BEFORE += ["http:", "http:/", "http://evil.example", "https://evil.example/", "http://127.0.0.1/", "//evil.example"]
BEFORE += ["@evil.example", "evil.example", "*", "?", "#", "/?", "/#", "/public?", "/public#", "%2f", ".", "..", "./"]
BEFORE += ["/pre", "/pre/", "/x/pre", "/pre/pre", "/pre/x/pre", "/prex", "/m", "/m/m", "/public/pre", "/public/m"]
BEFORE += ["/pre/public/pre", "/auth", "/auth/..", "/auth/me"]
AFTER = ["/", "//", "///", "/.", "/..", "/./", "/../", "/x/..", ".", "..", "\n", "\r\n", "\n\n", "\n/", "\r", "\x00"]
AFTER += [" ", "\t", "\x0b", "\x0c", "\x1c", "\x85", "\xa0", "\u2028", "\u2029", "\ufeff", "\ufffd", "%", "%00", "%0a"]
AFTER += ["%20", "%2f", "%ff", ";", ";x=1", ";/", "?", "?x", "#", "#x", "\\", ".json", ".html", ":", "::$DATA", "~"]
AFTER += ["/pre"]
BETWEEN = ("//", "///", "/./", "/../", "\\", "%2f", "/%2f", "/;/", "/x/../", "", " /", "/ ", "/\x00", "\u2215")


class Place(NamedTuple):
    """Where an app is: `root` is what scope or environ call the mount, `head` what is left of it in the path."""

    root: str
    head: str


AT_THE_ROOT = Place("", "")
AS_UVICORN = Place("/pre", "/pre")
AS_HYPERCORN = Place("/pre", "")
AS_GUNICORN = Place("/pre", "")  # SCRIPT_NAME is never in PATH_INFO


class Asked(NamedTuple):
    """One request as a server presents it: `path` is PATH_INFO or the scope's path."""

    path: str
    raw_path: bytes | None
    root: str
    is_socket: bool = False


def spellings(routes: Sequence[str], head: str, *, sample: int | None, share: float = 1) -> list[str]:
    """The routes with this head, spelled in other ways: `sample` of the mutants (without a number: all), and `share`
    of what is known to lead somewhere."""
    random = Random(SEED)  # noqa: S311  # the same in every run
    paths = [head + route for route in routes]
    mutants = sorted({mutant for path in paths for mutant in _mutants(path)})
    chosen = {mutant for path in paths for mutant in _chosen(path)}
    chosen |= {head + mutant for route in routes for mutant in _chosen(route)}
    some = random.sample(sorted(chosen), int(len(chosen) * share))
    few = mutants if sample is None else random.sample(mutants, min(sample, len(mutants)))
    return sorted({*paths, *routes, *some, *few})


def _chosen(path: str) -> Iterator[str]:
    """The misspellings that are known to lead somewhere, and every two of them together."""
    yield from {path, path[1:], path.upper(), path.title(), path.swapcase(), path.casefold()}
    yield from (before + part for before in BEFORE for part in (path, path[1:]))
    yield from (path + after for after in AFTER)
    yield from (before + path + after for before in BEFORE[:12] for after in AFTER[:16])
    slashes = [index for index, char in enumerate(path) if char == "/"]
    yield from (path[:index] + other + path[index + 1 :] for other in BETWEEN for index in slashes)
    yield "".join(f"%{ord(char):02x}" for char in path)
    yield from (path[:index] + f"%{ord(path[index]):02X}" + path[index + 1 :] for index in range(len(path)))
    yield from (path[:index] + path[index].upper() + path[index + 1 :] for index in range(len(path)))


def _mutants(path: str) -> Iterator[str]:
    """Every single character inserted, replaced or left out."""
    for index in range(len(path) + 1):
        yield path[:index] + path[index + 1 :]
        for char in ALPHABET:
            yield path[:index] + char + path[index:]
            yield path[:index] + char + path[index + 1 :]


def presented_to_asgi(spelling: str, place: Place, *, by_raw_path: bool) -> Iterator[Asked]:
    """First as most servers do. Then with each raw path that could have been decoded to this, with and without the
    mount, and with none; where an app routes by the raw path, also with another path beside it."""
    quoted = quote(spelling, safe="/:@!$&'()*+,;=~").encode()
    yield Asked(spelling, quoted, place.root)
    if place.root:
        yield Asked(spelling, quote(spelling.removeprefix(place.root), safe="/").encode(), place.root)
    yield Asked(spelling, None, place.root)
    if by_raw_path:
        yield Asked(place.head + "/public", spelling.encode(), place.root)
        yield Asked(spelling, spelling.encode(), place.root)


def presented_to_wsgi(spelling: str, place: Place) -> Iterator[Asked]:
    """As UTF-8 in the disguise of latin-1, and the same characters as bytes that are no UTF-8."""
    yield Asked(spelling.encode().decode("latin-1"), None, place.root)
    if not spelling.isascii() and max(spelling) <= "\xff":
        yield Asked(spelling, None, place.root)


def target_on_asgi(target: bytes, place: Place) -> Asked:
    """What a server makes of a request target that it neither cuts nor refuses."""
    return Asked(unquote(target.decode("latin-1")), target, place.root)


def target_on_wsgi(target: bytes, place: Place) -> Asked:
    return Asked(unquote_to_bytes(target).decode("latin-1"), None, place.root)


@st.composite
def targets(draw: st.DrawFn, routes: Sequence[str], heads: Sequence[str] = ("",)) -> bytes:
    """A request target that once was a route: misspelled, put between other things, and quoted in part."""
    path = draw(st.sampled_from(routes))
    for _ in range(draw(st.integers(0, 2))):
        path = draw(_misspelled(path))
    before = "".join(draw(st.lists(st.sampled_from(BEFORE), max_size=2)))
    after = "".join(draw(st.lists(st.sampled_from(AFTER), max_size=2)))
    octets = (draw(st.sampled_from(heads)) + before + path + after).encode("utf-8", "surrogatepass")
    quoted = draw(st.sets(st.integers(0, len(octets)), max_size=4))
    return b"".join(
        b"%%%02x" % octet if index in quoted or not 0x20 < octet < 0x7F else bytes([octet])
        for index, octet in enumerate(octets)
    )


@st.composite
def _misspelled(draw: st.DrawFn, path: str) -> str:
    index = draw(st.integers(0, len(path)))
    match draw(st.sampled_from(["insert", "replace", "drop", "case", "between"])):
        case "insert":
            return path[:index] + draw(_odd_characters) + path[index:]
        case "replace":
            return path[:index] + draw(_odd_characters) + path[index + 1 :]
        case "drop":
            return path[:index] + path[index + 1 :]
        case "case":
            return path[:index] + path[index:].swapcase()
        case _:
            return path.replace("/", draw(st.sampled_from(BETWEEN)), draw(st.integers(1, 2)))


_odd_characters = st.sampled_from(ALPHABET) | st.characters()
