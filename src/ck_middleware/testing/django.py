"""This file is Django's test clients, which call Django past `wsgi.py` and `asgi.py`, and so past the guard in them.

The guard is put in front of the client's own handler, and with it stay the client's ways: exceptions that are raised in
the test, templates and contexts, CSRF checks that are off. Django is imported when one of its clients is there.
"""

from __future__ import annotations

import copy
from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING, Any, TypeAlias

from ck_middleware.asgi import ASGIAuthMiddleware
from ck_middleware.wrapped import middleware_of
from ck_middleware.wsgi import WSGIAuthMiddleware

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from starlette.types import Message, Receive, Scope, Send

Headers: TypeAlias = "list[tuple[str, str]]"


def is_client(client: object) -> bool:
    return any(kind.__module__ == "django.test.client" for kind in type(client).__mro__)


def guard(client: Any, app: object) -> ASGIAuthMiddleware | WSGIAuthMiddleware:  # noqa: ANN401  # Django ships no types
    """Put the guard of the app, or of the one that the settings name, in front of a client, if it is not there yet.

    Raises `LookupError` when there is none.
    """
    from django.test.client import AsyncClient  # noqa: PLC0415  # where there is a client, there is Django

    handler, is_async = client.handler, isinstance(client, AsyncClient)
    if isinstance(handler, _Guarded):
        if app is None or middleware_of(app) is handler.middleware:
            return handler.middleware
        handler = handler.handler
    kind, setting = (ASGIAuthMiddleware, "ASGI_APPLICATION") if is_async else (WSGIAuthMiddleware, "WSGI_APPLICATION")
    middleware = middleware_of(_named_in(setting) if app is None else app)
    if not isinstance(middleware, kind):
        where = f"the {setting} of the settings" if app is None else "app="
        needed = f"which a {type(client).__name__} of Django needs"
        raise LookupError(f"{where} leads to no {kind.__name__}, {needed}")  # noqa: TRY004  # it was looked for
    client.handler = (_Awaited if is_async else _Called)(middleware, handler)
    return middleware


def _named_in(setting: str) -> object:
    from django.conf import settings  # noqa: PLC0415
    from django.utils.module_loading import import_string  # noqa: PLC0415

    name = getattr(settings, setting, None)
    return import_string(name) if name else None


class _Guarded:
    """A handler of Django's clients, behind the guard. Whatever else they ask it for, the handler has."""

    def __init__(self, middleware: ASGIAuthMiddleware | WSGIAuthMiddleware, handler: Any) -> None:  # noqa: ANN401
        self.middleware = middleware
        self.handler = handler

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self.handler, name)

    def _around(self, app: object) -> Any:  # noqa: ANN401
        """The middleware itself, with its sessions and its settings, around something else."""
        middleware: Any = copy.copy(self.middleware)
        middleware.app = app
        return middleware


class _Called(_Guarded):
    def __call__(self, environ: WSGIEnvironment) -> Any:  # noqa: ANN401
        from django.core.handlers.wsgi import WSGIRequest  # noqa: PLC0415

        responses: list[Any] = []
        told: list[tuple[str, Headers]] = []

        def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            responses.append(response := self.handler(environ))
            start_response(_status(response), list(response.items()))
            return ()

        body = b"".join(self._around(app)(environ, lambda status, headers: told.append((status, headers))))
        ((status, headers),) = told
        if responses:
            return _with_headers(responses[0], headers)
        response = _answer(int(status.partition(" ")[0]), headers, body)
        response.wsgi_request = WSGIRequest(environ)
        return response


class _Awaited(_Guarded):
    async def __call__(self, scope: Scope) -> Any:  # noqa: ANN401
        from django.core.handlers.asgi import ASGIRequest  # noqa: PLC0415

        responses: list[Any] = []
        told: list[Message] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001  # Django's handler reads the scope
            responses.append(response := await self.handler(scope))
            headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.items()]
            await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
            await send({"type": "http.response.body"})

        async def receive() -> Message:
            file = scope.pop("_body_file", None)
            return {"type": "http.request", "body": file.read() if file else b"", "more_body": False}

        async def send(message: Message) -> None:
            told.append(message)

        scope["query_string"] = _octets(scope.get("query_string", b""))
        await self._around(app)(scope, receive, send)
        start, *rest = told
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"]]
        if responses:
            return _with_headers(responses[0], headers)
        response = _answer(start["status"], headers, b"".join(message.get("body", b"") for message in rest))
        response.asgi_request = ASGIRequest(scope, BytesIO())
        return response


def _octets(query: str | bytes) -> bytes:
    return query if isinstance(query, bytes) else query.encode()  # Django's client does not do as ASGI says


def _status(response: Any) -> str:  # noqa: ANN401
    return f"{response.status_code} {response.reason_phrase}"


def _answer(status: int, headers: Headers, body: bytes) -> Any:  # noqa: ANN401
    from django.http import HttpResponse  # noqa: PLC0415

    response = HttpResponse(body, status=status, reason=HTTPStatus(status).phrase)
    del response.headers["Content-Type"]  # which Django has put there, for an answer of its own
    return _with_headers(response, headers)


def _with_headers(response: Any, headers: Headers) -> Any:  # noqa: ANN401
    for name, value in headers:
        if name.lower() == "set-cookie":
            response.cookies.load(value)
        else:
            response.headers[name] = value
    return response
