"""This file is a request as ASGI presents it: what is read off its scope."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from ck_middleware.messages import Request

if TYPE_CHECKING:
    from starlette.types import Receive, Scope

# Some frameworks read it as the identity that a server has verified; only we have verified one. In every spelling that
# becomes `REMOTE_USER`: a look-up in a set is what each header of each request can bear.
FORGED = frozenset(map(bytes, product(*zip(b"remote-user", b"REMOTE_USER", strict=True))))
NOTED = FORGED | {b"cookie"}


def cookies_of(scope: Scope, noted: frozenset[bytes] = NOTED) -> bytes:  # what is local is looked up faster
    """All `Cookie` fields of a request, joined. A header that claims an identity is dropped in passing."""
    found = b""
    for name, value in scope["headers"]:
        if name in noted:
            if name in FORGED:
                scope["headers"] = [pair for pair in scope["headers"] if pair[0] not in FORGED]
                return cookies_of(scope)
            found = found + b"; " + value if found else value
    return found


class ASGIRequest(Request):
    """A request as ASGI presents it: `path` decoded, with or without the mount at its head."""

    __slots__ = ("_headers", "_raw", "_receive")

    def __init__(self, scope: Scope, receive: Receive, cookies: bytes) -> None:
        self.is_websocket = scope["type"] == "websocket"
        self.method = scope.get("method", "GET")
        self.path = scope["path"]
        self.raw_path = scope.get("raw_path")
        self.mount = scope.get("root_path", "").removesuffix("/")
        self.query = scope.get("query_string", b"")
        self._receive = receive
        self.cookies = cookies
        self._raw: list[tuple[bytes, bytes]] = scope["headers"]
        self._headers: dict[bytes, bytes] | None = None

    def header(self, name: str) -> str:
        if self._headers is None:
            self._headers = dict(self._raw)
            if len(self._headers) < len(self._raw):
                self._headers = _joined(self._raw)
        value = self._headers.get(_OCTETS[name])
        return value.decode("latin-1") if value else ""

    async def body(self, limit: int) -> bytes | None:
        body, more = bytearray(), True
        while more:
            message = await self._receive()
            if message["type"] != "http.request":
                return None  # the client has gone
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > limit:
                return None
        return bytes(body)


def _joined(pairs: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    headers: dict[bytes, bytes] = {}
    for name, value in pairs:
        headers[name] = headers[name] + b", " + value if name in headers else value
    return headers


class _Octets(dict[str, bytes]):
    """The few names that we ask for, as they stand in a scope."""

    def __missing__(self, name: str) -> bytes:
        self[name] = octets = name.encode("latin-1")
        return octets


_OCTETS = _Octets()
