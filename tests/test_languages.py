"""Which language a page is in, and that each of them says everything."""

import re
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ck_middleware.pages.languages import ENGLISH, LANGUAGES, LONGEST, read_by
from ck_middleware.pages.texts.text import Language

OTHERS = [language for language in LANGUAGES.values() if language is not ENGLISH]


@pytest.mark.parametrize(
    ("header", "tag"),
    [
        ("", "en"),
        ("de", "de"),
        ("fr", "fr"),
        ("es", "es"),
        ("en-GB,en;q=0.9,de;q=0.8", "en"),
        ("de-AT", "de"),
        ("DE-de", "de"),
        ("de-CH-1996", "de"),
        ("zh-Hant-TW", "en"),
        ("zh, ja;q=0.9, fr;q=0.1", "fr"),
        ("de;q=0.5, fr;q=0.8, en;q=0.3", "fr"),
        ("de;q=0.5,de-AT;q=0.9,fr;q=0.8", "de"),
        ("fr ; q=0.5 , es ; Q=0.7", "es"),
        ("es\t,\tde", "es"),
        ("de;q=1.000, fr", "de"),
        ("en;q=0.001, de;q=0.002", "de"),
        ("*", "en"),
        ("*;q=0.5, de", "de"),
        ("fr;q=0.2, *;q=0.8", "en"),
        ("en;q=0, *", "de"),
        ("en;q=0.0, *;q=0", "en"),
        ("de;q=0", "en"),
        ("de;q=0, fr;q=0, es", "es"),
        ("nl, *;q=0.1", "en"),
    ],
)
def test_the_language_that_is_wanted_most_is_chosen(header: str, tag: str) -> None:
    assert read_by(header).tag == tag


@pytest.mark.parametrize(
    "header",
    [
        ",",
        ";",
        "de;q=2",
        "de;q=-1",
        "de;q=1.1",
        "de;q=0.5000",
        "de;q=",
        "de;q=inf",
        "de;q=nan",
        "de;q=0,5",
        "de;q=0.\u0665",
        "de;level=1",
        "de_AT",
        "de-",
        "de-\xe9",
        "deutschland",
        "d e",
        "\x00de",
        "\u0131",
        "../de",
        "q=1;de",
        "-de",
        "*-de",
    ],
)
def test_what_cannot_be_read_counts_for_nothing(header: str) -> None:
    assert read_by(header).tag == "en"
    assert read_by(f"{header}, fr;q=0.3").tag == "fr"


def test_a_header_is_read_so_far_and_no_further() -> None:
    padding = "zh," * (LONGEST // 3)
    assert read_by(padding[: LONGEST - 2] + "de").tag == "de"
    assert read_by(padding + "zh,de").tag == "en"
    assert read_by(" " * 1_000_000 + "de").tag == "en"
    assert read_by("de;q=0." + "0" * 1_000_000).tag == "en"


def test_a_range_that_is_cut_off_counts_for_nothing() -> None:
    """What was cut off may be how little it is wanted."""
    start = "fr;q=0.5," + "zh," * ((LONGEST - 12) // 3)
    header = f"{start},".ljust(LONGEST - 2) + "de;q=0.1"
    assert header[:LONGEST].endswith("de")
    assert read_by(header).tag == "fr"


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.one_of(st.text(), st.text("de-AT*;q=0.1, frEN\t", max_size=60)))
def test_any_header_is_a_language_of_ours(header: str) -> None:
    assert read_by(header) in LANGUAGES.values()
    assert read_by(f"es, {header[:200]}").tag == "es"  # the first of those that are wanted most


@pytest.mark.parametrize("language", OTHERS, ids=[language.tag for language in OTHERS])
def test_no_language_lacks_a_text(language: Language) -> None:
    assert list(language.texts) == list(ENGLISH.texts)
    for code, text in language.texts.items():
        assert bool(text.action) == bool(ENGLISH.texts[code].action), code
        assert text != ENGLISH.texts[code]


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)
def test_what_is_put_into_a_text_is_the_same_in_every_language(language: Language) -> None:
    def fields(words: str) -> set[str | None]:
        return {name for _, name, _, _ in string.Formatter().parse(words) if name is not None}

    for code, text in language.texts.items():
        assert fields(text.words) == fields(ENGLISH.texts[code].words) <= {"app"}, code
        assert fields(text.title) == fields(text.action) == set()
        assert not text.words.startswith("{app}"), "the words for an app without a name begin with a small letter"
    assert fields(language.details) == {"code", "reference"}
    assert language.direction in {"ltr", "rtl"}
    assert re.fullmatch("[a-z]{2,3}", language.tag)


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)
def test_texts_are_set_with_care(language: Language) -> None:
    for text in language.texts.values():
        for words in (text.title, text.words, text.action):
            assert words == words.strip()
            assert "  " not in words
            assert "'" not in words or language.tag == "en"
        assert text.words.endswith(".")
        assert not text.title.endswith(".")
        if language.tag == "fr":
            assert not re.search(r"(?<!\u00a0)[:;?!]", text.title + text.words)
