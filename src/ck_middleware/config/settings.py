"""This file is what each setting means: the keywords of both middlewares and of `AuthConfig`, as a user may pass them.

What stands under a setting here is its line in docs/settings.md. What becomes of it is in `table`.
"""

from collections.abc import Sequence
from datetime import timedelta
from os import PathLike
from typing import TypeAlias, TypedDict

from ck_middleware.events import Listener
from ck_middleware.observing import Observer
from ck_middleware.pages.page import OwnPages

Duration: TypeAlias = float | str | timedelta  # seconds, or text such as 30s, 15m, 8h, 7d
Words: TypeAlias = str | Sequence[str]  # a list, or one text with commas between


class Settings(TypedDict, total=False):
    """Every setting as a user may pass it."""

    client_id: str
    """The client id of the app, from the Developer Portal."""
    client_secret: str | None
    """The client secret of the app. Needed unless `client_auth` is `none`."""
    client_auth: str
    """How the app proves itself to the token endpoint (OpenID Connect Core 1.0, 9): `client_secret_post`,
    `client_secret_basic`, or `none` for a public client."""
    session_secret: Words
    """At least 32 random bytes, from which the keys of cookies and stored sessions are derived. Several rotate: the
    first seals, all of them open. A secret has no comma in it."""
    issuer: str
    """The provider's issuer, or the full address of its discovery document (OpenID Connect Discovery 1.0, 4)."""
    authorization_endpoint: str | None
    """Where people are sent to log in. One that is given wins over discovery; when this, `token_endpoint`,
    `userinfo_endpoint` and `jwks_uri` are all given, discovery is not asked."""
    token_endpoint: str | None
    """Where the code is redeemed."""
    userinfo_endpoint: str | None
    """Where the claims of a person are asked for."""
    jwks_uri: str | None
    """Where the provider's keys are."""
    end_session_endpoint: str | None
    """Where people are sent to log out of the provider too (OpenID Connect RP-Initiated Logout 1.0). Not needed."""
    id_token_algorithms: Words
    """The algorithms in which an ID token may be signed (RFC 7518, 3.1); asymmetric ones only."""
    allow_missing_nonce: bool
    """Take an ID token that has no nonce, for a provider that drops it; PKCE still binds the login. A wrong one is
    never taken."""
    scope: str
    """The scopes to ask for, with spaces between; `openid` is one of them."""
    userinfo: bool
    """Ask the userinfo endpoint too, and add what it says once its `sub` is the one of the ID token."""
    base_url: str | None
    """The public address of the app, with its mount, such as `https://app.example`. Without it people can log in at
    `localhost`, `127.0.0.1` and `[::1]` only."""
    redirect_uri: str | None
    """The redirect URI as it is registered, to the letter. Its path is where the callback is served."""
    auth_prefix: str
    """Below which path the middleware's own routes are."""
    protect: Words
    """Prefixes that need a login, in any letter case: `/api` covers `/api` and `/api/x`, not `/apix`."""
    public: Words | None
    """What is open, over `protect`: an entry that ends in `/` is all below it, any other one is that one path, and `/`
    is the home page alone."""
    api: Words
    """Prefixes under which strangers get a 401 and are never redirected."""
    after_login: str
    """The path of the app where people land who were not on their way to another."""
    after_logout: str
    """The path of the app where people land who have logged out."""
    session_lifetime: Duration
    """How long a login lasts at most."""
    idle_timeout: Duration
    """How long a session lasts without a request."""
    login_lifetime: Duration
    """How long a login may take, from leaving for the provider to coming back."""
    store: object
    """Where sessions are kept: `cookie`, `sqlite:///relative`, `sqlite:////absolute`, `redis://host/0`, or a store
    object of yours."""
    keep_tokens: bool
    """Keep the person's tokens in the store, for `Session.access_token()`. Needs a store."""
    recheck: Duration | None
    """How often the provider has to confirm a session; the request that finds it due waits for that, `timeout` at
    most. Needs a store."""
    on_event: Listener | None
    """A function that is told of logins, refreshes, logouts and ends; it takes one `Event`."""
    observers: Sequence[Observer]
    """Functions that are told of everything that happens, and never whom it happened to: metrics, traces. Each takes
    one `Observation`, is called at once, and must not block."""
    app_name: str | None
    """What people know the app as. It stands on the middleware's own pages."""
    pages: PathLike[str] | str | OwnPages | None
    """The app's own pages in place of the middleware's: a folder of templates, or a function that takes a `Page` and
    gives HTML, or `None` for ours."""
    claims: Words | None
    """The claims to keep, by name; the rest is dropped before anything is stored. `sub` and `iss` stay."""
    leeway: Duration
    """By how much clocks may differ when the times in an ID token are judged; at most 60 seconds."""
    timeout: Duration
    """How long one whole call to the provider may take."""
