"""This file is how a setting is read that is like no other, each by one reader as in `values`.

No sentence quotes a secret, or an address that may have one in it.
"""

import inspect
import re
from collections.abc import Awaitable, Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Final

from ck_middleware.addresses import split
from ck_middleware.config.values import each, refuse, seconds, text, words
from ck_middleware.events import Event
from ck_middleware.jose import ALGORITHMS
from ck_middleware.observing import Observer
from ck_middleware.pages.page import OwnPages
from ck_middleware.pages.templates import Templates
from ck_middleware.policy import canonical, return_path
from ck_middleware.stores import check_url

SHORTEST_SECRET: Final = 32  # bytes; a session secret is keying material for AES-256
LONGEST_NAME: Final = 60  # characters of the app's name, which stands in sentences
MOST_LEEWAY: Final = 60  # seconds; more would revive ID tokens that have expired
CLIENT_AUTHS: Final = ("client_secret_post", "client_secret_basic", "none")

GENERATE: Final = 'for example from: python -c "import secrets; print(secrets.token_urlsafe(32))"'
PORTAL: Final = "copy it from the Developer Portal of ConsentKeys"

_PLACEHOLDER: Final = re.compile(
    r"<.*>|\$\{.*\}|.*(?:\.\.\.|…)|.*change[-_ ]?(?:me|this).*"
    r"|(?:(?:ck_)?your[-_ ]|replace[-_](?:me|this|with)|django-insecure-).*",
    re.IGNORECASE | re.DOTALL,
)
_CREDENTIAL: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")  # RFC 6749, appendix A.1, without white space at the ends
_PATTERN: Final = re.compile(r"[*?#%<>{}^$\[\]\"']")
PLAIN: Final = re.compile(r"[A-Za-z0-9/._~@:+-]*")  # spelled alike in an address and in a router's path


def credential(value: object) -> str:
    if value is None or value == "":
        refuse(f"is missing; {PORTAL}")
    given = text(value)
    if _PLACEHOLDER.fullmatch(given):
        refuse(f"is a placeholder; {PORTAL}")
    if not _CREDENTIAL.fullmatch(given):
        refuse(f"has white space at an end, a control character or a letter beyond ASCII in it; {PORTAL}")
    return given


def client_secret(value: object) -> str:
    return "" if value == "" else credential(value)


def client_auth(value: object) -> str:
    if text(value) not in CLIENT_AUTHS:
        refuse(f"is not a way to authenticate that is known here; give {', '.join(CLIENT_AUTHS[:-1])} or none")
    return text(value)


def session_secrets(value: object) -> tuple[str, ...]:
    listed = () if value is None else words(value)
    if not listed:
        refuse(f"is missing; give at least {SHORTEST_SECRET} random bytes, {GENERATE}")
    return each(listed, _session_secret)


def _session_secret(secret: str) -> str:
    if _PLACEHOLDER.fullmatch(secret):
        refuse(f"is a placeholder that everybody knows; give a random one, {GENERATE}")
    try:
        length = len(secret.encode())
    except UnicodeEncodeError:
        refuse(f"is not text in UTF-8; give a random one, {GENERATE}")
    if length < SHORTEST_SECRET:
        refuse(f"is {length} bytes long; give at least {SHORTEST_SECRET} random ones, {GENERATE}")
    return secret


def algorithms(value: object) -> tuple[str, ...]:
    listed = words(value)
    if not listed:
        refuse("is empty, so no ID token could be accepted; leave it out for RS256")
    return each(listed, _algorithm)


def _algorithm(name: str) -> str:
    # Whoever knows an HMAC key can also sign with it, and `none` is no signature at all (RFC 8725, 3.1 and 3.2).
    if name.upper().startswith("HS") or name.lower() == "none":
        refuse(f"{name!r} does not prove who signed; give asymmetric algorithms only, such as RS256")
    if name not in ALGORITHMS:
        refuse(f"{name!r} is not a known algorithm; give some of {', '.join(ALGORITHMS)}")
    return name


def scope(value: object) -> str:
    listed = text(value).split()
    if "openid" not in listed or not all(map(str.isascii, listed)):
        refuse("does not ask for openid; give words with spaces between, such as: openid profile email")
    return " ".join(listed)


def url(value: object) -> str:
    address = text(value)
    split(address)
    return address


def _bare_url(value: object) -> str:
    address = url(value)
    if split(address).query:
        refuse("has a query (?) in it; write the address without one")
    return address


def issuer(value: object) -> str:
    return _bare_url(value).removesuffix("/.well-known/openid-configuration")


def base_url(value: object) -> str:
    address = _bare_url(value)
    path = split(address).path
    if path and not (canonical(path) and PLAIN.fullmatch(path)):
        refuse("has a path that can be read in two ways; write it without //, dot segments, % and other signs")
    return address.removesuffix("/")


def _path(path: str) -> str:
    """Read a path as the app's router sees it, decoded."""
    # A glob or a route pattern would match no request, and so silently protect nothing.
    if _PATTERN.search(path):
        refuse(f"{path!r} looks like a pattern; write the plain decoded path, for a prefix covers everything below it")
    if not path.startswith("/"):
        refuse(f'{path!r} does not begin with "/"; write it like /{path}')
    if not canonical(path):
        refuse(f"{path!r} can be read in two ways; write it without //, dot segments, \\ and control characters")
    return path


def _prefix(path: str) -> str:
    return _path(path).removesuffix("/") or "/"


def public(value: object) -> tuple[str, ...]:
    return each(words(value), _path)  # a trailing slash stays: it tells a prefix from one exact path


def api(value: object) -> tuple[str, ...]:
    return each(words(value), _prefix)


def protect(value: object) -> tuple[str, ...]:
    listed = words(value)
    if not listed:
        refuse("is empty, so nothing would be protected; give prefixes such as /dashboard, or / for everything")
    return each(listed, _prefix)


def auth_prefix(value: object) -> str:
    prefix = _prefix(text(value))
    if prefix == "/" or not PLAIN.fullmatch(prefix):
        refuse(f"{prefix!r} cannot hold our routes; give a path of plain letters and digits, such as /auth")
    return prefix


def path_here(value: object) -> str:
    path = return_path(text(value))
    if path is None:
        refuse("is not a path on this origin; give one such as /welcome, without scheme and host")
    return path


def store(value: object) -> object:
    """Read a URL; any other object is a store of the caller's own, and the face that will use it looks at it."""
    if isinstance(value, str) and value != "cookie":
        check_url(value)
    return value


def listener(value: object) -> Callable[[Event], Awaitable[None] | None]:
    if not callable(value):
        refuse(f"is of type {type(value).__name__}; give a function that takes one event")
    return value


def observers(value: object) -> tuple[Observer, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        refuse(f"is of type {type(value).__name__}; give a list of functions that take one observation")
    for one in value:
        if not callable(one) or isinstance(one, type):
            refuse(f"has {one!r:.50} in it; give functions, or objects that can be called, such as Metrics()")
        if any(map(inspect.iscoroutinefunction, (one, getattr(one, "__call__", None)))):  # noqa: B004
            refuse("has an async function in it; give plain ones, which are called at once and never block")
    return tuple(value)


def app_name(value: object) -> str:
    name = text(value).strip()
    if not (0 < len(name) <= LONGEST_NAME and name.isprintable()):
        refuse(f"is not a name to show people; give 1 to {LONGEST_NAME} characters, and none that cannot be printed")
    return name


def pages(value: object) -> OwnPages:
    """Read a folder of templates, all of them now; a function is the caller's own."""
    if isinstance(value, str | PathLike):
        return Templates(Path(value))
    if not callable(value):
        refuse(f"is of type {type(value).__name__}; give a folder of templates, or a function that takes one page")
    if any(map(inspect.iscoroutinefunction, (value, getattr(value, "__call__", None)))):  # noqa: B004
        refuse("is an async function; give a plain one, which has to answer at once")
    return value


def leeway(value: object) -> float:
    span = seconds(value)
    if not 0 <= span <= MOST_LEEWAY:
        refuse(f"is out of range; give 0 to {MOST_LEEWAY} seconds, for more would accept tokens that have expired")
    return span
