"""This file is the settings by themselves: what is read, what looks misspelt, and what is weak."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Final

from ck_middleware import cookies
from ck_middleware.config import AuthConfig, unread
from ck_middleware.doctor import session
from ck_middleware.doctor.finding import EXCHANGE_FAILED, Finding, good, note, problem, sentence, warning
from ck_middleware.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FEWEST_BITS: Final = 128  # of a session secret, by the most generous estimate

# What ConsentKeys says of somebody who has filled in everything.
TYPICAL: Final = {
    "iss": "https://pseudoidc.consentkeys.com",
    "sub": "ck_u_" + "0123456789abcdef" * 2,
    "aud": "ck_" + "0123456789abcdef" * 2,
    "exp": 1_800_000_000,
    "iat": 1_800_000_000,
    "auth_time": 1_800_000_000,
    "name": "Alexandria Montgomery-Whitfield",
    "preferred_username": "alexandria.montgomery",
    "email": "alexandria.montgomery-whitfield@relay.consentkeys.example",
    "email_verified": True,
    "picture": "https://avatars.consentkeys.example/u/0123456789abcdef0123456789abcdef.png",
    "address": {"formatted": "12 Somewhere Lane\nExampleton 12345\nNowhere"},
}


def read(environ: Mapping[str, str]) -> tuple[AuthConfig | None, list[Finding]]:
    """The configuration as the app would have it, and what is wrong with it."""
    found = list(_misspelt(environ))
    try:
        config = AuthConfig.from_env(environ)
    except ConfigError as exc:
        why = "The app does not start with it."
        faults = (text.partition("; ") for text in exc.problems)
        found += [problem("settings", what + ".", why=why, fix=sentence(fix)) for what, _, fix in faults]
        return None, found
    found.append(good("settings", f"The settings are complete: client {config.client_id}, provider {config.issuer}."))
    return config, [*found, *_secret(config), *_place(config), *_paths(config), *_size(config)]


def _misspelt(environ: Mapping[str, str]) -> Iterator[Finding]:
    for name, near in unread(environ).items():
        what = f"{name} is set, and not read."
        if near:
            why = f"It looks like {near}, whose value is then missing."
            yield warning("environment", what, why=why, fix=f"Call it {near}.")
        else:
            yield note("environment", what, fix="Take it out, unless something else in the app reads it.")


def _secret(config: AuthConfig) -> Iterator[Finding]:
    weak = [number for number, secret in enumerate(config.session_secret, 1) if _bits(secret) < FEWEST_BITS]
    if weak:
        which = "SESSION_SECRET" if len(config.session_secret) == 1 else f"Number {weak[0]} of SESSION_SECRET"
        yield problem(
            "session_secret",
            f"{which} is long enough, but repeats itself.",
            why="Whoever guesses it makes sessions for anybody.",
            fix="Take a random one: ck-middleware secret",
        )
    else:
        several = f", and {len(config.session_secret) - 1} older to open with" if config.session_secret[1:] else ""
        yield good("session_secret", f"SESSION_SECRET looks random{several}.")


def _bits(secret: str) -> float:
    """How many bits it has at most: each letter as surprising as its frequency in this text allows."""
    total = len(secret)
    return -sum(count * math.log2(count / total) for count in Counter(secret).values())


def _place(config: AuthConfig) -> Iterator[Finding]:
    if config.address is None:
        yield note(
            "base_url",
            "base_url is not set: people can log in at localhost, 127.0.0.1 and [::1] only.",
            fix="On a server, set CONSENTKEYS_APP_URL to the app's public address, such as https://app.example",
        )
        return
    redirect_uri = config.redirect_uri or config.address + config.callback_path
    prefix = "__Host-" if config.secure else ""
    yield good("base_url", f"The app is at {config.address}; its cookies are called {prefix}ck_session.")
    yield note(
        "redirect_uri",
        f"The redirect URI is {redirect_uri}",
        fix="It has to be registered in the Developer Portal exactly so: scheme, port and last slash count.",
    )
    if redirect_uri.endswith("/"):
        yield warning(
            "redirect_uri",
            "The redirect URI ends in a slash.",
            why="The provider compares it letter by letter, and most people register it without one.",
            fix="Take the slash away in CONSENTKEYS_REDIRECT_URI, or register it with one.",
            also=EXCHANGE_FAILED,
        )


def _paths(config: AuthConfig) -> Iterator[Finding]:
    what = "everything" if "/" in config.protect else ", ".join(config.protect)
    public = f", but for {', '.join(config.public)}" if config.public else ""
    yield good("protect", f"A login is needed for {what}{public}; 401 instead of a redirect: {', '.join(config.api)}.")


def _size(config: AuthConfig) -> Iterator[Finding]:
    if config.has_store:
        return
    size = len(session.cookie(config, TYPICAL))
    yield good("cookie", f"A session with typical claims takes {size} of the {cookies.LARGEST} bytes of a cookie.")
