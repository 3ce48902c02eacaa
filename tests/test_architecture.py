"""This file is the house rules that no reader of one file can see: who imports whom, and what only one file does."""

import ast
import importlib.metadata
import re
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest

import ck_middleware
from support.documents import ROOT, rows

PACKAGE = "ck_middleware"
HOUSE = Path(ck_middleware.__file__).parent

# Top to bottom. A file imports from the layers under its own, and from its own folder; in the lowest also from its
# neighbours; in no circle. The top is programs, which may use each other.
LAYERS = (
    {"__main__", "cli", "contrib", "dev", "doctor", "testing", "wrapped"},
    {"__init__"},
    {"asgi", "wsgi"},
    {"live"},
    {"gate"},
    {"routes"},
    {"endings"},
    {"admin", "health", "stored"},
    {"upkeep"},
    {"answers", "provider"},
    {"oidc", "sessions", "site", "snapshot", "vault"},
    {"config", "transaction"},
    {"stores"},
    {
        "addresses",
        "blocking",
        "cookies",
        "errors",
        "events",
        "forms",
        "headers",
        "id_token",
        "jose",
        "log",
        "looping",
        "messages",
        "observing",
        "pages",
        "policy",
        "ports",
        "recent",
        "scope",
        "seal",
        "session",
        "signatures",
        "strict_json",
        "tokens",
        "user",
    },
)
TOP, LOWEST = 0, len(LAYERS) - 1

# What each of these is for, and what that cannot be without.
CONTRIB = {
    "contrib.datasette": {"datasette"},
    "contrib.django": {"django", "asgiref"},
    "contrib.django_auth": {"django"},
    "contrib.fastapi": {"fastapi", "pydantic"},
    "contrib.flask_login": {"flask", "flask_login", "werkzeug"},
    "contrib.mlflow": {"mlflow"},
    "contrib.otel": {"opentelemetry"},
    "contrib.prometheus": {"prometheus_client"},
    "contrib.streamlit": {"streamlit"},
}

FILES = sorted(HOUSE.rglob("*.py"))
LONGEST_FILE = 300
LONGEST_FUNCTION = 40
METHOD = ast.FunctionDef | ast.AsyncFunctionDef


def _name(file: Path) -> str:
    """`gate` for gate.py, `dev.provider` for dev/provider.py."""
    return ".".join(file.relative_to(HOUSE).with_suffix("").parts)


def _room(name: str) -> str:
    """The file, or the folder that it is in."""
    return name.split(".", maxsplit=1)[0]


def _layer(name: str) -> int:
    room = _room(name)
    floors = [floor for floor, rooms in enumerate(LAYERS) if room in rooms]
    assert floors, f"{name}: give it a place in LAYERS"
    return floors[0]


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"), file.name)


def _imports(file: Path) -> Iterator[str]:
    """Every dotted name that the file imports, absolute, those for type checkers too."""
    package = [PACKAGE, *file.relative_to(HOUSE).parts[:-1]]
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _rooms_used(file: Path) -> set[str]:
    """The files of this package that the file imports from, named as `_name` names them."""
    names = {_name(other) for other in FILES}
    used = set()
    for imported in _imports(file):
        if not f"{imported}.".startswith(f"{PACKAGE}."):
            continue
        parts = imported.split(".")[1:]
        spellings = [".".join(parts[:end]) for end in range(len(parts), 0, -1)]
        candidates = [candidate for spelling in spellings for candidate in (spelling, f"{spelling}.__init__")]
        used.add(next((candidate for candidate in candidates if candidate in names), "__init__"))
    return used - {_name(file)}


def _core() -> list[Path]:
    return [file for file in FILES if _layer(_name(file)) > TOP]


def _functions(file: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(_tree(file)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _handlers(file: Path) -> Iterator[ast.ExceptHandler]:
    return (node for node in ast.walk(_tree(file)) if isinstance(node, ast.ExceptHandler))


def _uses(file: Path, module: str) -> bool:
    return any(f"{imported}.".startswith(f"{module}.") for imported in _imports(file))


@pytest.mark.parametrize("file", FILES, ids=_name)
def test_imports_run_downward(file: Path) -> None:
    own, room = _layer(_name(file)), _room(_name(file))
    others = {used for used in _rooms_used(file) if _room(used) != room}
    neighbours = own in {TOP, LOWEST}
    upward = {used for used in others if not (_layer(used) > own or (neighbours and _layer(used) == own))}
    assert not upward, f"{_name(file)} imports {', '.join(sorted(upward))}"


def test_imports_go_in_no_circle() -> None:
    TopologicalSorter({_name(file): _rooms_used(file) for file in FILES}).prepare()


def test_only_the_asgi_face_knows_a_loop() -> None:
    loops = ("asyncio", "anyio", "trio")
    knowing = {_name(file) for file in _core() if any(_uses(file, loop) for loop in loops)}
    assert knowing <= {"asgi", "live", "looping"}


def test_only_the_ports_of_the_wsgi_face_and_the_stores_block() -> None:
    """A store may hold a lock or ask a socket: its runtime says in which thread that is done."""
    blocking = ("threading", "time.sleep", "queue", "concurrent")
    assert {_room(_name(file)) for file in _core() if any(_uses(file, module) for module in blocking)} <= {
        "blocking",
        "stores",
    }
    asleep = re.compile(r"\btime\.sleep\(")
    assert {_name(file) for file in _core() if asleep.search(file.read_text("utf-8"))} == {"blocking"}


def test_the_public_names_are_the_promise() -> None:
    promise = {
        "ASGIAuthMiddleware",
        "AuthConfig",
        "AuthError",
        "ConfigError",
        "User",
        "WSGIAuthMiddleware",
        "get_session",
        "get_user",
    }
    assert set(ck_middleware.__all__) == promise
    assert len(ck_middleware.__all__) == len(promise)
    assert all(hasattr(ck_middleware, name) for name in promise)


def test_nothing_else_of_the_package_is_public_at_its_top() -> None:
    modules = {_name(file).split(".")[0] for file in FILES}
    public = {name for name in vars(ck_middleware) if not name.startswith("_")}
    assert public - modules - {"TYPE_CHECKING"} == set(ck_middleware.__all__)


@pytest.mark.parametrize("file", FILES, ids=_name)
def test_a_file_can_be_read_in_one_sitting(file: Path) -> None:
    assert len(file.read_text("utf-8").splitlines()) <= LONGEST_FILE


@pytest.mark.parametrize("file", FILES, ids=_name)
def test_a_function_can_be_seen_at_once(file: Path) -> None:
    lengths = {function.name: (function.end_lineno or 0) - function.lineno + 1 for function in _functions(file)}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION} == {}


@pytest.mark.parametrize("file", FILES, ids=_name)
def test_a_file_says_what_it_is(file: Path) -> None:
    assert (ast.get_docstring(_tree(file)) or "").strip()


@pytest.mark.parametrize("file", _core(), ids=_name)
def test_no_error_is_swallowed(file: Path) -> None:
    """A bare `except` stops a cancellation and a greenlet's exit; `except Exception: pass` hides a fault."""
    assert [handler.lineno for handler in _handlers(file) if _swallows(handler)] == []


def _swallows(handler: ast.ExceptHandler) -> bool:
    caught = {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)} if handler.type else set()
    if handler.type is None or "BaseException" in caught:
        return not isinstance(handler.body[-1], ast.Raise)
    return "Exception" in caught and all(_is_nothing(statement) for statement in handler.body)


def _is_nothing(statement: ast.stmt) -> bool:
    returned = statement.value if isinstance(statement, ast.Return | ast.Expr) else None
    nothing = returned is None or isinstance(returned, ast.Constant)
    return isinstance(statement, ast.Pass | ast.Continue) or (isinstance(statement, ast.Return | ast.Expr) and nothing)


def test_no_pattern_holds_on_to_a_repeated_group() -> None:
    """Before Python 3.11.5 such a pattern matches what it must not (gh-100061), and Debian 12 ships 3.11.2."""
    possessive = re.compile(r"\)(?:[*+?]|\{[\d,]+\})\+")
    held = [(_name(file), text) for file in FILES for text in _patterns(file) if possessive.search(text)]
    assert held == []


def _patterns(file: Path) -> Iterator[str]:
    """Every text that is handed to the module `re`."""
    for call in (node for node in ast.walk(_tree(file)) if isinstance(node, ast.Call)):
        if isinstance(call.func, ast.Attribute) and getattr(call.func.value, "id", None) == "re":
            texts = [node.value for node in ast.walk(call) if isinstance(node, ast.Constant)]
            yield from (str(text) for text in texts if isinstance(text, str | bytes))


def test_the_runtime_dependencies_are_five() -> None:
    required = [line for line in importlib.metadata.requires("ck-middleware") or [] if "extra ==" not in line]
    names = {re.split(r"[^\w.-]", line, maxsplit=1)[0].lower() for line in required}
    assert names == {"cryptography", "httpx", "itsdangerous", "pyjwt", "starlette"}
    assert len(required) == len(names)


def test_the_files_import_no_more_than_those_five() -> None:
    """What is installed by chance must not be leaned on."""
    stdlib_or_ours = sys.stdlib_module_names | {PACKAGE}
    allowed = {"cryptography", "httpx", "itsdangerous", "jwt", "starlette"}
    # httpx is made of httpcore and cannot be without it; Redis and the demo have extras of their own.
    also = {"blocking": {"httpcore"}, "stores": {"redis"}, "cli": {"dotenv", "rich", "uvicorn"}, "dev": {"uvicorn"}}
    also["testing"] = {"django", "pytest", "uvicorn"}  # which are there where their clients and tests are
    also |= CONTRIB
    for file in FILES:
        foreign = {imported.split(".")[0] for imported in _imports(file)} - stdlib_or_ours
        assert foreign <= allowed | also.get(_name(file), also.get(_room(_name(file)), set())), _name(file)


def test_nobody_needs_what_is_for_one_framework_alone() -> None:
    leaning = {_name(file) for file in FILES if any(_room(used) == "contrib" for used in _rooms_used(file))}
    assert {_room(name) for name in leaning} <= {"contrib"}


@pytest.mark.parametrize("file", [file for file in FILES if _room(_name(file)) == "contrib"], ids=_name)
def test_what_is_for_one_framework_leans_on_no_other(file: Path) -> None:
    assert {used for used in _rooms_used(file) if _room(used) == "contrib"} == set()


def test_the_types_are_shipped() -> None:
    assert (HOUSE / "py.typed").is_file()


# What docs/architecture.md says

MAP = ROOT / "docs" / "architecture.md"
CHANGES = [tuple(row) for row in rows(MAP, "| | file | there |")]


def test_the_map_has_every_file_once_and_its_rows_in_the_order_of_imports() -> None:
    drawn = [[name.rstrip("/") for name in files.split()] for _, files, _ in rows(MAP, "| layer | files | |")]
    assert sorted(name for row in drawn for name in row) == sorted({_room(_name(file)) for file in FILES})
    floors = [{_layer(name) for name in row} for row in drawn]
    assert all(max(above) <= min(below) for above, below in pairwise(floors))


@pytest.mark.parametrize(("change", "files", "there"), CHANGES, ids=[row[0].replace(" ", "-") for row in CHANGES])
def test_a_change_belongs_where_the_document_says(change: str, files: str, there: str) -> None:
    paths = [_path(file) for file in files.split(", ")]
    assert [path for path in paths if not path.is_file()] == [], change
    named = _code_in(change)
    known = {name for path in paths if path.suffix == ".py" for name in _defined(path)}
    assert {name for name in named if name.removesuffix("/") not in known | _folders(paths)} == set()
    assert there


def _path(file: str) -> Path:
    """Where it is. The package may be installed, and the sources out of the way."""
    own = file.removeprefix(f"src/{PACKAGE}/")
    return ROOT / file if own == file else HOUSE / own


def _code_in(change: str) -> list[str]:
    """What stands as code in the last cell of this row."""
    (line,) = [line for line in MAP.read_text("utf-8").splitlines() if line.startswith("|") and _first(line) == change]
    return re.findall(r"`([^`]+)`", line.rstrip("|").rpartition("|")[2])


def _first(line: str) -> str:
    return line.strip("|").split("|")[0].strip().replace("`", "")


def _defined(path: Path) -> Iterator[str]:
    """Functions, classes, constants, and `Class.method`."""
    for node in _tree(path).body:
        if isinstance(node, ast.ClassDef):
            yield from (f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, METHOD))
        if isinstance(node, ast.ClassDef | METHOD):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            yield from map(ast.unparse, node.targets if isinstance(node, ast.Assign) else [node.target])


def _folders(paths: list[Path]) -> set[str]:
    return {folder.name for path in paths for folder in path.parent.iterdir() if folder.is_dir()}
