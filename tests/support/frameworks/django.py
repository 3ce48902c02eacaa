"""This file is the site in Django, on both faces. Django has only one set of settings in a process."""

from collections.abc import Callable
from typing import Any
from wsgiref.types import WSGIApplication

from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.http import HttpResponse
from django.test import override_settings
from django.urls import path, re_path
from starlette.types import ASGIApp, Receive, Scope, Send

from support.frameworks.site import ROUTES, Witness, Wrap


def django_wsgi_app(witness: Witness, wrap: Wrap) -> WSGIApplication:
    def view(route: str) -> Callable[[Any], HttpResponse]:
        return lambda request: HttpResponse(witness.serve(route))

    wrapped: WSGIApplication = wrap(_django_handler(WSGIHandler, view))
    return wrapped


def django_asgi_app(witness: Witness, wrap: Wrap) -> ASGIApp:
    def view(route: str) -> Callable[[Any], Any]:
        async def answer(request: Any) -> HttpResponse:
            return HttpResponse(witness.serve(route))

        return answer

    wrapped: ASGIApp = wrap(_django_handler(ASGIHandler, view))
    return wrapped


def forced_django_asgi_app(witness: Witness, wrap: Wrap) -> ASGIApp:
    """Django cuts a mount off that no scope shows."""
    app = django_asgi_app(witness, wrap)

    async def forced(scope: Scope, receive: Receive, send: Send) -> None:
        with override_settings(FORCE_SCRIPT_NAME="/pre"):
            await app(scope, receive, send)

    return forced


def _django_handler(base: Any, view: Callable[[str], Any]) -> Any:
    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], MIDDLEWARE=[], LOGGING_CONFIG=None, ROOT_URLCONF=__name__)
    # There is no database to look after, which on ASGI would take a thread for each request.
    for signal in (request_started, request_finished):
        signal.receivers.clear()
    # A last route for the rest, since Django starts a thread for every 404 of its own.
    routes = (*(path(route[1:], view(route)) for route in ROUTES), re_path("", view("elsewhere")))

    class Handler(base):  # type: ignore[misc]  # Django has no types
        def resolve_request(self, request: Any) -> Any:
            request.urlconf = routes
            return super().resolve_request(request)

    class OneThread(Handler):
        """Without the thread that each request on ASGI has to itself."""

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await self.handle(scope, receive, send)

    return OneThread() if base is ASGIHandler else Handler()
