"""This file is how a command ends that could not begin."""

from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    import argparse

    Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001  # it has no other name

DONE: Final = 0
FOUND: Final = 1  # a look at things found something that has to be mended
NOT_STARTED: Final = 2  # as argparse's own
UNHEARD: Final = 128 + 13  # as a shell tells of who was ended by SIGPIPE


class NotStarted(Exception):
    """Why nothing was started, in one sentence."""
