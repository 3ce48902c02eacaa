"""What was fetched is believed for a while: how long, and when it is fetched anew."""

import pytest
from starlette.responses import HTMLResponse, JSONResponse, Response

from ck_middleware.errors import ProviderFaulty, ProviderUnreachable, TokenInvalid
from ck_middleware.provider import COOLDOWN
from ck_middleware.snapshot import BELIEVED, FRESH, RETRY, Snapshot
from support import forgery
from support.forgery import without
from support.provider import MisbehavingProvider
from support.relying import Client, Clients, Hours, misbehave

# How long an answer is believed


def test_metadata_and_keys_are_used_for_a_while(client: Client, provider: MisbehavingProvider, hours: Hours) -> None:
    client.log_in()
    hours.pass_by(FRESH - 1)
    client.log_in()
    assert (provider.count("discovery"), provider.count("jwks")) == (1, 1)
    hours.pass_by(1)
    client.log_in()
    client.log_in()
    assert (provider.count("discovery"), provider.count("jwks")) == (2, 2)


def test_what_the_provider_says_anew_replaces_the_old(
    client: Client, provider: MisbehavingProvider, hours: Hours
) -> None:
    client.log_in()
    provider.faults.discovery = without("userinfo_endpoint")
    assert client.discover().userinfo_endpoint
    hours.pass_by(FRESH)
    assert client.discover().userinfo_endpoint is None


@pytest.mark.parametrize(
    "failure",
    [
        {"discovery": HTMLResponse("down", 503), "jwks": HTMLResponse("down", 503)},
        {"discovery": JSONResponse({"issuer": "https://evil.example"}), "jwks": JSONResponse({"keys": None})},
        {"discovery": HTMLResponse("down", 503)},
        {"jwks": HTMLResponse("down", 503)},
    ],
)
class TestOutage:
    @pytest.fixture(autouse=True)
    def outage(self, client: Client, provider: MisbehavingProvider, hours: Hours, failure: dict[str, Response]) -> None:
        """It begins when somebody has logged in."""
        client.log_in()
        for endpoint, answer in failure.items():
            provider.faults.answer(endpoint, answer)

    def test_the_old_answers_stay_in_use(self, client: Client, hours: Hours) -> None:
        hours.pass_by(FRESH)
        assert client.log_in()["name"] == "Ada"
        hours.pass_by(BELIEVED - FRESH - 1)
        assert client.log_in()["name"] == "Ada"

    def test_they_are_not_believed_for_ever(self, client: Client, provider: MisbehavingProvider, hours: Hours) -> None:
        hours.pass_by(BELIEVED)
        with pytest.raises(ProviderFaulty):
            client.log_in()
        provider.faults.heal()
        assert client.log_in()["name"] == "Ada"

    def test_the_provider_is_asked_again_at_intervals(
        self, client: Client, provider: MisbehavingProvider, hours: Hours, failure: dict[str, Response]
    ) -> None:
        hours.pass_by(FRESH)
        provider.hits.clear()
        for _ in range(3):
            client.log_in()
        assert [provider.count(endpoint) for endpoint in failure] == [1] * len(failure)
        provider.faults.heal()
        hours.pass_by(RETRY)
        client.log_in()
        client.log_in()
        assert [provider.count(endpoint) for endpoint in failure] == [2] * len(failure)


def test_an_outage_ends_when_the_answers_are_too_old_even_between_two_attempts(
    client: Client, provider: MisbehavingProvider, hours: Hours
) -> None:
    client.discover()
    provider.faults.answer("discovery", HTMLResponse("down", 503))
    hours.pass_by(BELIEVED - 1)
    assert client.discover().issuer == provider.issuer
    hours.pass_by(RETRY)
    with pytest.raises(ProviderFaulty):
        client.discover()


# Keys that change


def test_new_keys_are_fetched_when_a_token_names_one(client: Client, provider: MisbehavingProvider) -> None:
    client.log_in()
    provider.rotate()
    assert client.log_in()["name"] == "Ada"
    assert client.log_in()["name"] == "Ada"
    assert provider.count("jwks") == 2


def test_keys_may_change_twice_in_a_row(client: Client, provider: MisbehavingProvider) -> None:
    client.log_in()
    for _ in range(2):
        provider.rotate()
        assert client.log_in()["name"] == "Ada"
    assert provider.count("jwks") == 3


def test_keys_may_change_just_before_a_token_is_signed(client: Client, provider: MisbehavingProvider) -> None:
    client.log_in()
    provider.faults.rotate_before_signing = True
    assert client.log_in()["name"] == "Ada"
    assert provider.count("jwks") == 2


def test_keys_may_change_though_tokens_name_none(client: Client, provider: MisbehavingProvider) -> None:
    misbehave(provider, {"id_token_header": without("kid"), "jwks": forgery.without_kid})
    client.log_in()
    provider.rotate()
    assert client.log_in()["name"] == "Ada"
    assert provider.count("jwks") == 2


def test_a_key_that_nobody_published_is_asked_for_once_and_then_not_for_a_while(
    client: Client, provider: MisbehavingProvider, hours: Hours
) -> None:
    client.log_in()
    provider.faults.id_token_header = lambda header: header | {"kid": "unknown"}
    for fetches in (2, 2, 2):
        with pytest.raises(TokenInvalid):
            client.log_in()
        assert provider.count("jwks") == fetches
    hours.pass_by(COOLDOWN)
    with pytest.raises(TokenInvalid):
        client.log_in()
    assert provider.count("jwks") == 3


def test_a_key_that_nobody_published_disturbs_no_other_login(
    client: Client, provider: MisbehavingProvider, hours: Hours
) -> None:
    client.log_in()
    provider.faults.id_token_header = lambda header: header | {"kid": "unknown"}
    with pytest.raises(TokenInvalid):
        client.log_in()
    provider.faults.heal()
    assert client.log_in()["name"] == "Ada"
    provider.rotate()
    hours.pass_by(COOLDOWN)
    assert client.log_in()["name"] == "Ada"


def test_a_wrong_signature_of_a_known_key_is_no_reason_to_ask_again(
    client: Client, provider: MisbehavingProvider
) -> None:
    client.log_in()
    provider.faults.sign = forgery.another_key
    with pytest.raises(TokenInvalid):
        client.log_in()
    assert provider.count("jwks") == 1


@pytest.mark.parametrize("answer", [HTMLResponse("down", 503), JSONResponse({}), JSONResponse({"keys": "none"})])
def test_a_failed_fetch_leaves_the_known_keys_in_use(
    client: Client, provider: MisbehavingProvider, answer: Response
) -> None:
    client.log_in()
    provider.faults.answer("jwks", answer)
    provider.faults.id_token_header = lambda header: header | {"kid": "unknown"}
    with pytest.raises(ProviderFaulty):
        client.log_in()
    provider.faults.heal()
    assert client.log_in()["name"] == "Ada"
    assert provider.count("jwks") == 2


# One fetched value


class Counted:
    """Something to fetch: another number each time, or a failure while it `is_down`."""

    def __init__(self) -> None:
        self.fetches = 0
        self.is_down = False

    async def fetch(self) -> tuple[int]:
        self.fetches += 1
        if self.is_down:
            raise ProviderUnreachable("down")
        return (self.fetches,)


def test_who_saw_an_old_value_gets_the_newer_one_that_somebody_fetched(clients: Clients) -> None:
    port, source = clients().port, Counted()
    snapshot = Snapshot(source.fetch, port.http)
    old = port.run(snapshot.get())
    new = port.run(snapshot.replace(old))
    assert (port.run(snapshot.replace(old)), port.run(snapshot.get()), source.fetches) == (new, new, 2)


def test_a_failure_is_only_for_who_has_the_newest_value_already(clients: Clients) -> None:
    port, source = clients().port, Counted()
    snapshot = Snapshot(source.fetch, port.http)
    old = port.run(snapshot.get())
    new = port.run(snapshot.replace(old))
    source.is_down = True
    with pytest.raises(ProviderUnreachable):
        port.run(snapshot.replace(new))
    assert port.run(snapshot.replace(old)) == new
