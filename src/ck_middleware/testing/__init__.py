"""This file is what tests of guarded apps may use: people who are logged in, and a provider that misbehaves if told."""

from ck_middleware.testing.forging import another_key, saying, without
from ck_middleware.testing.people import Person, guard, log_in
from ck_middleware.testing.running import Provider

__all__ = ["Person", "Provider", "another_key", "guard", "log_in", "saying", "without"]
