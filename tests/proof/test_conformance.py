"""The OpenID Foundation's client conformance modules, each by its name, judged as its suite judges them."""

from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import pytest
from starlette.requests import Request
from starlette.responses import Response

from support import forgery
from support.browser import Browser, at_provider
from support.clock import Clock
from support.conformance import Judge, Run
from support.documents import AsWritten
from support.faces import Face, Guard, told
from support.forgery import Change, saying, without
from support.modules import (
    ACCEPTED,
    ANSWER_FOREIGN,
    ANSWER_REFUSED,
    BACK_CHANNEL,
    DEEP_LINK,
    ENDED,
    FAPI,
    LOGGED_OUT,
    LOGGED_OUT_ELSEHOW,
    MODULES,
    NOT_BEGUN,
    NOT_ENDED,
    PERSON_REFUSED,
    REFRESH_REFUSED,
    REFRESHED,
    RP_LOGOUT,
    TOKEN_REFUSED,
    Module,
    written,
)
from support.provider import CLIENT_ID, CLIENT_SECRET, Honest, MisbehavingProvider
from support.provider import Answer as ProviderAnswer

DOCUMENT = Path(__file__).parents[2] / "docs" / "conformance.md"
ELSEWHERE = "https://elsewhere.example"
Agreed = Callable[[str], Browser]

LOGOUT = {RP_LOGOUT, BACK_CHANNEL}


@pytest.fixture
def module(request: pytest.FixtureRequest) -> Module:
    """The row of the table that this test is named by."""
    return next(module for module in MODULES if module.test == request.node.originalname)


@pytest.fixture
def plays_on(module: Module) -> bool:
    """Whether it goes on after the login, for which the client needs a store."""
    return bool(LOGOUT.intersection(module.plans)) or "refresh" in module.name


@pytest.fixture
def kind(plays_on: bool) -> str:  # noqa: FBT001  # what another fixture found
    return "sqlite" if plays_on else "cookie"


@pytest.fixture
def face(guard: Guard, module: Module, plays_on: bool) -> Face:  # noqa: FBT001  # what another fixture found
    """The client under test."""
    algorithm = "PS256" if FAPI in module.plans else "RS256"
    return guard(client_auth="client_secret_basic", id_token_algorithms=[algorithm], public=["/"], keep_tokens=plays_on)


@pytest.fixture
def agreed(guard: Guard) -> Agreed:
    """Another client, with which this algorithm is agreed on: it takes what the one under test refuses."""

    def make(algorithm: str) -> Browser:
        return Browser(guard(client_auth="client_secret_basic", id_token_algorithms=[algorithm]))

    return make


@pytest.fixture
def behave(module: Module, provider: MisbehavingProvider) -> Callable[[], None]:
    """Makes the provider one that does nothing wrong, as the suite's is unless a module says otherwise."""
    provider.auth_methods = ("client_secret_basic",)

    def heal() -> None:
        provider.faults.heal()
        provider.faults.jwks = forgery.with_every_kind
        if FAPI in module.plans:
            provider.faults.jwks = lambda jwks: forgery.with_decoys(forgery.without_alg(jwks))
            provider.faults.sign = forgery.ps256
        if LOGOUT.intersection(module.plans):
            provider.faults.id_token_claims = saying(sid="sid-1")
            provider.faults.callback = saying(session_state="c2Vzc2lvbg.c2FsdA")

    heal()
    return heal


@pytest.fixture
def run(
    module: Module,
    provider: MisbehavingProvider,
    behave: Callable[[], None],
    face: Face,
    clock: Clock,
    tally: Callable[[str, int], None],
) -> Iterator[Run]:
    """The module on one face. What came of it last is what the table says, and every request kept the rules."""
    judge = Judge(provider)
    run = Run(provider, face, clock, lambda: tally("requests", judge.look()))
    yield run
    assert run.outcome == module.outcome
    behave()  # and now that nothing else is wrong:
    if run.outcome == NOT_ENDED:
        assert run.be_told() == ENDED
    elif not run.outcome.logged_in:
        assert run.log_in() == ACCEPTED


# Basic


def test_oidcc_client_test(run: Run) -> None:
    assert run.log_in() == ACCEPTED
    assert run.browser.me().json["user"]["name"] == "Quiet Otter"


def test_oidcc_client_test_invalid_iss(run: Run) -> None:
    run.faults.id_token_claims = saying(iss=ELSEWHERE)
    assert run.log_in() == TOKEN_REFUSED


def test_oidcc_client_test_missing_sub(run: Run) -> None:
    run.faults.id_token_claims = without("sub")
    assert run.log_in() == TOKEN_REFUSED


def test_oidcc_client_test_invalid_aud(run: Run) -> None:
    run.faults.id_token_claims = saying(aud=f"{CLIENT_ID}1")
    assert run.log_in() == TOKEN_REFUSED


def test_oidcc_client_test_missing_iat(run: Run) -> None:
    run.faults.id_token_claims = without("iat")
    assert run.log_in() == TOKEN_REFUSED


def test_oidcc_client_test_kid_absent_single_jwks(run: Run) -> None:
    run.faults.jwks = forgery.without_kid
    run.faults.id_token_header = without("kid")
    assert run.log_in() == ACCEPTED


def test_oidcc_client_test_kid_absent_multiple_jwks(run: Run) -> None:
    run.faults.jwks = lambda jwks: forgery.without_kid(forgery.with_other_keys(jwks))
    run.faults.id_token_header = without("kid")
    assert run.log_in() == ACCEPTED


def test_oidcc_client_test_idtoken_sig_rs256(run: Run) -> None:
    run.faults.sign = forgery.rs256
    assert run.log_in() == ACCEPTED


def test_oidcc_client_test_idtoken_sig_none(run: Run) -> None:
    run.faults.sign = forgery.alg_none
    assert run.log_in() == TOKEN_REFUSED


def test_oidcc_client_test_invalid_sig_rs256(run: Run) -> None:
    run.faults.sign = forgery.broken_signature
    assert run.log_in() == TOKEN_REFUSED


def test_oidcc_client_test_userinfo_invalid_sub(run: Run) -> None:
    run.faults.userinfo = lambda claims: claims | {"sub": claims["sub"] + "1"}
    assert run.log_in() == PERSON_REFUSED


def test_oidcc_client_test_nonce_invalid(run: Run) -> None:
    run.faults.id_token_claims = lambda claims: claims | {"nonce": claims["nonce"] + "1"}
    assert run.log_in() == TOKEN_REFUSED


def test_oidcc_client_test_scope_userinfo_claims(run: Run) -> None:
    assert run.log_in() == ACCEPTED
    assert run.provider.last("auth", "GET").query["scope"] == "openid profile email"
    claims = run.browser.me().json["user"]
    assert (claims["name"], claims["preferred_username"]) == ("Quiet Otter", "quiet.otter")
    assert (claims["email"], claims["email_verified"]) == ("quiet.otter@example.test", True)


def test_oidcc_client_test_client_secret_basic(run: Run) -> None:
    assert run.log_in() == ACCEPTED
    encoded = run.provider.last("token").headers["authorization"].removeprefix("Basic ")
    # RFC 6749, 2.3.1: what a colon or a percent in the secret would break otherwise.
    assert b64decode(encoded).decode() == f"{CLIENT_ID}:s%2Be%2Fc%3Dr%25e%3At%260123456789"


# Config


def test_oidcc_client_test_discovery_openid_config(run: Run) -> None:
    assert run.log_in() == ACCEPTED
    assert run.provider.hits[0].endpoint == "discovery"


def test_oidcc_client_test_discovery_jwks_uri_keys(run: Run) -> None:
    run.provider.move("jwks")
    assert run.log_in() == ACCEPTED
    assert run.provider.count("jwks") == 1


def test_oidcc_client_test_discovery_issuer_mismatch(run: Run) -> None:
    run.faults.discovery = saying(issuer=ELSEWHERE)
    assert run.log_in() == NOT_BEGUN
    assert {hit.endpoint for hit in run.provider.hits} == {"discovery"}


def test_oidcc_client_test_signing_key_rotation(run: Run) -> None:
    assert run.log_in() == ACCEPTED
    run.provider.rotate()
    assert run.log_in() == ACCEPTED
    assert run.provider.count("jwks") == 2


def test_oidcc_client_test_signing_key_rotation_just_before_signing(run: Run) -> None:
    assert run.log_in() == ACCEPTED  # the keys are known now, and a moment old
    run.faults.rotate_before_signing = True
    assert run.log_in() == ACCEPTED
    assert run.provider.count("jwks") == 2


# What the comprehensive plan has beside them


def test_oidcc_client_test_missing_aud(run: Run) -> None:
    run.faults.id_token_claims = without("aud")
    assert run.log_in() == TOKEN_REFUSED


def test_oidcc_client_test_nonce_unless_code_flow(run: Run) -> None:
    assert run.log_in() == ACCEPTED
    assert run.provider.last("auth", "GET").query["nonce"]


def test_oidcc_client_test_userinfo_bearer_header(run: Run) -> None:
    assert run.log_in() == ACCEPTED
    assert run.provider.last("userinfo").headers["authorization"].startswith("Bearer ")


# Refresh tokens


def test_oidcc_client_test_refresh_token(run: Run) -> None:
    run.log_in()
    assert run.refresh() == REFRESHED


def test_oidcc_client_test_refresh_token_invalid_issuer(run: Run) -> None:
    run.log_in()
    run.faults.id_token_claims = saying(iss=ELSEWHERE)
    assert run.refresh() == REFRESH_REFUSED


def test_oidcc_client_test_refresh_token_invalid_sub(run: Run) -> None:
    run.log_in()
    run.faults.id_token_claims = lambda claims: claims | {"sub": claims["sub"] + "1"}
    assert run.refresh() == REFRESH_REFUSED


def test_oidcc_client_test_refresh_token_invalid_aud(run: Run) -> None:
    run.log_in()
    run.faults.id_token_claims = saying(aud=f"{CLIENT_ID}1")
    assert run.refresh() == REFRESH_REFUSED


def test_oidcc_client_test_refresh_token_invalid_azp(run: Run) -> None:
    run.log_in()
    run.faults.id_token_claims = saying(azp=f"{CLIENT_ID}1")
    assert run.refresh() == REFRESH_REFUSED


# A login that another site begins


def test_oidcc_client_test_3rd_party_init_login(run: Run) -> None:
    parameters = {
        "iss": run.provider.issuer,
        "login_hint": "otter",
        "target_link_uri": "http://localhost:8000/dashboard",
    }
    assert run.log_in(f"/auth/login?{urlencode(parameters)}") == DEEP_LINK
    assert run.provider.last("auth", "GET").query["login_hint"] == "otter"


# Logout


def test_oidcc_client_test_rp_init_logout(run: Run) -> None:
    run.log_in()
    elsewhere = Browser(run.face)
    elsewhere.log_in(person="otter")
    sub = str(told(elsewhere.get("/dashboard"))["sub"])
    assert run.log_out(meanwhile=lambda: run.tell(sub)) == LOGGED_OUT
    assert not elsewhere.is_logged_in


def returning(change: Change) -> ProviderAnswer:
    """A log-out page that sends people back with another query than it should."""

    async def answer(request: Request, honest: Honest) -> Response:
        response = await honest()
        where, _, query = response.headers["location"].partition("?")
        response.headers["location"] = f"{where}?{urlencode(change(dict(parse_qsl(query))))}"
        return response

    return answer


def test_oidcc_client_test_rp_init_logout_other_state(run: Run) -> None:
    run.log_in()
    run.faults.answer("logout", returning(saying(state="another")))
    assert run.log_out() == LOGGED_OUT_ELSEHOW


def test_oidcc_client_test_rp_init_logout_no_state(run: Run) -> None:
    run.log_in()
    run.faults.answer("logout", returning(without("state")))
    assert run.log_out() == LOGGED_OUT_ELSEHOW


@pytest.fixture
def leaving(run: Run) -> Run:
    """Somebody with two sessions has logged out of one: what becomes of the other is for the provider to say."""
    run.log_in()
    elsewhere = Browser(run.face)
    elsewhere.log_in(person="otter")
    assert at_provider("GET", elsewhere.post("/auth/logout").location).status == 303
    return run


def test_oidcc_client_test_rp_backchannel_rpinitlogout(leaving: Run) -> None:
    assert leaving.be_told() == ENDED


def test_oidcc_client_test_rp_backchannel_rpinitlogout_alg_none(leaving: Run) -> None:
    leaving.faults.sign = forgery.alg_none
    assert leaving.be_told() == NOT_ENDED


def test_oidcc_client_test_rp_backchannel_rpinitlogout_no_event(leaving: Run) -> None:
    assert leaving.be_told(events=None) == NOT_ENDED


def test_oidcc_client_test_rp_backchannel_rpinitlogout_wrong_event(leaving: Run) -> None:
    assert leaving.be_told(events={"http://schemas.openid.net/event/foobar": {}}) == NOT_ENDED


def test_oidcc_client_test_rp_backchannel_rpinitlogout_with_nonce(leaving: Run) -> None:
    assert leaving.be_told(nonce="n") == NOT_ENDED


def test_oidcc_client_test_rp_backchannel_rpinitlogout_wrong_alg(leaving: Run, agreed: Agreed) -> None:
    leaving.faults.sign = forgery.es256
    assert leaving.be_told() == NOT_ENDED
    assert agreed("ES256").log_in().status == 303


def test_oidcc_client_test_rp_backchannel_rpinitlogout_wrong_aud(leaving: Run) -> None:
    assert leaving.be_told(aud=f"{CLIENT_ID}1") == NOT_ENDED


def test_oidcc_client_test_rp_backchannel_rpinitlogout_wrong_iss(leaving: Run) -> None:
    assert leaving.be_told(iss=ELSEWHERE) == NOT_ENDED


# FAPI 2.0


def test_fapi2_security_profile_final_client_test_discovery_issuer_mismatch(run: Run) -> None:
    run.faults.discovery = saying(issuer=ELSEWHERE)
    assert run.log_in() == NOT_BEGUN


def test_fapi2_security_profile_final_client_test_invalid_iss(run: Run) -> None:
    run.faults.id_token_claims = lambda claims: claims | {"iss": claims["iss"] + "1"}
    assert run.log_in() == TOKEN_REFUSED


def test_fapi2_security_profile_final_client_test_invalid_aud(run: Run) -> None:
    run.faults.id_token_claims = saying(aud=f"{CLIENT_ID}1")
    assert run.log_in() == TOKEN_REFUSED


def test_fapi2_security_profile_final_client_test_invalid_missing_iss(run: Run) -> None:
    run.faults.id_token_claims = without("iss")
    assert run.log_in() == TOKEN_REFUSED


def test_fapi2_security_profile_final_client_test_invalid_missing_aud(run: Run) -> None:
    run.faults.id_token_claims = without("aud")
    assert run.log_in() == TOKEN_REFUSED


def test_fapi2_security_profile_final_client_test_invalid_missing_exp(run: Run) -> None:
    run.faults.id_token_claims = without("exp")
    assert run.log_in() == TOKEN_REFUSED


def test_fapi2_security_profile_final_client_test_invalid_expired_exp(run: Run, clock: Clock) -> None:
    run.faults.id_token_claims = saying(exp=int(clock.now) - 6 * 60)
    assert run.log_in() == TOKEN_REFUSED


def test_fapi2_security_profile_final_client_test_invalid_secondary_aud(run: Run) -> None:
    run.faults.id_token_claims = saying(aud=[CLIENT_ID, f"{CLIENT_ID}1"])
    assert run.log_in() == TOKEN_REFUSED


def test_fapi2_security_profile_final_client_test_valid_aud_as_array(run: Run) -> None:
    run.faults.id_token_claims = saying(aud=[CLIENT_ID])
    assert run.log_in() == ACCEPTED


def test_fapi2_security_profile_final_client_test_invalid_nonce(run: Run) -> None:
    run.faults.id_token_claims = lambda claims: claims | {"nonce": claims["nonce"] + "1"}
    assert run.log_in() == TOKEN_REFUSED


def test_fapi2_security_profile_final_client_test_invalid_missing_nonce(run: Run) -> None:
    run.faults.id_token_claims = without("nonce")
    assert run.log_in() == TOKEN_REFUSED


def test_fapi2_security_profile_final_client_test_invalid_null_alg(run: Run) -> None:
    run.faults.sign = forgery.alg_none
    assert run.log_in() == TOKEN_REFUSED


def test_fapi2_security_profile_final_client_test_invalid_alternate_alg(run: Run, agreed: Agreed) -> None:
    run.faults.sign = forgery.rs256
    assert run.log_in() == TOKEN_REFUSED
    assert agreed("RS256").log_in().status == 303


def test_fapi2_security_profile_final_client_test_invalid_authorization_response_iss(run: Run) -> None:
    run.faults.callback = lambda query: query | {"iss": query["iss"] + "1"}
    assert run.log_in() == ANSWER_REFUSED


def test_fapi2_security_profile_final_client_test_remove_authorization_response_iss(run: Run) -> None:
    run.faults.callback = without("iss")
    assert run.log_in() == ANSWER_REFUSED


def test_fapi2_security_profile_final_client_test_ensure_authorization_response_with_invalid_state_fails(
    run: Run,
) -> None:
    run.faults.callback = lambda query: query | {"state": query["state"] + "1"}
    assert run.log_in() == ANSWER_FOREIGN


def test_fapi2_security_profile_final_client_test_ensure_authorization_response_with_invalid_missing_state_fails(
    run: Run,
) -> None:
    run.faults.callback = without("state")
    assert run.log_in() == ANSWER_REFUSED


def test_fapi2_security_profile_final_client_test_token_endpoint_response_without_expires_in(run: Run) -> None:
    run.faults.token_response = without("expires_in")
    assert run.log_in() == ACCEPTED


def test_fapi2_security_profile_final_client_test_token_type_case_insensitivity(run: Run) -> None:
    run.faults.token_response = saying(token_type="bEARER")
    assert run.log_in() == ACCEPTED


def test_fapi2_security_profile_final_client_refresh_token_test(run: Run) -> None:
    run.log_in()
    assert run.refresh() == REFRESHED
    assert run.refresh() == REFRESHED
    used = [hit.form["refresh_token"] for hit in run.provider.hits if "refresh_token" in hit.form]
    assert len(set(used)) == 2


# In no plan for this flow


def test_oidcc_client_test_invalid_athash(run: Run) -> None:
    run.faults.id_token_claims = saying(at_hash="AAAAAAAAAAAAAAAAAAAAAA")
    assert run.log_in() == TOKEN_REFUSED


def test_oidcc_client_test_missing_athash(run: Run) -> None:
    run.faults.id_token_claims = without("at_hash")
    assert run.log_in() == ACCEPTED


def test_oidcc_client_test_invalid_sig_hs256(run: Run) -> None:
    run.faults.sign = forgery.hs256(CLIENT_SECRET.encode())
    assert run.log_in() == TOKEN_REFUSED


def test_oidcc_client_test_invalid_sig_es256(run: Run, agreed: Agreed) -> None:
    run.faults.sign = forgery.es256
    assert run.log_in() == TOKEN_REFUSED
    assert agreed("ES256").log_in().status == 303


def test_oidcc_client_test_ignores_unparseable_key_in_jwks(run: Run) -> None:
    run.faults.jwks = forgery.with_unreadable_keys
    assert run.log_in() == ACCEPTED


# The table


def test_every_module_of_the_table_is_played_on_both_faces(request: pytest.FixtureRequest) -> None:
    file = request.node.getparent(pytest.Module)
    found = [item for item in pytest.Module.collect(file) if isinstance(item, pytest.Function)]
    played = Counter(item.originalname for item in found if "run" in item.fixturenames)
    faces = {(item.originalname, item.callspec.params["face_name"]) for item in found if item.originalname in played}
    assert faces == {(module.test, face) for module in MODULES for face in ("wsgi", "asgi")}
    assert set(played.values()) == {2}


def test_the_document_says_what_was_played(as_written: AsWritten) -> None:
    as_written(DOCUMENT, written)
