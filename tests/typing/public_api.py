"""This file is how people write against the public names. It is never run: mypy and pyright read it, both strict.

What they would complain about here, they would complain about in every app that uses this package.
"""

from collections.abc import Mapping
from typing import Any, assert_type
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from falcon.asgi import App as Falcon
from litestar import Litestar
from quart import Quart
from starlette.applications import Starlette
from starlette.authentication import BaseUser
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send
from werkzeug import Request as WerkzeugRequest

from ck_middleware import (
    ASGIAuthMiddleware,
    AuthConfig,
    AuthError,
    ConfigError,
    User,
    WSGIAuthMiddleware,
    get_session,
    get_user,
)
from ck_middleware.admin import SessionInfo
from ck_middleware.events import Event
from ck_middleware.pages import Page
from ck_middleware.session import AsyncSession, BlockingSession
from ck_middleware.stores.memory import MemoryStore
from ck_middleware.testing import Person, Provider, another_key, guard, log_in, saying, without


def wsgi_app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [get_user(environ).display_name.encode()]


async def asgi_app(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": get_user(scope).display_name.encode()})


def a_configuration_is_made() -> AuthConfig:
    try:
        config = AuthConfig(
            client_id="ck_app",
            client_secret="a client secret",
            session_secret=["the new one, 32 bytes or longer ", "the old one, 32 bytes or longer "],
            base_url="https://app.example",
            protect=["/a"],
            public=("/a/health",),
            session_lifetime="8h",
            idle_timeout=900,
        )
    except ConfigError as error:
        assert_type(error.problems, tuple[str, ...])
        raise
    assert_type(AuthConfig.from_env(session_lifetime="8h"), AuthConfig)
    return config


def wsgi_apps_are_wrapped(config: AuthConfig) -> list[WSGIApplication]:
    return [
        WSGIAuthMiddleware(wsgi_app),
        WSGIAuthMiddleware(wsgi_app, config),
        WSGIAuthMiddleware(wsgi_app, protect=["/dashboard", "/api"], session_lifetime="8h"),
        WSGIAuthMiddleware(WSGIAuthMiddleware(wsgi_app, config), config),
    ]


def asgi_apps_are_wrapped(config: AuthConfig) -> list[ASGIApp]:
    starlette = Starlette(middleware=[Middleware(ASGIAuthMiddleware, protect=["/dashboard", "/api"])])
    starlette.add_middleware(ASGIAuthMiddleware)
    starlette.add_middleware(ASGIAuthMiddleware, config)
    starlette.add_middleware(ASGIAuthMiddleware, config=config)
    starlette.add_middleware(ASGIAuthMiddleware, protect=["/dashboard"], session_lifetime="8h")
    return [
        ASGIAuthMiddleware(asgi_app),
        ASGIAuthMiddleware(asgi_app, config),
        ASGIAuthMiddleware(starlette, protect=["/dashboard", "/api"]),
        ASGIAuthMiddleware(Quart(__name__).asgi_app),
        ASGIAuthMiddleware(Litestar()),
        ASGIAuthMiddleware(Falcon()),
    ]


def the_user_is_read(request: Request, environ: WSGIEnvironment) -> None:
    user = get_user(request)
    assert_type(user, User)
    assert_type(get_user(environ), User)
    assert_type(user.is_authenticated, bool)
    assert_type(user.sub, str)
    assert_type(user.issuer, str)
    assert_type(user.name, str)
    assert_type(user.email, str)
    assert_type(user.display_name, str)
    assert_type(user.identity, str)
    assert_type(user.claims, Mapping[str, Any])


def starlette_takes_the_user_for_its_own(user: User) -> BaseUser:
    return user


def every_refusal_is_caught_by_one_name(environ: WSGIEnvironment) -> str:
    try:
        return get_user(environ).sub
    except AuthError as error:
        return str(error)


def every_fault_of_the_configuration_is_an_auth_error(error: ConfigError) -> AuthError:
    return error


async def a_session_is_awaited_for_on_asgi(request: Request, scope: Scope) -> None:
    session = get_session(request)
    assert_type(session, AsyncSession | None)
    if session is not None:
        assert_type(session.id, str)
        assert_type(session.expires_at, int)
        assert_type(session.claims, Mapping[str, Any])
        assert_type(await session.access_token(), str | None)
    # What types say nothing of is what its user says it is.
    own: AsyncSession | None = get_session(scope)
    assert own is not None


def a_session_is_called_on_wsgi(request: WerkzeugRequest, environ: WSGIEnvironment) -> None:
    session = get_session(request)
    assert_type(session, BlockingSession | None)
    if session is not None:
        assert_type(session.access_token(), str | None)
    own: BlockingSession | None = get_session(environ)
    assert own is not None


def an_app_is_told_what_happened(config: AuthConfig) -> list[object]:
    def listen(event: Event) -> None:
        assert_type(event.name, str)
        assert_type(event.sub, str)

    async def listen_async(event: Event) -> None:
        assert_type(event.issuer, str)

    return [
        WSGIAuthMiddleware(wsgi_app, on_event=listen),
        ASGIAuthMiddleware(asgi_app, on_event=listen),
        ASGIAuthMiddleware(asgi_app, on_event=listen_async),
    ]


async def sessions_are_listed_and_ended(wsgi: WSGIAuthMiddleware, asgi: ASGIAuthMiddleware) -> None:
    assert_type(wsgi.sessions(sub="ck_u_1"), list[SessionInfo])
    assert_type(await asgi.sessions(sub="ck_u_1"), list[SessionInfo])
    assert_type(wsgi.end_sessions(sub="ck_u_1"), int)
    assert_type(await asgi.end_sessions(sid="sid-1"), int)


def a_store_of_ones_own_is_taken() -> AuthConfig:
    return AuthConfig.from_env(store=MemoryStore(), keep_tokens=True, recheck="15m")


def a_test_logs_people_in(wsgi_client: object, provider: Provider) -> WSGIApplication:
    ada = log_in(wsgi_client, sub="ada", groups=["staff"], email=None)
    assert_type(ada, Person)
    assert_type(ada.claims, Mapping[str, Any])
    assert_type(ada.revoke(), int)
    assert_type(provider.sign_in("http://localhost/auth/login", "Ada"), str)
    assert_type(ada.sub, str)
    assert_type(guard(wsgi_client), ASGIAuthMiddleware | WSGIAuthMiddleware)
    provider.faults.id_token_claims = saying(nonce="another")
    provider.faults.userinfo = without("email")
    provider.faults.sign = another_key
    return WSGIAuthMiddleware(wsgi_app, session_secret="of the tests", **provider.settings)


def own(page: Page) -> str | None:
    assert_type(page.status, int)
    return None if page.code == "store_unavailable" else f"<title>{page.title}</title>{page.button}"


def shows_its_own_pages() -> None:
    WSGIAuthMiddleware(wsgi_app, pages=own)
    ASGIAuthMiddleware(asgi_app, pages="auth-pages")
