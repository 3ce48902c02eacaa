"""A Falcon app that people enter with ConsentKeys.

    pip install ck-middleware falcon gunicorn
    gunicorn --bind localhost:8000 falcon_app:app

Settings: CONSENTKEYS_CLIENT_ID, CONSENTKEYS_CLIENT_SECRET and SESSION_SECRET, as in the README.
Redirect URI to register: http://localhost:8000/auth/callback
"""

from html import escape

import falcon
from falcon import Request, Response

from ck_middleware import WSGIAuthMiddleware, get_user

HOME = '<h1>Welcome</h1><a href="/auth/login">Sign in with ConsentKeys</a>'
DASHBOARD = '<h1>Welcome, {}!</h1><form method="post" action="/auth/logout"><button>Sign out</button></form>'


class Home:
    def on_get(self, req: Request, resp: Response) -> None:
        resp.content_type, resp.text = falcon.MEDIA_HTML, HOME


# In docs/frameworks.md:
class Dashboard:
    def on_get(self, req: Request, resp: Response) -> None:
        resp.content_type, resp.text = falcon.MEDIA_HTML, DASHBOARD.format(escape(get_user(req).display_name))


class Data:
    def on_get(self, req: Request, resp: Response) -> None:
        resp.media = {"user": dict(get_user(req).claims)}


# In docs/frameworks.md:
site = falcon.App()
app = WSGIAuthMiddleware(site, public=["/"], after_login="/dashboard")

site.add_route("/", Home())
site.add_route("/dashboard", Dashboard())
site.add_route("/api/data", Data())
