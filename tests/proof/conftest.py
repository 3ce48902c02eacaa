"""What the parts of the proof against a hostile world may ask for. Their names are in `support.proof`."""

from collections.abc import Callable
from pathlib import Path

import pytest

LONGEST = 3600  # seconds for one test of a long search, on a busy machine

Tally = Callable[[str, int], None]


@pytest.fixture
def tally(record_property: Callable[[str, object], None]) -> Tally:
    """Adds to a figure of this part's line in the summary: `tally("requests", 104)`."""
    return record_property


@pytest.fixture
def long(request: pytest.FixtureRequest) -> bool:
    """Whether there are minutes to search in, and chance may have a part in it."""
    return bool(request.config.getoption("--long"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if config.getoption("--long") and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(LONGEST), append=False)
