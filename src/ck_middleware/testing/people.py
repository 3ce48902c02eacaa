"""This file is people who are logged in without a login: with a real session, which the app's own middleware began."""

from __future__ import annotations

import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

from ck_middleware.sessions import SealedSessions, encode, kept
from ck_middleware.testing import django
from ck_middleware.testing.clients import browser_of
from ck_middleware.testing.loops import to_its_end
from ck_middleware.tokens import Login, Tokens
from ck_middleware.wrapped import middleware_of
from ck_middleware.wsgi import WSGIRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ck_middleware.stored import StoredSessions
    from ck_middleware.testing.clients import Browser
    from ck_middleware.testing.loops import Middleware

SOMEBODY: Mapping[str, str] = MappingProxyType(
    {"sub": "test-person", "name": "Test Person", "email": "test.person@example.test"}
)

_latest: WeakKeyDictionary[object, object] = WeakKeyDictionary()  # who logged in last with a client


def log_in(client: object, /, app: object = None, **claims: object) -> Person:
    """Log somebody in: from now on the test client has the session of a person of whom the provider said these claims.

    `app` is the guarded app, where the client does not know it: Django's, or one that runs elsewhere with the same
    settings. A claim that is `None` was not said. Whoever was logged in with this client before no longer is. Raises
    `LookupError` when there is no middleware to be found, and what a login would end with: `SessionTooLarge`,
    `StoreUnavailable`.
    """
    middleware = guard(client, app)
    if claims.pop("iss", middleware.config.issuer) != middleware.config.issuer:
        raise ValueError("iss is always the issuer that the app is configured with; leave it out")
    said = {"iss": middleware.config.issuer, **SOMEBODY, **claims}
    person = Person(client, middleware, {name: value for name, value in said.items() if value is not None})
    person._begin()  # noqa: SLF001  # once, and here
    return person


def guard(client: object, /, app: object = None) -> Middleware:
    """See that the test client meets the guard of its app, and give that. Django's clients go around it otherwise.

    May be called again. Raises `LookupError` when there is no middleware to be found.
    """
    if django.is_client(client):
        return django.guard(client, app)
    middleware = middleware_of(client if app is None else app)
    if middleware is None:
        name = type(client if app is None else app).__name__
        raise LookupError(f"no ASGIAuthMiddleware or WSGIAuthMiddleware is found in this {name}; give one as app=")
    return middleware


class Person:
    """Somebody who is logged in with one test client, until they log out or somebody else logs in with it."""

    def __init__(self, client: object, middleware: Middleware, claims: dict[str, Any]) -> None:
        self._client = client
        self._browser: Browser = browser_of(client, middleware.config)
        self._middleware = middleware
        self._said = claims
        self._token = object()

    @property
    def sub(self) -> str:
        return str(self._said["sub"])

    @property
    def claims(self) -> Mapping[str, Any]:
        """What the app knows of them: the claims that the setting `claims` keeps."""
        return MappingProxyType(kept(self._said, self._middleware.config.claims))

    def log_out(self) -> None:
        """Forget the cookie, and end the stored session. Nobody is told: post to `/auth/logout` to test that."""
        self._check_that_it_is_they()
        to_its_end(self._middleware, self._sessions.end(self._request()))
        self._browser.forget(self._sessions.name)

    def expire(self) -> None:
        """Let the session have run out, while the cookie is still there.

        A sealed one is a real one in whose seal the times are over; of a stored one the record is gone.
        """
        self._check_that_it_is_they()
        sessions = self._sessions
        if isinstance(sessions, SealedSessions):
            over = int(time.time() - self._middleware.config.session_lifetime) - 1
            cookie = sessions._cookie(over, over, encode(dict(self.claims)))  # noqa: SLF001  # of the same house
            self._browser.keep(_lasting(cookie))
        else:
            to_its_end(self._middleware, sessions.end(self._request()))

    def revoke(self) -> int:
        """End all sessions of this person, with whatever client, as an administrator would. How many there were.

        Raises `ConfigError` without a store: nobody can take a sealed cookie back.
        """
        return to_its_end(self._middleware, self._middleware._gate.admin.end_sessions(sub=self.sub))  # noqa: SLF001

    def _begin(self) -> None:
        login = Login(self._said, Tokens("access-token-of-a-test"))
        for cookie in to_its_end(self._middleware, self._sessions.start(login, self._request())):
            self._browser.keep(cookie)
        _latest[self._client] = self._token

    @property
    def _sessions(self) -> SealedSessions | StoredSessions:
        return cast("SealedSessions | StoredSessions", self._middleware._gate.sessions)  # noqa: SLF001  # of the same house

    def _request(self) -> WSGIRequest:
        """A request of this client, as far as sessions look at one; it looks alike on both faces."""
        name = self._sessions.name
        value = self._browser.value(name)
        return WSGIRequest({"REQUEST_METHOD": "GET", "HTTP_COOKIE": f"{name}={value}" if value else ""})

    def _check_that_it_is_they(self) -> None:
        if _latest.get(self._client) is not self._token:
            raise RuntimeError(f"somebody else has logged in with this client since {self.sub} did")

    def __repr__(self) -> str:
        return f"<Person {self.sub}>"


def _lasting(cookie: str) -> str:
    """A cookie that the browser keeps until it is closed, however long the session in it is over."""
    return "; ".join(part for part in cookie.split("; ") if not part.startswith("Max-Age="))
