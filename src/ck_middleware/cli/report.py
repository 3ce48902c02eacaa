"""This file is how findings are shown: in colour to a person, plain into a pipe, as JSON to a program."""

from __future__ import annotations

import json
import sys
import textwrap
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Final

from ck_middleware.doctor.finding import Level
from ck_middleware.log import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ck_middleware.doctor.finding import Finding

SIGNS: Final = {Level.GOOD: "ok", Level.NOTE: "note", Level.WARNING: "warning", Level.PROBLEM: "PROBLEM"}
STYLES: Final = {Level.GOOD: "green", Level.NOTE: "cyan", Level.WARNING: "yellow", Level.PROBLEM: "bold red"}
WIDTH: Final = 100  # characters of a line in a pipe


def as_json(findings: Sequence[Finding]) -> None:
    sys.stdout.write(json.dumps([asdict(finding) for finding in findings], indent=2) + "\n")


def as_text(findings: Sequence[Finding]) -> None:
    findings = [_harmless(finding) for finding in findings]
    if sys.stdout.isatty() and _in_colour(findings):
        return
    for finding in findings:
        sys.stdout.write(f"{SIGNS[finding.level]:<8} {_wrapped(finding.what)}\n")
        for line in _explained(finding):
            sys.stdout.write(f"{'':<8}   {_wrapped(line, indent=11)}\n")
    sys.stdout.write(f"\n{summary(findings)}\n")


def summary(findings: Sequence[Finding]) -> str:
    problems, warnings = (
        sum(finding.level is level for finding in findings) for level in (Level.PROBLEM, Level.WARNING)
    )
    if problems:
        return f"{problems} to mend, {warnings} to look at."
    return f"Nothing to mend, {warnings} to look at." if warnings else "All is well."


def _harmless(finding: Finding) -> Finding:
    """The provider and the app have written parts of it, and a terminal does what it is told (CWE-150)."""
    return replace(finding, what=printable(finding.what), why=printable(finding.why), fix=printable(finding.fix))


def _explained(finding: Finding) -> list[str]:
    also = f'ConsentKeys\' guide calls what comes of it "{finding.also}".' if finding.also else ""
    return [line for line in (finding.why, finding.fix and f"-> {finding.fix}", also) if line]


def _wrapped(text: str, *, indent: int = 9) -> str:
    return textwrap.fill(text, WIDTH, initial_indent=" " * indent, subsequent_indent=" " * indent).lstrip()


def _in_colour(findings: Sequence[Finding]) -> bool:
    """Whether it could be shown so: the library for it comes with an extra."""
    try:
        from rich.console import Console  # noqa: PLC0415
        from rich.padding import Padding  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415
    except ImportError:
        sys.stderr.write("(In colour with: pip install 'ck-middleware[cli]')\n")
        return False
    console = Console(highlight=False)
    for finding in findings:
        console.print(Text(f"{SIGNS[finding.level]:<8} ", STYLES[finding.level]) + Text(finding.what))
        for line in _explained(finding):
            style = "bold" if line.startswith("->") else "dim"
            console.print(Padding(Text(line, style), (0, 0, 0, 11)))
    console.print(f"\n{summary(findings)}", style="bold")
    return True
