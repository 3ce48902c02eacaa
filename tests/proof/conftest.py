"""The proof against a hostile world: its parts, and the summary that a run of them ends with."""

from collections import Counter
from collections.abc import Callable
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

Tally = Callable[[str, int], None]


@pytest.fixture
def tally(record_property: Callable[[str, object], None]) -> Tally:
    """Adds to a figure of this part's line in the summary: `tally("requests", 104)`."""
    return record_property


@pytest.fixture
def long(request: pytest.FixtureRequest) -> bool:
    """Whether there are minutes to search in, and chance may have a part in it."""
    return bool(request.config.getoption("--long"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    held: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    figures: dict[str, Counter[str]] = {part: Counter() for part in PARTS}
    for outcome, reports in terminalreporter.stats.items():
        for report in reports:
            part = PurePosixPath(getattr(report, "nodeid", "").partition("::")[0]).stem
            if part not in PARTS or outcome not in {"passed", "failed", "error"}:
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
