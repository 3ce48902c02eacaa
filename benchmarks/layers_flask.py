"""This file is Flask's session with the decorator of the provider's own guide, and ours in front of Flask."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from driving import PAGE
from flask import Flask, jsonify, redirect, request, session
from layers import ALIVE, BODY, SECRET, Family, Layer, Session, our_cookie, ours_wsgi

from ck_middleware import get_user

if TYPE_CHECKING:
    from collections.abc import Callable
    from wsgiref.types import WSGIApplication

    from flask.typing import ResponseReturnValue


def flask_app(decorated: Callable[[Callable[[], ResponseReturnValue]], Any] = lambda view: view) -> Flask:
    app = Flask("compared")

    def view() -> ResponseReturnValue:
        return BODY, {"content-type": "application/json"}

    app.add_url_rule(ALIVE, "alive", view)
    app.add_url_rule(PAGE, "page", decorated(view))
    app.add_url_rule("/login", "login", view)
    return app


def login_required(view: Callable[[], ResponseReturnValue]) -> Callable[[], ResponseReturnValue]:
    @wraps(view)
    def decorated() -> ResponseReturnValue:
        if "user" not in session:
            if request.path.startswith("/api/"):
                return jsonify({"error": "Authentication required"}), 401
            return redirect("/login")
        assert session["user"]["name"]  # noqa: S101  # an app reads it
        return view()

    return decorated


def with_guide() -> Flask:
    app = flask_app(login_required)
    app.secret_key = SECRET  # without which Flask opens no session, and the bare app has none to open
    return app


def flask_cookie(of: Session) -> str:
    app = with_guide()
    signer = app.session_interface.get_signing_serializer(app)  # type: ignore[attr-defined]  # of the default one
    return f"session={signer.dumps(dict(of))}"


def ours_on_flask() -> WSGIApplication:
    app = flask_app(_reading_ours)
    app.wsgi_app = ours_wsgi(app.wsgi_app)  # type: ignore[method-assign]  # as Flask says
    return app


def _reading_ours(view: Callable[[], ResponseReturnValue]) -> Callable[[], ResponseReturnValue]:
    return lambda: view() if get_user(request).name else ("", 500)


FLASK: Final = Family(
    "wsgi",
    "Flask",
    flask_app,
    (
        Layer("ck-middleware, name read", ours_on_flask, our_cookie),
        Layer("session, the guide's decorator", with_guide, flask_cookie, keeps_tokens=True),
    ),
)
