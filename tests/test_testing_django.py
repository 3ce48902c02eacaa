"""Django's test clients go around `wsgi.py`; the test kit puts the guard of the app in front of them, and no more."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import ModuleType
from typing import Any

import pytest
from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.wsgi import WSGIRequest
from django.test.client import AsyncClient, Client

from ck_middleware import ASGIAuthMiddleware, AuthConfig, WSGIAuthMiddleware
from ck_middleware.testing import guard, log_in
from support.clients import SITES, Site, django_project
from support.clock import Clock

CONFIG = AuthConfig(
    client_id="ck_x",
    client_secret="s3cret",
    session_secret="0123456789abcdef" * 2,
    issuer="https://login.example",
    protect=["/dashboard", "/async"],
    authorization_endpoint="https://login.example/auth",  # so that nobody is asked for them
    token_endpoint="https://login.example/token",
    userinfo_endpoint="https://login.example/userinfo",
    jwks_uri="https://login.example/jwks",
)


@pytest.fixture
def project() -> Iterator[ModuleType]:
    with django_project() as project:
        yield project


@pytest.fixture(params=["django", "django_async"])
def site(request: pytest.FixtureRequest, project: ModuleType, runner: asyncio.Runner) -> Iterator[Site]:
    with ExitStack() as stack:
        yield SITES[request.param](CONFIG, runner.run, stack)


@pytest.fixture
def client(site: Site) -> Any:
    return site.new_client()


@pytest.fixture
def ask(site: Site, client: Any, runner: asyncio.Runner) -> Callable[..., Any]:
    """Django's own answer to a request."""

    def ask(target: str, **options: Any) -> Any:
        answer = client.get(target, **options)
        return runner.run(answer) if isinstance(client, AsyncClient) else answer

    return ask


def test_a_client_as_django_makes_it_goes_around_the_guard(ask: Callable[..., Any]) -> None:
    with pytest.raises(Exception, match="did not come through the middleware"):
        ask("/dashboard")


def test_the_guard_can_be_put_there_again_and_again(site: Site, client: Any, ask: Callable[..., Any]) -> None:
    assert guard(client) is guard(client) is site.middleware
    handler = client.handler
    guard(client, app=site.middleware)
    log_in(client)
    assert client.handler is handler
    assert ask("/dashboard").status_code == 200


def test_a_view_that_waits_is_behind_the_guard_too(client: Any, ask: Callable[..., Any]) -> None:
    guard(client)
    assert ask("/async/dashboard").status_code == 303
    log_in(client, name="Ada")
    assert ask("/async/dashboard").json()["name"] == "Ada"


def test_an_answer_of_the_guard_is_one_of_djangos(client: Any, ask: Callable[..., Any]) -> None:
    guard(client)
    answer = ask("/dashboard")
    assert (answer.status_code, answer.reason_phrase) == (303, "See Other")
    assert "Content-Type" not in answer.headers
    assert answer.client is client
    request = answer.asgi_request if isinstance(client, AsyncClient) else answer.wsgi_request
    assert isinstance(request, ASGIRequest | WSGIRequest)
    assert request.path == "/dashboard"
    answer = ask("/auth/me")
    assert answer.json() == {"error": "Not authenticated"}
    assert answer.headers["Content-Type"] == "application/json"


def test_an_exception_of_a_view_is_raised_in_the_test(client: Any, ask: Callable[..., Any]) -> None:
    log_in(client)
    with pytest.raises(ZeroDivisionError):
        ask("/dashboard/broken")
    assert ask("/dashboard").status_code == 200


def test_what_a_handler_has_can_still_be_asked_of_it(client: Any) -> None:
    guard(client)
    assert client.handler.enforce_csrf_checks is False
    with pytest.raises(AttributeError):
        client.handler.nothing_of_this_name  # noqa: B018


def test_a_renewed_cookie_is_kept_and_the_answer_is_private(client: Any, ask: Callable[..., Any], clock: Clock) -> None:
    log_in(client)
    first = client.cookies["ck_session"].value
    assert ask("/dashboard").headers["Cache-Control"] == "max-age=60"
    assert client.cookies["ck_session"].value == first
    clock.move(3600)
    answer = ask("/dashboard")
    assert answer.headers["Cache-Control"] == "private, max-age=60"
    assert answer.headers["Vary"] == "Cookie"
    assert client.cookies["ck_session"].value == answer.cookies["ck_session"].value != first


def test_a_query_reaches_the_guard_and_the_app(client: Any, ask: Callable[..., Any]) -> None:
    guard(client)
    assert ask("/dashboard?x=1").headers["Location"] == "/auth/login?next=%2Fdashboard%3Fx%3D1"
    log_in(client)
    assert ask("/dashboard", query_params={"x": "1"}).status_code == 200


def test_the_form_of_the_logout_page_is_read(site: Site, client: Any, runner: asyncio.Runner) -> None:
    """Where the browser says nothing of where a form comes from, the token in it counts."""
    log_in(client)
    token = site.get(client, "/auth/logout").body.decode().partition('name="token" value="')[2].partition('"')[0]
    for form, status in (("token=forged", 200), (f"token={token}", 303)):
        answer = client.post("/auth/logout", form, content_type="application/x-www-form-urlencoded")
        answer = runner.run(answer) if isinstance(client, AsyncClient) else answer
        assert answer.status_code == status
        assert (site.get(client, "/dashboard").status == 200) is (status == 200)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_the_app_can_be_named(kind: type, project: ModuleType, runner: asyncio.Runner) -> None:
    settings.WSGI_APPLICATION = settings.ASGI_APPLICATION = None
    client = kind()
    with pytest.raises(LookupError, match="of the settings leads to no"):
        log_in(client)
    app = ASGIAuthMiddleware(_asgi, CONFIG) if kind is AsyncClient else WSGIAuthMiddleware(_wsgi, CONFIG)
    other = ASGIAuthMiddleware(_asgi, CONFIG) if kind is AsyncClient else WSGIAuthMiddleware(_wsgi, CONFIG)
    assert guard(client, app=app) is app
    assert guard(client, app=other) is guard(client) is other
    log_in(client, sub="ada")
    answer = client.get("/dashboard")
    assert (runner.run(answer) if kind is AsyncClient else answer).json()["sub"] == "ada"


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (Client, "app= leads to no WSGIAuthMiddleware, which a Client of Django needs"),
        (AsyncClient, "app= leads to no ASGIAuthMiddleware, which a AsyncClient of Django needs"),
    ],
)
def test_an_app_of_the_other_face_is_a_sentence(kind: type, sentence: str, project: ModuleType) -> None:
    app = WSGIAuthMiddleware(_wsgi, CONFIG) if kind is AsyncClient else ASGIAuthMiddleware(_asgi, CONFIG)
    with pytest.raises(LookupError, match=sentence):
        guard(kind(), app=app)


def _wsgi(environ: object, start_response: object) -> list[bytes]:
    raise AssertionError("Django's own handler stands in its place")


async def _asgi(scope: object, receive: object, send: object) -> None:
    raise AssertionError("Django's own handler stands in its place")
