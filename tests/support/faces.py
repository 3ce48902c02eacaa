"""This file is an app on either face, called in process, and the request that a real server would have made of it.

The scope and the environ are made by hand, as uvicorn and gunicorn make them, since ready-made transports fold odd
paths away.
"""

import asyncio
import io
import json
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, Unpack
from urllib.parse import unquote_to_bytes
from wsgiref.types import WSGIEnvironment

from starlette.types import Message, Receive, Scope, Send

from ck_middleware import ASGIAuthMiddleware, AuthConfig, AuthError, User, WSGIAuthMiddleware, get_session, get_user
from ck_middleware.admin import SessionInfo
from ck_middleware.config import Settings
from ck_middleware.errors import StoreUnavailable
from ck_middleware.messages import Request
from ck_middleware.ports import step

Headers = list[tuple[str, str]]
T = TypeVar("T")

PATIENCE = 60  # seconds for an answer that somebody waits for in a thread; a loop that is blocked gives none
TOKEN = "/token"  # where the app asks for the access token, and tells it


@dataclass
class Answer:
    """What came back. Header names are lower case."""

    status: int
    headers: Headers
    body: bytes

    def header(self, name: str) -> str | None:
        found = self.every(name)
        assert len(found) < 2, f"{name} came more than once"
        return found[0] if found else None

    def every(self, name: str) -> list[str]:
        return [value for found, value in self.headers if found == name]

    @property
    def location(self) -> str:
        location = self.header("location")
        assert location is not None, f"{self.status} sends nobody anywhere: {self.text[:500]}"
        return location

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of a refusal, which a page says in its last line and JSON as a member."""
        if self.header("content-type") == "application/json":
            return str(self.json["code"])
        _, found, rest = self.text.partition("Code ")
        assert found, self.text
        return rest.partition(",")[0]


@dataclass(frozen=True)
class Asked:
    """One request as it leaves a client: the target is what stands in the request line."""

    method: str
    target: str
    headers: Headers
    body: bytes = b""
    mount: str = ""  # root_path, SCRIPT_NAME
    scheme: str = "http"

    @property
    def path(self) -> bytes:
        return unquote_to_bytes(self.target.partition("?")[0])

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]


class Face(Protocol):
    """A guarded app that tells whom it sees. `seen` is every path that reached it, `carriers` each scope or environ."""

    seen: list[str]

    @property
    def carriers(self) -> Sequence[MutableMapping[str, Any]]: ...

    def ask(self, asked: Asked) -> Answer: ...

    def at_once(self, asked: Sequence[Asked]) -> list[Answer]:
        """Many requests at the same time: each in a thread of its own, or in a task."""

    def together(self, acts: Sequence[Callable[[], T]]) -> list[T]:
        """What each of these gives, all done at the same time, in threads. They may ask this app, and others."""

    def run(self, question: Coroutine[Any, Any, T]) -> T:
        """What a part of the core gives, asked directly."""

    def sessions(self, sub: str) -> list[SessionInfo]:
        """What the app itself may ask the middleware."""

    def end_sessions(self, *, sub: str | None = None, sid: str | None = None) -> int: ...

    def close(self) -> None: ...


class Configure(Protocol):
    def __call__(self, **settings: Unpack[Settings]) -> AuthConfig: ...


class Guard(Protocol):
    """Makes a guarded app, with these settings laid over those of the tests' provider."""

    def __call__(self, *, answer_headers: Headers | None = None, **settings: Unpack[Settings]) -> Face: ...


class WSGIFace:
    def __init__(self, config: AuthConfig, *, answer_headers: Headers | None = None) -> None:
        self.seen: list[str] = []
        self._carriers: list[WSGIEnvironment] = []
        self.app = WSGIAuthMiddleware(self._tell, config)
        self._headers = answer_headers or []

    @property
    def carriers(self) -> list[WSGIEnvironment]:
        return self._carriers

    def _tell(self, environ: WSGIEnvironment, start_response: Callable[..., object]) -> Iterable[bytes]:
        self.seen.append(environ["PATH_INFO"])
        self._carriers.append(environ)
        start_response("200 OK", [("Content-Type", "application/json"), *self._headers])
        if environ["PATH_INFO"] == TOKEN:
            return [self._token(environ)]
        return [_told(environ)]

    def _token(self, environ: WSGIEnvironment) -> bytes:
        session = get_session(environ)
        try:
            return json.dumps({"token": session.access_token()}).encode()
        except AuthError as error:
            return json.dumps({"error": type(error).__name__}).encode()

    def environ(self, asked: Asked) -> WSGIEnvironment:
        environ: WSGIEnvironment = {
            "REQUEST_METHOD": asked.method,
            "SCRIPT_NAME": asked.mount,
            "PATH_INFO": asked.path.decode("latin-1"),
            "QUERY_STRING": asked.query,
            "CONTENT_LENGTH": str(len(asked.body)),
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "8000",
            "wsgi.url_scheme": asked.scheme,
            "wsgi.input": io.BytesIO(asked.body),
        }
        for name, value in asked.headers:
            key = "HTTP_" + name.upper().replace("-", "_")
            environ[key] = f"{environ[key]},{value}" if key in environ else value
        return environ

    def ask(self, asked: Asked) -> Answer:
        return self.call(self.environ(asked))

    def call(self, environ: WSGIEnvironment) -> Answer:
        started: list[tuple[str, Headers]] = []

        def start_response(status: str, headers: Headers, exc_info: object = None, /) -> Callable[[bytes], object]:
            started.append((status, headers))
            return lambda data: None

        body = b"".join(self.app(environ, start_response))
        status, headers = started[-1]
        return Answer(int(status.split()[0]), [(name.lower(), value) for name, value in headers], body)

    def at_once(self, asked: Sequence[Asked]) -> list[Answer]:
        start = threading.Barrier(len(asked), timeout=60)

        def one(asked: Asked) -> Answer:
            start.wait()
            return self.ask(asked)

        with ThreadPoolExecutor(len(asked)) as threads:
            return list(threads.map(one, asked))

    def together(self, acts: Sequence[Callable[[], T]]) -> list[T]:
        with ThreadPoolExecutor(len(acts)) as threads:
            return [done.result() for done in [threads.submit(act) for act in acts]]

    def run(self, question: Coroutine[Any, Any, T]) -> T:
        return step(question)

    def sessions(self, sub: str) -> list[SessionInfo]:
        return self.app.sessions(sub=sub)

    def end_sessions(self, *, sub: str | None = None, sid: str | None = None) -> int:
        return self.app.end_sessions(sub=sub, sid=sid)

    def close(self) -> None:
        """A WSGI worker ends without a word; its connections would be closed by that."""
        if self.app._gate.vault is not None:
            with suppress(StoreUnavailable):
                step(self.app._gate.vault.close())


class ASGIFace:
    def __init__(self, config: AuthConfig, runner: asyncio.Runner, *, answer_headers: Headers | None = None) -> None:
        self.seen: list[str] = []
        self._carriers: list[Scope] = []
        self.app = ASGIAuthMiddleware(self._tell, config)
        self._runner = runner
        self._headers = answer_headers or []

    @property
    def carriers(self) -> list[Scope]:
        return self._carriers

    async def _tell(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return
        self.seen.append(scope["path"])
        self._carriers.append(scope)
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            return
        headers = [(b"content-type", b"application/json")]
        headers += [(name.lower().encode(), value.encode()) for name, value in self._headers]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        body = await self._token(scope) if scope["path"] == TOKEN else _told(scope)
        await send({"type": "http.response.body", "body": body})

    async def _token(self, scope: Scope) -> bytes:
        session = get_session(scope)
        try:
            return json.dumps({"token": await session.access_token()}).encode()
        except AuthError as error:
            return json.dumps({"error": type(error).__name__}).encode()

    def scope(self, asked: Asked) -> dict[str, Any]:
        raw = asked.target.partition("?")[0].encode()
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": asked.method,
            "scheme": asked.scheme,
            "path": asked.mount + asked.path.decode("utf-8", "replace"),
            "raw_path": asked.mount.encode() + raw,
            "query_string": asked.query.encode(),
            "root_path": asked.mount,
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in asked.headers],
            "client": ("127.0.0.1", 5000),
            "server": ("127.0.0.1", 8000),
        }

    def ask(self, asked: Asked) -> Answer:
        return answer_of(self.call(self.scope(asked), [{"type": "http.request", "body": asked.body}]))

    def at_once(self, asked: Sequence[Asked]) -> list[Answer]:
        async def all_of_them() -> list[list[Message]]:
            calls = [self._call(self.scope(one), [{"type": "http.request", "body": one.body}]) for one in asked]
            return await asyncio.gather(*calls)

        return [answer_of(sent) for sent in self.run(all_of_them())]

    def together(self, acts: Sequence[Callable[[], T]]) -> list[T]:
        with ThreadPoolExecutor(len(acts)) as threads:

            async def all_of_them() -> list[T | BaseException]:
                loop = asyncio.get_running_loop()  # each act asks in it, so it must run until the last one is done
                done = [loop.run_in_executor(threads, act) for act in acts]
                return await asyncio.gather(*done, return_exceptions=True)

            given: list[T] = []
            for one in self._runner.run(all_of_them()):
                if isinstance(one, BaseException):
                    raise one
                given.append(one)
            return given

    def run(self, question: Coroutine[Any, Any, T]) -> T:
        loop = self._runner.get_loop()
        if loop.is_running():  # somebody asks from a thread
            return asyncio.run_coroutine_threadsafe(question, loop).result(PATIENCE)
        return self._runner.run(question)

    def sessions(self, sub: str) -> list[SessionInfo]:
        return self.run(self.app.sessions(sub=sub))

    def end_sessions(self, *, sub: str | None = None, sid: str | None = None) -> int:
        return self.run(self.app.end_sessions(sub=sub, sid=sid))

    def call(self, scope: Scope, incoming: Sequence[Message]) -> list[Message]:
        """Every message that the app sends for this scope."""
        return self.run(self._call(scope, incoming))

    async def _call(self, scope: Scope, incoming: Sequence[Message]) -> list[Message]:
        sent: list[Message] = []
        waiting = list(incoming)

        async def receive() -> Message:
            return waiting.pop(0) if waiting else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        return sent

    def close(self) -> None:
        """What a server does at its end."""
        self.call({"type": "lifespan"}, [])


class PlainRequest(Request):
    """A request as the core sees it, made from words."""

    def __init__(
        self,
        path: str = "/",
        *,
        method: str = "GET",
        query: str = "",
        headers: Mapping[str, str] | None = None,
        cookies: str = "",
        mount: str = "",
        is_websocket: bool = False,
    ) -> None:
        self.path, self.method, self.query, self.raw_path = path, method, query.encode(), None
        self.cookies = cookies.encode("latin-1")
        self.mount, self.is_websocket = mount, is_websocket
        self._headers = {name.lower(): value for name, value in (headers or {}).items()}

    def header(self, name: str) -> str:
        return self._headers.get(name, "")

    async def body(self, limit: int) -> bytes | None:
        return b""


def answer_of(sent: Sequence[Message]) -> Answer:
    """A whole answer, also one that denies a WebSocket."""
    start, *bodies = sent
    headers = [(name.decode(), value.decode("latin-1")) for name, value in start["headers"]]
    return Answer(start["status"], headers, b"".join(message.get("body", b"") for message in bodies))


def told(answer: Answer) -> dict[str, Any]:
    """What the app told of the person that it saw."""
    assert answer.status == 200, answer.text
    return dict(answer.json)


def _told(carrier: object) -> bytes:
    user: User = get_user(carrier)
    members = {"logged_in": user.is_authenticated, "sub": user.sub, "name": user.name, "claims": dict(user.claims)}
    session = get_session(carrier)
    if session is not None:
        members["session"] = {
            "id": session.id,
            "claims": dict(session.claims),
            "expires_at": session.expires_at,
            "kind": type(session).__name__,
        }
    return json.dumps(members).encode()
