"""What an app is told, and that nothing which it does with that harms anybody."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from starlette.responses import JSONResponse

from ck_middleware import ASGIAuthMiddleware, ConfigError, WSGIAuthMiddleware
from ck_middleware.dev.grants import ACCESS_LIFETIME
from ck_middleware.events import Event
from support.browser import Browser
from support.clock import Clock
from support.faces import TOKEN, Asked, Configure, Face, Guard, told
from support.provider import MisbehavingProvider


@pytest.fixture(params=["memory"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Ears:
    """An app that listens: `heard` is every name, in order."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    @property
    def heard(self) -> list[str]:
        return [event.name for event in self.events]

    def listen(self, event: Event) -> None:
        self.events.append(event)

    async def listen_async(self, event: Event) -> None:
        await asyncio.sleep(0)
        self.events.append(event)


@pytest.fixture
def ears() -> Ears:
    return Ears()


@pytest.fixture(params=["plain", "async"])
def listener(request: pytest.FixtureRequest, ears: Ears, face_name: str) -> Any:
    """A function of the app, in each of the colours that its face takes."""
    if request.param == "async" and face_name == "wsgi":
        return ears.listen  # the other colour is refused there
    return ears.listen if request.param == "plain" else ears.listen_async


@pytest.fixture
def face(clock: Clock, guard: Guard, listener: Any) -> Face:
    return guard(on_event=listener, keep_tokens=True, recheck="30m")


@pytest.fixture
def ada(browser: Browser, ears: Ears) -> Browser:
    browser.log_in(name="Ada")
    return browser


def test_a_login_is_told(ada: Browser, ears: Ears, provider: MisbehavingProvider) -> None:
    assert ears.events == [Event("login", provider.issuer, told(ada.get("/"))["sub"])]
    ada.me()
    assert ears.heard == ["login"]


def test_a_login_that_fails_is_not(browser: Browser, ears: Ears) -> None:
    browser.log_in(decision="deny")
    assert ears.heard == []


@pytest.mark.parametrize("kind", ["cookie"])
def test_a_login_and_a_logout_are_told_without_a_store_too(guard: Guard, ears: Ears, listener: Any) -> None:
    ada = Browser(guard(on_event=listener))
    ada.log_in()
    ada.post("/auth/logout")
    assert ears.heard == ["login", "logout"]


def test_a_refresh_is_told(ada: Browser, ears: Ears, clock: Clock) -> None:
    clock.move(ACCESS_LIFETIME)
    ada.get(TOKEN)
    assert ears.heard == ["login", "refresh"]
    assert ears.events[0].sub == ears.events[1].sub


def test_a_logout_is_told_once(ada: Browser, ears: Ears) -> None:
    ada.post("/auth/logout")
    ada.post("/auth/logout")
    assert ears.heard == ["login", "logout"]


def test_logout_everywhere_tells_of_the_sessions_that_ended_with_it(ada: Browser, ears: Ears) -> None:
    phone = Browser(ada.face)
    phone.log_in(name="Ada")
    ada.post("/auth/logout", form={"everywhere": "1"})
    assert sorted(ears.heard) == ["end", "login", "login", "logout"]


def test_what_the_app_ends_is_told(ada: Browser, ears: Ears) -> None:
    sub = told(ada.get("/"))["sub"]
    ada.face.end_sessions(sub=sub)
    assert ears.heard == ["login", "end"]
    assert ears.events[-1].sub == sub


def test_what_the_provider_ends_is_told(ada: Browser, ears: Ears, provider: MisbehavingProvider) -> None:
    token = provider.logout_token(told(ada.get("/"))["sub"])
    headers = [("Host", "localhost:8000")]
    ada.face.ask(Asked("POST", "/auth/backchannel-logout", headers, f"logout_token={token}".encode()))
    assert ears.heard == ["login", "end"]


def test_what_ends_because_the_provider_says_no_is_told(
    ada: Browser, ears: Ears, provider: MisbehavingProvider, clock: Clock
) -> None:
    provider.faults.answer("token", JSONResponse({"error": "invalid_grant"}, 400))
    clock.move(1800)
    assert not ada.is_logged_in
    assert ears.heard == ["login", "end"]


def failing(event: Event) -> None:
    raise ZeroDivisionError(event.name)


async def failing_async(event: Event) -> None:
    raise ZeroDivisionError(event.name)


@pytest.mark.parametrize("failure", [failing, failing_async])
def test_an_exception_in_it_harms_nothing(
    guard: Guard, face_name: str, caplog: pytest.LogCaptureFixture, failure: Callable[[Event], Any]
) -> None:
    if failure is failing_async and face_name == "wsgi":
        with pytest.raises(ConfigError):
            guard(on_event=failure)
        return
    ada = Browser(guard(on_event=failure, protect=["/"]))
    assert ada.log_in(name="Ada").status == 303
    sub = told(ada.get("/"))["sub"]
    assert ada.post("/auth/logout").status == 303
    ada.log_in(name="Ada")
    assert ada.face.end_sessions(sub=sub) == 1
    assert "ZeroDivisionError" in caplog.text


class Listener:
    async def __call__(self, event: Event) -> None: ...


class Method:
    async def listen(self, event: Event) -> None: ...


async def function(event: Event, more: int = 0) -> None: ...


@pytest.mark.parametrize("listener", [function, Listener(), Method().listen, partial(function, more=1)])
def test_an_async_listener_is_refused_where_nothing_can_be_awaited(configure: Configure, listener: Any) -> None:
    with pytest.raises(ConfigError, match="on_event"):
        WSGIAuthMiddleware(lambda environ, start_response: [], configure(on_event=listener))


def test_and_is_taken_where_it_can(configure: Configure) -> None:
    async def app(scope: object, receive: object, send: object) -> None: ...

    for listener in (function, Listener(), Method().listen):
        ASGIAuthMiddleware(app, configure(on_event=listener))


@pytest.mark.parametrize("face_name", ["wsgi"])
def test_an_async_listener_in_disguise_harms_nothing_either(
    guard: Guard, caplog: pytest.LogCaptureFixture, ears: Ears
) -> None:
    def disguised(event: Event) -> Any:
        return ears.listen_async(event)

    ada = Browser(guard(on_event=disguised))
    assert ada.log_in().status == 303
    assert ada.is_logged_in
    assert ears.heard == []
    assert "on_event raised an exception" in caplog.text


@pytest.mark.parametrize("face_name", ["wsgi"])
def test_nor_does_something_else_to_await(guard: Guard, caplog: pytest.LogCaptureFixture) -> None:
    class Awaitable:
        def __await__(self) -> Any:
            yield

    ada = Browser(guard(on_event=lambda event: Awaitable()))
    assert ada.log_in().status == 303
    assert "on_event raised an exception" in caplog.text
