"""This file is Django's `request.user` without a table of users: the person that the middleware knows."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse

from ck_middleware.user import User, get_user

__all__ = ["Person", "UserMiddleware"]


def _no(*_: object, **__: object) -> bool:
    return False


async def _no_async(*_: object, **__: object) -> bool:
    return False


class Person(User):
    """The `User` of one request, with what code asks for that was written for Django's users.

    Nobody is staff or has a permission: to say that takes a table of users, and `django_auth`. `pk` is the `sub`, not
    `None`, or what an app keeps under it (a cache, a limit) would be one and the same for everybody.
    """

    __slots__ = ("_user",)

    is_staff = is_superuser = False

    def __init__(self, user: User) -> None:
        super().__init__()
        self._user = user

    @property
    def is_authenticated(self) -> bool:
        return self._user.is_authenticated

    @property
    def claims(self) -> Mapping[str, Any]:
        return self._user.claims

    @property
    def is_anonymous(self) -> bool:
        return not self.is_authenticated

    @property
    def is_active(self) -> bool:
        return self.is_authenticated

    @property
    def pk(self) -> str | None:
        return self.sub or None

    id = pk

    @property
    def username(self) -> str:
        return self.sub

    def get_username(self) -> str:
        return self.sub

    def get_full_name(self) -> str:
        return self.name

    def get_short_name(self) -> str:
        return self.name

    has_perm = has_perms = has_module_perms = staticmethod(_no)
    ahas_perm = ahas_perms = ahas_module_perms = staticmethod(_no_async)

    def __str__(self) -> str:
        return self.sub


class UserMiddleware:
    """For `MIDDLEWARE`, on WSGI and on ASGI. It needs no database, no sessions and no `django.contrib.auth`."""

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse | Awaitable[HttpResponse]]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        user = Person(get_user(request))

        async def auser() -> Person:
            return user

        request.user, request.auser = user, auser
        return self.get_response(request)
