"""This file is wheels made of what is installed, so that a fresh environment is filled with no package index to ask."""

from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path
from zipfile import ZipFile

from packaging.requirements import Requirement
from packaging.tags import sys_tags

import ck_middleware
from support.closure import closure

HOUSE = Path(ck_middleware.__file__).parent


def wheels_for(requirements: Iterable[Requirement], folder: Path) -> None:
    """A wheel of each package that is installed because of these."""
    for name in closure(requirements):
        _wheel_of(distribution(name), folder)


def _wheel_of(installed: Distribution, folder: Path) -> None:
    tags = {line.partition(": ")[2] for line in (installed.read_text("WHEEL") or "").splitlines() if line[:3] == "Tag"}
    tag = next(str(tag) for tag in sys_tags() if str(tag) in tags)
    name = f"{installed.metadata['Name'].replace('-', '_').lower()}-{installed.version}"
    with ZipFile(folder / f"{name}-{tag}.whl", "w") as wheel:
        contents = dict(_contents(installed))
        record = next(place for place in contents if place.endswith(".dist-info/METADATA")).replace(
            "METADATA", "RECORD"
        )
        for place, file in contents.items():
            wheel.write(file, place)
        wheel.writestr(record, "".join(f"{place},,\n" for place in (*contents, record)))


def _contents(installed: Distribution) -> Iterator[tuple[str, Path]]:
    """What is in the wheel, with the file that is installed of it. Programs are made anew from their entry points."""
    for file in installed.files or ():
        if (
            ".." not in file.parts
            and file.suffix not in {".pth", ".pyc"}
            and file.name not in {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}
        ):
            yield str(file), Path(str(file.locate()))
    if installed.metadata["Name"] == "ck-middleware":  # which may be installed by naming the place of its sources
        for path in HOUSE.rglob("*"):
            if path.is_file() and path.suffix != ".pyc":
                yield str(path.relative_to(HOUSE.parent)), path
