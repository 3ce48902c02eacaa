"""The person as the app meets them."""

import copy
import json
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from starlette.authentication import BaseUser

from ck_middleware import AuthError, User, get_user
from ck_middleware.user import KEY, Anonymous, somebody


def user(**claims: Any) -> User:
    return User(json.dumps({"iss": "https://issuer.example", "sub": "ck_u_1"} | claims).encode())


def test_somebody_logged_in_is_known_by_issuer_and_sub() -> None:
    ada = user(name="Ada", email="ada@example.test")
    assert ada.is_authenticated
    assert (ada.issuer, ada.sub, ada.identity) == ("https://issuer.example", "ck_u_1", "ck_u_1")
    assert (ada.name, ada.email) == ("Ada", "ada@example.test")


def test_nobody_is_nobody() -> None:
    nobody = User()
    assert not nobody.is_authenticated
    texts = (nobody.sub, nobody.issuer, nobody.name, nobody.email, nobody.display_name, nobody.identity)
    assert set(texts) == {""}
    assert dict(nobody.claims) == {}


@pytest.mark.parametrize(
    ("claims", "greeted"),
    [
        ({"name": "Ada", "preferred_username": "ada", "email": "a@example.test"}, "Ada"),
        ({"preferred_username": "ada", "email": "a@example.test"}, "ada"),
        ({"email": "a@example.test"}, "a@example.test"),
        ({}, "ck_u_1"),
        ({"name": "", "email": None}, "ck_u_1"),
        ({"name": ["Ada"], "preferred_username": 5}, "ck_u_1"),
    ],
)
def test_there_is_always_something_to_greet_a_person_by(claims: dict[str, Any], greeted: str) -> None:
    assert user(**claims).display_name == greeted


@pytest.mark.parametrize("value", [None, 5, True, ["a"], {"a": "b"}])
def test_a_claim_of_an_odd_kind_is_an_empty_text_and_still_a_claim(value: object) -> None:
    odd = user(name=value, email=value)
    assert (odd.name, odd.email) == ("", "")
    assert odd.claims["name"] == value


def test_claims_cannot_be_changed() -> None:
    claims = user(name="Ada").claims
    assert isinstance(claims, Mapping)
    with pytest.raises(TypeError):
        claims["name"] = "Mallory"  # type: ignore[index]  # that is the point
    assert claims["name"] == "Ada"


def test_two_requests_of_one_person_share_nothing_that_can_be_changed() -> None:
    encoded = json.dumps({"sub": "a", "groups": ["staff"]}).encode()
    User(encoded).claims["groups"].append("admin")
    assert User(encoded).claims["groups"] == ["staff"]


def pickled(original: User) -> User:
    unpickled: User = pickle.loads(pickle.dumps(original))  # noqa: S301  # our own
    return unpickled


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickled])
@pytest.mark.parametrize("made", [lambda: user(groups=["staff"]), lambda: somebody(b'{"groups":[]}'), User, Anonymous])
def test_a_user_can_be_copied_also_after_somebody_has_asked_for_a_claim(
    made: Callable[[], User], copied: Callable[[User], User]
) -> None:
    original = made()
    before, claims = copied(original), original.claims
    for other in (before, copied(original)):
        assert type(other) is type(original)
        assert (other.is_authenticated, other.claims) == (original.is_authenticated, claims)
        if claims:
            assert other.claims["groups"] is not claims["groups"]


def test_a_user_is_what_starlette_calls_one() -> None:
    assert isinstance(user(), BaseUser)
    assert isinstance(User(), BaseUser)


def test_a_user_shows_no_claim_but_the_pseudonym() -> None:
    assert repr(user(name="Ada", email="ada@example.test")) == "<User ck_u_1>"
    assert repr(User()) == "<User anonymous>"


class Carrier:
    def __init__(self, name: str, mapping: object) -> None:
        setattr(self, name, mapping)


@pytest.mark.parametrize("attribute", ["scope", "environ", "env", "META"])
def test_the_user_is_found_in_any_request(attribute: str) -> None:
    ada = user()
    assert get_user(Carrier(attribute, {KEY: ada})) is ada
    assert get_user({KEY: ada}) is ada


def test_nobody_is_found_where_nobody_is_logged_in() -> None:
    nobody = User()
    assert get_user({KEY: nobody}) is nobody


@pytest.mark.parametrize(
    "request_",
    [{}, None, "text", {KEY: "ada"}, {KEY: {"sub": "ada"}}, Carrier("scope", None), Carrier("environ", {}), object()],
)
def test_a_request_that_did_not_come_through_has_no_user(request_: object) -> None:
    with pytest.raises(AuthError, match="did not come through the middleware"):
        get_user(request_)
