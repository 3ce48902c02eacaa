"""This file is the command line itself: what may be asked, and the exit code of what came of it."""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import os
import sys
from typing import TYPE_CHECKING

from ck_middleware.cli import doctor, explain, secret, serving, sessions
from ck_middleware.cli.exits import NOT_STARTED, UNHEARD, NotStarted
from ck_middleware.errors import ConfigError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

ABOUT = "Try ck-middleware on this machine, and look after an app that is behind it."


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command to its end, and give its exit code."""
    try:
        try:
            return _run(argv)
        finally:
            sys.stdout.flush()  # here, and not at the interpreter's end, where nobody could answer it
    except BrokenPipeError:  # whoever read it has heard enough, such as `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNHEARD


def _run(argv: Sequence[str] | None) -> int:
    options = _parser().parse_args(argv)
    try:
        code: int = options.run(options)
    except (NotStarted, ConfigError, StoreUnavailable) as why:
        sys.stderr.write(f"{why}\n")
        return NOT_STARTED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("ck-middleware", description=ABOUT)
    parser.add_argument("--version", action="version", version=f"ck-middleware {_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for command in (serving, secret, doctor, explain, sessions):
        command.add_to(commands)
    return parser


def _version() -> str:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version("ck-middleware")
    return "(not installed)"
