import dataclasses
import math
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Unpack, cast, get_type_hints

import pytest

from ck_middleware.addresses import is_loopback
from ck_middleware.blocking import BlockingRuntime
from ck_middleware.config import AuthConfig, Settings
from ck_middleware.errors import ConfigError
from ck_middleware.events import Event
from ck_middleware.observing import Observation
from ck_middleware.pages import Page
from ck_middleware.pages.templates import Templates
from ck_middleware.stores import open_store

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


# Where settings come from


def test_three_settings_are_enough() -> None:
    config = AuthConfig.from_env(ENVIRONMENT)
    assert {name: getattr(config, name) for name in DEFAULTS} == DEFAULTS
    assert (config.client_id, config.client_secret, config.session_secret) == ("ck_1234", CLIENT_SECRET, (SECRET,))


def test_keywords_need_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSENTKEYS_SCOPE", "openid of somebody else")
    assert AuthConfig(**NEEDED) == AuthConfig.from_env(ENVIRONMENT)


def test_the_process_environment_is_read_at_the_call_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CONSENTKEYS_")]:
        monkeypatch.delenv(name)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    assert AuthConfig.from_env() == AuthConfig(**NEEDED)


@pytest.mark.parametrize(("name", "variable", "text", "value"), VARIABLES, ids=[row[1] for row in VARIABLES])
def test_every_variable_sets_its_setting(name: str, variable: str, text: str, value: object) -> None:
    assert getattr(AuthConfig.from_env(ENVIRONMENT | {variable: text}), name) == value


@pytest.mark.parametrize(("name", "variable", "text", "value"), VARIABLES, ids=[row[1] for row in VARIABLES])
def test_white_space_around_a_variable_does_not_count(name: str, variable: str, text: str, value: object) -> None:
    assert getattr(AuthConfig.from_env(ENVIRONMENT | {variable: f" \t{text}\r\n"}), name) == value


@pytest.mark.parametrize("blank", ["", "  ", "\n"])
def test_an_empty_variable_counts_as_absent(blank: str) -> None:
    variables = [variable for _, variable, _, _ in VARIABLES] + [variable for _, variable in UNREADABLE]
    assert AuthConfig.from_env(dict.fromkeys(variables, blank) | ENVIRONMENT) == AuthConfig(**NEEDED)


@pytest.mark.parametrize("variable", ["CONSENTKEYS_CLIENT_ID", "CONSENTKEYS_CLIENT_SECRET", "SESSION_SECRET"])
@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_needed_variable_that_is_absent_or_empty_is_missing(variable: str, value: str | None) -> None:
    environ = {name: text for name, text in (ENVIRONMENT | {variable: value}).items() if text is not None}
    (only,) = environment_problems(environ)
    assert f"({variable}): is missing; " in only


def test_of_several_variables_the_first_that_is_set_counts() -> None:
    names = [variable for name, variable, _, _ in VARIABLES if name == "issuer"]
    for position, name in enumerate(names):
        later = {other: f"https://{other.lower()}.example" for other in names[position:]}
        earlier = dict.fromkeys(names[:position], "")
        assert AuthConfig.from_env(ENVIRONMENT | earlier | later).issuer == f"https://{name.lower()}.example"


def test_a_keyword_wins_over_the_environment() -> None:
    environ = ENVIRONMENT | {"CONSENTKEYS_PROTECT": "/env", "CONSENTKEYS_IDLE_TIMEOUT": "nonsense"}
    config = AuthConfig.from_env(environ, protect="/keyword", idle_timeout=5)
    assert (config.protect, config.idle_timeout) == (("/keyword",), 5.0)


def test_a_keyword_of_none_wins_too() -> None:
    environ = ENVIRONMENT | {"CONSENTKEYS_APP_URL": HOME, "CONSENTKEYS_CLAIMS": "email"}
    config = AuthConfig.from_env(environ, base_url=None, claims=None)
    assert (config.base_url, config.claims) == (None, None)


@pytest.mark.parametrize("name", ["ID_TOKEN_ALGORITHMS", "LOGIN_LIFETIME", "KEEP_TOKENS", "LEEWAY", "TIMEOUT"])
def test_settings_without_a_variable_are_not_read_from_the_environment(name: str) -> None:
    assert AuthConfig.from_env(ENVIRONMENT | {f"CONSENTKEYS_{name}": "nonsense"}) == AuthConfig(**NEEDED)


def test_the_table_names_the_variables_and_defaults_of_every_setting() -> None:
    table = {setting.name: setting.metadata for setting in dataclasses.fields(AuthConfig)}
    assert set(table) == set(get_type_hints(Settings))
    named = {(name, variable) for name, row in table.items() for variable in row["environment"]}
    assert named == {(name, variable) for name, variable, _, _ in VARIABLES} | UNREADABLE
    assert {name: row["default"] for name, row in table.items() if name in DEFAULTS} == DEFAULTS


def test_nothing_is_read_or_fetched_at_import() -> None:
    program = (
        "import os, sys; os.environ.clear(); sys.dont_write_bytecode = True; "
        "sys.addaudithook(lambda event, _: event in {'socket.connect', 'socket.getaddrinfo'} and os._exit(1)); "
        "import ck_middleware.config"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


# What is said about faults


def test_all_faults_are_reported_at_once() -> None:
    environ = {"SESSION_SECRET": "short", "CONSENTKEYS_IDLE_TIMEOUT": "soon", "CONSENTKEYS_USERINFO": "maybe"}
    found = environment_problems(environ, protect=["api", "/x*"], base_url="http://app.example.com", leeway=61)
    assert [text.split(" ")[0].rstrip(":") for text in found] == [
        "client_id",
        "client_secret",
        "session_secret",
        "userinfo",
        "base_url",
        "protect",
        "protect",
        "idle_timeout",
        "leeway",
    ]


def test_a_problem_names_setting_variable_fault_and_remedy() -> None:
    assert problem(session_secret="s3cret-of-12") == (
        "session_secret (SESSION_SECRET): is 12 bytes long; give at least 32 random ones, "
        'for example from: python -c "import secrets; print(secrets.token_urlsafe(32))"'
    )
    assert problem(redirect_uri="/x").startswith(
        "redirect_uri (CONSENTKEYS_REDIRECT_URI or CONSENTKEYS_REDIRECT_URL): is not an absolute https address"
    )
    assert problem(timeout=0).startswith("timeout: ")


@pytest.mark.parametrize(
    ("name", "hint"), [("protects", "did you mean protect?"), ("sesion_secret", "session_secret?"), ("zzz", "take it")]
)
def test_an_unknown_setting_is_refused_with_the_name_that_was_meant(name: str, hint: str) -> None:
    text = problem(**{name: "hunter2"})
    assert text.startswith(f"{name}: is not a setting; ")
    assert hint in text
    assert "hunter2" not in text


@pytest.mark.parametrize("value", [5, b"x" * 40, object(), [5], {"a": 1}, 1.5j, None, [None], [""], ["  "]])
@pytest.mark.parametrize("name", list(get_type_hints(Settings)))
def test_a_wrong_type_is_a_problem_and_never_another_error(name: str, value: object) -> None:
    fine = (name in NULLABLE and value is None) or (name in DURATIONS and value == 5)
    if fine:
        assert configured(**{name: value}).client_id == "ck_1234"
    elif name == "store" and not isinstance(value, str):
        # It may be a store of the user's own, and which it has to be the face knows: that one refuses it.
        with pytest.raises(ConfigError) as caught:
            open_store(configured(store=value).store, BlockingRuntime(), timeout=1)
        assert all(text.startswith("store (CONSENTKEYS_STORE): ") for text in caught.value.problems)
    else:
        assert all(text.startswith(name) for text in problems(**{name: value}))


def test_none_stands_for_none_where_that_is_the_default() -> None:
    nothing = dict.fromkeys(NULLABLE)
    assert configured(**nothing) == configured()
    assert configured(client_auth="none", client_secret=None).client_secret == ""


@pytest.mark.parametrize("name", ["client_id", "client_secret", "session_secret", "protect", "api", "idle_timeout"])
def test_none_elsewhere_is_a_problem(name: str) -> None:
    assert problem(**{name: None}).startswith(name)


@pytest.mark.parametrize("name", list(get_type_hints(Settings)))
def test_no_secret_is_ever_in_a_problem_or_a_repr(name: str) -> None:
    leak = "hunter2-" * 5
    culprit = f"redis://:{leak}@host\n/0" if name == "store" else f"https://user:{leak}@host.example"
    settings = (
        NEEDED | {name: culprit} | {"client_secret": f"your-{leak}", "session_secret": [f"{leak}\udcff", "hunter2"]}
    )
    with pytest.raises(ConfigError) as caught:
        AuthConfig(**cast("Settings", settings))
    quoting = ("id_token_algorithms", "auth_prefix", "protect", "public", "api")  # these say which entry is wrong
    assert not any("hunter2" in text for text in caught.value.problems if not text.startswith(quoting))


def test_the_repr_shows_settings_but_no_secret() -> None:
    shown = repr(configured(session_secret=[SECRET, "o" * 32], base_url=HOME))
    assert HOME in shown
    assert not any(secret in shown for secret in (SECRET, "o" * 32, CLIENT_SECRET))


def test_a_configuration_never_changes() -> None:
    config = configured()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.scope = "openid"  # type: ignore[misc]  # what is tried here
    with pytest.raises(AttributeError):
        config.origin = HOME  # type: ignore[misc]


def test_equal_settings_are_equal_configurations() -> None:
    assert configured(protect="/a/") == configured(protect=["/a"])
    assert hash(configured(protect="/a/")) == hash(configured(protect=["/a"]))
    assert configured(protect="/a") != configured(protect="/b")


def test_a_copy_may_differ_in_one_setting() -> None:
    settings = {"base_url": f"{HOME}/app/", "claims": "email", "protect": "/a/", "client_auth": "none", "leeway": "5s"}
    config = configured(**settings)
    assert dataclasses.replace(config) == config
    assert dataclasses.replace(config, timeout=3) == configured(**settings, timeout=3)


# Secrets


@pytest.mark.parametrize("auth", ["client_secret_post", "client_secret_basic"])
def test_a_client_needs_its_secret(auth: str) -> None:
    text = problem(client_auth=auth, client_secret="")
    assert text.startswith("client_secret (CONSENTKEYS_CLIENT_SECRET): is missing; copy it from the Developer Portal")


def test_a_public_client_needs_none() -> None:
    config = AuthConfig(client_id="ck_1", client_auth="none", session_secret=SECRET)
    assert (config.client_secret, configured(client_auth="none", client_secret="").client_secret) == ("", "")


@pytest.mark.parametrize("auth", ["post", "private_key_jwt", "NONE", ""])
def test_an_unknown_way_to_authenticate_is_refused(auth: str) -> None:
    assert "client_secret_post, client_secret_basic or none" in problem(client_auth=auth)


def test_a_missing_client_secret_is_told_beside_a_wrong_client_auth() -> None:
    assert [text.split(" ")[0] for text in problems(client_auth="post", client_secret=None)] == [
        "client_secret",
        "client_auth",
    ]


@pytest.mark.parametrize(
    "secret",
    [
        "x" * 32,
        "ü" * 16,
        "test-secret-test-secret-test-secret",
        "a replacement-text of more than 32 bytes",
        "the 1st, of 32 bytes, kept as is ",
    ],
)
def test_a_session_secret_of_32_bytes_is_enough(secret: str) -> None:
    assert configured(session_secret=[secret]).session_secret == (secret,)


@pytest.mark.parametrize(("secret", "length"), [("x" * 31, 31), ("ü" * 15, 30), ("a", 1)])
def test_a_shorter_one_is_refused(secret: str, length: int) -> None:
    assert f"is {length} bytes long" in problem(session_secret=secret)


def test_every_session_secret_has_to_be_long_enough() -> None:
    assert len(problems(session_secret=["short", SECRET, "shorter"])) == 2
    assert "is 5 bytes long" in environment_problems(ENVIRONMENT | {"SESSION_SECRET": f"{SECRET},short"})[0]


@pytest.mark.parametrize("nothing", [[], "", ",", " , "])
def test_no_session_secret_at_all_is_refused(nothing: object) -> None:
    assert "is missing; give at least 32 random bytes" in problem(session_secret=nothing)


def test_a_session_secret_that_is_no_text_is_refused() -> None:
    assert "is not text in UTF-8" in problem(session_secret="\udcff" * 40)


@pytest.mark.parametrize(
    "start",
    [
        *(
            "your-",
            "your_",
            "your ",
            "YOUR-",
            "ck_your_",
            "change-me",
            "changeme",
            "change_me",
            "ChangeMe",
            "change-this",
        ),
        *("change_this", "replace-me", "replace_me", "replace-this", "replace_this", "replace-with", "replace_with"),
        "django-insecure-",
    ],
)
def test_a_placeholder_is_no_secret(start: str) -> None:
    assert "is a placeholder" in problem(session_secret=start + "x" * 40)
    assert "is a placeholder" in problem(client_secret=start + "x")


@pytest.mark.parametrize(
    "text", ["your-secret-key-at-least-32-characters", "<32 random bytes from secrets.token_urlsafe>"]
)
def test_the_placeholders_of_the_guides_are_refused(text: str) -> None:
    assert "is a placeholder" in problem(session_secret=text)
    assert "is a placeholder" in problem(client_id="ck_your_client_id")
    assert "is a placeholder" in problem(client_secret="your_client_secret")
    assert "is a placeholder" in problem(client_id="ck_...")
    assert "is a placeholder" in problem(client_secret="...")


@pytest.mark.parametrize("text", [" ck_1", "ck_1\n", "ck\x00", "ck_\u00e9", "\xa0"])
@pytest.mark.parametrize("name", ["client_id", "client_secret"])
def test_a_credential_that_was_pasted_badly_is_refused(name: str, text: str) -> None:
    assert "white space at an end, a control character" in problem(**{name: text})


@pytest.mark.parametrize("text", ["x", "a client secret", "a+/%:,=<>~"])
def test_any_visible_credential_is_accepted(text: str) -> None:
    config = configured(client_id=text, client_secret=text)
    assert (config.client_id, config.client_secret) == (text, text)


# Addresses


@pytest.mark.parametrize("name", ["issuer", "base_url", *URLS])
@pytest.mark.parametrize(
    "address",
    [
        *("https://a.example", "HTTPS://A.example:8443/x", "https://[2001:db8::1]", "https://under_score.example"),
        *("http://localhost:8000", "http://LOCALHOST", "http://127.0.0.1:1", "http://127.9.8.7", "http://[::1]:65535"),
        *("https://10.0.0.1/tenant/x", "https://a.example:443"),
    ],
)
def test_https_and_http_on_this_machine_are_addresses(name: str, address: str) -> None:
    assert getattr(configured(**{name: address}), name) == address


@pytest.mark.parametrize("name", ["issuer", "base_url", "redirect_uri", *URLS])
@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        *[(address, "is plain http") for address in ("http://a.example/x", "http://10.0.0.1/x", "http://[::2]/x")],
        *[(address, "is plain http") for address in ("http://localhost.evil.example/x", "http://127.1/x")],
        *[
            (address, "is not an absolute https address")
            for address in ("a.example", "//a.example", "/x", "", "https:")
        ],
        *[(address, "is not an absolute https address") for address in ("https://", "https:///x", "ftp://a.example/")],
        *[(address, "is not an absolute https address") for address in ("https:a.example", "javascript:alert(1)")],
        *[
            (address, "is not an absolute https address")
            for address in ("https://a..b/", "https://<host>/", "https://*.a/")
        ],
        *[(address, "is not an absolute https address") for address in ("http://[::1]evil.example/x", "https://[x]/")],
        *[
            (address, "is not an absolute https address")
            for address in ("https://a.example:/x", "https://a.example:x/")
        ],
        *[(address, "is not an absolute https address") for address in ("https://a.example:123456/", "https://a:1:2/")],
        *[(address, "has no valid port") for address in ("https://a.example:0/x", "https://a.example:65536/x")],
        *[(address, "has no valid host") for address in ("https://[:::]/x", "https://[1.2.3.4]/x")],
        *[(address, "has a user name (@)") for address in ("https://user@a.example/x", "https://u:p@a.example/x")],
        *[(address, "has a user name (@)") for address in ("https://@a.example/x", "http://localhost@evil.example/x")],
        *[(address, "has a fragment (#)") for address in ("https://a.example/#x", "https://a.example/x#")],
        *[
            (address, "white space, a control")
            for address in ("https://a.example/ x", " https://a.example/x", "https://a\t/")
        ],
        *[
            (address, "white space, a control")
            for address in ("https://a.example/x\n", "https://a.example\\x", "https://\u017f/")
        ],
        *[
            (address, "white space, a control")
            for address in ("https://b\u00fccher.example/x", "https://a.example/\x7f")
        ],
    ],
)
def test_anything_else_is_refused(name: str, address: str, sentence: str) -> None:
    assert sentence in problem(**{name: address})


@pytest.mark.parametrize("name", ["issuer", "base_url"])
@pytest.mark.parametrize("address", ["https://a.example/?x=1", "https://a.example?"])
def test_issuer_and_base_url_have_no_query(name: str, address: str) -> None:
    assert "has a query (?)" in problem(**{name: address})


@pytest.mark.parametrize("name", URLS)
def test_an_endpoint_may_have_a_query(name: str) -> None:
    address = "https://a.example/x?tenant=1@2&y=/?"
    assert getattr(configured(**{name: address}), name) == address


@pytest.mark.parametrize(
    ("given", "issuer"),
    [
        ("https://a.example", "https://a.example"),
        ("https://A.example/", "https://A.example/"),
        ("https://a.example/.well-known/openid-configuration", "https://a.example"),
        ("https://a.example/t/.well-known/openid-configuration", "https://a.example/t"),
        ("https://a.example/openid-configuration", "https://a.example/openid-configuration"),
    ],
)
def test_an_issuer_is_kept_as_it_is_but_for_the_discovery_path(given: str, issuer: str) -> None:
    assert configured(issuer=given).issuer == issuer


@pytest.mark.parametrize("path", ["//", "/a//b", "/./", "/a/..", "/a%20b", "/%61", "/a;b", "/a*"])
def test_a_base_url_whose_path_has_two_readings_is_refused(path: str) -> None:
    assert "has a path that can be read in two ways" in problem(base_url=HOME + path)


@pytest.mark.parametrize("host", ["localhost", "LocalHost", "127.0.0.1", "127.255.1.2", "::1", "[::1]"])
def test_this_machine_is_known_by_its_names(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "localhost.",
        "localhost.example",
        "a.localhost",
        "127.1",
        "127.0.0.01",
        "128.0.0.1",
        "0.0.0.0",  # noqa: S104  # nothing binds to it
        "::2",
        "[127.0.0.1]",
        "127.0.0.1:80",
        "1",
    ],
)
def test_nothing_else_is_this_machine(host: str) -> None:
    assert not is_loopback(host)


# Where the app is


@pytest.mark.parametrize(
    ("settings", "origin", "mount", "callback_path"),
    [
        ({}, None, "", "/auth/callback"),
        ({"auth_prefix": "/my/login"}, None, "", "/my/login/callback"),
        ({"base_url": HOME}, HOME, "", "/auth/callback"),
        ({"base_url": "HTTPS://App.Example.COM:443/Sub/"}, HOME, "/Sub", "/auth/callback"),
        ({"base_url": f"{HOME}:8443/a/~b@c"}, f"{HOME}:8443", "/a/~b@c", "/auth/callback"),
        ({"base_url": "http://localhost:080"}, "http://localhost", "", "/auth/callback"),
        ({"base_url": "http://localhost:443"}, "http://localhost:443", "", "/auth/callback"),
        ({"base_url": "http://[0:0:0::1]:8000"}, "http://[::1]:8000", "", "/auth/callback"),
        ({"redirect_uri": f"{HOME}/auth/callback"}, HOME, "", "/auth/callback"),
        ({"redirect_uri": f"{HOME}:443/sub/auth/callback?x=/"}, HOME, "/sub", "/auth/callback"),
        ({"redirect_uri": f"{HOME}/sub/auth/callback/"}, HOME, "", "/sub/auth/callback/"),
        ({"redirect_uri": f"{HOME}/back"}, HOME, "", "/back"),
        ({"redirect_uri": f"{HOME}/caf%C3%A9"}, HOME, "", "/café"),
        ({"base_url": HOME, "redirect_uri": "https://APP.example.com:443/in"}, HOME, "", "/in"),
        ({"base_url": f"{HOME}/sub", "redirect_uri": f"{HOME}/sub/in"}, HOME, "/sub", "/in"),
        ({"base_url": f"{HOME}/sub", "redirect_uri": f"{HOME}/sub/x/auth/callback"}, HOME, "/sub", "/x/auth/callback"),
    ],
)
def test_the_place_of_the_app_follows_from_its_addresses(
    settings: dict[str, object], origin: str | None, mount: str, callback_path: str
) -> None:
    config = configured(**settings)
    assert (config.origin, config.mount, config.callback_path) == (origin, mount, callback_path)
    assert config.address == (None if origin is None else origin + mount)
    assert config.redirect_uri == settings.get("redirect_uri")


@pytest.mark.parametrize(
    ("base_url", "secure"), [(HOME, True), ("HTTPS://a.example", True), ("http://localhost:8000", False), (None, False)]
)
def test_only_an_https_origin_is_secure(base_url: str | None, secure: bool) -> None:  # noqa: FBT001  # a row of the table
    assert configured(base_url=base_url).secure is secure


@pytest.mark.parametrize(
    "redirect_uri", ["https://other.example/in", f"{HOME}:8443/in", "http://localhost/in", "https://example.com/in"]
)
def test_a_redirect_uri_on_another_origin_is_refused(redirect_uri: str) -> None:
    assert "is not on the origin of base_url" in problem(base_url=HOME, redirect_uri=redirect_uri)


@pytest.mark.parametrize("path", ["", "/", "/sub", "/sub/", "/subway/in", "/SUB/in", "/other/in"])
def test_a_redirect_uri_outside_the_mount_cannot_be_served(path: str) -> None:
    text = problem(base_url=f"{HOME}/sub", redirect_uri=HOME + path)
    assert "give it one, such as /sub/auth/callback" in text


@pytest.mark.parametrize("path", ["", "/", "?x=1"])
def test_the_home_page_is_no_callback(path: str) -> None:
    assert "has no path below that of base_url" in problem(redirect_uri=HOME + path)


@pytest.mark.parametrize(
    "path",
    [
        "//in",
        "/a/../in",
        "/in/.",
        "/%2e%2e/in",
        "/in%0a",
        "/in%ff",
        "/a%5Cb",
        "//auth/callback",
        "/a%20b/auth/callback",
    ],
)
def test_a_redirect_uri_with_two_readings_is_refused(path: str) -> None:
    assert "can be read in two ways" in problem(redirect_uri=HOME + path)


@pytest.mark.parametrize("route", ["login", "logout", "me", "backchannel-logout", "%6de"])
def test_the_callback_is_not_where_another_route_is(route: str) -> None:
    assert "another of our routes" in problem(redirect_uri=f"{HOME}/auth/{route}")
    assert "another of our routes" in problem(base_url=f"{HOME}/x", redirect_uri=f"{HOME}/x/auth/{route}")


def test_the_callback_may_stand_beside_them() -> None:
    assert configured(redirect_uri=f"{HOME}/auth/login2").callback_path == "/auth/login2"
    assert configured(redirect_uri=f"{HOME}/login").callback_path == "/login"


def test_a_refused_address_is_told_once() -> None:
    assert len(problems(base_url="nonsense", redirect_uri=f"{HOME}/auth/me")) == 1


# Paths


@pytest.mark.parametrize(
    ("given", "prefixes"),
    [
        ("/api", ("/api",)),
        ("/a, /b/,", ("/a", "/b")),
        (["/a b", "/c,d/"], ("/a b", "/c,d")),
        (("/",), ("/",)),
        ("/Ünï/x.y/..z", ("/Ünï/x.y/..z",)),
    ],
)
@pytest.mark.parametrize("name", ["protect", "api"])
def test_prefixes_lose_their_trailing_slash(name: str, given: object, prefixes: tuple[str, ...]) -> None:
    assert getattr(configured(**{name: given}), name) == prefixes


def test_public_entries_keep_theirs() -> None:
    entries = ("/static/", "/health", "/")
    assert configured(public=list(entries)).public == entries
    assert configured(public=", ".join(entries)).public == entries


@pytest.mark.parametrize("name", ["protect", "api", "public", "auth_prefix"])
@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        *[(path, 'does not begin with "/"') for path in ("api", "./api", "https://a.example/api")],
        *[
            (path, "looks like a pattern")
            for path in ("/api/*", "/a?", "/a#b", "/%61pi", "/users/<id>", "/users/{id}", "*", "^/api", '["/api"]')
        ],
        *[(path, "can be read in two ways") for path in ("//", "//api", "/a//b", "/a/.", "/../a", "/a\\b", "/a\x00b")],
        *[(path, "can be read in two ways") for path in ("/a\ufffdb", "/a\udcffb", "/a\tb")],
    ],
)
def test_a_path_that_would_cover_nothing_or_too_much_is_refused(name: str, path: str, sentence: str) -> None:
    text = problem(**{name: path})
    assert sentence in text
    assert repr(path) in text


@pytest.mark.parametrize("nothing", [[], (), "", " , "])
def test_a_guard_that_protects_nothing_is_refused(nothing: object) -> None:
    assert "nothing would be protected" in problem(protect=nothing)


@pytest.mark.parametrize("name", ["public", "api"])
@pytest.mark.parametrize("nothing", [[], (), ""])
def test_nothing_public_and_no_api_are_fine(name: str, nothing: object) -> None:
    assert getattr(configured(**{name: nothing}), name) == ()


@pytest.mark.parametrize(("given", "prefix"), [("/auth/", "/auth"), ("/my/log-in", "/my/log-in")])
def test_our_routes_may_have_another_prefix(given: str, prefix: str) -> None:
    assert configured(auth_prefix=given).auth_prefix == prefix


@pytest.mark.parametrize("prefix", ["/", "/a b", "/é", "/a;b", "/a,b"])
def test_a_prefix_that_cannot_hold_our_routes_is_refused(prefix: str) -> None:
    assert "cannot hold our routes" in problem(auth_prefix=prefix)


@pytest.mark.parametrize("name", ["after_login", "after_logout"])
@pytest.mark.parametrize("path", ["/", "/welcome?tab=1#top", "/a%20b"])
def test_people_are_sent_to_paths_on_this_origin(name: str, path: str) -> None:
    assert getattr(configured(**{name: path}), name) == path


@pytest.mark.parametrize("name", ["after_login", "after_logout"])
@pytest.mark.parametrize(
    "path", ["", "welcome", "//evil.example", "/\\evil.example", "https://app.example.com/", "/a\n"]
)
def test_and_nowhere_else(name: str, path: str) -> None:
    assert "is not a path on this origin" in problem(**{name: path})


# The rest


@pytest.mark.parametrize("name", ["session_lifetime", "idle_timeout", "login_lifetime", "timeout"])
@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        *[(1, 1.0), (1.5, 1.5), ("90", 90.0), ("30s", 30.0), ("15m", 900.0), ("8h", 28800.0), ("7d", 604800.0)],
        *[("1.5h", 5400.0), (timedelta(minutes=2), 120.0), ("36500d", 3153600000.0)],
    ],
)
def test_durations_are_seconds_or_text_with_a_unit(name: str, given: object, seconds: float) -> None:
    value = getattr(configured(**{name: given}), name)
    assert value == seconds
    assert type(value) is float


@pytest.mark.parametrize("name", ["session_lifetime", "idle_timeout", "login_lifetime", "timeout"])
@pytest.mark.parametrize(
    "given", [0, -1, 0.99, "0", "0.5s", math.inf, math.nan, 1e300, 10**400, "36501d", "9" * 400, timedelta(0)]
)
def test_a_time_one_cannot_wait_is_refused(name: str, given: object) -> None:
    assert "give at least 1 second" in problem(**{name: given})


@pytest.mark.parametrize(
    "given", ["", "soon", "1w", "15 minutes", "-5s", "1e3", "inf", "nan", "15M", "٣", True, False, [1]]
)
@pytest.mark.parametrize("name", ["idle_timeout", "leeway"])
def test_what_is_no_duration_is_refused(name: str, given: object) -> None:
    assert "is not a duration; give seconds" in problem(**{name: given})


@pytest.mark.parametrize(("given", "seconds"), [(0, 0.0), ("0s", 0.0), (60, 60.0), ("1m", 60.0)])
def test_leeway_is_up_to_a_minute(given: object, seconds: float) -> None:
    assert configured(leeway=given).leeway == seconds


@pytest.mark.parametrize("given", [-1, 60.1, "2m", math.nan, math.inf])
def test_more_leeway_is_refused(given: object) -> None:
    assert "give 0 to 60 seconds" in problem(leeway=given)


@pytest.mark.parametrize(
    ("text", "value"),
    [*((text, True) for text in ("1", "true", "YES", "On")), *((text, False) for text in ("0", "False", "no", "OFF"))],
)
def test_switches_are_read_from_the_environment(text: str, value: bool) -> None:  # noqa: FBT001  # a row of the table
    environ = ENVIRONMENT | {"CONSENTKEYS_USERINFO": text, "CONSENTKEYS_ALLOW_MISSING_NONCE": text}
    config = AuthConfig.from_env(environ)
    assert (config.userinfo, config.allow_missing_nonce) == (value, value)
    assert configured(userinfo=value).userinfo is value


@pytest.mark.parametrize("given", ["2", "y", "enabled", "", 1, 0])
def test_what_is_no_switch_is_refused(given: object) -> None:
    assert "is neither true nor false" in problem(userinfo=given)


@pytest.mark.parametrize(
    ("given", "scope"),
    [("openid", "openid"), ("email  openid", "email openid"), (" openid\tprofile ", "openid profile")],
)
def test_a_scope_asks_for_openid(given: str, scope: str) -> None:
    assert configured(scope=given).scope == scope


@pytest.mark.parametrize("given", ["", "profile email", "openid,profile", "openidx", "OPENID", "openid é"])
def test_a_scope_that_does_not_is_refused(given: str) -> None:
    assert "openid" in problem(scope=given)


@pytest.mark.parametrize(
    "given", ["RS256", "RS384,RS512", ["PS256", "PS384", "PS512"], ("ES256", "ES384", "ES512", "EdDSA")]
)
def test_asymmetric_algorithms_are_accepted(given: object) -> None:
    names = tuple(given.split(",")) if isinstance(given, str) else tuple(cast("list[str]", given))
    assert configured(id_token_algorithms=given).id_token_algorithms == names


@pytest.mark.parametrize("name", ["HS256", "hs512", "none", "None"])
def test_an_algorithm_that_does_not_prove_who_signed_is_refused(name: str) -> None:
    assert f"{name!r} does not prove who signed" in problem(id_token_algorithms=["RS256", name])


@pytest.mark.parametrize("name", ["RS1", "rs256", "ES256K"])
def test_an_unknown_algorithm_is_refused(name: str) -> None:
    assert f"{name!r} is not a known algorithm; give some of RS256" in problem(id_token_algorithms=name)


@pytest.mark.parametrize("nothing", [[], "", ","])
def test_at_least_one_algorithm_is_needed(nothing: object) -> None:
    assert "no ID token could be accepted" in problem(id_token_algorithms=nothing)


@pytest.mark.parametrize(("given", "claims"), [("email, name", ("email", "name")), (["email"], ("email",)), ([], ())])
def test_claims_are_names_and_may_be_none_at_all(given: object, claims: tuple[str, ...]) -> None:
    assert configured(claims=given).claims == claims


@pytest.mark.parametrize(("setting", "value"), [("keep_tokens", True), ("recheck", "5m"), ("recheck", 1)])
def test_what_needs_a_store_is_refused_without_one(setting: str, value: object) -> None:
    text = problem(**{setting: value})
    assert text.startswith(setting)
    for remedy in ("store (CONSENTKEYS_STORE)", "sqlite:///", "redis://"):
        assert remedy in text
    assert configured(**{setting: value}, store="sqlite:///sessions.db").has_store


def test_what_needs_no_store_does_not() -> None:
    assert configured(store="cookie", keep_tokens=False, recheck=None) == configured()
    assert configured(keep_tokens="no") == configured()
    assert not configured().has_store
    assert "needs a store" in environment_problems(ENVIRONMENT | {"CONSENTKEYS_RECHECK": "5m"})[0]


def test_a_store_may_be_named_or_brought_along() -> None:
    own = object()
    for store in ("sqlite:///x", "sqlite:////var/x.db", "redis://localhost/0", "unix:///run/redis.sock", own):
        assert configured(store=store).store == store
        assert configured(store=store).has_store


@pytest.mark.parametrize("store", ["Cookie", "", "memory", "sqlite:", "sqlite:///", "redis://", "http://x", "/x.db"])
def test_what_names_no_store_is_refused(store: str) -> None:
    assert problem(store=store).startswith("store (CONSENTKEYS_STORE): ")


def test_a_listener_is_a_function() -> None:
    def listener(event: Event) -> None: ...

    assert configured(on_event=listener).on_event is listener
    assert "give a function" in problem(on_event="print")


class Counter:
    def __call__(self, observation: Observation) -> None: ...


class AsyncCounter:
    async def __call__(self, observation: Observation) -> None: ...


async def awaited(observation: Observation) -> None: ...


def test_observers_are_plain_functions() -> None:
    counter = Counter()
    assert configured(observers=[counter, print]).observers == (counter, print)
    assert configured(observers=[]).observers == configured(observers=None).observers == ()
    assert "give a list" in problem(observers=counter)
    assert "give a list" in problem(observers="print")
    assert "give functions" in problem(observers=["print"])
    assert "give functions" in problem(observers=[Counter])  # the class, where an instance was meant
    assert "give plain ones" in problem(observers=[awaited])
    assert "give plain ones" in problem(observers=[counter, AsyncCounter()])


@pytest.mark.parametrize("name", ["Acme", "Acme & Söhne <b>", "ア" * 60, "  Acme\t", "'"])
def test_an_app_has_a_name_for_people(name: str) -> None:
    assert configured(app_name=name).app_name == name.strip()


@pytest.mark.parametrize("name", ["", " ", "A" * 61, "a\nb", "a\u202eb", "a\x00b", "\ud800", 5, b"Acme"])
def test_what_is_no_name_for_people_is_refused(name: object) -> None:
    assert problem(app_name=name).startswith("app_name (CONSENTKEYS_APP_NAME): ")


def test_own_pages_are_a_folder_or_a_function(tmp_path: Path) -> None:
    def own(page: Page) -> str:
        return page.title

    (tmp_path / "page.html").write_text("$title $button")
    assert configured(pages=own).pages is own
    for folder in (tmp_path, str(tmp_path)):
        assert isinstance(configured(pages=folder).pages, Templates)
    config = AuthConfig.from_env(ENVIRONMENT | {"CONSENTKEYS_PAGES": str(tmp_path)})
    assert isinstance(config.pages, Templates)


def test_templates_are_read_at_start_and_every_fault_is_told(tmp_path: Path) -> None:
    (tmp_path / "signed_out.html").write_text("\n$titel $wrods")
    told = problems(pages=tmp_path)
    assert told == (
        "pages (CONSENTKEYS_PAGES): signed_out.html, line 2: $titel is not known; did you mean title?",
        "pages (CONSENTKEYS_PAGES): signed_out.html, line 2: $wrods is not known; did you mean words?",
    )
    assert "is not a folder" in environment_problems(ENVIRONMENT | {"CONSENTKEYS_PAGES": "nowhere"})[0]


def test_own_pages_are_made_at_once() -> None:
    async def later(page: Page) -> str:
        return page.title

    class Later:
        async def __call__(self, page: Page) -> str:
            return page.title

    for own in (later, Later()):
        assert "is an async function" in problem(pages=own)
    assert "give a folder of templates, or a function" in problem(pages=5)


@pytest.mark.parametrize(("given", "seconds"), [("15m", 900), (timedelta(minutes=5), 300), (1, 1), (None, None)])
def test_a_recheck_is_a_duration_or_none(given: object, seconds: float | None) -> None:
    assert configured(recheck=given, store="sqlite:///x").recheck == seconds
