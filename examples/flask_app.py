"""A Flask app that people enter with ConsentKeys. All of its login code is the line with WSGIAuthMiddleware.

    pip install ck-middleware flask gunicorn
    export CONSENTKEYS_CLIENT_ID=ck_... CONSENTKEYS_CLIENT_SECRET=...
    export SESSION_SECRET=$(python -c 'import secrets; print(secrets.token_urlsafe(32))')
    gunicorn --bind localhost:5000 flask_app:app

Register http://localhost:5000/auth/callback as the redirect URI, and open http://localhost:5000.
"""

from flask import Flask, jsonify, redirect, request
from flask.typing import ResponseReturnValue
from markupsafe import Markup

from ck_middleware import WSGIAuthMiddleware, get_user

app = Flask(__name__)
app.wsgi_app = WSGIAuthMiddleware(  # type: ignore[method-assign]  # the place that Flask has for middleware
    app.wsgi_app, protect=["/dashboard", "/api"]
)

WELCOME = """<!doctype html>
<title>Welcome</title>
<h1>Welcome to My App</h1>
<p>Sign in to get started</p>
<a href="/auth/login">Sign in with ConsentKeys</a>
"""
DASHBOARD = Markup("""<!doctype html>
<title>Dashboard</title>
<h1>Dashboard</h1>
<p>Welcome, {user.display_name}!</p>
<p>Email: {user.email}</p>
<p>ID: {user.sub}</p>
<form action="/auth/logout" method="post"><button type="submit">Logout</button></form>
""")


@app.get("/")
def index() -> ResponseReturnValue:
    return redirect("/dashboard") if get_user(request).is_authenticated else WELCOME


@app.get("/dashboard")
def dashboard() -> str:
    return DASHBOARD.format(user=get_user(request))  # Markup escapes what it is given


@app.get("/api/data")
def api_data() -> ResponseReturnValue:
    return jsonify(message="This is protected data", user=dict(get_user(request).claims))
