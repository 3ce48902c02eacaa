"""A Bottle app that people enter with ConsentKeys.

    pip install ck-middleware bottle gunicorn
    gunicorn --bind localhost:8000 bottle_app:app

Settings: CONSENTKEYS_CLIENT_ID, CONSENTKEYS_CLIENT_SECRET and SESSION_SECRET, as in the README.
Redirect URI to register: http://localhost:8000/auth/callback
"""

from html import escape

from bottle import Bottle, request

from ck_middleware import WSGIAuthMiddleware, get_user

# In docs/frameworks.md:
site = Bottle()
app = WSGIAuthMiddleware(site, public=["/"], after_login="/dashboard")

HOME = '<h1>Welcome</h1><a href="/auth/login">Sign in with ConsentKeys</a>'
DASHBOARD = '<h1>Welcome, {}!</h1><form method="post" action="/auth/logout"><button>Sign out</button></form>'


@site.get("/")
def home() -> str:
    return HOME


# In docs/frameworks.md:
@site.get("/dashboard")
def dashboard() -> str:
    return DASHBOARD.format(escape(get_user(request).display_name))


@site.get("/api/data")
def api_data() -> dict[str, object]:
    return {"user": dict(get_user(request).claims)}
