"""Settings that are durations, flags, lists, stores, functions and names."""

import math
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest

from ck_middleware.config import AuthConfig
from ck_middleware.events import Event
from ck_middleware.observing import Observation
from ck_middleware.pages import Page
from ck_middleware.pages.templates import Templates
from support.configured import ENVIRONMENT, configured, environment_problems, problem, problems


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
