"""This file is how people write against the public names. It is never run: mypy and pyright read it, both strict.

What they would complain about here, they would complain about in every app that uses this package.
"""

from collections.abc import Mapping
from typing import Any, Never, assert_type
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from starlette.applications import Starlette
from starlette.authentication import BaseUser
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

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


def a_session_to_look_into_needs_a_later_version(request: Request) -> Never:
    get_session(request)
