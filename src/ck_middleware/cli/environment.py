"""This file is how a command comes to the environment that the app has: a `.env` file included."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ck_middleware.cli.exits import NotStarted

if TYPE_CHECKING:
    import argparse

USUAL: Final = ".env"


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--env-file",
        metavar="FILE",
        help=f"settings that the environment does not say; default: {USUAL} here, if there is one",
    )
    parser.add_argument("--no-env-file", action="store_true", help="the environment alone")


def load(options: argparse.Namespace) -> Path | None:
    """Add what the file says to the environment, which wins; the file that was read.

    Raises `NotStarted` when a file that was asked for is not there, or cannot be read.
    """
    path = Path(options.env_file or USUAL)
    if options.no_env_file:
        return None
    if not path.exists():
        if options.env_file:
            raise NotStarted(f"There is no file {path}; --env-file names the one with the app's settings.")
        return None
    try:
        import dotenv  # noqa: PLC0415  # comes with an extra
    except ImportError as exc:
        why = f"To read {path}, install: pip install 'ck-middleware[cli]'"
        if options.env_file:
            raise NotStarted(why) from exc
        sys.stderr.write(f"({why})\n")
        return None
    try:
        found = dotenv.dotenv_values(path)
    except (OSError, UnicodeDecodeError) as exc:
        raise NotStarted(f"{path} cannot be read ({type(exc).__name__}); it has to be text in UTF-8.") from exc
    for name, value in found.items():
        if value is not None:
            os.environ.setdefault(name, value)
    return path
