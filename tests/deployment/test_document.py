"""This file is docs/deploy.md: the files that it shows are those of deploy/, which the tests beside this one run."""

import re

from support.deployed import DEPLOY, lines
from support.documents import ROOT, AsWritten, named_and_not_there

DOCUMENT = ROOT / "docs" / "deploy.md"
SHOWN = re.compile(r"(<!-- deploy/(\S+)((?: [\w-]+)*) -->\n```\w+\n)(.*?)(?=```\n)", re.DOTALL)


def _written(text: str) -> str:
    return SHOWN.sub(lambda found: found[1] + _content(found[2], found[3].split()), text)


def _content(file: str, names: list[str]) -> str:
    if names:
        return "".join(f"{lines()[name]}\n" for name in names)
    return (DEPLOY / file).read_text("utf-8")


def test_the_document_shows_the_files_that_are_run(as_written: AsWritten) -> None:
    as_written(DOCUMENT, _written)


def test_the_document_shows_or_names_every_file() -> None:
    text = DOCUMENT.read_text("utf-8")
    shown = {file for _, file, _, _ in SHOWN.findall(text)} | set(re.findall(r"\]\(\.\./deploy/([\w./-]+)\)", text))
    there = {str(file.relative_to(DEPLOY)) for file in DEPLOY.rglob("*") if file.is_file() and file.suffix != ".pyc"}
    assert there - shown == {"app.py", "requirements.txt"}  # the reader's own
    assert {name for _, _, names, _ in SHOWN.findall(text) for name in names.split()} == lines().keys()
    assert named_and_not_there(DOCUMENT) == []
