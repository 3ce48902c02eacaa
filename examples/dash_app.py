"""A Dash app that people enter with ConsentKeys.

    pip install ck-middleware dash gunicorn
    gunicorn --bind localhost:8000 dash_app:server

Settings: CONSENTKEYS_CLIENT_ID, CONSENTKEYS_CLIENT_SECRET and SESSION_SECRET, as in the README.
Redirect URI to register: http://localhost:8000/auth/callback

Dash is a guest of the Flask app `app.server`, which also has the place for middleware.
"""

from dash import Dash, Input, Output, callback, html
from flask import request

from ck_middleware import WSGIAuthMiddleware, get_user

# In docs/frameworks.md:
app = Dash(__name__)
server = app.server
server.wsgi_app = WSGIAuthMiddleware(server.wsgi_app)

app.layout = [
    html.H1(id="title"),
    html.Form(html.Button("Sign out"), method="post", action="/auth/logout"),
]


# In docs/frameworks.md:
@callback(Output("title", "children"), Input("title", "id"))
def greet(_: str) -> str:
    return f"Welcome, {get_user(request).display_name}!"
