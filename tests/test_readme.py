"""The README promises what the code does: its samples run, and its table is the table of settings."""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import httpx
import pytest
from werkzeug.test import Client

from ck_middleware import AuthConfig
from support.fences import samples

README = Path(__file__).parent.parent / "README.md"


@pytest.fixture
def text() -> str:
    return README.read_text()


@pytest.fixture(autouse=True)
def _configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSENTKEYS_CLIENT_ID", "ck_0123456789abcdef0123456789abcdef")
    monkeypatch.setenv("CONSENTKEYS_CLIENT_SECRET", "of the client")
    monkeypatch.setenv("SESSION_SECRET", "thirty-two bytes that nobody else knows")


def test_it_is_short(text: str) -> None:
    assert len(text.splitlines()) < 200


def _rows(text: str) -> Iterator[tuple[list[str], list[str], str]]:
    table = text[text.index("| setting | environment |") :].partition("\n\n")[0]
    for line in table.splitlines()[2:]:
        _, settings, environment, default, _, _ = line.split("|")
        yield re.findall(r"`(\w+)`", settings), re.findall(r"`(\w+)`", environment), default


def test_every_setting_is_in_the_table_with_its_environment_variables(text: str) -> None:
    told = {name: set(variables) for names, variables, _ in _rows(text) for name in names}
    real = {setting.name: set(setting.metadata["environment"]) for setting in fields(AuthConfig)}
    assert told.keys() == real.keys()
    for name, variables in real.items():
        assert variables <= told[name], name
    assert set().union(*told.values()) == set().union(*real.values())


@pytest.mark.parametrize(
    "setting", ["scope", "issuer", "api", "auth_prefix", "client_auth", "after_login", "after_logout"]
)
def test_a_default_in_the_table_is_the_default(text: str, setting: str) -> None:
    (default,) = [default for names, _, default in _rows(text) if setting in names]
    real = {field.name: field.metadata["default"] for field in fields(AuthConfig)}[setting]
    assert f"`{real if isinstance(real, str) else real[0]}`" in default


@pytest.mark.parametrize(
    ("setting", "duration"),
    [("session_lifetime", "24h"), ("idle_timeout", "2h"), ("login_lifetime", "30m"), ("leeway", "60s")],
)
def test_a_duration_in_the_table_is_the_default(text: str, setting: str, duration: str) -> None:
    (default,) = [default for names, _, default in _rows(text) if setting in names]
    assert duration in default
    given: dict[str, Any] = {setting: duration}
    assert getattr(AuthConfig.from_env(**given), setting) == getattr(AuthConfig.from_env(), setting)


def _samples() -> dict[str, dict[str, Any]]:
    found = {}
    for sample in samples(README, "python"):
        names: dict[str, Any] = {"__name__": "sample"}
        exec(sample.code, names)  # noqa: S102  # our own README
        found["wsgi" if "WSGI" in sample.code else "asgi"] = names
    return found


def test_the_wsgi_sample_guards_its_app() -> None:
    answer = Client(_samples()["wsgi"]["app"]).get("/dashboard")
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/auth/login?next=%2Fdashboard"


def test_the_asgi_sample_guards_its_app() -> None:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(_samples()["asgi"]["app"])
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get("/dashboard")

    answer = asyncio.run(ask())
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/auth/login?next=%2Fdashboard"
