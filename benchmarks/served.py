"""This file is one of the compared apps, for a real server to run: `LAYER="asgi|Starlette|bare" uvicorn served:app`."""

import os

from families import built

app = built(os.environ["LAYER"])
