"""This file is a server that gives everybody the same answer, whatever it is."""

import contextlib
import itertools
import json
import socketserver
import ssl
import threading
from typing import Any, Self

from support.ports import HOST


def json_answer(document: object) -> bytes:
    body = json.dumps(document).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def document_of(issuer: str) -> dict[str, Any]:
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/auth",
        "token_endpoint": f"{issuer}/token",
        "jwks_uri": f"{issuer}/jwks",
    }


class Canned:
    """A server that gives everybody one `answer`, and remembers the head of every request."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.answer = b""
        self.heads: list[str] = []
        self.connections = 0
        canned = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                canned.connections += 1
                while head := b"".join(itertools.takewhile(lambda line: line != b"\r\n", self.rfile)):
                    canned.heads.append(head.decode())
                    self.wfile.write(canned.answer)

        class Listener(socketserver.ThreadingTCPServer):
            daemon_threads = True

            def finish_request(self, request: Any, client_address: Any) -> None:
                with contextlib.suppress(OSError):  # who does not trust the certificate hangs up
                    if context:
                        request = context.wrap_socket(request, server_side=True)
                    with request:
                        super().finish_request(request, client_address)

        self._server = Listener((HOST, 0), Handler)
        self.port = self._server.server_address[1]
        self.url = f"{'https' if context else 'http'}://{HOST}:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
