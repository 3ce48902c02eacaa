"""This file is settings that are right but for what a test changes, and what is said of those that are wrong."""

from collections.abc import Mapping
from typing import Unpack, cast

import pytest

from ck_middleware.config import AuthConfig, Settings
from ck_middleware.errors import ConfigError

SECRET = "k3y-" * 8
CLIENT_SECRET = "s3cret-of-the-client"
NEEDED: Settings = {"client_id": "ck_1234", "client_secret": CLIENT_SECRET, "session_secret": SECRET}
ENVIRONMENT = {
    "CONSENTKEYS_CLIENT_ID": "ck_1234",
    "CONSENTKEYS_CLIENT_SECRET": CLIENT_SECRET,
    "SESSION_SECRET": SECRET,
}
HOME = "https://app.example.com"
URLS = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri", "end_session_endpoint")

# What every setting is called in the environment, as docs/settings.md promises it, with a value and what is made of it.
VARIABLES: tuple[tuple[str, str, str, object], ...] = (
    ("client_id", "CONSENTKEYS_CLIENT_ID", "ck_5", "ck_5"),
    ("client_secret", "CONSENTKEYS_CLIENT_SECRET", "other", "other"),
    ("client_auth", "CONSENTKEYS_CLIENT_AUTH", "client_secret_basic", "client_secret_basic"),
    ("session_secret", "SESSION_SECRET", f"{'n' * 32}, {SECRET}", ("n" * 32, SECRET)),
    ("issuer", "CONSENTKEYS_ISSUER", "https://a.example/", "https://a.example/"),
    ("issuer", "CONSENTKEYS_ISSUER_URL", "https://b.example", "https://b.example"),
    (
        "issuer",
        "CONSENTKEYS_DISCOVERY_URL",
        "https://c.example/.well-known/openid-configuration",
        "https://c.example",
    ),
    ("issuer", "CONSENTKEYS_BASE_URL", "https://d.example", "https://d.example"),
    ("authorization_endpoint", "CONSENTKEYS_AUTHORIZATION_ENDPOINT", "https://a.example/1", "https://a.example/1"),
    ("token_endpoint", "CONSENTKEYS_TOKEN_ENDPOINT", "https://a.example/2", "https://a.example/2"),
    ("userinfo_endpoint", "CONSENTKEYS_USERINFO_ENDPOINT", "https://a.example/3", "https://a.example/3"),
    ("jwks_uri", "CONSENTKEYS_JWKS_URI", "https://a.example/4", "https://a.example/4"),
    ("end_session_endpoint", "CONSENTKEYS_END_SESSION_ENDPOINT", "https://a.example/5", "https://a.example/5"),
    ("allow_missing_nonce", "CONSENTKEYS_ALLOW_MISSING_NONCE", "true", True),
    ("scope", "CONSENTKEYS_SCOPE", "openid email", "openid email"),
    ("userinfo", "CONSENTKEYS_USERINFO", "off", False),
    ("base_url", "CONSENTKEYS_APP_URL", f"{HOME}/", HOME),
    ("redirect_uri", "CONSENTKEYS_REDIRECT_URI", f"{HOME}/back/", f"{HOME}/back/"),
    ("redirect_uri", "CONSENTKEYS_REDIRECT_URL", f"{HOME}/back", f"{HOME}/back"),
    ("auth_prefix", "CONSENTKEYS_AUTH_PREFIX", "/login/", "/login"),
    ("protect", "CONSENTKEYS_PROTECT", "/a, /b/ ,,", ("/a", "/b")),
    ("public", "CONSENTKEYS_PUBLIC", "/static/,/health", ("/static/", "/health")),
    ("api", "CONSENTKEYS_API", "/v1/", ("/v1",)),
    ("after_login", "CONSENTKEYS_AFTER_LOGIN", "/welcome?x=1", "/welcome?x=1"),
    ("after_logout", "CONSENTKEYS_AFTER_LOGOUT", "/bye", "/bye"),
    ("session_lifetime", "CONSENTKEYS_SESSION_LIFETIME", "7d", 604800.0),
    ("idle_timeout", "CONSENTKEYS_IDLE_TIMEOUT", "15m", 900.0),
    ("store", "CONSENTKEYS_STORE", "cookie", "cookie"),
    ("store", "CONSENTKEYS_STORE", "redis://localhost/0", "redis://localhost/0"),
    ("app_name", "CONSENTKEYS_APP_NAME", "Acme", "Acme"),
    ("claims", "CONSENTKEYS_CLAIMS", "email,name", ("email", "name")),
)
UNREADABLE = {("recheck", "CONSENTKEYS_RECHECK"), ("pages", "CONSENTKEYS_PAGES")}  # not without a store, and a folder
NULLABLE = {
    *URLS,
    "base_url",
    "redirect_uri",
    "public",
    "recheck",
    "on_event",
    "observers",
    "app_name",
    "pages",
    "claims",
}
DURATIONS = {"session_lifetime", "idle_timeout", "login_lifetime", "leeway", "timeout"}
DEFAULTS: Mapping[str, object] = {
    "client_auth": "client_secret_post",
    "issuer": "https://pseudoidc.consentkeys.com",
    **dict.fromkeys(URLS),
    "id_token_algorithms": ("RS256",),
    "allow_missing_nonce": False,
    "scope": "openid profile email",
    "userinfo": True,
    "base_url": None,
    "redirect_uri": None,
    "auth_prefix": "/auth",
    "protect": ("/",),
    "public": (),
    "api": ("/api",),
    "after_login": "/",
    "after_logout": "/",
    "session_lifetime": 86400.0,
    "idle_timeout": 7200.0,
    "login_lifetime": 1800.0,
    "store": "cookie",
    "keep_tokens": False,
    "recheck": None,
    "on_event": None,
    "observers": (),
    "app_name": None,
    "pages": None,
    "claims": None,
    "leeway": 60.0,
    "timeout": 10.0,
}


def configured(**settings: object) -> AuthConfig:
    """A configuration that is right but for `settings`, which may be what no type checker would let through."""
    return AuthConfig(**cast("Settings", NEEDED | settings))


def problems(**settings: object) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        configured(**settings)
    return caught.value.problems


def problem(**settings: object) -> str:
    (only,) = problems(**settings)
    return only


def environment_problems(environ: Mapping[str, str], **settings: Unpack[Settings]) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        AuthConfig.from_env(environ, **settings)
    return caught.value.problems
