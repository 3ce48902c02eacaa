"""This file is the parts of the proof in `tests/proof`, and the summary that a run of them ends with.

It is no conftest beside them, since where tests run in several processes the one that reports meets only the first.
"""

from collections import Counter
from pathlib import PurePosixPath

import pytest

PARTS = {
    "test_conformance": "client conformance, module by module",
    "test_independent_provider": "a provider that we did not write",
    "test_guard": "the guard, beside the bare framework",
    "test_guard_servers": "the guard, on raw sockets",
    "test_fuzzing": "everything that reads what a stranger sends",
    "test_vulnerabilities": "published vulnerabilities, by class",
    "test_guide": "weaknesses of the provider's guide",
    "test_secrets": "side channels and secrets",
    "test_provider_trouble": "a provider in trouble",
    "test_concurrency": "many people at once",
}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    held: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    figures: dict[str, Counter[str]] = {part: Counter() for part in PARTS}
    for outcome in ("passed", "failed", "error"):
        for report in terminalreporter.stats.get(outcome, ()):
            part = _part(report.nodeid)
            if part is None:
                continue
            (held if outcome == "passed" else lost)[part] += 1
            for name, number in getattr(report, "user_properties", ()):
                figures[part][name] += number
    if not held and not lost:
        return
    terminalreporter.section("the proof")
    for part, title in PARTS.items():
        if held[part] or lost[part]:
            said = ", ".join(f"{number:,} {name}" for name, number in figures[part].items())
            verdict = f"{lost[part]} LOST of {held[part] + lost[part]}" if lost[part] else f"{held[part]} held"
            terminalreporter.write_line(f"{title:<46} {verdict:>12}" + (f"   ({said})" if said else ""))


def _part(nodeid: str) -> str | None:
    """The part that a test belongs to: its file has the name of it, or one that begins so."""
    file = PurePosixPath(nodeid.partition("::")[0])
    if file.parent.name != "proof":
        return None
    return max((part for part in PARTS if f"{file.stem}_".startswith(f"{part}_")), key=len, default=None)
