"""This file is Flask-Login's `current_user` and `login_required`, as told by the middleware."""

from typing import Any
from urllib.parse import quote, urlencode

from flask import Flask, redirect, request
from flask_login import LoginManager as SessionLoginManager
from flask_login import UserMixin
from flask_login.signals import user_unauthorized
from werkzeug.wrappers import Response

from ck_middleware.user import User, get_user

__all__ = ["LoginManager"]


class LoginManager(SessionLoginManager):  # type: ignore[misc]  # Flask-Login has no types
    """In place of Flask-Login's own. It believes the middleware alone: no Flask session, and no remember cookie.

    `auth_prefix` is that of the middleware.
    """

    def __init__(self, app: Flask | None = None, *, auth_prefix: str = "/auth") -> None:
        self._auth_prefix = auth_prefix
        super().__init__(app)

    def _load_user(self) -> None:
        # Flask-Login asks its cookies first, and a stale one would hide who is there from a `request_loader`.
        user = get_user(request)
        self._update_request_context_with_user(CurrentUser(user) if user.is_authenticated else None)

    def unauthorized(self) -> Response:
        """What `login_required` answers strangers on a path that the middleware leaves open: the way to the login."""
        user_unauthorized.send(request)
        login = f"{request.script_root}{self._auth_prefix}/login"
        if request.method not in {"GET", "HEAD"}:  # a post cannot be repeated
            return redirect(login, 303)
        query = request.query_string.decode("latin-1")
        here = quote(f"{request.script_root}{request.path}") + (f"?{query}" if query else "")
        return redirect(f"{login}?{urlencode({'next': here})}", 303)


class CurrentUser(UserMixin):  # type: ignore[misc]
    """A `ck_middleware.User` with what Flask-Login asks of one besides."""

    def __init__(self, user: User) -> None:
        self._user = user

    def get_id(self) -> str:
        return self._user.sub

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # whatever a User has
        return getattr(self._user, name)
