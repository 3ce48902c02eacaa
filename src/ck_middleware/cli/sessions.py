"""This file is `ck-middleware sessions`: what an administrator sees and ends of the sessions in the app's store."""

from __future__ import annotations

import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ck_middleware.cli import environment
from ck_middleware.cli.exits import DONE, NotStarted
from ck_middleware.config import AuthConfig
from ck_middleware.stores.urls import is_sqlite, sqlite_path
from ck_middleware.wsgi import WSGIAuthMiddleware

if TYPE_CHECKING:
    import argparse

    from ck_middleware.cli.exits import Commands


def add_to(commands: Commands) -> None:
    about = "the sessions in the app's store: configured by the same environment variables as the app"
    parser = commands.add_parser("sessions", help=about, description=f"See and end {about}.")
    environment.add_to(parser)
    parser.set_defaults(run=run)
    acts = parser.add_subparsers(dest="act", required=True, metavar="act")
    listing = acts.add_parser("list", help="the sessions of a person")
    listing.add_argument("--sub", required=True, help="the person, by the sub that the app knows")
    ending = acts.add_parser("end", help="end sessions, on every machine at once")
    whose = ending.add_mutually_exclusive_group(required=True)
    whose.add_argument("--sub", help="all sessions of a person")
    whose.add_argument("--sid", help="those that began in one session at the provider")


def run(options: argparse.Namespace) -> int:
    environment.load(options)
    store = AuthConfig.from_env().store
    if isinstance(store, str) and is_sqlite(store) and not Path(sqlite_path(store)).exists():
        raise NotStarted("The store (CONSENTKEYS_STORE) names a file that is not there; a relative one begins here.")
    # The middleware as the app has it, around no app at all.
    with closing(WSGIAuthMiddleware(lambda _environ, _start_response: [])) as guarded:
        return _act(guarded, options)


def _act(guarded: WSGIAuthMiddleware, options: argparse.Namespace) -> int:
    if options.act == "end":
        number = guarded.end_sessions(sub=options.sub, sid=options.sid)
        sys.stdout.write(f"{number} {'session' if number == 1 else 'sessions'} ended\n")
        return DONE
    found = guarded.sessions(sub=options.sub)
    if not found:
        sys.stderr.write("No sessions of this person, as this client, issuer and SESSION_SECRET see the store.\n")
    for session in sorted(found, key=lambda session: session.began):
        times = (_readable(session.began), _readable(session.expires_at))
        sys.stdout.write(f"{session.id}  began {times[0]}  ends {times[1]}\n")
    return DONE


def _readable(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
