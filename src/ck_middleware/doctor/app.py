"""This file is the running app, asked from outside as a browser would: is what it sends what is configured?"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

import httpx

from ck_middleware import cookies
from ck_middleware.doctor.finding import EXCHANGE_FAILED, STATE_MISMATCH, Finding, good, problem, warning
from ck_middleware.doctor.provider import redirect_uri

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ck_middleware.config import AuthConfig

NOT_OURS: Final = "The middleware has to be outermost, and the proxy has to hand on what is below "


def examine(config: AuthConfig, address: str) -> Iterator[Finding]:
    """Ask the app at its public address. It gets three requests, and keeps nothing of them."""
    address = address.rstrip("/")
    with httpx.Client(timeout=config.timeout) as browser:
        try:
            login = browser.get(f"{address}{config.auth_prefix}/login", params={"next": "/"})
            browser.cookies.clear()
            me = browser.get(f"{address}{config.auth_prefix}/me")
            size = "x" * (cookies.LARGEST - 16)
            full = browser.get(f"{address}{config.auth_prefix}/me", headers={"Cookie": f"ck_doctor={size}"})
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            yield _unheard(address, exc)
            return
    yield from _login(config, login, redirect_uri(config, address))
    yield from _me(config, me)
    if me.status_code == httpx.codes.UNAUTHORIZED and full.status_code != me.status_code:
        yield problem(
            "cookie_size",
            f"A request with a full cookie is answered {full.status_code} on its way.",
            why="People with many claims would be locked out as soon as they log in.",
            fix="Let the proxy and the server take header lines of 8 KB (large_client_header_buffers in nginx).",
        )


def _unheard(address: str, exc: Exception) -> Finding:
    distrust = _distrust(exc)
    if distrust:
        return problem(
            "app",
            f"The certificate of the app at {address} is not trusted here: {distrust.verify_message}.",
            why="Browsers that do not trust it either let nobody in.",
            fix="Give the proxy a certificate for this name. If a CA of your own made it, name that to this command: "
            "SSL_CERT_FILE=ca.pem",
        )
    return problem(
        "app",
        f"The app at {address} does not answer ({type(exc).__name__}).",
        why="Nobody sees it.",
        fix="Start it, and see whether the address is right.",
    )


def _distrust(exc: BaseException | None) -> ssl.SSLCertVerificationError | None:
    """What TLS had against a certificate, if that is why something failed."""
    while exc:
        if isinstance(exc, ssl.SSLCertVerificationError):
            return exc
        exc = exc.__cause__ or exc.__context__
    return None


def _login(config: AuthConfig, login: httpx.Response, expected: str | None) -> Iterator[Finding]:
    query = parse_qs(urlsplit(login.headers.get("location", "")).query)
    if login.status_code != httpx.codes.SEE_OTHER or "client_id" not in query:
        yield problem(
            "login",
            f"{login.request.url.path} answers {login.status_code}, and sends nobody to the provider.",
            why="Nobody can log in.",
            fix=f"{NOT_OURS}{config.auth_prefix}. A 400 says that base_url is missing there.",
        )
        return
    sent = query.get("redirect_uri", [""])[0]
    if query["client_id"] != [config.client_id] or sent != expected:
        yield problem(
            "login",
            f"The app sends the redirect URI {sent} as client {query['client_id'][0]}; these settings say {expected} "
            f"as {config.client_id}.",
            why="The provider refuses a redirect URI that is not registered, letter by letter.",
            fix="Give the running app the same environment as this command, CONSENTKEYS_APP_URL above all.",
            also=EXCHANGE_FAILED,
        )
    else:
        yield good("login", f"The app sends people to the provider with the redirect URI {sent}")
    yield from _cookie(config, login)


def _cookie(config: AuthConfig, login: httpx.Response) -> Iterator[Finding]:
    secure, prefix = config.secure, "__Host-" if config.secure else ""
    set_ = [header for header in login.headers.get_list("set-cookie") if "ck_login_" in header]
    attributes = {part.strip().lower() for header in set_ for part in header.split(";")[1:]}
    right = set_ and all(header.startswith(f"{prefix}ck_login_") for header in set_)
    if right and {"httponly", "samesite=lax", "path=/"} <= attributes and ("secure" in attributes) == secure:
        yield good("cookies", f"Its cookies arrive as they were sent: {prefix}ck_login_..., HttpOnly, SameSite=Lax.")
        return
    yield problem(
        "cookies",
        "The cookie of a login does not arrive as it should." if set_ else "The cookie of a login does not arrive.",
        why="Whoever comes back from the provider is then told to start again.",
        fix="Let the proxy leave Set-Cookie alone, and CONSENTKEYS_APP_URL say https:// where people see https://.",
        also=STATE_MISMATCH,
    )


def _me(config: AuthConfig, me: httpx.Response) -> Iterator[Finding]:
    if me.status_code != httpx.codes.UNAUTHORIZED:
        yield warning(
            "me",
            f"{me.request.url.path} answers {me.status_code} to a stranger; it should be 401.",
            why="Something in front of the app answers in its place.",
            fix=f"{NOT_OURS}{config.auth_prefix}.",
        )
    elif "no-store" not in me.headers.get("cache-control", ""):
        yield warning(
            "cache",
            f"{me.request.url.path} arrives without Cache-Control: no-store.",
            why="A cache on the way may show one person's answer to another.",
            fix="Let the proxy leave Cache-Control alone.",
        )
    else:
        yield good("me", "A stranger is a stranger: 401, and nothing of it may be cached.")
