"""This file is `ck-middleware secret`: a new session secret, and how to change one with nobody logged out."""

from __future__ import annotations

import secrets
import sys
from typing import TYPE_CHECKING, Final

from ck_middleware.cli.exits import DONE

if TYPE_CHECKING:
    import argparse

    from ck_middleware.cli.exits import Commands

SIZE: Final = 32  # bytes, as many as the keys that are made from it
WORDS: Final = """
This is a new SESSION_SECRET. Keep it where the app's other secrets are, the same for all workers and machines.

To change one with nobody logged out:
  1. put the new one in front:    SESSION_SECRET=<new>,<old>     on every machine, then restart
  2. wait for session_lifetime (24 hours, unless it is set), while the old one opens what it sealed
  3. drop the old one:            SESSION_SECRET=<new>           then restart
If the old one has leaked, drop it at once: everybody logs in again.
"""


def add_to(commands: Commands) -> None:
    about = "make a SESSION_SECRET, and say how one is changed"
    parser = commands.add_parser("secret", help=about, description="Make a SESSION_SECRET, and say how one is changed.")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:  # noqa: ARG001  # as every command
    # The words go where they do not get into `SESSION_SECRET=$(ck-middleware secret)`.
    sys.stdout.write(secrets.token_urlsafe(SIZE) + "\n")
    sys.stdout.flush()
    sys.stderr.write(WORDS)
    return DONE
