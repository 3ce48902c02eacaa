"""This file is how a Streamlit page learns who is looking at it.

A page sees nothing of the scope in which the middleware leaves the user: of the WebSocket that it is drawn through,
Streamlit keeps the headers and the cookies. So a handle is put among the headers, of which only this process knows whom
it stands for, and for as long as the WebSocket is open.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final, Unpack

import streamlit as st

from ck_middleware.asgi import ASGIAuthMiddleware
from ck_middleware.errors import AuthError
from ck_middleware.user import User, get_user

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from ck_middleware.config import AuthConfig, Settings

__all__ = ["StreamlitAuthMiddleware", "current_user"]

HANDLE: Final = "ck-middleware-handle"

_users: dict[str, User] = {}


class StreamlitAuthMiddleware(ASGIAuthMiddleware):
    """An `ASGIAuthMiddleware` for `st.App(..., middleware=[Middleware(StreamlitAuthMiddleware)])`."""

    def __init__(self, app: ASGIApp, config: AuthConfig | None = None, **settings: Unpack[Settings]) -> None:
        super().__init__(_Introduced(app), config, **settings)


class _Introduced:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self.app(scope, receive, send)
            return
        handle = secrets.token_urlsafe()  # nobody can guess one, nor is one believed that was not given here
        headers = [(name, value) for name, value in scope["headers"] if name.lower() != HANDLE.encode()]
        scope["headers"] = [*headers, (HANDLE.encode(), handle.encode())]
        _users[handle] = get_user(scope)
        try:
            await self.app(scope, receive, send)
        finally:
            del _users[handle]


def current_user() -> User:
    """Who is looking at this page. Raises `AuthError` where the app was not wrapped."""
    user = _users.get(st.context.headers.get(HANDLE, ""))
    if user is None:
        raise AuthError("this page is not looked at through StreamlitAuthMiddleware: start the app that is wrapped")
    return user
