"""This file is what a person sees of the development provider and of the demo: plain HTML, one look, no script."""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from html import escape
from typing import Final

from starlette.responses import HTMLResponse

from ck_middleware.dev.authorization import AuthorizationRequest
from ck_middleware.dev.people import LONGEST_NAME, Person
from ck_middleware.pages.page import LOOK

STYLE: Final = (
    LOOK
    + """
body{padding:1.5rem 1rem 3rem}
main,.note{max-width:36rem;margin-inline:auto}
.note{margin-block:0 1rem;color:var(--soft);font-size:.9rem;line-height:1.5}
h2{margin:2rem 0 .75rem;font-size:1.05rem;line-height:1.3}
a{color:var(--act);text-underline-offset:.15em}
code{font-size:.9em}
small{display:block;color:var(--soft);font-size:.875rem}
form>*+*{margin-block-start:.6rem}
label{display:block;margin-block-end:.3rem}
input,.person{display:block;width:100%;padding:.7rem 1rem;border:1px solid var(--edge);border-radius:.6rem;
 background:transparent;color:inherit;font:inherit;text-align:start}
.person{cursor:pointer}
.person:hover{border-color:var(--act);box-shadow:inset 0 0 0 1px var(--act)}
.quiet{border-color:var(--edge);background:transparent;color:inherit}
.facts{margin:0 0 1.25rem;border-block-start:1px solid var(--line)}
.facts>div{display:grid;grid-template-columns:11rem 1fr;gap:0 1.25rem;padding-block:.45rem;
 border-block-end:1px solid var(--line)}
dt{color:var(--soft)}
dd{margin:0}
@media(max-width:36rem){.facts>div{grid-template-columns:1fr}}
"""
)

NOT_CONSENTKEYS: Final = (
    "This is the development provider of ck-middleware, running on this machine. "
    "It is <strong>not ConsentKeys</strong>, and nobody in it is real."
)

# No form-action: Chromium applies it to the redirect after a post, and that leads to the application.
_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
_POLICY: Final = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; frame-ancestors 'none'"
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def page(title: str, body: str, *, note: str = NOT_CONSENTKEYS, status: int = 200) -> HTMLResponse:
    """A whole page. `body` and `note` are HTML, `title` is text."""
    return HTMLResponse(
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f'<header class="note">{note}</header>\n<main>\n<h1>{escape(title)}</h1>\n{body}\n</main>\n</body>\n</html>\n',
        status_code=status,
        headers=_HEADERS,
    )


def choose(request_id: str, asked: AuthorizationRequest, people: Iterable[Person]) -> HTMLResponse:
    """Who signs in? Each way to answer is a form of its own, so that Enter in the field means the field."""
    scope = ", ".join(sorted(asked.scope))
    return page(
        "Who signs in?",
        facts({"Application": asked.client_id, "Asks for": scope, "The answer goes to": asked.redirect_uri})
        + _form(request_id, "\n".join(_person(person) for person in people))
        + "\n<h2>Somebody else</h2>\n"
        + _form(
            request_id,
            f'<div><label for="name">Name</label>\n<input id="name" name="name" maxlength="{LONGEST_NAME}" required'
            ' autocomplete="off"></div>\n<button class="act">Sign in</button>',
        )
        + "\n<h2>Nobody</h2>\n"
        + _form(request_id, '<button class="act quiet" name="decision" value="deny">Deny</button>'),
    )


def refusal(text: str, status: int = 400) -> HTMLResponse:
    """What went wrong, for the developer who reads it."""
    return page("This request cannot be answered", f"<p>{escape(text)}</p>", status=status)


def signed_out() -> HTMLResponse:
    return page("Signed out", "<p>You may close this page.</p>")


def facts(told: Mapping[str, str]) -> str:
    """Names and what stands for them, each of them text."""
    rows = (f"<div><dt>{escape(name)}</dt><dd>{escape(fact)}</dd></div>\n" for name, fact in told.items())
    return f'<dl class="facts">\n{"".join(rows)}</dl>\n'


def _form(request_id: str, fields: str) -> str:
    return f'<form method="post">\n<input type="hidden" name="request" value="{escape(request_id)}">\n{fields}\n</form>'


def _person(person: Person) -> str:
    note = f" <small>{escape(person.note)}</small>" if person.note else ""
    return f'<button class="person" name="person" value="{escape(person.key)}">{escape(person.name)}{note}</button>'
