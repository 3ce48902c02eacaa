"""Log people in with ConsentKeys, in any WSGI or ASGI application, by wrapping it."""

import importlib as _importlib
from typing import TYPE_CHECKING

from ck_middleware.config import AuthConfig
from ck_middleware.errors import AuthError, ConfigError
from ck_middleware.session import get_session
from ck_middleware.user import User, get_user

__all__ = [
    "ASGIAuthMiddleware",
    "AuthConfig",
    "AuthError",
    "ConfigError",
    "User",
    "WSGIAuthMiddleware",
    "get_session",
    "get_user",
]

if TYPE_CHECKING:
    from ck_middleware.asgi import ASGIAuthMiddleware
    from ck_middleware.wsgi import WSGIAuthMiddleware
else:  # an app has one face, and does not wait for what the other needs (PEP 562)
    _FACES = {"ASGIAuthMiddleware": "ck_middleware.asgi", "WSGIAuthMiddleware": "ck_middleware.wsgi"}

    def __getattr__(name: str) -> object:
        if name not in _FACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        face = globals()[name] = getattr(_importlib.import_module(_FACES[name]), name)
        return face

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
