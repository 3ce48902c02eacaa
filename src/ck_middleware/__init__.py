"""Log people in with ConsentKeys, in any WSGI or ASGI application, by wrapping it."""

from ck_middleware.asgi import ASGIAuthMiddleware
from ck_middleware.config import AuthConfig
from ck_middleware.errors import AuthError, ConfigError
from ck_middleware.session import get_session
from ck_middleware.user import User, get_user
from ck_middleware.wsgi import WSGIAuthMiddleware

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
