"""This file is Django's layers: its session in a signed cookie, and its people, who are rows of a database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import django
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path
from driving import PAGE
from layers import BODY, SECRET, Family, Layer, Session, our_cookie, ours_wsgi

from ck_middleware import get_user

if TYPE_CHECKING:
    from pathlib import Path
    from wsgiref.types import WSGIApplication

SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
SQLITE = {"ENGINE": "django.db.backends.sqlite3", "CONN_MAX_AGE": None}  # the connection stays open, as in earnest
PEOPLE = "django.contrib.auth.middleware.AuthenticationMiddleware"


def bare(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(BODY, content_type="application/json")


def ours(request: HttpRequest) -> HttpResponse:
    return bare(request) if get_user(request).name else HttpResponse(status=500)


def session(request: HttpRequest) -> HttpResponse:
    return bare(request) if request.session["user"]["name"] else HttpResponse(status=500)


def person(request: HttpRequest) -> HttpResponse:
    return bare(request) if request.user.is_authenticated else HttpResponse(status=500)


def urls(view: Any) -> type:  # noqa: ANN401  # as Django has it
    class Urls:
        urlpatterns: ClassVar[list[Any]] = [path(PAGE.removeprefix("/"), view)]

    return Urls


def app(view: Any, *middleware: str) -> WSGIApplication:  # noqa: ANN401  # as Django has it
    """An app whose middleware are these. Its addresses are chosen for each request, as there is one Django only."""
    settings.MIDDLEWARE = list(middleware)
    project = get_wsgi_application()
    there = urls(view)
    django_request = project.request_class

    class ItsRequest(django_request):  # type: ignore[misc,valid-type]  # Django ships no types
        urlconf = there

    project.request_class = ItsRequest
    return project  # type: ignore[no-any-return]


def cookie(of: Session) -> str:
    from django.contrib.sessions.backends.signed_cookies import SessionStore  # noqa: PLC0415  # not before `begin`

    store = SessionStore()
    store.update(dict(of))
    store.save()
    return f"sessionid={store.session_key}"


def cookie_of_a_row(of: Session) -> str:
    from django.contrib import auth  # noqa: PLC0415  # not before `begin`

    row, _ = auth.get_user_model().objects.get_or_create(username=of["user"]["sub"])
    keys = {
        auth.SESSION_KEY: str(row.pk),
        auth.BACKEND_SESSION_KEY: "django.contrib.auth.backends.ModelBackend",
        auth.HASH_SESSION_KEY: row.get_session_auth_hash(),
    }
    return cookie({**of, **keys})


def begin(folder: Path) -> None:
    """Set Django up, once in a process."""
    settings.configure(
        ALLOWED_HOSTS=["*"],
        DATABASES={"default": {**SQLITE, "NAME": folder / "django.db"}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
        LOGGING_CONFIG=None,
        MIDDLEWARE=[],
        ROOT_URLCONF=urls(bare),
        SECRET_KEY=SECRET,
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    )
    django.setup()
    call_command("migrate", verbosity=0)


DJANGO = Family(
    "wsgi",
    "Django",
    lambda: app(bare),
    (
        Layer("ck-middleware, name read", lambda: ours_wsgi(app(ours)), our_cookie),
        Layer("session in a signed cookie", lambda: app(session, SESSIONS), cookie, keeps_tokens=True),
        Layer("and AuthenticationMiddleware, a row", lambda: app(person, SESSIONS, PEOPLE), cookie_of_a_row),
    ),
)
