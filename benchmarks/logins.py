"""This file is what a login costs: calls to the provider, and CPU time of the app's process.

    python benchmarks/logins.py [--json FILE] [--logins 100] [--rounds 5]

Each app is on a real server, one process on one core. The provider is the development provider, and the browser a
small one; both are in this process, whose time is not counted, save in the rate of logins that was seen. Every round
logs people in at each app in turn; a figure is the median of the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from servers import UVICORN, a_core_each, cpu_seconds

from ck_middleware.testing.running import decided
from support.provider import provider_alone
from support.servers import MODULES, Running, serve

if TYPE_CHECKING:
    from support.provider import MisbehavingProvider

PATIENCE = 60  # seconds for an answer, on a busy machine
WARM = 5  # logins before any that counts: the provider's metadata and keys have been fetched by then
ASGI = UVICORN.replace("served", "login_apps")
WSGI = "gunicorn login_apps:app --worker-class gthread --threads 4"
CALLS = ("discovery", "jwks", "token", "userinfo")
TARGET_CPU, TARGET_CALLS = 5.0, 2.0


@dataclass(frozen=True)
class App:
    name: str
    app: str
    command: str
    login: str = "/login"
    userinfo: bool = True


APPS = (
    App("ck-middleware on Flask", "ours_on_flask", WSGI, "/auth/login"),
    App("ck-middleware on Flask, userinfo=False", "ours_on_flask", WSGI, "/auth/login", userinfo=False),
    App("the guide's Flask app", "guide", WSGI),
    App("Authlib on Flask", "authlib_on_flask", WSGI),
    App("ck-middleware on Starlette", "ours_on_starlette", ASGI, "/auth/login"),
    App("ck-middleware on Starlette, userinfo=False", "ours_on_starlette", ASGI, "/auth/login", userinfo=False),
    App("Authlib on Starlette", "authlib_on_starlette", ASGI),
)


@dataclass
class Row:
    app: str
    calls: float
    cpu_milliseconds: float
    seen_a_second: float  # one after another, with the work of provider and browser in it
    target_calls: float | None
    target_cpu: float | None


def log_in(origin: str, login: str) -> None:
    """One person, who has never been there, goes to log in and comes back."""
    with closing(HTTPConnection(urlsplit(origin).netloc, timeout=PATIENCE)) as connection:
        status, location, cookie = _get(connection, login, "")
        callback = urlsplit(decided(location, name="Ada"))
        status, location, cookie = _get(connection, f"{callback.path}?{callback.query}", cookie)
        if status not in {302, 303, 307} or "error" in location:
            raise RuntimeError(f"no login at {origin}{login}, but {status} {location}")


def _get(connection: HTTPConnection, target: str, cookie: str) -> tuple[int, str, str]:
    navigation = {"Accept": "text/html,*/*;q=0.8", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "cross-site"}
    connection.request("GET", target, headers=navigation | ({"Cookie": cookie} if cookie else {}))
    response = connection.getresponse()
    response.read()
    cookies = response.headers.get_all("set-cookie") or []
    return response.status, response.headers.get("location", ""), "; ".join(one.partition(";")[0] for one in cookies)


def asked(provider: MisbehavingProvider) -> int:
    return sum(provider.count(name) for name in CALLS)


def environment(app: App) -> dict[str, str]:
    path = os.pathsep.join(map(str, (Path(__file__).parent, *MODULES)))
    return {"APP": app.app, "PYTHONPATH": path, "CONSENTKEYS_USERINFO": str(app.userinfo).lower()}


def measured(rounds: int, logins: int) -> list[Row]:
    found: dict[str, list[tuple[float, float, float]]] = {app.name: [] for app in APPS}
    with ExitStack() as stack:
        provider, _ = stack.enter_context(provider_alone())
        running: dict[str, Running] = {}
        with a_core_each():
            for number, app in enumerate(APPS):
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=str(number))))
                running[app.name] = stack.enter_context(serve(app.command, provider, folder, **environment(app)))
                with running[app.name].quoted():
                    for _ in range(WARM):
                        log_in(running[app.name].origin, app.login)
        for _ in range(rounds):
            for app in APPS:
                found[app.name].append(_round(running[app.name], app, provider, logins))
    rows = []
    for app in APPS:
        calls, cpu, seen = (statistics.median(one) for one in zip(*found[app.name], strict=True))
        ours = app.name.startswith("ck-middleware")
        calls_goal = (TARGET_CALLS if app.userinfo else 1.0) if ours else None
        rows.append(Row(app.name, calls, round(cpu, 2), round(seen, 1), calls_goal, TARGET_CPU if ours else None))
    return rows


def _round(running: Running, app: App, provider: MisbehavingProvider, logins: int) -> tuple[float, float, float]:
    (worker,) = running.workers
    provider.hits.clear()
    cpu, began = cpu_seconds(worker), time.monotonic()
    for _ in range(logins):
        log_in(running.origin, app.login)
    took = time.monotonic() - began
    return asked(provider) / logins, (cpu_seconds(worker) - cpu) / logins * 1e3, logins / took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the table there too")
    parser.add_argument("--logins", type=int, default=100, help="at each app in a round")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rows = measured(options.rounds, options.logins)
    print(f"{'login at':46}{'calls':>7}{'CPU ms':>8}{'a second of a core':>20}{'a second, seen':>16}")
    for row in rows:
        of_a_core = 1e3 / row.cpu_milliseconds
        print(f"{row.app:46}{row.calls:7.2f}{row.cpu_milliseconds:8.2f}{of_a_core:20.0f}{row.seen_a_second:16.1f}")
    if options.json:
        head = {"python": platform.python_version(), "logins": options.logins, "rounds": options.rounds}
        options.json.write_text(json.dumps(head | {"rows": [asdict(row) for row in rows]}, indent=1) + "\n")


if __name__ == "__main__":
    main()
