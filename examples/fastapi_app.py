"""A FastAPI app that people enter with ConsentKeys.

    pip install ck-middleware fastapi uvicorn
    uvicorn --host localhost --port 8000 fastapi_app:app

Settings: CONSENTKEYS_CLIENT_ID, CONSENTKEYS_CLIENT_SECRET and SESSION_SECRET, as in the README.
Redirect URI to register: http://localhost:8000/auth/callback
"""

from html import escape

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from ck_middleware import ASGIAuthMiddleware
from ck_middleware.contrib.fastapi import UNAUTHORIZED, CurrentUser

# In docs/frameworks.md:
app = FastAPI()
app.add_middleware(ASGIAuthMiddleware, public=["/"], after_login="/dashboard")

HOME = '<h1>Welcome</h1><a href="/auth/login">Sign in with ConsentKeys</a>'
DASHBOARD = '<h1>Welcome, {}!</h1><form method="post" action="/auth/logout"><button>Sign out</button></form>'


@app.get("/", response_class=HTMLResponse)
async def home() -> str:
    return HOME


@app.get("/dashboard", response_class=HTMLResponse)
async def dashboard(user: CurrentUser) -> str:
    return DASHBOARD.format(escape(user.display_name))


# In docs/frameworks.md:
@app.get("/api/data", responses=UNAUTHORIZED)
async def api_data(user: CurrentUser) -> dict[str, object]:
    return {"user": dict(user.claims)}
