"""This file is how the middleware is found inside an app, for programs that are given the app as a server is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware

from ck_middleware.asgi import ASGIAuthMiddleware
from ck_middleware.wsgi import WSGIAuthMiddleware

if TYPE_CHECKING:
    from collections.abc import Iterator

INSIDE: Final = (  # where frameworks, other middleware and test clients keep what they are made of
    "app",
    "wsgi_app",
    "asgi_app",
    "middleware_stack",
    "application",
    "server",
    "asgi",
    "wsgi",
    "_app",
    "asgi_handler",
    "_transport",
)
DEEPEST: Final = 20  # wrappers around wrappers


def middleware_of(app: object) -> ASGIAuthMiddleware | WSGIAuthMiddleware | None:
    """The outermost middleware of ours that an app says it is made of, and the very one that guards it."""
    for layer in _layers(app):
        if isinstance(layer, ASGIAuthMiddleware | WSGIAuthMiddleware):
            return layer
    return None


def before(app: object) -> list[str]:
    """The middleware of a Starlette app that runs before ours, by name: what strangers reach.

    One for CORS is left out: it may, since it answers preflights, and those carry no cookies.
    """
    names: list[str] = []
    for entry in app.user_middleware if isinstance(app, Starlette) else ():
        made_by: object = entry.cls
        if isinstance(made_by, type) and issubclass(made_by, ASGIAuthMiddleware):
            return names
        if made_by is not CORSMiddleware:
            names.append(getattr(made_by, "__name__", repr(made_by)))
    return []


def _layers(app: object) -> Iterator[object]:
    """The app, and what it says that it is made of, from outside in."""
    seen, waiting = 0, [app]
    while waiting and seen < DEEPEST:
        seen, layer = seen + 1, waiting.pop(0)
        yield layer
        if isinstance(layer, Starlette) and layer.middleware_stack is None:
            # As Starlette itself does at its first request: there is no middleware before.
            layer.middleware_stack = layer.build_middleware_stack()
        waiting += [inner for name in INSIDE if (inner := getattr(layer, name, None)) is not None]
