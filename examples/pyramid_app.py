"""A Pyramid app that people enter with ConsentKeys.

    pip install ck-middleware pyramid gunicorn
    gunicorn --bind localhost:8000 pyramid_app:app

Settings: CONSENTKEYS_CLIENT_ID, CONSENTKEYS_CLIENT_SECRET and SESSION_SECRET, as in the README.
Redirect URI to register: http://localhost:8000/auth/callback
"""

from html import escape

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response

from ck_middleware import WSGIAuthMiddleware, get_user

HOME = '<h1>Welcome</h1><a href="/auth/login">Sign in with ConsentKeys</a>'
DASHBOARD = '<h1>Welcome, {}!</h1><form method="post" action="/auth/logout"><button>Sign out</button></form>'


def home(request: Request) -> Response:
    return Response(HOME)


# In docs/frameworks.md:
def dashboard(request: Request) -> Response:
    return Response(DASHBOARD.format(escape(get_user(request).display_name)))


def api_data(request: Request) -> Response:
    return Response(json={"user": dict(get_user(request).claims)})


with Configurator() as config:
    for path, view in {"/": home, "/dashboard": dashboard, "/api/data": api_data}.items():
        config.add_route(path, path)
        config.add_view(view, route_name=path)
# In docs/frameworks.md:
app = WSGIAuthMiddleware(config.make_wsgi_app(), public=["/"], after_login="/dashboard")
