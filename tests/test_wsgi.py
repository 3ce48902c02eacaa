"""The WSGI face: what it makes of an environ and what the app receives."""

import io
import sys
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any
from wsgiref.types import WSGIEnvironment
from wsgiref.util import FileWrapper

import pytest

from ck_middleware import AuthConfig, WSGIAuthMiddleware, get_user
from ck_middleware.config import Settings
from support.browser import Browser
from support.clock import Clock
from support.faces import Asked, Configure, WSGIFace
from support.provider import MisbehavingProvider

HERE = [("Host", "localhost:8000")]
StartResponse = Callable[..., Any]


@pytest.fixture
def face(configure: Configure, light_clients: None) -> WSGIFace:
    return WSGIFace(configure(public=["/open"], idle_timeout=100))


@pytest.fixture
def ada(face: WSGIFace) -> Browser:
    browser = Browser(face)
    browser.log_in(name="Ada")
    return browser


@pytest.fixture
def page(face: WSGIFace, ada: Browser) -> WSGIEnvironment:
    """What a server makes of Ada's request for a page."""
    return face.environ(Asked("GET", "/page", [*HERE, ("Cookie", f"ck_session={ada.cookies['ck_session']}")]))


# What the app receives


def test_the_app_gets_the_user_where_its_framework_looks(ada: Browser, face: WSGIFace) -> None:
    ada.get("/dashboard")
    environ = face.carriers[-1]
    user = environ["ck_middleware.user"]
    assert user is get_user(environ)
    assert user.name == "Ada"
    assert environ["REMOTE_USER"] == user.sub
    assert environ["AUTH_TYPE"] == "OpenIDConnect"


def test_nobody_is_an_anonymous_user(face: WSGIFace) -> None:
    Browser(face).get("/open")
    environ = face.carriers[-1]
    assert not environ["ck_middleware.user"].is_authenticated
    assert environ.keys().isdisjoint({"REMOTE_USER", "AUTH_TYPE"})


@pytest.mark.parametrize("path", ["/open", "/page"])
def test_what_stood_there_before_us_is_gone(face: WSGIFace, page: WSGIEnvironment, path: str) -> None:
    planted = {
        "REMOTE_USER": "mallory",
        "AUTH_TYPE": "Basic",
        "HTTP_REMOTE_USER": "mallory",
        "ck_middleware.user": "mallory",
    }
    face.call(page | planted | {"PATH_INFO": path})
    face.call(page | planted | {"PATH_INFO": "/open", "HTTP_COOKIE": ""})
    for environ in face.carriers[-2:]:
        assert "mallory" not in str(environ)
        assert "Basic" not in str(environ)
    assert face.carriers[-2]["REMOTE_USER"] == face.carriers[-2]["ck_middleware.user"].sub


@pytest.mark.parametrize("name", ["Remote-User", "remote_user", "REMOTE-USER"])
def test_a_header_that_claims_an_identity_is_dropped(ada: Browser, face: WSGIFace, name: str) -> None:
    ada.get("/dashboard", {name: "admin", "X-Remote-User": "kept"})
    Browser(face).get("/open", {name: "admin", "X-Remote-User": "kept"})
    for environ in face.carriers[-2:]:
        assert "HTTP_REMOTE_USER" not in environ
        assert environ["HTTP_X_REMOTE_USER"] == "kept"


def starting(statuses: list[str]) -> StartResponse:
    """A `start_response` that keeps the status alone."""

    def start_response(status: str, *_: object) -> Callable[[bytes], object]:
        statuses.append(status)
        return lambda _: None

    return start_response


def wrapped(config: AuthConfig, answer: Iterable[bytes], met: list[object] | None = None) -> WSGIAuthMiddleware:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if met is not None:
            met.append(start_response)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return answer

    return WSGIAuthMiddleware(app, config)


def test_the_response_is_the_apps_own_object(
    configure: Configure, page: WSGIEnvironment, clock: Clock, ada: Browser
) -> None:
    """A wrapper would hide a `wsgi.file_wrapper` from its server, and a file would be read through Python."""
    answers: list[Iterable[bytes]] = [FileWrapper(io.BytesIO(b"file")), [b"list"], iter([b"iterator"]), (b"tuple",)]
    for seconds in (0, 50):
        clock.move(seconds)
        for answer in answers:
            assert wrapped(configure(idle_timeout=100), answer)(dict(page), lambda *_: lambda _: None) is answer


def test_start_response_is_the_servers_own_unless_a_cookie_is_set(
    configure: Configure, ada: Browser, face: WSGIFace, clock: Clock
) -> None:
    met: list[object] = []
    app = wrapped(configure(idle_timeout=100), [], met)
    ada.log_in()
    cookie = ("Cookie", f"ck_session={ada.cookies['ck_session']}")
    environ = face.environ(Asked("GET", "/page", [*HERE, cookie]))

    def start_response(*_: object) -> Callable[[bytes], object]:
        return lambda _: None

    app(dict(environ), start_response)
    assert met == [start_response]
    clock.move(50)
    app(dict(environ), start_response)
    assert met[1] is not start_response


def test_an_app_may_write_and_may_change_its_mind(
    configure: Configure, ada: Browser, face: WSGIFace, clock: Clock
) -> None:
    """PEP 3333: `start_response` gives a `write`, and takes `exc_info` when it is called again."""
    started: list[tuple[object, ...]] = []
    written: list[bytes] = []
    reason = (ValueError, ValueError("x"), None)

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("X-A", "1")])
        write = start_response("500 Oops", [("X-B", "2")], reason)
        write(b"written")
        return []

    def start_response(*args: Any) -> Callable[[bytes], object]:
        started.append(args)
        return written.append

    ada.log_in()
    clock.move(50)
    cookie = ("Cookie", f"ck_session={ada.cookies['ck_session']}")
    environ = face.environ(Asked("GET", "/page", [*HERE, cookie]))
    assert list(WSGIAuthMiddleware(app, configure(idle_timeout=100))(environ, start_response)) == []
    assert written == [b"written"]
    first, second = started
    assert (first[0], len(first)) == ("200 OK", 2)
    assert (second[0], second[2]) == ("500 Oops", reason)
    for _, headers, *_rest in started:
        assert isinstance(headers, list)
        assert [name.lower() for name, _ in headers][1:] == ["cache-control", "vary", "set-cookie"]


def test_the_answer_to_a_head_request_is_not_a_500_on_a_server_that_waits_for_a_first_piece(face: WSGIFace) -> None:
    started: list[Any] = []

    def start_response(*args: Any) -> Callable[[bytes], object]:
        started.append(args[0])
        return started.append

    pieces = list(face.app(face.environ(Asked("HEAD", "/page", HERE)), start_response))
    assert started == ["303 See Other"]
    assert pieces == [b""]


def test_an_app_that_is_refused_is_not_even_called(configure: Configure) -> None:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        raise NotImplementedError

    read: list[int] = []

    class Input(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            read.append(size or 0)
            return b""

    environ = {"REQUEST_METHOD": "POST", "PATH_INFO": "/x", "CONTENT_LENGTH": "5", "wsgi.input": Input()}
    started: list[str] = []
    assert list(WSGIAuthMiddleware(app, configure())(environ, starting(started))) == [b""]
    assert started == ["303 See Other"]
    assert read == []


def test_every_status_has_its_reason(face: WSGIFace, ada: Browser, provider: MisbehavingProvider) -> None:
    """PEP 3333 wants one, and validators stop where it is missing."""
    met: list[str] = []

    def call(environ: WSGIEnvironment) -> None:
        list(face.app(environ, starting(met)))

    for method, target in [
        ("GET", "/page"),
        ("GET", "/api"),
        ("GET", "//x"),
        ("GET", "/auth/x"),
        ("PUT", "/auth/me"),
        ("GET", "/auth/logout"),
    ]:
        call(face.environ(Asked(method, target, HERE)))
    call(face.environ(Asked("POST", "/auth/logout", [*HERE, ("Sec-Fetch-Site", "cross-site")])))
    assert set(met) == {
        "200 OK",
        "303 See Other",
        "400 Bad Request",
        "401 Unauthorized",
        "403 Forbidden",
        "404 Not Found",
        "405 Method Not Allowed",
    }


# Paths: bytes in the disguise of latin-1 text


def test_a_path_is_read_as_utf8(configure: Configure, light_clients: None) -> None:
    face = WSGIFace(configure(protect=["/é"]))
    assert face.call(face.environ(Asked("GET", "/%C3%A9/x", HERE))).location == "/auth/login?next=%2F%25C3%25A9%2Fx"
    assert face.call(face.environ(Asked("GET", "/%C3%A8/x", HERE))).status == 200


@pytest.mark.parametrize(
    "path", ["/\xff", "/open\xff", "/\xc0\xaf", "/\xed\xa0\x80", "/\u0100", "\xe9", "", "*", "open"]
)
def test_a_path_that_is_no_utf8_or_no_path_is_refused(face: WSGIFace, page: WSGIEnvironment, path: str) -> None:
    assert face.call(page | {"PATH_INFO": path}).status == 400
    assert face.seen == []


def test_an_environ_may_leave_out_what_is_optional(face: WSGIFace) -> None:
    answer = face.call({"REQUEST_METHOD": "GET", "PATH_INFO": "/page", "wsgi.input": io.BytesIO()})
    assert answer.location == "/auth/login?next=%2Fpage"
    assert face.call({"REQUEST_METHOD": "GET", "wsgi.input": io.BytesIO()}).status == 400


@pytest.mark.parametrize("script_name", ["/pre", "/pre/"])
def test_a_mount_is_part_of_where_to_come_back_to(face: WSGIFace, page: WSGIEnvironment, script_name: str) -> None:
    environ = page | {"SCRIPT_NAME": script_name, "HTTP_COOKIE": ""}
    assert face.call(environ).location == "/pre/auth/login?next=%2Fpre%2Fpage"


def test_two_cookie_fields_that_a_server_joined_with_a_comma_are_read_as_far_as_is_safe(
    face: WSGIFace, page: WSGIEnvironment
) -> None:
    """gunicorn joins them so. A comma may stand in a cookie of another, so what follows it may be planted."""
    session = page["HTTP_COOKIE"]
    assert face.call(page | {"HTTP_COOKIE": f"{session},a=b"}).status == 200
    after = face.call(page | {"HTTP_COOKIE": f"a=b,{session}"})
    assert after.status == 303
    assert after.every("set-cookie") == []
    assert face.call(page | {"HTTP_COOKIE": f"{session},{session}"}).status == 303


def test_text_that_is_no_latin1_harms_nobody(face: WSGIFace, page: WSGIEnvironment) -> None:
    odd = {"HTTP_COOKIE": "ck_session=\u0100", "QUERY_STRING": "x=\u0100", "SCRIPT_NAME": "/\u0100"}
    assert face.call(page | odd).status in {303, 400}
    assert face.call(page | odd | {"SCRIPT_NAME": ""}).status == 303


# Bodies: only the logout form is ever read


@pytest.mark.parametrize(
    ("length", "status"),
    [("right", 303), ("x", 403), ("-1", 403), ("5000", 403), ("1e3", 403), ("999999999999999999", 403), ("300", 403)],
)
def test_a_form_has_the_length_that_it_says(
    face: WSGIFace, ada: Browser, page: WSGIEnvironment, length: str, status: int
) -> None:
    form = b"token=" + ada.get("/auth/logout").text.partition('name="token" value="')[2].partition('"')[0].encode()
    sizes: list[int | None] = []

    class Input(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            sizes.append(size)
            return super().read(size)

    post = page | {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/auth/logout",
        "HTTP_ORIGIN": "null",
        "CONTENT_LENGTH": str(len(form)) if length == "right" else length,
        "wsgi.input": Input(form),
    }
    assert face.call(post).status == status
    assert all(size is not None and 0 <= size <= 4096 for size in sizes)  # never to the end of the stream, never all


def test_a_client_that_goes_in_the_middle_of_a_form_is_no_fault_of_ours(
    face: WSGIFace, ada: Browser, page: WSGIEnvironment
) -> None:
    class Gone(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError("connection reset")

    post = page | {"REQUEST_METHOD": "POST", "PATH_INFO": "/auth/logout", "HTTP_ORIGIN": "null"}
    assert face.call(post | {"CONTENT_LENGTH": "9", "wsgi.input": Gone()}).status == 403


@pytest.mark.parametrize("length", [None, "", "0"])
def test_a_post_without_a_form_is_a_post(face: WSGIFace, page: WSGIEnvironment, length: str | None) -> None:
    post = page | {"REQUEST_METHOD": "POST", "PATH_INFO": "/auth/logout", "HTTP_ORIGIN": "http://localhost:8000"}
    assert face.call(post | ({} if length is None else {"CONTENT_LENGTH": length})).status == 303


# Start


@pytest.mark.parametrize(
    ("forced", "settings", "warned"),
    [
        ("/pre", {"protect": ["/api"]}, True),
        ("/pre", {}, False),  # everything needs a login, also below it
        ("/pre", {"protect": ["/api"], "base_url": "https://app.example/pre"}, False),
        (None, {"protect": ["/api"]}, False),
        ("", {"protect": ["/api"]}, False),
    ],
)
def test_a_mount_that_only_django_sees_is_warned_of(
    configure: Configure,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    *,
    forced: str | None,
    settings: Settings,
    warned: bool,
) -> None:
    class WSGIHandler:
        def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            raise NotImplementedError

    django = SimpleNamespace(settings=SimpleNamespace(configured=True, FORCE_SCRIPT_NAME=forced))
    monkeypatch.setitem(sys.modules, "django.conf", django)
    WSGIAuthMiddleware(WSGIHandler(), configure(**settings))
    assert not caplog.records  # an app that is none of Django's
    WSGIHandler.__module__ = "django.core.handlers.wsgi"
    WSGIAuthMiddleware(WSGIHandler(), configure(**settings))
    assert bool(caplog.records) == warned
    caplog.clear()
    django.settings.configured = False
    WSGIAuthMiddleware(WSGIHandler(), configure(**settings))
    assert not caplog.records


def test_without_django_there_is_nothing_to_ask(
    configure: Configure, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "django.conf", raising=False)
    wrapped(configure(protect=["/api"]), [])
    assert not caplog.records
