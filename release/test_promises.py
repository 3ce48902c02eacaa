"""What is released tells those who have the release before it what changed for them.

The release before is the last tag; before the first one nobody was promised anything.
"""

import subprocess
from pathlib import Path

import pytest

from support import changelog
from support.changelog import Section
from support.closure import PROJECT

ROOT = Path(__file__).parents[1]
PROMISES = "docs/public-api.txt"
TAG = f"v{PROJECT['version']}"


def git(*words: str) -> str:
    """What it says; nothing when it fails, as for a tag or a file that there is not."""
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""


@pytest.fixture
def before() -> str:
    return git("describe", "--tags", "--abbrev=0", "--match", "v*", "HEAD^").strip()


@pytest.fixture
def news(before: str) -> list[Section]:
    """The sections of the changelog that the release before does not have."""
    sections = changelog.read(changelog.DOCUMENT.read_text("utf-8"))
    versions = [f"v{section.version}" for section in sections]
    return sections[: versions.index(before)] if before else sections


def test_what_was_released_can_be_looked_up() -> None:
    assert git("rev-parse", "--verify", "HEAD"), "this is no repository, or not yours"
    released = len(changelog.read(changelog.DOCUMENT.read_text("utf-8"))) > 1
    is_whole = git("rev-parse", "--is-shallow-repository").strip() == "false"
    assert is_whole or not released, "fetch all of the history: the last tag says what was promised"


def test_a_change_of_the_package_is_told(before: str, news: list[Section]) -> None:
    changed = not before or git("diff", "--name-only", before, "HEAD", "--", "src")
    assert not changed or any(section.changes for section in news)


def test_no_promise_is_taken_back_in_silence(before: str, news: list[Section]) -> None:
    told = "\n".join(section.told("Changed", "Removed") for section in news)
    promised = git("show", f"{before}:{PROMISES}") if before else ""
    assert changelog.untold(promised, ROOT.joinpath(PROMISES).read_text("utf-8"), told) == []


def test_a_tag_is_the_version_that_the_changelog_ends_with(news: list[Section]) -> None:
    tags = git("tag", "--points-at", "HEAD", "--list", "v*").split()
    released = [section for section in news if section.version != changelog.UNRELEASED]
    assert tags == [TAG] * len(tags)
    assert not tags or [f"v{section.version}" for section in released] == tags
