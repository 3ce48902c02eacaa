"""What a logged-in request costs with each kind of session, as a ratio to the sealed cookie, in one run.

    python benchmarks/sessions.py [REDIS_URL]

One process, the WSGI face, rounds interleaved, medians. SQLite is a file in a temporary folder; without a REDIS_URL
that row is left out. Absolute times are the machine's; the ratios are ours.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from driving import CLAIMS, USUAL, Nobody

from ck_middleware import AuthConfig, WSGIAuthMiddleware
from ck_middleware.ports import step
from ck_middleware.stores.memory import MemoryStore
from ck_middleware.tokens import Login, Tokens

ROUNDS, REQUESTS = 15, 400


def request_of(store: object) -> Callable[[], None]:
    guarded = WSGIAuthMiddleware(lambda _environ, _start: [b""], AuthConfig(**(USUAL | {"store": store})))
    cookies = step(guarded._gate.sessions.start(Login(CLAIMS, Tokens("access")), Nobody()))  # noqa: SLF001
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_COOKIE": cookies[0].partition(";")[0]}

    def ask() -> None:
        if list(guarded(dict(environ), lambda *_: None)) != [b""]:  # type: ignore[arg-type]  # never called
            raise RuntimeError("not logged in")

    return ask


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        kinds: dict[str, object] = {"cookie": "cookie", "memory": MemoryStore(), "sqlite": f"sqlite:///{folder}/s.db"}
        kinds |= {"redis": sys.argv[1]} if len(sys.argv) > 1 else {}
        requests = {kind: request_of(store) for kind, store in kinds.items()}
        times: dict[str, list[float]] = {kind: [] for kind in kinds}
        for _ in range(ROUNDS):
            for kind, ask in requests.items():
                began = time.perf_counter()
                for _ in range(REQUESTS):
                    ask()
                times[kind].append((time.perf_counter() - began) / REQUESTS * 1e6)
        base = statistics.median(times["cookie"])
        for kind, found in times.items():
            middle = statistics.median(found)
            sys.stdout.write(f"{kind:8} {middle:8.1f} us  {middle / base:5.2f} x the sealed cookie\n")


if __name__ == "__main__":
    main()
