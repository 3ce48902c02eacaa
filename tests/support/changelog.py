"""This file is CHANGELOG.md as a program reads it, and what it has to say of a change (Keep a Changelog 1.1.0)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "CHANGELOG.md"
UNRELEASED = "Unreleased"
KINDS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")

TITLE = re.compile(r"## \[(?P<version>[^\]]+)\](?: - (?P<date>\d{4}-\d{2}-\d{2}))?")


@dataclass
class Section:
    """What changed with one version, by kind: the text below each `###`."""

    version: str
    date: str | None
    kinds: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    @property
    def changes(self) -> list[str]:
        return [line for text in self.texts for line in text.splitlines() if line.startswith("- ")]

    def told(self, *kinds: str) -> str:
        return "\n".join(text for kind, text in zip(self.kinds, self.texts, strict=True) if kind in kinds)


def read(text: str) -> list[Section]:
    """Raises `ValueError` for a title of a version that is none."""
    sections: list[Section] = []
    for part in re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]:
        head, *kinds = re.split(r"^### ", part, flags=re.MULTILINE)
        title = TITLE.fullmatch(head.splitlines()[0])
        if title is None:
            raise ValueError(f"{head.splitlines()[0]!r} is no title of a version")
        names = [kind.partition("\n")[0] for kind in kinds]
        texts = [kind.partition("\n")[2] for kind in kinds]
        sections.append(Section(title["version"], title["date"], names, texts))
    return sections


def faults(text: str) -> list[str]:
    """What is not as Keep a Changelog has it."""
    sections = read(text)
    found = [] if text.startswith("# Changelog\n") else ["does not begin with its title"]
    found += [] if sections and sections[0].version == UNRELEASED else [f"does not begin with [{UNRELEASED}]"]
    for section in sections:
        of = f"[{section.version}]"
        unreleased = section.version == UNRELEASED
        found += [f"{of} has {kind}, which is no kind of change" for kind in section.kinds if kind not in KINDS]
        found += [f"{of} has {kind} twice" for kind in KINDS if section.kinds.count(kind) > 1]
        found += [
            f"{of} has nothing under {kind}"
            for kind, body in zip(section.kinds, section.texts, strict=True)
            if not body.lstrip().startswith("- ")
        ]
        found += [f"{of} has no date"] if not unreleased and not section.date else []
        found += [f"{of} says nothing"] if not unreleased and not section.changes else []
    released = [section for section in sections if section.version != UNRELEASED]
    numbers = [tuple(map(int, section.version.split("."))) for section in released]
    found += [] if numbers == sorted(set(numbers), reverse=True) else ["is not newest first"]
    dates = [str(section.date) for section in released]
    return found + ([] if dates == sorted(dates, reverse=True) else ["has a version older than the one before it"])


def untold(promised: str, kept: str, told: str) -> list[str]:
    """Lines of a list of promises that are not kept, and that the text does not tell of.

    It tells of one when it names it, or what it is a part of, in backticks: `User` does for a property of `User`.
    """
    words = set(re.findall(r"[\w/-]+", " ".join(re.findall(r"`([^`]+)`", told))))
    there = {(owner, line) for owner, line, _ in _promises(kept)}
    return [line for owner, line, names in _promises(promised) if (owner, line) not in there and not names & words]


def _promises(text: str) -> Iterator[tuple[str, str, set[str]]]:
    """Each line below the titles, with the one that it is indented under, and the names that it goes by."""
    owner = ""
    for indented in text.partition("\n== ")[2].splitlines():
        line = indented.strip()
        if not line or line.startswith("== "):
            continue
        owner = line if line == indented else owner
        name = re.match(r"(?:async def |def |class |@|self\.)?([\w.-]+)", line)
        named = {name[1].rpartition(".")[2]} if name else set[str]()
        yield owner, line, named | {line.split()[-1], owner.partition(" ")[0].rpartition(".")[2]} - {""}
