"""This file is the parts of docs/ that are made of the code: settings, codes of refusals, and the command line."""

import argparse
import ast
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import ck_middleware
from ck_middleware import AuthConfig
from ck_middleware.cli import commands
from ck_middleware.errors import AuthError

HOUSE = Path(ck_middleware.__file__).parent
MARK = "<!-- From here on written by pytest tests/test_reference.py --write-docs -->\n"

GROUPS: dict[str, tuple[str, ...]] = {
    "The client": ("client_id", "client_secret", "client_auth"),
    "The app": ("base_url", "redirect_uri", "auth_prefix", "after_login", "after_logout"),
    "Who may go where": ("protect", "public", "api"),
    "Sessions": (
        "session_secret",
        "session_lifetime",
        "idle_timeout",
        "login_lifetime",
        "claims",
        "store",
        "keep_tokens",
        "recheck",
        "on_event",
        "observers",
    ),
    "What people see": ("app_name", "pages"),
    "The provider": (
        "issuer",
        "authorization_endpoint",
        "token_endpoint",
        "userinfo_endpoint",
        "jwks_uri",
        "end_session_endpoint",
        "scope",
        "userinfo",
        "id_token_algorithms",
        "allow_missing_nonce",
        "leeway",
        "timeout",
    ),
}
DISCOVERED = "from discovery"
TOLD = {  # defaults that follow from something else
    "client_secret": "required",
    "redirect_uri": "`base_url` + `auth_prefix` + `/callback`",
    "claims": "all",
    "pages": "ours",
    **dict.fromkeys(GROUPS["The provider"][1:6], DISCOVERED),
}


def meanings() -> dict[str, str]:
    """What stands under each setting where it is declared."""
    tree = ast.parse((HOUSE / "config" / "settings.py").read_text("utf-8"))
    (declared,) = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    return {
        ast.unparse(setting.target): " ".join(str(ast.literal_eval(text.value)).split())
        for setting, text in zip(declared.body, declared.body[1:], strict=False)
        if isinstance(setting, ast.AnnAssign) and isinstance(text, ast.Expr)
    }


def default_of(name: str) -> str:
    default = AuthConfig.__dataclass_fields__[name].metadata["default"]
    if name in TOLD:
        return TOLD[name]
    if default is ...:
        return "required"
    if default in (None, (), ""):
        return "none"
    return f"`{_spelled(default)}`"


def _spelled(default: object) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, float):
        return _duration(default)
    return ", ".join(default) if isinstance(default, tuple) else str(default)


def _duration(seconds: float) -> str:
    for unit, letter in ((3600, "h"), (60, "m")):
        if seconds > unit and seconds % unit == 0:
            return f"{seconds / unit:g}{letter}"
    return f"{seconds:g}s"


def settings() -> Iterator[str]:
    for title, group in GROUPS.items():
        rows = [[f"`{name}`", _variables(name), default_of(name), meanings()[name]] for name in group]
        yield f"## {title}\n\n{_table(['setting', 'environment', 'default', 'meaning'], rows)}"


def _variables(name: str) -> str:
    return ", ".join(f"`{one}`" for one in AuthConfig.__dataclass_fields__[name].metadata["environment"])


def codes() -> Iterator[str]:
    rows = [
        [f"`{vars(error)['code']}`", str(getattr(error, "status", "")), _first_sentences(error)]
        for error in _refusals(AuthError)
    ]
    yield _table(["code", "status", "what it means"], rows)


def _first_sentences(thing: object) -> str:
    return " ".join(str(thing.__doc__).partition("\n\n")[0].split())


def _refusals(error: type[AuthError]) -> Iterator[type[AuthError]]:
    """Every kind of refusal that has a code of its own, and none that is there to gather others."""
    for kind in error.__subclasses__():
        if "code" in vars(kind) and kind.__name__ != "LoginRefused":
            yield kind
        yield from _refusals(kind)


def command_line() -> Iterator[str]:
    yield from _commands("ck-middleware", commands._parser(), depth=2)


def _commands(name: str, parser: argparse.ArgumentParser, depth: int) -> Iterator[str]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help for choice in action._choices_actions}
            for word, under in action.choices.items():
                yield _command(f"{name} {word}", under, about=under.description or helps[word] or "", depth=depth)
                yield from _commands(f"{name} {word}", under, depth=depth + 1)


def _command(name: str, parser: argparse.ArgumentParser, *, about: str, depth: int) -> str:
    others = (argparse._HelpAction, argparse._SubParsersAction)
    rows = [[f"`{_argument(one)}`", _told(one)] for one in parser._actions if not isinstance(one, others)]
    table = f"\n{_table(['argument', 'meaning'], rows)}" if rows else ""
    return f"{'#' * depth} {name}\n\n{about[:1].upper()}{about[1:].rstrip('.')}.\n{table}"


def _argument(action: argparse.Action) -> str:
    if not action.option_strings:
        return str(action.metavar or action.dest)
    value = "" if action.nargs == 0 else str(action.metavar or action.dest.upper())
    return f"{action.option_strings[-1]} {value}".strip()


def _told(action: argparse.Action) -> str:
    return (action.help or "") % {"default": action.default, "prog": "ck-middleware"}


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


WRITTEN: Mapping[str, Callable[[], Iterator[str]]] = {
    "settings.md": settings,
    "routes.md": codes,
    "commands.md": command_line,
}


def written(document: str, text: str) -> str:
    """The text of a document with what stands below the mark written anew."""
    return text.partition(MARK)[0] + "\n".join([MARK, *WRITTEN[document]()])
