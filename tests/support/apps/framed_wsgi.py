"""This file is those sites on WSGI: `waitress support.apps.framed_wsgi:app`."""

import json
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from ck_middleware import WSGIAuthMiddleware
from support.apps.framed import PROTECT, a_prefix_alone_guards, sites
from support.apps.telling import told
from support.frameworks.wsgi import bottle_app, flask_app, pyramid_app


def tell(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    said = told(environ, environ.items()) | {"path": environ["PATH_INFO"]}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(said).encode()]


def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"here"]


def naive(app: WSGIApplication) -> WSGIApplication:
    def guarded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if a_prefix_alone_guards(environ["PATH_INFO"]):
            start_response("401 Unauthorized", [])
            return [b"log in"]
        return app(environ, start_response)

    return guarded


SITES = sites(
    {"flask": flask_app, "bottle": bottle_app, "pyramid": pyramid_app},
    lambda app: WSGIAuthMiddleware(app, protect=PROTECT),
    naive,
    tell,
    answer,
)


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    answer: Iterable[bytes] = SITES[environ.get("HTTP_APP", "")](environ, start_response)
    return answer
