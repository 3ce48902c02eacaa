"""This file is where the app stands in the world: its origin, its mount, and the addresses built from them.

Addresses come from the settings. Only without `base_url`, on this machine itself, does the `Host` header have a say.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urlsplit

from ck_middleware.addresses import split
from ck_middleware.errors import Fault, HostUnknown
from ck_middleware.policy import LONGEST_RETURN, local_path, return_path

if TYPE_CHECKING:
    from ck_middleware.config import AuthConfig
    from ck_middleware.messages import Request

LOOPBACK = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?")
REMEMBERED = 256  # addresses, each of LONGEST_RETURN at most
QUERY_SAFE = "%/?:@!$&'()*+,;=-._~[]"  # what may stand in a query as it is; the rest is quoted


class Site:
    """The app's public face. It holds no state."""

    def __init__(self, config: AuthConfig) -> None:
        self._address = config.address
        self._origin = config.origin
        self._mount = config.mount
        self._redirect_uri = config.redirect_uri
        self._callback_path = config.callback_path
        self._login_path = config.auth_prefix + "/login"
        self._after_login = config.after_login

    def mount(self, request: Request) -> str:
        """What stands before the app's own paths in its public address, quoted."""
        return self._mount or (quote(request.mount) if request.mount else "")

    def inside(self, path: str, mount: str, root_path: str) -> str:
        """The path inside the app. `root_path` is the part of the mount that the server may have left at its head."""
        return local_path(path, root_path if mount else self._mount)

    def address(self, request: Request) -> str:
        """The public address of the app, without a trailing slash.

        Raises `HostUnknown` when no setting says it and the request is not for this machine itself: a `Host` header is
        whatever a stranger wrote, and a code must not be sent there.
        """
        if self._address is not None:
            return self._address
        return self._loopback(request) + quote(request.mount)

    def redirect_uri(self, request: Request) -> str:
        """What the provider sends people back to; the same text in both requests. Raises `HostUnknown`."""
        return self._redirect_uri or self.address(request) + self._callback_path

    def is_own(self, origin: str, request: Request) -> bool:
        """Whether an `Origin` is the app's own."""
        if self._origin is not None:
            return origin == self._origin
        host = request.header("host")
        return bool(LOOPBACK.fullmatch(host)) and origin in {f"http://{host}", f"https://{host}"}

    def elsewhere(self, request: Request) -> str:
        """The `Host` of a request that came to another one than the settings say; empty when it did not.

        A proxy may rewrite it. If none does, the login that begins here cannot be finished there, for want of a cookie.
        """
        host = request.header("host")
        return "" if self._origin is None or self._origin.partition("://")[2] == host.lower() else host

    def login_url(self, request: Request, return_to: str) -> str:
        """Where to log in, and come back to `return_to`: a path on this origin."""
        return _with_next(self.mount(request) + self._login_path, return_to)

    def after_login(self, request: Request) -> str:
        return self.mount(request) + self._after_login

    def path_of(self, address: str, request: Request) -> str:
        """The path of an address inside the app, with what follows it; empty for one elsewhere. A path stays as it is.

        Where it leads is for `return_path` to judge (CVE-2021-39191: a `target_link_uri` to anywhere).
        """
        if address.startswith("/"):
            return address
        named, mark, fragment = address.partition("#")
        try:
            parts = split(named)
        except Fault:
            return ""
        if not self.is_own(parts.origin, request) or not f"{parts.path}/".startswith(f"{self.mount(request)}/"):
            return ""
        return (parts.path or "/") + parts.query + mark + fragment

    def return_to(self, request: Request, path: str, *, person: bool) -> str:
        """The page to come back to after a login that a request for this path inside the app turns out to need.

        That is the page itself when a person asked for one, or htmx in its place, for a link with `hx-boost`. A
        script's request and a form's post come from a page, and that one is meant: an answer in JSON is no place to
        land, and a post cannot be repeated.
        """
        reads = request.method in {"GET", "HEAD"}
        asks_for_a_page = reads and (person or bool(request.header("hx-boosted")))
        came_from = request.header("hx-current-url") or request.header("referer")
        if came_from and not asks_for_a_page and (page := self._own_page(came_from, request)):
            return page
        if not reads or len(path) + len(request.query) > LONGEST_RETURN:
            return self.after_login(request)
        return _here(self.mount(request), path, request.query) or self.after_login(request)

    def _own_page(self, url: str, request: Request) -> str | None:
        """The path and query of a page of ours, or `None`."""
        try:
            parts = urlsplit(url)
        except ValueError:
            return None
        if not parts.scheme or not self.is_own(f"{parts.scheme}://{parts.netloc}".lower(), request):
            return None
        return return_path(f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/")

    def _loopback(self, request: Request) -> str:
        host = request.header("host")
        if not LOOPBACK.fullmatch(host):
            raise HostUnknown(
                f"someone wants to log in at Host {host!r}, and without base_url (CONSENTKEYS_APP_URL) that works only "
                "at localhost, 127.0.0.1 and [::1]: set it to the app's public address, such as https://app.example"
            )
        return f"http://{host}"


# Whoever must log in is sent away from few addresses, and quoting one takes longer than all the rest of that.
@lru_cache(maxsize=REMEMBERED)
def _here(mount: str, path: str, query: bytes) -> str | None:
    """The address of a page, with its query, as a path to return to; `None` when it cannot be one."""
    quoted = quote(query.decode("latin-1"), safe=QUERY_SAFE)
    return return_path(mount + quote(path) + (f"?{quoted}" if quoted else ""))


@lru_cache(maxsize=REMEMBERED)
def _with_next(login: str, return_to: str) -> str:
    return f"{login}?{urlencode({'next': return_to})}"


def is_navigation(request: Request) -> bool:
    """Whether a person is looking at the answer, as far as the request says. One that says nothing counts as such."""
    if request.header("hx-request") or request.header("x-requested-with").lower() == "xmlhttprequest":
        return False
    if request.header("sec-fetch-mode") not in {"", "navigate"}:
        return False
    accept = request.header("accept").lower()
    return "text/html" in accept or not ("json" in accept or "text/event-stream" in accept)
