"""The development provider is as strict as a real one: every refusal stands beside what is let through."""

import asyncio
import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from html import unescape
from typing import Any
from urllib.parse import parse_qs, quote_plus, urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp

from ck_middleware import ConfigError
from ck_middleware.dev import Client, DevProvider, Person
from ck_middleware.dev.memory import MOST
from ck_middleware.dev.pages import STYLE
from support import forgery

ISSUER = "http://localhost:9000/op"
CALLBACK = "http://localhost:8000/auth/callback"
CALLBACK_WITH_QUERY = "http://localhost:8000/auth/callback?from=op"
HOME = "http://localhost:8000/"
SECRET = "s+e/c=r%e:t &"
APP = Client("ck_app", SECRET, [CALLBACK, CALLBACK_WITH_QUERY], [HOME])
OTHER = Client("ck_other", "of the other one", [CALLBACK], [HOME])
PUBLIC = Client("ck_public", None, [CALLBACK])
VERIFIER = "a-verifier.of_exactly~forty-three-characters"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
HONEST = {
    "response_type": "code",
    "client_id": "ck_app",
    "redirect_uri": CALLBACK,
    "scope": "openid profile email",
    "state": "the state & more",
    "nonce": "the nonce",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}

Changes = Mapping[str, str | None]


def changed(honest: Mapping[str, str], changes: Changes) -> dict[str, str]:
    """With these members in place of the honest ones; `None` leaves one out."""
    return {name: value for name, value in {**honest, **changes}.items() if value is not None}


class Visitor:
    """A browser and an app in one, in process."""

    def __init__(self, app: ASGIApp, runner: asyncio.Runner) -> None:
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost:9000")
        self._runner = runner

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def asking() -> httpx.Response:
            return await self._client.request(method, f"/op{path}", **options)

        return self._runner.run(asking())

    def open(self, **changes: str | None) -> httpx.Response:
        return self.ask("GET", "/auth", params=changed(HONEST, changes))

    def choose(self, page: httpx.Response, **choice: str) -> httpx.Response:
        (request_id, *_) = re.findall(r'name="request" value="([^"]+)"', page.text)
        return self.ask("POST", "/auth", data={"request": unescape(request_id)} | choice)

    def code(self, person: str = "otter", **changes: str | None) -> str:
        return query(self.choose(self.open(**changes), person=person))["code"]

    def redeem(self, code: str, headers: Mapping[str, str] | None = None, /, **changes: str | None) -> httpx.Response:
        honest = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER,
            "client_id": "ck_app",
            "client_secret": SECRET,
        }
        return self.ask("POST", "/token", data=changed(honest, changes), headers=headers)

    def tokens(self, person: str = "otter", /, **changes: str | None) -> dict[str, Any]:
        answer = self.redeem(self.code(person, **changes))
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def refresh(self, refresh_token: str, /, **changes: str | None) -> httpx.Response:
        honest = {"grant_type": "refresh_token", "refresh_token": refresh_token, "client_id": "ck_app"}
        return self.ask("POST", "/token", data=changed(honest | {"client_secret": SECRET}, changes))

    def userinfo(self, access_token: str, method: str = "GET") -> httpx.Response:
        return self.ask(method, "/userinfo", headers={"Authorization": f"Bearer {access_token}"})


def query(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code == 303, answer.text
    return {name: value for name, (value,) in parse_qs(urlsplit(answer.headers["location"]).query).items()}


def error(answer: httpx.Response, status: int = 400) -> str:
    assert answer.status_code == status
    assert answer.headers["cache-control"] == "no-store"
    assert set(answer.json()) == {"error", "error_description"}
    return str(answer.json()["error"])


def is_page(answer: httpx.Response, status: int) -> bool:
    return (
        answer.status_code == status
        and answer.headers["content-type"].startswith("text/html")
        and "location" not in answer.headers
    )


@pytest.fixture
def now() -> list[float]:
    """The provider's clock."""
    return [1_800_000_000.0]


@pytest.fixture
def provider(now: list[float]) -> DevProvider:
    return DevProvider(ISSUER, clients=[APP, OTHER, PUBLIC], keys=[forgery.rsa_key()], clock=lambda: now[0])


@pytest.fixture
def visitor(provider: DevProvider, runner: asyncio.Runner) -> Visitor:
    return Visitor(provider, runner)


# For this machine alone


@pytest.mark.parametrize(
    "issuer",
    [
        "http://localhost:9000",
        "http://127.0.0.1:9000/op",
        "http://[::1]:9000",
        "https://localhost",
        "http://127.1.2.3/",
    ],
)
def test_an_issuer_on_this_machine_is_taken(issuer: str) -> None:
    assert DevProvider(issuer, clients=[], keys=[forgery.rsa_key()]).issuer == issuer


@pytest.mark.parametrize(
    "issuer",
    [
        "https://op.example",
        "http://localhost.example",
        "http://10.0.0.1:9000",
        "http://0.0.0.0:9000",
        "ftp://localhost",
        "localhost:9000",
        "http://localhost@op.example",
        "http://localhost?x=1",
        "http://localhost#x",
        "",
    ],
)
def test_an_issuer_elsewhere_is_refused(issuer: str) -> None:
    with pytest.raises(ConfigError, match="this machine alone"):
        DevProvider(issuer, clients=[], keys=[forgery.rsa_key()])


def test_without_keys_it_makes_its_own() -> None:
    one, another = (DevProvider(ISSUER, clients=[]).jwks_document()["keys"] for _ in range(2))
    assert one[0]["n"] != another[0]["n"]


# Discovery


def test_what_discovery_promises_is_there(visitor: Visitor) -> None:
    document = visitor.ask("GET", "/.well-known/openid-configuration").json()
    assert document["issuer"] == ISSUER
    assert document["authorization_response_iss_parameter_supported"] is True
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert set(document["token_endpoint_auth_methods_supported"]) == {
        "client_secret_post",
        "client_secret_basic",
        "none",
    }
    addresses = [value for name, value in document.items() if name.endswith("_endpoint") or name == "jwks_uri"]
    assert len(addresses) == 5
    for address in addresses:
        assert visitor.ask("GET", address.removeprefix(ISSUER)).status_code != 404


def test_public_clients_are_not_promised_where_there_are_none() -> None:
    document = DevProvider(ISSUER, clients=[APP], keys=[forgery.rsa_key()]).discovery_document()
    assert "none" not in document["token_endpoint_auth_methods_supported"]


def test_only_public_halves_of_keys_are_published(visitor: Visitor) -> None:
    (key,) = visitor.ask("GET", "/.well-known/jwks.json").json()["keys"]
    assert set(key) == {"kty", "use", "alg", "kid", "n", "e"}
    assert len(base64.urlsafe_b64decode(key["n"] + "==")) * 8 == 2048


def test_a_slash_at_the_end_of_the_issuer_is_no_part_of_the_addresses() -> None:
    document = DevProvider(f"{ISSUER}/", clients=[], keys=[forgery.rsa_key()]).discovery_document()
    assert document["issuer"] == f"{ISSUER}/"
    assert document["token_endpoint"] == f"{ISSUER}/token"


def test_it_answers_mounted_too(provider: DevProvider, runner: asyncio.Runner) -> None:
    mounted = Visitor(Starlette(routes=[Mount("/op", provider)]), runner)
    assert mounted.ask("GET", "/.well-known/openid-configuration").json()["issuer"] == ISSUER


@pytest.mark.parametrize("path", ["", "/", "/auth/", "/tokens", "/../token"])
def test_other_paths_are_not_there(visitor: Visitor, path: str) -> None:
    assert visitor.ask("GET", path).status_code == 404


def test_other_methods_are_told_the_right_ones(visitor: Visitor) -> None:
    answer = visitor.ask("GET", "/token")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_other_protocols_are_not_spoken(provider: DevProvider, runner: asyncio.Runner) -> None:
    with pytest.raises(NotImplementedError):
        runner.run(provider({"type": "websocket"}, None, None))  # type: ignore[arg-type]  # nobody is there to talk to


# The authorization request


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"state": None},
        {"nonce": None},
        {"scope": "openid"},
        {"scope": "email openid offline_access"},
        {"prompt": "login"},
        {"response_mode": "query"},
        {"max_age": "0", "login_hint": "somebody", "unknown": "x"},
    ],
)
def test_an_honest_request_is_asked_who_signs_in(visitor: Visitor, changes: Changes) -> None:
    page = visitor.open(**changes)
    assert is_page(page, 200)
    assert "Who signs in?" in page.text


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "profile openidx"}, "invalid_scope"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": CHALLENGE[:42]}, "invalid_request"),
        ({"code_challenge": CHALLENGE + "A"}, "invalid_request"),
        ({"code_challenge": CHALLENGE[:42] + "="}, "invalid_request"),
        ({"prompt": "none"}, "login_required"),
        ({"request": "e30.e30."}, "request_not_supported"),
        ({"request_uri": "https://app.example/r"}, "request_uri_not_supported"),
        ({"registration": "{}"}, "registration_not_supported"),
    ],
)
def test_a_request_that_breaks_a_rule_is_sent_back(visitor: Visitor, changes: Changes, expected: str) -> None:
    answer = visitor.open(**changes)
    assert answer.headers["location"].startswith(CALLBACK)
    told = query(answer)
    assert told["error"] == expected
    assert told["error_description"]
    assert (told["state"], told["iss"]) == (HONEST["state"], ISSUER)
    assert "code" not in told


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": None},
        {"client_id": "ck_app1"},
        {"redirect_uri": None},
        {"redirect_uri": f"{CALLBACK}/"},
        {"redirect_uri": f"{CALLBACK}?x=1"},
        {"redirect_uri": "http://localhost:8001/auth/callback"},
        {"redirect_uri": "http://LOCALHOST:8000/auth/callback"},
        {"redirect_uri": "https://evil.example/"},
        {"redirect_uri": CALLBACK_WITH_QUERY, "client_id": "ck_other"},
    ],
)
def test_a_stranger_is_never_redirected_to(visitor: Visitor, changes: Changes) -> None:
    assert is_page(visitor.open(**changes), 400)


@pytest.mark.parametrize("extra", ["state=a", "client_id=ck_app", "redirect_uri=https://evil.example", "nonce=%ff"])
def test_a_parameter_given_twice_or_unreadable_is_refused(visitor: Visitor, extra: str) -> None:
    honest = httpx.QueryParams(HONEST)
    assert is_page(visitor.ask("GET", f"/auth?{honest}"), 200)
    assert is_page(visitor.ask("GET", f"/auth?{honest}&{extra}"), 400)


# The page, and the answer to it


def test_the_answer_carries_code_state_and_issuer(visitor: Visitor) -> None:
    answer = visitor.choose(visitor.open(), person="otter")
    assert answer.headers["location"].startswith(f"{CALLBACK}?code=")
    assert set(query(answer)) == {"code", "state", "iss"}
    assert (query(answer)["state"], query(answer)["iss"]) == (HONEST["state"], ISSUER)


def test_no_state_comes_back_where_none_was_sent(visitor: Visitor) -> None:
    assert set(query(visitor.choose(visitor.open(state=None), person="otter"))) == {"code", "iss"}


def test_the_query_of_a_redirect_uri_stays(visitor: Visitor) -> None:
    answer = visitor.choose(visitor.open(redirect_uri=CALLBACK_WITH_QUERY), person="otter")
    assert set(query(answer)) == {"from", "code", "state", "iss"}


def test_who_denies_is_sent_back_without_a_code(visitor: Visitor) -> None:
    told = query(visitor.choose(visitor.open(), decision="deny"))
    assert told["error"] == "access_denied"
    assert told["state"] == HONEST["state"]
    assert "code" not in told


def test_a_typed_name_is_a_person_too_and_the_same_one_again(visitor: Visitor) -> None:
    typed = [visitor.choose(visitor.open(), name=name) for name in ("Ada <b>", " Ada  <b> ", "Bob")]
    subs = [visitor.userinfo(visitor.redeem(query(answer)["code"]).json()["access_token"]).json() for answer in typed]
    assert [claims["name"] for claims in subs] == ["Ada <b>", "Ada <b>", "Bob"]
    assert subs[0]["sub"] == subs[1]["sub"] != subs[2]["sub"]


@pytest.mark.parametrize("choice", [{}, {"person": "nobody"}, {"name": " "}, {"name": "x" * 101}])
def test_a_choice_of_nobody_is_refused_and_can_be_mended(visitor: Visitor, choice: dict[str, str]) -> None:
    page = visitor.open()
    assert is_page(visitor.choose(page, **choice), 400)
    assert query(visitor.choose(page, name="x" * 100))["code"]


def test_a_page_is_answered_once(visitor: Visitor) -> None:
    page = visitor.open()
    assert query(visitor.choose(page, person="otter"))["code"]
    assert is_page(visitor.choose(page, person="otter"), 400)


def test_a_page_can_be_answered_for_fifteen_minutes(visitor: Visitor, now: list[float]) -> None:
    in_time, too_late = visitor.open(), visitor.open()
    now[0] += 899
    assert query(visitor.choose(in_time, person="otter"))["code"]
    now[0] += 1
    assert is_page(visitor.choose(too_late, person="otter"), 400)


@pytest.mark.parametrize(
    ("site", "status"), [("same-origin", 303), ("none", 303), ("cross-site", 400), ("same-site", 400)]
)
def test_another_site_cannot_choose_for_a_person(visitor: Visitor, site: str, status: int) -> None:
    request_id = re.findall(r'name="request" value="([^"]+)"', visitor.open().text)[0]
    form = {"request": request_id, "person": "otter"}
    assert visitor.ask("POST", "/auth", data=form, headers={"Sec-Fetch-Site": site}).status_code == status


def test_the_page_escapes_what_it_shows(runner: asyncio.Runner) -> None:
    client = Client('"><script>', SECRET, [CALLBACK])
    people = [Person('"><script>', '"><script>', note='"><script>')]
    provider = DevProvider(ISSUER, clients=[client], people=people, keys=[forgery.rsa_key()])
    visitor = Visitor(provider, runner)
    assert "<script" not in visitor.open(client_id='"><script>').text
    assert "<script" not in visitor.open(client_id="<script>").text


def test_the_page_says_what_it_is_and_needs_no_script(visitor: Visitor) -> None:
    page = visitor.open()
    assert "not ConsentKeys" in page.text
    assert "<script" not in page.text
    assert "//" not in page.text.replace(CALLBACK, "")  # nothing is loaded from anywhere


def test_the_policy_of_the_page_allows_its_style_and_its_redirect(visitor: Visitor) -> None:
    page = visitor.open()
    policy = page.headers["content-security-policy"]
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    assert f"<style>{STYLE}</style>" in page.text
    assert f"style-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "form-action" not in policy  # it would stop the redirect after the form


def test_it_forgets_the_oldest_page_and_no_other_when_it_has_many(visitor: Visitor) -> None:
    oldest, kept = visitor.open(), visitor.open()
    for _ in range(MOST - 1):
        visitor.open()
    assert is_page(visitor.choose(oldest, person="otter"), 400)
    assert query(visitor.choose(kept, person="otter"))["code"]


# The token request


def basic(client_id: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()}


IN_HEADER = {"client_id": None, "client_secret": None}


def test_a_code_is_redeemed_with_the_secret_in_the_form(visitor: Visitor) -> None:
    answer = visitor.redeem(visitor.code())
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert (answer.json()["token_type"], answer.json()["expires_in"]) == ("Bearer", 3600)
    assert answer.json()["scope"] == "email openid profile"


@pytest.mark.parametrize("changes", [IN_HEADER, {"client_secret": None}])
def test_a_code_is_redeemed_with_the_secret_in_the_header(visitor: Visitor, changes: Changes) -> None:
    headers = basic("ck_app", quote_plus(SECRET))
    assert visitor.redeem(visitor.code(), headers, **changes).status_code == 200


def test_a_public_client_needs_no_secret(visitor: Visitor) -> None:
    code = visitor.code(client_id="ck_public")
    assert visitor.redeem(code, client_id="ck_public", client_secret=None).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"client_secret": None},
        {"client_secret": SECRET[:-1]},
        {"client_secret": "of the other one"},
        {"client_id": "ck_app1"},
        {"client_id": None},
        {"client_id": "ck_public"},
    ],
)
def test_a_client_that_does_not_prove_itself_is_refused(visitor: Visitor, changes: Changes) -> None:
    code = visitor.code()
    refused = visitor.redeem(code, **changes)
    assert error(refused, 401) == "invalid_client"
    assert refused.headers["www-authenticate"].startswith("Basic ")
    assert visitor.redeem(code).status_code == 200  # the code is not spent by somebody else's try


@pytest.mark.parametrize(
    "headers",
    [
        basic("ck_app", SECRET),  # has a colon of its own: it was not form-encoded first
        basic("ck_app", "wrong"),
        basic("ck_public", ""),
        {"Authorization": "Basic %%%"},
        {"Authorization": "Bearer " + base64.b64encode(b"ck_app:secret").decode()},
    ],
)
def test_a_header_that_proves_nothing_is_refused(visitor: Visitor, headers: dict[str, str]) -> None:
    assert error(visitor.redeem(visitor.code(), headers, **IN_HEADER), 401) == "invalid_client"


def test_two_proofs_at_once_are_refused(visitor: Visitor) -> None:
    headers = basic("ck_app", quote_plus(SECRET))
    assert error(visitor.redeem(visitor.code(), headers)) == "invalid_request"
    assert error(visitor.redeem(visitor.code(), headers, client_id="ck_other", client_secret=None)) == "invalid_request"


@pytest.mark.parametrize("method", ["client_secret_post", "client_secret_basic"])
def test_only_the_methods_it_is_set_to_are_taken(visitor: Visitor, provider: DevProvider, method: str) -> None:
    provider.auth_methods = [method]
    in_form = visitor.redeem(visitor.code())
    in_header = visitor.redeem(visitor.code(), basic("ck_app", quote_plus(SECRET)), **IN_HEADER)
    taken, refused = (in_form, in_header) if method == "client_secret_post" else (in_header, in_form)
    assert taken.status_code == 200
    assert error(refused, 401) == "invalid_client"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"grant_type": None}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"code": None}, "invalid_request"),
        ({"code": "invented"}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_grant"),
        ({"redirect_uri": CALLBACK_WITH_QUERY}, "invalid_grant"),
        ({"code_verifier": None}, "invalid_request"),
        ({"code_verifier": VERIFIER[:-1]}, "invalid_grant"),
        ({"code_verifier": CHALLENGE}, "invalid_grant"),
        ({"code_verifier": "ä" * 50}, "invalid_grant"),
        ({"client_id": "ck_other", "client_secret": "of the other one"}, "invalid_grant"),
    ],
)
def test_a_token_request_that_breaks_a_rule_is_refused(visitor: Visitor, changes: Changes, expected: str) -> None:
    assert error(visitor.redeem(visitor.code(), **changes)) == expected


def test_a_verifier_that_is_too_short_is_refused_though_it_fits(visitor: Visitor) -> None:
    fitting = base64.urlsafe_b64encode(hashlib.sha256(b"short").digest()).rstrip(b"=").decode()
    assert error(visitor.redeem(visitor.code(code_challenge=fitting), code_verifier="short")) == "invalid_grant"


def test_a_code_is_used_once_and_a_second_use_ends_what_it_gave(visitor: Visitor) -> None:
    code = visitor.code()
    access_token = visitor.redeem(code).json()["access_token"]
    assert visitor.userinfo(access_token).status_code == 200
    assert error(visitor.redeem(code)) == "invalid_grant"
    assert visitor.userinfo(access_token).status_code == 401


def test_a_wrong_verifier_spends_the_code(visitor: Visitor) -> None:
    code = visitor.code()
    assert error(visitor.redeem(code, code_verifier="x" * 43)) == "invalid_grant"
    assert error(visitor.redeem(code)) == "invalid_grant"


def test_a_code_lasts_ten_minutes(visitor: Visitor, now: list[float]) -> None:
    in_time, too_late = visitor.code(), visitor.code()
    now[0] += 599
    assert visitor.redeem(in_time).status_code == 200
    now[0] += 1
    assert error(visitor.redeem(too_late)) == "invalid_grant"


def test_parameters_belong_in_the_form_and_once(visitor: Visitor) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    assert (
        error(visitor.ask("POST", "/token?client_id=ck_app", content="grant_type=x", headers=form)) == "invalid_request"
    )
    assert error(visitor.ask("POST", "/token", json={"grant_type": "authorization_code"})) == "invalid_request"
    assert error(visitor.ask("POST", "/token", content="code=a&code=b", headers=form)) == "invalid_request"
    assert error(visitor.ask("POST", "/token", content="code=" + "a" * 70000, headers=form), 413) == "invalid_request"


# The ID token


def id_token(visitor: Visitor, provider: DevProvider, **changes: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    tokens = visitor.tokens(**changes)
    return provider.keys[0].read(tokens["id_token"], ISSUER), tokens


def test_the_id_token_says_who_when_and_for_whom(visitor: Visitor, provider: DevProvider, now: list[float]) -> None:
    claims, tokens = id_token(visitor, provider)
    issued = int(now[0])
    digest = hashlib.sha256(tokens["access_token"].encode()).digest()[:16]
    assert claims == {
        "iss": ISSUER,
        "sub": Person("otter", "").sub("ck_app"),
        "aud": "ck_app",
        "iat": issued,
        "exp": issued + 3600,
        "auth_time": issued,
        "nonce": HONEST["nonce"],
        "at_hash": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
    }


def test_no_nonce_is_told_where_none_was_sent(visitor: Visitor, provider: DevProvider) -> None:
    assert "nonce" not in id_token(visitor, provider, nonce=None)[0]


def test_the_id_token_names_its_key(visitor: Visitor, provider: DevProvider) -> None:
    header = visitor.tokens()["id_token"].partition(".")[0]
    assert base64.urlsafe_b64decode(header + "==") == b'{"alg":"RS256","kid":"key-0","typ":"JWT"}'


def test_a_person_has_another_name_at_each_client(visitor: Visitor) -> None:
    subs = {Person("otter", "").sub(client) for client in ("ck_app", "ck_other")}
    assert len(subs) == 2
    assert all(re.fullmatch(r"ck_u_[0-9a-f]{32}", sub) for sub in subs)
    assert visitor.userinfo(visitor.tokens()["access_token"]).json()["sub"] in subs


# Refresh


def test_a_refresh_token_gives_new_tokens_without_a_nonce(visitor: Visitor, provider: DevProvider) -> None:
    before = visitor.tokens()
    after = visitor.refresh(before["refresh_token"]).json()
    assert before["access_token"] != after["access_token"]
    assert before["refresh_token"] != after["refresh_token"]
    old, new = (provider.keys[0].read(tokens["id_token"], ISSUER) for tokens in (before, after))
    assert "nonce" not in new
    assert (old["sub"], old["auth_time"]) == (new["sub"], new["auth_time"])


def test_a_refresh_token_used_again_ends_them_all(visitor: Visitor) -> None:
    first = visitor.tokens()["refresh_token"]
    second = visitor.refresh(first).json()
    assert error(visitor.refresh(first)) == "invalid_grant"
    assert error(visitor.refresh(second["refresh_token"])) == "invalid_grant"
    assert visitor.userinfo(second["access_token"]).status_code == 401


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"refresh_token": None}, "invalid_request"),
        ({"refresh_token": "invented"}, "invalid_grant"),
        ({"client_id": "ck_other", "client_secret": "of the other one"}, "invalid_grant"),
    ],
)
def test_a_refresh_that_breaks_a_rule_is_refused(visitor: Visitor, changes: Changes, expected: str) -> None:
    refresh_token = visitor.tokens()["refresh_token"]
    assert error(visitor.refresh(refresh_token, **changes)) == expected
    assert visitor.refresh(refresh_token).status_code == 200


def test_who_takes_consent_back_ends_every_code_and_token(visitor: Visitor, provider: DevProvider) -> None:
    tokens, code = visitor.tokens(), visitor.code()
    somebody_else = visitor.tokens("heron")
    provider.revoke("otter")
    assert visitor.userinfo(tokens["access_token"]).status_code == 401
    assert error(visitor.refresh(tokens["refresh_token"])) == "invalid_grant"
    assert error(visitor.redeem(code)) == "invalid_grant"
    assert visitor.userinfo(somebody_else["access_token"]).status_code == 200


# Userinfo


@pytest.mark.parametrize(
    ("scope", "names"),
    [
        ("openid", set()),
        ("openid profile", {"name", "preferred_username"}),
        ("openid email", {"email", "email_verified"}),
        ("openid profile email", {"name", "preferred_username", "email", "email_verified"}),
    ],
)
def test_userinfo_tells_what_the_scope_allows(visitor: Visitor, scope: str, names: set[str]) -> None:
    answer = visitor.userinfo(visitor.tokens(scope=scope)["access_token"])
    assert set(answer.json()) == {"sub"} | names
    assert answer.headers["cache-control"] == "no-store"


def test_some_people_have_no_email(visitor: Visitor) -> None:
    assert set(visitor.userinfo(visitor.tokens("heron")["access_token"]).json()) == {
        "sub",
        "name",
        "preferred_username",
    }


def test_userinfo_can_be_posted_to_and_the_scheme_is_any_case(visitor: Visitor) -> None:
    access_token = visitor.tokens()["access_token"]
    assert visitor.userinfo(access_token, "POST").status_code == 200
    assert visitor.ask("GET", "/userinfo", headers={"Authorization": f"bEARER {access_token}"}).status_code == 200


@pytest.mark.parametrize(
    "ask",
    [
        lambda visitor, token: visitor.ask("GET", "/userinfo"),
        lambda visitor, token: visitor.ask("GET", "/userinfo", params={"access_token": token}),
        lambda visitor, token: visitor.ask("POST", "/userinfo", data={"access_token": token}),
        lambda visitor, token: visitor.ask("GET", "/userinfo", headers={"Authorization": f"Basic {token}"}),
    ],
)
def test_a_token_elsewhere_than_in_the_header_is_not_read(
    visitor: Visitor, ask: Callable[[Visitor, str], httpx.Response]
) -> None:
    answer = ask(visitor, visitor.tokens()["access_token"])
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="userinfo"'


@pytest.mark.parametrize("kind", ["id_token", "refresh_token"])
def test_another_kind_of_token_is_refused(visitor: Visitor, kind: str) -> None:
    answer = visitor.userinfo(visitor.tokens()[kind])
    assert error(answer, 401) == "invalid_token"
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def test_an_access_token_lasts_an_hour(visitor: Visitor, now: list[float]) -> None:
    access_token = visitor.tokens()["access_token"]
    now[0] += 3599
    assert visitor.userinfo(access_token).status_code == 200
    now[0] += 1
    assert error(visitor.userinfo(access_token), 401) == "invalid_token"


# Logout


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_logout_returns_to_a_registered_address_with_its_state(visitor: Visitor, method: str) -> None:
    parameters = {"client_id": "ck_app", "post_logout_redirect_uri": HOME, "state": "s t"}
    answer = visitor.ask(method, "/logout", **{"params" if method == "GET" else "data": parameters})
    assert answer.headers["location"] == f"{HOME}?state=s+t"
    assert answer.status_code == 303


def test_logout_knows_the_client_by_an_id_token_also_an_old_one(visitor: Visitor, now: list[float]) -> None:
    now[0] -= 1_000_000_000
    parameters = {"id_token_hint": visitor.tokens()["id_token"], "post_logout_redirect_uri": HOME}
    assert visitor.ask("GET", "/logout", params=parameters).headers["location"] == HOME
    both = visitor.ask("GET", "/logout", params=parameters | {"client_id": "ck_app"})
    assert both.headers["location"] == HOME
    another = visitor.ask("GET", "/logout", params=parameters | {"client_id": "ck_other"})
    assert is_page(another, 400)


@pytest.mark.parametrize("parameters", [{}, {"client_id": "ck_app"}, {"state": "x"}])
def test_logout_without_an_address_says_so_on_a_page(visitor: Visitor, parameters: dict[str, str]) -> None:
    answer = visitor.ask("GET", "/logout", params=parameters)
    assert is_page(answer, 200)
    assert "Signed out" in answer.text


@pytest.mark.parametrize(
    "changes",
    [
        {"post_logout_redirect_uri": "http://localhost:8000"},
        {"post_logout_redirect_uri": f"{HOME}?x=1"},
        {"post_logout_redirect_uri": "https://evil.example/"},
        {"client_id": None},
        {"client_id": "ck_unknown"},
        {"client_id": "ck_public"},
        {"id_token_hint": "no token"},
        {"id_token_hint": forgery.another_key(forgery.rsa_key(), {"alg": "RS256"}, {"iss": ISSUER, "aud": "ck_app"})},
    ],
)
def test_logout_never_redirects_to_a_stranger(visitor: Visitor, changes: Changes) -> None:
    honest = {"client_id": "ck_app", "post_logout_redirect_uri": HOME}
    assert is_page(visitor.ask("GET", "/logout", params=changed(honest, changes)), 400)
