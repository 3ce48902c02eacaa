"""This file is the restless app, guarded: `uvicorn support.apps.restless_asgi:app`."""

from ck_middleware import ASGIAuthMiddleware
from support.apps.keeping import SETTINGS, store_timeout
from support.apps.restless import asgi

with store_timeout():
    app = ASGIAuthMiddleware(asgi, **SETTINGS)
