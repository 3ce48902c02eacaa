"""This file is every app that is compared, bare and behind each of its layers, save Django's."""

from __future__ import annotations

from typing import Final

from driving import asgi_wrapper, wsgi_wrapper
from layers import (
    OURS,
    OURS_WSGI,
    App,
    Family,
    Layer,
    asgi_app,
    by_hand,
    by_hand_wsgi,
    reading,
    sealed,
    wsgi_app,
)
from layers_flask import FLASK
from layers_starlette import STARLETTE, Nothing, in_sessions, starlette_cookie

BARE: Final = "bare"
NOTHING: Final = "a wrapper that does nothing"
BY_HAND: Final = "cookie split, AES-GCM, JSON by hand"

ASGI: Final = Family(
    "asgi",
    "no framework",
    lambda: asgi_app,
    (
        Layer(NOTHING, lambda: asgi_wrapper(asgi_app)),
        Layer(BY_HAND, by_hand, sealed),
        *OURS,
        Layer(
            "SessionMiddleware",
            lambda: in_sessions(reading(lambda scope: scope["session"]["user"]["name"])),
            starlette_cookie,
            keeps_tokens=True,
        ),
        Layer("BaseHTTPMiddleware that does nothing", lambda: Nothing(asgi_app)),
    ),
)
WSGI: Final = Family(
    "wsgi",
    "no framework",
    lambda: wsgi_app,
    (Layer(NOTHING, lambda: wsgi_wrapper(wsgi_app)), Layer(BY_HAND, by_hand_wsgi, sealed), *OURS_WSGI),
)
FAMILIES: Final = (ASGI, STARLETTE, WSGI, FLASK)


def named(family: Family, layer: str) -> str:
    """What `built` takes."""
    return f"{family.face}|{family.name}|{layer}"


def built(name: str) -> App:
    for family in FAMILIES:
        builders = {named(family, layer.name): layer.guarded for layer in family.layers}
        builders[named(family, BARE)] = family.bare
        if name in builders:
            return builders[name]()
    raise LookupError(name)
