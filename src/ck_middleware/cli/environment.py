"""This file is how a command comes to the environment that the app has: a `.env` file included."""

from __future__ import annotations

import os
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


def load(options: argparse.Namespace) -> Path | None:
    """Add what the file says to the environment, which wins; the file that was read.

    Raises `NotStarted` when a file that was asked for is not there, or cannot be read.
    """
    path = Path(options.env_file or USUAL)
    if not path.is_file():
        if options.env_file:
            raise NotStarted(f"There is no file {path}; --env-file names the one with the app's settings.")
        return None
    try:
        import dotenv  # noqa: PLC0415  # comes with an extra
    except ImportError as exc:
        raise NotStarted(f"To read {path}, install: pip install 'ck-middleware[cli]' (or move the file away)") from exc
    try:
        found = dotenv.dotenv_values(path)
    except (OSError, UnicodeDecodeError) as exc:
        raise NotStarted(f"{path} cannot be read ({type(exc).__name__}); it has to be text in UTF-8.") from exc
    for name, value in found.items():
        if value is not None:
            os.environ.setdefault(name, value)
    return path
