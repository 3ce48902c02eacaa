r"""This file is how an address is taken apart, strictly: one reading, and never clear text to another machine.

`urlsplit` reads `http://[::1]evil.com` as an address of this machine, and browsers read `\` as `/`. Both are refused.
"""

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final, NamedTuple

import httpx

from ck_middleware.errors import Fault

LAST_PORT: Final = 65535
LONGEST_LABEL: Final = 63  # characters between two dots of a host (RFC 1035, 2.3.4)
LONGEST: Final = 2048  # characters; more is no address that anyone registers

_URL: Final = re.compile(
    r"(https?)://([a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?(/[!\"$->@-\[\]-~]*|)(\?[!\"$-\[\]-~]*|)",
    re.ASCII | re.IGNORECASE,
)
_IPV4: Final = re.compile(r"(?:[0-9]+\.){3}[0-9]+")
_MISTAKES: Final = (
    (re.compile(r"[^!-~]|\\"), "has white space, a control character, a backslash or a letter beyond ASCII in it"),
    (re.compile(r"#"), "has a fragment (#) in it"),
    (re.compile(r"//[^/?]*@"), "has a user name (@) in it"),
    (re.compile(r""), "is not an absolute https address with a valid host and port"),
)


class Address(NamedTuple):
    """An address taken apart; `origin` and `host` as a browser spells them, `path` and `query` as written."""

    origin: str
    host: str
    path: str
    query: str


def split(address: str) -> Address:
    """Take an https address apart, or an http one of this machine. Raises `Fault` with a sentence for any other."""
    if len(address) > LONGEST:
        raise Fault(f"is longer than {LONGEST} characters")
    found = _URL.fullmatch(address)
    if found is None:
        mistake = next(sentence for pattern, sentence in _MISTAKES if pattern.search(address))
        raise Fault(f"{mistake}; write it like https://app.example.com")
    scheme, host, path, query = found[1].lower(), _host(found[2].lower()), found[4], found[5]
    usual = 443 if scheme == "https" else 80
    port = int(found[3] or usual)
    if not 1 <= port <= LAST_PORT:
        raise Fault(f"has no valid port; give 1 to {LAST_PORT}, or none for {usual}")
    # Codes, tokens and secrets never travel in clear text (RFC 9700, section 2.6).
    if scheme == "http" and not is_loopback(host):
        raise Fault("is plain http, which others can read; write https (http is for localhost, 127.0.0.1 and [::1])")
    return Address(f"{scheme}://{host}" + (f":{port}" if port != usual else ""), host, path, query)


def is_loopback(host: str) -> bool:
    """Whether a host without its port is this machine by name or number, so that nobody on the way can listen."""
    if host.lower() in {"localhost", "::1", "[::1]"}:
        return True
    try:
        return IPv4Address(host).is_loopback
    except AddressValueError:
        return False


def _host(host: str) -> str:
    if any(len(label) > LONGEST_LABEL for label in host.split(".")):
        raise Fault("has no valid host; write it like https://app.example.com")
    try:
        if "xn--" in host:
            httpx.URL(f"https://{host}/").host  # noqa: B018  # what it cannot decode, nobody can ask
        if host.startswith("["):
            return f"[{IPv6Address(host[1:-1])}]"
        return str(IPv4Address(host)) if _IPV4.fullmatch(host) else host
    except (AddressValueError, httpx.InvalidURL, UnicodeError):
        raise Fault("has no valid host; write it like https://app.example.com") from None
