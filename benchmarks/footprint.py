"""This file is what an app's process has to carry: the import of each layer, its memory, and a TLS context.

    python benchmarks/footprint.py [--json FILE] [--rounds 11]

Each is beside the bare app, with the modules of its server, and in a process of its own; a time is the median of
rounds, interleaved for the imports. Memory is that of one worker on a real server, after some requests and, where it
can, some logins: resident, and with its proportional part only of what it shares with other processes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from logins import ASGI, WARM, WSGI, log_in

from support.provider import provider_alone
from support.servers import MODULES, serve

REQUESTS = 200  # before a worker's memory is looked at
COMPILED = tempfile.TemporaryDirectory()
TARGET_IMPORT, TARGET_MEMORY = 150.0, 20.0
CONTEXT = """
import time, httpx
began = time.process_time()
httpx.create_ssl_context()
print(time.process_time() - began)
"""
SERVER = {WSGI: "gunicorn.app.wsgiapp, gunicorn.workers.gthread", ASGI: "uvicorn.main, uvicorn.loops.auto"}


@dataclass(frozen=True)
class App:
    name: str
    app: str
    bare: str
    command: str
    login: str = ""


APPS = (
    App("Flask", "bare_flask", "bare_flask", WSGI),
    App("ck-middleware on Flask", "ours_on_flask", "bare_flask", WSGI, "/auth/login"),
    App("the guide's Flask app", "guide", "bare_flask", WSGI, "/login"),
    App("Authlib on Flask", "authlib_on_flask", "bare_flask", WSGI, "/login"),
    App("Starlette", "bare_starlette", "bare_starlette", ASGI),
    App("ck-middleware on Starlette", "ours_on_starlette", "bare_starlette", ASGI, "/auth/login"),
    App("Authlib on Starlette", "authlib_on_starlette", "bare_starlette", ASGI, "/login"),
)


@dataclass
class Row:
    """One line of the table: of a bare app all that it takes, of others what they add to it."""

    app: str
    import_milliseconds: float
    resident_mib: float
    proportional_mib: float
    target_import: float | None
    target_memory: float | None


def environment(app: App) -> dict[str, str]:
    path = os.pathsep.join(map(str, (Path(__file__).parent, *MODULES)))
    told = {"ISSUER": "http://127.0.0.1:9", "CLIENT_ID": "ck_bench", "CLIENT_SECRET": "of the client"}
    told = {f"CONSENTKEYS_{name}": value for name, value in told.items()}
    return told | {"SESSION_SECRET": "thirty-two bytes that nobody else knows", "APP": app.app, "PYTHONPATH": path}


def compiled(environ: dict[str, str]) -> dict[str, str]:
    """The environment in which modules are compiled once and kept, as those of an installed package are."""
    own = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return own | environ | {"PYTHONPYCACHEPREFIX": COMPILED.name}


def importing(app: App) -> list[str]:
    return ["-c", f"import {SERVER[app.command]}, login_apps"]


def cpu_milliseconds(words: list[str], environ: dict[str, str]) -> float:
    """Of a whole process that runs these."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], env=compiled(environ), check=True)  # noqa: S603  # words of this file
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime) * 1e3


def imports(rounds: int) -> dict[str, float]:
    for app in APPS:
        cpu_milliseconds(importing(app), environment(app))  # what is compiled now
    took: dict[str, list[float]] = {app.app: [] for app in APPS}
    for _ in range(rounds):
        for app in APPS:
            took[app.app].append(cpu_milliseconds(importing(app), environment(app)))
    return {name: statistics.median(found) for name, found in took.items()}


def dearest(app: App) -> dict[str, float]:
    """Milliseconds of each package that only this app imports, as `-X importtime` tells them."""
    bare = next(one for one in APPS if one.app == app.bare)
    beside, own = (_quickest(one) for one in (bare, app))
    spent = Counter({name: took - beside.get(name, 0.0) for name, took in own.items()})
    return {name: round(took, 1) for name, took in spent.most_common(8)}


def _quickest(app: App) -> dict[str, float]:
    """Of some times: others at work make it slower, and nothing makes it quicker."""
    found = [_import_times(app) for _ in range(5)]
    return {name: min(one.get(name, 0.0) for one in found) for name in found[0]}


def _import_times(app: App) -> dict[str, float]:
    done = subprocess.run(  # noqa: S603  # words of this file
        [sys.executable, "-X", "importtime", *importing(app)],
        env=compiled(environment(app)),
        capture_output=True,
        text=True,
        check=True,
    )
    spent: Counter[str] = Counter()
    for own, name in re.findall(r"import time: +(\d+) \| +\d+ \| +([\w.]+)", done.stderr):
        spent[name.partition(".")[0]] += int(own)
    return {name: took / 1e3 for name, took in spent.items()}


def memory(app: App) -> tuple[float, float]:
    """MiB of a worker: resident, and its part of what it shares."""
    path = environment(app)["PYTHONPATH"]
    with provider_alone() as (provider, _), tempfile.TemporaryDirectory() as folder:
        told = {"APP": app.app, "PYTHONPATH": path, "CONSENTKEYS_PUBLIC": "/alive"}
        with serve(app.command, provider, Path(folder), **told) as running:
            for _ in range(WARM if app.login else 0):
                log_in(running.origin, app.login)
            for _ in range(REQUESTS):
                running.ask("/alive")
            (worker,) = running.workers
            rollup = Path(f"/proc/{worker}/smaps_rollup").read_text("utf-8")
    found = {name: int(size) / 1024 for name, size in re.findall(r"^(Rss|Pss): +(\d+) kB", rollup, re.MULTILINE)}
    return found["Rss"], found["Pss"]


def tls_context(rounds: int) -> float:
    words = [sys.executable, "-c", CONTEXT]
    took = [subprocess.run(words, capture_output=True, check=True).stdout for _ in range(rounds)]  # noqa: S603
    return statistics.median(map(float, took)) * 1e3


def measured(rounds: int) -> list[Row]:
    cpu, held = imports(rounds), {app.app: memory(app) for app in APPS}
    rows = []
    for app in APPS:
        is_bare = app.app == app.bare
        less, (rss, pss) = (0.0, (0.0, 0.0)) if is_bare else (cpu[app.bare], held[app.bare])
        goals = (TARGET_IMPORT, TARGET_MEMORY) if app.app.startswith("ours") else (None, None)
        figures = (cpu[app.app] - less, held[app.app][0] - rss, held[app.app][1] - pss)
        rows.append(Row(app.name, *(round(figure, 1) for figure in figures), *goals))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the table there too")
    parser.add_argument("--rounds", type=int, default=11)
    options = parser.parse_args()
    rows = measured(options.rounds)
    print(f"{'the app itself, or what is added to it':44}{'import, CPU ms':>16}{'RSS MiB':>9}{'PSS MiB':>9}")
    for row in rows:
        print(f"{row.app:44}{row.import_milliseconds:16.1f}{row.resident_mib:9.1f}{row.proportional_mib:9.1f}")
    spent = {app.name: dearest(app) for app in APPS if app.app.startswith("ours")}
    for name, packages in spent.items():
        print(f"{name}, ms of import: " + ", ".join(f"{package} {took}" for package, took in packages.items()))
    context = tls_context(options.rounds)
    print(f"a TLS context: {context:.1f} ms of CPU, once in a process")
    if options.json:
        head = {"python": platform.python_version(), "tls_context_milliseconds": round(context, 1), "imports": spent}
        options.json.write_text(json.dumps(head | {"rows": [asdict(row) for row in rows]}, indent=1) + "\n")


if __name__ == "__main__":
    main()
