"""This file is every package that comes along when this one is installed, with all its extras; as a program, a list."""

import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = tomllib.loads(Path(__file__).parents[2].joinpath("pyproject.toml").read_text("utf-8"))["project"]
DECLARED = [
    Requirement(text)
    for texts in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for text in texts
]


def closure(requirements: Iterable[Requirement]) -> Iterator[str]:
    """Every package that is installed because of these."""
    waiting, seen = list(requirements), set[str]()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name not in seen and (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            seen.add(name)
            yield name
            waiting += map(Requirement, requires(name) or ())


if __name__ == "__main__":
    sys.stdout.writelines(f"{name}=={version(name)}\n" for name in sorted(closure(DECLARED)))
