"""This file is FastAPI's way to ask for the user: by the type of a parameter."""

from typing import Annotated, Any, Final

from fastapi import Depends, HTTPException, Security, WebSocketException, status
from fastapi.security import APIKeyCookie
from pydantic import BaseModel, Field
from starlette.requests import HTTPConnection

from ck_middleware.gate import CHALLENGE
from ck_middleware.user import User, get_user

__all__ = ["UNAUTHORIZED", "CurrentUser", "OptionalUser"]

REFUSAL: Final = "Authentication required"

# What the OpenAPI document says of a route that asks for a user. The middleware has read the cookie long before.
_session = APIKeyCookie(
    name="ck_session",
    scheme_name="ConsentKeys",
    description="A login, begun at `/auth/login`. At an https address the cookie is called `__Host-ck_session`.",
    auto_error=False,
)


class LoginNeeded(BaseModel):
    """What the middleware answers on a protected path."""

    error: str = Field(examples=[REFUSAL])
    login_url: str = Field(examples=["/auth/login?next=%2Fapi%2Fdata"])


class UserNeeded(BaseModel):
    """What `CurrentUser` answers on a path that is open to everybody."""

    detail: str = Field(examples=[REFUSAL])


# For `responses=` of a route, a router or the app: FastAPI takes nothing about answers from a dependency.
UNAUTHORIZED: Final[dict[int | str, dict[str, Any]]] = {
    401: {"model": LoginNeeded | UserNeeded, "description": "Nobody is logged in"}
}


async def optional_user(connection: HTTPConnection) -> User | None:
    """Whoever is logged in. Raises `AuthError` where there is no middleware."""
    user = get_user(connection)
    return user if user.is_authenticated else None


async def current_user(
    connection: HTTPConnection,
    user: Annotated[User | None, Depends(optional_user)],
    _: Annotated[str | None, Security(_session)],
) -> User:
    """Who is logged in. Answers 401 when nobody is, and a WebSocket is refused."""
    if user is not None:
        return user
    if connection.scope["type"] == "websocket":
        raise WebSocketException(status.WS_1008_POLICY_VIOLATION, REFUSAL)
    # New each time: an app's exception handler may write to it, and that is not for the next one who is refused.
    raise HTTPException(status.HTTP_401_UNAUTHORIZED, REFUSAL, dict([CHALLENGE]))


CurrentUser = Annotated[User, Depends(current_user)]
OptionalUser = Annotated[User | None, Depends(optional_user)]
