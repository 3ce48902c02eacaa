"""CHANGELOG.md can be relied on: it has the shape that people know, and no promise is taken back in silence."""

import re
from pathlib import Path

import pytest

import ck_middleware
from support.changelog import DOCUMENT, UNRELEASED, faults, read, untold
from support.closure import PROJECT
from support.documents import ROOT

RELEASED = """# Changelog

## [Unreleased]

## [1.1.0] - 2026-02-01

### Changed

- `get_user` takes
  everything.

## [1.0.0] - 2026-01-01

### Added

- The first version.
"""

PROMISES = """What is promised

== Names

ck_middleware.User -> ck_middleware.user.User

== Signatures

ck_middleware.user.User
    class User(BaseUser)
        @property
        def email(self) -> str
ck_middleware.user.get_user
    def get_user(request: object) -> User

== Settings

keep_tokens; no variable; default False

== Routes

GET, POST /auth/logout

== Commands

ck-middleware sessions end --sid
"""


def test_it_has_the_shape_that_people_know() -> None:
    assert faults(DOCUMENT.read_text("utf-8")) == []


def test_the_version_is_told_of_or_about_to_be() -> None:
    unreleased, *released = read(DOCUMENT.read_text("utf-8"))
    assert PROJECT["version"] in [section.version for section in released] or unreleased.changes


def test_the_version_stands_in_one_place() -> None:
    """What the distribution is called by, pip knows, and `importlib.metadata` tells who asks."""
    version = re.compile(rf"(?<![\d.]){re.escape(PROJECT['version'])}(?![\d.])")
    sources = [*Path(ck_middleware.__file__).parent.rglob("*.py"), *ROOT.glob("docs/*.py")]
    assert len(sources) > 50
    assert [
        file.name for file in sources if version.search(text := file.read_text("utf-8")) or "__version" in text
    ] == []


def test_a_changelog_as_it_should_be_has_no_faults() -> None:
    assert faults(RELEASED) == []
    assert [section.version for section in read(RELEASED)] == [UNRELEASED, "1.1.0", "1.0.0"]
    assert read(RELEASED)[1].told("Changed") == "\n- `get_user` takes\n  everything.\n\n"


@pytest.mark.parametrize(
    ("right", "wrong", "fault"),
    [
        ("# Changelog", "# Changes", "title"),
        ("## [Unreleased]\n", "", "does not begin with [Unreleased]"),
        ("1.1.0", "0.9.0", "newest first"),
        ("1.1.0", "1.0.0", "newest first"),
        ("2026-02-01", "2025-02-01", "older"),
        (" - 2026-02-01", "", "no date"),
        ("### Changed", "### Improved", "Improved"),
        ("### Changed", "### Changed\n\n### Fixed", "nothing under Changed"),
        ("### Changed", "### Changed\n\n- It.\n\n### Changed", "Changed twice"),
        ("- The first version.", "", "[1.0.0] says nothing"),
    ],
)
def test_a_changelog_that_people_would_stumble_over_is_noticed(right: str, wrong: str, fault: str) -> None:
    assert RELEASED.count(right)
    assert fault in "; ".join(faults(RELEASED.replace(right, wrong)))


def test_a_title_that_is_no_version_is_refused() -> None:
    with pytest.raises(ValueError, match="no title of a version"):
        read("# Changelog\n\n## 1.0.0 (2026)\n")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("        def email(self) -> str\n", "`User.email` is gone."),
        ("        def email(self) -> str\n", "`User` has no address any more."),
        ("ck_middleware.user.get_user\n    def get_user(request: object) -> User\n", "`get_user(request)` is gone."),
        ("keep_tokens; no variable; default False\n", "The setting `keep_tokens` is gone."),
        ("GET, POST /auth/logout\n", "There is no `/auth/logout`."),
        ("ck-middleware sessions end --sid\n", "`ck-middleware sessions end` takes no `--sid`."),
    ],
)
def test_a_promise_that_is_taken_back_has_to_be_told(line: str, told: str) -> None:
    assert PROMISES.count(line)
    kept = PROMISES.replace(line, "")
    assert untold(PROMISES, kept, "Something else changed in `get_session`.")[0].strip() in line
    assert untold(PROMISES, kept, told) == []


def test_a_signature_that_changes_is_a_promise_taken_back() -> None:
    kept = PROMISES.replace("(request: object)", "(request: Request)")
    assert untold(PROMISES, kept, "") == ["def get_user(request: object) -> User"]


def test_a_promise_that_is_added_takes_nothing_back() -> None:
    more = PROMISES.replace(
        "        @property\n", "        @property\n        def phone(self) -> str\n        @property\n"
    )
    assert untold(PROMISES, more, "") == []
    assert untold(PROMISES, PROMISES, "") == []
