"""This file is `ck-middleware explain`: which rule decides about a path, and what a browser gets there."""

from __future__ import annotations

import argparse
import asyncio
import copy
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from ck_middleware.asgi import ASGIAuthMiddleware
from ck_middleware.cli import environment
from ck_middleware.cli.exits import DONE, NotStarted
from ck_middleware.config import AuthConfig
from ck_middleware.doctor import session
from ck_middleware.pages.languages import ENGLISH
from ck_middleware.policy import Policy, Verdict
from ck_middleware.wrapped import before, middleware_of

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

    from ck_middleware.cli.exits import Commands
    from ck_middleware.wsgi import WSGIAuthMiddleware

LONGEST: Final = 120  # characters of a header
TOLD: Final = {
    b"allow": "Allow",
    b"hx-redirect": "HX-Redirect",
    b"location": "Location",
    b"retry-after": "Retry-After",
    b"www-authenticate": "WWW-Authenticate",
}


def add_to(commands: Commands) -> None:
    about = "which rule decides about a request, and what somebody gets who is logged in, and who is not"
    parser = commands.add_parser("explain", help=about, description=f"Say {about}.")
    environment.add_to(parser)
    parser.add_argument("method", type=str.upper, help="GET, POST ...")
    parser.add_argument("path", type=_path, help="as it stands in an address, with its query")
    parser.add_argument("--app", metavar="MODULE:APP", help="the app, as a server is told; else the environment alone")
    parser.add_argument(
        "--header",
        action="append",
        default=[],
        type=_header,
        metavar="'NAME: VALUE'",
        help="a header of the request, such as 'Accept: application/json'; may be repeated",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    environment.load(options)
    app = _app(options.app) if options.app else None
    config = _with_cookies(_guard(app, options.app).config if options.app else AuthConfig.from_env())
    somebody = session.cookie(config, {"iss": config.issuer, "sub": "somebody"})
    stranger, person = options.header, [*options.header, ("cookie", somebody)]
    sys.stdout.write(f"{options.method} {options.path}\n")
    sys.stdout.write(f"  rule        {rule(config, unquote(options.path.partition('?')[0]))}\n")
    sys.stdout.write(f"  logged out  {_ask(config, options.method, options.path, stranger)}\n")
    sys.stdout.write(f"  logged in   {_ask(config, options.method, options.path, person)}\n")
    if early := before(app):
        sys.stdout.write(f"  before it   {', '.join(early)}, for strangers too: add ASGIAuthMiddleware after that\n")
    if not options.app:
        sys.stderr.write("(As the environment says; what the app itself says counts with --app MODULE:APP)\n")
    return DONE


def rule(config: AuthConfig, path: str) -> str:
    """The setting, and the entry of it, that decides about a path."""
    verdict = _judged(config.protect, config.public, config.api, path)
    if verdict is Verdict.REFUSED:
        return "the path can be read in two ways, and is refused whoever asks"
    if path.startswith(f"{config.auth_prefix}/") or path == config.callback_path:
        return f"an address of the middleware itself (auth_prefix is {config.auth_prefix})"
    for entry in config.public:
        if _judged(["/"], [entry], (), path) is Verdict.OPEN:
            return f"public has {entry}"
    for entry in config.protect:
        if _judged([entry], (), (), path) is not Verdict.OPEN:
            api = next((api for api in config.api if _judged(["/"], (), [api], path) is Verdict.API), None)
            return f"protect has {entry}" + (f", and api has {api}" if api else "")
    return "no entry of protect covers it"


def _judged(protect: object, public: object, api: object, path: str) -> Verdict:
    return Policy(protect=protect, public=public, api=api).judge(path)  # type: ignore[arg-type]  # lists of texts


def _with_cookies(config: AuthConfig) -> AuthConfig:
    """The same with sessions in cookies: where they are kept changes no answer, and nobody's store is written."""
    mine = copy.copy(config)
    for name, value in {"store": "cookie", "keep_tokens": False, "recheck": None}.items():
        object.__setattr__(mine, name, value)
    return mine


def _ask(config: AuthConfig, method: str, address: str, headers: list[tuple[str, str]]) -> str:
    """What the middleware itself answers, in front of an app that says that it was reached, and by whom."""
    path, _, query = address.partition("?")
    got: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
        got.append({"type": "app", "user": scope["user"]})

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        got.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": unquote(path),
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in ({"host": "localhost"} | dict(headers)).items()],
    }
    asyncio.run(ASGIAuthMiddleware(app, config)(scope, receive, send))
    return _described(*got)


def _described(message: Message, *body: Message) -> str:
    if message["type"] == "app":
        return "on to the app, with the user" if message["user"].is_authenticated else "on to the app, as nobody"
    headers = [f"{TOLD[name]}: {_short(value.decode())}" for name, value in message["headers"] if name in TOLD]
    page = b"".join(part.get("body", b"") for part in body).decode()
    codes = [code for code in ENGLISH.texts if code in page]
    return "; ".join([str(message["status"]), *codes, *headers])


def _short(value: str) -> str:
    return value if len(value) <= LONGEST else value[:LONGEST] + "..."


def _app(name: str) -> object:
    """An app, as a server is told. Raises `NotStarted` when it cannot be had."""
    module, _, attribute = name.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        app: object = importlib.import_module(module)
        for part in (attribute or "app").removesuffix("()").split("."):
            app = getattr(app, part)
        app = app() if attribute.endswith("()") and callable(app) else app
    except (ImportError, AttributeError) as exc:
        raise NotStarted(f"There is no {name}: {exc}. Write it as the server is told, such as main:app") from exc
    return app


def _guard(app: object, name: str) -> ASGIAuthMiddleware | WSGIAuthMiddleware:
    """The middleware of an app. Raises `NotStarted` when it has none."""
    if (found := middleware_of(app)) is None:
        raise NotStarted(
            f"{name} is not wrapped in ASGIAuthMiddleware or WSGIAuthMiddleware, as far as can be seen. If a function "
            f"calls what is wrapped, name that: {name.partition(':')[0]}:NAME"
        )
    return found


def _path(text: str) -> str:
    if not text.startswith("/") or not text.isascii():
        raise argparse.ArgumentTypeError(f"{text!r} is no path as it stands in an address; it begins with a slash")
    return text


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f"{text!r} is no header; write it like 'Accept: application/json'")
    return name.strip().lower(), value.strip()
