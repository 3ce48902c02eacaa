"""The reference in docs/ is what the code says, and the README's table says the same."""

import ast
import re
from dataclasses import fields

import pytest

from ck_middleware import AuthConfig
from ck_middleware.config import Settings
from support.browser import Browser
from support.documents import ROOT, AsWritten
from support.faces import Answer, Guard
from support.public_api import DOCUMENTED, MODULES, Place, definitions, exported, origin
from support.reference import GROUPS, WRITTEN, default_of, meanings, written

README = (ROOT / "README.md").read_text("utf-8")
SETTINGS = [setting.name for setting in fields(AuthConfig)]
ROUTES = (ROOT / "docs" / "routes.md").read_text("utf-8")
ASKED = re.findall(r"^\| `([A-Z]+) (/[^`]+)` \| ([^|]+) \| (\d{3}) \| ([^|]*) \|$", ROUTES, re.MULTILINE)
API = (ROOT / "docs" / "api.md").read_text("utf-8")
PUBLIC = [Place(module, name) for module in MODULES for name in exported(module)]
PUBLIC += [Place(module, name) for module, names in DOCUMENTED.items() for name in names]
ELSEWHERE = {"Sec-Fetch-Site": "cross-site", "Origin": "https://elsewhere.example"}


@pytest.mark.parametrize("document", WRITTEN)
def test_what_the_reference_says_is_what_the_code_says(document: str, as_written: AsWritten) -> None:
    as_written(ROOT / "docs" / document, lambda text: written(document, text))


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_setting_says_what_it_means_beside_its_keyword(setting: str) -> None:
    assert setting in Settings.__annotations__
    assert meanings()[setting].endswith(".")


def test_every_setting_is_in_one_group() -> None:
    grouped = [name for group in GROUPS.values() for name in group]
    assert sorted(grouped) == sorted(SETTINGS)


def _row(setting: str) -> tuple[list[str], str]:
    """The settings that share a line of the README's table, and what it says of their defaults."""
    table = README[README.index("| setting | environment |") :].partition("\n\n")[0]
    (row,) = [line for line in table.splitlines() if f"`{setting}`" in line.split("|")[1]]
    return re.findall(r"`(\w+)`", row.split("|")[1]), row.split("|")[3].strip()


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_default_in_the_readme_is_that_of_the_reference(setting: str) -> None:
    names, said = _row(setting)
    defaults = said.split(", ") if said.count(", ") == len(names) - 1 else [said] * len(names)
    real = default_of(setting).replace("`auth_prefix` + `/callback`", "`/auth/callback`")
    assert defaults[names.index(setting)].startswith(real)


@pytest.fixture
def kind() -> str:
    """One with all routes: a store."""
    return "memory"


@pytest.mark.parametrize(
    ("method", "path", "who", "status", "said"), ASKED, ids=[" ".join(row[:3]).replace(" ", "-") for row in ASKED]
)
def test_a_route_answers_as_the_reference_says(
    method: str, path: str, who: str, status: str, said: str, guard: Guard
) -> None:
    browser = Browser(guard(public=["/open"]))
    if who.startswith("somebody"):
        browser.log_in()
    answer = _asked(browser, method, path, who)
    assert answer.status == int(status)
    for member in re.findall(r'"(\w+)":', said):
        assert f'"{member}":' in answer.text
    if where := re.search(r"^to `(/[^`]+)`", said):
        assert answer.location == where[1].replace("=/", "=%2F")


def _asked(browser: Browser, method: str, path: str, who: str) -> Answer:
    if "fetch" in who:
        return browser.fetch(path, method)
    if who == "another site":
        return browser.request(method, path, ELSEWHERE)
    return browser.post(path) if method == "POST" else browser.request(method, path)


def test_the_tables_of_routes_are_read() -> None:
    assert len(ASKED) == len(re.findall(r"^\| `[A-Z]+ /", ROUTES, re.MULTILINE)) > 15


@pytest.mark.parametrize("place", PUBLIC, ids=".".join)
def test_every_public_name_is_in_the_reference_and_says_what_it_is(place: Place) -> None:
    module, name = place
    assert re.search(rf"\b{name}\b", API)
    for definition in definitions(origin(module, name) or place):
        if isinstance(definition, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            assert ast.get_docstring(definition) or _is_overload(definition)


def _is_overload(definition: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(ast.unparse(decorator) == "overload" for decorator in definition.decorator_list)


def test_every_argument_of_the_command_line_says_what_it_is_for() -> None:
    assert re.findall(r"^\|.*\|  \|$", (ROOT / "docs" / "commands.md").read_text("utf-8"), re.MULTILINE) == []
