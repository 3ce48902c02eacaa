"""This file is a real server for tests: uvicorn in a thread, at a port that the kernel gives to nobody else."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

    import uvicorn
    from starlette.types import ASGIApp

HOST = "127.0.0.1"
PATIENCE = 30  # seconds for a server to start or stop, on a busy machine


class Port:
    """A port that a server may listen on, and stop, and listen on again, for as long as this is open.

    It is bound and not listened on: nobody who asks for any port is given it, and a server that names it, and lets
    addresses be used again as servers do, gets it.
    """

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((HOST, 0))
        self.number: int = self._socket.getsockname()[1]

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Server:
    """One ASGI app on a port of its own. It can be stopped, refuses connections then, and started again.

    The port is taken at construction, so that `url` is known before the app is.
    """

    def __init__(self, app: ASGIApp | None = None, *, lifespan: bool = False, keep_alive: bool = True) -> None:
        """Raises `RuntimeError` where uvicorn is not installed."""
        try:
            import uvicorn  # noqa: F401, PLC0415  # comes with an extra that the middleware itself does without
        except ImportError as exc:
            raise RuntimeError("This needs a server; install it with: pip install 'ck-middleware[demo]'") from exc
        self.app = app
        self._lifespan = lifespan
        self._headers = [] if keep_alive else [("connection", "close")]
        self._port = Port()
        self.port = self._port.number
        self.url = f"http://{HOST}:{self.port}"
        self._server: uvicorn.Server | None = None
        self._thread = threading.Thread()

    def start(self) -> None:
        """Serve, unless it does."""
        import uvicorn  # noqa: PLC0415

        if self._server:
            return
        listening = socket.create_server((HOST, self.port))
        config = uvicorn.Config(
            self.app or _nothing,
            ws="none",
            lifespan="on" if self._lifespan else "off",
            log_level="critical",
            headers=self._headers,
            timeout_keep_alive=PATIENCE,  # who is asked again after a while must not race with its hanging up
            timeout_graceful_shutdown=1,
        )
        self._server = server = uvicorn.Server(config)
        self._thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        self._thread.start()
        ending = time.monotonic() + PATIENCE
        while not server.started:
            if not self._thread.is_alive() or time.monotonic() > ending:
                raise RuntimeError("the server did not start")
            time.sleep(0.005)

    def stop(self) -> None:
        if self._server:
            self._server.should_exit = True
            self._thread.join(PATIENCE)
            self._server = None

    def close(self) -> None:
        """Stop, and give the port back."""
        self.stop()
        self._port.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def _nothing(scope: object, receive: object, send: object) -> None:  # noqa: ARG001  # an app's
    raise RuntimeError("this server was given no app")
