"""This file is the layers that are compared: each in front of an app of its kind, which reads who is there.

The bare app is the same one without the layer, and reads nobody. Every app gives one answer, which is the number of
its process, so that a whole server may be asked for it too.
"""

from __future__ import annotations

import base64
import io
import json
import os
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from driving import PAGE, USUAL, WSGIDriver, claims_of

from ck_middleware import ASGIAuthMiddleware, AuthConfig, WSGIAuthMiddleware, get_user

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from starlette.types import ASGIApp, Receive, Scope, Send

    from ck_middleware.config import Settings

SECRET: Final = "thirty-two bytes that nobody else knows"  # noqa: S105  # of no app that is in use
ALIVE: Final = "/alive"
BODY: Final = json.dumps({"pid": os.getpid()}).encode()
HEADERS: Final = [("content-type", "application/json"), ("content-length", str(len(BODY)))]
# What a guide has an app keep beside the claims: 1.8 KB which no compression makes smaller.
TOKENS: Final = {
    name: base64.urlsafe_b64encode(random.Random(name).randbytes(size)).decode()  # noqa: S311  # the same every time
    for name, size in (("access_token", 510), ("id_token", 780), ("refresh_token", 60))
}

App = Any  # of either face
Session = Mapping[str, Any]


@dataclass(frozen=True)
class Layer:
    """One way to know who is there. `cookie` says the session of somebody, as a `Cookie` field does."""

    name: str
    guarded: Callable[[], App]
    cookie: Callable[[Session], str] | None = None
    keeps_tokens: bool = False  # in the cookie, when the app has some


@dataclass(frozen=True)
class Family:
    """An app of one kind, and the layers that it may stand behind."""

    face: str
    name: str
    bare: Callable[[], App]
    layers: tuple[Layer, ...]


def session_of(number: int) -> dict[str, Any]:
    return {"user": claims_of(number)}


# Apps without a framework


STARTED: Final = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(name.encode(), value.encode()) for name, value in HEADERS],
}


async def asgi_app(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send(STARTED)
    await send({"type": "http.response.body", "body": BODY})


def reading(read: Callable[[Scope], object]) -> ASGIApp:
    """The same app, which knows somebody's name unless it is only asked whether it is there."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == PAGE and not read(scope):
            raise LookupError("nobody is there")
        await asgi_app(scope, receive, send)

    return app


def wsgi_app(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", list(HEADERS))
    return [BODY]


def wsgi_reading(read: Callable[[WSGIEnvironment], object]) -> WSGIApplication:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == PAGE and not read(environ):
            raise LookupError("nobody is there")
        return wsgi_app(environ, start_response)

    return app


# Ours


OWN: Settings = {"session_secret": SECRET, "protect": ["/private"], "public": [ALIVE]}
CONFIG: Final = AuthConfig(**(USUAL | OWN))


def our_cookie(of: Session) -> str:
    return WSGIDriver().cookie(WSGIAuthMiddleware(wsgi_app, CONFIG), of["user"])


def ours(app: ASGIApp) -> ASGIAuthMiddleware:
    return ASGIAuthMiddleware(app, CONFIG)


def ours_wsgi(app: WSGIApplication) -> WSGIAuthMiddleware:
    return WSGIAuthMiddleware(app, CONFIG)


# An app that only has to know that somebody is there asks nothing of the user; claims are decoded for one that does.
OURS: Final = (
    Layer("ck-middleware", lambda: ours(asgi_app), our_cookie),
    Layer("ck-middleware, name read", lambda: ours(reading(lambda scope: get_user(scope).name)), our_cookie),
)
OURS_WSGI: Final = (
    Layer("ck-middleware", lambda: ours_wsgi(wsgi_app), our_cookie),
    Layer(
        "ck-middleware, name read",
        lambda: ours_wsgi(wsgi_reading(lambda environ: get_user(environ).name)),
        our_cookie,
    ),
)


# By hand: the least that a session in a cookie can do without


_BOX: Final = AESGCM(bytes(32))
_NONCE: Final = bytes(12)
_NAME: Final = b"session"


def sealed(of: Session) -> str:
    value = _NONCE + _BOX.encrypt(_NONCE, json.dumps(of["user"]).encode(), _NAME)
    return f"session={base64.urlsafe_b64encode(value).decode()}"


def opened(cookies: bytes) -> Any:  # noqa: ANN401  # JSON
    for cookie in cookies.split(b"; "):
        name, _, value = cookie.partition(b"=")
        if name == _NAME:
            found = base64.urlsafe_b64decode(value)
            return json.loads(_BOX.decrypt(found[:12], found[12:], _NAME))
    return None


def by_hand() -> ASGIApp:
    app = reading(lambda scope: scope["user"])

    async def layer(scope: Scope, receive: Receive, send: Send) -> None:
        scope["user"] = None
        for name, value in scope["headers"]:
            if name == b"cookie":
                scope["user"] = opened(value)
        await app(scope, receive, send)

    return layer


def by_hand_wsgi() -> WSGIApplication:
    app = wsgi_reading(lambda environ: environ["user"])

    def layer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["user"] = opened(environ.get("HTTP_COOKIE", "").encode("latin-1"))
        return app(environ, start_response)

    return layer


def as_served(app: WSGIApplication) -> WSGIApplication:
    """What frameworks ask of a server beyond the call: a body to read, and that the answer is closed."""

    def served(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["wsgi.input"] = io.BytesIO()
        answer = app(environ, start_response)
        body = [b"".join(answer)]
        if hasattr(answer, "close"):
            answer.close()
        return body

    return served
