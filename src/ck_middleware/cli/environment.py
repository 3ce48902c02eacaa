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
    try:
        return _read(path, is_asked_for=bool(options.env_file))
    except UnicodeDecodeError as exc:
        raise NotStarted(f"{path} cannot be read; it has to be text in UTF-8.") from exc
    except OSError as exc:
        why = exc.strerror or type(exc).__name__
        raise NotStarted(f"{path} cannot be read ({why}); let this user read it, or give --no-env-file.") from exc


def _read(path: Path, *, is_asked_for: bool) -> Path | None:
    # A folder may be called so as well, such as one with a virtual environment in it.
    if not path.exists() or path.is_dir():
        if is_asked_for:
            raise NotStarted(f"There is no file {path}; --env-file names the one with the app's settings.")
        return None
    try:
        import dotenv  # noqa: PLC0415  # comes with an extra
    except ImportError as exc:
        why = f"To read {path}, install: pip install 'ck-middleware[cli]'"
        if is_asked_for:
            raise NotStarted(why) from exc
        sys.stderr.write(f"({why})\n")
        return None
    for name, value in dotenv.dotenv_values(path).items():
        if value is not None:
            os.environ.setdefault(name, value)
    return path
