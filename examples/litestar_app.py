"""A Litestar app that people enter with ConsentKeys.

    pip install ck-middleware litestar uvicorn
    uvicorn --host localhost --port 8000 litestar_app:app

Settings: CONSENTKEYS_CLIENT_ID, CONSENTKEYS_CLIENT_SECRET and SESSION_SECRET, as in the README.
Redirect URI to register: http://localhost:8000/auth/callback

Wrapped from outside: what Litestar calls middleware runs behind its router, too late for the addresses under /auth.
"""

from html import escape
from typing import Any

from litestar import Litestar, MediaType, Request, get

from ck_middleware import ASGIAuthMiddleware, User

HOME = '<h1>Welcome</h1><a href="/auth/login">Sign in with ConsentKeys</a>'
DASHBOARD = '<h1>Welcome, {}!</h1><form method="post" action="/auth/logout"><button>Sign out</button></form>'


@get("/", media_type=MediaType.HTML)
async def home() -> str:
    return HOME


# In docs/frameworks.md:
@get("/dashboard", media_type=MediaType.HTML)
async def dashboard(request: Request[User, None, Any]) -> str:
    return DASHBOARD.format(escape(request.user.display_name))


@get("/api/data")
async def api_data(request: Request[User, None, Any]) -> dict[str, object]:
    return {"user": dict(request.user.claims)}


# In docs/frameworks.md:
app = ASGIAuthMiddleware(Litestar([home, dashboard, api_data]), public=["/"], after_login="/dashboard")
