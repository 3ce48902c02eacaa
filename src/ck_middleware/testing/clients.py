"""This file is the test clients as browsers: where each keeps its cookies."""

from __future__ import annotations

from email.message import Message
from http.cookiejar import CookieJar
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Any, Protocol, cast
from urllib.parse import urlsplit
from urllib.request import Request

from ck_middleware.testing import django

if TYPE_CHECKING:
    from http.client import HTTPResponse

    from ck_middleware.config import AuthConfig


class Browser(Protocol):
    """A client's cookies for the app."""

    def keep(self, cookie: str) -> None:
        """Do with the value of a `Set-Cookie` header what the client does with one that the app sends."""

    def forget(self, name: str) -> None: ...

    def value(self, name: str) -> str | None:
        """What a request to the app would carry in this cookie."""


def browser_of(client: Any, config: AuthConfig) -> Browser:  # noqa: ANN401  # as frameworks make them
    """Raises `TypeError` for a client of a kind that is not known, and for one that knows no address."""
    if django.is_client(client):
        return Django(client.cookies)
    if isinstance(jar := getattr(getattr(client, "cookies", None), "jar", None), CookieJar):
        return Httpx(jar, str(client.base_url))
    if all(hasattr(client, name) for name in ("set_cookie", "get_cookie", "delete_cookie")):
        return Werkzeug(client, config.origin)
    raise TypeError(
        f"{type(client).__name__} is not a kind of test client that is known here; known are those of Flask, "
        "Werkzeug, Django, Starlette and FastAPI, and httpx.Client and httpx.AsyncClient for any app"
    )


class Django:
    """`django.test.Client` and `AsyncClient`: one set of cookies, for whatever address."""

    def __init__(self, cookies: SimpleCookie) -> None:
        self._cookies = cookies

    def keep(self, cookie: str) -> None:
        self._cookies.load(cookie)

    def forget(self, name: str) -> None:
        self._cookies.pop(name, None)

    def value(self, name: str) -> str | None:
        return self._cookies[name].value if name in self._cookies else None


class Werkzeug:
    """`app.test_client()` of Flask: cookies by host, whatever the scheme."""

    def __init__(self, client: Any, origin: str | None) -> None:  # noqa: ANN401  # of Werkzeug, which need not be here
        self._client = client
        # A test may ask at the usual host, at Flask's own, or where the middleware believes the app to be.
        flask = getattr(client.application, "config", {}).get("SERVER_NAME")
        named = (urlsplit(f"//{flask}").hostname if flask else None, urlsplit(origin or "").hostname)
        self._hosts = {"localhost", *(host for host in named if host)}

    def keep(self, cookie: str) -> None:
        for morsel in SimpleCookie(cookie).values():
            for host in self._hosts:
                self._client.set_cookie(morsel.key, morsel.value, domain=host, httponly=True, samesite="Lax")

    def forget(self, name: str) -> None:
        for host in self._hosts:
            self._client.delete_cookie(name, domain=host)

    def value(self, name: str) -> str | None:
        found = (self._client.get_cookie(name, domain=host) for host in self._hosts)
        return next((cookie.value for cookie in found if cookie is not None), None)


class Httpx:
    """`httpx.Client`, `httpx.AsyncClient`, and the test clients of Starlette and FastAPI, which are such."""

    def __init__(self, jar: CookieJar, url: str) -> None:
        if not urlsplit(url).hostname:
            raise TypeError("this client has no address that its cookies could be for; give it a base_url")
        self._jar = jar
        self._url = url

    def keep(self, cookie: str) -> None:
        answer = cast("HTTPResponse", _Answer(cookie))  # all that the jar asks of one
        self._jar.extract_cookies(answer, Request(self._url))  # noqa: S310  # nothing is opened
        if self.value(cookie.partition("=")[0]) is None:
            raise ValueError(
                "the app is at an https address (base_url), so its cookie is Secure, and this client is at "
                f"{self._url}, where it would not be sent; give the client an https base_url"
            )

    def forget(self, name: str) -> None:
        for cookie in [cookie for cookie in self._jar if cookie.name == name]:
            self._jar.clear(cookie.domain, cookie.path, cookie.name)

    def value(self, name: str) -> str | None:
        request = Request(self._url)  # noqa: S310
        self._jar.add_cookie_header(request)
        carried = SimpleCookie(request.get_header("Cookie", ""))
        return carried[name].value if name in carried else None


class _Answer:
    def __init__(self, cookie: str) -> None:
        self._headers = Message()
        self._headers["Set-Cookie"] = cookie

    def info(self) -> Message:
        return self._headers
