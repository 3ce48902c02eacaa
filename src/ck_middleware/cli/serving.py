"""This file is `ck-middleware demo` and `ck-middleware provider`: a site to try, and a provider for one's own app."""

from __future__ import annotations

import argparse
import contextlib
import errno
import logging
import os
import secrets
import socket
import sys
from typing import TYPE_CHECKING, Final

from ck_middleware.addresses import LAST_PORT, is_loopback, split
from ck_middleware.cli.exits import DONE, NotStarted
from ck_middleware.dev.clients import CALLBACK, Client
from ck_middleware.dev.demo import asks_consentkeys, demo, keeps_sessions, origin
from ck_middleware.dev.provider import DevProvider
from ck_middleware.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import ASGIApp

    from ck_middleware.cli.exits import Commands

HERE: Final = "127.0.0.1"
APP_PORTS: Final = (5000, 8000, 8080)  # where Flask, Django, uvicorn and their like listen unless told otherwise
REDIRECT_URIS: Final = tuple(f"http://{host}:{port}{CALLBACK}" for port in APP_PORTS for host in ("localhost", HERE))


def add_to(commands: Commands) -> None:
    about = "a small site to sign in to, with a provider of its own, or with ConsentKeys when its credentials are set"
    site = commands.add_parser("demo", help=about, description=f"Run {about}.")
    site.add_argument("--port", type=_port, default=8000, help="default: 8000")
    site.add_argument("--host", default=HERE, help=f"the address to listen at; default: {HERE}")
    site.set_defaults(run=_demo)

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
    provider.add_argument("--client-id", metavar="ID", help="the same at every start; default: a new one")
    provider.add_argument("--client-secret", metavar="SECRET", help="the same at every start; default: a new one")
    provider.set_defaults(run=_provider)


def _demo(options: argparse.Namespace) -> int:
    is_real = asks_consentkeys(os.environ)
    if not is_real and not is_loopback(options.host):
        raise NotStarted(f"The demo runs a development provider, which is for this machine alone, not {options.host}.")
    words = [f"The demo is at {origin(options.port)} (stop it with Ctrl+C)."]
    words += [] if is_real else ["It brings its own provider: choose anybody, no password is asked."]
    words += [] if keeps_sessions(os.environ) else ["Its session secret is random, so that sessions end with this run."]
    return _serve(demo(options.port), options.host, options.port, words)


def _provider(options: argparse.Namespace) -> int:
    issuer = origin(options.port)
    client = Client.fresh(tuple(options.redirect_uri or REDIRECT_URIS), options.client_id, options.client_secret)
    words = [
        f"The development provider of ck-middleware is at {issuer} (stop it with Ctrl+C).",
        "Nobody in it is real; a client id and secret that were not given hold for this run alone.",
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
    return _serve(DevProvider(issuer, clients=[client]), HERE, options.port, words)


def _serve(app: ASGIApp, host: str, port: int, words: Sequence[str]) -> int:
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
    return DONE


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
