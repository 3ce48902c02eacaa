"""This file is what travels through the gate: a request that looks alike on both faces, and the two answers to it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, final

from ck_middleware.user import User

if TYPE_CHECKING:
    from ck_middleware.session import Found


class Request(ABC):
    """One request as the core sees it. Each face makes its own kind, and undoes its own server's spelling.

    `path` is what the app's router will see, decoded, and `mount` is what stands before the app in its public address:
    on ASGI, where servers differ, it may stand at the head of `path` too. `cookies` is every `Cookie` field there was,
    joined with `; `.
    """

    __slots__ = ("cookies", "is_websocket", "method", "mount", "path", "query", "raw_path")

    cookies: bytes
    is_websocket: bool
    method: str
    mount: str
    path: str
    query: bytes
    raw_path: bytes | None

    @abstractmethod
    def header(self, name: str) -> str:
        """The value of a request header by its lower-case name, several joined with a comma, or an empty text."""

    @abstractmethod
    async def body(self, limit: int) -> bytes | None:
        """The body, or `None` when it is longer than `limit` bytes or does not arrive whole."""


@final  # so that `type(outcome) is Response` tells it from a `Pass`, at less than `isinstance` costs
@dataclass(frozen=True, slots=True)
class Response:
    """Our own answer. The app is not called."""

    status: int
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)
    cookies: tuple[str, ...] = field(default=(), repr=False)  # values of Set-Cookie, one header each


@final
@dataclass(slots=True, repr=False)  # `Final` instead of frozen, by which one would be four times as dear to make
class Pass:
    """On to the app. `claims` and `sub` are the person's, and empty for nobody; `cookies` are for the response.

    It is remembered and used for many requests, so nothing in it may be changed, and it holds no user: what one request
    decodes and an app then changes must not be there for the next.
    """

    claims: Final[bytes] = b""  # as JSON
    sub: Final[str] = ""
    cookies: Final[tuple[str, ...]] = ()
    session: Final[Found | None] = None  # of a stored session
    ends_at: Final[float] = math.inf  # when the session ends at the latest, in seconds since the epoch
    idle_ends_at: Final[float] = math.inf  # when it ends if nobody uses it; told by `Sessions.look`

    @property
    def user(self) -> User:
        """A new one each time."""
        return User(self.claims)

    def __repr__(self) -> str:
        return f"<Pass {self.sub}>"  # neither claims nor cookies


NOBODY = Pass()
