"""This file is the tests' provider: the strict one, which can be told to misbehave, and which remembers every hit."""

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from ck_middleware.dev import Client
from ck_middleware.dev.signing import SigningKey
from ck_middleware.testing.faults import LONG, Answer, Faults, Honest
from ck_middleware.testing.provider import Hit
from ck_middleware.testing.provider import MisbehavingProvider as Misbehaving
from support import forgery
from support.serving import Server

__all__ = [
    "CLIENT_ID",
    "CLIENT_SECRET",
    "LONG",
    "REDIRECT_URIS",
    "Answer",
    "Faults",
    "Hit",
    "Honest",
    "Hub",
    "MisbehavingProvider",
    "provider_alone",
]

CLIENT_ID = "ck_0123456789abcdef0123456789abcdef"
CLIENT_SECRET = "s+e/c=r%e:t&0123456789"  # every character that a client may forget to encode
REDIRECT_URIS = (
    "https://app.example/auth/callback",
    "http://localhost/auth/callback",
    "http://localhost:5000/auth/callback",
    "http://localhost:8000/auth/callback",
    "http://127.0.0.1:8000/auth/callback",
)


class MisbehavingProvider(Misbehaving):
    """The test kit's, with a client that every test knows, and with keys that are made once in a test session."""

    def __init__(
        self, issuer: str, *, client_secret: str | None = CLIENT_SECRET, redirect_uris: Sequence[str] = REDIRECT_URIS
    ) -> None:
        super().__init__(issuer, client=Client(CLIENT_ID, client_secret, ()), keys=[forgery.rsa_key()])
        self.register(*redirect_uris)
        self._spare_keys = itertools.count(1)

    def new_key(self) -> SigningKey:
        return forgery.rsa_key(next(self._spare_keys))


class Hub:
    """Many providers on one real server, each below a path of its own, so that a fresh one costs nothing."""

    def __init__(self) -> None:
        self._providers: dict[str, MisbehavingProvider] = {}
        self._numbers = itertools.count(1)
        self._server = Server(self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        provider = self._providers.get(scope["path"].split("/")[1])
        await (provider or PlainTextResponse("no such provider", 404))(scope, receive, send)

    @contextlib.contextmanager
    def running(self) -> Iterator["Hub"]:
        with self._server:
            yield self

    @contextlib.contextmanager
    def provider(self, **settings: Any) -> Iterator[MisbehavingProvider]:
        """A fresh provider at `http://127.0.0.1:<port>/p<N>`."""
        path = f"p{next(self._numbers)}"
        self._providers[path] = provider = MisbehavingProvider(f"{self._server.url}/{path}", **settings)
        try:
            yield provider
        finally:
            del self._providers[path]


@contextlib.contextmanager
def provider_alone(**settings: Any) -> Iterator[tuple[MisbehavingProvider, Server]]:
    """A provider on a port of its own, with the server that can be stopped and started again."""
    server = Server()
    server.app = provider = MisbehavingProvider(server.url, **settings)
    with server:
        yield provider, server
