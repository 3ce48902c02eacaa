"""This file is how instructions are counted: some functions are run under callgrind, which counts the same every time.

A count is a difference: what many calls take, less what few take, so that nothing of the start-up is in it.
"""

import gc
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

FEW, MANY = 50, 250
WARM = 50
MARK = "getpgid"  # of the C library, which nobody else calls: callgrind writes down what was done since the last call

Ask = Callable[[int], None]  # makes so many requests


def can_count() -> bool:
    return shutil.which("valgrind") is not None


def requests_needed() -> int:
    """How many requests a count makes of each function, for those that must not make one twice."""
    return WARM + FEW + MANY


def count(words: list[str]) -> dict[str, float]:
    """Instructions of one request, by name: of the functions that this program, so called, gives to `be_counted`."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        valgrind = ["valgrind", "--tool=callgrind", f"--dump-before={MARK}", f"--callgrind-out-file={out}"]
        environment = os.environ | {"PYTHONHASHSEED": "0"}
        done = subprocess.run(  # noqa: S603  # this very program
            [*valgrind, sys.executable, *words], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(done.stderr)
        names = done.stdout.split("\n")
        dumps = sorted(out.parent.glob("out.*"), key=lambda path: int(path.suffix[1:]))
        totals = [_total(dump) for dump in dumps]
    counts = {}
    for number, name in enumerate(filter(None, names)):
        _, few, many = totals[3 * number : 3 * number + 3]  # what came before is of no interest
        counts[name] = (many - few) / (MANY - FEW)
    return counts


def be_counted(asked: Mapping[str, Ask]) -> None:
    """Run every function, with a mark before and after; their names go to standard output."""
    for name, ask in asked.items():
        ask(WARM)
        gc.collect()
        gc.freeze()  # so that the rubbish of one is not counted with the next
        os.getpgid(0)
        ask(FEW)
        os.getpgid(0)
        ask(MANY)
        os.getpgid(0)
        sys.stdout.write(f"{name}\n")


def _total(dump: Path) -> int:
    found = re.search(r"^(?:summary|totals): (\d+)", dump.read_text("utf-8", "replace"), re.MULTILINE)
    if found is None:
        raise SystemExit(f"{dump} says no total: is this callgrind's?")
    return int(found[1])
