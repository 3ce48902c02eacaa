"""What travels through the gate cannot be changed on the way."""

from dataclasses import FrozenInstanceError

import pytest

from ck_middleware.messages import Pass, Request, Response
from support.faces import PlainRequest


def test_an_answer_is_final() -> None:
    response = Response(200)
    assert (response.headers, response.body, response.cookies) == ((), b"", ())
    with pytest.raises(FrozenInstanceError):
        response.status = 500  # type: ignore[misc]  # that is the point


def test_who_passes_is_shown_without_what_is_known_of_them() -> None:
    passed = Pass(b'{"sub":"otter","email":"ada@example.test"}', "otter", ("ck_session=sealed",))
    assert repr(passed) == "<Pass otter>"


def test_a_request_is_made_by_a_face_alone() -> None:
    with pytest.raises(TypeError):
        Request()  # type: ignore[abstract]  # that is the point
    assert PlainRequest("/x").path == "/x"
