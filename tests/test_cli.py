"""The command starts what it says, says how to use it, and says in one sentence why it did not start."""

import asyncio
import importlib
import logging
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.types import ASGIApp

import ck_middleware
from ck_middleware import AuthConfig
from ck_middleware.cli import main
from support.ports import Port

SESSION_SECRET = "thirty-two bytes that nobody else knows"
EVERYWHERE = "0.0.0.0"  # noqa: S104  # refused, but for an app at ConsentKeys
PATIENCE = 30  # seconds for a command to start or stop
COMMAND = [sys.executable, "-W", "error", "-m", "ck_middleware"]


@dataclass
class Served:
    """What would have been served, where, until Ctrl+C."""

    apps: list[ASGIApp] = field(default_factory=list)
    addresses: list[Any] = field(default_factory=list)


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Without what a developer has in the environment; the command sets up logging for its whole process."""
    for name in [name for name in os.environ if name.startswith("CONSENTKEYS_") or name == "SESSION_SECRET"]:
        monkeypatch.delenv(name)
    level = logging.getLogger("ck_middleware").level
    yield
    logging.getLogger("ck_middleware").setLevel(level)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Served:
    served = Served()

    def run(server: uvicorn.Server, sockets: list[socket.socket]) -> None:
        served.apps.append(server.config.app)  # type: ignore[arg-type]  # it is no import string here
        served.addresses += [listening.getsockname()[:2] for listening in sockets]
        raise KeyboardInterrupt

    monkeypatch.setattr(uvicorn.Server, "run", run)
    return served


@pytest.fixture
def port() -> Iterator[int]:
    with Port() as port:
        yield port.number


@pytest.fixture
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSENTKEYS_CLIENT_ID", "ck_0123456789abcdef0123456789abcdef")
    monkeypatch.setenv("CONSENTKEYS_CLIENT_SECRET", "of the client")


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(ck_middleware.__file__).parent.parent)}


def exported(text: str) -> dict[str, str]:
    return dict(re.findall(r"^export (\w+)=(\S+)$", text, re.MULTILINE))


# What is started


def test_the_provider_knows_the_client_that_it_is_told(
    served: Served, port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["provider", "--port", str(port), "--client-id", "ck_mine", "--client-secret", "always the same"]) == 0
    assert exported(capsys.readouterr().out)["CONSENTKEYS_CLIENT_ID"] == "ck_mine"


def test_the_demo_says_where_it_is(served: Served, port: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--port", str(port)]) == 0
    assert served.addresses == [("127.0.0.1", port)]
    said = capsys.readouterr().out
    assert f"http://localhost:{port} " in said
    assert "its own provider" in said
    assert "session secret is random" in said


def test_the_demo_has_port_8000_and_the_provider_9000_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_port(address: tuple[str, int], **_: object) -> socket.socket:
        raise OSError(0, f"asked for {address[1]}")

    monkeypatch.setattr(socket, "create_server", no_port)
    assert (main(["demo"]), main(["provider"])) == (2, 2)
    assert re.findall(r"asked for \d+", capsys.readouterr().err) == ["asked for 8000", "asked for 9000"]


@pytest.mark.usefixtures("_credentials")
def test_with_credentials_the_demo_asks_consentkeys_and_says_nothing_of_a_provider(
    served: Served, port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--port", str(port)]) == 0
    said = capsys.readouterr().out
    assert "provider" not in said
    assert "session secret is random" in said
    monkeypatch.setenv("SESSION_SECRET", SESSION_SECRET)
    assert main(["demo", "--port", str(port)]) == 0
    assert "secret" not in capsys.readouterr().out


@pytest.mark.usefixtures("_credentials")
@pytest.mark.parametrize("app_url", [None, "https://tunnel.example"])
def test_with_credentials_people_are_sent_to_consentkeys(
    app_url: str | None, served: Served, port: int, monkeypatch: pytest.MonkeyPatch, runner: asyncio.Runner
) -> None:
    for name in ("AUTHORIZATION_ENDPOINT", "TOKEN_ENDPOINT", "USERINFO_ENDPOINT", "JWKS_URI"):
        monkeypatch.setenv(f"CONSENTKEYS_{name}", f"https://consentkeys.example/{name}")
    if app_url:
        monkeypatch.setenv("CONSENTKEYS_APP_URL", app_url)
    assert main(["demo", "--port", str(port)]) == 0
    origin = app_url or f"http://localhost:{port}"
    home, login, no_provider = runner.run(_asked(served.apps[0], origin, "/", "/auth/login", "/provider/auth"))
    assert "provided by ConsentKeys" in home.text
    url = httpx.URL(login.headers["location"])
    assert url.host == "consentkeys.example"
    assert url.params["client_id"] == "ck_0123456789abcdef0123456789abcdef"
    assert url.params["redirect_uri"] == f"{origin}/auth/callback"
    assert no_provider.status_code == 404


def test_the_provider_says_what_to_copy(served: Served, port: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["provider", "--port", str(port)]) == 0
    assert served.addresses == [("127.0.0.1", port)]
    said = capsys.readouterr().out
    environ = exported(said)
    config = AuthConfig.from_env(environ)
    assert config.issuer == f"http://localhost:{port}"
    for text in (config.issuer, config.client_id, environ["CONSENTKEYS_CLIENT_SECRET"]):
        assert said.count(text) >= 2
    for host in ("localhost", "127.0.0.1"):
        for app_port in (5000, 8000, 8080):
            assert f"redirect URI   http://{host}:{app_port}/auth/callback\n" in said


def test_redirect_uris_that_are_given_take_the_place_of_the_usual_ones(
    served: Served, port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    uris = ["http://localhost:7000/app/auth/callback", "https://app.test/back?x=1"]
    assert main(["provider", "--port", str(port), *(f"--redirect-uri={uri}" for uri in uris)]) == 0
    assert re.findall(r"redirect URI +(\S+)", capsys.readouterr().out) == uris


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["--version"])
    assert exit_.value.code == 0
    assert re.fullmatch(r"ck-middleware (\d+\.\d+\.\d+|\(not installed\))\n", capsys.readouterr().out)


def test_it_is_a_module_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["ck-middleware", "--version"])
    with pytest.raises(SystemExit) as exit_:
        runpy.run_module("ck_middleware", run_name="__main__")
    assert exit_.value.code == 0
    assert capsys.readouterr().out.startswith("ck-middleware ")


def test_nothing_happens_when_the_module_is_imported() -> None:
    assert importlib.import_module("ck_middleware.__main__").main is main


# Why it did not start


def test_a_taken_port_is_told_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["demo", "--port", str(port)]) == 2
    assert capsys.readouterr() == ("", f"Port {port} is taken; choose another one with --port.\n")


@pytest.mark.usefixtures("_credentials")
def test_an_address_of_another_machine_is_told_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--host", "203.0.113.1"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert re.fullmatch(r"Port 8000 at 203\.0\.113\.1 cannot be used \(.+\); choose another .+\n", said.err)


@pytest.mark.parametrize("command", ["demo", "provider"])
def test_without_a_server_it_says_what_to_install(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main([command]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "pip install 'ck-middleware[demo]'" in said.err


@pytest.mark.parametrize("host", [EVERYWHERE, "::", "192.0.2.1", "app.example"])
def test_the_development_provider_is_not_served_to_others(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--host", host]) == 2
    assert "this machine alone" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2"])
def test_the_development_provider_is_served_to_this_machine(host: str, served: Served, port: int) -> None:
    assert main(["demo", "--port", str(port), "--host", host]) == 0


@pytest.mark.usefixtures("_credentials")
def test_consentkeys_may_be_demonstrated_to_others(served: Served, port: int) -> None:
    assert main(["demo", "--port", str(port), "--host", EVERYWHERE]) == 0
    assert served.addresses == [(EVERYWHERE, port)]


@pytest.mark.usefixtures("_credentials")
def test_wrong_settings_are_told_calmly(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SESSION_SECRET", "too-short")
    assert main(["demo"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "SESSION_SECRET" in said.err
    assert "Traceback" not in said.err
    assert "too-short" not in said.err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "command"),
        (["serve"], "invalid choice"),
        (["demo", "--port", "0"], "'0' is not a port"),
        (["demo", "--port", "65536"], "'65536' is not a port"),
        (["demo", "--port", "http"], "'http' is not a port"),
        (["provider", "--port", "-1"], "'-1' is not a port"),
        (["provider", "--redirect-uri", "/auth/callback"], "'/auth/callback' is not"),
        (["provider", "--redirect-uri", "http://app.example/auth/callback"], "plain http"),
        (["provider", "--redirect-uri", "http://localhost:5000/#x"], "fragment"),
        (["provider", "--host", EVERYWHERE], "unrecognized"),
    ],
)
def test_a_wrong_argument_is_told(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    assert complaint in capsys.readouterr().err


# The real thing


@pytest.mark.parametrize(
    ("command", "path"), [("provider", "/.well-known/openid-configuration"), ("demo", "/api/data")]
)
def test_it_serves_until_it_is_interrupted(command: str, path: str, port: int) -> None:
    words = [*COMMAND, command, "--port", str(port)]
    with subprocess.Popen(
        words, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            answer = _first_answer(f"http://localhost:{port}{path}")
        finally:
            process.send_signal(signal.SIGINT)
        said, complained = process.communicate(timeout=PATIENCE)
    assert answer.status_code == (200 if command == "provider" else 401)
    assert f"http://localhost:{port}" in said
    assert complained == ""
    assert process.returncode == 0


@pytest.mark.parametrize(
    "words",
    [["--help"], ["doctor", "--no-env-file"], ["secret"], ["provider", "--port", "{port}"]],
    ids=lambda words: words[0],
)
def test_when_nobody_listens_any_more_it_ends_without_a_word(words: list[str], port: int) -> None:
    """As in `ck-middleware doctor | head -1`."""
    reading, writing = os.pipe()
    os.close(reading)
    told = [word.format(port=port) for word in words]
    environ = _environment() | {"PYTHONUNBUFFERED": ""}
    try:
        done = subprocess.run(
            [*COMMAND, *told], env=environ, stdout=writing, stderr=subprocess.PIPE, text=True, check=False
        )
    finally:
        os.close(writing)
    assert (done.stderr, done.returncode) == ("", 128 + signal.SIGPIPE)


async def _asked(app: ASGIApp, origin: str, *paths: str) -> list[httpx.Response]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=origin) as client:
        return [await client.get(path) for path in paths]


def _first_answer(url: str) -> httpx.Response:
    ending = time.monotonic() + PATIENCE
    while True:
        try:
            return httpx.get(url, trust_env=False)
        except httpx.TransportError:
            if time.monotonic() > ending:
                raise
            time.sleep(0.05)


ACTS = pytest.mark.parametrize("act", [["list", "--sub", "ck_u_nobody"], ["end", "--sub", "ck_u_nobody"]], ids=" ".join)


def _set_store(monkeypatch: pytest.MonkeyPatch, store: str) -> None:
    for name, value in {
        "CONSENTKEYS_CLIENT_ID": "ck_x",
        "CONSENTKEYS_CLIENT_SECRET": "s3cret",
        "SESSION_SECRET": SESSION_SECRET,
        "CONSENTKEYS_STORE": store,
    }.items():
        monkeypatch.setenv(name, value)


@ACTS
def test_the_store_is_closed_when_its_sessions_have_been_told_of(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, act: list[str]
) -> None:
    place = tmp_path / "sessions.db"
    place.touch()
    _set_store(monkeypatch, f"sqlite:///{place}")
    assert main(["sessions", *act]) == 0
    assert place.stat().st_size  # it was opened
    assert list(tmp_path.iterdir()) == [place]  # SQLite's own files beside it go with the last who closes it


@ACTS
@pytest.mark.parametrize("scheme", ["sqlite", "SQLite"])
def test_a_store_that_is_not_there_is_not_made_to_be_looked_into(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, act: list[str], scheme: str
) -> None:
    _set_store(monkeypatch, f"{scheme}:///{tmp_path}/elsewhere.db")
    assert main(["sessions", *act]) == 2
    assert list(tmp_path.iterdir()) == []
