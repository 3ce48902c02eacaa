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

To change one with nobody logged out, do each of these on every machine, and restart it:
  1. put the new one behind:      SESSION_SECRET=<old>,<new>     so that all can open what it will seal
  2. put the new one in front:    SESSION_SECRET=<new>,<old>     from then on it seals
  3. drop the old one:            SESSION_SECRET=<new>           after session_lifetime (24 hours, unless it is set)
On a single machine that stops before it starts again, begin with step 2.
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
