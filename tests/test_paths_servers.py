"""Hand-written bytes, sent to real servers: no request line gets a stranger to a protected handler.

The servers import this very file. Each serves the guarded app, and under the host name `bare` the same app without the
guard, which shows that the request line would have led somewhere.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import pytest
from flask import Flask
from quart import Quart
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ck_middleware import ASGIAuthMiddleware, WSGIAuthMiddleware

PATIENCE = 40  # seconds for a server to start on a busy machine; an answer then takes milliseconds
PROTECT = ["/api", "/admin"]
SETTINGS: dict[str, Any] = {
    "client_id": "ck_x",
    "client_secret": "s3cret",
    "session_secret": "x" * 40,
    "issuer": "http://127.0.0.1:9",  # nobody listens there
}
SECRET, WELCOME = "what only friends may read", "what all may read"
ROUTES = {"/api/secret": SECRET, "/api": SECRET, "/admin": SECRET, "/public": WELCOME}


# --- what the servers serve


def flask_app() -> WSGIApplication:
    app = Flask(__name__)
    for route, text in ROUTES.items():
        app.add_url_rule(route, endpoint=route, view_func=_saying(text))
    guarded = WSGIAuthMiddleware(app.wsgi_app, protect=PROTECT, **SETTINGS)

    def choose(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        chosen = app.wsgi_app if environ.get("HTTP_HOST") == "bare" else guarded
        return chosen(environ, start_response)

    return choose


def starlette_app() -> ASGIApp:
    def endpoint(text: str) -> Callable[[Request], Any]:
        async def answer(request: Request) -> PlainTextResponse:
            return PlainTextResponse(text)

        return answer

    return _with_and_without_guard(Starlette(routes=[Route(route, endpoint(text)) for route, text in ROUTES.items()]))


def quart_app() -> ASGIApp:
    app = Quart(__name__)
    for route, text in ROUTES.items():
        app.add_url_rule(route, endpoint=route, view_func=_saying(text))
    return _with_and_without_guard(app)


def _saying(text: str) -> Callable[[], str]:
    return lambda: text


def _with_and_without_guard(app: Any) -> ASGIApp:  # Quart has scope types of its own
    guarded = ASGIAuthMiddleware(app, protect=PROTECT, **SETTINGS)

    async def choose(scope: Scope, receive: Receive, send: Send) -> None:
        is_bare = (b"host", b"bare") in scope.get("headers", ())
        await (app if is_bare else guarded)(scope, receive, send)

    return choose


UVICORN = ["uvicorn", "--factory", "--fd", "{fd}", "--log-level", "critical"]
GUNICORN = ["gunicorn", "--bind", "fd://{fd}", "--no-control-socket", "--log-level", "critical"]
SERVERS = {
    "gunicorn-flask": [*GUNICORN, "test_paths_servers:flask_app()"],
    "h11-starlette": [*UVICORN, "--http", "h11", "test_paths_servers:starlette_app"],
    "h11-quart": [*UVICORN, "--http", "h11", "test_paths_servers:quart_app"],
    "httptools-starlette": [*UVICORN, "--http", "httptools", "test_paths_servers:starlette_app"],
    "httptools-quart": [*UVICORN, "--http", "httptools", "test_paths_servers:quart_app"],
    "mounted-quart": [*UVICORN, "--http", "h11", "--root-path", "/pre", "test_paths_servers:quart_app"],
}


# --- what is sent to them

TARGETS = [
    b"/api/secret",
    b"/api",
    b"/admin",
    b"//api/secret",
    b"///api/secret",
    b"/%2fapi/secret",
    b"/%2Fapi/secret",
    b"/api//secret",
    b"/api/secret/",
    b"/admin/",
    b"/./api/secret",
    b"/api/./secret",
    b"/public/../api/secret",
    b"/%2e/api/secret",
    b"/public/..%2fapi/secret",
    b"/public/%2e%2e/api/secret",
    b"/%61pi/secret",
    b"/api%2Fsecret",
    b"%2fapi%2fsecret",
    b"/%2561pi/secret",
    b"/API/secret",
    b"/Api/secret",
    b"/ADMIN",
    b"/api;x=1/secret",
    b"/api/secret;x=1",
    b"/;/api/secret",
    b"/api./secret",
    b"/api/secret.",
    b"/api/secret%20",
    b"/api/secret%09",
    b"/api/secret%00",
    b"/%00/api/secret",
    b"/api/secret%0a",
    b"/admin%0a",
    b"/admin%0d%0a",
    b"/api/secret%ff",
    b"/%ffapi/secret",
    b"/ap%ffi/secret",
    b"/%c0%afapi/secret",
    b"/api/secret\xff",
    b"/\xc3\xa9api/secret",
    b"/%ef%bd%81pi/secret",
    b"/ap%c4%b1/secret",
    b"/\\api\\secret",
    b"/api\\secret",
    b"/%5capi/secret",
    b"/public?/api/secret",
    b"/api/secret?x=1",
    b"/api/secret%3f",
    b"/api/secret#x",
    b"/admin#x",
    b"/public#/api/secret",
    b"http://evil.example/api/secret",
    b"http://evil.example//api/secret",
    b"http://127.0.0.1//api/secret",
    b"http://127.0.0.1/admin",
    b"http:/api/secret",
    b"api/secret",
    b"admin",
    b"@evil.example/api/secret",
    b"%00/api/secret",
    b"%20/api/secret",
    b"%01http://evil.example/api/secret",
    b"http://127.0.0.1",
    b"?x=1",
    b"?/api/secret",
    b"*",
    b"/pre/api/secret",
    b"/preapi/secret",
    b"/pre//api/secret",
    b"/x/pre/api/secret",
    b"/pre/pre/api/secret",
]
# gunicorn takes the mount from a client that it takes for a proxy, and by default it takes loopback for one.
MOUNTING = [
    b"SCRIPT_NAME: /zz",
    b"SCRIPT_NAME: /zz/",
    b"SCRIPT_NAME: //zz",
    b"SCRIPT_NAME: /zz/..",
    b"Script-Name: /zz",
]
REQUESTS = [(b"GET", target, b"") for target in TARGETS]
REQUESTS += [(method, b"/api/secret", b"") for method in (b"HEAD", b"OPTIONS", b"get", b"POST", b"QUERY")]
REQUESTS += [(b"OPTIONS", b"*", b""), (b"GET", b"/api/secret", b"X-Original-URL: /public")]
REQUESTS += [
    (b"GET", target, header)
    for header in MOUNTING
    for target in (b"/zz/api/secret", b"/zzapi/secret", b"/zz//api/secret", b"//zz/api/secret", b"/zz/../api/secret")
]


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    """Every server, started at once. Each gets a socket that listens already, where requests wait until it runs."""
    with ExitStack() as stack:
        ports = {}
        for name, words in SERVERS.items():
            with socket.create_server(
                ("127.0.0.1", 0)
            ) as listening:  # closed here, so that nobody waits for a dead one
                ports[name] = listening.getsockname()[1]
                stack.callback(_stop, _start(words, listening))
        yield ports


def _start(words: list[str], listening: socket.socket) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", *(word.format(fd=listening.fileno()) for word in words)]
    return subprocess.Popen(
        command,
        cwd=Path(__file__).parent,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},  # the very package under test
        pass_fds=[listening.fileno()],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def ask(port: int, method: bytes, target: bytes, header: bytes = b"", *, host: bytes = b"localhost") -> bytes:
    """All that comes back, byte for byte."""
    lines = [method + b" " + target + b" HTTP/1.1", b"Host: " + host, b"Connection: close"]
    lines += [b"Content-Length: 0"] * (method == b"POST") + [header] * bool(header)
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(b"\r\n".join([*lines, b"", b""]))
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


@pytest.mark.parametrize("name", SERVERS)
def test_no_request_line_gets_a_stranger_to_a_protected_handler(name: str, ports: dict[str, int]) -> None:
    passed = [sent for sent in REQUESTS if SECRET.encode() in ask(ports[name], *sent)]
    assert passed == []


@pytest.mark.parametrize("name", SERVERS)
def test_without_the_guard_some_of_them_would(name: str, ports: dict[str, int]) -> None:
    passed = [sent for sent in REQUESTS if SECRET.encode() in ask(ports[name], *sent, host=b"bare")]
    assert len(passed) > 3


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("target", [b"/public", b"/public?/api/secret", b"/%70ublic", b"/public?next=//x/../y"])
def test_the_plain_way_to_an_open_page_is_open(name: str, ports: dict[str, int], target: bytes) -> None:
    answer = ask(ports[name], b"GET", target)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert WELCOME.encode() in answer


@pytest.mark.parametrize("name", SERVERS)
def test_the_plain_way_to_a_protected_page_leads_to_the_login(name: str, ports: dict[str, int]) -> None:
    assert ask(ports[name], b"GET", b"/admin").startswith(b"HTTP/1.1 303 ")
    assert ask(ports[name], b"GET", b"/api/secret").startswith(b"HTTP/1.1 401 ")
