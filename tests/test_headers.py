"""What an app's own response says once it also sets our cookie."""

import pytest

from ck_middleware.headers import Headers, octets_with_cookies, with_cookies


def caching(headers: Headers) -> tuple[str, str]:
    """`Cache-Control` and `Vary` as they are once a cookie is set; each stands there once."""
    found = with_cookies(headers, ["ck_session=x"])
    (cache,) = [value for name, value in found if name.lower() == "cache-control"]
    (vary,) = [value for name, value in found if name.lower() == "vary"]
    return cache, vary


@pytest.mark.parametrize(
    ("said", "becomes"),
    [
        ([], "private"),
        (["private"], "private"),
        (["no-store"], "no-store"),
        (["No-Store, max-age=0"], "No-Store, max-age=0"),
        (["Private, max-age=60"], "Private, max-age=60"),
        (["max-age=60"], "private, max-age=60"),
        (["no-cache"], "private, no-cache"),
        (["public, max-age=60"], "private, max-age=60"),
        (["public, no-store"], "public, no-store"),  # a store that obeys keeps nothing
        (["PUBLIC, S-MaxAge=60, immutable"], "private, immutable"),
        (["max-age=60", "public"], "private, max-age=60"),
        (["max-age=60", "no-store"], "max-age=60, no-store"),
        ([" , max-age=60 ,, "], "private, max-age=60"),
        ([""], "private"),
    ],
)
def test_a_response_with_our_cookie_is_for_one_person(said: list[str], becomes: str) -> None:
    assert caching([("Cache-Control", value) for value in said])[0] == becomes


@pytest.mark.parametrize(
    ("said", "becomes"),
    [
        ([], "Cookie"),
        (["Accept"], "Accept, Cookie"),
        (["Accept", "Origin"], "Accept, Origin, Cookie"),
        (["cookie"], "cookie"),
        (["Accept, COOKIE"], "Accept, COOKIE"),
        (["*"], "*"),
    ],
)
def test_a_response_with_our_cookie_varies_by_it(said: list[str], becomes: str) -> None:
    assert caching([("Vary", value) for value in said])[1] == becomes


def test_everything_else_stands_as_it_was_and_in_order() -> None:
    said = [("Content-Type", "text/html"), ("Set-Cookie", "a=1"), ("X-A", "1"), ("Set-Cookie", "b=2"), ("X-A", "2")]
    found = with_cookies(said, ["ck_session=x", "ck_login_y="])
    assert found[:5] == said
    assert [value for name, value in found if name.lower() == "set-cookie"] == [
        "a=1",
        "b=2",
        "ck_session=x",
        "ck_login_y=",
    ]


def test_the_list_of_the_app_is_not_touched() -> None:
    said = [("Cache-Control", "public")]
    with_cookies(said, ["a=1"])
    assert said == [("Cache-Control", "public")]


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("content-type", "text/plain"), ("X-Odd", "é")],
        [("Vary", "Accept")],
        [("Cache-Control", "public, max-age=60"), ("VARY", "*")],
        [("CDN-Cache-Control", "max-age=60")],
    ],
)
def test_both_faces_say_the_same(headers: list[tuple[str, str]]) -> None:
    octets = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    said = octets_with_cookies(octets, ["a=b"])
    assert [(name.decode("latin-1"), value.decode("latin-1")) for name, value in said] == with_cookies(headers, ["a=b"])
