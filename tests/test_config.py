"""Where settings come from, what is said about faults, and secrets."""

import dataclasses
import os
import subprocess
import sys
from typing import cast, get_type_hints

import pytest

from ck_middleware.blocking import BlockingRuntime
from ck_middleware.config import AuthConfig, Settings
from ck_middleware.errors import ConfigError
from ck_middleware.stores import open_store
from support.configured import (
    CLIENT_SECRET,
    DEFAULTS,
    DURATIONS,
    ENVIRONMENT,
    HOME,
    NEEDED,
    NULLABLE,
    SECRET,
    UNREADABLE,
    VARIABLES,
    configured,
    environment_problems,
    problem,
    problems,
)

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
