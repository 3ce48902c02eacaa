"""This file is an app without a framework, as PEP 3333 has it: `gunicorn support.apps.plain:app`."""

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO
from wsgiref.types import StartResponse, WSGIEnvironment

from ck_middleware import WSGIAuthMiddleware
from support.apps.telling import TIMEOUT, record, told
from support.asked import PATIENCE, waiting_at_most

WAIT = 60  # seconds for the test to let a stream go on


class SentByTheKernel:
    """A file that can be sent with `sendfile` and in no other way."""

    def __init__(self, file: BinaryIO) -> None:
        self.fileno, self.close = file.fileno, file.close

    def read(self, size: int = -1) -> bytes:
        raise AssertionError("somebody reads the file that the server was to send")


def tell(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    record(path=environ["PATH_INFO"])
    seen = {"scheme": environ["wsgi.url_scheme"], "client": environ["REMOTE_ADDR"], "mount": environ["SCRIPT_NAME"]}
    told_of = told(environ, environ.items()) | {"remote_user": environ.get("REMOTE_USER")} | seen
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(told_of).encode()]


def send_file(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    file = Path(os.environ["APP_FILE"]).open("rb")  # noqa: SIM115  # the server closes it
    length = os.fstat(file.fileno()).st_size
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(length))])
    sent: Iterable[bytes] = environ["wsgi.file_wrapper"](SentByTheKernel(file))
    return sent


def stream(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    """Two chunks. The second is made when a file of the name in the query is there."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"first\n"
    ending = time.monotonic() + WAIT
    while time.monotonic() < ending:
        if Path(environ["QUERY_STRING"]).exists():
            yield b"second\n"
            return
        time.sleep(0.01)
    yield b"nobody had the first\n"


PAGES: dict[str, Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]] = {"/file": send_file, "/stream": stream}


def plain(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    return PAGES.get(environ["PATH_INFO"], tell)(environ, start_response)


with waiting_at_most(PATIENCE):
    app = WSGIAuthMiddleware(plain, timeout=TIMEOUT)
