"""This file is an app that looks twice at who is there, with a pause between, and that ends as the query says.

Bare, as PEP 3333 and as ASGI have it; `restless_wsgi` and `restless_asgi` are the guarded ones.
"""

import asyncio
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any
from urllib.parse import parse_qsl
from weakref import WeakSet
from wsgiref.types import StartResponse, WSGIEnvironment

from gevent import GreenletExit
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from ck_middleware import User, get_session, get_user
from support.apps.telling import told

PAUSE = 0.002  # seconds; others come in meanwhile
TYPE = "application/json"

# How a request may end. The last two raise what is no `Exception`.
ENDS = ("well", "fails-first", "fails-begun", "fails-midway", "quits-first", "quits-midway")

users = WeakSet[User]()  # all who were ever seen, and are not forgotten yet
_mine: ContextVar[str] = ContextVar("restless", default="")


class Failed(Exception):
    """What this app raises."""


class Visit:
    """One request. What it finds is written down before it leaves its own mark wherever an app can."""

    def __init__(self, carrier: Mapping[str, Any], query: str, quits: type[BaseException]) -> None:
        asked = dict(parse_qsl(query))
        self._end, self._quits = asked.get("end", ENDS[0]), quits
        self.token = "token" in asked
        self._carrier = carrier
        self.user = get_user(carrier)
        users.add(self.user)
        self._before = self._look() | {"groups": [list(claims["groups"]) for claims in self._claims()]}
        self._before["marks"] = [getattr(self.user, "mark", None), *getattr(carrier.get("auth"), "scopes", [])[1:]]
        self._leave_marks()

    def come_to(self, place: str) -> None:
        if self._end == f"fails-{place}":
            raise Failed
        if self._end == f"quits-{place}":
            raise self._quits

    def told(self, token: str | None) -> bytes:
        kept = {"mark": getattr(self.user, "mark", None), "context": _mine.get()}
        return json.dumps({"before": self._before, "after": self._look(), "kept": kept, "token": token}).encode()

    def _look(self) -> dict[str, Any]:
        user, session = get_user(self._carrier), get_session(self._carrier)
        remote = self._carrier.get("REMOTE_USER") or self._carrier["user"].sub
        seen = {"name": user.name, "sub": user.sub, "email": user.email, "remote": remote, "claims": dict(user.claims)}
        return seen | ({"session": session.id, "of": session.claims["sub"]} if session else {})

    def _claims(self) -> Iterator[Mapping[str, Any]]:
        yield self.user.claims
        if session := get_session(self._carrier):
            yield session.claims

    def _leave_marks(self) -> None:
        self.user.mark = self.user.name  # type: ignore[attr-defined]  # as apps do
        _mine.set(self.user.name)
        for claims in self._claims():
            claims["groups"].append(self.user.name)
        if "auth" in self._carrier:
            self._carrier["auth"].scopes.append(self.user.name)


def wsgi(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/alive":
        start_response("200 OK", [("Content-Type", TYPE)])
        return [json.dumps(told(environ, ())).encode()]
    visit = Visit(environ, environ["QUERY_STRING"], GreenletExit)
    time.sleep(PAUSE)
    visit.come_to("first")
    session = get_session(environ)
    token = session.access_token() if visit.token else None
    start_response("200 OK", [("Content-Type", TYPE), ("X-Person", visit.user.name)])
    return _parts(visit, token)


def _parts(visit: Visit, token: str | None) -> Iterator[bytes]:
    visit.come_to("begun")
    yield b"[1, "
    time.sleep(PAUSE)
    visit.come_to("midway")
    yield visit.told(token) + b"]"


async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        return
    if scope["path"] == "/alive":
        await JSONResponse(told(scope, ()))(scope, receive, send)
        return
    visit = Visit(scope, scope["query_string"].decode(), asyncio.CancelledError)
    await asyncio.sleep(PAUSE)
    visit.come_to("first")
    session = get_session(scope)
    token = await session.access_token() if visit.token else None
    headers = [(b"content-type", TYPE.encode()), (b"x-person", visit.user.name.encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    visit.come_to("begun")
    await send({"type": "http.response.body", "body": b"[1, ", "more_body": True})
    await asyncio.sleep(PAUSE)
    visit.come_to("midway")
    await send({"type": "http.response.body", "body": visit.told(token) + b"]"})
