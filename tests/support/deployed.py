"""This file is what deploy/ has, run as it stands there: servers by their lines, and proxies with TLS before them.

Addresses alone are others: ports that the kernel gave, and `localhost` in place of `app.example`.
"""

import re
import shlex
import shutil
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from support import nginx
from support.certified import certificate
from support.documents import ROOT
from support.examples import PROGRAMS, served
from support.ports import HOST, Port
from support.provider import MisbehavingProvider
from support.servers import PATIENCE, Running, environ_of

DEPLOY = ROOT / "deploy"
ADDRESS = "127.0.0.1:8000"  # where the lines in deploy/ have the app
APPS = {"wsgi": "support.apps.plain", "asgi": "support.apps.starry"}
# Before a server replaces a worker of its own that says nothing: when the machine stands still, everybody is silent.
PATIENT = {"GUNICORN_CMD_ARGS": f"--timeout {PATIENCE}", "UVICORN_TIMEOUT_WORKER_HEALTHCHECK": str(PATIENCE)}
NEEDED = "This needs {0}; install it, such as with: apt-get install {0}"
CADDY = """{
	admin off
	auto_https disable_redirects
	default_bind 127.0.0.1
	local_certs
	skip_install_trust
}
"""


def lines() -> dict[str, str]:
    """The line that starts each server."""
    return dict(re.findall(r"^([\w-]+): (.+)$", (DEPLOY / "Procfile").read_text("utf-8"), re.MULTILINE))


def face_of(line: str) -> str:
    is_wsgi = "waitress" in line or ("gunicorn" in line and "asgi" not in line)
    return "wsgi" if is_wsgi else "asgi"


class Deployed(Running):
    """A server that a line of deploy/Procfile starts, among copies of the files there, and with an app of ours."""

    def __init__(
        self, line: str, port: int, directory: Path, environ: dict[str, str], *, host: str = HOST, mount: str = ""
    ) -> None:
        """`mount` is what its proxy leaves at the head of every path."""
        self.host, self.alive = host, f"{mount}/alive"
        super().__init__(line, port, directory, environ)

    def _start(self) -> tuple[list[str], Path]:
        for file in DEPLOY.glob("*.py"):
            shutil.copy(file, self._directory)
        self.deploy()
        line = self.command.replace(ADDRESS, f"{self.host}:{self.port}")
        line = line.replace("--host 127.0.0.1 --port 8000", f"--host {self.host} --port {self.port}")
        words = shlex.split(line)
        while "=" in words[0]:
            name, _, value = words.pop(0).partition("=")
            self.environ[name] = value
        return [str(PROGRAMS / words[0]), *words[1:]], self._directory

    def deploy(self, **environ: str) -> None:
        """Write the app, with other settings than those of its environment. It is running what was there before."""
        app = f"import os\nos.environ |= {environ}\nfrom {APPS[face_of(self.command)]} import app as app\n"
        (self._directory / "app.py").write_text(app)


@contextmanager
def deployed(
    line: str,
    port: int,
    directory: Path,
    environ: dict[str, str],
    *,
    host: str = HOST,
    mount: str = "",
    workers: int = 2,
) -> Iterator[Deployed]:
    """It answers, with all its workers, when this gives it. At the end it is stopped."""
    directory.mkdir()
    line, environ = line.replace("--workers 2", f"--workers {workers}"), environ | {"WEB_CONCURRENCY": str(workers)}
    running = Deployed(line, port, directory, environ, host=host, mount=mount)
    try:
        running.await_workers(workers)
        yield running
    finally:
        running.stop()


def environ_at(origin: str, provider: MisbehavingProvider) -> dict[str, str]:
    """The settings of an app at this origin, whose people log in at this provider."""
    provider.register(f"{origin}/auth/callback")
    return environ_of(provider) | PATIENT | {"CONSENTKEYS_APP_URL": origin}


class Host:
    """One machine, as far as that goes here: an address of its own, with the server of a line on it, or none."""

    def __init__(self, address: str, line: str, home: Path, environ: dict[str, str]) -> None:
        self._line, self._home, self._environ = line, home, environ
        self._port, self._runs, self._starts = Port(), ExitStack(), 0
        self.address = f"{address}:{self._port.number}"

    def start(self, **environ: str) -> Deployed:
        """`environ` is laid over what it was started with before."""
        self._environ |= environ
        self._starts += 1
        host, _, port = self.address.partition(":")
        place = self._home / f"{host}-{self._starts}"
        running = deployed(self._line, int(port), place, self._environ, host=host, workers=1)
        self.server = self._runs.enter_context(running)
        return self.server

    def stop(self) -> None:
        self._runs.close()

    def kill(self) -> None:
        """End all of it without a warning, as when the machine loses its power."""
        self.server.kill()
        self._runs.pop_all()

    def restart(self, **environ: str) -> None:
        """As a deploy does, host by host."""
        self.stop()
        self.start(**environ)

    def close(self) -> None:
        self.stop()
        self._port.close()


class Front:
    """A proxy with TLS, before an app at `upstream`. `origin` is where people find it."""

    def __init__(self, home: Path, origin: str, trusted: Path, *, log: Path, plain: int = 0) -> None:
        self.home, self.origin, self._trusted, self._log, self.plain = home, origin, trusted, log, plain

    @property
    def tls(self) -> ssl.SSLContext:
        """What trusts its certificate."""
        return ssl.create_default_context(cafile=str(self._trusted))

    def served_by(self) -> list[tuple[str, str]]:
        """The path of each request that there was, and the address of the app that answered it."""
        found = re.findall(r"^(\S+) .*?(\S+)$", self._log.read_text("utf-8"), re.MULTILINE)
        return [(path, address) for path, address in found]


@contextmanager
def behind_nginx(
    home: Path, upstream: Sequence[str], *, change: Callable[[str], str] = lambda text: text
) -> Iterator[Front]:
    """nginx as deploy/nginx has it. `change` lays other parts of that folder over the text of app.conf."""
    if nginx.PROGRAM is None:
        pytest.skip(NEEDED.format("nginx-light"))
    home.mkdir()
    with Port() as port, Port() as plain:
        front = Front(
            home, f"https://localhost:{port.number}", home / "certificate", log=home / "served", plain=plain.number
        )
        (home / "certificate").write_bytes(certificate("localhost"))
        shutil.copy(DEPLOY / "nginx" / "app-proxy.conf", home)
        text = change((DEPLOY / "nginx" / "app.conf").read_text("utf-8"))
        text = re.sub(r"/etc/ssl/app\.example/\w+\.pem", str(home / "certificate"), text)
        text = text.replace("server_name app.example", "server_name localhost")
        text = text.replace("https://app.example", front.origin)
        text = text.replace("listen 443", f"listen {HOST}:{port.number}").replace(
            "listen 80", f"listen {HOST}:{plain.number}"
        )
        for named, real in zip(re.findall(r"server ([\d.:]+)", text), upstream, strict=True):
            text = text.replace(named, real)
        logged = f"log_format served '$uri $upstream_addr'; access_log {home}/served served;"
        main = nginx.MAIN.format(user=nginx.USER, home=home, servers=text).replace("access_log off;", logged)
        (home / "conf").write_text(main)
        command = [nginx.PROGRAM, "-p", str(home), "-c", str(home / "conf"), "-e", "stderr"]
        with served(command, port=port.number, home=home, place=home):
            yield front


@contextmanager
def behind_caddy(home: Path, upstream: str) -> Iterator[Front]:
    """Caddy as deploy/Caddyfile has it, with a certificate that it makes itself."""
    caddy = shutil.which("caddy")
    if caddy is None:
        pytest.skip(NEEDED.format("caddy"))
    home.mkdir()
    with Port() as port:
        origin = f"https://localhost:{port.number}"
        (home / "Caddyfile").write_text(CADDY + (DEPLOY / "Caddyfile").read_text("utf-8"))
        root = home / ".local/share/caddy/pki/authorities/local/root.crt"
        where = {"SITE": origin, "UPSTREAM": upstream}
        with served([caddy, "run", "--config", "Caddyfile"], port=port.number, home=home, place=home, **where):
            yield Front(home, origin, root, log=home / "log")
