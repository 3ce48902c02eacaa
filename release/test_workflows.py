"""What runs where the code is hosted is what a contributor runs, with no more rights than it takes.

Their schemas and a search for what is unsafe are in `make release-check` too.
"""

import re
from pathlib import Path

import pytest

from support.closure import PROJECT

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted(ROOT.glob(".github/workflows/*.yml"))
CI = ROOT / ".github" / "workflows" / "ci.yml"
ON_THE_RUNNER = {"chromium", "make", "python3", "python3-venv"}


def targets(text: str) -> set[str]:
    return set(re.findall(r"^(?: *- run: )?make ([a-z][a-z-]*)", text, re.MULTILINE))


def packages(text: str) -> set[str]:
    words = " ".join(re.findall(r"apt-get install (.*)", text)).split()
    return {word for word in words if not word.startswith("-")}


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_what_is_run_there_can_be_run_here(workflow: Path) -> None:
    (phony,) = re.findall(r"^\.PHONY: (.*)$", ROOT.joinpath("Makefile").read_text("utf-8"), re.MULTILINE)
    assert targets(workflow.read_text("utf-8")) <= set(phony.split())


def test_all_that_is_proved_here_is_proved_there() -> None:
    here = targets(ROOT.joinpath(".ci", "run").read_text("utf-8")) - {"in-parallel"}
    assert here == targets(CI.read_text("utf-8"))


def test_each_python_that_is_promised_is_tested() -> None:
    promised = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    (tested,) = re.findall(r"python: \[(.*)\]", CI.read_text("utf-8"))
    assert re.findall(r'"([^"]+)"', tested) == promised


def test_what_the_tests_start_is_installed_there_too() -> None:
    here, there = (packages(path.read_text("utf-8")) for path in (ROOT / ".ci" / "run", CI))
    assert here
    assert here - ON_THE_RUNNER <= there


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_what_others_wrote_is_named_by_its_content(workflow: Path) -> None:
    used = re.findall(r"uses: (\S+)(.*)", workflow.read_text("utf-8"))
    assert used
    for name, comment in used:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", name), name
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), name
