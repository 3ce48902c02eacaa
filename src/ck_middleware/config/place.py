"""This file is where the app stands in the world, as far as the settings say, and where its callback is served."""

from typing import Final, NamedTuple
from urllib.parse import unquote

from ck_middleware.addresses import Address, split
from ck_middleware.config.readers import PLAIN
from ck_middleware.config.values import refuse
from ck_middleware.policy import canonical

ROUTES: Final = ("login", "logout", "me", "health", "backchannel-logout")  # below auth_prefix, beside the callback


class Place(NamedTuple):
    """Where the app stands in the world, as far as the settings say."""

    origin: str | None
    mount: str
    callback_path: str


def place(base_url: str | None, redirect_uri: str | None, auth_prefix: str) -> Place:
    """Work out where the app is, or refuse a redirect URI that could not be served there."""
    usual = f"{auth_prefix}/callback"
    base = split(base_url) if base_url else None
    if redirect_uri is None:
        return Place(base.origin, base.path, usual) if base else Place(None, "", usual)
    redirect = split(redirect_uri)
    path = unquote(redirect.path)  # what is not UTF-8 becomes U+FFFD, which is not canonical
    if base is None:
        base = Address(redirect.origin, redirect.host, path.removesuffix(usual) if path.endswith(usual) else "", "")
    if redirect.origin != base.origin:
        refuse("is not on the origin of base_url; give both the same scheme, host and port")
    if not path.startswith(f"{base.path}/") or path == f"{base.path}/":
        refuse(f"has no path below that of base_url; give it one, such as {base.path}{usual}")
    if not canonical(path) or not PLAIN.fullmatch(base.path):
        refuse(f"has a path that can be read in two ways; give it a plain one, such as {usual}")
    return Place(base.origin, base.path, _free(path.removeprefix(base.path), auth_prefix))


def _free(callback_path: str, auth_prefix: str) -> str:
    if callback_path in {f"{auth_prefix}/{route}" for route in ROUTES}:
        refuse(f"is the address of another of our routes; give it a path of its own, such as {auth_prefix}/callback")
    return callback_path
