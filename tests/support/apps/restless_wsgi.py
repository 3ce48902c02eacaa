"""This file is the restless app, guarded: `gunicorn support.apps.restless_wsgi:app`."""

from ck_middleware import WSGIAuthMiddleware
from support.apps.keeping import SETTINGS, store_timeout
from support.apps.restless import wsgi

with store_timeout():
    app = WSGIAuthMiddleware(wsgi, **SETTINGS)
