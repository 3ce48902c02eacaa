"""No secret is shown, whatever goes wrong; no comparison of one tells of it by its time; no stranger is remembered.

A story drives one way in which something fails. Then every secret that was in it is looked for in the log of everybody
at its most talkative, on pages and in headers, in what was printed, and in what our objects say of themselves.
"""

import ast
import base64
import gc
import hashlib
import hmac
import logging
import re
import secrets
import sqlite3
import sys
import traceback
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import quote

import pytest
from starlette.responses import HTMLResponse, JSONResponse, Response

import ck_middleware
from ck_middleware import ASGIAuthMiddleware, AuthError, ConfigError, WSGIAuthMiddleware, errors
from ck_middleware.config import Settings
from ck_middleware.dev.grants import ACCESS_LIFETIME
from ck_middleware.gate import Gate
from ck_middleware.log import LOGGER
from ck_middleware.pages.languages import ENGLISH
from ck_middleware.stores.memory import AsyncMemoryStore, MemoryStore
from support import forgery
from support.browser import Browser, query_of
from support.clock import Clock
from support.faces import TOKEN, Answer, Asked, Configure, Face, Guard
from support.forgery import another_key, without
from support.provider import CLIENT_SECRET, MisbehavingProvider, provider_alone
from support.redis_server import RedisServer

SESSION_SECRET = "a-session-secret-that-nobody-may-read"
OTHER_SECRET = "an-older-secret-that-nobody-may-read"
PASSWORD = "hunter2-of-the-store"
HOSTILE = "a\r\nERROR forged line\x1b[31m\x00\x7f\x85\u2028\u202e end"
NOWHERE = "nowhere"


@dataclass
class Watch:
    """Everything that was secret, and everything that was shown."""

    kept: dict[str, tuple[str, str]] = field(default_factory=dict)  # by what it is: where it may stand, and its value
    answers: list[Answer] = field(default_factory=list)
    shown: set[str] = field(default_factory=set)  # what our objects say of themselves
    codes: set[str] = field(default_factory=set)

    def secret(self, what: str, value: str, home: str = NOWHERE) -> None:
        assert len(value) > 7, f"{what} is too short to be looked for"
        self.kept[f"{what} {len(self.kept)}"] = (home, value)

    def token_response(self, members: dict[str, Any]) -> dict[str, Any]:
        for name in ("access_token", "refresh_token", "id_token"):
            home = "logout" if name == "id_token" else NOWHERE  # the hint of whom to sign out, for the provider
            self.secret(name, members[name], home)
            self.secret(f"signature of {name}", members[name].rpartition(".")[2], home)
        return members

    def see(self, answer: Answer) -> None:
        self.answers.append(answer)
        if answer.status == 303 and "code_challenge" in answer.location:
            for name in ("state", "nonce", "code_challenge"):
                self.secret(name, query_of(answer.location)[name], "login")
        if answer.status == 303 and "post_logout_redirect_uri" in answer.location:
            self.secret("logout state", query_of(answer.location)["state"], "logout")
        if form := re.search('name="token" value="([^"]+)"', answer.text):
            self.secret("logout form", unescape(form[1]), "form")
            self.codes.add("confirm_logout")
        for code, text in ENGLISH.texts.items():
            if f'"code": "{code}"' in answer.text or f"Code {code}," in answer.text or text.title in answer.text:
                self.codes.add(code)


class WatchedBrowser(Browser):
    """A browser whose every answer is looked at again later."""

    watch: Watch

    def request(self, method: str, target: str, *args: Any, **kwargs: Any) -> Answer:
        self._note_cookies()
        answer = super().request(method, target, *args, **kwargs)
        if target != TOKEN:  # where the app itself tells one
            self.watch.see(answer)
        self._note_cookies()
        return answer

    def choose(self, authorization_url: str, **answer: str) -> str:
        url = super().choose(authorization_url, **answer)
        if code := re.search("[?&]code=([^&]+)", url):
            self.watch.secret("code", code[1])
        return url

    def _note_cookies(self) -> None:
        for name, value in self.cookies.items():
            self.watch.secret(f"cookie {name}", value, "set-cookie")
            self.watch.secret(f"first part of cookie {name}", value.partition(".")[0], "set-cookie")


def places(answer: Answer) -> dict[str, str]:
    """What an answer shows, by where it stands: a cookie in the header that sets it, a token in its own form ..."""
    location, form = answer.header("location") or "", 'name="token"' in answer.text
    to_login, to_logout = "code_challenge=" in location, "post_logout_redirect_uri=" in location + answer.text
    rest = [f"{name}: {value}" for name, value in answer.headers if name not in {"set-cookie", "location"}]
    return {
        "set-cookie": "\n".join(answer.every("set-cookie")),
        "form": answer.text if form else "",
        "login": location if to_login else "",
        "logout": location + answer.text if to_logout else "",
        NOWHERE: "\n".join(
            [*rest, "" if to_login or to_logout else location, "" if form or to_logout else answer.text]
        ),
    }


@pytest.fixture
def watch(provider: MisbehavingProvider) -> Watch:
    watch = Watch()
    watch.secret("client secret", CLIENT_SECRET)
    watch.secret("client secret, quoted", quote(CLIENT_SECRET))
    watch.secret("session secret", SESSION_SECRET)
    watch.secret("old session secret", OTHER_SECRET)
    watch.secret("password of the store", PASSWORD)
    provider.faults.token_response = watch.token_response
    return watch


Hunt = Callable[[], None]


@pytest.fixture
def hunt(
    watch: Watch, provider: MisbehavingProvider, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> Hunt:
    """Looks for every secret wherever something is shown."""
    caplog.set_level(logging.DEBUG)

    def search() -> None:
        note_what_was_sent(provider, watch)
        logged = [logging.Formatter().format(record) + repr(vars(record)) for record in caplog.records]
        spoken = {
            "the log": "\n".join(logged),
            "our objects": "\n".join(watch.shown),
            "what was printed": "".join(capfd.readouterr()),
        }
        look_for(watch, spoken)
        ours = [record.getMessage() for record in caplog.records if record.name == "ck_middleware"]
        assert all(map(str.isprintable, ours))

    return search


def note_what_was_sent(provider: MisbehavingProvider, watch: Watch) -> None:
    for hit in provider.hits:
        for name in ("code", "code_verifier", "client_secret", "refresh_token", "token"):
            if hit.form.get(name):
                watch.secret(name, hit.form[name])
        if "authorization" in hit.headers:
            watch.secret("Authorization", hit.headers["authorization"].partition(" ")[2])


def look_for(watch: Watch, spoken: dict[str, str]) -> None:
    shown = [places(answer) for answer in watch.answers]
    for what, (home, secret) in watch.kept.items():
        for where, text in spoken.items():
            assert secret not in text, f"{what} stands in {where}"
        for answer in shown:
            for place, text in answer.items():
                assert place == home or secret not in text, f"{what} stands in {place}"


OURS = str(Path(ck_middleware.__file__).parent)
TOOLS = {"cli", "dev", "doctor", "testing"}  # for whoever runs them, and for no stranger


@contextmanager
def objects_shown(watch: Watch) -> Iterator[None]:
    """Notes what every object of ours that a function of ours knows says of itself, as in a debugger."""
    before = sys.getprofile()

    def returned(frame: FrameType, happening: str, value: object) -> None:
        if happening == "return" and frame.f_code.co_filename.startswith(OURS):
            for found in (*frame.f_locals.values(), value):
                package, _, module = type(found).__module__.partition(".")
                if package == "ck_middleware" and module.partition(".")[0] not in TOOLS:
                    watch.shown.add(repr(found))

    sys.setprofile(returned)
    try:
        yield
    finally:
        sys.setprofile(before)


# What goes wrong, with a sealed session or with a stored one


@pytest.fixture
def usual() -> Settings:
    return {"session_secret": [SESSION_SECRET, OTHER_SECRET], "public": ["/open"]}


@pytest.fixture
def browser(guard: Guard, watch: Watch, usual: Settings, kind: str) -> WatchedBrowser:
    stored: Settings = {} if kind == "cookie" else {"keep_tokens": True, "recheck": "1m"}
    browser = WatchedBrowser(guard(**(usual | stored)))
    browser.watch = watch
    return browser


Story = Callable[[WatchedBrowser, MisbehavingProvider], object]


def login_and_logout(browser: WatchedBrowser, provider: MisbehavingProvider) -> None:
    browser.get("/dashboard?code=x")
    browser.log_in("/auth/login?next=/dashboard&login_hint=ada")
    browser.get("/dashboard")
    browser.get("/open")
    assert browser.is_logged_in
    browser.get("/auth/logout")
    assert browser.post("/auth/logout", {"Sec-Fetch-Site": "cross-site"}).status == 403
    assert browser.fetch("/auth/logout", "POST").json["logout_url"]
    browser.get("/auth/logout")
    browser.log_in()
    left = browser.post("/auth/logout", form={"everywhere": "1"})
    browser.get("/?state=" + query_of(left.location)["state"])


def replay(browser: WatchedBrowser, provider: MisbehavingProvider) -> None:
    url = browser.choose(browser.start_login())
    copied = dict(browser.cookies)
    browser.come_back(url)
    browser.come_back(url)
    browser.cookies = copied
    assert browser.come_back(url).code in {"code_refused", "login_expired"}
    assert browser.come_back(url).code == "login_expired"


def refused_code(browser: WatchedBrowser, provider: MisbehavingProvider) -> None:
    url = browser.choose(browser.start_login())
    provider.faults.answer("token", JSONResponse({"error": "invalid_grant"}, 400))
    assert browser.come_back(url).code == "code_refused"


def foreign_callback(browser: WatchedBrowser, provider: MisbehavingProvider) -> None:
    url = browser.choose(browser.start_login())
    browser.cookies.clear()
    assert browser.come_back(url).status == 400
    assert browser.fetch(url.removeprefix("http://localhost:8000")).status == 400


def wrong_issuer(browser: WatchedBrowser, provider: MisbehavingProvider) -> None:
    provider.faults.callback = lambda query: query | {"iss": HOSTILE}
    assert browser.log_in().status == 400


def twice(browser: WatchedBrowser, provider: MisbehavingProvider) -> None:
    provider.faults.callback = lambda query: query | {"code": [query["code"], query["code"]]}
    assert browser.log_in().status == 400


def hostile_error(browser: WatchedBrowser, provider: MisbehavingProvider) -> None:
    provider.faults.callback = lambda query: {"state": query["state"], "iss": query["iss"], "error": "a\r\nforged"}
    assert browser.log_in().status == 400


def foreign_initiation(browser: WatchedBrowser, provider: MisbehavingProvider) -> None:
    assert browser.get("/auth/login?iss=https%3A%2F%2Fevil.example&target_link_uri=x").code == "initiation_invalid"


def denied(browser: WatchedBrowser, provider: MisbehavingProvider) -> None:
    assert browser.log_in(decision="deny").status == 403


def forged_token(browser: WatchedBrowser, provider: MisbehavingProvider) -> None:
    provider.faults.sign = another_key
    assert browser.log_in().code == "token_invalid"


def spoilt_token(browser: WatchedBrowser, provider: MisbehavingProvider) -> None:
    for spoil in (str.upper, lambda token: "x." + token, lambda token: token * 20, lambda token: token + "\r\nx"):
        provider.faults.raw_id_token = spoil
        assert browser.log_in().code in {"token_invalid", "provider_faulty"}


def wrong_claims(browser: WatchedBrowser, provider: MisbehavingProvider) -> None:
    for wrong in ({"nonce": "another"}, {"aud": "x"}, {"iss": "x"}, {"at_hash": "x"}, {"exp": 1}, {"sub": ""}):
        provider.faults.id_token_claims = lambda claims, wrong=wrong: claims | wrong  # type: ignore[misc]  # bound now
        assert browser.log_in().code == "token_invalid"


def no_object_for_claims(browser: WatchedBrowser, provider: MisbehavingProvider) -> None:
    provider.faults.sign = lambda key, header, claims: forgery.rs256(key, header, str(claims).encode())
    assert browser.log_in().code == "token_invalid"


def no_id_token(browser: WatchedBrowser, provider: MisbehavingProvider) -> None:
    watched = provider.faults.token_response
    provider.faults.token_response = lambda members: without("id_token")(watched(members))
    assert browser.log_in().code == "token_invalid"


def broken_userinfo(browser: WatchedBrowser, provider: MisbehavingProvider) -> None:
    for broken in (Response(status_code=500), JSONResponse({"sub": "x"}), HTMLResponse("<h1>x</h1>")):
        provider.faults.answer("userinfo", broken)
        assert browser.log_in().status >= 400


def echoing_provider(browser: WatchedBrowser, provider: MisbehavingProvider) -> None:
    """Some provider's error says back what it was sent."""
    provider.faults.error = lambda document: {
        "error": f"invalid_{provider.last('token').form['code']}",
        "error_description": str(provider.last("token").form),
    }
    provider.auth_methods = ("client_secret_basic",)
    assert browser.log_in().status == 502
    for echo in (Response(CLIENT_SECRET, 500), JSONResponse({"error": CLIENT_SECRET}, 400)):
        provider.faults.answer("token", echo)
        assert browser.log_in().status == 502


def faulty_answers(browser: WatchedBrowser, provider: MisbehavingProvider) -> None:
    """What no parser can read, with the secrets in it that it would quote."""
    for status in (200, 400):
        answer = Response(f'{{"access_token": "{CLIENT_SECRET}', status, media_type="application/json")
        url = browser.choose(browser.start_login())
        provider.faults.answer("token", answer, times=1)
        assert browser.come_back(url).code == "provider_faulty"


def refused_client(browser: WatchedBrowser, provider: MisbehavingProvider) -> None:
    provider.faults.answer("token", JSONResponse({"error": "invalid_client", "error_description": CLIENT_SECRET}, 401))
    assert browser.log_in().code == "client_refused"


def too_large(browser: WatchedBrowser, provider: MisbehavingProvider) -> None:
    provider.faults.userinfo = lambda claims: claims | {"groups": ["x"] * 3000}
    assert browser.log_in().code == "session_too_large"


def planted_cookies(browser: WatchedBrowser, provider: MisbehavingProvider) -> None:
    browser.log_in()
    session = browser.cookies["ck_session"]
    browser.get("/dashboard", {"Cookie": f"ck_session={session}; ck_session={session}"})
    browser.get("/auth/me", {"Cookie": f"ck_session={session}x"})
    browser.get("//dashboard")
    browser.get("/auth/nothing")
    browser.request("PUT", "/auth/login")
    browser.get("/auth/login", {"Host": "evil.example\r\nforged"})


def refreshed_tokens(browser: WatchedBrowser, provider: MisbehavingProvider, clock: Clock) -> None:
    """Kept and renewed, then not renewed for a while, then refused for good."""
    browser.log_in()
    assert browser.get(TOKEN).json["token"]
    clock.move(ACCESS_LIFETIME)
    assert browser.get(TOKEN).json["token"]
    for trouble in (JSONResponse({"error": "x" + CLIENT_SECRET}, 500), Response("{", media_type="application/json")):
        provider.faults.answer("token", trouble, times=1)
        clock.move(61)  # a re-check is due
        assert browser.get(TOKEN).status == 200
    provider.faults.answer("token", JSONResponse({"error": "invalid_grant"}, 400))
    clock.move(61)
    assert browser.fetch("/dashboard").status == 401


def revoked_at_the_provider(browser: WatchedBrowser, provider: MisbehavingProvider, clock: Clock) -> None:
    watched = provider.faults.token_response
    provider.faults.token_response = lambda members: without("refresh_token")(watched(members))
    browser.log_in()
    provider.faults.answer("userinfo", JSONResponse({"error": "invalid_token"}, 401))
    clock.move(61)
    assert browser.fetch("/dashboard").status == 401


def ended_from_behind(browser: WatchedBrowser, provider: MisbehavingProvider, clock: Clock) -> None:
    provider.offers_revocation = True
    browser.log_in()
    sub = browser.me().json["user"]["sub"]
    behind = WatchedBrowser(browser.face)
    behind.watch = browser.watch
    good = provider.logout_token(sub)
    for token in (
        good[:-5] + "AAAAA",
        provider.logout_token(sub, nonce="x"),
        provider.logout_token(sub, exp=1),
        good,
        good,
    ):
        browser.watch.secret("logout token", token)
        behind.request("POST", "/auth/backchannel-logout", form={"logout_token": token})
    assert not browser.is_logged_in


STORIES: dict[Story, set[str]] = {
    login_and_logout: {"cross_site", "confirm_logout", "signed_out"},
    replay: {"login_expired"},
    refused_code: {"code_refused"},
    foreign_callback: {"login_expired"},
    wrong_issuer: {"callback_invalid"},
    twice: {"callback_invalid"},
    hostile_error: {"callback_invalid"},
    foreign_initiation: {"initiation_invalid"},
    denied: {"access_denied"},
    forged_token: {"token_invalid"},
    spoilt_token: {"token_invalid"},
    wrong_claims: {"token_invalid"},
    no_object_for_claims: {"token_invalid"},
    no_id_token: {"token_invalid"},
    broken_userinfo: {"provider_faulty"},
    echoing_provider: {"provider_faulty"},
    faulty_answers: {"provider_faulty"},
    refused_client: {"client_refused"},
    planted_cookies: {"base_url_missing", "path_refused", "not_found", "method_not_allowed"},
}
SEALED_STORIES: dict[Story, set[str]] = {too_large: {"session_too_large"}}
STORED_STORIES = [refreshed_tokens, revoked_at_the_provider, ended_from_behind]
ELSEWHERE = {"provider_unreachable", "store_unavailable", "internal_error"}  # each in a test of its own below


def named(story: object) -> str:
    return getattr(story, "__name__", "")


@pytest.mark.parametrize("kind", ["cookie", "memory"])
@pytest.mark.parametrize("story", STORIES, ids=named)
def test_no_secret_is_shown_to_anyone(
    browser: WatchedBrowser, provider: MisbehavingProvider, watch: Watch, hunt: Hunt, story: Story
) -> None:
    with objects_shown(watch):
        story(browser, provider)
    assert watch.codes >= STORIES[story]
    hunt()


@pytest.mark.parametrize("story", SEALED_STORIES, ids=named)
def test_no_secret_of_a_sealed_session_is_shown(
    browser: WatchedBrowser, provider: MisbehavingProvider, watch: Watch, hunt: Hunt, story: Story
) -> None:
    with objects_shown(watch):
        story(browser, provider)
    assert watch.codes >= SEALED_STORIES[story]
    hunt()


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@pytest.mark.parametrize("story", STORED_STORIES, ids=named)
def test_no_secret_of_a_stored_session_is_shown(
    browser: WatchedBrowser,
    provider: MisbehavingProvider,
    watch: Watch,
    hunt: Hunt,
    clock: Clock,
    story: Callable[[WatchedBrowser, MisbehavingProvider, Clock], None],
) -> None:
    with objects_shown(watch):
        story(browser, provider, clock)
    hunt()


def test_every_way_to_say_no_is_driven() -> None:
    def all_of(kind: type[errors.LoginRefused]) -> set[str]:
        return {kind.code}.union(*(all_of(below) for below in kind.__subclasses__()))

    driven = ELSEWHERE.union(*STORIES.values(), *SEALED_STORIES.values())
    assert driven == set(ENGLISH.texts)
    assert all_of(errors.LoginRefused) - {errors.LoginRefused.code} <= driven


@pytest.mark.parametrize("kind", ["cookie", "memory"])
@pytest.mark.parametrize("auth", ["client_secret_post", "client_secret_basic"])
def test_no_secret_is_shown_while_the_provider_is_down(
    guard: Guard, watch: Watch, hunt: Hunt, usual: Settings, auth: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with provider_alone() as (provider, server):
        browser = WatchedBrowser(guard(**(usual | provider.settings | {"client_auth": auth})))
        browser.watch = watch
        back = browser.choose(browser.start_login())
        server.stop()
        with objects_shown(watch):
            assert browser.come_back(back).code == "provider_unreachable"
            assert browser.get("/auth/login").status == 303  # its page cannot be reached, but is known
    hunt()


@pytest.mark.parametrize("proxy", ["http://user:{}@127.0.0.1:9", "http://user:{}@[127.0.0.1", "user:{}@127.0.0.1:port"])
def test_the_password_of_a_proxy_is_not_shown(
    guard: Guard, watch: Watch, hunt: Hunt, usual: Settings, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", proxy.format(PASSWORD))
    browser = WatchedBrowser(guard(**(usual | {"issuer": "https://login.example"})))
    browser.watch = watch
    with objects_shown(watch):
        assert browser.get("/auth/login").code in {"provider_unreachable", "provider_faulty"}
    hunt()


def test_no_secret_is_shown_by_a_fault_of_ours(
    browser: WatchedBrowser, watch: Watch, hunt: Hunt, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*asked: object) -> None:
        cookies = asked[-1]
        assert isinstance(cookies, bytes)
        raise ValueError(cookies.decode() + SESSION_SECRET + CLIENT_SECRET)

    browser.log_in()
    monkeypatch.setattr(Gate, "at_once", broken)
    monkeypatch.setattr(Gate, "ask", broken)
    assert browser.get("/dashboard").code == "internal_error"
    assert browser.fetch("/api/x").code == "internal_error"
    hunt()


# Stores that cannot be asked


class Broken(MemoryStore):
    """An app's own store, whose errors quote its password and what it was asked for."""

    broken = False

    def get(self, key: str) -> bytes | None:
        if self.broken:
            raise OSError(f"redis://:{PASSWORD}@host: GET {key}")
        return super().get(key)


class AsyncBroken(AsyncMemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self._store = Broken()

    def break_it(self) -> None:
        self._store = Broken()
        self._store.broken = True


def store_of_its_own(face_name: str, folder: Path) -> tuple[object, Callable[[], object]]:
    if face_name == "asgi":
        own = AsyncBroken()
        return own, own.break_it
    store = Broken()
    return store, lambda: setattr(store, "broken", True)


def sqlite_file(face_name: str, folder: Path) -> tuple[object, Callable[[], object]]:
    file = folder / "sessions.db"

    def take_it_away() -> None:
        file.unlink()
        file.mkdir()

    return f"sqlite:///{file}", take_it_away


@pytest.mark.parametrize("make", [store_of_its_own, sqlite_file], ids=named)
def test_no_secret_is_shown_while_the_store_is_down(
    guard: Guard, watch: Watch, hunt: Hunt, usual: Settings, face_name: str, tmp_path: Path, make: Any
) -> None:
    store, break_it = make(face_name, tmp_path)
    browser = WatchedBrowser(guard(**(usual | {"store": store, "keep_tokens": True})))
    browser.watch = watch
    browser.log_in()
    back = browser.choose(browser.start_login())
    break_it()
    with objects_shown(watch):
        assert browser.get("/dashboard").status == 503
        assert browser.fetch("/auth/me").code == "store_unavailable"
        browser.come_back(back)
        browser.post("/auth/logout")
    hunt()


@pytest.fixture(scope="module")
def locked_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("locked")) as server:
        assert server.ask("CONFIG SET requirepass the-right-one").startswith(b"+OK")
        yield server


def test_the_password_of_redis_is_not_shown(
    guard: Guard, watch: Watch, hunt: Hunt, usual: Settings, locked_redis: RedisServer
) -> None:
    for port in (locked_redis.port, 9):  # it refuses the password; nobody is there
        store = f"redis://user:{PASSWORD}@127.0.0.1:{port}/0"
        face = guard(**(usual | {"store": store}))
        browser = WatchedBrowser(face)
        browser.watch = watch
        with objects_shown(watch):
            assert browser.log_in().status == 503
            with pytest.raises(AuthError) as raised:
                face.sessions("ck_u_1")
        watch.shown.add(told_by(raised.value))
    hunt()


def told_by(error: BaseException) -> str:
    """Whatever an exception that leaves us, and those behind it, can tell."""
    told, seen = "".join(traceback.format_exception(error)), list[BaseException]()
    behind: BaseException | None = error
    while behind is not None:
        seen.append(behind)
        behind = behind.__cause__ or (None if behind.__suppress_context__ else behind.__context__)
    for one in seen:
        told += repr(one) + repr(one.args) + (repr(vars(one)) if isinstance(one, AuthError) else "")
    return told


def test_no_secret_leaves_with_an_error_of_access_token(
    guard: Guard, provider: MisbehavingProvider, watch: Watch, hunt: Hunt, usual: Settings, clock: Clock, face_name: str
) -> None:
    store = MemoryStore() if face_name == "wsgi" else AsyncMemoryStore()
    face = guard(**(usual | {"store": store, "keep_tokens": True}))
    browser = WatchedBrowser(face)
    browser.watch = watch
    browser.log_in()
    clock.move(ACCESS_LIFETIME + 1)
    provider.faults.answer("token", JSONResponse({"error": "x"}, 500))
    raised: list[str] = []
    original = errors.ProviderUnreachable.__init__

    def noted(self: errors.ProviderUnreachable, *words: object) -> None:
        original(self, *words)
        raised.append(told_by(self))

    with pytest.MonkeyPatch.context() as patch, objects_shown(watch):
        patch.setattr(errors.ProviderUnreachable, "__init__", noted)
        assert browser.get(TOKEN).json == {"error": "ProviderUnreachable"}
    assert raised
    watch.shown.update(raised)
    hunt()


# Settings


LEAKS: list[dict[str, Any]] = [
    {"client_secret": PASSWORD + "\n"},
    {"client_secret": PASSWORD.encode()},
    {"client_secret": [PASSWORD]},
    {"clientsecret": PASSWORD},
    {"session_secret": PASSWORD},
    {"session_secret": [PASSWORD, "change-me-" + PASSWORD]},
    {"session_secret": {PASSWORD: PASSWORD}},
    {"session_secret": PASSWORD + "\ud800" * 40},
    {"store": f"redis://:{PASSWORD}@host:port/0"},
    {"store": f"redis://:{PASSWORD}@host/0?decode_responses={PASSWORD}"},
    {"store": f"rediss://:{PASSWORD}@host/0?ssl_cert_reqs={PASSWORD}"},
    {"store": f"redis://:{PASSWORD}@[::1/0"},
    {"store": f"redis://:{PASSWORD}#{PASSWORD}@host/0"},
    {"store": f"postgres://:{PASSWORD}@host/0"},
    *[
        {name: f"https://user:{PASSWORD}@host.example/"}
        for name in ("issuer", "base_url", "redirect_uri", "token_endpoint", "jwks_uri", "end_session_endpoint")
    ],
]


@pytest.mark.parametrize("wrong", LEAKS, ids=lambda wrong: next(iter(wrong)))
@pytest.mark.parametrize("face", [WSGIAuthMiddleware, ASGIAuthMiddleware])
def test_no_secret_is_shown_by_settings_that_are_wrong(
    watch: Watch, hunt: Hunt, usual: Settings, provider: MisbehavingProvider, face: Any, wrong: dict[str, Any]
) -> None:
    async def asgi(scope: object, receive: object, send: object) -> None: ...

    def wsgi(environ: object, start_response: object) -> None: ...

    with pytest.raises(ConfigError) as refused:
        face(wsgi if face is WSGIAuthMiddleware else asgi, **(usual | provider.settings | wrong))
    watch.shown.add(told_by(refused.value))
    hunt()


def test_no_secret_is_shown_by_settings_that_are_right(watch: Watch, hunt: Hunt, configure: Configure) -> None:
    config = configure(session_secret=SESSION_SECRET, store=f"redis://:{PASSWORD}@host/0")
    watch.shown.update({repr(config), str(config), f"{config}"})
    with pytest.raises(AttributeError) as refused:
        config.client_secret = PASSWORD  # type: ignore[misc]  # it never changes
    watch.shown.add(told_by(refused.value))
    hunt()


@pytest.mark.parametrize("shown", ["in the log", "in an object", "on a page"])
def test_the_hunt_finds_what_there_is(browser: WatchedBrowser, watch: Watch, hunt: Hunt, shown: str) -> None:
    browser.log_in()
    if shown == "in the log":
        logging.getLogger("somebody.else").debug("cookies: %s", browser.cookies)
    elif shown == "in an object":
        watch.shown.add(repr(browser.cookies))
    else:
        watch.answers.append(Answer(200, [], repr(browser.cookies).encode()))
    with pytest.raises(AssertionError, match="cookie ck_session"):
        hunt()


# Comparisons


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Both sides of every comparison that takes the same time whatever it finds."""
    found: list[bytes] = []
    honest = hmac.compare_digest

    def recording(one: Any, other: Any, /) -> bool:
        found.extend(side.encode() if isinstance(side, str) else bytes(side) for side in (one, other))
        return honest(one, other)

    monkeypatch.setattr(hmac, "compare_digest", recording)
    monkeypatch.setattr(secrets, "compare_digest", recording)
    return found


@pytest.mark.parametrize("kind", ["cookie", "memory"])
def test_what_a_stranger_may_guess_is_compared_in_constant_time(
    browser: WatchedBrowser, provider: MisbehavingProvider, compared: list[bytes], kind: str
) -> None:
    hashes: list[str] = []

    def hashed(members: dict[str, Any]) -> dict[str, Any]:
        digest = hashlib.sha256(members["access_token"].encode()).digest()[:16]
        hashes.append(base64.urlsafe_b64encode(digest).rstrip(b"=").decode())
        return members

    provider.faults.token_response = hashed
    sent = query_of(browser.start_login())
    browser.log_in()
    url = browser.start_login()
    sent = query_of(url)
    assert browser.come_back(browser.choose(url)).status == 303
    assert compared.count(sent["state"].encode()) == 2  # what the callback says, and what the cookie remembers
    assert compared.count(sent["nonce"].encode()) == 2
    assert compared.count(hashes[-1].encode()) in {0, 2}  # twice where the provider sends at_hash
    compared.clear()
    assert browser.is_logged_in
    if kind == "memory":
        assert signature_of(browser.cookies["ck_session"]) in compared
    token = unescape(browser.get("/auth/logout").text.partition('name="token" value="')[2].partition('"')[0])
    compared.clear()
    posted = browser.request("POST", "/auth/logout", {"Accept": "text/html"}, form={"token": token})
    assert posted.status == 303
    assert signature_of(token) in compared
    assert compared.count(token.rsplit(".", 2)[0].encode()) == 2
    compared.clear()
    state = query_of(posted.location)["state"]
    browser.get("/?state=" + state)
    assert signature_of(state) in compared


def signature_of(signed: str) -> bytes:
    return base64.urlsafe_b64decode(signed.rpartition(".")[2] + "=")


def test_an_access_token_hash_is_compared_in_constant_time(
    browser: WatchedBrowser, provider: MisbehavingProvider, compared: list[bytes]
) -> None:
    provider.faults.id_token_claims = lambda claims: claims | {"at_hash": "a-hash-that-does-not-fit"}
    assert browser.log_in().code == "token_invalid"
    assert b"a-hash-that-does-not-fit" in compared


GUESSED = {
    "state",
    "nonce",
    "verifier",
    "code",
    "signature",
    "signed",
    "secret",
    "digest",
    "hash",
    "sid",
    "jti",
    "token",
}
GUESSED |= {"tokens", "cookie", "cookies", "sealed", "form", "hint", "lease", "right", "value", "password", "challenge"}
# Where `==` or `in` stands beside such a word all the same, and why nobody learns anything from how long it takes.
HARMLESS = {
    ("admin", "end_sessions", "(sub is None) == (sid is None)"),  # whether there is one
    ("seal", "octets", "value[-1] not in ENDINGS.get(over, b'')"),  # the last character, and all that may be one
    # With what was remembered under the end of the very same cookie, which holds its tag or signature: who has that has
    # the cookie, and nobody gets to it by guessing, one part after another.
    ("stored", "ask", "signed.pair != header"),
    ("stored", "_read", "signed.pair != pair"),
    ("stored", "ask", "known[0].sealed != sealed"),  # what the store says, and what it said before
    ("stored", "_judged", "known[0].sealed == sealed"),  # as above
    ("stores/memory", "swap", "kept.value != old"),  # what the caller read there a moment ago
    ("stores/memory", "delete", "value not in {None, kept.value}"),  # as above
}


def test_no_other_comparison_is_of_anything_to_be_guessed() -> None:
    found = set()
    for file in sorted(Path(OURS).rglob("*.py")):
        name = file.relative_to(OURS).with_suffix("").as_posix()
        if TOOLS.isdisjoint(name.split("/")):
            found |= {(name, *comparison) for comparison in comparisons(ast.parse(file.read_text("utf-8")))}
    assert found == HARMLESS


def comparisons(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Function and text of each comparison by value in which nothing is written out, and something is to be guessed."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Compare) and any(map(is_by_value, node.ops)):
                    sides = [node.left, *node.comparators]
                    if not any(map(is_constant, sides)) and any(words(side) & GUESSED for side in sides):
                        yield function.name, ast.unparse(node)


def is_by_value(operator: ast.cmpop) -> bool:
    return isinstance(operator, ast.Eq | ast.NotEq | ast.In | ast.NotIn)


def is_constant(node: ast.expr) -> bool:
    """Something that anybody can read in this code, such as `"cookie"`, `HTTP_OK` or `len(...)` of something."""
    if isinstance(node, ast.Tuple | ast.Set | ast.List):
        return all(map(is_constant, node.elts))
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in {"len", "type"}
    return isinstance(node, ast.Constant) or (isinstance(node, ast.Name) and node.id.isupper())


def words(node: ast.expr) -> set[str]:
    found: set[str] = set()
    for part in ast.walk(node):
        for text in (getattr(part, "id", ""), getattr(part, "attr", ""), getattr(part, "value", "")):
            found |= set(re.split("[^a-z]+", text)) if isinstance(text, str) else set()
    return found


def test_a_comparison_of_a_secret_would_be_found() -> None:
    careless = "def f(state, expected, user):\n return state == expected.value or user.token in [one.nonce]"
    assert len(list(comparisons(ast.parse(careless)))) == 2
    assert list(comparisons(ast.parse("def f(state):\n return state == 'x' or state == LOGGED_OUT"))) == []


# Strangers


ROUND = 4_096  # visits: after so many, what is remembered of paths is as far into a batch as before
WARMING = 5_120  # until that, and whatever else is remembered, is as large as it gets
MOST = 0.25  # blocks of memory for each visit; the smallest record of one takes several
MOST_BYTES = 100  # for each visit; the smallest record would take several hundred


class Forgetful(MemoryStore):
    """A store in which nothing may be left."""

    def put(self, key: str, value: bytes, *, ttl: float, owners: Sequence[str] = ()) -> None:
        raise AssertionError(f"somebody is remembered who has not logged in: {key}")


class AsyncForgetful(AsyncMemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self._store = Forgetful()


@pytest.fixture
def quiet() -> Iterator[None]:
    """What is logged is made as ever, and then given to nobody: a test run keeps all of it."""

    def nobody(record: logging.LogRecord) -> bool:
        return False

    LOGGER.addFilter(nobody)
    yield
    LOGGER.removeFilter(nobody)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("kind", ["cookie", "sqlite", "memory"])
def test_thousands_of_strangers_leave_nothing(
    guard: Guard,
    provider: MisbehavingProvider,
    kind: str,
    face_name: str,
    tmp_path: Path,
    long: bool,  # noqa: FBT001  # what a fixture is
    tally: Callable[[str, int], None],
) -> None:
    count = ROUND * (10 if long else 1)
    forgetful = Forgetful() if face_name == "wsgi" else AsyncForgetful()
    face = guard(store=forgetful) if kind == "memory" else guard()
    visits(face, provider, range(WARMING))
    gc.collect()
    before = sys.getallocatedblocks()
    visits(face, provider, range(WARMING, WARMING + count))
    gc.collect()
    assert sys.getallocatedblocks() - before < count * MOST
    assert [hit.endpoint for hit in provider.hits] == ["discovery"]
    assert face.seen == []
    assert rows(tmp_path / "sessions.db") == 0
    tally("visits", count)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("face_name", ["wsgi"])
def test_no_byte_is_kept_of_strangers(face: Face, provider: MisbehavingProvider, face_name: str) -> None:
    tracemalloc.start()  # first, so that what is forgotten later is counted too
    visits(face, provider, range(WARMING))
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    visits(face, provider, range(WARMING, WARMING + ROUND))
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < ROUND * MOST_BYTES


def visits(face: Face, provider: MisbehavingProvider, numbers: range) -> None:
    for number in numbers:
        visit_of_a_stranger(face, provider.issuer, number)


def visit_of_a_stranger(face: Face, issuer: str, number: int) -> None:
    host, odd = ("Host", "localhost:8000"), f"{number:x}"
    planted = ("Cookie", f"ck_session={odd}.{'x' * 40}; ck_login_{odd:0>16}={'A' * 200}")
    target, headers, statuses = [
        ("/auth/login?next=/" + odd, [host], {303}),
        ("/page/" + odd, [host, planted], {303}),
        (f"/auth/callback?state={odd}&code={odd}&iss={issuer}", [host, planted], {400}),
        ("/api/" + odd, [host], {401}),
        ("/auth/login", [("Host", f"{odd}.example")], {400}),
        (f"/auth/callback?error=access_denied&state={odd}", [host], {400}),
        ("/auth/me", [host, planted], {401}),
        (f"/auth/login?next=/{odd}", [host, planted], {303}),
    ][number % 8]
    assert face.ask(Asked("GET", target, headers)).status in statuses


def rows(file: Path) -> int:
    """How many sessions, and other things, an SQLite store has."""
    if not file.exists():
        return 0
    connection = sqlite3.connect(file)
    try:
        (found,) = connection.execute("SELECT count(*) FROM kept").fetchone()
        return int(found)
    finally:
        connection.close()
