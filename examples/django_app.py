"""A Django app that people enter with ConsentKeys. All of its login code is the line with WSGIAuthMiddleware.

    pip install ck-middleware django gunicorn
    export CONSENTKEYS_CLIENT_ID=ck_... CONSENTKEYS_CLIENT_SECRET=...
    export SESSION_SECRET=$(python -c 'import secrets; print(secrets.token_urlsafe(32))')
    gunicorn --bind localhost:5000 django_app:application

Register http://localhost:5000/auth/callback as the redirect URI, and open http://localhost:5000.
In a project of yours the last line is all there is to add, in wsgi.py.
"""

import secrets

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import path
from django.utils.html import format_html

from ck_middleware import WSGIAuthMiddleware, get_user

settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["localhost"],
    SECRET_KEY=secrets.token_hex(32),  # Django signs nothing here
)

WELCOME = """<!doctype html>
<title>Welcome</title>
<h1>Welcome to My App</h1>
<p>Sign in to get started</p>
<a href="/auth/login">Sign in with ConsentKeys</a>
"""
DASHBOARD = """<!doctype html>
<title>Dashboard</title>
<h1>Dashboard</h1>
<p>Welcome, {name}!</p>
<p>Email: {email}</p>
<p>ID: {sub}</p>
<form action="/auth/logout" method="post"><button type="submit">Logout</button></form>
"""


def index(request: HttpRequest) -> HttpResponse:
    return redirect("/dashboard") if get_user(request).is_authenticated else HttpResponse(WELCOME)


def dashboard(request: HttpRequest) -> HttpResponse:
    user = get_user(request)
    return HttpResponse(format_html(DASHBOARD, name=user.display_name, email=user.email, sub=user.sub))


def api_data(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"message": "This is protected data", "user": dict(get_user(request).claims)})


urlpatterns = [path("", index), path("dashboard", dashboard), path("api/data", api_data)]

application = WSGIAuthMiddleware(get_wsgi_application(), protect=["/dashboard", "/api"])
