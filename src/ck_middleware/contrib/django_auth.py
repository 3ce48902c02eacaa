"""This file is Django's `request.user` as a row of its table of users, on WSGI and on ASGI."""

from django.contrib.auth.middleware import RemoteUserMiddleware as WebServerUserMiddleware
from django.http import HttpRequest

from ck_middleware.user import get_user

__all__ = ["RemoteUserMiddleware"]


class RemoteUserMiddleware(WebServerUserMiddleware):  # type: ignore[misc]  # Django has no types
    """Django's own, for its `RemoteUserBackend`: `request.user` is the Django user whose name is our `sub`.

    On WSGI Django's does the same. On ASGI that one looks for a request header, which nobody may send here; this one
    asks the middleware on both.
    """

    def process_request(self, request: HttpRequest) -> None:
        _introduce(request, self.header)
        super().process_request(request)

    async def aprocess_request(self, request: HttpRequest) -> None:
        _introduce(request, f"HTTP_{self.header}")
        await super().aprocess_request(request)


def _introduce(request: HttpRequest, name: str) -> None:
    """Say where Django looks who is there, and that nobody is where nobody is."""
    user = get_user(request)
    request.META.pop(name, None)
    if user.is_authenticated:
        request.META[name] = user.sub
