"""This file is the examples, started as their heads say, and a browser that enters them over real sockets."""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import httpx
import pytest

from support.ports import Port
from support.provider import MisbehavingProvider

EXAMPLES = Path(__file__).parents[2] / "examples"
SITES = (  # the same small site in each: an open home page, a dashboard, an API
    "flask_app.py",
    "django_app.py",
    "django_asgi_app.py",
    "django_users_app.py",
    "fastapi_app.py",
    "starlette_app.py",
    "quart_app.py",
    "litestar_app.py",
    "falcon_app.py",
    "falcon_asgi_app.py",
    "bottle_app.py",
    "pyramid_app.py",
)
APPS = (  # and those whose frameworks bring an interface
    "dash_app.py",
    "streamlit_app.py",
    "gradio_app.py",
    "nicegui_app.py",
    "datasette_plugins/consentkeys.py",
    "mlflow_server.sh",
)
PATIENCE = 120  # seconds for a server to start or to answer, on a busy machine
PERSON, NAME = "zoe", "Zoë <b>Ångström</b> & Söhne"  # a name that does harm where it is not escaped
PORT = "8000"  # in the examples
SESSION_SECRET = os.urandom(32).hex()  # of those that these tests run
PROGRAMS = Path(sys.executable).parent
# What some of them would ask of the terminal or tell their makers, and workers that one browser does not need.
QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_WORKERS": "1",
    "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "false",
    "STREAMLIT_SERVER_HEADLESS": "true",
}


class Browser:
    """As much of a browser as these pages need. It sends `Origin` with a form, as browsers do."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.client = httpx.Client(base_url=origin, timeout=PATIENCE, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.client.close()

    @property
    def cookies(self) -> str:
        """What it sends with every request, for whoever speaks another protocol."""
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.client.cookies.jar)

    def ask(self, path: str, **headers: str) -> httpx.Response:
        """One request, no redirect followed."""
        return self.client.get(path, headers=headers)

    def tell(self, path: str, words: object) -> httpx.Response:
        """Send JSON, as a script of the page does."""
        headers = {"Origin": self.origin, "Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}
        return self.client.post(path, json=words, headers=headers)

    def visit(self, path: str) -> httpx.Response:
        return self.client.get(path, follow_redirects=True)

    def submit(self, url: str | httpx.URL, **fields: str) -> httpx.Response:
        return self.client.post(url, data=fields, headers={"Origin": self.origin}, follow_redirects=True)

    def log_in(self, path: str, person: str = PERSON) -> httpx.Response:
        """Go where a login is needed, choose a person at the provider, and come back."""
        page = self.visit(path)
        request = re.search(r'name="request" value="([^"]+)"', page.text)
        assert request, f"{page.url} answered {page.status_code} and no choice of people: {page.text}"
        chosen = self.client.post(page.url, data={"request": request[1], "person": person}, follow_redirects=True)
        chosen.raise_for_status()
        return chosen


def run_line(example: str) -> str:
    """The line of the head that starts the server."""
    text = (EXAMPLES / example).read_text("utf-8")
    found = re.search(r"^#? +pip install .*\n#? +(.+)$", text, re.MULTILINE)
    assert found, f"{example} does not say how it is run"
    return found[1]


@contextmanager
def started(example: str, provider: MisbehavingProvider, home: Path) -> Iterator[str]:
    """Copy the examples, as a reader would, with another port in them, and run one. Its origin."""
    with Port() as port:
        place = shutil.copytree(EXAMPLES, home / "examples", ignore=shutil.ignore_patterns("__pycache__"))
        for file in place.rglob("*.*"):
            file.write_text(file.read_text("utf-8").replace(PORT, str(port.number)), "utf-8")
        provider.register(f"http://localhost:{port.number}/auth/callback")
        words = shlex.split(run_line(example).replace(PORT, str(port.number)))
        with served(
            words,
            port=port.number,
            home=home,
            place=place,
            **environment(provider),
            **QUIET,
        ) as origin:
            yield origin


def environment(provider: MisbehavingProvider) -> dict[str, str]:
    """The settings of an app whose people log in at this provider."""
    return {
        "CONSENTKEYS_ISSUER": provider.issuer,
        "CONSENTKEYS_CLIENT_ID": str(provider.settings["client_id"]),
        "CONSENTKEYS_CLIENT_SECRET": str(provider.settings["client_secret"]),
        "SESSION_SECRET": SESSION_SECRET,
    }


@contextmanager
def served(words: Sequence[str], *, port: int, home: Path, place: Path, **environ: str) -> Iterator[str]:
    """Run a program of this Python's in a folder for as long as it takes, and give its origin.

    What it says is in `home / "log"`.
    """
    ours = ("CONSENTKEYS_", "PYTEST_", "SESSION_", "XDG_")  # NiceGUI is another one in a test
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    path = os.pathsep.join([str(PROGRAMS), clean["PATH"]])
    program = shutil.which(words[0], path=path)
    assert program, f"{words[0]} is not installed"
    # A home of its own, since gunicorn opens a socket in the home of who starts it.
    env = clean | {"HOME": str(home), "PATH": path} | environ
    with (home / "log").open("w") as log:
        process = subprocess.Popen(
            [program, *words[1:]], cwd=place, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0
        )
    try:
        _await_answer(process, port)
        yield f"http://localhost:{port}"
    finally:
        _stop(process)
        print((home / "log").read_text())  # noqa: T201  # pytest shows it beside a failure


def _await_answer(process: "subprocess.Popen[bytes]", port: int) -> None:
    ending = time.monotonic() + PATIENCE
    while time.monotonic() < ending:
        assert process.poll() is None, "the server has ended"
        try:
            socket.create_connection(("localhost", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("the server does not listen")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End it and whatever it has started, which is not left behind."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(PATIENCE)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
