"""A Starlette app that people enter with ConsentKeys. All of its login code is the line with ASGIAuthMiddleware.

    pip install ck-middleware uvicorn
    export CONSENTKEYS_CLIENT_ID=ck_... CONSENTKEYS_CLIENT_SECRET=...
    export SESSION_SECRET=$(python -c 'import secrets; print(secrets.token_urlsafe(32))')
    uvicorn --host localhost --port 5000 starlette_app:app

Register http://localhost:5000/auth/callback as the redirect URI, and open http://localhost:5000.
"""

from html import escape

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from ck_middleware import ASGIAuthMiddleware

WELCOME = """<!doctype html>
<title>Welcome</title>
<h1>Welcome to My App</h1>
<p>Sign in to get started</p>
<a href="/auth/login">Sign in with ConsentKeys</a>
"""
DASHBOARD = """<!doctype html>
<title>Dashboard</title>
<h1>Dashboard</h1>
<p>Welcome, {name}!</p>
<p>Email: {email}</p>
<p>ID: {sub}</p>
<form action="/auth/logout" method="post"><button type="submit">Logout</button></form>
"""


async def index(request: Request) -> Response:
    return RedirectResponse("/dashboard") if request.user.is_authenticated else HTMLResponse(WELCOME)


async def dashboard(request: Request) -> Response:
    shown = {"name": request.user.display_name, "email": request.user.email, "sub": request.user.sub}
    return HTMLResponse(DASHBOARD.format_map({field: escape(text) for field, text in shown.items()}))


async def api_data(request: Request) -> Response:
    return JSONResponse({"message": "This is protected data", "user": dict(request.user.claims)})


app = Starlette(
    routes=[Route("/", index), Route("/dashboard", dashboard), Route("/api/data", api_data)],
    middleware=[Middleware(ASGIAuthMiddleware, protect=["/dashboard", "/api"])],
)
