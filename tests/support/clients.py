"""This file is one guarded app in each framework, and the test client that its people would use, asked alike."""

import json
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar
from wsgiref.types import StartResponse, WSGIEnvironment

import httpx
from django.conf import UserSettingsHolder, global_settings, settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test.client import AsyncClient, Client
from django.urls import path
from fastapi import FastAPI
from flask import Flask, jsonify
from flask import request as flask_request
from flask.typing import ResponseReturnValue
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from ck_middleware import ASGIAuthMiddleware, AuthConfig, WSGIAuthMiddleware, get_user
from ck_middleware.ports import step

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}  # as browsers say of a form on a page of the app

Run = Callable[[Coroutine[Any, Any, Any]], Any]  # in the loop of the test


@dataclass(frozen=True)
class Told:
    """What a client was answered, whichever it is."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Site:
    """A guarded app, as many clients of it as a test needs, and how one asks."""

    new_client: Callable[[], Any]
    get: Callable[[Any, str], Told]
    post: Callable[[Any, str], Told]
    middleware: ASGIAuthMiddleware | WSGIAuthMiddleware | None = None


def seen(request: object) -> dict[str, Any]:
    """What every app tells of who is there."""
    user = get_user(request)
    return {"is_authenticated": user.is_authenticated, **user.claims}


def _flask(config: AuthConfig, run: Run, stack: ExitStack) -> Site:
    app = Flask("guarded")
    app.wsgi_app = guarded = WSGIAuthMiddleware(app.wsgi_app, config)  # type: ignore[method-assign]  # as Flask says
    _closing(guarded, run, stack)

    @app.get("/", defaults={"at": ""})
    @app.get("/<path:at>")
    def tell(at: str) -> ResponseReturnValue:
        return jsonify(seen(flask_request))

    def ask(client: Any, method: str, target: str) -> Told:
        answer = client.open(target, method=method, headers=SAME_ORIGIN)
        return Told(answer.status_code, answer.headers, answer.data)

    return Site(app.test_client, *_methods(ask))


async def _tell(request: Request) -> Response:
    return JSONResponse(seen(request))


def _starlette(config: AuthConfig, run: Run, stack: ExitStack) -> Site:
    app = Starlette(
        routes=[Route("/", _tell), Route("/{at:path}", _tell)], middleware=[Middleware(ASGIAuthMiddleware, config)]
    )
    return Site(lambda: stack.enter_context(TestClient(app)), *_methods(_ask_httpx))


def _fastapi(config: AuthConfig, run: Run, stack: ExitStack) -> Site:
    app = FastAPI()
    app.add_middleware(ASGIAuthMiddleware, config)
    app.add_route("/{at:path}", _tell)
    return Site(lambda: stack.enter_context(TestClient(app)), *_methods(_ask_httpx))


def _wsgi(config: AuthConfig, run: Run, stack: ExitStack) -> Site:
    def tell(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(seen(environ)).encode()]

    guarded = WSGIAuthMiddleware(tell, config)
    _closing(guarded, run, stack)
    return Site(
        lambda: httpx.Client(transport=httpx.WSGITransport(guarded), base_url="http://localhost"),
        *_methods(_ask_httpx),
        guarded,
    )


def _asgi(config: AuthConfig, run: Run, stack: ExitStack) -> Site:
    async def tell(scope: Scope, receive: Receive, send: Send) -> None:
        await JSONResponse(seen(scope))(scope, receive, send)

    guarded = ASGIAuthMiddleware(tell, config)
    _closing(guarded, run, stack)

    def ask(client: httpx.AsyncClient, method: str, target: str) -> Told:
        return _told(run(client.request(method, target, headers=SAME_ORIGIN)))

    return Site(
        lambda: httpx.AsyncClient(transport=httpx.ASGITransport(guarded), base_url="http://localhost"),
        *_methods(ask),
        guarded,
    )


def _ask_httpx(client: Any, method: str, target: str) -> Told:
    return _told(client.request(method, target, headers=SAME_ORIGIN, follow_redirects=False))


def _told(answer: Any) -> Told:
    return Told(answer.status_code, answer.headers, answer.content)


def _tell_django(request: HttpRequest, at: str = "") -> HttpResponse:
    if at.endswith("broken"):
        raise ZeroDivisionError
    response = JsonResponse(seen(request))
    response.headers["Cache-Control"] = "max-age=60"
    return response


async def _tell_django_async(request: HttpRequest) -> HttpResponse:
    return JsonResponse(seen(request))


class Urls:
    """The URL configuration of the Django project; it breaks at `/dashboard/broken`."""

    urlpatterns: ClassVar[list[Any]] = [
        path("", _tell_django),
        path("async/dashboard", _tell_django_async),
        path("<path:at>", _tell_django),
    ]


@contextmanager
def django_project() -> Iterator[ModuleType]:
    """Django's settings for a while, whatever they were before, and the module in which they find the project."""
    project = ModuleType("guarded_project")
    ours = UserSettingsHolder(global_settings)
    ours.ALLOWED_HOSTS, ours.LOGGING_CONFIG, ours.MIDDLEWARE, ours.ROOT_URLCONF = ["*"], None, [], Urls
    ours.WSGI_APPLICATION = f"{project.__name__}.wsgi_application"
    ours.ASGI_APPLICATION = f"{project.__name__}.asgi_application"
    before, settings._wrapped = settings._wrapped, ours
    sys.modules[project.__name__] = project
    try:
        yield project
    finally:
        settings._wrapped = before
        del sys.modules[project.__name__]


def _django(config: AuthConfig, run: Run, stack: ExitStack) -> Site:
    guarded = WSGIAuthMiddleware(get_wsgi_application(), config)
    _closing(guarded, run, stack)
    vars(sys.modules["guarded_project"])["wsgi_application"] = guarded

    def ask(client: Any, method: str, target: str) -> Told:
        answer = client.generic(method, target, headers=SAME_ORIGIN)
        return Told(answer.status_code, answer.headers, answer.content)

    return Site(Client, *_methods(ask), guarded)


def _django_async(config: AuthConfig, run: Run, stack: ExitStack) -> Site:
    guarded = ASGIAuthMiddleware(get_asgi_application(), config)
    _closing(guarded, run, stack)
    vars(sys.modules["guarded_project"])["asgi_application"] = guarded

    def ask(client: Any, method: str, target: str) -> Told:
        answer = run(client.generic(method, target, headers=SAME_ORIGIN))
        return Told(answer.status_code, answer.headers, answer.content)

    return Site(AsyncClient, *_methods(ask), guarded)


def _methods(ask: Callable[[Any, str, str], Told]) -> tuple[Callable[[Any, str], Told], Callable[[Any, str], Told]]:
    return lambda client, target: ask(client, "GET", target), lambda client, target: ask(client, "POST", target)


def _closing(guarded: ASGIAuthMiddleware | WSGIAuthMiddleware, run: Run, stack: ExitStack) -> None:
    """What a store has opened is closed in the end, as by a server that shuts down."""
    vault = guarded._gate.vault
    if vault is not None:
        stack.callback(lambda: (step if isinstance(guarded, WSGIAuthMiddleware) else run)(vault.close()))


Factory = Callable[[AuthConfig, Run, ExitStack], Site]

# Those of Django need `django_project` around them.
BLOCKING: dict[str, Factory] = {"flask": _flask, "django": _django, "wsgi": _wsgi}
LOOPING: dict[str, Factory] = {
    "starlette": _starlette,
    "fastapi": _fastapi,
    "asgi": _asgi,
    "django_async": _django_async,
}
SITES = BLOCKING | LOOPING
