"""This file is Django's `request.user` without a table of users: the person that the middleware knows."""

from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse

from ck_middleware.user import User, get_user

__all__ = ["UserMiddleware"]


class UserMiddleware:
    """For `MIDDLEWARE`, on WSGI and on ASGI. It needs no database, no sessions and no `django.contrib.auth`."""

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
