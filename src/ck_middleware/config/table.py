"""This file is `AuthConfig`, a table: one line a setting, with its normalised type, the reader that makes it, its
environment variables (the first that is set counts) and its default. What each means is in `settings`.
"""

import difflib
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from functools import cached_property
from types import EllipsisType
from typing import Final, Self, TypeVar, Unpack, cast

from ck_middleware.config import readers, values
from ck_middleware.config.place import Place, place
from ck_middleware.config.settings import Settings
from ck_middleware.config.values import faults_of
from ck_middleware.errors import ConfigError
from ck_middleware.events import Listener
from ck_middleware.observing import Observer
from ck_middleware.pages.page import OwnPages

OURS: Final = ("CONSENTKEYS_", "SESSION_SECRET")  # what names of environment variables of ours begin with

NEEDS_STORE: Final = (
    "needs a store; set store (CONSENTKEYS_STORE), such as sqlite:///sessions.db or redis://localhost/0"
)

NOTHING: Final = (None, "", ())  # the defaults for which a user may also write None

T = TypeVar("T")


def _setting(
    read: Callable[[object], T], *environment: str, default: T | EllipsisType = ..., secret: bool = False
) -> T:
    """Declare one line of the table. A default stands there as it is, and is not read; without one it is required."""
    metadata = {"read": read, "environment": environment, "default": default}
    return cast("T", field(repr=not secret, metadata=metadata))  # `field` too claims to be what the field will hold


@dataclass(frozen=True, init=False)
class AuthConfig:
    """Every setting, checked and normalised: durations are seconds, lists are tuples. It never changes.

    Raises `ConfigError` with all faults at once.
    """

    client_id: str = _setting(readers.credential, "CONSENTKEYS_CLIENT_ID")
    client_secret: str = _setting(readers.client_secret, "CONSENTKEYS_CLIENT_SECRET", default="", secret=True)
    client_auth: str = _setting(readers.client_auth, "CONSENTKEYS_CLIENT_AUTH", default="client_secret_post")
    session_secret: tuple[str, ...] = _setting(readers.session_secrets, "SESSION_SECRET", secret=True)
    issuer: str = _setting(
        readers.issuer,
        "CONSENTKEYS_ISSUER",
        "CONSENTKEYS_ISSUER_URL",
        "CONSENTKEYS_DISCOVERY_URL",
        "CONSENTKEYS_BASE_URL",
        default="https://pseudoidc.consentkeys.com",
    )
    authorization_endpoint: str | None = _setting(readers.url, "CONSENTKEYS_AUTHORIZATION_ENDPOINT", default=None)
    token_endpoint: str | None = _setting(readers.url, "CONSENTKEYS_TOKEN_ENDPOINT", default=None)
    userinfo_endpoint: str | None = _setting(readers.url, "CONSENTKEYS_USERINFO_ENDPOINT", default=None)
    jwks_uri: str | None = _setting(readers.url, "CONSENTKEYS_JWKS_URI", default=None)
    end_session_endpoint: str | None = _setting(readers.url, "CONSENTKEYS_END_SESSION_ENDPOINT", default=None)
    id_token_algorithms: tuple[str, ...] = _setting(readers.algorithms, default=("RS256",))
    allow_missing_nonce: bool = _setting(values.flag, "CONSENTKEYS_ALLOW_MISSING_NONCE", default=False)
    scope: str = _setting(readers.scope, "CONSENTKEYS_SCOPE", default="openid profile email")
    userinfo: bool = _setting(values.flag, "CONSENTKEYS_USERINFO", default=True)
    base_url: str | None = _setting(readers.base_url, "CONSENTKEYS_APP_URL", default=None)
    redirect_uri: str | None = _setting(
        readers.url, "CONSENTKEYS_REDIRECT_URI", "CONSENTKEYS_REDIRECT_URL", default=None
    )
    auth_prefix: str = _setting(readers.auth_prefix, "CONSENTKEYS_AUTH_PREFIX", default="/auth")
    protect: tuple[str, ...] = _setting(readers.protect, "CONSENTKEYS_PROTECT", default=("/",))
    public: tuple[str, ...] = _setting(readers.public, "CONSENTKEYS_PUBLIC", default=())
    api: tuple[str, ...] = _setting(readers.api, "CONSENTKEYS_API", default=("/api",))
    after_login: str = _setting(readers.path_here, "CONSENTKEYS_AFTER_LOGIN", default="/")
    after_logout: str = _setting(readers.path_here, "CONSENTKEYS_AFTER_LOGOUT", default="/")
    session_lifetime: float = _setting(values.duration, "CONSENTKEYS_SESSION_LIFETIME", default=24 * 3600.0)
    idle_timeout: float = _setting(values.duration, "CONSENTKEYS_IDLE_TIMEOUT", default=2 * 3600.0)
    login_lifetime: float = _setting(values.duration, default=30 * 60.0)  # a magic link lives 15 min; people take time
    store: object = _setting(readers.store, "CONSENTKEYS_STORE", default=cast("object", "cookie"), secret=True)
    keep_tokens: bool = _setting(values.flag, default=False)
    recheck: float | None = _setting(values.duration, "CONSENTKEYS_RECHECK", default=None)
    on_event: Listener | None = _setting(readers.listener, default=None)  # noqa: RUF009  # as every line here
    observers: tuple[Observer, ...] = _setting(readers.observers, default=())
    app_name: str | None = _setting(readers.app_name, "CONSENTKEYS_APP_NAME", default=None)
    pages: OwnPages | None = _setting(readers.pages, "CONSENTKEYS_PAGES", default=None)  # noqa: RUF009  # as above
    claims: tuple[str, ...] | None = _setting(values.words, "CONSENTKEYS_CLAIMS", default=None)
    leeway: float = _setting(readers.leeway, default=60.0)
    timeout: float = _setting(values.duration, default=10.0)

    def __init__(self, **settings: Unpack[Settings]) -> None:
        faults = {setting.name: faults_of(self._take, setting, settings) for setting in fields(self)}
        faults |= self._conflicts({name for name, sentences in faults.items() if sentences})
        unknown = {name: _unknown(name, faults) for name in settings if name not in faults}
        problems = [_problem(name, text) for name, texts in (unknown | faults).items() for text in texts]
        if problems:
            raise ConfigError(problems)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ, /, **settings: Unpack[Settings]) -> Self:
        """Read what the environment says, with `settings` laid over it. An empty variable counts as absent."""
        texts = {setting.name: _first(environ, setting.metadata["environment"]) for setting in fields(cls)}
        found = {name: text for name, text in texts.items() if text}
        return cls(**cast("Settings", found | settings))  # the readers make of every text what it has to be

    @property
    def origin(self) -> str | None:
        """Scheme, host and port (unless it is the usual one) under which people see the app, when the settings say."""
        return self._place.origin

    @property
    def mount(self) -> str:
        """What stands before the app's own paths in its public address; empty, or a path without a trailing slash."""
        return self._place.mount

    @property
    def callback_path(self) -> str:
        """Where the provider sends people back to, decoded, and relative to the mount."""
        return self._place.callback_path

    @property
    def address(self) -> str | None:
        """`origin` and `mount`: the public address of the app, without a trailing slash."""
        return self.origin + self.mount if self.origin else None

    @property
    def has_store(self) -> bool:
        """Whether sessions are kept in a store, and not in their cookie."""
        return self.store != "cookie"

    @property
    def client(self) -> str:
        """Whose sessions these are: subs of another issuer or client are other people."""
        return f"{self.issuer} {self.client_id}"

    @property
    def secure(self) -> bool:
        """Whether the app is known to be served over https."""
        return self.origin is not None and self.origin.startswith("https:")

    @cached_property
    def _place(self) -> Place:
        return place(self.base_url, self.redirect_uri, self.auth_prefix)

    def _take(self, setting: Field[object], given: Mapping[str, object]) -> None:
        default = setting.metadata["default"]
        value = given.get(setting.name, None if default is ... else default)
        if value is None and default in NOTHING:
            value = default
        if value is not default:
            value = setting.metadata["read"](value)
        object.__setattr__(self, setting.name, value)

    def _conflicts(self, refused: Collection[str]) -> dict[str, tuple[str, ...]]:
        """Find what is wrong between settings that are right one by one. Those already refused are left out."""
        found: dict[str, tuple[str, ...]] = {}
        is_public = "client_auth" not in refused and self.client_auth == "none"
        if "client_secret" not in refused and not self.client_secret and not is_public:
            found["client_secret"] = (f"is missing; {readers.PORTAL}, or set client_auth to none for a public client",)
        if "store" not in refused and self.store == "cookie":
            found |= {name: (NEEDS_STORE,) for name in ("keep_tokens", "recheck") if getattr(self, name, None)}
        if {"base_url", "redirect_uri", "auth_prefix"}.isdisjoint(refused):
            found["redirect_uri"] = faults_of(place, self.base_url, self.redirect_uri, self.auth_prefix)
        return found


def unread(environ: Mapping[str, str]) -> dict[str, str]:
    """Variables that look as if they were meant for us and are read by nobody, each with the name it looks like."""
    known = [name for setting in fields(AuthConfig) for name in setting.metadata["environment"]]
    ours = [name for name in sorted(environ) if name.upper().startswith(OURS) and name not in known]
    return {name: "".join(difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.8)) for name in ours}


def _first(environ: Mapping[str, str], names: Sequence[str]) -> str:
    return next((text for name in names if (text := environ.get(name, "").strip())), "")


def _unknown(name: str, known: Collection[str]) -> tuple[str, ...]:
    near = difflib.get_close_matches(name, known, n=1)
    return (f"is not a setting; did you mean {near[0]}?" if near else "is not a setting; take it out",)


def _problem(name: str, sentence: str) -> str:
    setting = AuthConfig.__dataclass_fields__.get(name)
    variables = " or ".join(setting.metadata["environment"]) if setting else ""
    return f"{name} ({variables}): {sentence}" if variables else f"{name}: {sentence}"
