"""This file is the command `ck-middleware`: the demo, and the development provider for an app of one's own."""

import argparse
import contextlib
import errno
import importlib.metadata
import logging
import os
import secrets
import socket
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from starlette.types import ASGIApp

from ck_middleware.addresses import LAST_PORT, is_loopback, split
from ck_middleware.config import AuthConfig
from ck_middleware.dev.clients import CALLBACK, Client
from ck_middleware.dev.demo import asks_consentkeys, demo, keeps_sessions, origin
from ck_middleware.dev.provider import DevProvider
from ck_middleware.errors import ConfigError, Fault, StoreUnavailable
from ck_middleware.wsgi import WSGIAuthMiddleware

HERE: Final = "127.0.0.1"
APP_PORTS: Final = (5000, 8000, 8080)  # where Flask, Django, uvicorn and their like listen unless told otherwise
REDIRECT_URIS: Final = tuple(f"http://{host}:{port}{CALLBACK}" for port in APP_PORTS for host in ("localhost", HERE))
NOT_STARTED: Final = 2  # exit code, as argparse's own


class NotStarted(Exception):
    """Why nothing was started, in one sentence."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command to its end, and give its exit code."""
    options = _parser().parse_args(argv)
    commands = {"demo": _demo, "provider": _provider, "sessions": _sessions}
    try:
        commands[options.command](options)
    except (NotStarted, ConfigError, StoreUnavailable) as why:
        sys.stderr.write(f"{why}\n")
        return NOT_STARTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("ck-middleware", description="Try ck-middleware on this machine.")
    parser.add_argument("--version", action="version", version=f"ck-middleware {_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")

    about = "a small site to sign in to, with a provider of its own, or with ConsentKeys when its credentials are set"
    site = commands.add_parser("demo", help=about, description=f"Run {about}.")
    site.add_argument("--port", type=_port, default=8000, help="default: 8000")
    site.add_argument("--host", default=HERE, help=f"the address to listen at; default: {HERE}")

    about = "a development provider to sign in at, for an app of your own"
    provider = commands.add_parser("provider", help=about, description=f"Run {about}.")
    provider.add_argument("--port", type=_port, default=9000, help="default: 9000")
    provider.add_argument(
        "--redirect-uri",
        type=_redirect_uri,
        action="append",
        metavar="URI",
        help=f"where your app is called back, exactly; may be repeated. Default: {CALLBACK} at localhost and {HERE}, "
        f"ports {', '.join(map(str, APP_PORTS))}",
    )
    _add_sessions(commands)
    return parser


def _add_sessions(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    about = "the sessions in the app's store: configured by the same environment variables as the app"
    sessions = commands.add_parser("sessions", help=about, description=f"See and end {about}.")
    acts = sessions.add_subparsers(dest="act", required=True, metavar="act")
    listing = acts.add_parser("list", help="the sessions of a person")
    listing.add_argument("--sub", required=True, help="the person, by the sub that the app knows")
    ending = acts.add_parser("end", help="end sessions, on every machine at once")
    whose = ending.add_mutually_exclusive_group(required=True)
    whose.add_argument("--sub", help="all sessions of a person")
    whose.add_argument("--sid", help="those that began in one session at the provider")


def _sessions(options: argparse.Namespace) -> None:
    store = AuthConfig.from_env().store
    if (
        isinstance(store, str)
        and store.startswith("sqlite:///")
        and not Path(store.removeprefix("sqlite:///")).exists()
    ):
        raise NotStarted("The store (CONSENTKEYS_STORE) names a file that is not there; a relative one begins here.")
    # The middleware as the app has it, around no app at all.
    guarded = WSGIAuthMiddleware(lambda _environ, _start_response: [])
    if options.act == "end":
        number = guarded.end_sessions(sub=options.sub, sid=options.sid)
        sys.stdout.write(f"{number} {'session' if number == 1 else 'sessions'} ended\n")
        return
    found = guarded.sessions(sub=options.sub)
    if not found:
        sys.stderr.write("No sessions of this person, as this client, issuer and SESSION_SECRET see the store.\n")
    for session in sorted(found, key=lambda session: session.began):
        times = (_readable(session.began), _readable(session.expires_at))
        sys.stdout.write(f"{session.id}  began {times[0]}  ends {times[1]}\n")


def _readable(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _demo(options: argparse.Namespace) -> None:
    is_real = asks_consentkeys(os.environ)
    if not is_real and not is_loopback(options.host):
        raise NotStarted(f"The demo runs a development provider, which is for this machine alone, not {options.host}.")
    words = [f"The demo is at {origin(options.port)} (stop it with Ctrl+C)."]
    words += [] if is_real else ["It brings its own provider: choose anybody, no password is asked."]
    words += [] if keeps_sessions(os.environ) else ["Its session secret is random, so that sessions end with this run."]
    _serve(demo(options.port), options.host, options.port, words)


def _provider(options: argparse.Namespace) -> None:
    issuer = origin(options.port)
    client = Client.fresh(tuple(options.redirect_uri or REDIRECT_URIS))
    words = [
        f"The development provider of ck-middleware is at {issuer} (stop it with Ctrl+C).",
        "Nobody in it is real; client id and secret hold for this run alone.",
        "",
        f"issuer         {issuer}",
        f"client id      {client.client_id}",
        f"client secret  {client.client_secret}",
        *(f"redirect URI   {uri}" for uri in client.redirect_uris),
        "",
        "For an app in another terminal:",
        "",
        f"export CONSENTKEYS_ISSUER={issuer}",
        f"export CONSENTKEYS_CLIENT_ID={client.client_id}",
        f"export CONSENTKEYS_CLIENT_SECRET={client.client_secret}",
        f"export SESSION_SECRET={secrets.token_hex(32)}",
        "",
    ]
    _serve(DevProvider(issuer, clients=[client]), HERE, options.port, words)


def _serve(app: ASGIApp, host: str, port: int, words: Sequence[str]) -> None:
    """Serve until Ctrl+C. The words are said when the port is ours.

    Raises `NotStarted`.
    """
    try:
        import uvicorn  # noqa: PLC0415  # comes with an extra that the middleware itself does without
    except ImportError as exc:
        raise NotStarted("This needs a server; install it with: pip install 'ck-middleware[demo]'") from exc
    with _listening(host, port) as listening:
        sys.stdout.write("\n".join([*words, ""]))
        sys.stdout.flush()
        logging.basicConfig(format="%(levelname)s %(message)s")
        logging.getLogger("ck_middleware").setLevel(logging.INFO)
        # No access log: it would hold codes. No colours of its own: one look for what is logged.
        config = uvicorn.Config(app, log_config=None, access_log=False, ws="none")
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listening])


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as exc:
        why = "is taken" if exc.errno == errno.EADDRINUSE else f"at {host} cannot be used ({exc.strerror})"
        raise NotStarted(f"Port {port} {why}; choose another one with --port.") from exc


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= LAST_PORT):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; give a number from 1 to {LAST_PORT}")
    return int(text)


def _redirect_uri(text: str) -> str:
    try:
        split(text)
    except Fault as fault:
        raise argparse.ArgumentTypeError(f"{text!r} {fault}") from fault
    return text


def _version() -> str:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version("ck-middleware")
    return "(not installed)"
