"""Who reads the store learns no claim, no token and no cookie."""

import socket
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from ck_middleware.config import Settings
from support.browser import Browser
from support.clock import Clock
from support.faces import TOKEN, Guard, told
from support.provider import MisbehavingProvider

SID = "sid-of-the-provider-0123456789"


@pytest.fixture(params=["memory", "sqlite", "redis"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def contents(kind: str, sessions: Settings, tmp_path: Path) -> Callable[[], bytes]:
    """Every byte that the store has: keys, values, and what its files are made of."""

    def memory() -> bytes:
        store: Any = sessions["store"]
        return repr(getattr(store, "_store", store)._kept).encode()

    def sqlite() -> bytes:
        files = sorted(tmp_path.glob("sessions.db*"))
        assert files
        return b"".join(file.read_bytes() for file in files)

    def redis() -> bytes:
        address = urlsplit(str(sessions["store"]))
        there = (address.hostname or "localhost", address.port or 6379)
        with socket.create_connection(there, 5) as connection, connection.makefile("rb") as reader:

            def ask(*words: bytes) -> list[bytes]:
                said = b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
                connection.sendall(b"*%d\r\n%s" % (len(words), said))
                return read()

            def read() -> list[bytes]:
                line = reader.readline()
                if line[:1] == b"*":
                    return [part for _ in range(int(line[1:])) for part in read()]
                return [reader.read(int(line[1:]) + 2)[:-2]] if line[:1] == b"$" and line != b"$-1\r\n" else [line]

            prefix = str(sessions["store"]).partition("prefix=")[2].encode()
            keys = ask(b"KEYS", prefix + b"*")
            assert keys
            values = [ask(b"DUMP", key) + ask(b"GET", key) + ask(b"SMEMBERS", key) for key in keys]
            return b"\n".join([*keys, *(part for value in values for part in value)])

    return {"memory": memory, "sqlite": sqlite, "redis": redis}[kind]


def spellings(secret: str) -> set[bytes]:
    plain = secret.encode()
    coded = {plain, plain.hex().encode(), b64encode(plain).rstrip(b"="), urlsafe_b64encode(plain).rstrip(b"=")}
    return {spelling[: len(spelling) - len(spelling) % 4] or spelling for spelling in coded}


def test_no_secret_is_in_the_store_in_clear(
    clock: Clock, guard: Guard, provider: MisbehavingProvider, contents: Callable[[], bytes]
) -> None:
    given: list[dict[str, Any]] = []

    def remember(answer: dict[str, Any]) -> dict[str, Any]:
        given.append(answer)
        return answer

    provider.faults.token_response = remember
    provider.faults.id_token_claims = lambda claims: claims | {"sid": SID}
    ada = Browser(guard(keep_tokens=True, recheck="15m"))
    ada.log_in(name="Ada Lovelace of Ockham")
    claims = told(ada.get("/"))["claims"]
    clock.move(3600)
    ada.get(TOKEN)
    state = contents()
    assert len(given) == 2
    secrets = [str(claims[name]) for name in ("sub", "name", "email", "preferred_username", "iss")]
    secrets += [answer[name] for answer in given for name in ("access_token", "refresh_token", "id_token")]
    secrets += [SID, ada.cookies["ck_session"], ada.cookies["ck_session"].split(".")[0]]
    secrets += [provider.last("token").form["client_secret"], "0123456789abcdef0123456789abcdef"]
    for secret in secrets:
        for spelling in spellings(secret):
            assert spelling not in state, secret


def test_what_is_in_the_store_opens_no_door(guard: Guard, contents: Callable[[], bytes]) -> None:
    """The name of a record is no id that could be put into a cookie, signed or not."""
    ada = Browser(guard())
    ada.log_in()
    id_, *rest = ada.cookies["ck_session"].split(".")
    state = contents()
    assert b"s:" in state
    name = state[state.index(b"s:") + 2 :][:64].decode()
    for planted in (name, ".".join([name, *rest]), f"s:{name}"):
        assert not Browser(ada.face, cookies={"ck_session": planted}).is_logged_in
    assert ada.is_logged_in
    assert id_ != name


def test_a_record_of_one_session_is_none_of_another(guard: Guard, sessions: Settings, kind: str) -> None:
    """Who can write to the store cannot make one person of another: a record is sealed under its own name."""
    if kind != "memory":
        return  # the seal is the same
    store: Any = sessions["store"]
    kept = getattr(store, "_store", store)._kept
    face = guard()
    ada, grace = Browser(face), Browser(face)
    ada.log_in(name="Ada")
    (first,) = [key for key in kept if key.startswith("s:")]
    grace.log_in(name="Grace")
    (second,) = [key for key in kept if key.startswith("s:") and key != first]
    kept[second] = replace(kept[second], value=kept[first].value)
    assert not grace.is_logged_in
    for broken in (b"", b"x", kept[first].value[:-1], kept[first].value[:20]):
        kept[second] = replace(kept[second], value=broken)
        assert Browser(face, cookies=dict(grace.cookies) or {"ck_session": "x"}).get("/").status == 303
    assert told(ada.get("/"))["name"] == "Ada"


def test_the_records_of_another_client_are_none_of_ours(guard: Guard) -> None:
    ada = Browser(guard())
    ada.log_in()
    sub = told(ada.get("/"))["sub"]
    neighbour = guard(client_id="ck_another")
    assert Browser(neighbour, cookies=dict(ada.cookies)).get("/").status == 303
    assert neighbour.sessions(sub) == []
    assert neighbour.end_sessions(sub=sub) == 0
    assert ada.is_logged_in
