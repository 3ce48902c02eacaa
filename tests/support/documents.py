"""This file is documents that name tests and files: what they name has to be there."""

import ast
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeAlias

ROOT = Path(__file__).parents[2]

# Compares a document with what the code makes of it, or with --write-docs writes that.
AsWritten: TypeAlias = Callable[[Path, Callable[[str], str]], None]


@cache
def every_test() -> dict[str, frozenset[str]]:
    """The names of all test functions, by the name of their file (`test_callback.py`), wherever that is."""
    found: dict[str, frozenset[str]] = {}
    for path in (ROOT / "tests").rglob("test_*.py"):
        found[path.name] = found.get(path.name, frozenset()) | frozenset(promises_of(path))
    return found


def promises_of(path: Path) -> list[str]:
    tree = ast.parse(path.read_text("utf-8"))
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]


def named_and_not_there(document: Path) -> list[str]:
    """Tests and files that a document names, and that do not exist. `test_a.py::test_b` has to be in that file."""
    text = document.read_text("utf-8")
    anywhere = frozenset[str]().union(*every_test().values())
    lost = [
        f"{file}{test}"
        for file, test in re.findall(r"`(test_\w+\.py::)?(test_\w+)`", text)
        if test not in (every_test().get(file.removesuffix("::"), ()) if file else anywhere)
    ]
    links = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if not link.startswith("https:")]
    anchors = {anchor(title) for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
    lost += [link for link in links if not (document.parent / link).exists()]
    return lost + [anchor for anchor in re.findall(r"\]\(#([^)]+)\)", text) if anchor not in anchors]


def anchor(title: str) -> str:
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def rows(document: Path, head: str) -> list[list[str]]:
    """The cells of the table with this head, the marks of code taken off."""
    table = document.read_text("utf-8").partition(f"\n{head}")[2].partition("\n\n")[0]
    lines = [line.strip("|").split("|") for line in table.splitlines()[2:]]
    return [[cell.strip().replace("`", "") for cell in line] for line in lines]
