"""This file is real servers, each a process of its own and started as people start it, and who comes to them."""

import json
import os
import re
import shlex
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, Self

import httpx

import ck_middleware
from support.browser import FETCH, NAVIGATION
from support.faces import Answer
from support.ports import HOST, Port
from support.provider import MisbehavingProvider

PATIENCE = 60  # seconds for whatever a server does, on a busy machine
SILENCE = 20  # seconds that uvicorn lets a worker say nothing, also one that was killed while it was being asked
# Servers replace a worker of their own that says nothing for some seconds, and hang up on who is idle for as long; when
# the machine stands still, everybody is silent and idle.
PATIENT = {
    "gunicorn": f"--timeout {PATIENCE} --keep-alive {PATIENCE}",
    "hypercorn": f"--keep-alive {PATIENCE}",
    "uvicorn": f"--timeout-keep-alive {PATIENCE} --timeout-worker-healthcheck {SILENCE}",
}
SESSION_SECRET = "0123456789abcdef" * 4
TLS = ssl.create_default_context()  # a client makes its own in tens of milliseconds, needed or not
BOUND = {  # how each is told where to listen
    "granian": "--port {port}",
    "gunicorn": "--bind {} --no-control-socket",
    "hypercorn": "--bind {}",
    "uvicorn": "--port {port}",
    "waitress": "--listen={}",
}
MODULES = (Path(__file__).parent.parent, Path(ck_middleware.__file__).parent.parent)


class Running:
    """A server that answers. `origin` is where browsers find it, `workers` are its processes."""

    host = HOST
    alive = "/alive"  # where it tells strangers which process answers

    def __init__(self, command: str, port: int, directory: Path, environ: dict[str, str]) -> None:
        self.command = command
        self.port = port
        self.origin = f"http://localhost:{port}"
        self.workers: set[int] = set()
        self._directory = directory
        self._log = directory / "log"
        self._record = directory / "record"
        self._record.touch()
        self.environ = environ | {"APP_RECORD": str(self._record)}
        words, place = self._start()
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                words, cwd=place, env=self.environ, stdout=log, stderr=log, process_group=0
            )

    def _start(self) -> tuple[list[str], Path]:
        """What is run, and where."""
        program, _, rest = self.command.partition(" ")
        bound = BOUND[program].format(f"{self.host}:{self.port}", port=self.port)
        words = [sys.executable, "-m", *shlex.split(f"{program} {bound} {PATIENT.get(program, '')} {rest}")]
        return words, Path.cwd()

    @property
    def supervisor(self) -> int:
        """The process that starts the workers."""
        return self._process.pid

    def written(self) -> str:
        """All that it has written to its standard output and error."""
        return self._log.read_text("utf-8", "replace")

    def record(self) -> list[dict[str, Any]]:
        """Every call that the app behind the middleware has written down."""
        return [json.loads(line) for line in self._record.read_text("utf-8").splitlines()]

    def ask(self, target: str, *fields: str, source: str = "") -> Answer:
        """One request, with these header fields byte for byte: clients for people would tidy them up.

        `source` is the address of this machine that it comes from.
        """
        host = () if any(field.lower().startswith("host:") for field in fields) else (f"Host: localhost:{self.port}",)
        lines = (f"GET {target} HTTP/1.1", *host, *fields, "Connection: close", "", "")
        with socket.create_connection((self.host, self.port), PATIENCE, (source, 0)) as connection:
            connection.sendall("\r\n".join(lines).encode("latin-1"))
            response = HTTPResponse(connection)
            response.begin()
            headers = [(name.lower(), value) for name, value in response.getheaders()]
            return Answer(response.status, headers, response.read())

    def await_workers(self, count: int) -> None:
        ending = time.monotonic() + PATIENCE + SILENCE
        while len(self.workers) < count:
            if self._process.poll() is not None or time.monotonic() > ending:
                raise AssertionError(f"{len(self.workers)} of {count} workers answer:\n{self.written()}")
            with suppress(OSError, HTTPException):
                self.workers.add(self.ask(self.alive).json["pid"])
            time.sleep(0.02)  # also after an answer: those that start have more to do

    def kill_workers(self) -> None:
        """End every worker without a warning, as the kernel does when memory is short, and wait for as many others."""
        killed, self.workers = self.workers, set()
        for worker in killed:
            os.kill(worker, signal.SIGKILL)
        self.await_workers(len(killed))
        assert not killed & self.workers

    def kill(self) -> None:
        """End all of it without a warning, as when its machine loses power."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def reload(self) -> None:
        """Replace every worker gracefully, as after a deploy, and wait for as many others."""
        old = self.workers
        self._process.send_signal(signal.SIGHUP)
        ending = time.monotonic() + PATIENCE * len(old)  # one after another
        while any(Path(f"/proc/{pid}").exists() for pid in old):
            assert time.monotonic() < ending, self.written()
            time.sleep(0.02)
        self.workers = set()
        self.await_workers(len(old))

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to stop, as a service manager does. Raises when it does not stop."""
        self._process.send_signal(how)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired as exc:
            os.killpg(self._process.pid, signal.SIGKILL)  # the workers too: they would stay behind
            self._process.wait()
            raise AssertionError(f"it does not stop:\n{self.written()}") from exc

    @contextmanager
    def quoted(self) -> Iterator[Self]:
        """Print what it writes meanwhile, for pytest to show beside a failure."""
        before = len(self.written())
        try:
            yield self
        finally:
            print(self.written()[before:])  # noqa: T201


@contextmanager
def serve(command: str, provider: MisbehavingProvider, directory: Path, **environ: str) -> Iterator[Running]:
    """Run `gunicorn ...` or `uvicorn ...` with an app whose people log in at the provider.

    It answers, with all its workers, when this gives it. At the end it is stopped.
    """
    with Port() as port:
        provider.register(f"http://localhost:{port.number}/auth/callback")
        running = Running(command, port.number, directory, environ_of(provider) | environ)
        try:
            running.await_workers(int(*re.findall(r"--workers (\d+)", command) or "1"))
            yield running
        finally:
            running.stop()


def environ_of(provider: MisbehavingProvider) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("CONSENTKEYS_", "SESSION_"))}
    return own | {
        "PYTHONPATH": os.pathsep.join(map(str, MODULES)),
        "PYTHONWARNINGS": "always::ResourceWarning",
        "CONSENTKEYS_ISSUER": provider.issuer,
        "CONSENTKEYS_CLIENT_ID": str(provider.settings["client_id"]),
        "CONSENTKEYS_CLIENT_SECRET": str(provider.settings["client_secret"]),
        "CONSENTKEYS_PUBLIC": "/alive",
        "SESSION_SECRET": SESSION_SECRET,
    }


class Visitor:
    """One person at a browser of their own, over real connections."""

    def __init__(self, origin: str, name: str, *, tls: ssl.SSLContext = TLS) -> None:
        self.name = name
        self._client = httpx.Client(
            base_url=origin, headers=NAVIGATION, timeout=PATIENCE, verify=tls, trust_env=False, follow_redirects=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._client.close()

    def get(self, target: str, **headers: str) -> httpx.Response:
        return self._client.get(target, headers=headers)

    def step(self, target: str) -> httpx.Response:
        """One answer, wherever it may lead."""
        return self._client.get(target, follow_redirects=False)

    def post(self, target: str, **form: str) -> httpx.Response:
        """What a script of our own page sends."""
        return self._client.post(target, data=form, headers=FETCH)

    def look_around(self) -> list[httpx.Response]:
        """Ten answers of the app, each over a connection of its own, so that any worker may give it."""
        return [self._client.get("/who", headers={"Connection": "close"}) for _ in range(10)]

    def stream(self, target: str) -> AbstractContextManager[httpx.Response]:
        return self._client.stream("GET", target)

    def log_in(self) -> httpx.Response:
        """Go where a login is needed, and come back from the provider as somebody. The last answer."""
        return self.come_back(self.choose(self.start_login()))

    def start_login(self) -> httpx.Response:
        """As far as the provider's page."""
        page = self._client.get("/who")
        assert page.status_code == 200, page.text
        return page

    def choose(self, page: httpx.Response) -> str:
        """Say at the provider who one is. The address of the callback that this leads to."""
        request = re.search(r'name="request" value="([^"]+)"', page.text)
        assert request, page.text
        answer = self._client.post(page.url, data={"request": request[1], "name": self.name}, follow_redirects=False)
        return str(answer.headers["location"])

    def come_back(self, callback: str) -> httpx.Response:
        return self._client.get(callback)

    @property
    def cookie(self) -> str:
        """The session, as a `Cookie` field says it."""
        (found,) = (cookie for cookie in self._client.cookies.jar if cookie.name.endswith("ck_session"))
        return f"{found.name}={found.value}"


def told(answers: Sequence[httpx.Response]) -> list[dict[str, Any]]:
    """What the app said of each request that reached it."""
    assert all(answer.status_code == 200 for answer in answers), [answer.text for answer in answers]
    return [answer.json() for answer in answers]
