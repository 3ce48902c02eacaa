"""In Django `request.user` is the person whom the middleware knows: as they are, or as a row of Django's table."""

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test.client import AsyncClient
from django.urls import path

from ck_middleware import AuthConfig
from ck_middleware.testing import guard, log_in
from support.clients import SITES, django_project
from support.examples import Browser, environment, served
from support.ports import Port
from support.provider import Hub

CONFIG = AuthConfig(
    client_id="ck_x", client_secret="s3cret", session_secret="0123456789abcdef" * 2, protect=["/protected"]
)


def who(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"authenticated": request.user.is_authenticated, "name": request.user.name})


async def who_async(request: HttpRequest) -> HttpResponse:
    user = await request.auser()
    return JsonResponse({"authenticated": user.is_authenticated, "name": user.name})


@login_required(login_url="/auth/login")  # type: ignore[untyped-decorator]  # Django has no types
def members(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.user.sub)


def as_djangos(request: HttpRequest) -> HttpResponse:
    """What code asks for that was written for Django's users."""
    user = request.user
    words = {"username": user.get_username(), "written": f"{user}", "full": user.get_full_name()}
    flags = [user.is_anonymous, user.is_active, user.is_staff, user.is_superuser]
    may = [user.has_perm("shop.buy"), user.has_perms(["shop.buy"]), user.has_perms([]), user.has_module_perms("shop")]
    return JsonResponse(words | {"pk": user.pk, "id": user.id, "flags": flags, "may": may})


@permission_required("shop.buy", raise_exception=True)  # type: ignore[untyped-decorator]
def buy(request: HttpRequest) -> HttpResponse:
    raise AssertionError("nobody has this permission")


@permission_required("shop.buy", raise_exception=True)  # type: ignore[untyped-decorator]
async def buy_async(request: HttpRequest) -> HttpResponse:
    raise AssertionError("nobody has this permission")


class Urls:
    urlpatterns = (
        path("who", who),
        path("async/who", who_async),
        path("as-djangos", as_djangos),
        path("buy", buy),
        path("async/buy", buy_async),
        path("protected/members", members),
    )


@pytest.fixture(params=["django", "django_async"])
def client(request: pytest.FixtureRequest, runner: asyncio.Runner) -> Iterator[Any]:
    with django_project(), ExitStack() as stack:
        settings.MIDDLEWARE, settings.ROOT_URLCONF = ["ck_middleware.contrib.django.UserMiddleware"], Urls
        client = SITES[request.param](CONFIG, runner.run, stack).new_client()
        guard(client)
        yield client


@pytest.fixture
def get(client: Any, runner: asyncio.Runner) -> Callable[[str], Any]:
    return lambda target: runner.run(client.get(target)) if isinstance(client, AsyncClient) else client.get(target)


def test_without_a_database_the_user_of_the_request_is_ours(client: Any, get: Callable[[str], Any]) -> None:
    strangers = [get(target).json() for target in ("/who", "/async/who")]
    assert strangers == [{"authenticated": False, "name": ""}] * 2
    log_in(client, name="Quiet Otter")
    people = [get(target).json() for target in ("/who", "/async/who")]
    assert people == [{"authenticated": True, "name": "Quiet Otter"}] * 2


def test_djangos_own_decorator_knows_it(client: Any, get: Callable[[str], Any]) -> None:
    assert get("/protected/members").status_code == 303
    log_in(client, sub="otter")
    assert get("/protected/members").content == b"otter"


def test_code_for_djangos_users_finds_what_it_asks_for(client: Any, get: Callable[[str], Any]) -> None:
    nobody = {"username": "", "written": "", "full": "", "pk": None, "id": None}
    assert get("/as-djangos").json() == nobody | {"flags": [True, False, False, False], "may": [False] * 4}
    log_in(client, sub="otter", name="Quiet Otter")
    somebody = {"username": "otter", "written": "otter", "full": "Quiet Otter", "pk": "otter", "id": "otter"}
    assert get("/as-djangos").json() == somebody | {"flags": [False, True, False, False], "may": [False] * 4}


@pytest.mark.parametrize("target", ["/buy", "/async/buy"])
def test_nobody_has_a_permission_without_a_table_of_users(client: Any, get: Callable[[str], Any], target: str) -> None:
    log_in(client)
    assert get(target).status_code == 403


OURS, DJANGOS = (
    "ck_middleware.contrib.django_auth.RemoteUserMiddleware",
    "django.contrib.auth.middleware.RemoteUserMiddleware",
)
OWN = "django_own.OwnRemoteUserMiddleware"
FACES = {
    "wsgi": "gunicorn --bind localhost:{} django_people:wsgi",
    "asgi": "uvicorn --host localhost --port {} django_people:asgi",
}


@pytest.fixture(
    scope="module",
    params=[("wsgi", OURS), ("asgi", OURS), ("wsgi", DJANGOS), ("asgi", OWN)],
    ids=["wsgi", "asgi", "django's", "own"],
)
def origin(request: pytest.FixtureRequest, hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    face, middleware = request.param
    home = tmp_path_factory.mktemp("home")
    with hub.provider() as provider, Port() as port:
        provider.register(f"http://localhost:{port.number}/auth/callback")
        apps = str(Path(__file__).parent / "support" / "apps")
        environ = environment(provider) | {"PYTHONPATH": apps, "REMOTE_USER_MIDDLEWARE": middleware}
        words = FACES[face].format(port.number).split()
        with served(words, port=port.number, home=home, place=home, **environ) as origin:
            yield origin


@pytest.fixture
def browser(origin: str) -> Iterator[Browser]:
    with Browser(origin) as browser:
        yield browser


NOBODY = {"id": None, "sub": "", "authenticated": False}


def test_with_a_database_the_user_is_the_row_of_who_has_logged_in(browser: Browser) -> None:
    browser.log_in("/who")
    sub = browser.ask("/auth/me").json()["user"]["sub"]
    first = browser.ask("/who").json()
    assert (first["sub"], first["authenticated"]) == (sub, True)
    assert [browser.ask(target).json() for target in ("/async/who", "/open/who")] == [first, first]


def test_another_person_is_another_row_and_the_same_person_the_same(origin: str) -> None:
    rows = []
    for person in ("zoe", "otter", "zoe"):
        with Browser(origin) as browser:
            browser.log_in("/who", person)
            rows.append(browser.ask("/who").json()["id"])
    assert rows[0] == rows[2] != rows[1]


def test_who_has_signed_out_is_nobody_though_django_has_a_session_of_theirs(browser: Browser) -> None:
    browser.log_in("/who")
    browser.submit("/auth/logout")
    assert "sessionid" in browser.cookies
    assert browser.ask("/open/who").json() == NOBODY


def test_djangos_own_log_out_signs_nobody_out_and_the_way_to_ours_does(browser: Browser) -> None:
    browser.log_in("/who")
    first = browser.ask("/who").json()
    assert browser.submit("/log-out").json() == first
    page = browser.submit("/admin/logout/")
    token = re.search(r'name="token" value="([^"]+)"', page.text)
    assert token, page.text
    browser.submit(page.url, token=token[1])
    assert browser.ask("/open/who").json() == NOBODY


def test_who_logs_in_as_somebody_else_is_somebody_else_at_once(browser: Browser) -> None:
    browser.log_in("/who")
    first = browser.ask("/who").json()
    browser.submit("/auth/logout")
    browser.log_in("/who", "otter")
    assert browser.ask("/who").json()["id"] != first["id"]


@pytest.mark.parametrize(
    "name", ["Remote-User", "Remote_User", "REMOTE-USER", "Auth-Type", "X-Own-User", "Http-X-Own-User"]
)
def test_no_header_makes_anybody_of_a_stranger_or_another_of_a_person(browser: Browser, name: str) -> None:
    assert browser.ask("/open/who", **{name: "otter"}).json() == NOBODY
    browser.log_in("/who")
    first = browser.ask("/who").json()
    assert browser.ask("/who", **{name: "otter"}).json() == first
