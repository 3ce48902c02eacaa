"""What this package promises by name stands in docs/public-api.txt, and nothing of it goes away by accident."""

import ast
from pathlib import Path
from types import ModuleType

import pytest

import ck_middleware
from ck_middleware import pages, testing
from support.public_api import DOCUMENT, written

TYPED = Path(__file__).parent / "typing" / "public_api.py"


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


@pytest.mark.parametrize("module", [ck_middleware, pages, testing], ids=lambda module: module.__name__)
def test_a_strict_type_checker_sees_each_name_as_people_use_it(module: ModuleType) -> None:
    """mypy and pyright read that file, both strict; `make lint` runs them."""
    used = [node.id for node in ast.walk(ast.parse(TYPED.read_text("utf-8"))) if isinstance(node, ast.Name)]
    assert set(module.__all__) <= set(used)
