"""What the parts of the proof against a hostile world may ask for. Their names are in `support.proof`."""

from collections.abc import Callable

import pytest

Tally = Callable[[str, int], None]


@pytest.fixture
def tally(record_property: Callable[[str, object], None]) -> Tally:
    """Adds to a figure of this part's line in the summary: `tally("requests", 104)`."""
    return record_property


@pytest.fixture
def long(request: pytest.FixtureRequest) -> bool:
    """Whether there are minutes to search in, and chance may have a part in it."""
    return bool(request.config.getoption("--long"))
