"""This program runs the tests on every Python that is found here, with the newest and the lowest versions allowed.

Packages are installed into environments that are thrown away afterwards; an interpreter is never downloaded. Which
Pythons are promised is said by the classifiers in pyproject.toml, and the lowest versions by its requirements. A newer
Python is tried too, and decides nothing.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.utils import canonicalize_name

from support.closure import DECLARED, PROJECT

ROOT = Path(__file__).parents[1]
PROMISED = [
    (3, int(minor))
    for classifier in PROJECT["classifiers"]
    for minor in re.findall(r"^Programming Language :: Python :: 3\.(\d+)$", classifier)
]
HERE = sys.version_info[:2]  # what `make test` runs on, with the newest versions

# Where interpreters are: on PATH, and where pyenv and uv put them.
PYENV = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
UV = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or Path.home() / ".local/share/uv/python")

# What needs no framework and no server beside us: here a lowest version would be noticed, and most of a Python.
CORE = """
    asgi blocking cli config config_addresses config_values contrib_otel contrib_prometheus cookies dependencies
    dev_provider doctor gate headers id_token jose live log looping messages oidc pages policy policy_returns ports
    public_api reviewed routes seal session sessions site store_faults stores strict_json transaction user vault
    wsgi
"""
PROOF = "conformance fuzzing provider_trouble secrets vulnerabilities"
CORE_TESTS = ["tests/asking", "tests/journeys", *(f"tests/test_{name}.py" for name in CORE.split())]
LOWEST_TESTS = [*CORE_TESTS, *(f"tests/proof/test_{name}.py" for name in PROOF.split())]
# All but browsers and proxies, which are no matter of Python, and the group `apps`, which is large: try
# `make test PYTHON=...`.
APART = ("browser", "deployment", "test_contrib_apps.py", "test_examples_apps.py")
NEWEST_TESTS = ["tests", *(f"--ignore=tests/{name}" for name in APART)]

ASKED = "import sys; print(sys.implementation.name, *sys.version_info[:3], sys.executable)"
PATIENCE = 60  # seconds for an interpreter to say which one it is, on a busy machine


class Broken(Exception):
    """What a program wrote that failed."""


@dataclass(frozen=True, order=True)
class Interpreter:
    version: tuple[int, int, int]
    program: str

    @property
    def minor(self) -> tuple[int, int]:
        return self.version[:2]

    @property
    def name(self) -> str:
        return ".".join(map(str, self.version))


Found = dict[tuple[int, int], Interpreter]


@dataclass(frozen=True)
class Combination:
    python: Interpreter
    versions: str  # "newest" or "lowest"
    groups: tuple[str, ...]
    tests: Sequence[str]


def main() -> int:
    parser = argparse.ArgumentParser(description="The tests on every Python that is found, at both ends of versions.")
    parser.add_argument("--quick", action="store_true", help="only the core, where `make test` has not been")
    parser.add_argument("pytest", nargs="*", help="arguments of pytest, after --")
    asked = parser.parse_args()
    pythons = found()
    for minor in PROMISED:
        if minor not in pythons:
            say(f"{minor[0]}.{minor[1]:<6} is not here")
    if not pythons.keys() & set(PROMISED):
        say("No Python that is promised is here: nothing has been tested.")
        return 1
    with TemporaryDirectory() as folder:
        wheel = wheel_in(Path(folder))
        combinations = quick(pythons) if asked.quick else full(pythons)
        held = [
            tried(combination, wheel, Path(folder, str(number)), asked.pytest)
            for number, combination in enumerate(combinations)
        ]
    return int(not all(held))


def full(pythons: Found) -> Iterator[Combination]:
    for python in pythons.values():
        yield Combination(python, "newest", ("tests", "frameworks"), NEWEST_TESTS)
        yield Combination(python, "lowest", ("tests",), LOWEST_TESTS)


def quick(pythons: Found) -> Iterator[Combination]:
    """What `make test` leaves open."""
    promised = [python for minor, python in pythons.items() if minor in PROMISED]
    for python in promised:
        if python.minor == HERE:
            say(f"{python.name:<8} newest  by `make test`")
        else:
            yield Combination(python, "newest", ("tests",), CORE_TESTS)
    yield Combination(min(promised), "lowest", ("tests",), CORE_TESTS)


def found() -> Found:
    """The newest of each minor version, by that, from the first one that is promised on."""
    folders = [*map(Path, os.environ.get("PATH", "").split(os.pathsep)), *PYENV.glob("*/bin"), *UV.glob("*/bin")]
    programs = {path for folder in folders for path in folder.glob("python3.*") if re.search(r"\.\d+$", path.name)}
    with ThreadPoolExecutor(4) as threads:
        known = sorted(python for python in threads.map(interpreter, sorted(programs)) if python)
    return {python.minor: python for python in known if python.minor >= min(PROMISED)}


def interpreter(program: Path) -> Interpreter | None:
    """None for what does not answer, such as pyenv's stand-in for a version that is not switched on."""
    try:
        name, *version, real = run(program, "-I", "-c", ASKED, timeout=PATIENCE).split(maxsplit=4)
    except (Broken, OSError, ValueError, subprocess.TimeoutExpired):
        return None
    major, minor, micro = map(int, version)
    return Interpreter((major, minor, micro), real.strip()) if name == "cpython" else None


def wheel_in(folder: Path) -> Path:
    pip("wheel", "-q", "--no-deps", "--wheel-dir", folder, ROOT)
    (wheel,) = folder.glob("*.whl")
    return wheel


def tried(combination: Combination, wheel: Path, folder: Path, arguments: Sequence[str]) -> bool:
    """Whether this decides against us. Says in a line how it went, and under it what was written if it went wrong."""
    python, began = combination.python, time.monotonic()
    try:
        own = environment(combination, wheel, folder)
        versions = installed(own)
        written = run(own, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments, *combination.tests)
        verdict, told = "passed", f"{written.strip().splitlines()[-1]}; {versions}"
    except Broken as error:
        verdict, told = "FAILED", str(error)
    promised = python.minor in PROMISED
    took = f"{time.monotonic() - began:.0f} s"
    say(f"{python.name:<8} {combination.versions}  {verdict}{'' if promised else ' (not promised)'} {took:>6}  {told}")
    return verdict == "passed" or not promised


def environment(combination: Combination, wheel: Path, folder: Path) -> Path:
    """The interpreter of a new environment in which this is installed as a user gets it."""
    run(combination.python.program, "-m", "venv", "--without-pip", folder)
    bounds = folder / "constraints.txt"
    bounds.write_text(lowest() if combination.versions == "lowest" else "")
    groups = [word for group in combination.groups for word in ("--group", group)]
    own = folder / "bin" / "python"
    extras = ",".join(PROJECT["optional-dependencies"])
    pip("install", "-q", "--constraint", bounds, f"{wheel}[{extras}]", *groups, python=own)
    return own


def lowest() -> str:
    """Constraints that leave nothing but the lowest allowed version of each requirement of ours."""
    floors = [
        (requirement.name, part.version)
        for requirement in DECLARED
        for part in requirement.specifier
        if part.operator == ">="
    ]
    assert len(floors) == len(DECLARED), "each requirement has one lowest version"
    return "".join(f"{name}=={version}\n" for name, version in floors)


def installed(own: Path) -> str:
    """The versions of what we require ourselves."""
    ours = {canonicalize_name(requirement.name) for requirement in DECLARED}
    listed = json.loads(pip("list", "--format", "json", python=own))
    return ", ".join(f"{one['name']} {one['version']}" for one in listed if canonicalize_name(one["name"]) in ours)


def pip(*words: str | Path, python: str | Path = sys.executable) -> str:
    """This environment's pip, on behalf of another one, which needs none of its own."""
    return run(sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", *words)


def run(program: str | Path, *words: str | Path, timeout: float | None = None) -> str:
    """What it writes to its standard output. Raises `Broken` with all that it wrote if it fails."""
    environ = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
    done = subprocess.run(
        [program, *words], cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=timeout
    )
    if done.returncode:
        command = " ".join(map(str, (program, *words)))
        raise Broken(f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
