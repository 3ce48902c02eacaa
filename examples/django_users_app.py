"""A Django app that people enter with ConsentKeys, and in which each of them is a row of Django's own table of users.

    pip install ck-middleware django gunicorn
    gunicorn --bind localhost:8000 django_users_app:application

Settings: CONSENTKEYS_CLIENT_ID, CONSENTKEYS_CLIENT_SECRET and SESSION_SECRET, as in the README.
Redirect URI to register: http://localhost:8000/auth/callback

It is safe to believe `REMOTE_USER`: the middleware alone writes it, anew for each request, and takes away whatever a
client or a server said. Two relatives are not: `PersistentRemoteUserMiddleware` keeps people logged in who have signed
out, and a subclass with `header = "HTTP_..."` believes a header, which anybody can send.
"""

import secrets

import django
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.utils.html import format_html

from ck_middleware import WSGIAuthMiddleware, get_user

settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["localhost"],
    SECRET_KEY=secrets.token_hex(32),
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "users.db"}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    # In docs/frameworks.md:
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.auth.middleware.RemoteUserMiddleware",
    ],
    AUTHENTICATION_BACKENDS=["django.contrib.auth.backends.RemoteUserBackend"],
)
django.setup()
call_command("migrate", verbosity=0)  # in a project of yours: python manage.py migrate

HOME = '<h1>Welcome</h1><a href="/auth/login">Sign in with ConsentKeys</a>'
DASHBOARD = '<h1>Welcome, {}!</h1><form method="post" action="/auth/logout"><button>Sign out</button></form>'


def home(request: HttpRequest) -> HttpResponse:
    return HttpResponse(HOME)


def dashboard(request: HttpRequest) -> HttpResponse:
    return HttpResponse(format_html(DASHBOARD, get_user(request).display_name))


# In docs/frameworks.md:
def api_data(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"user": {"id": request.user.pk, "sub": request.user.get_username()}})


urlpatterns = [path("", home), path("dashboard", dashboard), path("api/data", api_data)]

# In docs/frameworks.md:
application = WSGIAuthMiddleware(get_wsgi_application(), public=["/"], after_login="/dashboard")
