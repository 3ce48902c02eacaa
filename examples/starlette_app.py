"""A Starlette app that people enter with ConsentKeys.

    pip install ck-middleware uvicorn
    uvicorn --host localhost --port 8000 starlette_app:app

Settings: CONSENTKEYS_CLIENT_ID, CONSENTKEYS_CLIENT_SECRET and SESSION_SECRET, as in the README.
Redirect URI to register: http://localhost:8000/auth/callback
"""

from html import escape

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

from ck_middleware import ASGIAuthMiddleware

HOME = '<h1>Welcome</h1><a href="/auth/login">Sign in with ConsentKeys</a>'
DASHBOARD = '<h1>Welcome, {}!</h1><form method="post" action="/auth/logout"><button>Sign out</button></form>'


async def home(request: Request) -> HTMLResponse:
    return HTMLResponse(HOME)


# In docs/frameworks.md:
async def dashboard(request: Request) -> HTMLResponse:
    return HTMLResponse(DASHBOARD.format(escape(request.user.display_name)))


async def api_data(request: Request) -> JSONResponse:
    return JSONResponse({"user": dict(request.user.claims)})


# In docs/frameworks.md:
app = Starlette(
    routes=[Route("/", home), Route("/dashboard", dashboard), Route("/api/data", api_data)],
    middleware=[Middleware(ASGIAuthMiddleware, public=["/"], after_login="/dashboard")],
)
