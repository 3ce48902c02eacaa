"""A Quart app that people enter with ConsentKeys.

    pip install ck-middleware quart uvicorn
    uvicorn --host localhost --port 8000 quart_app:app

Settings: CONSENTKEYS_CLIENT_ID, CONSENTKEYS_CLIENT_SECRET and SESSION_SECRET, as in the README.
Redirect URI to register: http://localhost:8000/auth/callback
"""

from markupsafe import Markup
from quart import Quart, request

from ck_middleware import ASGIAuthMiddleware, get_user

# In docs/frameworks.md:
app = Quart(__name__)
app.asgi_app = ASGIAuthMiddleware(  # type: ignore[assignment, method-assign]
    app.asgi_app, public=["/"], after_login="/dashboard"
)

HOME = '<h1>Welcome</h1><a href="/auth/login">Sign in with ConsentKeys</a>'
DASHBOARD = Markup('<h1>Welcome, {}!</h1><form method="post" action="/auth/logout"><button>Sign out</button></form>')


@app.get("/")
async def home() -> str:
    return HOME


# In docs/frameworks.md:
@app.get("/dashboard")
async def dashboard() -> str:
    return DASHBOARD.format(get_user(request).display_name)  # Markup escapes what it is given


@app.get("/api/data")
async def api_data() -> dict[str, object]:
    return {"user": dict(get_user(request).claims)}
