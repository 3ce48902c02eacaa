"""This file is Starlette's layers, and Authlib's, which stands on them."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Final

from authlib.integrations.starlette_client import OAuth
from driving import PAGE, USUAL
from itsdangerous import TimestampSigner
from layers import ALIVE, BODY, SECRET, Family, Layer, Session, our_cookie, ours
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, BaseUser, SimpleUser, requires
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection, Request
    from starlette.types import ASGIApp


def starlette_cookie(of: Session) -> str:
    signed = TimestampSigner(SECRET).sign(base64.b64encode(json.dumps(dict(of)).encode()))
    return f"session={signed.decode()}"


def in_sessions(app: ASGIApp) -> ASGIApp:
    return SessionMiddleware(app, SECRET)


class Nothing(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)


class ByName(AuthenticationBackend):
    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        user = conn.session.get("user")
        return (AuthCredentials(["authenticated"]), SimpleUser(user["name"])) if user else None


async def page(_request: Request) -> Response:
    return Response(BODY, media_type="application/json")


async def page_of_somebody(request: Request) -> Response:
    return Response(BODY if request.user.display_name else b"", media_type="application/json")


def starlette_app(endpoint: Any = page) -> Starlette:  # noqa: ANN401  # as Starlette has it
    return Starlette(routes=[Route(PAGE, endpoint), Route(ALIVE, page)])


def with_requires() -> ASGIApp:
    endpoint = requires("authenticated")(page_of_somebody)
    return in_sessions(AuthenticationMiddleware(starlette_app(endpoint), ByName()))


def with_authlib() -> ASGIApp:
    """As its documentation has it: Authlib logs people in, and a route looks into the session."""
    OAuth().register("consentkeys", client_id="ck_bench", server_metadata_url=f"{USUAL['issuer']}/.well-known/x")

    async def endpoint(request: Request) -> Response:
        user = request.session.get("user")
        return await page(request) if user and user["name"] else RedirectResponse("/login")

    return in_sessions(starlette_app(endpoint))


STARLETTE: Final = Family(
    "asgi",
    "Starlette",
    starlette_app,
    (
        Layer("ck-middleware, name read", lambda: ours(starlette_app(page_of_somebody)), our_cookie),
        Layer(
            "SessionMiddleware, AuthenticationMiddleware, @requires",
            with_requires,
            starlette_cookie,
            keeps_tokens=True,
        ),
        Layer("Authlib, SessionMiddleware, a look in the route", with_authlib, starlette_cookie, keeps_tokens=True),
    ),
)
