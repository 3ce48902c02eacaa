"""This file is the demo: a small site behind the middleware, and the development provider beside it."""

import json
import os
import secrets
from collections.abc import Mapping
from html import escape
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ck_middleware.asgi import ASGIAuthMiddleware
from ck_middleware.config import AuthConfig, Settings
from ck_middleware.dev.clients import CALLBACK, Client
from ck_middleware.dev.pages import facts, page
from ck_middleware.dev.provider import DevProvider

PROTECT: Final = ("/dashboard", "/api")
PROVIDER: Final = "/provider"
NAME: Final = "ck-middleware demo"
HTTP_PORT: Final = 80  # the one that browsers leave out of an origin
NOTE: Final = "This is the demo of ck-middleware. "
DEV_NOTE: Final = NOTE + "People sign in at its development provider, where <strong>nobody is real</strong>."
REAL_NOTE: Final = NOTE + "Sign-in is provided by ConsentKeys, which gives this site a pseudonym in place of your data."

SIGN_IN: Final = '<p>Nobody is signed in.</p>\n<p><a class="act" href="/auth/login?next=/dashboard">Sign in</a></p>'
SIGN_OUT: Final = '<form method="post" action="/auth/logout"><button class="act quiet">Sign out</button></form>'


def demo(port: int, environ: Mapping[str, str] = os.environ) -> ASGIApp:
    """The whole demo, for a server at this port of this machine.

    With the credentials of an application in the environment it is one at ConsentKeys; without, it brings its own
    provider, and the environment has no say. Raises `ConfigError`.
    """
    if asks_consentkeys(environ):
        return _guarded(_real_config(port, environ), REAL_NOTE)
    client = Client.fresh([origin(port, host) + CALLBACK for host in ("localhost", "127.0.0.1", "[::1]")])
    provider = DevProvider(origin(port) + PROVIDER, clients=[client])
    return _beside(provider, _guarded(_dev_config(provider.issuer, client), DEV_NOTE))


def origin(port: int, host: str = "localhost") -> str:
    return f"http://{host}" if port == HTTP_PORT else f"http://{host}:{port}"


def asks_consentkeys(environ: Mapping[str, str]) -> bool:
    return all(environ.get(name, "").strip() for name in ("CONSENTKEYS_CLIENT_ID", "CONSENTKEYS_CLIENT_SECRET"))


def keeps_sessions(environ: Mapping[str, str]) -> bool:
    """Whether sessions outlive this run: a secret made for it is forgotten with it."""
    return asks_consentkeys(environ) and bool(environ.get("SESSION_SECRET", "").strip())


def site(note: str) -> Starlette:
    """The app that is guarded; it knows nothing of logins but who the user is."""
    routes = [Route("/", _home), Route("/dashboard", _dashboard), Route("/api/data", _api_data)]
    app = Starlette(routes=routes)
    app.state.note = note
    return app


def _guarded(config: AuthConfig, note: str) -> ASGIApp:
    return ASGIAuthMiddleware(site(note), config)


def _real_config(port: int, environ: Mapping[str, str]) -> AuthConfig:
    settings: Settings = {"protect": PROTECT, "auth_prefix": "/auth"}
    if not environ.get("CONSENTKEYS_APP_NAME", "").strip():
        settings["app_name"] = NAME
    if not environ.get("CONSENTKEYS_APP_URL", "").strip():
        settings["base_url"] = origin(port)
    if not keeps_sessions(environ):
        settings["session_secret"] = secrets.token_hex(32)
    return AuthConfig.from_env(environ, **settings)


def _dev_config(issuer: str, client: Client) -> AuthConfig:
    # No base_url: it would send people who came to 127.0.0.1 on to localhost, which does not have their cookie.
    return AuthConfig(
        issuer=issuer,
        client_id=client.client_id,
        client_secret=client.client_secret,
        session_secret=secrets.token_hex(32),
        protect=PROTECT,
        app_name=NAME,
    )


def _beside(provider: ASGIApp, guarded: ASGIApp) -> ASGIApp:
    """Both on one server. The lifespan is the guarded app's, whose middleware holds connections."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        to_provider = scope["type"] == "http" and scope["path"].startswith(f"{PROVIDER}/")
        await (provider if to_provider else guarded)(scope, receive, send)

    return app


async def _home(request: Request) -> Response:
    body = (
        "<p>A page that everybody may read. The <a href='/dashboard'>dashboard</a> and "
        "<a href='/api/data'>/api/data</a> need a login, and neither contains a line of login code.</p>\n"
    )
    if not request.user.is_authenticated:
        return _page(request, "Welcome", body + SIGN_IN)
    name = escape(request.user.display_name)
    return _page(request, "Welcome", f"{body}<p>Signed in as <strong>{name}</strong>.</p>\n{SIGN_OUT}")


async def _dashboard(request: Request) -> Response:
    claims = {name: _text(claim) for name, claim in sorted(request.user.claims.items())}
    return _page(
        request,
        f"Hello, {request.user.display_name}",
        f"<p>This site knows you as <code>{escape(request.user.sub)}</code>, a name that no other site sees.</p>\n"
        f"<h2>What it was told</h2>\n{facts(claims)}"
        f"<p><a href='/api/data'>The same as JSON</a>, <a href='/'>home</a></p>\n{SIGN_OUT}",
    )


async def _api_data(request: Request) -> Response:
    told = {"message": "This is protected data", "user": dict(request.user.claims)}
    return JSONResponse(told, headers={"Cache-Control": "no-store"})


def _page(request: Request, title: str, body: str) -> Response:
    return page(title, body, note=request.app.state.note)


def _text(claim: object) -> str:
    return claim if isinstance(claim, str) else json.dumps(claim, ensure_ascii=False)
