"""Records of sessions in a store, and what several processes promise each other there."""

import pytest

from ck_middleware.config import AuthConfig
from ck_middleware.ports import step
from ck_middleware.stores.memory import MemoryStore
from ck_middleware.stores.own import OwnBlocking
from ck_middleware.tokens import Tokens
from ck_middleware.vault import Record, Vault, name_of, new_id, owners_of, person, provider_session, public_id
from support.clock import Clock

OLD, NEW = "o" * 32, "n" * 32
ISSUER = "https://issuer.example"


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def vault(store: MemoryStore, *secrets: str, client: str = "ck_a") -> Vault:
    config = AuthConfig(
        client_id=client,
        client_auth="none",
        session_secret=secrets or OLD,
        store=store,
        session_lifetime=1000,
        idle_timeout=100,
    )
    return Vault(config, OwnBlocking(store))


def record(clock: Clock, name: str = "s:1", *, claims: bytes = b'{"sub":"ck_u_1"}', tokens: bytes = b"t") -> Record:
    return Record(name, int(clock.now), int(clock.now), 0, claims, tokens)


def test_ids_are_never_the_same_and_names_tell_nothing_of_them() -> None:
    ids = {new_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(len(one) == 43 for one in ids)
    names = {name_of(one) for one in ids}
    assert len(names) == 100
    assert not any(one in name for one in ids for name in names)


@pytest.mark.parametrize("tokens", [b"", b"{}", b"x" * 5000])
def test_a_record_comes_back_as_it_was(store: MemoryStore, clock: Clock, tokens: bytes) -> None:
    there = vault(store)
    kept = record(clock, tokens=tokens)
    step(there.keep(kept, ["owner"]))
    found = step(there.load("s:1"))
    assert found
    assert (found.claims, found.tokens, found.began, found.name) == (kept.claims, tokens, kept.began, "s:1")
    assert public_id(found) == "1"


def test_a_record_opens_under_its_own_name_secret_and_client(store: MemoryStore, clock: Clock) -> None:
    step(vault(store).keep(record(clock), []))
    sealed = store.get("s:1")
    assert sealed
    store.put("s:2", sealed, ttl=100)
    assert step(vault(store).load("s:2")) is None
    assert step(vault(store, NEW).load("s:1")) is None
    assert step(vault(store, client="ck_b").load("s:1")) is None
    assert step(vault(store, NEW, OLD).load("s:1"))


def test_a_record_ends_with_its_session_whatever_the_store_thinks(store: MemoryStore, clock: Clock) -> None:
    there = vault(store)
    step(there.keep(record(clock), []))
    sealed = store.get("s:1")
    assert sealed
    store.put("s:1", sealed, ttl=10_000)
    clock.move(999)
    assert step(there.load("s:1"))
    clock.move(1)
    assert step(there.load("s:1")) is None


def test_the_store_keeps_a_record_for_the_idle_time_and_never_past_its_end(store: MemoryStore, clock: Clock) -> None:
    there = vault(store)
    kept = record(clock)
    step(there.keep(kept, []))
    clock.move(99)
    assert store.present(["s:1"])
    for _ in range(9):
        step(there.touch("s:1", ends_at=there.ends_at(kept)))
        clock.move(99)
    assert step(there.load("s:1"))
    step(there.touch("s:1", ends_at=there.ends_at(kept)))
    clock.move(10)
    assert not store.present(["s:1"])


def test_a_change_replaces_what_it_was_made_from_and_nothing_else(store: MemoryStore, clock: Clock) -> None:
    there = vault(store)
    step(there.keep(record(clock), ["owner"]))
    first = step(there.load("s:1"))
    assert first
    second = step(there.change(first, record(clock, tokens=b"new")))
    assert second
    assert step(there.change(first, record(clock, tokens=b"late"))) is None
    assert step(there.load("s:1")) == second
    assert step(there.change(second, record(clock, tokens=b"newest")))
    assert step(there.of("owner")) == ["s:1"]
    step(there.end("s:1"))
    assert step(there.change(second, record(clock))) is None
    assert step(there.load("s:1")) is None


def test_sessions_are_found_by_owners_under_every_secret(store: MemoryStore, clock: Clock) -> None:
    step(vault(store, OLD).keep(record(clock, "s:1"), ["ada"]))
    both = vault(store, NEW, OLD)
    step(both.keep(record(clock, "s:2"), ["ada", "staff"]))
    assert sorted(step(both.of("ada"))) == ["s:1", "s:2"]
    assert step(both.of("staff")) == ["s:2"]
    assert step(both.of("grace")) == []
    assert step(vault(store, NEW).of("ada")) == ["s:2"]
    assert len(step(both.end_all("ada"))) == 2
    assert step(both.of("ada")) == []


def test_what_cannot_be_opened_ends_all_the_same(store: MemoryStore, clock: Clock) -> None:
    there = vault(store)
    (owner,) = there.owner_names("ada")
    store.put("s:1", b"damaged", ttl=100, owners=[owner])
    assert step(there.end_all("ada")) == []
    assert store.get("s:1") is None


def test_a_lease_is_had_by_one_and_given_back_by_that_one(store: MemoryStore, clock: Clock) -> None:
    one, other = vault(store), vault(store)
    lease = step(one.lease("s:1", seconds=10))
    assert lease
    assert step(other.lease("s:1", seconds=10)) is None
    assert step(other.lease("s:2", seconds=10))
    step(other.give_back("s:1", b"a guess"))
    assert step(other.lease("s:1", seconds=10)) is None
    step(one.give_back("s:1", lease))
    assert step(other.lease("s:1", seconds=10))


def test_a_lease_whose_holder_died_ends(store: MemoryStore, clock: Clock) -> None:
    lease = step(vault(store).lease("s:1", seconds=10))
    assert lease
    clock.move(10)
    newer = step(vault(store).lease("s:1", seconds=10))
    assert newer
    step(vault(store).give_back("s:1", lease))  # late; it is another's by now
    assert step(vault(store).lease("s:1", seconds=10)) is None


def test_once_is_once_for_each_client(store: MemoryStore, clock: Clock) -> None:
    assert step(vault(store).once("logout 1", seconds=10))
    assert not step(vault(store).once("logout 1", seconds=10))
    assert step(vault(store).once("logout 2", seconds=10))
    # Two apps on one store; a provider may give both the same id.
    assert step(vault(store, client="ck_b").once("logout 1", seconds=10))
    clock.move(10)
    assert step(vault(store).once("logout 1", seconds=10))


def test_which_of_some_sessions_live(store: MemoryStore, clock: Clock) -> None:
    there = vault(store)
    step(there.keep(record(clock, "s:1"), []))
    assert step(there.living(["s:1", "s:2"])) == {"s:1"}


@pytest.mark.parametrize("sid", [None, "", 5, ["s"]])
def test_a_session_is_owned_by_its_person_and_by_the_session_at_the_provider(sid: object) -> None:
    claims = {"iss": ISSUER, "sub": "ck_u_1"}
    assert owners_of(claims | {"sid": sid}) == owners_of(claims) == [person(ISSUER, "ck_u_1")]
    assert owners_of(claims | {"sid": "s"}) == [person(ISSUER, "ck_u_1"), provider_session(ISSUER, "s")]


def test_no_person_is_taken_for_a_session_or_for_somebody_of_another_issuer() -> None:
    names = {person("a", "b"), person("a\0b", ""), provider_session("a", "b"), person("ab", ""), person("", "ab")}
    assert len(names) == 5


@pytest.mark.parametrize(
    "tokens",
    [Tokens("at"), Tokens("at", 1.5, "rt", "a.b.c", "nonce", 5), Tokens('a"t', refresh_token="\\")],
)
def test_tokens_come_back_as_they_were(tokens: Tokens) -> None:
    assert Tokens.decoded(tokens.encoded()) == tokens
    assert Tokens.decoded(b"") is None
