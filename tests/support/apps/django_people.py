"""This file is a Django project whose users are rows of its table, on both faces, with a database where it is run."""

import os
from typing import Any

import django
from django.conf import settings
from django.contrib.auth import logout
from django.core.asgi import get_asgi_application
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import path
from django.views.generic import RedirectView

from ck_middleware import ASGIAuthMiddleware, WSGIAuthMiddleware

settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["localhost"],
    SECRET_KEY="of a test, in which nobody else is",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "users.db"}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        os.environ["REMOTE_USER_MIDDLEWARE"],
    ],
    AUTHENTICATION_BACKENDS=["django.contrib.auth.backends.RemoteUserBackend"],
)
django.setup()
call_command("migrate", verbosity=0)


def tell(user: Any) -> JsonResponse:
    return JsonResponse({"id": user.pk, "sub": user.get_username(), "authenticated": user.is_authenticated})


def who(request: HttpRequest) -> JsonResponse:
    return tell(request.user)


async def who_async(request: HttpRequest) -> JsonResponse:
    return tell(await request.auser())


def log_out(request: HttpRequest) -> HttpResponse:
    """As the log-out of the admin does."""
    logout(request)
    return redirect("/open/who")


urlpatterns = [
    path("who", who),
    path("async/who", who_async),
    path("open/who", who),
    path("log-out", log_out),
    path("admin/logout/", RedirectView.as_view(url="/auth/logout")),  # as in docs/frameworks.md
]

wsgi = WSGIAuthMiddleware(get_wsgi_application(), public=["/open/"])
asgi = ASGIAuthMiddleware(get_asgi_application(), public=["/open/"])
