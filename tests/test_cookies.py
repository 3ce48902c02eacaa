"""How the `Cookie` header is read: on bytes, every cookie of a name, nothing stripped but space and tab."""

import pytest

from ck_middleware.cookies import Attributes, starting_with, values


# Headers that other parsers read in several ways.
@pytest.mark.parametrize(
    ("header", "found"),
    [
        (b"", []),
        (b"s=1", [b"1"]),
        (b"s=1; s=2", [b"1", b"2"]),
        (b"s=1;s=2", [b"1", b"2"]),
        (b"a=b; s=1; c=d", [b"1"]),
        (b"s=", [b""]),
        (b"s", []),
        (b"s; s=1", [b"1"]),
        (b"=s=1", []),  # a cookie without a name, whose value is s=1
        (b"s=1=2", [b"1=2"]),
        (b" \t s \t = \t 1 \t ", [b"1"]),
        (b"a=b; \x85s=evil", []),
        (b"a=b; \xa0s=evil", []),
        (b"a=b; \x0bs=evil; \x0cs=evil", []),
        ("a=b; \u2000s=evil".encode(), []),
        (b"\x1cs=evil; \x00s=evil", []),
        (b"s =evil", [b"evil"]),
        (b'a="; s=evil; b="; s=good', [b"evil", b"good"]),
        (b's="1\\073 t=evil"', [b'"1\\073 t=evil"']),
        (b's="1"', [b'"1"']),
        (b"a[]=1; s=1", [b"1"]),
        (b"S=1", []),
        (b"ss=1; xs=2; s2=3", []),
        (b"s=1,s=2", [b"1", b"s=2"]),  # two fields as gunicorn joins them: two of ours
        (b"s=1,a=2", [b"1"]),  # and here one of ours, before another's
        (b"a=1,s=2", []),
        (b";;;s=1;;", [b"1"]),
        (b"s=\xff\x00", [b"\xff\x00"]),
        (b"s=\x0b1\x0c; Xs=2; sX=3; s=X1X", [b"\x0b1\x0c", b"X1X"]),
    ],
)
def test_every_value_of_a_cookie_is_found_and_nothing_else(header: bytes, found: list[bytes]) -> None:
    assert values(header, b"s") == found


def test_a_name_is_exact_with_its_prefix_too() -> None:
    header = b"\xa0__Host-s=evil; __Host-s=good; __Host-s2=x; Host-s=x; __host-s=x"
    assert values(header, b"__Host-s") == [b"good"]


def test_cookies_are_found_by_the_start_of_their_name() -> None:
    header = b"ck_login_a=1; x=2; ck_login_b=3; \xa0ck_login_c=4; ck_login_=5; ck_login_a=6; x=ck_login_d"
    assert starting_with(header, b"ck_login_") == [
        (b"ck_login_a", b"1"),
        (b"ck_login_b", b"3"),
        (b"ck_login_", b"5"),
        (b"ck_login_a", b"6"),
    ]
    assert starting_with(header, b"other_") == []


@pytest.mark.parametrize(
    ("secure", "prefix", "attributes"),
    [
        (True, "__Host-", "; Path=/; HttpOnly; SameSite=Lax; Secure"),
        (False, "", "; Path=/; HttpOnly; SameSite=Lax"),
    ],
)
def test_cookies_are_for_this_host_alone(secure: bool, prefix: str, attributes: str) -> None:  # noqa: FBT001
    cookies = Attributes(secure=secure)
    assert cookies.prefix == prefix
    assert cookies.set("s", "1", max_age=5) == "s=1; Max-Age=5" + attributes
    assert cookies.clear("s") == "s=; Max-Age=0" + attributes
