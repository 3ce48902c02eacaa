"""This file is a browser that knows what matters here: cookies, redirects, links and forms. It runs no script.

The app is called in process, whatever its face; the provider is asked over the wire.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode, urlsplit

from ck_middleware.testing.running import decided
from support.faces import Answer, Asked, Face, Headers

if TYPE_CHECKING:
    from collections.abc import Mapping

NAVIGATION = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Sec-Fetch-Mode": "navigate"}
FETCH = {"Accept": "*/*", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
LARGEST_COOKIE = 4096  # bytes of name and value; browsers drop a larger one without a word


@dataclass
class Browser:
    """One person's browser.

    `origin` is where it believes the app is. `mount` is what the app's server cuts off the path and tells the app of,
    `hidden_mount` what a proxy in front cuts off and tells nobody of.
    """

    face: Face
    origin: str = "http://localhost:8000"
    mount: str = ""
    hidden_mount: str = ""
    cookies: dict[str, str] = field(default_factory=dict)
    set_cookies: list[str] = field(default_factory=list)  # every Set-Cookie, in order

    def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        *,
        form: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request as a browser sends it; a header that is given takes the place of the browser's own."""
        usual = {"Host": urlsplit(self.origin).netloc, **NAVIGATION}
        if self.cookies:
            usual["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent: Headers = list((usual | ({} if form is None else FORM) | dict(headers or {})).items())
        target = target.removeprefix(self.hidden_mount).removeprefix(self.mount)
        body = urlencode(form or {}).encode()
        scheme = urlsplit(self.origin).scheme
        answer = self.face.ask(Asked(method, target, sent, body, mount=self.mount, scheme=scheme))
        names = [cookie.partition("=")[0] for cookie in answer.every("set-cookie")]
        assert len(names) == len(set(names)), f"a cookie is set twice in one answer: {names}"  # RFC 6265, 4.1.1
        for cookie in answer.every("set-cookie"):
            self._keep(cookie)
        return answer

    def get(self, target: str, headers: Mapping[str, str] | None = None) -> Answer:
        return self.request("GET", target, headers)

    def fetch(self, target: str, method: str = "GET", headers: Mapping[str, str] | None = None) -> Answer:
        """What a script on a page of the app does."""
        return self.request(method, target, FETCH | dict(headers or {}))

    def post(
        self, target: str, headers: Mapping[str, str] | None = None, *, form: Mapping[str, str] | None = None
    ) -> Answer:
        """What a form on a page of the app does."""
        own = {"Sec-Fetch-Site": "same-origin", "Origin": self.origin}
        return self.request("POST", target, own | dict(headers or {}), form=form or {})

    def at(self, path: str) -> str:
        """Where a path of the app is for the browser."""
        return self.hidden_mount + self.mount + path

    def start_login(self, target: str = "") -> str:
        """The provider's address that the app sends people to."""
        answer = self.get(target or self.at("/auth/login"))
        assert answer.status == 303, answer.text
        return answer.location

    def choose(self, authorization_url: str, **answer: str) -> str:
        """At the provider: say who to be, or `decision="deny"`. The address that it sends the browser back to."""
        return decided(authorization_url, **(answer or {"name": "Ada"}))

    def come_back(self, url: str) -> Answer:
        """Follow the provider's redirect to the app, wherever it points."""
        parts = urlsplit(url)
        return self.get(parts.path + (f"?{parts.query}" if parts.query else ""), {"Sec-Fetch-Site": "cross-site"})

    def log_in(self, target: str = "", **answer: str) -> Answer:
        """The whole login. The answer to the callback."""
        return self.come_back(self.choose(self.start_login(target), **answer))

    def me(self) -> Answer:
        return self.fetch(self.at("/auth/me"))

    @property
    def is_logged_in(self) -> bool:
        return self.me().status == 200

    def cookie_named(self, start: str) -> str:
        """The one cookie whose name starts so."""
        (name,) = [name for name in self.cookies if name.startswith(start)]
        return name

    def _keep(self, cookie: str) -> None:
        self.set_cookies.append(cookie)
        pair, *attributes = [part.strip() for part in cookie.split(";")]
        name, _, value = pair.partition("=")
        known = {attribute.partition("=")[0].lower(): attribute.partition("=")[2] for attribute in attributes}
        if name.startswith("__Host-"):
            assert "secure" in known
            assert known["path"] == "/"
            assert "domain" not in known
        if known.get("max-age", "1").startswith(("0", "-")):
            self.cookies.pop(name, None)
        elif len(name) + len(value) <= LARGEST_COOKIE:
            self.cookies[name] = value


def at_provider(method: str, url: str, form: Mapping[str, str] | None = None) -> Answer:
    """One request of a browser to the provider; no redirect is followed, and nothing of it is logged."""
    parts = urlsplit(url)
    with closing(HTTPConnection(parts.netloc, timeout=60)) as connection:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, urlencode(form or {}), FORM if form else {})
        response = connection.getresponse()
        headers = [(name.lower(), value) for name, value in response.getheaders()]
        return Answer(response.status, headers, response.read())


def query_of(url: str) -> dict[str, str]:
    """The query of an address, each parameter once."""
    found = parse_qs(urlsplit(url).query, strict_parsing=True, keep_blank_values=True)
    assert all(len(values) == 1 for values in found.values()), url
    return {name: values[0] for name, values in found.items()}
