"""What is in dist/ is the commit, all of it that is of use and nothing else, and whoever builds it gets the same bytes.

`make release-check` has just built it: the wheel out of the source distribution.
"""

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.utils import canonicalize_name

from support.closure import DECLARED, PROJECT, closure

ROOT = Path(__file__).parents[1]
NAME = f"ck_middleware-{PROJECT['version']}"
WHEEL, SOURCE, PARTS = (ROOT / "dist" / f"{NAME}{end}" for end in ("-py3-none-any.whl", ".tar.gz", ".cdx.json"))

# What serves where the code is hosted, and no one who has it.
APART = (".ci/", ".github/")
METADATA = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}


def run(*words: str | Path, cwd: Path = ROOT, **environ: str) -> str:
    done = subprocess.run(words, cwd=cwd, env=os.environ | environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def committed() -> set[str]:
    return set(run("git", "ls-tree", "-r", "--name-only", "-z", "HEAD").split("\0")) - {""}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The commit in another folder, as another person has it: with files that only they may read."""
    clone = tmp_path_factory.mktemp("clone") / "elsewhere"
    before = os.umask(0o077)
    try:
        run("git", "clone", "--quiet", ROOT, clone)
        yield clone
    finally:
        os.umask(before)


@pytest.fixture(scope="module")
def again(clone: Path) -> Path:
    """Both built once more, the wheel out of the tree."""
    date = run("git", "log", "-1", "--format=%ct").strip()
    out = clone.with_name("dist")
    run(sys.executable, "-m", "build", "--sdist", "--wheel", "--outdir", out, cwd=clone, SOURCE_DATE_EPOCH=date)
    return out


def test_the_tree_is_the_commit() -> None:
    assert run("git", "status", "--porcelain", "--untracked-files=no") == "", "a release is made of a commit"


def test_there_is_nothing_else_to_be_uploaded() -> None:
    assert set((ROOT / "dist").iterdir()) == {WHEEL, SOURCE, PARTS}


def test_the_wheel_has_the_package_and_no_stray_file() -> None:
    package = {path.removeprefix("src/") for path in committed() if path.startswith("src/")}
    assert {"ck_middleware/__init__.py", "ck_middleware/py.typed"} <= package
    assert set(ZipFile(WHEEL).namelist()) == package | {f"{NAME}.dist-info/{name}" for name in METADATA}


def test_the_source_distribution_has_all_that_it_can_be_tested_with() -> None:
    with tarfile.open(SOURCE) as archive:
        names = {member.name.removeprefix(f"{NAME}/") for member in archive if member.isfile()}
        assert all(member.name.startswith(f"{NAME}/") for member in archive)
    assert names == {path for path in committed() if not path.startswith(APART)} | {"PKG-INFO"}
    assert {"tests/conftest.py", "docs/security.md", "examples/flask_app.py", "Makefile", "LICENSE"} <= names


def test_every_file_is_as_it_was_committed(clone: Path) -> None:
    with tarfile.open(SOURCE) as archive:
        for member in archive:
            path = member.name.removeprefix(f"{NAME}/")
            content = archive.extractfile(member)
            if content is not None and path != "PKG-INFO":
                assert content.read() == (clone / path).read_bytes(), path


@pytest.mark.parametrize("built", [WHEEL, SOURCE], ids=["wheel", "sdist"])
def test_who_builds_it_again_elsewhere_gets_the_same_bytes(built: Path, again: Path) -> None:
    assert (again / built.name).read_bytes() == built.read_bytes()


def test_it_can_be_tested_from_the_source_distribution(tmp_path: Path) -> None:
    """All files of the tests are there; these look at what lies beside them."""
    run("tar", "-xzf", SOURCE, "-C", tmp_path)
    some = [f"tests/test_{name}.py" for name in ("changelog", "dependencies", "policy", "public_api", "readme")]
    run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *some, cwd=tmp_path / NAME)


def test_what_is_installed_with_it_is_listed() -> None:
    listed = json.loads(PARTS.read_text("utf-8"))
    assert listed["bomFormat"] == "CycloneDX"
    about = listed["metadata"]["component"]
    assert (about["name"], about["version"]) == (PROJECT["name"], PROJECT["version"])
    parts = {str(canonicalize_name(part["name"])): part for part in listed["components"]}
    assert set(parts) == set(closure(DECLARED))
    assert all(part["version"] and part["purl"] for part in parts.values())


def test_nothing_of_the_machine_that_made_it_is_in_the_list() -> None:
    text = PARTS.read_text("utf-8")
    assert str(ROOT) not in text
    assert "file:" not in text
