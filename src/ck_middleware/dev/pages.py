"""This file is what a person sees of the development provider and of the demo: plain HTML, one look, no script."""

import base64
import hashlib
from collections.abc import Iterable
from html import escape
from typing import Final

from starlette.responses import HTMLResponse

from ck_middleware.dev.authorization import AuthorizationRequest
from ck_middleware.dev.people import LONGEST_NAME, Person

STYLE: Final = """
:root { color-scheme: light dark; --ink: #1d2433; --soft: #566075; --paper: #f6f5f2; --card: #fff; --line: #d9d7d0;
  --accent: #2b5c8a; --on-accent: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaf0; --soft: #a5aec2; --paper: #14171e; --card: #1d212b;
  --line: #373d4b; --accent: #8fbdea; --on-accent: #10151d; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 2rem 1rem 4rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.6 system-ui, sans-serif; }
main { max-width: 38rem; margin: 0 auto; padding: 1.5rem 2rem 2rem; background: var(--card);
  border: 1px solid var(--line); border-radius: .75rem; overflow-wrap: anywhere; }
h1 { margin: 0 0 .75rem; font-size: 1.5rem; line-height: 1.25; }
h2 { margin: 2rem 0 .5rem; font-size: 1.05rem; }
p, dl, table { margin: 0 0 1rem; }
.note { max-width: 38rem; margin: 0 auto 1rem; color: var(--soft); font-size: .9rem; }
small { display: block; color: var(--soft); font-size: .875rem; }
form { margin: 0; }
form > * { margin-bottom: .6rem; }
label { display: block; margin-bottom: .2rem; }
input { width: 100%; padding: .6rem .75rem; font: inherit; color: inherit; background: var(--paper);
  border: 1px solid var(--soft); border-radius: .5rem; }
button, .button { display: inline-block; padding: .6rem 1.1rem; font: inherit; text-decoration: none; cursor: pointer;
  color: var(--on-accent); background: var(--accent); border: 1px solid var(--accent); border-radius: .5rem; }
button.person { display: block; width: 100%; text-align: left; color: inherit; background: var(--paper);
  border-color: var(--line); }
button.person:hover { border-color: var(--accent); }
button.quiet { color: inherit; background: none; border-color: var(--line); }
a { color: var(--accent); } a.button { color: var(--on-accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
table { width: 100%; border-collapse: collapse; } th, td { padding: .4rem .75rem .4rem 0; text-align: left;
  vertical-align: top; border-bottom: 1px solid var(--line); } th { font-weight: 600; }
code { font-size: .9em; }
"""

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
        f'<p class="note">{note}</p>\n<main>\n<h1>{escape(title)}</h1>\n{body}\n</main>\n</body>\n</html>\n',
        status_code=status,
        headers=_HEADERS,
    )


def choose(request_id: str, asked: AuthorizationRequest, people: Iterable[Person]) -> HTMLResponse:
    """Who signs in? Each way to answer is a form of its own, so that Enter in the field means the field."""
    scope = ", ".join(sorted(asked.scope))
    return page(
        "Who signs in?",
        f"<p>The application <code>{escape(asked.client_id)}</code> asks for <em>{escape(scope)}</em>. "
        f"The answer goes to <code>{escape(asked.redirect_uri)}</code>.</p>\n"
        + _form(request_id, "\n".join(_person(person) for person in people))
        + "\n<h2>Somebody else</h2>\n"
        + _form(
            request_id,
            f'<div><label for="name">Name</label>\n<input id="name" name="name" maxlength="{LONGEST_NAME}" required'
            ' autocomplete="off"></div>\n<button>Sign in</button>',
        )
        + "\n<h2>Nobody</h2>\n"
        + _form(request_id, '<button class="quiet" name="decision" value="deny">Deny</button>'),
    )


def refusal(text: str, status: int = 400) -> HTMLResponse:
    """What went wrong, for the developer who reads it."""
    return page("This request cannot be answered", f"<p>{escape(text)}</p>", status=status)


def signed_out() -> HTMLResponse:
    return page("Signed out", "<p>You may close this page.</p>")


def _form(request_id: str, fields: str) -> str:
    return f'<form method="post">\n<input type="hidden" name="request" value="{escape(request_id)}">\n{fields}\n</form>'


def _person(person: Person) -> str:
    note = f" <small>{escape(person.note)}</small>" if person.note else ""
    return f'<button class="person" name="person" value="{escape(person.key)}">{escape(person.name)}{note}</button>'
