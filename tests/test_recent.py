"""What was worked out lately is remembered within bounds, and never believed of anything else than what it was of."""

import itertools
import threading
import tracemalloc
from collections import deque
from typing import TYPE_CHECKING

import pytest

from ck_middleware.blocking import BlockingHttp, BlockingRuntime
from ck_middleware.cookies import Attributes
from ck_middleware.gate import LONGEST_REMEMBERED, REMEMBERED, Gate
from ck_middleware.messages import Pass, Response
from ck_middleware.ports import step
from ck_middleware.recent import BATCHES, Recent
from ck_middleware.sessions import REMEMBERED_OCTETS, SealedSessions
from ck_middleware.tokens import Login, Tokens
from ck_middleware.wsgi import WSGIRequest
from support.clock import Clock
from support.faces import Configure, PlainRequest

if TYPE_CHECKING:
    from ck_middleware import AuthConfig

SECRET = "0123456789abcdef0123456789abcdef"

# The memory itself


def test_what_is_kept_is_found_until_it_is_forgotten() -> None:
    recent: Recent[str, int] = Recent(entries=80, octets=10_000)
    recent.keep("one", 1, octets=10)
    recent.keep("one", 2, octets=10)
    assert recent.get("one") == 2
    recent.forget("one")
    recent.forget("one")
    assert recent.get("one") is None


@pytest.mark.parametrize(("entries", "octets", "each"), [(80, 1 << 30, 1), (1 << 20, 8_000, 100)])
def test_the_oldest_go_first_however_many_come(entries: int, octets: int, each: int) -> None:
    most = min(entries, octets // each)
    recent: Recent[int, int] = Recent(entries=entries, octets=octets)
    for number in range(20 * most):
        recent.keep(number, number, octets=each)
        assert recent.get(number) == number
    held = [number for number in range(20 * most) if recent.get(number) is not None]
    assert most // 2 <= len(held) <= most + most // BATCHES
    assert held == list(range(20 * most - len(held), 20 * most))


def test_one_that_is_larger_than_the_memory_is_no_harm() -> None:
    recent: Recent[int, int] = Recent(entries=80, octets=1_000)
    for number in range(100):
        recent.keep(number, number, octets=1 << 20)
    assert sum(recent.get(number) is not None for number in range(100)) <= BATCHES + 1


class _Interrupted(deque[list[int]]):
    """Whenever one thread has put a batch away, another keeps a few things before that one goes on."""

    def __init__(self, recent: Recent[int, int]) -> None:
        super().__init__(recent._batches)
        self._recent = recent
        self._interrupted = threading.get_ident()
        self._others = itertools.count(-1, -1)

    def append(self, batch: list[int]) -> None:
        super().append(batch)
        if threading.get_ident() == self._interrupted:
            other = threading.Thread(target=self._keep_a_few)
            other.start()
            other.join()

    def _keep_a_few(self) -> None:
        for _ in range(5):
            self._recent.keep(next(self._others), 0, octets=1)


def test_what_threads_keep_at_the_same_time_is_forgotten_too() -> None:
    recent: Recent[int, int] = Recent(entries=64, octets=1 << 20)
    recent._batches = _Interrupted(recent)
    for number in range(1000):
        recent.keep(number, number, octets=1)
        assert recent.get(number) == number
    assert len(recent._kept) <= 64 + 64 // BATCHES


# Opened cookies


@pytest.fixture
def sessions(configure: Configure) -> SealedSessions:
    return SealedSessions(configure(session_secret=SECRET), Attributes(secure=False))


def _cookie(sessions: SealedSessions, sub: str, **claims: object) -> bytes:
    login = Login({"iss": "https://idp.example", "sub": sub, **claims}, Tokens("-"))
    (cookie,) = step(sessions.start(login, WSGIRequest({"REQUEST_METHOD": "GET"})))
    return cookie.partition(";")[0].encode()


def _sub(sessions: SealedSessions, header: bytes) -> str:
    return sessions.at_once(header).sub


def test_a_cookie_that_was_seen_before_says_the_same(sessions: SealedSessions) -> None:
    ada, bea = _cookie(sessions, "ada"), _cookie(sessions, "bea")
    for _ in range(3):
        assert _sub(sessions, ada) == "ada"
        assert _sub(sessions, bea) == "bea"
        assert _sub(sessions, b"theme=dark; " + ada + b"; lang=en") == "ada"


def test_a_cookie_that_ends_like_one_that_was_seen_is_nobody(sessions: SealedSessions) -> None:
    ada = _cookie(sessions, "ada")
    assert _sub(sessions, ada) == "ada"
    name, _, value = ada.partition(b"=")
    others = [
        value[:index] + (b"A" if octet != b"A"[0] else b"B") + value[index + 1 :] for index, octet in enumerate(value)
    ]
    for other in [*others, value[1:], b"A" + value, value[-32:], value[-33:], b"x" * 3000 + value[-32:]]:
        assert _sub(sessions, name + b"=" + other) == ""
    assert _sub(sessions, b"x" + ada) == ""
    assert _sub(sessions, ada) == "ada"


def test_two_cookies_are_nobody_though_both_were_seen(sessions: SealedSessions) -> None:
    ada, bea = _cookie(sessions, "ada"), _cookie(sessions, "bea")
    assert (_sub(sessions, ada), _sub(sessions, bea)) == ("ada", "bea")
    for header in (ada + b"; " + bea, bea + b"; " + ada, ada + b"; " + ada, ada + b"," + bea):
        assert _sub(sessions, header) == ""


def test_a_cookie_that_was_seen_ends_when_it_would_have(configure: Configure, clock: Clock) -> None:
    there = SealedSessions(configure(idle_timeout=100, session_lifetime=1000), Attributes(secure=False))
    ada = _cookie(there, "ada")
    for move, renewed, sub in ((0, False, "ada"), (9.9, False, "ada"), (0.1, True, "ada"), (89.9, True, "ada")):
        clock.move(move)
        found = there.at_once(ada)
        assert (bool(found.cookies), found.sub) == (renewed, sub)
    clock.move(0.1)
    assert there.at_once(ada).claims == b""
    clock.move(-1000)  # sealed in what is the future now
    assert there.at_once(ada).claims == b""
    clock.move(900)
    assert there.at_once(ada).sub == "ada"


def test_what_one_request_makes_of_its_claims_is_not_there_for_the_next(sessions: SealedSessions) -> None:
    ada = _cookie(sessions, "ada", groups=["staff"])
    one, other = sessions.at_once(ada).user, sessions.at_once(ada).user
    assert one is not other
    one.claims["groups"].append("admin")
    assert other.claims["groups"] == sessions.at_once(ada).user.claims["groups"] == ["staff"]


def test_where_the_header_is_read_at_a_glance_it_says_what_it_says_taken_apart(sessions: SealedSessions) -> None:
    ada = _cookie(sessions, "ada")
    value = ada.partition(b"=")[2]
    assert _sub(sessions, ada) == "ada"
    for header in (
        b"a=" + value,
        value,
        b"; =" + value,
        b"\xa0" + ada,
        b"a=" + ada,
        b"ck_session; x" + ada,
        b"x" + ada,
    ):
        assert _sub(sessions, header) == "", header
    for header in (b"a=b;" + ada + b";", b" " + ada, ada + b"; c=" + value, ada + b",a=b", b"a=b; " + ada + b" ; c=d"):
        assert _sub(sessions, header) == "ada", header


def test_another_client_or_secret_shares_no_memory(configure: Configure, sessions: SealedSessions) -> None:
    ada = _cookie(sessions, "ada")
    assert _sub(sessions, ada) == "ada"
    others = [configure(session_secret="f" * 31 + "x"), configure(session_secret=SECRET, client_id="ck_other")]
    for config in others:
        assert _sub(SealedSessions(config, Attributes(secure=False)), ada) == ""


def _held(sessions: SealedSessions, headers: list[bytes]) -> int:
    """Bytes of memory that are kept after these requests."""
    tracemalloc.start()
    for header in headers:
        sessions.at_once(header)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held


@pytest.mark.parametrize(("number", "size"), [(6000, 0), (4000, 2300)])
def test_however_many_people_come_they_take_no_more_memory_than_is_said(
    sessions: SealedSessions, number: int, size: int
) -> None:
    headers = [_cookie(sessions, f"person-{index}", about="x" * size) for index in range(number)]
    assert _held(sessions, headers) < REMEMBERED_OCTETS * 1.2


def test_nobody_who_has_not_logged_in_is_remembered(sessions: SealedSessions) -> None:
    name = _cookie(sessions, "ada").partition(b"=")[0]
    headers = [name + b"=" + (b"%06d" % index) * 600 for index in range(4000)]
    assert _held(sessions, headers) < 100_000


# Places


@pytest.fixture
def gate(configure: Configure) -> Gate:
    config: AuthConfig = configure(protect=["/api"], public=["/api/ok"])
    return Gate(config, BlockingHttp(1), BlockingRuntime(), mount_may_lead=True)


def _outcome(gate: Gate, path: str, *, raw_path: bytes | None = None, mount: str = "") -> str:
    request = PlainRequest(path, mount=mount)
    request.raw_path = raw_path
    outcome = gate.at_once(path, raw_path, mount, b"", b"") or step(gate.admit(request))
    assert isinstance(outcome, Pass | Response)
    return "open" if isinstance(outcome, Pass) else str(outcome.status)


def test_a_place_is_judged_by_all_that_the_server_says_of_it(gate: Gate) -> None:
    asked: list[tuple[str, bytes | None, str, str]] = [
        ("/api", None, "", "401"),
        ("/api/ok", None, "", "open"),
        ("/api/ok", b"/api/ok", "", "open"),
        ("/api/ok", b"/api/no", "", "400"),
        ("/api/ok", None, "/api", "401"),
        ("/x", None, "", "open"),
        ("/x/api", None, "/x", "401"),
        ("/x/api", None, "", "open"),
        ("/x", None, "//x", "400"),
    ]
    for _ in range(3):
        for path, raw_path, mount, outcome in asked:
            assert _outcome(gate, path, raw_path=raw_path, mount=mount) == outcome, (path, raw_path, mount)


def test_places_are_judged_well_however_many_there_are(gate: Gate) -> None:
    for number in range(2 * REMEMBERED + 1):
        assert _outcome(gate, f"/api/{number}") == "401"
        assert _outcome(gate, f"/open/{number}/{'x' * (number % 3) * LONGEST_REMEMBERED}") == "open"


@pytest.mark.parametrize("length", [100, 2 * LONGEST_REMEMBERED, 30_000])
def test_ever_new_paths_do_not_fill_the_memory(gate: Gate, length: int) -> None:
    tracemalloc.start()
    for number in range(4 * REMEMBERED):
        _outcome(gate, f"/{number}/{'x' * length}")
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 4 * REMEMBERED * LONGEST_REMEMBERED


@pytest.mark.parametrize("length", [100, 2 * LONGEST_REMEMBERED, 30_000])
def test_ever_new_mounts_do_not_fill_the_memory(gate: Gate, length: int) -> None:
    tracemalloc.start()
    for number in range(REMEMBERED):
        _outcome(gate, "/api", mount=f"/{number}/{'x' * length}")
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 4 * REMEMBERED * LONGEST_REMEMBERED
