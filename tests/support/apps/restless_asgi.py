"""This file is the restless app, guarded: `uvicorn support.apps.restless_asgi:app`."""

from ck_middleware import ASGIAuthMiddleware
from support.apps.keeping import SETTINGS
from support.apps.restless import asgi

app = ASGIAuthMiddleware(asgi, **SETTINGS)
