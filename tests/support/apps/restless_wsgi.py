"""This file is the restless app, guarded: `gunicorn support.apps.restless_wsgi:app`."""

from ck_middleware import WSGIAuthMiddleware
from support.apps.keeping import SETTINGS
from support.apps.restless import wsgi

app = WSGIAuthMiddleware(wsgi, **SETTINGS)
