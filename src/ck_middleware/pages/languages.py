"""This file is which languages pages are written in, and which of them somebody reads (RFC 9110, 12.5.4)."""

import re
from typing import Final

from ck_middleware.pages.texts.de import GERMAN
from ck_middleware.pages.texts.en import ENGLISH
from ck_middleware.pages.texts.es import SPANISH
from ck_middleware.pages.texts.fr import FRENCH
from ck_middleware.pages.texts.text import Language

__all__ = ["ENGLISH", "LANGUAGES", "read_by"]

LANGUAGES: Final = {language.tag: language for language in (ENGLISH, GERMAN, FRENCH, SPANISH)}
LONGEST: Final = 500  # characters of the header that are read; browsers send some fifty

# A range, of which the first subtag counts, and how much it is wanted; `*` is every language that is not named.
_WISH: Final = re.compile(
    r"[ \t]*(?:([A-Za-z]{1,8})(?:-[A-Za-z0-9]{1,8})*|\*)[ \t]*"
    r"(?:;[ \t]*[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)[ \t]*)?"
)


def read_by(accept_language: str) -> Language:
    """The language of ours that this header wants most; English when it wants none of them, or is not there."""
    wishes = _wishes(accept_language)
    others = wishes.pop("*", 0.0)
    # Of equally good ones the first that the header names, and before those that only `*` means.
    known = {tag: weight for tag, weight in wishes.items() if tag in LANGUAGES}
    known |= {tag: others for tag in LANGUAGES if tag not in known}
    best = max(known, key=known.__getitem__)
    return LANGUAGES[best] if known[best] else ENGLISH


def _wishes(header: str) -> dict[str, float]:
    """How much each language is wanted, by its first subtag. What cannot be read counts for nothing."""
    if len(header) > LONGEST:
        header = header[:LONGEST].rpartition(",")[0]  # a range that is cut off may have lost its weight
    wishes: dict[str, float] = {}
    for part in header.split(","):
        if wish := _WISH.fullmatch(part):
            tag = (wish[1] or "*").lower()
            wishes[tag] = max(float(wish[2] or 1), wishes.get(tag, 0.0))
    return wishes
