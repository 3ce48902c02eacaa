"""The provider of the test kit runs on a port of this machine, lets people sign in, and behaves again in the end."""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from ck_middleware import AuthConfig
from ck_middleware.testing import Person, Provider, people
from ck_middleware.testing.plugin import log_in, provider, running_provider
from support.browser import query_of
from support.clients import SITES, Site

__all__ = ["log_in", "provider", "running_provider"]  # fixtures of the kit, in place of those of our other tests

SECRET = "0123456789abcdef" * 2


@pytest.fixture(params=["wsgi", "asgi"])
def site(
    request: pytest.FixtureRequest, provider: Provider, runner: asyncio.Runner, light_clients: None
) -> Iterator[Site]:
    config = AuthConfig(session_secret=SECRET, timeout=60, **provider.settings)
    with ExitStack() as stack:
        yield SITES[request.param](config, runner.run, stack)


def _sent_to(site: Site, client: object) -> str:
    return site.get(client, "/auth/login?next=/dashboard").headers["location"]


@pytest.mark.parametrize(("person", "name"), [("otter", "Quiet Otter"), ("Ada", "Ada")])
def test_somebody_signs_in_and_comes_back(site: Site, provider: Provider, person: str, name: str) -> None:
    client = site.new_client()
    back = provider.sign_in(_sent_to(site, client), person)
    assert site.get(client, back).headers["location"] == "/dashboard"
    assert site.get(client, "/dashboard").json["name"] == name
    assert [provider.count(endpoint) for endpoint in ("auth", "token", "userinfo")] == [2, 1, 1]


def test_somebody_says_no(site: Site, provider: Provider) -> None:
    client = site.new_client()
    back = provider.deny(_sent_to(site, client))
    assert query_of(back)["error"] == "access_denied"
    assert site.get(client, back).status == 403
    assert site.get(client, "/dashboard").status == 303


def test_it_is_down_for_a_while(site: Site, provider: Provider) -> None:
    client = site.new_client()
    with provider.down():
        assert site.get(client, "/auth/login").status == 503
    assert site.get(client, "/auth/login").status == 303


def test_in_the_end_it_is_there_behaves_and_has_forgotten() -> None:
    with Provider() as provider:
        provider.faults.fail("auth", 500)
        with pytest.raises(RuntimeError, match="the provider shows no form, but answers 500"):
            provider.sign_in(provider.url("auth"))
        assert provider.count("auth") == 1
        provider.stop()
        provider.heal()
        assert provider.hits == []
        with pytest.raises(RuntimeError, match="client_id '' is not registered here"):
            provider.sign_in(provider.url("auth"))


def test_an_answer_that_sends_nobody_back_is_a_sentence(site: Site, provider: Provider) -> None:
    there = _sent_to(site, site.new_client())
    with pytest.raises(RuntimeError, match="the provider sends nobody back, but answers 400"):
        provider.sign_in(there, "x" * 101)


def test_its_settings_can_be_environment_variables(provider: Provider) -> None:
    config = AuthConfig.from_env(provider.environment | {"SESSION_SECRET": SECRET})
    told = {"issuer": config.issuer, "client_id": config.client_id, "client_secret": config.client_secret}
    assert told == provider.settings


def test_another_callback_can_be_registered(provider: Provider) -> None:
    client = provider.clients[provider.client_id]
    assert "http://localhost:8000/auth/callback" in client.redirect_uris
    provider.register("https://app.example/auth/callback")
    assert "https://app.example/auth/callback" in provider.clients[provider.client_id].redirect_uris


def test_without_a_server_what_to_install_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(RuntimeError, match=r"pip install 'ck-middleware\[demo\]'"):
        Provider()


def test_the_fixture_is_the_function(log_in: Callable[..., Person]) -> None:
    assert log_in is people.log_in


def test_the_kit_itself_needs_no_test_runner_no_framework_and_no_server() -> None:
    """Nor is it a plugin that pytest finds by itself: whoever wants the fixtures asks for them."""
    others = {"pytest", "uvicorn", "django", "flask", "fastapi"}
    script = f"import sys, ck_middleware.testing; print(sorted({others} & set(sys.modules)))"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
