"""Addresses that somebody may be sent back to: paths of this origin, and nothing else."""

from random import Random
from urllib.parse import unquote

import pytest

from ck_middleware.policy import LONGEST_RETURN, canonical, return_path


@pytest.mark.parametrize(
    "value",
    [
        "/\\evil.com",
        "////evil.com",
        "///evil.com",
        "//evil.com",
        "//evil.com/x",
        "//",
        "/\t/evil.com",
        "/\n/evil.com",
        "/\r\n/evil.com",
        "\x01//evil.com",
        " /x",
        "\t/x",
        "https:evil.com",
        "https:///evil.com",
        "https://evil.com/x",
        "http:\\\\evil.com",
        "javascript:alert(1)",
        "data:text/html,x",
        "/.//evil.com",
        "/x/../..//evil.com",
        "/x/../y",
        "/./x",
        "/x/..",
        "/x/.",
        "/%2fevil.com",
        "/%2Fevil.com",
        "/%5cevil.com",
        "/%2e%2e/x",
        "/.%2e/x",
        "/x/%2e",
        "/x%2f%2fevil.com",
        "/x/%2fevil.com",
        "/%09/evil.com",
        "/x%0d%0aSet-Cookie:a",
        "/x%00",
        "/x%7f",
        "/x%ff",
        "/x%c0%af",
        "/x%ed%a0%80",
        "/x%ef%bf%bd",
        "/x\ufffd",
        ".evil.com",
        "@evil.com",
        "evil.com",
        "x",
        "",
        "?x=1",
        "#x",
        "*",
        "/x\\y",
        "/x?y\\z",
        "/x#y\\z",
        "/x\x00",
        "/x\x7f",
        "/x\x85",
        "/x?y=\x9f",
        "/x?y=\n",
        "/x#\r",
        "/" + "x" * LONGEST_RETURN,
        "/" + "\xe9" * 400,
        "/" + "%" * 1000,
        None,
        7,
        b"/x",
        ["/x"],
    ],
)
def test_an_address_that_might_leave_this_origin_is_none(value: object) -> None:
    assert return_path(value) is None


def test_half_a_character_is_no_address() -> None:
    for template in ("/x{}", "/x?y={}", "/x#{}", "/{}#"):  # a surrogate cannot stand in a test's own name
        assert return_path(template.format("\ud800")) is None
        assert return_path(template.format("\udfff")) is None
        assert return_path(template.format("\U00010400")) is not None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/", "/"),
        ("/x", "/x"),
        ("/x/", "/x/"),
        ("/x/y.html", "/x/y.html"),
        ("/x?y=1&z=2", "/x?y=1&z=2"),
        ("/?next=//evil.com", "/?next=//evil.com"),
        ("/?next=https://evil.com/../x", "/?next=https://evil.com/../x"),
        ("/x#//y/../z", "/x#//y/../z"),
        ("/x?", "/x?"),
        ("/x#", "/x#"),
        ("/#/spa/route?x=1", "/#/spa/route?x=1"),
        ("/x?a=%0d%0a", "/x?a=%0d%0a"),
        ("/x?a=%ff", "/x?a=%ff"),
        ("/x?a=%5C", "/x?a=%5C"),
        ("/a%20b", "/a%20b"),
        ("/a b", "/a%20b"),
        ("/a?b c", "/a?b%20c"),
        ("/a%2Fb", "/a%2Fb"),
        ("/a%252fb", "/a%252fb"),
        ("/a%252f%252fb", "/a%252f%252fb"),
        ("/a%23b", "/a%23b"),
        ("/a%3Fb", "/a%3Fb"),
        ("/100%", "/100%25"),
        ("/%zz", "/%25zz"),
        ("/%%41", "/%25%41"),
        ("/caf\xe9", "/caf%C3%A9"),
        ("/caf%C3%A9", "/caf%C3%A9"),
        ("/x?y=\u65e5", "/x?y=%E6%97%A5"),
        ("/x#\U0001f600", "/x#%F0%9F%98%80"),
        ("/a\u2028b", "/a%E2%80%A8b"),
        ("/:8080/x", "/:8080/x"),
        ("/@evil.com", "/@evil.com"),
        ("/x:y@z", "/x:y@z"),
        ("/...", "/..."),
        ("/.well-known", "/.well-known"),
        ("/..x", "/..x"),
        ("/a;b=c,d!$&'()*+=~-_", "/a;b=c,d!$&'()*+=~-_"),
        ("/[a]", "/[a]"),
        ('/<a>"{b}|^`', "/%3Ca%3E%22%7Bb%7D%7C%5E%60"),
        ("/" + "x" * (LONGEST_RETURN - 1), "/" + "x" * (LONGEST_RETURN - 1)),
        ("/" + "\xe9" * 300, "/" + "%C3%A9" * 300),
    ],
)
def test_an_address_of_this_origin_is_kept_and_quoted(value: str, expected: str) -> None:
    assert return_path(value) == expected


def test_what_is_returned_is_ascii_and_parses_to_itself() -> None:
    random = Random(7)  # noqa: S311 - the same addresses in every run
    pieces = ["/", "//", "\\", ".", "..", "?", "#", "@", ":", ";", "evil.com", "http:", "a", "\xe9", "\ufffd", "\ud800"]
    pieces += ["%", "%2f", "%2e", "%5c", "%0a", "%ff", "%c3%a9", " ", "\t", "\n", "\x85", "\u2028"]
    kept = 0
    for _ in range(30_000):
        value = "".join(random.choices(pieces, k=random.randint(0, 6)))
        if random.random() < 0.7:
            value = "/" + value
        address = return_path(value)
        if address is None:
            continue
        kept += 1
        assert address.isascii()
        assert address.isprintable()
        assert " " not in address
        assert "\\" not in address
        assert return_path(address) == address
        path = address.replace("#", "?").partition("?")[0]
        assert canonical(path)
        assert canonical(unquote(path, errors="strict"))
        assert unquote(address) == unquote(value)
    assert kept > 1_000
