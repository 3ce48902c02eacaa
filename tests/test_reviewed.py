"""What a hostile reader of this code found, so that nobody finds it again."""

import asyncio
import threading

import httpx
import pytest
from starlette.responses import Response

from ck_middleware import get_session
from ck_middleware.jose import read_keys
from ck_middleware.looping import LoopHttp
from ck_middleware.stores.memory import MemoryStore
from ck_middleware.tokens import Tokens
from support import forgery
from support.browser import Browser
from support.clock import Clock
from support.faces import ASGIFace, Asked, Configure, Face, Guard, WSGIFace
from support.provider import MisbehavingProvider


@pytest.mark.timeout(60)  # seconds; a step for each pair of headers would take minutes
@pytest.mark.parametrize("name", ["Remote-User", "Cookie", "X"])
def test_many_headers_cost_no_more_than_their_number(configure: Configure, runner: asyncio.Runner, name: str) -> None:
    face = ASGIFace(configure(), runner)
    headers = [(name, "x")] * 30_000 + [("A", "b")] * 30_000
    for _ in range(3):
        assert face.ask(Asked("GET", "/", headers)).status == 303


@pytest.mark.parametrize("endpoint", ["discovery", "token", "jwks", "userinfo"])
def test_a_media_type_beyond_ascii_is_the_providers_fault(
    guard: Guard, provider: MisbehavingProvider, endpoint: str
) -> None:
    odd = Response(b"{}", media_type="application/json\xe9")
    browser = Browser(guard())
    if endpoint == "discovery":
        provider.faults.answer(endpoint, odd)
        assert browser.get("/auth/login").status == 502
        return
    callback = browser.choose(browser.start_login())
    provider.faults.answer(endpoint, odd)
    assert browser.come_back(callback).status == 502


@pytest.mark.parametrize("name", ["token_endpoint", "jwks_uri", "userinfo_endpoint"])
@pytest.mark.parametrize("address", ["https://xn--a/", f"https://{'a' * 64}.example/"])
def test_an_endpoint_that_is_no_host_never_ends_in_a_500(
    guard: Guard, provider: MisbehavingProvider, name: str, address: str
) -> None:
    provider.faults.discovery = lambda document: document | {name: address}
    browser = Browser(guard())
    begun = browser.get("/auth/login")
    answer = browser.come_back(browser.choose(begun.location)) if begun.status == 303 else begun
    assert answer.status in {502, 503}


@pytest.mark.parametrize("location", ["https://xn--a/", "javascript:x", "http://[/"])
def test_a_redirect_to_nowhere_never_ends_in_a_500(guard: Guard, provider: MisbehavingProvider, location: str) -> None:
    provider.faults.answer("discovery", Response(status_code=302, headers={"Location": location}))
    assert Browser(guard()).get("/auth/login").status in {502, 503}


def test_logging_out_works_whatever_the_provider_says(guard: Guard, provider: MisbehavingProvider, face: Face) -> None:
    browser = Browser(face)
    browser.log_in()
    fresh = Browser(guard(), cookies=browser.cookies)  # a worker that knows nothing of the provider yet
    provider.faults.answer("discovery", Response(b"{}", media_type="application/json\xe9"))
    assert fresh.post("/auth/logout").status == 303
    assert not fresh.is_logged_in


@pytest.mark.usefixtures("light_clients")
def test_a_websocket_over_wsgi_from_another_site_is_nobody(configure: Configure) -> None:
    face = WSGIFace(configure())
    browser = Browser(face)
    browser.log_in()
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
    assert browser.get("/", upgrade | {"Origin": browser.origin}).status == 200
    assert browser.get("/", upgrade | {"Origin": "http://localhost:6666"}).status == 401


def test_a_provider_in_trouble_is_not_asked_for_every_stranger(guard: Guard, provider: MisbehavingProvider) -> None:
    provider.faults.answer("discovery", Response(status_code=500))
    browser = Browser(guard())
    assert {browser.get("/auth/login").status for _ in range(100)} == {502}
    assert provider.count("discovery") < 10


def test_a_private_or_immense_key_is_not_even_tried() -> None:
    (whole,) = read_keys({"keys": [forgery.rsa_jwk(forgery.rsa_key(1))]})
    assert read_keys({"keys": [whole.fields | {"d": "AQAB"}]}) == ()
    assert read_keys({"keys": [whole.fields | {"n": "A" * 20_000}]}) == ()
    assert read_keys({"keys": [whole.fields | {"e": "A" * 20_000}]}) == ()


@pytest.mark.parametrize("mount", ["//", "//evil.example", "/a//b", "/a/../b"])
def test_a_mount_that_leads_elsewhere_is_refused(configure: Configure, mount: str) -> None:
    answer = WSGIFace(configure()).ask(Asked("GET", "/x", [("Host", "localhost:8000")], mount=mount))
    assert answer.status == 400
    assert answer.every("location") == []


def test_a_mount_is_cut_off_once(guard: Guard) -> None:
    face = guard(base_url="http://localhost:8000/pre")
    assert Browser(face, mount="/pre").get("/pre/auth/me").status == 401
    doubled = Browser(face, mount="/pre").get("/pre/pre/auth/me")
    assert doubled.location == "/pre/auth/login?next=%2Fpre%2Fpre%2Fauth%2Fme"


def test_a_session_of_another_issuer_is_nobodys(guard: Guard, browser: Browser) -> None:
    browser.log_in()
    assert browser.is_logged_in
    assert not Browser(guard(issuer="http://127.0.0.1:9"), cookies=browser.cookies).is_logged_in


def test_two_loops_at_once_do_not_release_each_others_locks() -> None:
    lock = LoopHttp(60).lock()
    failures: list[BaseException] = []

    async def take_turns() -> None:
        async def once() -> None:
            async with lock:
                await asyncio.sleep(0.001)

        await asyncio.wait_for(asyncio.gather(*(once() for _ in range(50))), 60)

    def run() -> None:
        try:
            asyncio.run(take_turns())
        except BaseException as exc:  # noqa: BLE001  # whatever it is, the test is to hear of it
            failures.append(exc)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_shared_caches_are_told_nothing_else(guard: Guard) -> None:
    face = guard(public=["/page"], answer_headers=[("CDN-Cache-Control", "max-age=600")])
    answer = Browser(face, cookies={"ck_session": "no session"}).get("/page")
    assert answer.every("set-cookie")
    assert answer.every("cdn-cache-control") == []
    assert httpx.Headers(answer.headers)["cache-control"] == "private"


class Forgetful(MemoryStore):
    """Fails at one method, while the others work."""

    broken = ""

    def owned(self, owner: str) -> list[str]:
        if self.broken == "owned":
            raise OSError("gone")
        return super().owned(owner)


@pytest.fixture
def forgetful() -> Forgetful:
    return Forgetful()


@pytest.fixture
def guarded(configure: Configure, forgetful: Forgetful, light_clients: None) -> WSGIFace:
    return WSGIFace(configure(store=forgetful, keep_tokens=True, recheck="1m"))


def test_a_logout_token_that_could_not_be_obeyed_is_heard_again(
    guarded: WSGIFace, forgetful: Forgetful, provider: MisbehavingProvider
) -> None:
    ada = Browser(guarded)
    ada.log_in()
    token = provider.logout_token(ada.me().json["user"]["sub"])
    forgetful.broken = "owned"
    provider_side = Browser(guarded)
    assert provider_side.request("POST", "/auth/backchannel-logout", form={"logout_token": token}).status == 400
    assert ada.is_logged_in
    forgetful.broken = ""
    assert provider_side.request("POST", "/auth/backchannel-logout", form={"logout_token": token}).status == 200
    assert not ada.is_logged_in


def test_signing_out_everywhere_can_be_said_again_when_the_store_failed(
    guarded: WSGIFace, forgetful: Forgetful
) -> None:
    laptop, phone = Browser(guarded), Browser(guarded)
    laptop.log_in()
    phone.log_in()
    forgetful.broken = "owned"
    assert laptop.post("/auth/logout", form={"everywhere": "1"}).status == 503
    forgetful.broken = ""
    assert laptop.post("/auth/logout", form={"everywhere": "1"}).status == 303
    assert not phone.is_logged_in


def test_a_strangers_logout_token_does_not_end_anybodys_session(
    guarded: WSGIFace, provider: MisbehavingProvider, clock: Clock
) -> None:
    """One of an unknown key makes us ask for keys in vain. A session that is confirmed just then waits, and stands."""
    ada = Browser(guarded)
    ada.log_in()
    header = {"alg": "RS256", "kid": "nobody's", "typ": "logout+jwt"}
    junk = forgery.rs256(forgery.rsa_key(9), header, {"iss": provider.issuer})
    assert Browser(guarded).request("POST", "/auth/backchannel-logout", form={"logout_token": junk}).status == 400
    provider.rotate()
    clock.move(61)
    assert ada.is_logged_in


def test_new_tokens_are_kept_though_their_signature_cannot_be_checked_yet(
    guarded: WSGIFace, configure: Configure, forgetful: Forgetful, provider: MisbehavingProvider, clock: Clock
) -> None:
    """The old refresh token is spent: to send it again would look like theft, and end the session."""
    ada = Browser(guarded)
    ada.log_in()
    other = WSGIFace(configure(store=forgetful, keep_tokens=True, recheck="1m"))  # a worker that knows no keys yet
    elsewhere = Browser(other, cookies=ada.cookies)
    provider.faults.answer("jwks", Response(status_code=503))
    clock.move(61)
    assert elsewhere.is_logged_in
    provider.faults.heal("jwks")
    clock.move(61)
    assert elsewhere.is_logged_in
    assert provider.count("token") == 3


def test_an_odd_subject_in_a_logout_token_is_no_error_of_ours(guarded: WSGIFace, provider: MisbehavingProvider) -> None:
    for changes in ({"sub": "\ud800"}, {"sid": "\ud800"}, {"jti": "\ud800"}):
        claims = {"sub": "ck_u_1"} | changes
        token = provider.logout_token(claims.pop("sub"), **claims)
        answer = Browser(guarded).request("POST", "/auth/backchannel-logout", form={"logout_token": token})
        assert answer.status in {200, 400}


def test_what_a_debugger_shows_of_a_session_has_no_token(guarded: WSGIFace) -> None:
    ada = Browser(guarded)
    ada.log_in()
    ada.get("/")
    session = get_session(guarded.carriers[-1])
    assert session is not None
    token = session.access_token()
    assert token
    assert token not in repr(session._found) + repr(Tokens(token, refresh_token=token)) + repr(session)
