"""This file is how the site is made: `make docs` turns README.md, docs/ and a few files beside them into build/docs.

The source folder is the whole repository, so that a link between two files is the same here and where code is hosted.
What stands in the navigation, and in which order, is the list in docs/README.md.
"""

import importlib.metadata
import re
import shutil
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxRole

ROOT = Path(__file__).parent.parent
HOME = "README"
CONTENTS = "docs/README"
TOCTREE = "\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{pages}\n```\n"

project = "ck-middleware"
version = release = importlib.metadata.version("ck-middleware")
root_doc = HOME
include_patterns = ["*.md", "docs/*.md"]
exclude_patterns = [
    ".*",
    "benchmarks",
    "build",
    "deploy",
    "dist",
    "docs/static",
    "examples",
    "htmlcov",
    "mutants",
    "src",
    "tests",
]

extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_heading_anchors = 4
nitpicky = True
nitpick_ignore_regex = [(r"py:.*", r"(?!ck_middleware\b).*")]  # what others document is not looked for: no network
nitpick_ignore = [  # what signatures speak of that nobody imports
    ("py:class", "ck_middleware.session.HasScope"),
    ("py:class", "ck_middleware.session.HasEnviron"),
    ("py:class", "ck_middleware.testing.running.Registration"),
    ("py:class", "ck_middleware.dev.signing.SigningKey"),
]
suppress_warnings = ["myst.header"]  # README.md of a folder may begin where its list does
default_role = "codetext"

autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_mock_imports = ["datasette", "mlflow", "streamlit"]  # of which our parts for them show nothing
add_module_names = False
toc_object_entries_show_parents = "hide"
python_maximum_signature_line_length = 88

html_theme = "furo"
html_title = "ck-middleware"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_theme_options = {"navigation_with_keys": False}
pygments_style, pygments_dark_style = "tango", "github-dark"


class CodeText(SphinxRole):
    """Single backticks in docstrings mean code, as they do in Markdown."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        return [nodes.literal(self.rawtext, self.text)], []


def prepare(app: Sphinx, page: str, source: list[str]) -> None:  # noqa: ARG001  # as Sphinx calls it
    """Give the home page its navigation, and leave of a link to a folder its words, since no site has a page for it."""
    here = (ROOT / page).parent
    text = re.sub(r"\[([^\]]+)\]\(([^)#:]+)\)", lambda link: _link(here, *link.groups()), source[0])
    source[0] = text + (_navigation() if page == HOME else "")


def _link(here: Path, text: str, target: str) -> str:
    return text if (here / target).is_dir() else f"[{text}]({target})"


def _navigation() -> str:
    """The sections of docs/README.md and the pages that they list, for the side of every page."""
    _, *sections = re.split(r"^## ", (ROOT / f"{CONTENTS}.md").read_text("utf-8"), flags=re.MULTILINE)
    trees = [TOCTREE.format(caption="Start", pages=f"All pages <{CONTENTS}>")]
    for section in sections:
        caption, _, body = section.partition("\n")
        pages = re.findall(r"^- \[([^\]]+)\]\(([^)]+)\.md\)", body, re.MULTILINE)
        listed = (f"{title} <{(ROOT / 'docs' / page).resolve().relative_to(ROOT)}>" for title, page in pages)
        trees.append(TOCTREE.format(caption=caption, pages="\n".join(listed)))
    return "".join(trees)


def finish(app: Sphinx, error: Exception | None) -> None:
    """The home page is also what a server shows for the folder. Where links lead elsewhere is listed, to be tried."""
    if error is None:
        texts = [Path(app.env.doc2path(page)).read_text("utf-8") for page in app.env.found_docs]
        elsewhere = {link for text in texts for link in re.findall(r"\]\((https://[^)\s]+)\)", text)}
        (app.outdir / "elsewhere.txt").write_text("".join(f"{link}\n" for link in sorted(elsewhere)), "utf-8")
        shutil.copy(app.outdir / f"{HOME}.html", app.outdir / "index.html")


def setup(app: Sphinx) -> dict[str, Any]:
    settings.configure(INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"])
    django.setup()  # or our part for Django's own users cannot be imported
    app.add_role("codetext", CodeText())
    app.connect("source-read", prepare)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
