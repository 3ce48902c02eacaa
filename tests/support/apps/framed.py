"""This file is the sites of several frameworks behind one server, guarded, bare, and naively guarded.

A header field `App` says which is meant: `flask`, `flask-bare`, `flask-naive`. Without one it is a guarded app that
tells who came, at whatever path; `bare` is one that answers all.
"""

from typing import Any

from support.frameworks.site import PREFIXES, Build, Witness, Wrap, plain

SECRET, WELCOME = "what only friends may read", "what all may read"
PROTECT = [*PREFIXES, "/who"]


class Speaking(Witness):
    """A site that says in its answers what a test looks for."""

    def serve(self, route: str) -> str:
        return WELCOME if route == "/public" else SECRET


def sites(builds: dict[str, Build], guard: Wrap, naive: Wrap, tell: Any, answer: Any) -> dict[str, Any]:
    found = {"": guard(tell), "bare": answer}
    for name, build in builds.items():
        for ending, wrap in (("", guard), ("-bare", plain), ("-naive", naive)):
            found[name + ending] = build(Speaking(), wrap)
    return found


def a_prefix_alone_guards(path: str) -> bool:
    """The guard that everybody writes first."""
    return any(path == prefix or path.startswith(prefix + "/") for prefix in PROTECT)
