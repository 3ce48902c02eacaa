"""This file is the person as the app meets them."""

import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from starlette.authentication import BaseUser

from ck_middleware.errors import AuthError

KEY: Final = "ck_middleware.user"  # in the scope and the environ; no request header can spell it

SUB_FIRST: Final = b'{"sub":"'  # how claims begin where we wrote them
BACKSLASH: Final = ord("\\")  # as a number: bytes are looked for in bytes in a roundabout way

_decode: Final = json.JSONDecoder().raw_decode


class User(BaseUser):
    """Who is there, for one request. Someone who is not logged in has no claims and `is_authenticated` false.

    The identity of a person is (`issuer`, `sub`), a pseudonym that only this app sees. Name and e-mail may change.
    """

    __slots__ = ("_claims", "_encoded")

    def __init__(self, encoded: bytes = b"") -> None:
        """`encoded` is the claims as a JSON object, decoded when someone asks; empty for someone not logged in."""
        self._encoded = encoded

    @property
    def is_authenticated(self) -> bool:
        """Whether somebody is logged in."""
        return bool(self._encoded)

    @property
    def claims(self) -> Mapping[str, Any]:
        """Every claim that was kept (OpenID Connect Core 1.0, 5.1), read-only; empty for someone not logged in.

        Decoded anew for each request: nothing is shared between two.
        """
        try:
            return self._claims
        except AttributeError:  # the first time
            self._claims: Mapping[str, Any] = MappingProxyType(
                _decode(self._encoded.decode())[0] if self._encoded else {}
            )
        return self._claims

    @property
    def sub(self) -> str:
        """The pseudonym, never empty for somebody who is logged in (OpenID Connect Core 1.0, 2)."""
        return self._text("sub")

    @property
    def issuer(self) -> str:
        """The provider that knows the person by this `sub`: the claim `iss`."""
        return self._text("iss")

    @property
    def name(self) -> str:
        """The claim `name`, or an empty text when the provider did not say it. It may change, and is no key."""
        return self._text("name")

    @property
    def email(self) -> str:
        """The claim `email`, or an empty text when the provider did not say it. It may change, and is no key."""
        return self._text("email")

    @property
    def display_name(self) -> str:
        """Something to greet a person by: the name, else the preferred user name, else the e-mail, else `sub`."""
        return self.name or self._text("preferred_username") or self.email or self.sub

    @property
    def identity(self) -> str:
        """The same as `sub`, under Starlette's name for it."""
        return self.sub

    def _text(self, claim: str) -> str:
        value = self.claims.get(claim)
        return value if isinstance(value, str) else ""

    def __getstate__(self) -> object:
        """Without the claims that were decoded, which cannot be pickled: a copy decodes them anew."""
        state = super().__getstate__()
        if isinstance(state, tuple):
            state[1].pop("_claims", None)
        return state

    def __repr__(self) -> str:
        return f"<User {self.sub}>" if self.is_authenticated else "<User anonymous>"


def sub_of(encoded: bytes) -> str:
    """Who the claims are of, without decoding the others where `sub` stands first."""
    if encoded[: len(SUB_FIRST)] == SUB_FIRST:
        sub = encoded[len(SUB_FIRST) : encoded.find(b'"', len(SUB_FIRST))]
        if BACKSLASH not in sub:  # else something in it is escaped, a quotation mark perhaps
            return sub.decode()
    return User(encoded).sub


NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class Anonymous(User):
    """Someone not logged in. There is nothing to remember, so that making one costs next to nothing."""

    __slots__ = ()
    __init__ = object.__init__

    @property
    def is_authenticated(self) -> bool:
        return False

    @property
    def claims(self) -> Mapping[str, Any]:
        return NOTHING


class Known(User):
    """Somebody logged in. To make one by `__init__` takes twice as long."""

    __slots__ = ()
    __init__ = object.__init__


def somebody(encoded: bytes) -> User:
    """The user of one request."""
    user: User = Known()
    user._encoded = encoded  # noqa: SLF001  # of the class above
    return user


def get_user(request: object) -> User:
    """The user of a request: of an ASGI scope, a WSGI environ, or any framework's request object that carries one.

    A request object carries one as `.scope`, `.environ`, `.env` or `.META`. Someone not logged in is a `User` too.
    Raises `AuthError` when there is none, because the request did not come through the middleware.
    """
    user: User = carried_by(request)[KEY]
    return user


def carried_by(request: object) -> Mapping[str, Any]:
    """The scope or environ in which the middleware left what it knows of a request. Raises `AuthError` without one."""
    for carrier in _carriers(request):
        if isinstance(carrier, Mapping) and isinstance(carrier.get(KEY), User):
            return carrier
    raise AuthError(
        f"this {type(request).__name__} did not come through the middleware, so it has no user: "
        "wrap the app in ASGIAuthMiddleware or WSGIAuthMiddleware"
    )


def _carriers(request: object) -> Iterator[object]:
    """What may carry a user. One after another, since to ask Flask's `request` for what it has not is dear."""
    yield request
    for name in ("environ", "scope", "env", "META"):
        yield getattr(request, name, None)
