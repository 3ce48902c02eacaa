"""The app in the container: put yours in its place."""

from flask import Flask, request
from markupsafe import escape

from ck_middleware import WSGIAuthMiddleware, get_user

app = Flask(__name__)
app.wsgi_app = WSGIAuthMiddleware(app.wsgi_app, public=["/"])


@app.get("/")
def home() -> str:
    return '<h1>Welcome</h1><a href="/auth/login?next=/who">Sign in</a>'


@app.get("/who")
def who() -> str:
    return f"You are {escape(get_user(request).display_name)}."
