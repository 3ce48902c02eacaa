"""This file is one app that logs people in, for a real server to run: `APP="guide" gunicorn login_apps:app`.

Each takes the `CONSENTKEYS_*` variables and `APP_REDIRECT_URI`, sends people off at `/login` (ours at `/auth/login`),
takes them back at `/auth/callback`, and tells at `/alive` the number of its process.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flask import Flask
    from flask.typing import ResponseReturnValue
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

# What httpx imports where it happens to be installed, as it is here, for a command line and a protocol that no app
# needs to log people in: it comes with none of these layers.
for name in ("rich", "pygments", "h2"):
    sys.modules[name] = None  # type: ignore[assignment]  # so that it cannot be found

ISSUER = os.environ["CONSENTKEYS_ISSUER"]
CLIENT = {"client_id": os.environ["CONSENTKEYS_CLIENT_ID"], "client_secret": os.environ["CONSENTKEYS_CLIENT_SECRET"]}
SECRET = os.environ["SESSION_SECRET"]
REGISTERED: dict[str, Any] = {
    **CLIENT,
    "server_metadata_url": f"{ISSUER}/.well-known/openid-configuration",
    "client_kwargs": {
        "scope": "openid profile email",
        "code_challenge_method": "S256",
        "token_endpoint_auth_method": "client_secret_post",
    },
}


def redirect_uri(host: str) -> str:
    return f"http://{host}/auth/callback"


def bare_flask() -> Flask:
    from flask import Flask, jsonify  # noqa: PLC0415  # each app has what it needs, and no other's

    app = Flask("logging_in")

    def alive() -> ResponseReturnValue:
        return jsonify({"pid": os.getpid()})

    app.add_url_rule("/alive", "alive", alive)
    app.add_url_rule("/page", "page", alive)
    return app


def bare_starlette() -> Starlette:
    from starlette.applications import Starlette  # noqa: PLC0415
    from starlette.responses import JSONResponse  # noqa: PLC0415
    from starlette.routing import Route  # noqa: PLC0415

    async def alive(_request: Request) -> Response:
        return JSONResponse({"pid": os.getpid()})

    return Starlette(routes=[Route("/alive", alive), Route("/page", alive)])


def ours_on_flask() -> Flask:
    from ck_middleware import WSGIAuthMiddleware  # noqa: PLC0415

    app = bare_flask()
    app.wsgi_app = WSGIAuthMiddleware(app.wsgi_app)  # type: ignore[method-assign]  # as Flask says
    return app


def ours_on_starlette() -> Starlette:
    from ck_middleware import ASGIAuthMiddleware  # noqa: PLC0415

    app = bare_starlette()
    app.add_middleware(ASGIAuthMiddleware)
    return app


def guide() -> Flask:
    """The provider's own guide, less what it shows people."""
    import base64  # noqa: PLC0415
    import hashlib  # noqa: PLC0415
    import secrets  # noqa: PLC0415
    from urllib.parse import urlencode  # noqa: PLC0415

    import requests  # noqa: PLC0415
    from flask import jsonify, redirect, request, session  # noqa: PLC0415
    from jwt import PyJWKClient  # noqa: PLC0415
    from jwt import decode as jwt_decode  # noqa: PLC0415

    app = bare_flask()
    app.secret_key = SECRET
    jwks_client = PyJWKClient(f"{ISSUER}/.well-known/jwks.json")

    @app.route("/login")
    def login() -> ResponseReturnValue:
        verifier = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        state = secrets.token_urlsafe(16)
        session["code_verifier"], session["oauth_state"] = verifier, state
        parameters = {
            "response_type": "code",
            "client_id": CLIENT["client_id"],
            "redirect_uri": redirect_uri(request.host),
            "scope": "openid profile email",
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return redirect(f"{ISSUER}/auth?{urlencode(parameters)}")

    @app.route("/auth/callback")
    def callback() -> ResponseReturnValue:
        if request.args.get("state") != session.get("oauth_state"):
            return jsonify({"error": "Invalid state"}), 400
        form = {
            **CLIENT,
            "grant_type": "authorization_code",
            "code": request.args.get("code"),
            "redirect_uri": redirect_uri(request.host),
            "code_verifier": session.get("code_verifier"),
        }
        answer = requests.post(f"{ISSUER}/token", data=form)  # noqa: S113  # as the guide has it
        answer.raise_for_status()
        tokens = answer.json()
        key = jwks_client.get_signing_key_from_jwt(tokens["id_token"])
        jwt_decode(tokens["id_token"], key.key, algorithms=["RS256"], audience=CLIENT["client_id"], issuer=ISSUER)
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        session["user"] = requests.get(f"{ISSUER}/userinfo", headers=headers).json()  # noqa: S113
        session["access_token"] = tokens["access_token"]
        session.pop("code_verifier", None)
        session.pop("oauth_state", None)
        return redirect("/page")

    return app


def authlib_on_flask() -> Flask:
    from authlib.integrations.flask_client import OAuth  # noqa: PLC0415
    from flask import redirect, request, session  # noqa: PLC0415

    app = bare_flask()
    app.secret_key = SECRET
    oauth = OAuth(app)
    oauth.register("consentkeys", **REGISTERED)

    @app.route("/login")
    def login() -> ResponseReturnValue:
        found: ResponseReturnValue = oauth.consentkeys.authorize_redirect(redirect_uri(request.host))
        return found

    @app.route("/auth/callback")
    def callback() -> ResponseReturnValue:
        session["user"] = oauth.consentkeys.authorize_access_token()["userinfo"]
        return redirect("/page")

    return app


def authlib_on_starlette() -> Starlette:
    from authlib.integrations.starlette_client import OAuth  # noqa: PLC0415
    from starlette.middleware.sessions import SessionMiddleware  # noqa: PLC0415
    from starlette.responses import RedirectResponse  # noqa: PLC0415

    app = bare_starlette()
    app.add_middleware(SessionMiddleware, secret_key=SECRET)
    oauth = OAuth()
    oauth.register("consentkeys", **REGISTERED)

    async def login(request: Request) -> Response:
        found: Response = await oauth.consentkeys.authorize_redirect(request, redirect_uri(request.url.netloc))
        return found

    async def callback(request: Request) -> Response:
        token = await oauth.consentkeys.authorize_access_token(request)
        request.session["user"] = dict(token["userinfo"])
        return RedirectResponse("/page")

    app.add_route("/login", login)
    app.add_route("/auth/callback", callback)
    return app


APPS = {
    "bare_flask": bare_flask,
    "bare_starlette": bare_starlette,
    "ours_on_flask": ours_on_flask,
    "ours_on_starlette": ours_on_starlette,
    "guide": guide,
    "authlib_on_flask": authlib_on_flask,
    "authlib_on_starlette": authlib_on_starlette,
}

app = APPS[os.environ["APP"]]()
