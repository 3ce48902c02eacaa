"""This file is `ck-middleware doctor`: it reads the settings as the app would, and checks them against the world."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ck_middleware.blocking import BlockingHttp
from ck_middleware.cli import environment, report
from ck_middleware.cli.exits import DONE, FOUND
from ck_middleware.doctor import app, provider, settings, store
from ck_middleware.doctor.finding import Finding, Level, note

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from ck_middleware.cli.exits import Commands


def add_to(commands: Commands) -> None:
    about = "check the settings against the world: provider, credentials, clock, store, and the running app"
    parser = commands.add_parser("doctor", help=about, description=f"Read the app's environment, and {about}.")
    environment.add_to(parser)
    parser.add_argument("--app", metavar="URL", help="the app's public address, if it runs: it is asked there too")
    parser.add_argument("--json", action="store_true", help="for programs: a list of findings")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """0 when nothing has to be mended, 1 when something has."""
    read = environment.load(options)
    findings = (
        [note("environment", f"Read {read} too; the app does so only if something in it loads that file.")]
        if read
        else []
    )
    findings += _examine(options.app)
    (report.as_json if options.json else report.as_text)(findings)
    return FOUND if any(finding.level is Level.PROBLEM for finding in findings) else DONE


def _examine(address: str | None) -> Iterator[Finding]:
    config, found = settings.read(os.environ)
    yield from found
    if config is None:
        return
    yield from provider.examine(config, BlockingHttp(config.timeout), address)
    yield from store.examine(config)
    if address:
        yield from app.examine(config, address)
