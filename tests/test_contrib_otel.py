"""OpenTelemetry is told of a login that comes back and the calls that it waits for, and of no secret in them."""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from starlette.types import Receive, Scope, Send

from ck_middleware.contrib.otel import Spans
from ck_middleware.dev.grants import ACCESS_LIFETIME
from support.browser import Browser, query_of
from support.clock import Clock
from support.faces import TOKEN, Guard, WSGIFace
from support.provider import MisbehavingProvider


@pytest.fixture(params=["cookie", "memory"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Collected:
    """The spans of one app, by name. `tracer` makes those of the app's own instrumentation."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self.provider.get_tracer("of the app")

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return tuple(self._exporter.get_finished_spans())

    def named(self, start: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name.startswith(f"ck_middleware {start}")]

    def forget(self) -> None:
        self._exporter.clear()


@pytest.fixture
def collected() -> Iterator[Collected]:
    collected = Collected()
    yield collected
    collected.provider.shutdown()


@pytest.fixture
def browser(guard: Guard, collected: Collected) -> Browser:
    return Browser(guard(observers=[Spans(collected.provider)]))


def is_child(span: ReadableSpan, of: ReadableSpan) -> bool:
    return bool(span.parent and of.context and span.parent.span_id == of.context.span_id)


def test_a_login_that_comes_back_is_a_span_with_its_calls_below(
    browser: Browser, collected: Collected, kind: str
) -> None:
    back = browser.choose(browser.start_login())
    collected.forget()
    browser.come_back(back)
    (callback,) = collected.named("callback")
    assert (callback.parent, callback.kind) == (None, SpanKind.INTERNAL)
    below = [span for span in collected.spans if span is not callback]
    calls = [span.name.removeprefix("ck_middleware ") for span in below]
    stored = [] if kind == "cookie" else ["store_call add", "store_call put"]
    assert sorted(calls) == sorted([*(f"provider_call {name}" for name in ("token", "keys", "userinfo")), *stored])
    assert all(is_child(span, callback) for span in below)
    assert [event.name for event in callback.events] == ["ck.login_succeeded"]


def test_a_call_to_the_provider_has_the_attributes_of_an_http_client(
    browser: Browser, collected: Collected, provider: MisbehavingProvider
) -> None:
    browser.log_in()
    (call,) = collected.named("provider_call token")
    at = urlsplit(provider.issuer)
    assert call.kind is SpanKind.CLIENT
    assert dict(call.attributes or {}) == {
        "http.request.method": "POST",
        "server.address": at.hostname,
        "server.port": at.port,
        "http.response.status_code": 200,
        "ck.endpoint": "token",
        "ck.outcome": "ok",
    }
    assert call.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize("kind", ["memory"])
def test_a_call_to_the_store_has_those_of_a_database_client(browser: Browser, collected: Collected) -> None:
    browser.log_in()
    (call,) = collected.named("store_call put")
    assert call.kind is SpanKind.CLIENT
    assert dict(call.attributes or {}) == {"db.operation.name": "put", "ck.outcome": "ok"}


def test_what_fails_is_an_error_with_its_type(
    browser: Browser, collected: Collected, provider: MisbehavingProvider
) -> None:
    provider.faults.fail("token", 500)
    browser.log_in()
    (call,), (callback,) = collected.named("provider_call token"), collected.named("callback")
    for span in (call, callback):
        assert span.status.status_code is StatusCode.ERROR
        assert (span.attributes or {})["error.type"] == "provider_faulty"
    assert (call.attributes or {})["http.response.status_code"] == 500
    (refused,) = callback.events
    assert (refused.name, dict(refused.attributes or {})) == ("ck.login_refused", {"ck.code": "provider_faulty"})


def instrumented(browser: Browser, collected: Collected) -> Browser:
    """The same app with the instrumentation of a framework around it, which makes a span of each request."""
    face: Any = browser.face
    guarded = face.app

    def wsgi(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with collected.tracer.start_as_current_span("request"):
            answer: Iterable[bytes] = guarded(environ, start_response)
            return answer

    async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
        with collected.tracer.start_as_current_span("request"):
            await guarded(scope, receive, send)

    face.app = wsgi if isinstance(face, WSGIFace) else asgi
    face.app._gate = guarded._gate
    return browser


def test_all_are_below_the_span_of_the_apps_own_instrumentation(browser: Browser, collected: Collected) -> None:
    instrumented(browser, collected).log_in()
    leaving, coming = [span for span in collected.spans if span.name == "request"]
    (discovery,), (callback,) = collected.named("provider_call discovery"), collected.named("callback")
    assert is_child(discovery, leaving)
    assert [event.name for event in leaving.events] == ["ck.login_started"]
    assert is_child(callback, coming)
    assert coming.events == ()  # what is ours ended with our span
    (call,) = collected.named("provider_call token")
    assert call.context
    assert coming.context
    assert call.context.trace_id == coming.context.trace_id


@pytest.mark.parametrize("kind", ["memory"])
def test_a_refresh_is_below_the_request_that_waits_for_it(guard: Guard, collected: Collected, clock: Clock) -> None:
    browser = Browser(guard(observers=[Spans(collected.provider)], keep_tokens=True))
    browser.log_in()
    collected.forget()
    clock.move(ACCESS_LIFETIME - 10)
    assert instrumented(browser, collected).get(TOKEN).json["token"]
    (request,) = [span for span in collected.spans if span.name == "request"]
    (call,) = collected.named("provider_call token")
    assert is_child(call, request)
    assert "ck.refresh" in [event.name for event in request.events]


def test_people_who_come_at_the_same_time_have_spans_of_their_own(browser: Browser, collected: Collected) -> None:
    browsers = [Browser(browser.face) for _ in range(8)]
    backs = [each.choose(each.start_login()) for each in browsers]
    collected.forget()
    acts = [partial(each.come_back, back) for each, back in zip(browsers, backs, strict=True)]
    assert {answer.status for answer in browser.face.together(acts)} == {303}
    callbacks, calls = collected.named("callback"), collected.named("provider_call userinfo")
    assert len(callbacks) == len(calls) == 8
    for callback in callbacks:
        assert len([call for call in calls if is_child(call, callback)]) == 1


def test_no_attribute_has_a_secret_a_person_or_an_address_with_a_query(
    browser: Browser, collected: Collected, provider: MisbehavingProvider, kind: str
) -> None:
    location = browser.start_login("/auth/login?next=/a?secret=of-the-app")
    back = browser.choose(location, name="Ada Lovelace")
    browser.come_back(back)
    person, cookie = browser.me().json["user"], browser.cookies[browser.cookie_named("ck_session")]
    browser.come_back(back)
    Browser(browser.face).come_back(back + "&iss=https://elsewhere.example")
    browser.post("/auth/logout")
    secrets = [*query_of(back).values(), cookie, person["sub"], person["email"], "Ada Lovelace", "of-the-app"]
    secrets += [query_of(location)["nonce"], *provider.id_tokens, str(provider.settings["client_secret"])]
    said = "".join(span.to_json() for span in collected.spans)
    assert len(collected.spans) > 5
    assert [secret for secret in secrets if secret in said] == []
    told = [span.attributes for span in collected.spans]
    told += [event.attributes for span in collected.spans for event in span.events]
    values = "".join(str(value) for attributes in told for value in (attributes or {}).values())
    assert "?" not in values
    assert "/" not in values


def test_without_a_provider_of_its_own_the_global_one_is_asked_and_nothing_is_the_matter(guard: Guard) -> None:
    assert Browser(guard(observers=[Spans()])).log_in().status == 303
