"""This file is Django's `request.user`, in two ways: as the person that the middleware knows, or as a row of a table.

Both are for `MIDDLEWARE`, on WSGI and on ASGI.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.contrib.auth.middleware import RemoteUserMiddleware as WebServerUserMiddleware
from django.http import HttpRequest, HttpResponse

from ck_middleware.user import User, get_user

__all__ = ["RemoteUserMiddleware", "UserMiddleware"]


class UserMiddleware:
    """`request.user` is a `ck_middleware.User`. It needs no database, no sessions and no `django.contrib.auth`."""

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse | Awaitable[HttpResponse]]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        user = get_user(request)

        async def auser() -> User:
            return user

        request.user, request.auser = user, auser
        return self.get_response(request)


class RemoteUserMiddleware(WebServerUserMiddleware):  # type: ignore[misc]  # Django has no types
    """Django's own, for `RemoteUserBackend`: `request.user` is the Django user whose name is our `sub`.

    On WSGI Django's does the same. On ASGI that one believes a request header; this one, nothing but the middleware.
    """

    def process_request(self, request: HttpRequest) -> None:
        _introduce(request, self.header)
        super().process_request(request)

    async def aprocess_request(self, request: HttpRequest) -> None:
        _introduce(request, f"HTTP_{self.header}")
        await super().aprocess_request(request)


def _introduce(request: Any, name: str) -> None:  # noqa: ANN401  # Django has no types
    """Say where Django looks who is there, and that nobody is where nobody is."""
    user = get_user(request)
    request.META.pop(name, None)
    if user.is_authenticated:
        request.META[name] = user.sub
