"""Flask-Login is told by the middleware who is there, and by nothing else."""

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_login import current_user, encode_cookie, login_required

from ck_middleware import WSGIAuthMiddleware
from ck_middleware.contrib.flask_login import LoginManager
from ck_middleware.testing import log_in

SETTINGS: dict[str, Any] = {
    "client_id": "ck_x",
    "client_secret": "s3cret",
    "session_secret": "0123456789abcdef" * 2,
    "protect": ["/protected"],
}


def app_with(**settings: Any) -> Flask:
    app = Flask(__name__)
    LoginManager(app, auth_prefix=settings.get("auth_prefix", "/auth"))
    app.wsgi_app = WSGIAuthMiddleware(app.wsgi_app, **settings)  # type: ignore[method-assign]

    @app.get("/who")
    def who() -> dict[str, Any]:
        somebody = current_user.is_authenticated
        return {
            "authenticated": somebody,
            "anonymous": current_user.is_anonymous,
            "active": current_user.is_active,
            "id": current_user.get_id(),
            "name": current_user.name if somebody else None,
        }

    @app.route("/members", methods=["GET", "POST"])
    @app.get("/members/<path:page>")
    @app.get("/protected/members")
    @login_required  # type: ignore[untyped-decorator]  # Flask-Login has no types
    def members(page: str = "") -> str:
        return str(current_user.sub)

    return app


@pytest.fixture
def client() -> FlaskClient:
    return app_with(**SETTINGS).test_client()


def test_the_current_user_is_who_has_logged_in(client: FlaskClient) -> None:
    log_in(client, sub="otter", name="Quiet Otter")
    found = client.get("/who").json
    assert found == {"authenticated": True, "anonymous": False, "active": True, "id": "otter", "name": "Quiet Otter"}


def test_a_stranger_is_flask_logins_anonymous_user(client: FlaskClient) -> None:
    found = client.get("/who").json
    assert found == {"authenticated": False, "anonymous": True, "active": False, "id": None, "name": None}


@pytest.mark.parametrize("path", ["/members", "/protected/members"])
def test_a_view_for_members_lets_in_who_has_logged_in(client: FlaskClient, path: str) -> None:
    log_in(client, sub="otter")
    assert client.get(path).text == "otter"


@pytest.mark.parametrize(
    ("target", "mount", "login"),
    [
        ("/members", "", "/auth/login?next=%2Fmembers"),
        ("/members?page=2&of=3", "", "/auth/login?next=%2Fmembers%3Fpage%3D2%26of%3D3"),
        ("/members", "/app", "/app/auth/login?next=%2Fapp%2Fmembers"),
        (
            "/members/caf%C3%A9%20au%20lait?size=%C3%A9",
            "",
            "/auth/login?next=%2Fmembers%2Fcaf%25C3%25A9%2520au%2520lait%3Fsize%3D%25C3%25A9",
        ),
    ],
)
def test_a_view_for_members_sends_strangers_to_the_login_as_the_middleware_does(
    client: FlaskClient, target: str, mount: str, login: str
) -> None:
    answers = [client.get(path + target, environ_overrides={"SCRIPT_NAME": mount}) for path in ("", "/protected")]
    assert [answer.status_code for answer in answers] == [303, 303]
    assert [answer.headers["Location"].replace("%2Fprotected", "") for answer in answers] == [login, login]


def test_what_was_posted_is_not_asked_for_again_after_the_login(client: FlaskClient) -> None:
    assert client.post("/members").headers["Location"] == "/auth/login"


def test_the_login_may_be_elsewhere() -> None:
    client = app_with(**SETTINGS, auth_prefix="/account").test_client()
    assert client.get("/members").headers["Location"] == "/account/login?next=%2Fmembers"


def test_no_session_and_no_cookie_of_flask_login_is_believed(client: FlaskClient) -> None:
    client.application.secret_key = "of Flask's own sessions"
    with client.application.app_context():
        client.set_cookie("remember_token", encode_cookie("badger"))
    with client.session_transaction() as session:
        session["_user_id"] = "badger"
    assert client.get("/who").json["authenticated"] is False  # type: ignore[index]
    log_in(client, sub="otter")
    assert client.get("/who").json["id"] == "otter"  # type: ignore[index]
