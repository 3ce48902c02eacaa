"""A stored session as the app meets it."""

import json
from typing import Any

import pytest

from ck_middleware import AuthError, ConfigError, get_session
from ck_middleware.ports import step
from ck_middleware.session import KEY, AsyncSession, BlockingSession, Found, Session
from ck_middleware.user import KEY as USER
from ck_middleware.user import User

CLAIMS: dict[str, Any] = {"iss": "https://issuer.example", "sub": "ck_u_1", "groups": ["staff"]}


async def token() -> str | None:
    return "at-1"


def found(*, keeps_tokens: bool = True, claims: bytes = json.dumps(CLAIMS).encode()) -> Found:
    return Found("0123456789abcdef", "s:name", claims, 1000.9, token if keeps_tokens else None)


class Carrier:
    def __init__(self, attribute: str, carried: object) -> None:
        setattr(self, attribute, carried)


@pytest.mark.parametrize("kind", [AsyncSession, BlockingSession])
def test_a_session_says_whose_it_is_and_until_when(kind: type[Session]) -> None:
    session = kind(found())
    assert (session.id, session.expires_at) == ("0123456789abcdef", 1000)
    assert dict(session.claims) == CLAIMS
    assert repr(session) == f"<{kind.__name__} 0123456789abcdef>"


def test_claims_cannot_be_changed_for_the_next_request() -> None:
    one = found()
    session = BlockingSession(one)
    with pytest.raises(TypeError):
        session.claims["admin"] = True  # type: ignore[index]  # as its type says
    session.claims["groups"].append("admins")
    assert BlockingSession(one).claims["groups"] == ["staff"]


def test_claims_are_decoded_when_someone_asks() -> None:
    session = AsyncSession(found(claims=b"no json"))
    assert session.id
    with pytest.raises(ValueError, match="Expecting value"):
        session.claims  # noqa: B018  # asking is what is tested


def test_a_token_is_awaited_on_one_face_and_not_on_the_other() -> None:
    assert BlockingSession(found()).access_token() == "at-1"
    assert step(AsyncSession(found()).access_token()) == "at-1"


def test_without_keep_tokens_the_setting_is_named() -> None:
    with pytest.raises(ConfigError, match="keep_tokens"):
        BlockingSession(found(keeps_tokens=False)).access_token()
    with pytest.raises(ConfigError, match="keep_tokens"):
        step(AsyncSession(found(keeps_tokens=False)).access_token())


@pytest.mark.parametrize("attribute", ["scope", "environ", "env", "META"])
def test_the_session_is_found_in_any_request(attribute: str) -> None:
    session = AsyncSession(found())
    carrier = {USER: User(json.dumps(CLAIMS).encode()), KEY: session}
    assert get_session(Carrier(attribute, carrier)) is session
    assert get_session(carrier) is session


def test_there_is_none_where_nobody_is_logged_in_or_nothing_is_stored() -> None:
    assert get_session({USER: User(), KEY: None}) is None
    assert get_session({USER: User(json.dumps(CLAIMS).encode())}) is None


@pytest.mark.parametrize("request_", [{}, None, {KEY: AsyncSession(found())}, Carrier("scope", {}), object()])
def test_a_request_that_did_not_come_through_has_none(request_: object) -> None:
    with pytest.raises(AuthError, match="did not come through the middleware"):
        get_session(request_)
