"""This file is the fixtures: `pytest_plugins = ["ck_middleware.testing.plugin"]` in the top `conftest.py`.

It is no plugin that pytest finds by itself: that would import this package in every test run of an environment, and
before coverage begins to look.
"""

from collections.abc import Callable, Iterator

import pytest

from ck_middleware.testing import people
from ck_middleware.testing.people import Person
from ck_middleware.testing.running import Provider


@pytest.fixture
def log_in() -> Callable[..., Person]:
    """`log_in(client, name="Ada")`."""
    return people.log_in


@pytest.fixture(scope="session")
def running_provider() -> Iterator[Provider]:
    """A provider for the whole test session, for an app that is configured once."""
    with Provider() as provider:
        yield provider


@pytest.fixture
def provider(running_provider: Provider) -> Iterator[Provider]:
    """The same, with whatever faults one test needs; afterwards it behaves again."""
    yield running_provider
    running_provider.heal()
