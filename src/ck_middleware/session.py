"""This file is a stored session as the app meets it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, overload

from ck_middleware.errors import ConfigError
from ck_middleware.ports import step
from ck_middleware.user import carried_by

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, MutableMapping

KEY: Final = "ck_middleware.session"  # in the scope and the environ


@dataclass(frozen=True, slots=True)
class Found:
    """The session that a request belongs to, for the face that hands it to the app."""

    id: str
    name: str  # what the store calls it
    claims: bytes = field(repr=False)
    ends_at: float
    # `None` unless tokens are kept.
    token: Callable[[], Coroutine[Any, Any, str | None]] | None = field(repr=False)
    # Whether the session stands, asked of the provider when that is due; `None` when it never is.
    stands: Callable[[], Coroutine[Any, Any, bool]] | None = field(default=None, repr=False)


class Session:
    """One login, as the store has it. `id` names it in lists and logs; it is not what stands in the cookie."""

    __slots__ = ("_claims", "_found")

    def __init__(self, found: Found) -> None:
        self._found = found

    @property
    def claims(self) -> Mapping[str, Any]:
        """What the provider said of the person, as far as it is kept, read-only; decoded when someone asks."""
        try:
            return self._claims
        except AttributeError:  # the first time
            self._claims: Mapping[str, Any] = MappingProxyType(json.loads(self._found.claims))
        return self._claims

    @property
    def id(self) -> str:
        """What names the session in lists and logs. It opens nothing."""
        return self._found.id

    @property
    def expires_at(self) -> int:
        """When the session ends at the latest, in seconds since the epoch."""
        return int(self._found.ends_at)

    def _token(self) -> Coroutine[Any, Any, str | None]:
        if self._found.token is None:
            raise ConfigError(["keep_tokens: access_token() needs keep_tokens=True and a store"])
        return self._found.token()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}>"


class AsyncSession(Session):
    """A session behind `ASGIAuthMiddleware`."""

    __slots__ = ()

    async def access_token(self) -> str | None:
        """A token that works for a minute yet (or half its life), refreshed first when need be (RFC 6749, 6).

        `None` when there is none any more: the provider has answered `invalid_grant`, and the session is over. Raises
        `ConfigError` without `keep_tokens`, and another `AuthError` when the token has ended and neither the provider
        nor the store can be asked now.
        """
        return await self._token()


class BlockingSession(Session):
    """A session behind `WSGIAuthMiddleware`."""

    __slots__ = ()

    def access_token(self) -> str | None:
        """The same as `AsyncSession.access_token`, without `await`."""
        return step(self._token())


class HasScope(Protocol):
    """A request of an ASGI framework."""

    @property
    def scope(self) -> MutableMapping[str, Any]: ...


class HasEnviron(Protocol):
    """A request of a WSGI framework."""

    @property
    def environ(self) -> dict[str, Any]: ...


AnySession: TypeAlias = AsyncSession | BlockingSession


@overload
def get_session(request: HasScope) -> AsyncSession | None: ...
@overload
def get_session(request: HasEnviron) -> BlockingSession | None: ...
@overload
def get_session(request: object) -> Any: ...  # noqa: ANN401  # a scope, an environ, or a request that types say nothing of


def get_session(request: object) -> AnySession | None:
    """The stored session of a request, or `None` for someone not logged in, and where no store is configured.

    Takes what `get_user` takes, and is never awaited itself. Raises `AuthError` when the request did not come through
    the middleware.
    """
    session: AnySession | None = carried_by(request).get(KEY)
    return session
