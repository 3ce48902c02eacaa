"""The doctor finds what keeps people from logging in, says why it matters, and what mends it."""

import contextlib
import json
import os
import pty
import re
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ck_middleware import ASGIAuthMiddleware, AuthConfig
from ck_middleware.cli import main
from ck_middleware.dev import Client
from ck_middleware.doctor import provider as ours
from support.certified import CertifiedServer
from support.provider import CLIENT_ID, CLIENT_SECRET, MisbehavingProvider
from support.redis_server import RedisServer
from support.serving import RawServer, Server

SECRET = "Zk3v9QxWm2LtR7yHn5BcD8fGj1KpS4Ua"  # of a session, 32 bytes
SKEW = 20  # seconds by which clocks agree: a machine that stands still may do so while an answer is under way

CREDENTIALS = (CLIENT_ID, CLIENT_SECRET)
ENDPOINTS = {
    "CONSENTKEYS_AUTHORIZATION_ENDPOINT": "auth",
    "CONSENTKEYS_TOKEN_ENDPOINT": "token",
    "CONSENTKEYS_USERINFO_ENDPOINT": "userinfo",
    "CONSENTKEYS_JWKS_URI": "jwks",
}

Examine = Callable[..., dict[str, dict[str, str]]]


@pytest.fixture(autouse=True)
def _here(provider: MisbehavingProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, light_clients: None) -> None:
    """An empty folder, and the environment of an app that is configured well."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("CONSENTKEYS_", "SESSION_SECRET"))]:
        monkeypatch.delenv(name)
    settings = provider.settings
    monkeypatch.setenv("CONSENTKEYS_ISSUER", settings["issuer"])
    monkeypatch.setenv("CONSENTKEYS_CLIENT_ID", settings["client_id"])
    monkeypatch.setenv("CONSENTKEYS_CLIENT_SECRET", str(settings["client_secret"]))
    monkeypatch.setenv("CONSENTKEYS_APP_URL", "http://localhost:8000")
    monkeypatch.setenv("SESSION_SECRET", SECRET)
    monkeypatch.setattr(ours, "SKEW", SKEW)


@pytest.fixture
def examine(capsys: pytest.CaptureFixture[str]) -> Examine:
    """What has to be mended or looked at, by the name of the check."""

    def ask(*argv: str, code: int) -> dict[str, dict[str, str]]:
        assert main(["doctor", "--json", *argv]) == code
        found = json.loads(capsys.readouterr().out)
        assert all(finding["why"] and finding["fix"] for finding in found if finding["level"] in {"warning", "problem"})
        return {finding["check"]: finding for finding in found if finding["level"] in {"warning", "problem"}}

    return ask


# A healthy app


def test_a_healthy_app_is_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert said.endswith("\nAll is well.\n")
    assert "accepts the client's credentials" in said
    assert "knows the redirect URI" in said
    assert "\x1b" not in said


def test_no_secret_is_shown(
    provider: MisbehavingProvider, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONSENTKEYS_STORE", "redis://:hunter2@127.0.0.1:1/0")
    provider.faults.answer("token", PlainTextResponse("hunter3", 500))
    main(["doctor"])
    said = capsys.readouterr().out
    assert SECRET not in said
    assert str(provider.settings["client_secret"]) not in said
    assert "hunter" not in said


def test_a_person_sees_colours(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    monkeypatch.setenv("TERM", "xterm-256color")
    with os.fdopen(theirs, "w") as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", terminal)
        assert main(["doctor"]) == 0
    said = _all_of(ours).decode()
    assert "\x1b[32mok" in said
    assert "All is well." in said


def _all_of(terminal: int) -> bytes:
    """What was written to a terminal that is closed at the other end; it comes in pieces, and then an error."""
    said = b""
    with contextlib.suppress(OSError):
        while piece := os.read(terminal, 1 << 16):
            said += piece
    os.close(terminal)
    return said


def test_nobody_else_commands_the_terminal(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, provider: MisbehavingProvider
) -> None:
    """What the provider writes of itself is shown, and a terminal does what it is told."""
    evil = "\x1b]0;owned\x07\x1b[2J\rAll is well."
    provider.faults.discovery = _set(token_endpoint_auth_methods_supported=[evil])
    assert main(["doctor"]) == 0
    plain = capfd.readouterr().out
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", terminal)
        assert main(["doctor"]) == 0
    for said in (plain, _all_of(ours).decode()):
        assert r"\x1b[2J" in said
        assert [sign for sign in ("\x1b]", "\x1b[2J", "\x07", "\rAll") if sign in said] == []


def test_without_the_extra_a_person_sees_plain_text_and_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(["doctor"]) == 0
    said = capsys.readouterr()
    assert "All is well." in said.out
    assert "pip install 'ck-middleware[cli]'" in said.err


# Settings


def test_every_wrong_setting_is_named(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONSENTKEYS_CLIENT_ID")
    found = examine(code=1)
    assert "CONSENTKEYS_CLIENT_ID" in found["settings"]["what"]
    assert "Developer Portal" in found["settings"]["fix"]


def test_a_misspelt_variable_is_noticed(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSENTKEYS_PROTECTED", "/admin")
    assert "CONSENTKEYS_PROTECT" in examine(code=0)["environment"]["fix"]


def test_a_variable_of_somebody_else_is_only_mentioned(
    examine: Examine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CONSENTKEYS_DASHBOARD_COLOUR_OF_THE_WALLPAPER", "blue")
    assert not examine(code=0)
    main(["doctor"])
    assert "WALLPAPER is set, and not read" in capsys.readouterr().out


@pytest.mark.parametrize("secret", ["a" * 64, "secret" * 8, f"{SECRET},{'ab' * 20}"])
def test_a_secret_that_repeats_itself_is_weak(examine: Examine, monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    monkeypatch.setenv("SESSION_SECRET", secret)
    assert "ck-middleware secret" in examine(code=1)["session_secret"]["fix"]


def test_an_app_in_clear_text_is_a_problem(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSENTKEYS_APP_URL", "http://app.example")
    assert "https" in examine(code=1)["settings"]["fix"]


def test_an_app_on_this_machine_needs_no_address(
    examine: Examine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CONSENTKEYS_APP_URL")
    assert not examine(code=0)
    main(["doctor"])
    assert "localhost" in capsys.readouterr().out


def test_a_redirect_uri_with_a_slash_at_its_end_is_looked_at(
    examine: Examine, provider: MisbehavingProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.register("http://localhost:8000/auth/callback/")
    monkeypatch.setenv("CONSENTKEYS_REDIRECT_URI", "http://localhost:8000/auth/callback/")
    assert examine(code=0)["redirect_uri"]["also"] == "Token exchange failed"


def test_an_env_file_is_read_and_the_environment_wins(
    examine: Examine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SESSION_SECRET")
    (tmp_path / ".env").write_text(f"SESSION_SECRET={SECRET}\nCONSENTKEYS_CLIENT_ID=ck_another\n")
    assert not examine(code=0)
    monkeypatch.delenv("SESSION_SECRET")
    (tmp_path / ".env").rename(tmp_path / "other.env")
    assert "SESSION_SECRET" in examine(code=1)["settings"]["what"]
    assert not examine("--env-file", "other.env", code=0)


def test_an_env_file_that_nobody_asked_for_is_in_nobodys_way(
    examine: Examine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("CONSENTKEYS_SCOPE=none\n")
    assert not examine("--no-env-file", code=0)
    monkeypatch.setitem(sys.modules, "dotenv", None)
    assert not examine(code=0)


@pytest.mark.parametrize("hidden", [(), ("dotenv",)])
def test_an_env_file_that_cannot_be_read_is_a_sentence(
    hidden: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.env").write_bytes(b"A=\xff\n")
    for package in hidden:
        monkeypatch.setitem(sys.modules, package, None)
    assert main(["doctor", "--env-file", "x.env"]) == 2
    assert ("UTF-8" if not hidden else "pip install 'ck-middleware[cli]'") in capsys.readouterr().err
    assert main(["doctor", "--env-file", "nowhere.env"]) == 2
    assert "There is no file nowhere.env" in capsys.readouterr().err


def test_a_folder_that_is_called_so_is_no_env_file(
    examine: Examine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".env").mkdir()
    assert not examine(code=0)
    main(["doctor"])
    assert "Read .env" not in capsys.readouterr().out
    assert main(["doctor", "--env-file", ".env"]) == 2
    assert "There is no file .env" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [(), ("--env-file", ".env")])
def test_an_env_file_that_the_system_does_not_give_away_is_a_sentence(
    argv: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".env").symlink_to("/proc/self/mem")  # whoever asks, root too, gets an error at its beginning
    assert main(["doctor", *argv]) == 2
    assert re.fullmatch(r"\.env cannot be read \(.+\); .*--no-env-file\.\n", capsys.readouterr().err)
    assert main(["doctor", "--no-env-file"]) == 0


# The provider


def test_wrong_credentials_are_told_before_anybody_logs_in(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSENTKEYS_CLIENT_SECRET", "of-another-client")
    found = examine(code=1)["client"]
    assert "CONSENTKEYS_CLIENT_SECRET" in found["what"]
    assert found["also"] == "Token exchange failed"


def test_a_redirect_uri_that_is_not_registered_is_told(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSENTKEYS_APP_URL", "http://localhost:8999")
    assert "http://localhost:8999/auth/callback" in examine(code=1)["redirect_uri"]["what"]


@pytest.mark.parametrize("by_hand", [False, True])
def test_the_provider_is_asked_once_what_it_says_of_itself(
    by_hand: bool,  # noqa: FBT001
    examine: Examine,
    provider: MisbehavingProvider,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, path in ENDPOINTS.items() if by_hand else ():
        monkeypatch.setenv(name, provider.url(path))
    assert not examine(code=0)
    assert [provider.count(endpoint) for endpoint in ("discovery", "jwks", "token", "auth")] == [1, 1, 1, 1]


def test_a_provider_that_does_not_tell_the_time_is_believed(
    examine: Examine,
    provider: MisbehavingProvider,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, path in ENDPOINTS.items():
        monkeypatch.setenv(name, provider.url(path))
    with RawServer([b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"]) as timeless:
        monkeypatch.setenv("CONSENTKEYS_ISSUER", timeless.url)
        assert not examine(code=0)
        main(["doctor"])
    assert "the clocks were not compared" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["discovery", "jwks"])
def test_a_provider_that_answers_html_cannot_verify_anybody(
    name: str, examine: Examine, provider: MisbehavingProvider
) -> None:
    provider.faults.answer(name, Response("<h1>hello</h1>", media_type="text/html"))
    found = examine(code=1)["discovery" if name == "discovery" else "keys"]
    assert found["also"] == "Invalid signature"


def test_a_provider_that_is_not_there_is_a_problem(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSENTKEYS_ISSUER", "http://127.0.0.1:1")
    assert "HTTPS_PROXY" in examine(code=1)["discovery"]["fix"]


def test_a_provider_of_another_name_is_a_problem(examine: Examine, provider: MisbehavingProvider) -> None:
    provider.faults.discovery = lambda document: document | {"issuer": "https://other.example"}
    assert "to the letter" in examine(code=1)["discovery"]["fix"]


def _set(**members: object) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda document: document | members


@pytest.mark.parametrize(
    ("change", "check", "code"),
    [
        (_set(id_token_signing_alg_values_supported=["ES256"]), "algorithms", 1),
        (_set(code_challenge_methods_supported=["plain"]), "pkce", 0),
        (_set(code_challenge_methods_supported=None), "pkce", 0),
        (_set(token_endpoint_auth_methods_supported=["client_secret_basic"]), "client_auth", 0),
        (_set(token_endpoint_auth_methods_supported=None), "client_auth", 0),
    ],
)
def test_what_the_provider_does_not_offer_is_told(
    change: Callable[[dict[str, Any]], dict[str, Any]],
    check: str,
    code: int,
    examine: Examine,
    provider: MisbehavingProvider,
) -> None:
    provider.faults.discovery = change
    assert list(examine(code=code)) == [check]


def test_what_is_only_worth_knowing_is_no_warning(
    examine: Examine, provider: MisbehavingProvider, capsys: pytest.CaptureFixture[str]
) -> None:
    provider.faults.discovery = lambda document: (
        document | {"scopes_supported": ["openid"], "end_session_endpoint": None}
    )
    assert not examine(code=0)
    main(["doctor"])
    said = capsys.readouterr().out
    assert "does not know the scopes profile, email" in said
    assert "no log-out page" in said


def test_a_token_endpoint_that_answers_something_else_leaves_the_question_open(
    examine: Examine, provider: MisbehavingProvider
) -> None:
    provider.faults.answer("token", PlainTextResponse("oops", 500))
    assert "cannot be told" in examine(code=0)["client"]["what"]


def test_a_provider_that_takes_any_code_is_a_problem(examine: Examine, provider: MisbehavingProvider) -> None:
    provider.faults.answer(
        "token", Response('{"access_token":"a","token_type":"Bearer"}', media_type="application/json")
    )
    assert "nobody issued" in examine(code=1)["client"]["what"]


@pytest.mark.parametrize(("seconds", "code"), [(2 * SKEW, 0), (-2 * SKEW, 0), (3600, 1), (-3600, 1)])
def test_a_clock_that_is_wrong_is_told(
    seconds: int, code: int, examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ours, "time", SimpleNamespace(time=lambda: time.time() + seconds))  # the provider keeps its own
    found = examine(code=code)["clock"]
    assert ("ahead" if seconds > 0 else "behind") in found["what"]
    assert found["also"] == "Invalid signature"


def test_endpoints_that_are_all_set_need_no_discovery(
    examine: Examine, provider: MisbehavingProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, path in ENDPOINTS.items():
        monkeypatch.setenv(name, provider.url(path))
    provider.faults.answer("discovery", PlainTextResponse("gone", 404))
    assert not examine(code=0)


# The store


def test_a_store_that_works_is_fine(
    examine: Examine, monkeypatch: pytest.MonkeyPatch, redis_server: RedisServer
) -> None:
    monkeypatch.setenv("CONSENTKEYS_STORE", "sqlite:///s.db")
    assert not examine(code=0)
    monkeypatch.setenv("CONSENTKEYS_STORE", redis_server.url)
    assert not examine(code=0)


def test_a_store_without_its_package_is_a_finding_like_any_other(
    examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ck_middleware.stores.redis.find_spec", lambda _: None)
    monkeypatch.setenv("CONSENTKEYS_STORE", "redis://127.0.0.1:1/0")
    assert "ck-middleware[redis]" in examine(code=1)["store"]["fix"]


def test_a_file_that_others_may_read_is_looked_at(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("s.db").touch()
    Path("s.db").chmod(stat.S_IRUSR | stat.S_IWUSR | stat.S_IROTH)
    monkeypatch.setenv("CONSENTKEYS_STORE", "sqlite:///s.db")
    assert "chmod 600" in examine(code=0)["store"]["fix"]


@pytest.mark.parametrize(
    ("store", "said"),
    [
        ("redis://127.0.0.1:1/0", "The store of sessions cannot be asked: Redis "),
        ("sqlite:////nowhere/at/all/s.db", "its file cannot be opened; see that the folder is there"),
    ],
)
def test_a_store_that_cannot_be_used_is_a_problem_in_the_words_of_the_log(
    store: str,
    said: str,
    examine: Examine,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("CONSENTKEYS_STORE", store)
    found = examine(code=1)["store"]
    assert said in found["what"]
    assert found["what"][1:].rstrip(".") in caplog.text
    assert "CONSENTKEYS_STORE" in found["fix"]


# The running app


async def _hello(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await Starlette()(scope, receive, send)
        return
    await PlainTextResponse("hello")(scope, receive, send)


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch, provider: MisbehavingProvider) -> Iterator[Callable[..., str]]:
    """An app on a real server, and the address that people use."""
    servers: list[Server] = []

    def start(proxy: Callable[[ASGIApp], ASGIApp] = lambda app: app, **settings: Any) -> str:
        server = Server(lifespan=True)
        provider.register(f"{server.url}/auth/callback")
        monkeypatch.setenv("CONSENTKEYS_APP_URL", server.url)
        server.app = proxy(ASGIAuthMiddleware(_hello, AuthConfig.from_env(**settings)))
        server.start()
        servers.append(server)
        return server.url

    yield start
    for server in servers:
        server.close()


def test_an_app_that_sends_what_is_configured_is_fine(examine: Examine, running: Callable[..., str]) -> None:
    assert not examine("--app", running(), code=0)


def test_an_app_whose_address_no_setting_says_is_known_by_where_it_is_asked(
    examine: Examine, running: Callable[..., str], provider: MisbehavingProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = running(base_url=None)
    monkeypatch.delenv("CONSENTKEYS_APP_URL")
    assert not examine("--app", address, code=0)
    provider.clients[str(provider.settings["client_id"])] = Client(*CREDENTIALS, ["http://localhost:1/auth/callback"])
    assert address in examine("--app", address, code=1)["redirect_uri"]["what"]


def test_an_app_with_another_address_is_a_problem(examine: Examine, running: Callable[..., str]) -> None:
    found = examine("--app", running(base_url="http://localhost:8000"), code=1)
    assert "CONSENTKEYS_APP_URL" in found["login"]["fix"]


def test_an_app_that_is_not_wrapped_is_a_problem(examine: Examine, running: Callable[..., str]) -> None:
    found = examine("--app", running(lambda _: _hello), code=1)
    assert {"login", "me"} <= set(found)


def test_an_app_that_does_not_answer_is_a_problem(examine: Examine) -> None:
    assert "does not answer" in examine("--app", "http://127.0.0.1:1", code=1)["app"]["what"]


def test_an_app_whose_certificate_nobody_knows_is_told_from_one_that_does_not_answer(
    examine: Examine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with CertifiedServer(tmp_path) as server:
        found = examine("--app", server.url, code=1)["app"]
        assert "certificate" in found["what"]
        assert "SSL_CERT_FILE" in found["fix"]
        monkeypatch.setenv("SSL_CERT_FILE", str(server.certificate))
        assert "app" not in examine("--app", server.url, code=1)


def _losing(header: bytes) -> Callable[[ASGIApp], ASGIApp]:
    """A proxy that takes a header away from answers."""

    def proxy(app: ASGIApp) -> ASGIApp:
        async def proxied(scope: Scope, receive: Receive, send: Send) -> None:
            async def sending(message: Any) -> None:
                if "headers" in message:
                    message["headers"] = [pair for pair in message["headers"] if pair[0] != header]
                await send(message)

            await app(scope, receive, sending)

        return proxied

    return proxy


@pytest.mark.parametrize(("header", "check", "code"), [(b"set-cookie", "cookies", 1), (b"cache-control", "cache", 0)])
def test_a_proxy_that_loses_a_header_is_told(
    header: bytes, check: str, code: int, examine: Examine, running: Callable[..., str]
) -> None:
    assert list(examine("--app", running(_losing(header)), code=code)) == [check]


def test_a_proxy_that_takes_no_large_cookie_is_a_problem(examine: Examine, running: Callable[..., str]) -> None:
    def narrow(app: ASGIApp) -> ASGIApp:
        async def proxied(scope: Scope, receive: Receive, send: Send) -> None:
            large = any(len(value) > 1024 for name, value in scope.get("headers", ()) if name == b"cookie")
            await (PlainTextResponse("too large", 431) if large else app)(scope, receive, send)

        return proxied

    assert "8 KB" in examine("--app", running(narrow), code=1)["cookie_size"]["fix"]
