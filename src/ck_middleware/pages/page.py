"""This file is one page for a person: what stands on it, and how it looks when the app has none of its own.

It needs no script, loads nothing from anywhere, and follows the browser's light or dark. It reads from right to left
where the language does.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from typing import Final, TypeAlias

# Ground, card, type, button and focus; the pages of the development provider begin with the same.
LOOK: Final = """
:root{color-scheme:light dark;--ground:#f4f5f7;--card:#fff;--line:#dcdfe6;--edge:#7b8494;--ink:#1b2130;--soft:#565f70;
 --act:#2a4fd0;--on:#fff;--shade:0 1px 2px #1b213014,0 12px 32px -12px #1b213024}
@media(prefers-color-scheme:dark){:root{--ground:#11141b;--card:#1a1f29;--line:#2f3643;--edge:#8b94a5;--ink:#e9ebf1;
 --soft:#a9b1c0;--act:#a3b8ff;--on:#11141b;--shade:none}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;min-height:100vh;min-height:100svh;background:var(--ground);color:var(--ink);
 font:1rem/1.6 system-ui,sans-serif}
main{width:100%;padding:2.25rem;background:var(--card);border:1px solid var(--line);border-radius:1rem;
 box-shadow:var(--shade);overflow-wrap:anywhere}
h1{margin:0 0 .75rem;font-size:1.5rem;line-height:1.25;letter-spacing:-.01em;text-wrap:balance}
p{margin:0 0 1rem;text-wrap:pretty}
main>:last-child{margin-block-end:0}
.act{display:inline-block;padding:.7rem 1.4rem;border:1px solid transparent;border-radius:.6rem;background:var(--act);
 color:var(--on);font:inherit;font-weight:600;line-height:1.4;text-align:center;text-decoration:none;cursor:pointer}
.act:hover{text-decoration:underline;text-underline-offset:.2em}
:focus-visible{outline:3px solid var(--act);outline-offset:3px}
@media(max-width:30rem){main{padding:1.75rem 1.5rem}}
@media(forced-colors:active){.act{border-color:currentcolor}}
"""

STYLE: Final = (
    LOOK
    + """
body{display:grid;place-items:center;padding:1.5rem}
main{max-width:30rem}
.app{margin-block-end:1.25rem;color:var(--soft);font-size:.9375rem;font-weight:600}
.go{margin:1.5rem 0 0}
.small{margin:2rem 0 0;padding-block-start:1rem;border-block-start:1px solid var(--line);color:var(--soft);
 font-size:.875rem;line-height:1.5}
@media(max-width:30rem){.act{width:100%}}
"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What is said to one person, in their language. All of it is text and has to be escaped, except for what
    `button`, `style` and `html` give, which is HTML.
    """

    code: str  # which page it is, such as signed_out
    status: int
    language: str  # for the attribute lang, such as en
    direction: str  # for the attribute dir: ltr or rtl
    app_name: str = ""
    title: str
    words: str
    action: str = ""  # what the link or button says; empty where nothing is to be done
    url: str = ""  # where the link leads or the form posts
    token: str = field(default="", repr=False)  # where there is one, `url` takes a post, with this in the field `token`
    reference: str = ""  # which stands in the log too; empty where nothing is logged
    details: str = ""  # the code and the reference, in words

    @property
    def button(self) -> str:
        """The link, or the form that posts; empty where nothing is to be done."""
        if not self.action:
            return ""
        if not self.token:
            return f'<a class="act" href="{escape(self.url)}">{escape(self.action)}</a>'
        return (
            f'<form method="post" action="{escape(self.url)}">'
            f'<input type="hidden" name="token" value="{escape(self.token)}">'
            f'<button class="act">{escape(self.action)}</button></form>'
        )

    @property
    def style(self) -> str:
        """Our own look, as an element for the head."""
        return f"<style>{STYLE}</style>"

    @property
    def html(self) -> str:
        """The whole page as we show it."""
        name = f'<p class="app"><bdi>{escape(self.app_name)}</bdi></p>' if self.app_name else ""
        go = f'<div class="go">{self.button}</div>' if self.button else ""
        small = f'<p class="small">{escape(self.details)}</p>' if self.details else ""
        title = f"{self.title} · {self.app_name}" if self.app_name else self.title
        return (
            f'<!doctype html>\n<html lang="{escape(self.language)}" dir="{escape(self.direction)}">'
            '<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<meta name="robots" content="noindex"><title>{escape(title)}</title>{self.style}</head>'
            f"<body><main>{name}<h1>{escape(self.title)}</h1><p>{escape(self.words)}</p>{go}{small}"
            "</main></body></html>\n"
        )


OwnPages: TypeAlias = Callable[[Page], str | None]  # the app's own page for this one, or `None` for ours
