"""This file is what one small site is in every framework: its routes, and who watches which handler runs.

The other files of this folder build it. A builder takes the witness, and a wrapper for the place where the guard
stands, and gives the whole app.
"""

from collections.abc import Callable
from typing import Any

ROUTES = ("/api/secret", "/api", "/admin", "/public")
PROTECTED = ROUTES[:3]
SOCKET = "/api/live"  # a protected WebSocket, in the frameworks that have them
PREFIXES = ["/api", "/admin"]
MOUNT = "/m"  # where a framework mounts the guarded app, or the guard a framework that mounts

Wrap = Callable[[Any], Any]  # the guard, or nothing; it takes an app of its own face and gives one
Build = Callable[["Witness", Wrap], Any]


class Witness:
    """Knows whether the handler of a protected route has run."""

    def __init__(self) -> None:
        self.ran = False

    def serve(self, route: str) -> str:
        self.ran = self.ran or route not in {"/public", "elsewhere"}
        return route


def plain(app: Any) -> Any:
    """No guard."""
    return app
