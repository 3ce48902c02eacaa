"""Connections that go on: each ends soon after its session, and not before."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Unpack

import pytest
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ck_middleware import ASGIAuthMiddleware, get_user, live
from ck_middleware.config import Settings
from ck_middleware.stores.memory import AsyncMemoryStore
from support.browser import Browser
from support.clock import Clock
from support.faces import ASGIFace, Configure
from support.provider import MisbehavingProvider

LOOK = 0.02  # seconds
LONG = 7200
CLOSED = {"type": "websocket.close", "code": 1008, "reason": "the session has ended"}


class CountingStore(AsyncMemoryStore):
    """Knows how often it was asked which sessions live, and for how many at once."""

    def __init__(self) -> None:
        super().__init__()
        self.polls: list[int] = []
        self.touched: list[str] = []
        self.down = False

    async def present(self, keys: Sequence[str]) -> set[str]:
        if self.down:
            raise OSError("no route to host")
        self.polls.append(len(keys))
        return await super().present(keys)

    async def touch(self, key: str, *, ttl: float) -> bool:
        self.touched.append(key)
        return await super().touch(key, ttl=ttl)


class Talk:
    """One connection to an app, as a server keeps it."""

    def __init__(self, app: ASGIApp, browser: Browser, *, kind: str = "websocket", path: str = "/") -> None:
        self._app = app
        self._incoming: asyncio.Queue[Message] = asyncio.Queue()
        self.sent: list[Message] = []
        cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        self._scope: Scope = {
            "type": kind,
            "asgi": {"version": "3.0"},
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"localhost:8000"), (b"cookie", cookie.encode())],
        } | ({"method": "GET"} if kind == "http" else {})
        self._incoming.put_nowait({"type": f"{kind}.{'connect' if kind == 'websocket' else 'request'}"})
        self.task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        await self._app(self._scope, self._incoming.get, self._send)

    async def _send(self, message: Message) -> None:
        self.sent.append(message)

    def say(self, text: str) -> None:
        self._incoming.put_nowait({"type": "websocket.receive", "text": text})

    def leave(self) -> None:
        self._incoming.put_nowait({"type": "websocket.disconnect", "code": 1001})

    @property
    def is_open(self) -> bool:
        return not self.task.done()

    async def over(self) -> list[Message]:
        """All that was sent, once the app is done."""
        await asyncio.wait_for(self.task, 60)
        return self.sent


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "websocket.connect":
            await send({"type": "websocket.accept"})
        elif message["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
        else:
            return


async def stream(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        await send({"type": "http.response.body", "body": b"tick", "more_body": True})
        await asyncio.sleep(LOOK / 4)


async def some_looks(number: int = 4) -> None:
    for _ in range(number):  # one after another, as the looks are: on a machine that stood still none is left out
        await asyncio.sleep(LOOK)


@pytest.fixture(params=["stored", "sealed"])
def store(request: pytest.FixtureRequest) -> object:
    return CountingStore() if request.param == "stored" else "cookie"


@pytest.fixture
def counting() -> CountingStore:
    return CountingStore()


class House:
    """An app behind the middleware, and people who are logged in to it."""

    def __init__(self, configure: Configure, runner: asyncio.Runner) -> None:
        self._configure = configure
        self._runner = runner
        self.faces: list[ASGIFace] = []

    def guarded(self, app: ASGIApp, **settings: Unpack[Settings]) -> ASGIAuthMiddleware:
        usual: Settings = {"idle_timeout": LONG, "session_lifetime": 10 * LONG}
        config = self._configure(**(usual | settings))
        self.faces.append(ASGIFace(config, self._runner))
        return ASGIAuthMiddleware(app, config)

    def person(self, name: str = "Ada") -> Browser:
        browser = Browser(self.faces[-1])
        browser.log_in(name=name)
        return browser

    def run(self, story: Callable[[], Awaitable[None]]) -> None:
        async def told() -> None:
            await story()

        self._runner.run(told())


@pytest.fixture
def house(
    configure: Configure, runner: asyncio.Runner, light_clients: None, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> Iterator[House]:
    monkeypatch.setattr(live, "LOOK", LOOK)
    house = House(configure, runner)
    yield house
    for face in house.faces:
        face.close()


def test_a_socket_is_closed_at_the_end_of_its_session(house: House, clock: Clock, store: object) -> None:
    app = house.guarded(echo, store=store, session_lifetime=1000)
    ada = house.person()

    async def story() -> None:
        talk = Talk(app, ada)
        clock.move(999)
        talk.say("still here")
        await some_looks()
        assert talk.is_open
        clock.move(1)
        assert (await talk.over())[-1] == CLOSED
        assert talk.sent[1] == {"type": "websocket.send", "text": "still here"}

    house.run(story)


def test_a_socket_that_carries_nothing_is_closed_after_the_idle_time(house: House, clock: Clock, store: object) -> None:
    app = house.guarded(echo, store=store, idle_timeout=100)
    ada = house.person()

    async def story() -> None:
        talk = Talk(app, ada)
        await some_looks(1)
        clock.move(99)
        await some_looks()
        assert talk.is_open
        clock.move(1)
        assert (await talk.over())[-1] == CLOSED

    house.run(story)


def test_what_a_socket_carries_is_use_of_its_session(house: House, clock: Clock, store: object) -> None:
    app = house.guarded(echo, store=store, idle_timeout=100)
    ada = house.person()

    async def story() -> None:
        talk = Talk(app, ada)
        for number in range(10):
            clock.move(50)
            talk.say(str(number))
            await some_looks(3)
            assert talk.is_open
        clock.move(100)
        assert (await talk.over())[-1] == CLOSED
        assert len(talk.sent) == 12

    house.run(story)


def test_what_the_app_sends_is_use_too(house: House, clock: Clock, store: object) -> None:
    ticks: asyncio.Queue[str] = asyncio.Queue()

    async def pushing(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        while True:
            await send({"type": "websocket.send", "text": await ticks.get()})

    app = house.guarded(pushing, store=store, idle_timeout=100)
    ada = house.person()

    async def story() -> None:
        talk = Talk(app, ada)
        for _ in range(4):
            clock.move(60)
            ticks.put_nowait("tick")
            await some_looks(3)
            assert talk.is_open
        clock.move(100)
        assert (await talk.over())[-1] == CLOSED

    house.run(story)


def test_a_quiet_socket_stays_open_while_its_session_is_used_elsewhere(
    house: House, clock: Clock, counting: CountingStore
) -> None:
    app = house.guarded(echo, store=counting, idle_timeout=100)
    ada = house.person()

    async def story() -> None:
        talk = Talk(app, ada)
        await some_looks(1)
        (key,) = [key for key in counting._store._kept if key.startswith("s:")]
        for _ in range(4):
            clock.move(60)
            await counting.touch(key, ttl=100)  # as a request does that comes to another worker
            await some_looks(3)
            assert talk.is_open
        clock.move(100)
        assert (await talk.over())[-1] == CLOSED

    house.run(story)


def subject(browser: Browser) -> str:
    return str(browser.me().json["user"]["sub"])


@pytest.mark.parametrize("kind", ["websocket", "http"])
def test_a_connection_ends_soon_after_its_session_was_ended_elsewhere(
    house: House, clock: Clock, counting: CountingStore, kind: str
) -> None:
    app = house.guarded(echo if kind == "websocket" else stream, store=counting)
    ada, grace = house.person("Ada"), house.person("Grace")
    sub = subject(ada)
    elsewhere = house.faces[-1].app  # another middleware, as in another worker

    async def story() -> None:
        talks = [Talk(app, ada, kind=kind), Talk(app, ada, kind=kind)]
        other = Talk(app, grace, kind=kind)
        await some_looks(1)
        clock.move(1)
        await some_looks()
        assert all(talk.is_open for talk in (*talks, other))
        assert await elsewhere.end_sessions(sub=sub) == 1
        for talk in talks:
            sent = await talk.over()
            assert sent[-1] == (CLOSED if kind == "websocket" else sent[1])
        assert other.is_open
        other.task.cancel()
        await asyncio.wait([other.task])

    house.run(story)


def test_a_stream_that_is_ended_looks_unfinished(house: House, clock: Clock, store: object) -> None:
    """A client must not take half of an answer for the whole."""
    app = house.guarded(stream, store=store, session_lifetime=1000)
    ada = house.person()

    async def story() -> None:
        talk = Talk(app, ada, kind="http")
        await some_looks(1)
        clock.move(1000)
        assert (await talk.over())[-1]["more_body"]

    house.run(story)


def test_a_stream_is_use_of_its_session_for_as_long_as_it_goes_on(
    house: House, clock: Clock, counting: CountingStore
) -> None:
    app = house.guarded(stream, store=counting, idle_timeout=100, session_lifetime=1000)
    ada = house.person()

    async def story() -> None:
        talk = Talk(app, ada, kind="http")
        await some_looks(1)
        for _ in range(19):
            clock.move(50)
            await some_looks(3)
            assert talk.is_open
        assert len(counting.touched) == 19  # at most every tenth of the idle time
        clock.move(50)
        await talk.over()

    house.run(story)


def test_a_session_in_use_is_touched_every_tenth_of_the_idle_time(
    house: House, clock: Clock, counting: CountingStore
) -> None:
    app = house.guarded(stream, store=counting, idle_timeout=100)
    ada = house.person()

    async def story() -> None:
        talk = Talk(app, ada, kind="http")
        await some_looks(1)
        for _ in range(30):
            clock.move(1)
            await some_looks(2)
        assert 1 <= len(counting.touched) <= 3
        talk.task.cancel()
        await asyncio.wait([talk.task])

    house.run(story)


def test_one_poll_serves_all_connections(house: House, clock: Clock, counting: CountingStore) -> None:
    app = house.guarded(echo, store=counting)
    people = [house.person(f"Person {number}") for number in range(3)]

    async def story() -> None:
        talks = [Talk(app, people[number % 3]) for number in range(60)]
        await some_looks(1)
        assert counting.polls == []  # none is old enough to be looked after
        clock.move(1)
        await some_looks(5)
        assert 2 <= len(counting.polls) <= 8
        assert set(counting.polls) == {3}
        for talk in talks:
            talk.leave()
        await asyncio.gather(*(talk.over() for talk in talks))
        await some_looks(2)
        looks = len(counting.polls)
        await some_looks(3)
        assert len(counting.polls) == looks  # nobody is there, and nobody looks

    house.run(story)


def test_many_sessions_are_asked_for_in_parts(
    house: House, clock: Clock, counting: CountingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "AT_ONCE", 2)
    app = house.guarded(echo, store=counting)
    people = [house.person(f"Person {number}") for number in range(5)]

    async def story() -> None:
        talks = [Talk(app, browser) for browser in people]
        await some_looks(1)
        clock.move(1)
        await some_looks(2)
        assert counting.polls[:3] == [2, 2, 1]
        for talk in talks:
            talk.leave()
            await talk.over()

    house.run(story)


def test_a_store_that_cannot_be_asked_ends_nothing(house: House, clock: Clock, counting: CountingStore) -> None:
    app = house.guarded(echo, store=counting, session_lifetime=1000)
    ada = house.person()
    sub = subject(ada)

    async def story() -> None:
        talk = Talk(app, ada)
        await some_looks(1)
        counting.down = True
        clock.move(1)
        await some_looks()
        assert talk.is_open
        counting.down = False
        await app.end_sessions(sub=sub)
        assert (await talk.over())[-1] == CLOSED

    house.run(story)


def test_but_the_end_of_a_session_needs_no_store(house: House, clock: Clock, counting: CountingStore) -> None:
    app = house.guarded(echo, store=counting, session_lifetime=1000)
    ada = house.person()

    async def story() -> None:
        talk = Talk(app, ada)
        await some_looks(1)
        counting.down = True
        clock.move(1000)
        assert (await talk.over())[-1] == CLOSED

    house.run(story)


def test_an_app_that_asks_itself_through_the_guard_is_looked_after_all_the_same(
    house: House, clock: Clock, store: object
) -> None:
    async def asking(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/inside":
            await JSONResponse({"name": get_user(scope).name})(scope, receive, send)
            return
        await guarded({**scope, "path": "/inside", "raw_path": b"/inside"}, receive, heard)
        await stream(scope, receive, send)

    async def heard(message: Message) -> None:
        inside.append(message)

    inside: list[Message] = []
    guarded = house.guarded(asking, store=store, session_lifetime=1000)
    ada = house.person()

    async def story() -> None:
        talk = Talk(guarded, ada, kind="http")
        await some_looks()
        assert inside[-1]["body"] == b'{"name":"Ada"}'
        assert talk.is_open
        clock.move(1000)
        await talk.over()
        assert guarded._live._connections == {}

    house.run(story)


def test_an_ordinary_request_is_answered_as_ever(house: House, store: object) -> None:
    house.guarded(echo, store=store)
    ada = house.person()
    assert ada.get("/").json["name"] == "Ada"
    assert house.faces[-1].app._live._connections == {}


def test_a_request_at_work_may_end_its_own_session_and_still_answer(
    house: House, clock: Clock, counting: CountingStore
) -> None:
    async def farewell(scope: Scope, receive: Receive, send: Send) -> None:
        assert await guarded.end_sessions(sub=get_user(scope).sub) == 1
        clock.move(1)
        await some_looks()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"bye"})

    guarded = house.guarded(farewell, store=counting)
    ada = house.person()

    async def story() -> None:
        start, body = await Talk(guarded, ada, kind="http").over()
        assert (start["status"], body["body"]) == (200, b"bye")

    house.run(story)
    assert not ada.is_logged_in


def test_a_stranger_at_a_public_place_is_left_alone(house: House, clock: Clock, counting: CountingStore) -> None:
    app = house.guarded(echo, store=counting, protect=["/in"], session_lifetime=1000)

    async def story() -> None:
        talk = Talk(app, Browser(house.faces[-1]))
        await some_looks(1)
        clock.move(5000)
        await some_looks()
        assert talk.is_open
        talk.leave()
        assert await talk.over() == [{"type": "websocket.accept"}]

    house.run(story)


# Who cancels whom


def test_a_server_that_stops_is_heard(house: House, clock: Clock, store: object) -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await echo(scope, receive, send)
        except asyncio.CancelledError:
            seen.append(get_user(scope).name)
            raise

    guarded = house.guarded(app, store=store)
    ada = house.person()

    async def story() -> None:
        talk = Talk(guarded, ada)
        await some_looks(1)
        talk.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await talk.task
        assert seen == ["Ada"]
        assert talk.sent == [{"type": "websocket.accept"}]

    house.run(story)


def test_a_server_that_stops_in_the_same_moment_is_heard(house: House, clock: Clock, store: object) -> None:
    async def lingering(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        try:
            await receive()
        finally:
            talks[0].task.cancel()  # by the server, while the app cleans up after us

    app = house.guarded(lingering, store=store, session_lifetime=1000)
    ada = house.person()
    talks: list[Talk] = []

    async def story() -> None:
        talks.append(Talk(app, ada))
        await some_looks(1)
        clock.move(1000)
        with pytest.raises(asyncio.CancelledError):
            await talks[0].over()
        assert CLOSED not in talks[0].sent

    house.run(story)


def test_an_app_that_takes_the_cancellation_for_its_own_end_is_closed_too(
    house: House, clock: Clock, store: object
) -> None:
    async def stubborn(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await echo(scope, receive, send)
        except asyncio.CancelledError:
            return

    async def counted(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)
        task = asyncio.current_task()
        assert task
        cancelling.append(task.cancelling())

    app = house.guarded(stubborn, store=store, session_lifetime=1000)
    ada = house.person()
    cancelling: list[int] = []

    async def story() -> None:
        talk = Talk(counted, ada)
        await some_looks(1)
        clock.move(1000)
        assert (await talk.over())[-1] == CLOSED
        assert cancelling == [0]

    house.run(story)


def test_an_app_that_closes_by_itself_is_not_closed_twice(house: House, clock: Clock, store: object) -> None:
    async def polite(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await echo(scope, receive, send)
        finally:
            await send({"type": "websocket.close", "code": 1000})

    app = house.guarded(polite, store=store, session_lifetime=1000)
    ada = house.person()

    async def story() -> None:
        talk = Talk(app, ada)
        await some_looks(1)
        clock.move(1000)
        assert await talk.over() == [{"type": "websocket.accept"}, {"type": "websocket.close", "code": 1000}]

    house.run(story)


def test_nothing_is_sent_to_a_client_that_has_gone(house: House, clock: Clock, store: object) -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await echo(scope, receive, send)
        await asyncio.Event().wait()  # something that takes its time after the client left

    app = house.guarded(slow, store=store, session_lifetime=1000)
    ada = house.person()

    async def story() -> None:
        talk = Talk(app, ada)
        talk.leave()
        await some_looks(1)
        clock.move(1000)
        assert await talk.over() == [{"type": "websocket.accept"}]

    house.run(story)


def test_an_exception_of_the_app_is_its_own(house: House, store: object) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError

    app = house.guarded(broken, store=store)
    ada = house.person()

    async def story() -> None:
        for kind in ("websocket", "http"):
            with pytest.raises(ZeroDivisionError):
                await Talk(app, ada, kind=kind).over()

    house.run(story)


def test_one_middleware_around_another_ends_a_connection_once(house: House, clock: Clock) -> None:
    app = house.guarded(house.guarded(echo, session_lifetime=1000), session_lifetime=1000)
    ada = house.person()

    async def story() -> None:
        talk = Talk(app, ada)
        await some_looks(1)
        clock.move(1000)
        sent = await talk.over()
        assert sent == [{"type": "websocket.accept"}, CLOSED]

    house.run(story)


def test_each_loop_is_looked_after(house: House, clock: Clock, store: object) -> None:
    """A test client, or an app that is started anew, brings another loop; the old one may end without a word."""
    app = house.guarded(echo, store=store, session_lifetime=1000)
    ada = house.person()

    async def begun() -> None:
        await Talk(app, Browser(ada.face)).over()  # nobody; the next one is somebody
        talk = Talk(app, ada)
        await some_looks(1)
        assert talk.is_open

    async def story() -> None:
        talk = Talk(app, ada)
        await some_looks(1)
        clock.move(1000)
        assert (await talk.over())[-1] == CLOSED

    abandoned = asyncio.new_event_loop()
    abandoned.run_until_complete(begun())
    house.run(story)
    for task in asyncio.all_tasks(abandoned):
        task.cancel()
    abandoned.run_until_complete(asyncio.sleep(0.01))
    abandoned.close()


def test_loops_that_take_turns_are_looked_after_once_each(house: House, counting: CountingStore) -> None:
    app = house.guarded(stream, store=counting)
    ada = house.person()
    loops = [asyncio.new_event_loop() for _ in range(2)]
    talks: list[Talk] = []

    async def one_more() -> None:
        talks.append(Talk(app, ada, kind="http"))
        await asyncio.sleep(0)

    for _ in range(5):
        for loop in loops:
            loop.run_until_complete(one_more())
    for loop in loops:
        loop.run_until_complete(some_looks())
    tasks = [len(asyncio.all_tasks(loop)) for loop in loops]
    for loop in loops:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()
    assert tasks == [5 + 1, 5 + 1]


def test_a_request_that_is_soon_over_leaves_no_task(house: House, runner: asyncio.Runner, store: object) -> None:
    """Who closes a loop by hand would be told that one was destroyed."""
    house.guarded(echo, store=store)
    ada = house.person()
    assert ada.get("/").json["name"] == "Ada"
    assert asyncio.all_tasks(runner.get_loop()) == set()


def test_loops_in_two_threads_end_each_its_own_connections(house: House, clock: Clock, store: object) -> None:
    app = house.guarded(echo, store=store, session_lifetime=1000)
    ada = house.person()
    all_talk = threading.Barrier(2, action=lambda: clock.move(1000))

    async def story() -> Message:
        talk = Talk(app, ada)
        await some_looks()
        all_talk.wait(60)
        return (await talk.over())[-1]

    def alone(_: int) -> Message:
        with asyncio.Runner(debug=True) as own:  # which refuses a task that another thread cancels
            return own.run(story())

    with ThreadPoolExecutor(2) as at_once:
        assert list(at_once.map(alone, range(2))) == [CLOSED, CLOSED]


def test_a_socket_is_closed_when_the_provider_no_longer_confirms_its_session(
    house: House, clock: Clock, counting: CountingStore, provider: MisbehavingProvider
) -> None:
    app = house.guarded(echo, store=counting, recheck="1m")
    ada = house.person()

    async def story() -> None:
        talk = Talk(app, ada)
        await some_looks(1)
        clock.move(61)
        while provider.count("token") < 2:  # the login, and now
            await some_looks()
        await some_looks()
        assert talk.is_open
        provider.faults.answer("token", JSONResponse({"error": "invalid_grant"}, 400))
        for _ in range(100):  # the answer before may have come only now, on a busy machine; and no idle time is over
            clock.move(61)
            await some_looks(10)
            if talk.task.done():
                break
        assert (await talk.over())[-1] == CLOSED
        await app._http.close()

    house.run(story)


def test_a_store_that_hangs_keeps_no_socket_open_past_its_end(
    house: House, clock: Clock, counting: CountingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(keys: Sequence[str]) -> set[str]:
        await asyncio.sleep(60)
        return set(keys)

    monkeypatch.setattr(live, "PATIENCE", LOOK)
    app = house.guarded(echo, store=counting, session_lifetime=1000)
    ada = house.person()
    monkeypatch.setattr(counting, "present", hang)

    async def story() -> None:
        talk = Talk(app, ada)
        await some_looks(1)
        clock.move(1)
        await some_looks()
        assert talk.is_open
        clock.move(1000)
        assert (await talk.over())[-1] == CLOSED

    house.run(story)


def test_an_app_that_does_not_listen_is_asked_again(house: House, clock: Clock, store: object) -> None:
    async def deaf(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await asyncio.sleep(60)

    app = house.guarded(deaf, store=store, session_lifetime=1000)
    ada = house.person()

    async def story() -> None:
        talk = Talk(app, ada)
        await some_looks(1)
        clock.move(1000)
        assert (await talk.over())[-1] == CLOSED
        assert talk.task.cancelling() == 0

    house.run(story)
