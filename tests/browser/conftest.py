"""A real browser and what it meets: nginx with TLS, and behind it the demo, two examples, an app with WebSockets."""

import base64
import hashlib
import importlib.util
import os
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import Browser, BrowserContext

from support import nginx
from support.chromium import NEEDED, NewBrowser, Noise, opened
from support.chromium import chromium as running
from support.documents import ROOT
from support.examples import EXAMPLES, PORT, run_line, served
from support.nginx import Nginx
from support.ports import Port
from support.provider import Hub, MisbehavingProvider
from support.servers import MODULES

PAGES = Path(__file__).parent / "pages"
DOCUMENT = ROOT / "docs" / "scripts.md"


@pytest.fixture(scope="session")
def provider(hub: Hub) -> Iterator[MisbehavingProvider]:
    with hub.provider() as provider:
        yield provider


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages, with the samples of the document and both versions of htmx beside them, for nginx to serve."""
    files = tmp_path_factory.mktemp("files")
    place = shutil.copytree(PAGES, files / "pages")
    text = DOCUMENT.read_text("utf-8")
    samples = re.findall(r"```(?:js|html)\n((?://|<!--) ([\w.-]+).*?)```", text, re.DOTALL)
    assert len(samples) == 6
    for sample, name in samples:
        (place / name).write_text(sample)
    shared = importlib.util.find_spec("django_htmx")
    assert shared is not None
    assert shared.origin is not None
    for version in ("2", "4"):
        script = f"htmx-{version}.min.js"
        shutil.copy(Path(shared.origin).parent / "static" / "django_htmx" / script, place / script)
        head = f'<!doctype html>\n<title>htmx</title>\n<script src="{script}"></script>\n'
        (place / f"htmx-{version}.html").write_text(head + (place / "htmx.html").read_text())
    return files


@pytest.fixture(scope="session")
def front(provider: MisbehavingProvider, pages: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """Everything that listens."""
    if nginx.PROGRAM is None:
        pytest.skip(NEEDED.format("nginx"))
    home = tmp_path_factory.mktemp
    with ExitStack() as stack:
        ports = {name: stack.enter_context(Port()).number for name in ("demo", "flask", "fastapi", "talk")}
        front = Nginx(home("nginx"), ports, files=pages)
        stack.callback(front.close)
        provider.register(*(f"{origin}/auth/callback" for origin in front.origins.values()))
        programs = {
            "demo": f"ck-middleware demo --port {ports['demo']}",
            "flask": run_line("flask_app.py").replace(PORT, str(ports["flask"])),
            "fastapi": run_line("fastapi_app.py").replace(PORT, str(ports["fastapi"])),
            "talk": f"uvicorn --host localhost --port {ports['talk']} support.apps.starry:app",
        }
        store = home("sessions") / "sessions.db"

        def start(name: str) -> None:
            environ = _environ(provider, front.origins[name])
            if name == "talk":
                environ |= {
                    "CONSENTKEYS_IDLE_TIMEOUT": "100s",
                    "CONSENTKEYS_STORE": f"sqlite:///{store}",
                    "APP_RECORD": str(store.with_name("record")),
                }
            context = served(programs[name].split(), port=ports[name], home=home(name), place=EXAMPLES, **environ)
            stack.enter_context(context)

        with ThreadPoolExecutor() as pool:
            list(pool.map(start, programs))
        stack.enter_context(served(front.command, port=front.port, home=home("front"), place=pages))
        yield front


def _environ(provider: MisbehavingProvider, origin: str) -> dict[str, str]:
    return {
        "CONSENTKEYS_ISSUER": provider.issuer,
        "CONSENTKEYS_CLIENT_ID": str(provider.settings["client_id"]),
        "CONSENTKEYS_CLIENT_SECRET": str(provider.settings["client_secret"]),
        "CONSENTKEYS_APP_URL": origin,
        "SESSION_SECRET": os.urandom(32).hex(),
        "GUNICORN_CMD_ARGS": "--timeout 120",  # before it replaces a worker that says nothing
        "PYTHONPATH": os.pathsep.join(map(str, MODULES)),
    }


@pytest.fixture(scope="module")  # not longer: as long as it runs, no other test of this process can have a loop
def chromium(front: Nginx) -> Iterator[Browser]:
    key = x509.load_pem_x509_certificate(front.certificate).public_key()
    digest = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    # Trust as people have it: a browser that is told to ignore every error keeps no page of such a site.
    with running(f"--ignore-certificate-errors-spki-list={base64.b64encode(digest).decode()}") as browser:
        yield browser


@pytest.fixture
def noise() -> Noise:
    return Noise()


@pytest.fixture
def new_browser(chromium: Browser, noise: Noise) -> Iterator[NewBrowser]:
    """Somebody's own browser, with its own cookies. At the end of the test no page of it has complained."""
    contexts: list[BrowserContext] = []

    def make(**settings: object) -> BrowserContext:
        contexts.append(opened(chromium, noise, **settings))
        return contexts[-1]

    yield make
    for context in contexts:
        context.close()
    assert noise.unexpected() == []


@pytest.fixture
def browser(new_browser: NewBrowser) -> BrowserContext:
    return new_browser()
