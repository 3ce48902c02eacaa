"""A Django app that people enter with ConsentKeys. In a project of yours, the last line goes into wsgi.py.

    pip install ck-middleware django gunicorn
    gunicorn --bind localhost:8000 django_app:application

Settings: CONSENTKEYS_CLIENT_ID, CONSENTKEYS_CLIENT_SECRET and SESSION_SECRET, as in the README.
Redirect URI to register: http://localhost:8000/auth/callback
"""

import secrets

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.utils.html import format_html

from ck_middleware import WSGIAuthMiddleware, get_user

# In a project of yours, all this is there already.
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["localhost"], SECRET_KEY=secrets.token_hex(32))

HOME = '<h1>Welcome</h1><a href="/auth/login">Sign in with ConsentKeys</a>'
DASHBOARD = '<h1>Welcome, {}!</h1><form method="post" action="/auth/logout"><button>Sign out</button></form>'


def home(request: HttpRequest) -> HttpResponse:
    return HttpResponse(HOME)


# In docs/frameworks.md:
def dashboard(request: HttpRequest) -> HttpResponse:
    return HttpResponse(format_html(DASHBOARD, get_user(request).display_name))


def api_data(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"user": dict(get_user(request).claims)})


urlpatterns = [path("", home), path("dashboard", dashboard), path("api/data", api_data)]

# In docs/frameworks.md:
application = WSGIAuthMiddleware(get_wsgi_application(), public=["/"], after_login="/dashboard")
