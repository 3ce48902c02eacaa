"""What counts as a JSON object, and what does not because two parsers could read it in two ways."""

import sys
from typing import Any

import pytest

from ck_middleware.strict_json import DEEPEST, read_object

TOO_DEEP = (DEEPEST, 500, 100_000)  # levels below the outermost object


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{}", {}),
        (b"{}", {}),
        (
            ' {"sub": "a", "n": 1, "x": 1.5, "b": true, "z": null} ',
            {"sub": "a", "n": 1, "x": 1.5, "b": True, "z": None},
        ),
        ('{"a": {"b": [{"a": 1}, {"a": 2}]}}', {"a": {"b": [{"a": 1}, {"a": 2}]}}),
        ('{"a": 1, "A": 2}', {"a": 1, "A": 2}),
        ('{"n": "NaN", "i": "Infinity"}', {"n": "NaN", "i": "Infinity"}),
        ('{"n": 1e308, "s": 1e-999}', {"n": 1e308, "s": 0.0}),
        ('{"name": "Ren\\u00e9e"}', {"name": "Renée"}),
        ('{"name": "Renée"}'.encode(), {"name": "Renée"}),
    ],
)
def test_an_object_is_read(text: bytes | str, found: dict[str, Any]) -> None:
    assert read_object(text) == found


@pytest.mark.parametrize("text", ["", " ", "null", "true", "1", '"text"', "[]", '[{"sub": "a"}]', b"[]"])
def test_what_is_no_object_is_refused(text: bytes | str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_object(text)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"a": 1',
        '{"a": 1} {}',
        '{"a": 1}x',
        '{"a": 1,}',
        "{'a': 1}",
        "{a: 1}",
        '{"a": 01}',
        '{"a": "\n"}',
        "<html>",
    ],
)
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_object(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"sub": "a", "sub": "b"}',
        '{"sub": "a", "sub": "a"}',
        '{"sub": "a", "\\u0073ub": "b"}',
        '{"a": {"b": 1, "b": 2}}',
        '{"a": [{"b": 1, "b": 2}]}',
    ],
)
def test_a_member_that_stands_twice_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="twice"):
        read_object(text)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" * 400 + ".0"])
@pytest.mark.parametrize("document", ['{{"exp": {}}}', '{{"a": [{{"b": {}}}]}}'])
def test_a_number_that_is_not_finite_is_refused(document: str, number: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_object(document.format(number))


def test_a_number_of_thousands_of_digits_is_refused() -> None:
    with pytest.raises(ValueError, match=r"."):
        read_object('{"exp": ' + "1" * (sys.int_info.default_max_str_digits + 1) + "}")


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")], ids=["lists", "objects"])
class TestDepth:
    def test_a_depth_of_some_levels_is_read(self, opening: str, closing: str) -> None:
        depth = DEEPEST - 1
        assert read_object('{"a":' + opening * depth + "1" + closing * depth + "}")

    @pytest.mark.parametrize("depth", TOO_DEEP)
    def test_a_depth_that_no_honest_document_has_is_refused(self, opening: str, closing: str, depth: int) -> None:
        with pytest.raises(ValueError, match="deep"):
            read_object('{"a":' + opening * depth + "1" + closing * depth + "}")

    def test_a_depth_without_end_is_refused(self, opening: str, closing: str) -> None:
        with pytest.raises(ValueError, match=r"."):
            read_object('{"a":' + opening * TOO_DEEP[-1])


@pytest.mark.parametrize(
    "octets",
    [
        b'{"a": "\xff"}',
        b'{"a": "\xc0\xaf"}',
        b'{"a": "\xed\xa0\x80"}',
        '{"a": "é"}'.encode("latin-1"),
        '{"a": 1}'.encode("utf-16"),
        '{"a": 1}'.encode("utf-16-le"),
        '{"a": 1}'.encode("utf-32"),
    ],
)
def test_bytes_that_are_not_utf_8_are_refused(octets: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_object(octets)
