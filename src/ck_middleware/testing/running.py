"""This file is the provider of tests while it runs, on a port of this machine, and who signs in there."""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from html import unescape
from http.client import HTTPConnection
from typing import Final, Self, TypedDict
from urllib.parse import urlencode, urlsplit

from ck_middleware.dev.clients import CALLBACK, Client
from ck_middleware.testing.provider import MisbehavingProvider
from ck_middleware.testing.server import Server

PATIENCE: Final = 60  # seconds for the provider's answer; it is in this very process
REDIRECT_URIS: Final = tuple(
    f"http://{host}{port}{CALLBACK}" for host in ("localhost", "127.0.0.1") for port in ("", ":5000", ":8000", ":8080")
)


class Registration(TypedDict):
    """Where the provider is, and as whom an app is known there: three of the app's settings."""

    issuer: str
    client_id: str
    client_secret: str | None


class Provider(MisbehavingProvider):
    """`with Provider() as provider:` runs one. Raises `RuntimeError` where uvicorn is not installed."""

    def __init__(self) -> None:
        # Each call over a connection of its own: a WSGI app has no end at which it would close those that it keeps.
        self._server = Server(self, keep_alive=False)
        super().__init__(self._server.url, client=Client.fresh(REDIRECT_URIS))

    @property
    def settings(self) -> Registration:  # type: ignore[override]  # these alone, so that others can be given beside them
        """`ASGIAuthMiddleware(app, session_secret=..., **provider.settings)`."""
        client = self.clients[self.client_id]
        return {"issuer": self.issuer, "client_id": client.client_id, "client_secret": client.client_secret}

    @property
    def environment(self) -> dict[str, str]:
        """The settings as environment variables."""
        return {f"CONSENTKEYS_{name.upper()}": str(value) for name, value in self.settings.items()}

    def stop(self) -> None:
        """Refuse connections until `start`, or `heal`."""
        self._server.stop()

    def start(self) -> None:
        self._server.start()

    @contextmanager
    def down(self) -> Iterator[None]:
        """Refuse connections for a while."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def sign_in(self, url: str, person: str = "otter") -> str:
        """Go where the app sends people to log in, and be this person. The address that they are sent back to.

        A person is the key of one in `people`, or any name.
        """
        return decided(url, **({"person": person} if person in self.people else {"name": person}))

    def deny(self, url: str) -> str:
        """The same, but do not consent."""
        return decided(url, decision="deny")

    def heal(self) -> None:
        """Be there and behave again, and forget who asked."""
        self.start()
        self.faults.heal()
        self.hits.clear()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.close()


def decided(url: str, **answer: str) -> str:
    """Fill in the form at an authorization endpoint. The address that it sends the browser back to.

    Raises `RuntimeError` when there is no form, or nobody is sent back.
    """
    status, text, _ = _ask("GET", url)
    hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', text)
    if not hidden:
        raise RuntimeError(f"the provider shows no form, but answers {status}: {_read(text)}")
    form = {name: unescape(value) for name, value in hidden} | answer
    status, text, location = _ask("POST", url.partition("?")[0], form)
    if location is None:
        raise RuntimeError(f"the provider sends nobody back, but answers {status}: {_read(text)}")
    return location


def _ask(method: str, url: str, form: dict[str, str] | None = None) -> tuple[int, str, str | None]:
    """One request of a browser to the provider: status, body and `Location`. Nothing of it is logged."""
    parts = urlsplit(url)
    with closing(HTTPConnection(parts.netloc, timeout=PATIENCE)) as connection:
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, urlencode(form or {}), headers)
        response = connection.getresponse()
        return response.status, response.read().decode(), response.getheader("Location")


def _read(page: str) -> str:
    """What a person reads on a page of the provider."""
    words = re.sub(r"<[^>]*>", " ", page.partition("<main>")[2]).split()
    return unescape(" ".join(words)) or page
