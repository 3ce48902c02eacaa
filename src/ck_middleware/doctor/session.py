"""This file is the session of somebody who has just logged in, for programs that show what comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ck_middleware.cookies import Attributes
from ck_middleware.ports import step
from ck_middleware.sessions import SealedSessions
from ck_middleware.tokens import Login, Tokens
from ck_middleware.wsgi import WSGIRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ck_middleware.config import AuthConfig


def cookie(config: AuthConfig, claims: Mapping[str, Any]) -> str:
    """`name=value` of the cookie that somebody has of whom the provider said this, where no store is."""
    sessions = SealedSessions(config, Attributes(secure=config.secure))
    (header,) = step(sessions.start(Login(dict(claims), Tokens("-")), WSGIRequest({"REQUEST_METHOD": "GET"})))
    return header.partition(";")[0]
