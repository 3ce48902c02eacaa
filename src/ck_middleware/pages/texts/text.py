"""This file is what a language has to say: a text for each page, and the few words around them."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    """One page. In `words`, `{app}` stands for the name of the app."""

    title: str
    words: str
    action: str = ""  # what the link or button says; none without it


@dataclass(frozen=True, slots=True)
class Language:
    tag: str  # BCP 47, of one subtag
    direction: str  # ltr or rtl
    app: str  # an app without a name, as subject or object in the middle of a sentence
    details: str  # with `{code}` and `{reference}`
    texts: Mapping[str, Text]  # by code
