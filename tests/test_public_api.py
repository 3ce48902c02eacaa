"""What this package promises by name stands in docs/public-api.txt, and nothing of it goes away by accident."""

import pytest

import ck_middleware
from ck_middleware import testing
from support.public_api import DOCUMENT, written


def test_every_public_name_and_signature_is_as_it_was_promised(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--write-docs"):
        DOCUMENT.write_text(written(), "utf-8")
    told = DOCUMENT.read_text("utf-8").splitlines()
    assert written().splitlines() == told, (
        "run pytest tests/test_public_api.py --write-docs; what went away or changed is told in CHANGELOG.md"
    )


@pytest.mark.parametrize(
    "line",
    [
        *(f"ck_middleware.{name}" for name in ck_middleware.__all__),
        *(f"ck_middleware.testing.{name}" for name in testing.__all__),
        "ck_middleware.contrib.fastapi.CurrentUser",  # whose framework need not be here
        "async def access_token(self) -> str | None",  # of what is only reached
        "ConfigError",
        "self.problems",
        "session_secret; SESSION_SECRET; required",
        "GET, POST /auth/logout",
        "ck-middleware sessions end --sub",
    ],
)
def test_a_promise_of_each_kind_stands_there(line: str) -> None:
    promised = {told.strip().partition(" -> ck_middleware")[0] for told in written().splitlines()}
    assert line in promised
