"""This file is how the text of the setting `store` is taken apart. No sentence quotes it: it may hold a password."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Final, NoReturn
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

from ck_middleware.errors import Fault

PREFIX: Final = "ck:"  # in front of every key in Redis; two apps on one database each give their own with ?prefix=
OPTIONS: Final = ("prefix", "db", "client_name")  # besides those of TLS, which all begin with ssl_

_SQLITE: Final = "sqlite:///"
_FORMS: Final = "sqlite:///sessions.db, sqlite:////var/lib/app/sessions.db or redis://localhost:6379/0"


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where a Redis is, as its client reads it, and what stands in front of our keys."""

    url: str = field(repr=False)  # may hold a password
    prefix: str


def check_url(text: str) -> None:
    """Raises `Fault` unless this names a store. Nothing is opened, and no package is needed."""
    if is_sqlite(text):
        sqlite_path(text)
    else:
        redis_address(text)


def is_sqlite(text: str) -> bool:
    return text.lower().startswith("sqlite:")


def sqlite_path(text: str) -> str:
    """The absolute path of the file. A relative one begins where the process was when it was configured."""
    _check_text(text)
    path = text[len(_SQLITE) :]
    if not text.lower().startswith(_SQLITE) or path.endswith("/") or not path.strip():
        _refuse(f"has no path; write it like {_FORMS}")
    if path == ":memory:":
        _refuse("is in memory, where every worker would have its own; give a file, such as sqlite:///sessions.db")
    if "?" in path or "\0" in path:
        _refuse("has a ? in its path, and a sqlite store takes no options; write the path alone")
    return os.path.abspath(path)  # noqa: PTH100  # Path.absolute would keep "..", which means another file after a move


def redis_address(text: str) -> RedisAddress:
    _check_text(text)
    address = _split(text)
    if address.scheme not in {"redis", "rediss", "unix"}:
        _refuse(f"is not a kind of store that is known here; give {_FORMS}, or a store object")
    if address.fragment:
        _refuse("has a # in it; write one in a password as %23")
    if address.scheme == "unix" and (address.hostname or len(address.path) <= 1):
        _refuse("has no path of a socket; write it like unix:///run/redis.sock")
    if address.scheme != "unix":
        _check_host(address)
    secure = address.scheme == "rediss"
    options = parse_qsl(address.query, keep_blank_values=True)
    if any(name not in OPTIONS and not (secure and name.startswith("ssl_")) for name, _ in options):
        _refuse(f"has an option that is not known; known are {', '.join(OPTIONS)}, and with rediss:// also ssl_...")
    prefix = dict(options).get("prefix", PREFIX)
    theirs = urlencode([(name, value) for name, value in options if name != "prefix"])
    return RedisAddress(f"{address.scheme}://{address.netloc}{address.path}" + (f"?{theirs}" if theirs else ""), prefix)


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:  # from bytes of the environment that Python could not decode
        _refuse(f"is not text in UTF-8; write it like {_FORMS}")


def _split(text: str) -> SplitResult:
    try:
        address = urlsplit(text)
        address.port  # noqa: B018  # raises for what is no port
    except ValueError:
        _refuse("is not an address; write it like redis://localhost:6379/0, with :, /, ?, # and @ in a password as %3A")
    return address


def _check_host(address: SplitResult) -> None:
    if not address.hostname:
        _refuse("has no host; write it like redis://localhost:6379/0, with /, ? and # in a password as %2F, %3F, %23")
    try:
        address.hostname.encode("idna")
    except UnicodeError:  # what no resolver could be asked for, either
        _refuse("has no valid host; write it like redis://localhost:6379/0")
    if not unquote(address.path).strip("/").isdigit() and address.path.strip("/"):
        _refuse("has a path that is not the number of a database; write it like redis://localhost:6379/0")


def _refuse(sentence: str) -> NoReturn:
    raise Fault(sentence)
