"""This file is Datasette's actor: a hook for a plugin of yours to import."""

from typing import Any, Final

from datasette import Request, hookimpl

from ck_middleware.user import get_user

__all__ = ["actor_from_request"]

ROOT: Final = "root"  # to whom Datasette allows everything; it is whoever started it


@hookimpl  # type: ignore[untyped-decorator]  # Datasette has no types
def actor_from_request(request: Request) -> dict[str, Any] | None:
    """The claims of who is logged in, with the `sub` as `id`: the name by which `allow` blocks know people."""
    user = get_user(request)
    if not user.is_authenticated or user.sub == ROOT:
        return None
    return {**user.claims, "id": user.sub}
