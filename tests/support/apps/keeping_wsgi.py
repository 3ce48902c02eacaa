"""This file is an app that uses stored sessions, as PEP 3333 has it: `gunicorn support.apps.keeping_wsgi:app`."""

import json
import os
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl
from wsgiref.types import StartResponse, WSGIEnvironment

from ck_middleware import AuthError, WSGIAuthMiddleware, get_session
from support.apps.keeping import SETTINGS, store_timeout, token_told
from support.apps.telling import told

Answer = tuple[str, dict[str, Any]]


def tell(environ: WSGIEnvironment) -> Answer:
    session = get_session(environ)
    return "200 OK", told(environ, ()) | {"session": session.id if session else None}


def token(environ: WSGIEnvironment) -> Answer:
    session = get_session(environ)
    try:
        return "200 OK", token_told(environ, session.id, session.access_token())
    except AuthError as exc:
        return "503 Service Unavailable", {"trouble": type(exc).__name__}


def end(environ: WSGIEnvironment) -> Answer:
    return "200 OK", {"ended": app.end_sessions(**dict(parse_qsl(environ["QUERY_STRING"])))}


PAGES: dict[str, Callable[[WSGIEnvironment], Answer]] = {"/token": token, "/api/token": token, "/admin/end": end}


def keeping(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    status, said = PAGES.get(environ["PATH_INFO"], tell)(environ)
    start_response(status, [("Content-Type", "application/json")])
    return [json.dumps(said).encode()]


with store_timeout():
    app = WSGIAuthMiddleware(keeping, **SETTINGS)
if os.environ.get("APP_ASKS_BEFORE_FORK"):  # with --preload: whatever this opens, no worker may use
    app.sessions(sub="nobody")
