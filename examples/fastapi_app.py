"""A FastAPI app that people enter with ConsentKeys. All of its login code is the line with ASGIAuthMiddleware.

    pip install ck-middleware fastapi uvicorn
    export CONSENTKEYS_CLIENT_ID=ck_... CONSENTKEYS_CLIENT_SECRET=...
    export SESSION_SECRET=$(python -c 'import secrets; print(secrets.token_urlsafe(32))')
    uvicorn --host localhost --port 5000 fastapi_app:app

Register http://localhost:5000/auth/callback as the redirect URI, and open http://localhost:5000.
"""

from html import escape
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from ck_middleware import ASGIAuthMiddleware, User, get_user

app = FastAPI()
app.add_middleware(ASGIAuthMiddleware, protect=["/dashboard", "/api"])

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


def current_user(request: Request) -> User:
    return get_user(request)


CurrentUser = Annotated[User, Depends(current_user)]


@app.get("/")
async def index(user: CurrentUser) -> Response:
    return RedirectResponse("/dashboard") if user.is_authenticated else HTMLResponse(WELCOME)


@app.get("/dashboard")
async def dashboard(user: CurrentUser) -> HTMLResponse:
    shown = {"name": user.display_name, "email": user.email, "sub": user.sub}
    return HTMLResponse(DASHBOARD.format_map({field: escape(text) for field, text in shown.items()}))


@app.get("/api/data")
async def api_data(user: CurrentUser) -> dict[str, Any]:
    return {"message": "This is protected data", "user": dict(user.claims)}
