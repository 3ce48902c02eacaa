"""The test kit logs people in with real sessions, in each framework's own test client, and takes them out again."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Unpack

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.testclient import TestClient

from ck_middleware import ASGIAuthMiddleware, AuthConfig, ConfigError, WSGIAuthMiddleware
from ck_middleware.config import Settings
from ck_middleware.errors import SessionTooLarge
from ck_middleware.stores.memory import AsyncMemoryStore, MemoryStore
from ck_middleware.testing import Person, guard, log_in
from ck_middleware.testing.server import Server
from support.clients import BLOCKING, SITES, Site, django_project
from support.clock import Clock

SECRET, OTHER_SECRET = "0123456789abcdef" * 2, "fedcba9876543210" * 2
ISSUER = "https://login.example"
STORES = ("memory", "sqlite", "redis")
LOGIN = "/auth/login?next=%2Fdashboard"

ENDPOINTS: Settings = {  # so that nobody is asked for them
    "authorization_endpoint": f"{ISSUER}/auth",
    "token_endpoint": f"{ISSUER}/token",
    "userinfo_endpoint": f"{ISSUER}/userinfo",
    "jwks_uri": f"{ISSUER}/jwks",
    "end_session_endpoint": f"{ISSUER}/logout",
}

Make = Callable[..., Site]


def _config(**settings: Unpack[Settings]) -> AuthConfig:
    usual: Settings = {"client_id": "ck_x", "client_secret": "s3cret", "session_secret": SECRET, "issuer": ISSUER}
    return AuthConfig(**(usual | Settings(protect=["/dashboard", "/api"]) | settings))


@pytest.fixture
def face_name(site_name: str) -> str:
    return "wsgi" if site_name in BLOCKING else "asgi"


@pytest.fixture
def site_name() -> str:
    return "flask"


@pytest.fixture
def make(site_name: str, sessions: Settings, runner: asyncio.Runner) -> Iterator[Make]:
    """Guarded apps of one framework, with one kind of session."""
    with ExitStack() as stack:
        if site_name.startswith("django"):
            stack.enter_context(django_project())

        def make(**settings: Unpack[Settings]) -> Site:
            return SITES[site_name](_config(**(sessions | settings)), runner.run, stack)

        yield make


@pytest.fixture
def site(make: Make) -> Site:
    return make()


def _is_in(site: Site, client: Any) -> bool:
    answer = site.get(client, "/dashboard")
    assert answer.status in {200, 303}
    assert answer.status == 200 or answer.headers["location"] == LOGIN
    return answer.status == 200


def _cookie(client: Any) -> str:
    """The session cookie that a client of httpx or Starlette carries."""
    (value,) = [cookie.value for cookie in client.cookies.jar if cookie.name.endswith("ck_session")]
    return str(value)


# In every framework's client

every_site = pytest.mark.parametrize("site_name", SITES)
both_faces = pytest.mark.parametrize("site_name", ["flask", "starlette"])


@every_site
def test_one_line_lets_a_person_in(site: Site) -> None:
    client = site.new_client()
    guard(client)
    assert not _is_in(site, client)
    person = log_in(client, name="Ada", groups=["staff"])
    told = site.get(client, "/dashboard").json
    assert told.pop("is_authenticated")
    assert told == person.claims
    assert told == {
        "iss": ISSUER,
        "sub": "test-person",
        "name": "Ada",
        "email": "test.person@example.test",
        "groups": ["staff"],
    }
    assert site.get(client, "/").json["sub"] == "test-person"


@every_site
def test_the_api_and_the_addresses_of_the_middleware_answer_as_ever(site: Site) -> None:
    client = site.new_client()
    guard(client)
    assert site.get(client, "/api/x").status == 401
    assert site.get(client, "/api/x").json["login_url"] == "/auth/login?next=%2Fapi%2Fx"
    assert site.get(client, "/auth/me").status == 401
    assert site.get(client, "/dashboard//x").status == 400
    log_in(client, sub="ada")
    assert site.get(client, "/api/x").json["sub"] == "ada"
    assert site.get(client, "/auth/me").json["user"]["sub"] == "ada"
    assert site.get(client, "/dashboard//x").status == 400
    assert site.get(client, "/auth/nothing").status == 404


@every_site
def test_people_in_several_clients_are_several_people(site: Site) -> None:
    clients = [site.new_client() for _ in range(3)]
    people = [log_in(client, sub=f"person-{number}") for number, client in enumerate(clients)]
    assert [site.get(client, "/dashboard").json["sub"] for client in clients] == ["person-0", "person-1", "person-2"]
    people[1].log_out()
    assert [_is_in(site, client) for client in clients] == [True, False, True]


@every_site
def test_who_logs_in_second_takes_the_place_of_the_first(site: Site) -> None:
    client = site.new_client()
    ada = log_in(client, sub="ada")
    grace = log_in(client, sub="grace")
    assert site.get(client, "/dashboard").json["sub"] == "grace"
    for act in (ada.log_out, ada.expire):
        with pytest.raises(RuntimeError, match="somebody else has logged in with this client since ada did"):
            act()
    grace.log_out()
    assert not _is_in(site, client)


@every_site
def test_a_session_that_is_over_lets_nobody_in(site: Site) -> None:
    client = site.new_client()
    log_in(client).expire()
    assert not _is_in(site, client)
    log_in(client)
    assert _is_in(site, client)


@every_site
def test_the_logout_of_the_app_takes_them_out_too(make: Make) -> None:
    site = make(base_url="http://localhost", **ENDPOINTS)
    client = site.new_client()
    log_in(client)
    answer = site.post(client, "/auth/logout")
    assert answer.status == 303
    assert answer.headers["location"].startswith(f"{ISSUER}/logout")
    assert not _is_in(site, client)


@every_site
def test_a_session_in_use_is_renewed(site: Site, clock: Clock) -> None:
    client = site.new_client()
    log_in(client)
    for _ in range(4):
        clock.move(3600)  # of an idle timeout of two hours
        assert _is_in(site, client)
    clock.move(7200)
    assert not _is_in(site, client)


# With every kind of session


@both_faces
@pytest.mark.parametrize("kind", STORES)
def test_in_a_store_a_person_can_be_taken_out_in_every_way(site: Site) -> None:
    first, second, other = (site.new_client() for _ in range(3))
    ada, also_ada, grace = log_in(first, sub="ada"), log_in(second, sub="ada"), log_in(other, sub="grace")
    assert [_is_in(site, client) for client in (first, second, other)] == [True, True, True]
    also_ada.log_out()
    assert [_is_in(site, client) for client in (first, second, other)] == [True, False, True]
    also_ada = log_in(second, sub="ada")
    also_ada.expire()
    assert [_is_in(site, client) for client in (first, second, other)] == [True, False, True]
    log_in(second, sub="ada")
    assert ada.revoke() == 2
    assert [_is_in(site, client) for client in (first, second, other)] == [False, False, True]
    grace.log_out()
    assert grace.revoke() == 0


@pytest.mark.parametrize("site_name", ["starlette"])
@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("ending", ["log_out", "expire", "log_in"])
def test_in_a_store_no_copy_of_the_cookie_outlives_the_session(site: Site, ending: str) -> None:
    client, thief = site.new_client(), site.new_client()
    person = log_in(client)
    thief.cookies.set("ck_session", _cookie(client))
    assert _is_in(site, thief)
    log_in(client, sub="another") if ending == "log_in" else getattr(person, ending)()
    assert not _is_in(site, thief)


@both_faces
@pytest.mark.parametrize("kind", STORES)
def test_the_cookie_of_a_session_that_ran_out_is_still_there(site: Site) -> None:
    client = site.new_client()
    log_in(client).expire()
    cleared = site.get(client, "/").headers["set-cookie"]  # who brings no cookie is told to forget none
    assert cleared.startswith("ck_session=; Max-Age=0")


@both_faces
def test_a_sealed_session_cannot_be_revoked_and_the_error_says_what_it_needs(site: Site) -> None:
    person = log_in(site.new_client())
    with pytest.raises(ConfigError, match=r"store \(CONSENTKEYS_STORE\)"):
        person.revoke()


@pytest.mark.parametrize("site_name", ["starlette"])
def test_an_expired_sealed_session_is_a_real_one_that_is_over(site: Site, clock: Clock) -> None:
    client = site.new_client()
    log_in(client, sub="ada").expire()
    assert not _is_in(site, client)
    log_in(client, sub="ada").expire()
    clock.move(-24 * 3600 - 1)
    assert site.get(client, "/dashboard").json["sub"] == "ada"


# Nothing in the guard is switched off


@both_faces
@pytest.mark.parametrize(
    "settings", [{"session_secret": OTHER_SECRET}, {"client_id": "ck_other"}, {"issuer": "https://other.example"}]
)
def test_a_session_of_another_app_lets_nobody_in(make: Make, settings: Settings) -> None:
    site, other = make(), make(**settings)
    client = site.new_client()
    log_in(client, app=guard(other.new_client()))
    assert not _is_in(site, client)


@both_faces
@pytest.mark.parametrize("kind", ["cookie", "memory"])
def test_a_session_survives_a_new_secret_and_not_the_end_of_the_old_one(make: Make) -> None:
    before, during, after = (make(session_secret=secrets) for secrets in (SECRET, [OTHER_SECRET, SECRET], OTHER_SECRET))
    client = during.new_client()
    log_in(client, app=guard(before.new_client()))
    assert _is_in(during, client)
    other = after.new_client()
    log_in(other, app=guard(before.new_client()))
    assert not _is_in(after, other)
    log_in(other, app=guard(during.new_client()))
    assert _is_in(after, other)


@both_faces
def test_only_the_claims_that_are_kept_are_there(make: Make) -> None:
    site = make(claims=["name"])
    client = site.new_client()
    person = log_in(client, name="Ada", nonce="of the login")
    assert person.claims == {"iss": ISSUER, "sub": "test-person", "name": "Ada"}
    assert site.get(client, "/dashboard").json == {"is_authenticated": True, **person.claims}


@both_faces
def test_a_claim_that_is_none_was_not_said(site: Site) -> None:
    client = site.new_client()
    log_in(client, email=None)
    assert "email" not in site.get(client, "/dashboard").json


@both_faces
def test_a_session_that_would_fit_no_cookie_is_refused_as_at_a_login(site: Site) -> None:
    client = site.new_client()
    with pytest.raises(SessionTooLarge, match="'biography'"):
        log_in(client, biography="x" * 5000)
    assert not _is_in(site, client)


def test_the_issuer_is_not_chosen_by_a_test(site: Site) -> None:
    with pytest.raises(ValueError, match="iss is always the issuer"):
        log_in(site.new_client(), iss="https://other.example")
    assert log_in(site.new_client(), iss=ISSUER).claims["iss"] == ISSUER


def test_a_person_is_told_by_their_sub(site: Site) -> None:
    assert repr(log_in(site.new_client(), sub="ada")) == "<Person ada>"


# Event loops and stores


@pytest.mark.parametrize("site_name", ["asgi", "django_async"])
@pytest.mark.parametrize("kind", ["cookie", *STORES])
def test_people_log_in_while_a_loop_runs(site: Site, runner: asyncio.Runner) -> None:
    client = site.new_client()

    async def test() -> Person:
        return log_in(client, sub="ada")

    person = runner.run(test())
    assert site.get(client, "/dashboard").json["sub"] == "ada"
    person.log_out()
    assert not _is_in(site, client)


class CountingStore(AsyncMemoryStore):
    closed = 0

    async def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("site_name", ["asgi"])
def test_a_store_of_the_users_own_is_left_open(make: Make) -> None:
    store = CountingStore()
    site = make(store=store)
    client = site.new_client()
    person = log_in(client)
    assert _is_in(site, client)
    person.log_out()
    assert store.closed == 0


# Addresses


@pytest.mark.parametrize("site_name", ["flask"])
def test_a_flask_app_is_entered_at_every_name_it_has(make: Make) -> None:
    site = make(base_url="https://app.example/shop")
    client = site.new_client()
    client.application.config["SERVER_NAME"] = "shop.example:5000"
    person = log_in(client)
    for base_url in (None, "http://localhost", "https://app.example", "http://shop.example:5000"):
        assert client.get("/dashboard", base_url=base_url).status_code == 200
    person.log_out()
    for base_url in (None, "http://localhost", "https://app.example", "http://shop.example:5000"):
        assert client.get("/dashboard", base_url=base_url).status_code == 303


@pytest.mark.parametrize("site_name", ["wsgi"])
def test_a_secure_cookie_needs_a_client_at_https_and_the_error_says_so(make: Make) -> None:
    site = make(base_url="https://app.example")
    assert site.middleware is not None
    with site.new_client() as plain, pytest.raises(ValueError, match="give the client an https base_url"):
        log_in(plain)
    transport = httpx.WSGITransport(site.middleware)  # type: ignore[arg-type]  # it is the face of WSGI
    with httpx.Client(transport=transport, base_url="https://app.example") as client:
        log_in(client)
        assert _is_in(site, client)


@pytest.mark.parametrize("site_name", ["wsgi"])
def test_a_client_without_an_address_is_told_to_have_one(site: Site) -> None:
    transport = httpx.WSGITransport(site.middleware)  # type: ignore[arg-type]
    with httpx.Client(transport=transport) as client, pytest.raises(TypeError, match="give it a base_url"):
        log_in(client)


@both_faces
def test_a_client_of_no_known_kind_is_a_sentence(site: Site) -> None:
    with pytest.raises(TypeError, match="object is not a kind of test client that is known here"):
        log_in(object(), app=guard(site.new_client()))


@pytest.mark.parametrize("site_name", ["asgi"])
def test_an_app_on_a_real_server_is_entered_too(make: Make) -> None:
    served, here = make().middleware, make().middleware
    assert isinstance(served, ASGIAuthMiddleware)
    with Server(served) as server, httpx.Client(base_url=server.url, trust_env=False, timeout=60) as client:
        assert client.get("/dashboard").status_code == 303
        log_in(client, app=here, name="Ada").log_out()
        assert client.get("/dashboard").status_code == 303
        log_in(client, app=here, name="Ada")
        assert client.get("/dashboard").json()["name"] == "Ada"


def test_an_app_without_a_guard_is_a_sentence() -> None:
    with httpx.Client() as client, pytest.raises(LookupError, match="is found in this Client; give one as app="):
        log_in(client)
    with httpx.Client() as client, pytest.raises(LookupError, match="is found in this dict"):
        log_in(client, app={})


def test_the_guard_is_found_and_nothing_is_changed(site: Site) -> None:
    client = site.new_client()
    assert isinstance(guard(client), WSGIAuthMiddleware)
    assert guard(client) is guard(client)


@pytest.mark.parametrize("kind_of_app", [Starlette, FastAPI])
def test_the_guard_that_is_found_is_the_one_that_serves(kind_of_app: type[Starlette]) -> None:
    app = kind_of_app()
    app.add_middleware(ASGIAuthMiddleware, _config())  # which these make at their first request
    client = TestClient(app, follow_redirects=False)
    found = guard(client)
    assert client.get("/dashboard").status_code == 303
    assert guard(client) is found


def test_what_a_store_of_wsgi_keeps_is_what_a_login_keeps(make: Make) -> None:
    store = MemoryStore()
    site = make(store=store)
    client = site.new_client()
    log_in(client, sub="ada")
    middleware = guard(client)
    assert isinstance(middleware, WSGIAuthMiddleware)
    assert [session.sub for session in middleware.sessions(sub="ada")] == ["ada"]
