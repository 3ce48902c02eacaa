"""This file runs every benchmark and writes what came of it into docs/performance.md and docs/performance.svg.

    python benchmarks/report.py [--small] [--folder FOLDER] [--again]

With --small everything is tried with small numbers, which say nothing. The figures of each benchmark are kept as JSON
in the folder; with --again nothing is measured, and what is there is written.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import chart
from counting import can_count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

HERE = Path(__file__).parent
DOCUMENT, PICTURE = HERE.parent / "docs" / "performance.md", HERE.parent / "docs" / "performance.svg"
BEGIN, END = "<!-- measured: from here on `make bench` writes -->", "<!-- measured: up to here -->"
# What is run, and with what it is tried.
BENCHMARKS = {
    "hot": "--time-only",
    "peers": "--time-only",
    "growth": "--requests 40000 --logins 200 --abandoned 1000",
    "servers": "--rounds 1 --seconds 0.2",
    "logins": "--rounds 1 --logins 5",
    "footprint": "--rounds 1",
}
STORED, TRIED_STORED = "--many 1000000", "--many 2000"
KIB = 1024

Found = dict[str, Any]


@dataclass(frozen=True)
class Target:
    """Something that is aimed at, and what was measured."""

    what: str
    measured: float
    goal: float
    unit: str = ""
    at_least: bool = False
    record: float | None = None  # to be held beyond that

    @property
    def is_reached(self) -> bool:
        return self.measured >= self.goal if self.at_least else self.measured <= self.goal

    def cells(self) -> tuple[str, ...]:
        word = "at least" if self.at_least else "at most"
        reached = "yes" if self.is_reached else "**missed**"
        record = "" if self.record is None else _said(self.record, "")
        return self.what, _said(self.measured, self.unit), f"{word} {_said(self.goal, self.unit)}", reached, record


def _said(figure: float, unit: str) -> str:
    text = f"{figure:,.0f}" if figure == int(figure) else f"{figure:,.2f}"
    return f"{text} {unit}".strip()


# Measuring


def measure(folder: Path, *, small: bool) -> None:
    for name, few in BENCHMARKS.items():
        _run([f"{name}.py", "--json", str(folder / f"{name}.json"), *(few.split() if small else [])])
    (folder / "machine.txt").write_text(machine(), "utf-8")
    words = ["stores.py", *(TRIED_STORED if small else STORED).split()]
    (folder / "stores.txt").write_text(_run(words, capture=True), "utf-8")


def _run(words: Sequence[str], *, capture: bool = False) -> str:
    print(f"\n== {' '.join(words[:1])}", flush=True)
    began = time.monotonic()
    done = subprocess.run(  # noqa: S603  # files beside this one
        [sys.executable, str(HERE / words[0]), *words[1:]],
        env=os.environ | {"PYTHONHASHSEED": "0"},
        stdout=subprocess.PIPE if capture else None,
        text=True,
        check=False,
    )
    if done.returncode and words[0] != "growth.py":  # that one says so by its end, and here in the table
        raise SystemExit(done.returncode)
    if capture:
        print(done.stdout)
    print(f"== {time.monotonic() - began:.0f} s")
    return done.stdout or ""


# What is aimed at


def targets(found: Found) -> Iterator[Target]:
    for row in found["hot"]["rows"]:
        if row["target"] is not None and row["added_instructions"] is not None:
            what = f"{row['face'].upper()}: {row['case']}"
            yield Target(what, row["added_instructions"], row["target"], "instructions", record=row["record"])
    yield from _growth(found)
    for row in found["servers"]["rows"]:
        if row["target"] is not None:
            yield Target(f"{row['server']}: share of the throughput left", row["left"], row["target"], at_least=True)
    for row in found["logins"]["rows"]:
        if row["target_calls"] is not None:
            yield Target(f"a login, {row['app']}: calls to the provider", row["calls"], row["target_calls"])
            yield Target(f"a login, {row['app']}: CPU", row["cpu_milliseconds"], row["target_cpu"], "ms")
    for row in found["footprint"]["rows"]:
        if row["target_import"] is not None:
            yield Target(f"import, {row['app']}: CPU", row["import_milliseconds"], row["target_import"], "ms")
            # What workers share, such as the code of libraries, is there once for all of them.
            yield Target(f"memory of a worker, {row['app']}", row["proportional_mib"], row["target_memory"], "MiB")


def _growth(found: Found) -> Iterator[Target]:
    counted = {(row["face"], row["case"]): row["added_instructions"] for row in found["hot"]["rows"]}
    seen = "logged in, seen before"
    steps = (
        ("1 to 10,000 prefixes", f"{seen}; 1 prefixes", f"{seen}; 10000 prefixes", 1.2),
        ("1 to 60 cookies", seen, f"{seen}; 60 cookies", 2.0),
        ("1 KB to 2.9 KB of claims", f"{seen}; 1000 bytes of claims", f"{seen}; 2900 bytes of claims", 1.2),
    )
    for face in ("asgi", "wsgi"):
        for what, few, many, goal in steps:
            if counted[face, few] is not None:
                ratio = round(counted[face, many] / counted[face, few], 2)
                yield Target(f"{face.upper()}: {what}", ratio, goal, "times")
    for what, ratio in stores(found):
        yield Target(what, ratio, 1.5, "times")


def stores(found: Found) -> Iterator[tuple[str, float]]:
    for few, many in re.findall(r"^get, microseconds +([\d,]+) +([\d,]+) ", found["stores"], re.MULTILINE):
        for name, ratio in re.findall(r"^(\w+, \w+) +[\d.]+ +[\d.]+ +([\d.]+)$", found["stores"], re.MULTILINE):
            yield f"a look-up in {name}: {few} to {many} sessions", float(ratio)


# Writing


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1) -> str:
    """`words` is the number of columns, from the left, that are no figures."""
    dashes = ["---" if number < words else "---:" for number in range(len(head))]
    lines = [head, dashes, *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def peers(found: Found) -> str:
    rows = [
        (row["face"].upper(), *row["case"].split(": ", 1), _count(row["added_instructions"]), f"{row['by_hand']:.1f}")
        for row in found["peers"]["rows"]
    ]
    head = ("face", "app", "layer", "instructions added", "time added, in openings by hand")
    told = f"\nOpening one by hand took {found['peers']['by_hand_microseconds']:.1f} microseconds.\n"
    return table(head, rows, words=3) + told


def untargeted(found: Found) -> str:
    rows = [
        (f"{row['face'].upper()}: {row['case']}", _count(row["added_instructions"]))
        for row in found["hot"]["rows"]
        if row["target"] is None
    ]
    return table(("what no target is set for", "instructions added"), rows)


def _count(figure: int | None) -> str:
    return "-" if figure is None else f"{figure:,}"


def servers(found: Found) -> str:
    rows = [
        (row["server"], row["app"], row["layer"], f"{row['left']:.2f}", f"{row['left_by_cpu']:.2f}")
        for row in found["servers"]["rows"]
    ]
    return table(("server", "app", "layer", "left, by answers a second", "left, by CPU of an answer"), rows, words=3)


def logins(found: Found) -> str:
    rows = [
        (
            row["app"],
            f"{row['calls']:.2f}",
            f"{row['cpu_milliseconds']:.1f}",
            f"{1e3 / row['cpu_milliseconds']:.0f}",
            f"{row['seen_a_second']:.0f}",
        )
        for row in found["logins"]["rows"]
    ]
    head = ("login at", "calls to the provider", "CPU, ms", "logins a second of a core", "seen, one after another")
    return table(head, rows)


def process(found: Found) -> str:
    rows = [
        (
            row["app"],
            f"{row['import_milliseconds']:.0f}",
            f"{row['resident_mib']:.1f}",
            f"{row['proportional_mib']:.1f}",
        )
        for row in found["footprint"]["rows"]
    ]
    context = found["footprint"]["tls_context_milliseconds"]
    spent = [
        f"{app}: {', '.join(f'{package} {took:g}' for package, took in packages.items())}"
        for app, packages in found["footprint"]["imports"].items()
    ]
    head = ("the app itself, or what is added to it", "import, CPU ms", "resident MiB", "proportional MiB")
    told = f"\nA TLS context takes {context:.0f} ms of CPU, once in a process."
    return table(head, rows) + told + "\nMilliseconds of import, by package: " + "; ".join(spent) + ".\n"


def memory(found: Found) -> str:
    rows = [
        (
            f"{row['face'].upper()}: {row['times']:,} {row['what']}",
            f"{row['traced'] / KIB:.0f}",
            f"{row['resident'] / KIB:.0f}",
            "flat" if row["is_flat"] else "**grows**",
        )
        for row in found["growth"]["rows"]
    ]
    return table(("later steps beside earlier ones", "KiB more allocated", "KiB more resident", "verdict"), rows)


def picture(found: Found) -> str | None:
    rows = []
    for row in found["peers"]["rows"]:
        app, layer = row["case"].split(": ", 1)
        where = f"{row['face'].upper()}, {app}" if app != "no framework" else row["face"].upper()
        rows.append((f"{layer} ({where})", row["added_instructions"] or 0))
    if not any(figure for _, figure in rows):
        return None
    chosen = [(name, figure) for name, figure in rows if ", tokens" not in name]
    title = "What a logged-in request costs beyond the bare app"
    return chart.bars(title, "instructions added, on a linear scale", chosen, "ck-middleware")


def machine() -> str:
    cpu = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text("utf-8"), re.MULTILINE)
    cores = len(os.sched_getaffinity(0))
    today = datetime.now(UTC).date()
    name = cpu[1] if cpu else platform.machine()
    return (
        f"Measured with `make bench` on {today}, on {cores} cores of {name}, with Python {platform.python_version()}."
    )


def written(found: Found, pictured: str | None) -> str:
    aimed = list(targets(found))
    reached = sum(target.is_reached for target in aimed)
    image = f"![instructions added to a logged-in request]({PICTURE.name})\n" if pictured else ""
    parts = (
        f"{found['machine']}\n",
        f"### Targets\n\n{reached} of {len(aimed)} are reached.\n",
        table(
            ("what", "measured", "aimed at", "reached", "to be held in the end"), [target.cells() for target in aimed]
        ),
        untargeted(found),
        f"### Beside others, in process\n\n{image}",
        peers(found),
        "### On servers\n\n" + servers(found),
        "### Logins\n\n" + logins(found),
        "### The process\n\n" + process(found),
        "### Memory over time\n\n" + memory(found),
    )
    return "\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="try it, and write nothing into the docs")
    parser.add_argument("--folder", type=Path, help="where the figures are kept")
    parser.add_argument("--again", action="store_true", help="measure nothing, write what is in the folder")
    options = parser.parse_args()
    if not (options.small or options.again or can_count()):
        raise SystemExit("Instructions are counted with valgrind, which is not here: apt-get install valgrind")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(exist_ok=True)
        if not options.again:
            measure(folder, small=options.small)
        found = {name: json.loads((folder / f"{name}.json").read_text("utf-8")) for name in BENCHMARKS}
        found |= {name: (folder / f"{name}.txt").read_text("utf-8") for name in ("stores", "machine")}
    drawn = picture(found)
    text = written(found, drawn)
    if options.small:
        print(text)
        return
    before, _, rest = DOCUMENT.read_text("utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}", "utf-8")
    if drawn:
        PICTURE.write_text(drawn, "utf-8")


if __name__ == "__main__":
    main()
