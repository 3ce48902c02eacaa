"""This file is an app's own pages as a folder of templates, one file a page, read once and checked at once.

`signed_out.html` is the page of that code, `page.html` is every other. They are those of `string.Template`: `$title`,
`${title}`, and `$$` for the sign itself.
"""

import difflib
from collections.abc import Collection, Iterator
from html import escape
from pathlib import Path
from string import Template
from typing import Final

from ck_middleware.errors import Fault
from ck_middleware.pages import Page
from ck_middleware.pages.languages import ENGLISH

# What may stand in one: text, which is escaped, and HTML.
TEXTS: Final = (
    "action",
    "app_name",
    "code",
    "details",
    "direction",
    "language",
    "reference",
    "status",
    "title",
    "token",
    "url",
    "words",
)
MARKUP: Final = ("button", "style")
OTHERS: Final = "page"  # the file for every code without one of its own
POSTS: Final = "confirm_logout"  # the page whose form is the way to sign out


class Templates:
    """Called with a page, it gives the app's own, or `None` where the folder has none for it."""

    def __init__(self, folder: Path) -> None:
        """Raises `Fault` with what is wrong in every file."""
        files = _files(folder)
        self._templates: dict[str, Template] = {}
        if faults := [fault for file in files for fault in self._take(file)]:
            raise Fault(*faults)
        if fault := self._no_way_out():
            raise Fault(fault)

    def __call__(self, page: Page) -> str | None:
        template = self._templates.get(page.code) or self._templates.get(OTHERS)
        if template is None:
            return None
        texts = {name: escape(str(getattr(page, name))) for name in TEXTS}
        return template.substitute(texts, **{name: getattr(page, name) for name in MARKUP})

    def _take(self, file: Path) -> Iterator[str]:
        """Read one file. Gives what is wrong with it."""
        if file.stem not in (codes := (*ENGLISH.texts, OTHERS)):
            yield f"{file.name} is called like no page{_near(file.stem, codes, '.html')}"
            return
        try:
            text = file.read_text("utf-8")
        except UnicodeDecodeError:
            yield f"{file.name} is not text in UTF-8; save it so"
            return
        except OSError as exc:
            yield f"{file.name} cannot be read: {exc.strerror}"
            return
        self._templates[file.stem] = Template(text)
        for found in Template.pattern.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            name, where = found["named"] or found["braced"], f"{file.name}, line {line}"
            if found["invalid"] is not None:
                yield f"{where}: there is a $ with no name after it; write $$ for the sign itself"
            elif name and name not in TEXTS + MARKUP:
                yield f"{where}: ${name} is not known{_near(name, TEXTS + MARKUP)}"

    def _no_way_out(self) -> str:
        """What is wrong with the page that signs people out, if it is among these and could not do it."""
        name = POSTS if POSTS in self._templates else OTHERS
        used = set(self._templates[name].get_identifiers()) if name in self._templates else {"button"}
        if "button" in used or {"url", "token"} <= used:
            return ""
        return f"{name}.html has neither $button nor $url and $token, so nobody could sign out with it; put $button in"


def _files(folder: Path) -> list[Path]:
    """All templates, of which there is one at least. Raises `Fault`."""
    try:
        if files := sorted(folder.glob("[!.]*.html")):  # an editor at work puts hidden ones beside them
            return files
        what = "is a folder without any *.html" if folder.is_dir() else "is not a folder that is here"
    except OSError as exc:  # such as one in a folder that we may not look into
        what = f"cannot be looked into: {exc.strerror}"
    raise Fault(f"{what}; give the path of one that has page.html or signed_out.html in it")


def _near(name: str, known: Collection[str], ending: str = "") -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}{ending}?" if near else f"; there are {', '.join(known)}"
