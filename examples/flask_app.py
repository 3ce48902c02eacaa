"""A Flask app that people enter with ConsentKeys.

    pip install ck-middleware flask gunicorn
    gunicorn --bind localhost:8000 flask_app:app

Settings: CONSENTKEYS_CLIENT_ID, CONSENTKEYS_CLIENT_SECRET and SESSION_SECRET, as in the README.
Redirect URI to register: http://localhost:8000/auth/callback
"""

from flask import Flask, request
from markupsafe import Markup

from ck_middleware import WSGIAuthMiddleware, get_user

# In docs/frameworks.md:
app = Flask(__name__)
app.wsgi_app = WSGIAuthMiddleware(app.wsgi_app, public=["/"], after_login="/dashboard")  # type: ignore[method-assign]

HOME = '<h1>Welcome</h1><a href="/auth/login">Sign in with ConsentKeys</a>'
DASHBOARD = Markup('<h1>Welcome, {}!</h1><form method="post" action="/auth/logout"><button>Sign out</button></form>')


@app.get("/")
def home() -> str:
    return HOME


# In docs/frameworks.md:
@app.get("/dashboard")
def dashboard() -> str:
    return DASHBOARD.format(get_user(request).display_name)  # Markup escapes what it is given


@app.get("/api/data")
def api_data() -> dict[str, object]:
    return {"user": dict(get_user(request).claims)}
