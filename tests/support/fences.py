"""This file is the samples of documents: what stands between fences, in its language, and where it begins."""

import re
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^(?P<fence>`{3,})(?P<language>[^\n`]*)\n(?P<code>.*?)^(?P=fence)$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Sample:
    language: str
    code: str
    line: int  # of the fence, from 1

    @property
    def head(self) -> str:
        """Its first line, by which samples of files say which one they are."""
        return self.code.partition("\n")[0]


def samples(document: Path, language: str = "") -> list[Sample]:
    """Those of a document, in their order: all, or those in one language."""
    text = document.read_text("utf-8")
    found = [
        Sample(match["language"].strip(), match["code"], text.count("\n", 0, match.start()) + 1)
        for match in _FENCE.finditer(text)
    ]
    return [sample for sample in found if language in {"", sample.language}]


def without_samples(document: Path) -> str:
    """The text of a document, and nothing of what it shows."""
    return re.sub(r"`[^`\n]+`", "", _FENCE.sub("", document.read_text("utf-8")))
