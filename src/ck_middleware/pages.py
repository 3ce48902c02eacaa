"""This file is what a stranger sees of us: a calm page for people, JSON for programs, and the headers on both.

Every text stands in `TEXTS`. The pages need no script, load nothing from anywhere, and follow the browser's light or
dark. Whatever is put into one is escaped.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Final

from ck_middleware.messages import Response

if TYPE_CHECKING:
    from ck_middleware.errors import LoginRefused

STYLE: Final = """
:root{color-scheme:light dark;--ink:#1c2330;--soft:#5b6474;--card:#fff;--ground:#f3f4f7;--line:#dfe2e8;
 --act:#2a4fd0;--on:#fff}
@media(prefers-color-scheme:dark){:root{--ink:#e8eaf0;--soft:#a3abba;--card:#1b202b;--ground:#11151d;--line:#303747;
 --act:#9db4ff;--on:#10141c}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.5rem;background:var(--ground);
 color:var(--ink);font:1rem/1.6 system-ui,sans-serif}
main{width:100%;max-width:27rem;padding:2.25rem 2rem;background:var(--card);border:1px solid var(--line);
 border-radius:.9rem}
h1{margin:0 0 .6rem;font-size:1.4rem;line-height:1.3;text-wrap:balance}
p{margin:0 0 1rem}
.act{display:inline-block;padding:.65rem 1.2rem;border:0;border-radius:.55rem;background:var(--act);color:var(--on);
 font:inherit;font-weight:600;text-decoration:none;cursor:pointer}
.act:hover{filter:brightness(1.1)}
:focus-visible{outline:3px solid var(--act);outline-offset:3px}
.small{margin:1.5rem 0 0;padding-top:1rem;border-top:1px solid var(--line);color:var(--soft);font-size:.875rem;
 overflow-wrap:anywhere}
"""

# No script, no frame around us, nothing from elsewhere. `form-action` is left out on purpose: a browser would apply it
# to the redirect to the provider's log-out page that answers our own form.
POLICY: Final = (
    "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    + "'"
)

# Answers depend on who asks and carry what must not leak to other sites or stay behind in a cache.
HEADERS: Final = (
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Content-Security-Policy", POLICY),
)


@dataclass(frozen=True, slots=True)
class Text:
    title: str
    words: str
    action: str = ""  # what the link or button says; none without it


AGAIN: Final = "Sign in again"
TEXTS: Final = {
    "base_url_missing": Text(
        "This address is not set up for signing in",
        "The app does not know that it is reached at this address. Its owner finds the setting to change in the log.",
        "Try again",
    ),
    "initiation_invalid": Text(
        "This sign-in was not begun",
        "The link that led here asks for another sign-in service than this app's own, or is not complete.",
        "Sign in",
    ),
    "login_expired": Text(
        "This sign-in cannot be finished",
        "It was begun in another browser, was finished before, or took too long. Nothing is wrong; just start again.",
        AGAIN,
    ),
    "callback_invalid": Text(
        "This sign-in cannot be finished", "What came back from the sign-in page is incomplete or changed.", AGAIN
    ),
    "code_refused": Text(
        "This sign-in cannot be finished", "The sign-in page no longer accepts it: used before, or too old.", AGAIN
    ),
    "token_invalid": Text(
        "You could not be signed in", "The proof of who you are did not hold, so nobody was signed in.", AGAIN
    ),
    "access_denied": Text(
        "You are not signed in", "Access was denied at the sign-in page. You can change your mind.", AGAIN
    ),
    "session_too_large": Text(
        "You could not be signed in",
        "There is more in your profile than this app can keep. Its owner finds the remedy in the log.",
        "Try again",
    ),
    "provider_faulty": Text(
        "Signing in does not work right now", "The sign-in service gave an answer that cannot be used.", "Try again"
    ),
    "client_refused": Text(
        "Signing in does not work right now",
        "The sign-in service does not accept this app. Its owner finds the settings to check in the log.",
        "Try again",
    ),
    "provider_unreachable": Text(
        "Signing in does not work right now",
        "The sign-in service cannot be reached. Please try again in a moment; whoever is signed in stays so.",
        "Try again",
    ),
    "store_unavailable": Text(
        "This page cannot be shown right now",
        "Who is signed in cannot be looked up at the moment. Nobody was signed out; please try again.",
    ),
    "path_refused": Text("This address is not valid", "It is spelled in a way that could mean two things."),
    "not_found": Text("Nothing here", "There is no page at this address."),
    "method_not_allowed": Text("This cannot be done", "The address does not take this kind of request."),
    "cross_site": Text("You were not signed out", "The request came from another site, so it was not carried out."),
    "internal_error": Text("Something went wrong", "The request was not carried out. The owner finds more in the log."),
    "confirm_logout": Text("Sign out?", "You will have to sign in again to come back.", "Sign out"),
    "signed_out": Text("You are signed out", "Nobody is signed in here in this browser.", "Sign in"),
}


def redirect(location: str, *, cookies: tuple[str, ...] = ()) -> Response:
    """303, so that a post is never repeated at the new address (RFC 9700, 4.12)."""
    return Response(303, (*HEADERS, ("Location", location)), cookies=cookies)


def data(
    status: int,
    members: dict[str, Any],
    *,
    headers: tuple[tuple[str, str], ...] = (),
    cookies: tuple[str, ...] = (),
) -> Response:
    body = json.dumps(members, ensure_ascii=True).encode()
    return Response(status, (*HEADERS, *headers, ("Content-Type", "application/json")), body, cookies)


def notice(
    status: int,
    code: str,
    *,
    person: bool,
    headers: tuple[tuple[str, str], ...] = (),
    cookies: tuple[str, ...] = (),
) -> Response:
    """A refusal that has nothing to do with one login."""
    text = TEXTS[code]
    if person:
        return _html(status, _page(text), headers=headers, cookies=cookies)
    return data(status, {"error": text.title, "code": code}, headers=headers, cookies=cookies)


def failed(*, person: bool, reference: str) -> Response:
    """The guard itself has a fault. `reference` stands in the log."""
    text = TEXTS["internal_error"]
    if person:
        return _html(500, _page(text, _small("internal_error", reference)))
    return data(500, {"error": text.title, "code": "internal_error", "correlation_id": reference})


def login_refused(
    refusal: LoginRefused, *, person: bool, reference: str, again: str, cookies: tuple[str, ...]
) -> Response:
    """The end of a login. `reference` stands in the log beside the reason; `again` is where to start over."""
    text = TEXTS[refusal.code]
    headers = (("Retry-After", "10"),) if refusal.status == 503 else ()  # noqa: PLR2004  # Service Unavailable
    if not person:
        members = {"error": text.title, "code": refusal.code, "correlation_id": reference, "login_url": again}
        return data(refusal.status, members, headers=headers, cookies=cookies)
    link = f'<p><a class="act" href="{escape(again)}">{escape(text.action)}</a></p>' if text.action else ""
    page = _page(text, link + _small(refusal.code, reference))
    return _html(refusal.status, page, headers=headers, cookies=cookies)


def confirm_logout(action: str, token: str, *, cookies: tuple[str, ...]) -> Response:
    """The button that posts. `token` stands in for the headers that an old browser does not send."""
    text = TEXTS["confirm_logout"]
    form = (
        f'<form method="post" action="{escape(action)}"><input type="hidden" name="token" value="{escape(token)}">'
        f'<button class="act">{escape(text.action)}</button></form>'
    )
    return _html(200, _page(text, form), cookies=cookies)


def signed_out(login_url: str, *, cookies: tuple[str, ...]) -> Response:
    text = TEXTS["signed_out"]
    link = f'<p><a class="act" href="{escape(login_url)}">{escape(text.action)}</a></p>'
    return _html(200, _page(text, link), cookies=cookies)


def _small(code: str, reference: str) -> str:
    return f'<p class="small">Code {escape(code)}, reference {escape(reference)}</p>'


def _page(text: Text, rest: str = "") -> str:
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
        f"<title>{escape(text.title)}</title><style>{STYLE}</style></head>"
        f"<body><main><h1>{escape(text.title)}</h1><p>{escape(text.words)}</p>{rest}</main></body></html>\n"
    )


def _html(
    status: int, page: str, *, headers: tuple[tuple[str, str], ...] = (), cookies: tuple[str, ...] = ()
) -> Response:
    return Response(status, (*HEADERS, *headers, ("Content-Type", "text/html; charset=utf-8")), page.encode(), cookies)
