"""This file is the site in frameworks for WSGI."""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any
from wsgiref.types import WSGIApplication

import bottle
import falcon
from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from support.frameworks.site import MOUNT, ROUTES, Witness, Wrap


def flask_app(witness: Witness, wrap: Wrap) -> WSGIApplication:
    app = Flask(__name__)
    for route in ROUTES:
        app.add_url_rule(route, endpoint=route, view_func=partial(witness.serve, route))
    wrapped: WSGIApplication = wrap(app.wsgi_app)
    return wrapped


def dispatched_flask_app(witness: Witness, wrap: Wrap) -> WSGIApplication:
    """The guard stands inside the mount."""
    return DispatcherMiddleware(bottle.Bottle(), {MOUNT: flask_app(witness, wrap)})


def bottle_app(witness: Witness, wrap: Wrap) -> WSGIApplication:
    app = bottle.Bottle()
    for route in ROUTES:
        app.route(route, callback=partial(witness.serve, route))
    wrapped: WSGIApplication = wrap(app)
    return wrapped


def pyramid_app(witness: Witness, wrap: Wrap) -> WSGIApplication:
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # it imports `cgi`
        from pyramid.config import Configurator  # noqa: PLC0415
        from pyramid.response import Response  # noqa: PLC0415

    def view(route: str) -> Callable[[Any], Response]:
        return lambda request: Response(witness.serve(route))

    config = Configurator()
    for route in ROUTES:
        config.add_route(route, route)
        config.add_view(view(route), route_name=route)
    wrapped: WSGIApplication = wrap(config.make_wsgi_app())
    return wrapped


class FalconResource:
    def __init__(self, witness: Witness, route: str) -> None:
        self._serve = partial(witness.serve, route)

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        response.text = self._serve()


def falcon_wsgi_app(witness: Witness, wrap: Wrap) -> WSGIApplication:
    app = falcon.App()
    for route in ROUTES:
        app.add_route(route, FalconResource(witness, route))
    wrapped: WSGIApplication = wrap(app)
    return wrapped
