"""This file is the same app in Flask: `gunicorn support.apps.flasked:app`."""

from flask import Flask, request
from flask.typing import ResponseReturnValue

from ck_middleware import WSGIAuthMiddleware
from support.apps.telling import TIMEOUT, record, told

app = Flask(__name__)
app.wsgi_app = WSGIAuthMiddleware(app.wsgi_app, timeout=TIMEOUT)  # type: ignore[method-assign]  # where Flask wants it


@app.get("/")
@app.get("/<path:path>")
def tell(path: str = "") -> ResponseReturnValue:
    record(path=f"/{path}")
    return told(request, request.environ.items()) | {"remote_user": request.remote_user}
