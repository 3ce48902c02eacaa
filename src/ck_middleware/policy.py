"""This file is the rule: a path comes in, a verdict comes out.

A guard sees a path before the router does, and every router forgives another misspelling: one drops leading slashes,
one undecodable bytes, one a final newline, one cuts a mount out of the middle. So nothing is repaired here. A path in
which two readers could see two addresses is refused, and every reading a router may still choose has to be innocent.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum, auto
from typing import Final
from urllib.parse import quote, unquote_to_bytes

LONGEST_RETURN = 2048  # characters of an address to return to; it travels in a cookie and in a Location header

# Flask, Falcon and Quart route `//api` as `/api`; Bottle drops what is not UTF-8 (servers make it U+FFFD); Starlette
# forgives a final newline, hence fullmatch and `\Z`, never `$`; browsers read `\` as `/`; proxies resolve dot segments.
_CANONICAL: Final = re.compile(r"(?:/(?!/|\.\.?(?:/|\Z))[^/\\\x00-\x1f\x7f\ufffd\ud800-\udfff]*+)+").fullmatch

_RAW: Final = re.compile(rb"/[^?#]*+").fullmatch
_AFTER_PATH: Final = re.compile(r"[?#]")
_UNSAFE_ANYWHERE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")
_STRAY_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_LEGAL: Final = "%:/?#[]@!$&'()*+,;="  # beside letters, digits and `-._~` (RFC 3986, 2.2); `%` starts what is quoted


class Verdict(Enum):
    """What is to become of a request. `API` is a protected path whose refusal a program reads."""

    REFUSED = auto()
    OPEN = auto()
    PAGE = auto()
    API = auto()


class Policy:
    """The verdict on every path, prepared once from the settings.

    `protect` and `api` are prefixes without a trailing slash (`/` alone is everything). An entry of `public` that ends
    in `/` is a prefix, any other one exact path, and `/` the home page alone. `mount` is the path of the app's public
    address, for mounts that the server does not show.
    """

    def __init__(
        self, *, protect: Sequence[str], public: Sequence[str] = (), api: Sequence[str] = (), mount: str = ""
    ) -> None:
        self._protect = _Paths.under(protect)
        self._public = _Paths.listed(public)
        self._api = _Paths.under(api)
        self._mount = mount.removesuffix("/")

    def judge(self, path: str, *, root_path: str = "", raw_path: bytes | None = None) -> Verdict:
        """Judge a decoded path, the mount that may still stand at its head, and the bytes it was decoded from.

        Refuse first, then let public win, then look at every reading.
        """
        if not canonical(path):
            return Verdict.REFUSED
        # Sanic and BlackSheep route on the raw path, so it must say what the path says.
        if raw_path is not None and not _spells(raw_path, path, root_path):
            return Verdict.REFUSED
        # gunicorn lets a client choose the mount (a header `SCRIPT_NAME`), so it is held to the same rule.
        if root_path and not canonical(root_path):
            return Verdict.REFUSED
        root = root_path.removesuffix("/")
        if self._is_public(path, root):
            return Verdict.OPEN
        if not self._any_reading(self._protect, path, root):
            return Verdict.OPEN
        return Verdict.API if self._any_reading(self._api, path, root) else Verdict.PAGE

    def _any_reading(self, paths: "_Paths", path: str, root: str) -> bool:
        """Whether the path, or anything a router may make of it under a mount, is one of `paths` or below one."""
        if paths.include(path, 0):
            return True
        # A mount in the settings may be one that the app cuts off unseen: FastAPI(root_path=), FORCE_SCRIPT_NAME.
        for mount in {root, self._mount}:
            if mount and any(paths.include(path, start) for start in _tails(path, mount)):
                return True
        return False

    def _is_public(self, path: str, root: str) -> bool:
        """Whether nobody needs a login here: every reading under the visible mount says so, byte for byte."""
        if not root:
            return self._public.include(path, 0)
        local = len(root) if _leads(root, path) else 0  # hypercorn, granian and daphne leave the mount out of the path
        # Litestar cuts at any occurrence, so `/public/pre/api` could be `/api`: one tail that is not public is enough.
        return self._public.include(path, local) and all(
            self._public.include(path, start) for start in _tails(path, root)
        )


def canonical(path: str) -> bool:
    """Whether a decoded path has only one reading: a leading slash, no empty or dot segment, nothing invisible."""
    return _CANONICAL(path) is not None


def local_path(path: str, root_path: str) -> str:
    """Give the path as the app's own routes spell it: without a mount that leads it on a segment boundary."""
    root = root_path.removesuffix("/")
    return (path[len(root) :] if root and _leads(root, path) else path) or "/"


def return_path(value: object) -> str | None:
    """Give a path on this origin (query and fragment included) that a browser may be sent to, in ASCII, or `None`.

    An absolute URL is never accepted, not even one of this host: a client chooses its Host header.
    """
    if not isinstance(value, str) or len(value) > LONGEST_RETURN:
        return None
    # Browsers drop tabs and newlines and turn `\` into `/` before they look: `/<TAB>/evil.com` leads to evil.com.
    if _UNSAFE_ANYWHERE.search(value) or not _stays_here(_AFTER_PATH.split(value, maxsplit=1)[0]):
        return None
    try:
        quoted = quote(_STRAY_PERCENT.sub("%25", value), safe=_LEGAL)
    except UnicodeEncodeError:  # a lone surrogate
        return None
    return quoted if len(quoted) <= LONGEST_RETURN else None


def _stays_here(path: str) -> bool:
    """Whether an undecoded path is canonical as it stands and once decoded."""
    # Something on the way may decode or resolve it first, and then `/.//evil.com` and `/%2fevil.com` lead to evil.com.
    try:
        return canonical(path) and canonical(unquote_to_bytes(path).decode())
    except UnicodeDecodeError:
        return False


def _spells(raw_path: bytes, path: str, root_path: str) -> bool:
    """Whether `raw_path` is `path` before decoding, with or without the mount: servers differ in that."""
    # uvicorn on h11, hypercorn and gunicorn keep a bare `#`, and what follows it is cut by who routes on the raw path.
    if not _RAW(raw_path):
        return False
    try:
        decoded = (unquote_to_bytes(raw_path) if b"%" in raw_path else raw_path).decode()
    except UnicodeDecodeError:
        return False
    return decoded == path or root_path + decoded == path


def _leads(root: str, path: str) -> bool:
    """Whether `root` is the head of `path` on a segment boundary."""
    return path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/")


def _tails(path: str, mount: str) -> Iterator[int]:
    """Yield where the rest of the path begins after every occurrence of a mount, on a segment boundary or not."""
    start = path.find(mount)
    while start >= 0:  # from slash to slash, in place: a path of nothing but mounts must not cost its length squared
        if path.startswith(mount, start):
            yield start + len(mount)
        start = path.find("/", start + 1)


class _Paths:
    """Some paths, and whether another is one of them or below: by look-up, so that their number costs nothing."""

    __slots__ = ("_everything", "_exact", "_fold", "_reach", "_stems", "_trees")

    def __init__(self, exact: Iterable[str], trees: Iterable[str], *, fold: bool) -> None:
        self._exact = frozenset(exact)
        self._trees = frozenset(trees)
        self._stems = frozenset(head for tree in self._trees for head in _heads(tree))
        self._everything = "" in self._trees
        self._fold = fold
        # One character past the longest entry, so that a text cut there is never mistaken for an entry.
        self._reach = max(map(len, self._exact | self._trees), default=0) + 1

    @classmethod
    def under(cls, prefixes: Iterable[str]) -> "_Paths":
        """Prefixes on segment boundaries, in any letter case: BlackSheep routes `/API` to `/api`."""
        folded = [prefix.casefold().removesuffix("/") for prefix in prefixes]
        return cls(folded, folded, fold=True)

    @classmethod
    def listed(cls, entries: Iterable[str]) -> "_Paths":
        """Byte for byte: `/static/` is what is below it, `/health` and `/` are themselves alone."""
        trees = [entry[:-1] for entry in entries if entry.endswith("/") and entry != "/"]
        return cls([entry for entry in entries if entry == "/" or not entry.endswith("/")], trees, fold=False)

    def include(self, path: str, start: int) -> bool:
        """Whether the rest of `path` from `start`, given exactly one leading slash, is one of these or below one."""
        if self._everything:
            return True
        text = path[start : start + self._reach]
        if not text.startswith("/"):
            text = "/" + text
        if self._fold:  # character by character, and never to fewer of them, so the cut text is still long enough
            text = text.casefold()
        end = text.find("/", 1)
        while end > 0:
            head = text[:end]
            if head in self._trees:
                return True
            if head not in self._stems:
                break
            end = text.find("/", end + 1)
        return text in self._exact


def _heads(path: str) -> Iterator[str]:
    """Yield `/a` and `/a/b` for `/a/b/c`: where a walk towards it has to go on."""
    end = path.find("/", 1)
    while end > 0:
        yield path[:end]
        end = path.find("/", end + 1)
