"""Fixtures of the journeys: each is made on every face with every kind of session, from one text."""

import pytest

KINDS = ("cookie", "sqlite", "redis")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)
