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
    waiting, seen = [(requirement, {""}) for requirement in requirements], set[str]()
    while waiting:
        requirement, extras = waiting.pop()
        name, marker = canonicalize_name(requirement.name), requirement.marker
        if name not in seen and (marker is None or any(marker.evaluate({"extra": extra}) for extra in extras)):
            seen.add(name)
            yield name
            waiting += [(Requirement(text), {"", *requirement.extras}) for text in requires(name) or ()]


if __name__ == "__main__":
    sys.stdout.writelines(f"{name}=={version(name)}\n" for name in sorted(closure(DECLARED)))
