"""This file is what is promised to whoever uses this package, written out: docs/public-api.txt, line by line.

Names and signatures are read from the sources and not from objects, so that no framework has to be imported, and
every Python writes the same.
"""

import argparse
import ast
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from importlib.metadata import EntryPoint, distribution
from pathlib import Path
from typing import NamedTuple, TypeAlias

import httpx

import ck_middleware
from ck_middleware import AuthConfig, AuthError, WSGIAuthMiddleware, events
from ck_middleware.cli import commands
from ck_middleware.config.place import ROUTES
from ck_middleware.stores.memory import MemoryStore

PACKAGE = "ck_middleware"
HOUSE = Path(ck_middleware.__file__).parent
DOCUMENT = Path(__file__).parents[2] / "docs" / "public-api.txt"

HEAD = """\
What is promised: every public name with its signature, and what else an app, its tests and its server may lean on.
Whatever goes away here, or changes, is told in CHANGELOG.md under Removed or Changed.
Written by pytest tests/test_public_api.py --write-docs
"""

# What apps import from; `__all__` says what.
SHELVES = sorted(f"{PACKAGE}.contrib.{file.stem}" for file in HOUSE.glob("contrib/[!_]*.py"))
MODULES = [PACKAGE, *SHELVES, f"{PACKAGE}.pages", f"{PACKAGE}.testing"]
# What is documented under the name of the file that it is in.
DOCUMENTED = {
    f"{PACKAGE}.stores.memory": ["AsyncMemoryStore", "MemoryStore"],
    f"{PACKAGE}.stores.own": ["AsyncStore", "Store"],
    f"{PACKAGE}.testing.faults": ["Faults"],
    f"{PACKAGE}.testing.plugin": ["log_in", "provider", "running_provider"],
}
# What the test kit is made of, of which it promises no more than it says itself.
INSIDE = f"{PACKAGE}.dev."

Definition: TypeAlias = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef | ast.Assign | ast.AnnAssign


class Place(NamedTuple):
    """Where something is defined."""

    module: str
    name: str


@cache
def written() -> str:
    places = {Place(module, name) for module in MODULES for name in exported(module)}
    public = {f"{module}.{name}": found for module, name in places if (found := origin(module, name))}
    made = {*public.values(), *(Place(module, name) for module, names in DOCUMENTED.items() for name in names)}
    sections = {
        "Names": [f"{name}{_elsewhere(name, place)}" for name, place in sorted(public.items())],
        "Signatures": [line for place in reached(made) for line in signature(place, is_made=place in made)],
        "Settings": list(settings()),
        "Routes": list(routes()),
        "Errors": list(errors(AuthError)),
        "Events": sorted({events.LOGGED_IN, events.REFRESHED, events.LOGGED_OUT, events.ENDED}),
        "Commands": list(arguments("ck-middleware", commands._parser())),
        "Entry points": sorted(f"{one.group}: {one.name} = {one.value}" for one in _entry_points()),
    }
    return HEAD + "".join(f"\n== {title}\n\n" + "\n".join(lines) + "\n" for title, lines in sections.items())


def exported(module: str) -> list[str]:
    """What stands in `__all__`."""
    (names,) = [
        node.value
        for node in _tree(module).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    return list(ast.literal_eval(names))


def origin(module: str, name: str) -> Place | None:
    """Where a name of a file of ours is defined; `None` when it is not ours."""
    if definitions(Place(module, name)):
        return Place(module, name)
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return origin(str(node.module), alias.name)
    return None


def definitions(place: Place) -> list[Definition]:
    """More than one where there are overloads."""
    found: list[Definition] = []
    for node in _tree(place.module).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found += [node] if node.name == place.name else []
        elif isinstance(node, ast.Assign | ast.AnnAssign) and place.name in map(ast.unparse, _targets(node)):
            found.append(node)
    return found


def reached(made: set[Place]) -> list[Place]:
    """These, which an app makes or calls, and all of ours that their signatures speak of."""
    waiting, seen = list(made), set[Place]()
    while waiting:
        place = waiting.pop()
        if place in seen or place.module.startswith(INSIDE):
            continue
        seen.add(place)
        spoken = (node for line in definitions(place) for node in _spoken(line, is_made=place in made))
        named = {node.id for node in spoken if isinstance(node, ast.Name) and not node.id.startswith("_")}
        waiting += [found for name in named if (found := origin(place.module, name))]
    return sorted(seen)


def signature(place: Place, *, is_made: bool) -> Iterator[str]:
    yield f"{place.module}.{place.name}"
    for node in definitions(place):
        if isinstance(node, ast.ClassDef):
            yield f"    class {node.name}({', '.join(map(ast.unparse, [*node.bases, *node.keywords]))})"
            yield from (f"        {line}" for member in _members(node, is_made=is_made) for line in _lines(member))
            yield from (f"        {name}" for name in _attributes(node))
        else:
            yield from (f"    {line}" for line in _lines(node))


def settings() -> Iterator[str]:
    for setting in fields(AuthConfig):
        default = setting.metadata["default"]
        told = "required" if default is ... else f"default {default!r}"
        yield "; ".join([setting.name, ", ".join(setting.metadata["environment"]) or "no variable", told])


def routes() -> Iterator[str]:
    """What a request hears that asks in a way that no route knows, with a store behind it all."""
    config = AuthConfig(client_id="-", client_secret="-", session_secret="-" * 31 + "+", store=MemoryStore())
    guarded = WSGIAuthMiddleware(lambda _environ, _start_response: [], config)
    with httpx.Client(transport=httpx.WSGITransport(guarded), base_url="http://localhost") as client:
        for route in sorted({*ROUTES, "callback"}):
            path = f"{config.auth_prefix}/{route}"
            yield f"{client.request('BREW', path).headers['Allow']} {path}"


def errors(error: type[AuthError], indent: str = "") -> Iterator[str]:
    code, status = getattr(error, "code", None), getattr(error, "status", None)
    yield indent + " ".join([error.__name__, *([f"{status} {code}"] if code else [])])
    for under in sorted(error.__subclasses__(), key=lambda one: one.__name__):
        yield from errors(under, indent + "    ")


def arguments(command: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, under in action.choices.items():
                yield from arguments(f"{command} {name}", under)
        else:
            yield f"{command} {' '.join(action.option_strings) or action.dest}"


def _entry_points() -> list[EntryPoint]:
    return list(distribution("ck-middleware").entry_points)


@cache
def _tree(module: str) -> ast.Module:
    path = HOUSE.joinpath(*module.split(".")[1:])
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text("utf-8"))


def _elsewhere(name: str, place: Place) -> str:
    return "" if name == ".".join(place) else f" -> {'.'.join(place)}"


def _targets(node: ast.Assign | ast.AnnAssign) -> list[ast.expr]:
    return node.targets if isinstance(node, ast.Assign) else [node.target]


def _members(node: ast.ClassDef, *, is_made: bool) -> Iterator[ast.stmt]:
    """What of a class may be used. How it is made is nobody's business where only we make one."""
    for member in node.body:
        if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef):
            if member.name == "__call__" or (member.name == "__init__" and is_made) or not member.name.startswith("_"):
                yield member
        elif isinstance(member, ast.Assign | ast.AnnAssign) and not ast.unparse(_targets(member)[0]).startswith("_"):
            yield member


def _attributes(node: ast.ClassDef) -> list[str]:
    """What is set on a new object."""
    makers = [member for member in node.body if isinstance(member, ast.FunctionDef) and member.name == "__init__"]
    assigned = [each for maker in makers for each in ast.walk(maker) if isinstance(each, ast.Assign | ast.AnnAssign)]
    names = [ast.unparse(target) for each in assigned for target in _targets(each)]
    return sorted(name for name in names if name.startswith("self.") and not name.startswith("self._"))


def _spoken(node: ast.AST, *, is_made: bool = True) -> Iterator[ast.AST]:
    """What signatures speak of: all but the bodies of functions and what values are made of."""
    if isinstance(node, ast.ClassDef):
        parts: list[ast.AST] = [*node.bases, *node.keywords, *_members(node, is_made=is_made)]
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        parts = [argument for argument in ast.walk(node.args) if isinstance(argument, ast.arg)]
        parts += [node.returns] if node.returns else []
    elif isinstance(node, ast.AnnAssign):
        is_alias = ast.unparse(node.annotation) == "TypeAlias"
        parts = [node.value] if is_alias and node.value else [node.annotation]
    else:
        yield from ast.walk(node)
        return
    for part in parts:
        yield from _spoken(part)


def _lines(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield from (f"@{ast.unparse(decorator)}" for decorator in node.decorator_list)
        kind = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
        answer = f" -> {ast.unparse(node.returns)}" if node.returns else ""
        yield f"{kind} {node.name}({ast.unparse(node.args)}){answer}"
    elif isinstance(node, ast.AnnAssign):
        is_alias = ast.unparse(node.annotation) == "TypeAlias"
        told = isinstance(node.value, ast.Constant) or is_alias
        value = f" = {ast.unparse(node.value)}" if told and node.value else ""
        yield f"{ast.unparse(node.target)}: {ast.unparse(node.annotation)}{value}"
    else:
        yield ast.unparse(node)
