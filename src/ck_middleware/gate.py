"""This file is the whole story of a request, and the only place where the parts are wired together.

1. Is it spelled so that everybody reads it alike? If not, 400.
2. Is it one of our own addresses? Then `routes` answers.
3. Who is it? `sessions` finds them.
4. May they come in? On to the app, or 401, or off to log in.
"""

from __future__ import annotations

import os
import secrets
import traceback
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from ck_middleware import answers
from ck_middleware.admin import Admin
from ck_middleware.config import AuthConfig, unread
from ck_middleware.cookies import Attributes
from ck_middleware.errors import ConfigError, StoreUnavailable
from ck_middleware.events import Teller
from ck_middleware.health import Health
from ck_middleware.log import ERROR, WARNING, event
from ck_middleware.messages import NOBODY, Pass, Request, Response
from ck_middleware.observing import Observers
from ck_middleware.policy import Policy, Verdict, canonical
from ck_middleware.provider import Provider
from ck_middleware.recent import Recent
from ck_middleware.routes import Routes
from ck_middleware.seal import Seal
from ck_middleware.sessions import SealedSessions, Sessions
from ck_middleware.site import Site, is_navigation
from ck_middleware.stored import StoredSessions
from ck_middleware.stores import open_store
from ck_middleware.stores.watched import watched
from ck_middleware.transaction import Transactions
from ck_middleware.upkeep import Upkeep
from ck_middleware.vault import Vault

if TYPE_CHECKING:
    from ck_middleware.config import Settings
    from ck_middleware.ports import Http, Runtime

REFUSED, OPEN, PAGE, API = Verdict  # before Python 3.12 it is dear to name a member of an enumeration
UNKNOWN = Pass()  # whose request it is, the store could not say

# A scheme of our own, so that no browser opens its password box; no `error`, since nothing was presented
# (RFC 6750, 3.1).
CHALLENGE = ("WWW-Authenticate", 'OpenIDConnect realm="login"')

RETRY = (("Retry-After", "5"),)  # seconds, when the store cannot be asked

REMEMBERED = 1024  # places
ANSWERS = 256  # to those who are turned away, each with an address of LONGEST_RETURN at most
LONGEST_REMEMBERED = 512  # characters of what one is told by; an app has few that are longer, a stranger has many
LONGEST_MOUNT = 512  # characters; it stands in every address that is remembered


@dataclass(slots=True)
class Place:
    """All that follows from where a request goes: where that is, as the server says it, and what becomes of it there.

    Those of the app are remembered.
    """

    raw_path: bytes | None
    mount: str
    verdict: Verdict
    inside: str  # the path as the app's own routes spell it
    is_ours: bool
    has_more: bool = field(init=False)  # than to find out who is there
    is_open: bool = field(init=False)

    def __post_init__(self) -> None:
        self.has_more = self.is_ours or self.verdict is REFUSED
        self.is_open = self.verdict is OPEN and not self.is_ours


class Gate:
    """One for each middleware. `admit` says for a request whether the app sees it, and as whose."""

    def __init__(self, config: AuthConfig, http: Http, runtime: Runtime, *, mount_may_lead: bool) -> None:
        """`mount_may_lead`: whether a server may leave the mount at the head of a path, or has always cut it off."""
        self._mount_may_lead = mount_may_lead
        attributes = Attributes(secure=config.secure)
        self.observers = Observers(config.observers)
        provider = Provider(config, http, self.observers)
        teller = Teller(config.on_event, runtime, self.observers)
        seal = Seal(config.session_secret, purpose="login", client=config.client)
        self._site = Site(config)
        self._pages = answers.Pages(config)
        self._policy = Policy(protect=config.protect, public=config.public, api=config.api, mount=config.mount)
        places: Recent[str, Place] = Recent(entries=REMEMBERED, octets=REMEMBERED * 4 * LONGEST_REMEMBERED)
        self._known, self._know = places.get, places.keep
        self.vault: Vault | None = None
        self._sessions: Sessions = SealedSessions(config, attributes)
        if config.has_store:
            store = open_store(config.store, runtime, timeout=config.timeout)
            self.vault = Vault(config, watched(store, self.observers))
            upkeep = Upkeep(config, provider, self.vault, runtime, teller)
            self._sessions = StoredSessions(config, attributes, self.vault, upkeep)
        self.admin = Admin(config, self.vault, teller)
        self._routes = Routes(
            config,
            self._site,
            said=self._pages,
            provider=provider,
            sessions=self._sessions,
            transactions=Transactions(seal, attributes, lifetime=config.login_lifetime),
            teller=teller,
            health=Health(provider, self.vault, http.lock(), runtime),
        )

    @property
    def sessions(self) -> Sessions:
        return self._sessions

    def at_once(self, path: str, raw_path: bytes | None, mount: str, query: bytes, cookies: bytes) -> Pass | None:
        """What `admit` says of most HTTP requests, from their place and what is known of their session.

        `mount` is as the server says it, with or without a final slash. `None` where there is more to it: something to
        look up, to answer, or to refuse.
        """
        place = self._known(path)
        if place is None or place.raw_path != raw_path or place.mount != mount:
            place = self._place(path, raw_path, mount.removesuffix("/"))
        if place.has_more or (query and b"state=" in query):
            return None
        found = self._sessions.at_once(cookies) if cookies else NOBODY
        if place.is_open or (found is not None and found.claims):
            return found
        return None

    async def ask(self, path: str, raw_path: bytes | None, mount: str, query: bytes, cookies: bytes) -> Pass | None:
        """Who is there, from a store; `None` where there is more to it than that, and `admit` has the rest to say."""
        if self._place(path, raw_path, mount.removesuffix("/")).has_more or (query and b"state=" in query):
            return None
        try:
            return await self._sessions.ask(cookies)
        except StoreUnavailable:
            return UNKNOWN

    async def admit(self, request: Request, found: Pass | None = None) -> Pass | Response:
        """Never raises for anything that a stranger or the provider can send. `found` is what `ask` gave."""
        place = self._place(request.path, request.raw_path, request.mount)
        if place.verdict is REFUSED:
            return self._pages.notice(request, 400, "path_refused")
        try:
            if place.is_ours:
                return await self._routes.answer(request, place.inside)
            if request.query and b"state=" in request.query:  # dear, even in an empty one
                cleaned = self._routes.returned_from_logout(request, place.inside)
                if cleaned:
                    return cleaned
            if found is None:
                found = await self._sessions.find(request) if request.cookies else NOBODY
        except StoreUnavailable:
            found = UNKNOWN
        if found is UNKNOWN:
            return self._store_down(request, place)
        if request.is_websocket:
            found = self._handshake(request, found)
        if place.verdict is OPEN or found.claims:
            return found
        return self._turn_away(request, place, found.cookies)

    def _place(self, path: str, raw_path: bytes | None, mount: str) -> Place:
        known = self._known(path)
        if known and known.mount == mount and known.raw_path == raw_path:
            return known
        root_path = mount if self._mount_may_lead else ""
        verdict = self._policy.judge(path, root_path=root_path, raw_path=raw_path)
        if verdict is REFUSED or not _is_mount(mount):
            return Place(raw_path, mount, REFUSED, "", is_ours=False)
        inside = self._site.inside(path, mount, root_path)
        place = Place(raw_path, mount, verdict, inside, self._routes.owns(inside))
        # Whoever asks for ever new and ever longer paths must not fill the memory.
        octets = len(path) + len(raw_path or b"") + 2 * len(mount)
        if not place.is_ours and octets <= LONGEST_REMEMBERED:
            self._know(path, place, octets=4 * LONGEST_REMEMBERED)
        return place

    def _store_down(self, request: Request, place: Place) -> Pass | Response:
        # Nobody knows who is logged in: the app must not be opened to strangers, nor people be sent to log in anew.
        if place.verdict is OPEN and not place.is_ours:
            return NOBODY
        if place.verdict is API or not is_navigation(request):
            return answers.refusal(503, "store_unavailable", headers=RETRY)
        reference = secrets.token_hex(6)
        event(WARNING, "page_refused", "page refused while the store is down", correlation_id=reference)
        return self._pages.store_down(request, reference=reference, headers=RETRY)

    def failed(self, request: Request, exc: Exception) -> Response:
        """The answer when the guard itself has a fault: nobody comes in.

        The log gets the kind of exception and where it was raised, not its text, which may quote a cookie or a token.
        """
        reference = secrets.token_hex(6)
        frames = reversed(traceback.extract_tb(exc.__traceback__)[-5:])
        places = " < ".join(f"{at.filename}:{at.lineno}" for at in frames)
        note, kind = self.observers.note, type(exc).__name__
        told = "the guard failed"
        note("trouble", told, level=ERROR, kind="internal", correlation_id=reference, exception=kind, at=places)
        return self._pages.failed(request, reference)

    def _handshake(self, request: Request, found: Pass) -> Pass:
        # Any site can open a WebSocket to ours, and browsers send the cookie along: without this check it would act as
        # the person (cross-site WebSocket hijacking, CWE-1385). A program without `Origin` has no cookie to misuse.
        origin = request.header("origin")
        if origin and not self._site.is_own(origin, request):
            return NOBODY
        # A handshake renews nothing: not every server can set a cookie on it.
        return replace(found, cookies=()) if found.cookies else found

    def _turn_away(self, request: Request, place: Place, cookies: tuple[str, ...]) -> Response:
        person = is_navigation(request)
        login_url = self._site.login_url(request, self._site.return_to(request, place.inside, person=person))
        preflight = request.method.upper() == "OPTIONS"  # carries no cookie and follows no redirect (Fetch, 3.3)
        if place.verdict is PAGE and person and not preflight and not request.is_websocket:
            answer = _to_login(login_url)
        else:
            answer = (_unauthorized_htmx if request.header("hx-request") else _unauthorized)(login_url)
        return replace(answer, cookies=cookies) if cookies else answer


# Who is turned away is so at few addresses, and an answer is made of nothing else.
_to_login = lru_cache(maxsize=ANSWERS)(answers.redirect)


@lru_cache(maxsize=ANSWERS)
def _unauthorized(login_url: str, *headers: tuple[str, str]) -> Response:
    members = {"error": "Authentication required", "login_url": login_url}
    return answers.data(401, members, headers=(CHALLENGE, *headers))


def _unauthorized_htmx(login_url: str) -> Response:
    return _unauthorized(login_url, ("HX-Redirect", login_url))


def _is_mount(mount: str) -> bool:
    """Whether what a server says is cut off can stand before a path. gunicorn lets a client choose it."""
    return not mount or (len(mount) <= LONGEST_MOUNT and canonical(mount) and not mount.endswith("/"))


def configured(config: AuthConfig | None, settings: Settings) -> AuthConfig:
    """The configuration of a middleware: given whole, or as keywords over the environment. Raises `ConfigError`."""
    try:
        return _configured(config, settings)
    except ConfigError as exc:
        # Some servers swallow what is raised while an app starts, and answer 500 from then on: the log has it at once.
        for problem in exc.problems:
            event(ERROR, "configuration", problem)
        raise


def _configured(config: AuthConfig | None, settings: Settings) -> AuthConfig:
    if config is None:
        for name, near in unread(os.environ).items():
            if near:
                event(WARNING, "configuration", f"{name} is set, and not read; did you mean {near}?")
        return AuthConfig.from_env(**settings)
    if not isinstance(config, AuthConfig):
        raise ConfigError([f"config: is of type {type(config).__name__}; give an AuthConfig, and settings as keywords"])
    if settings:
        names = ", ".join(sorted(settings))
        raise ConfigError([f"config and keywords ({names}) were both given: put the keywords into the AuthConfig"])
    return config


def warn_of_invisible_mount(config: AuthConfig, where: str, mount: object) -> None:
    """Log a warning when the app cuts a prefix off paths that the middleware cannot see, and prefixes are protected."""
    if isinstance(mount, str) and mount.strip("/") and not config.mount and "/" not in config.protect:
        event(
            WARNING,
            "configuration",
            f"{where} is {mount!r}, which the middleware cannot see: a protected path is also served below it. "
            "Put it into base_url (CONSENTKEYS_APP_URL), or leave protect out, so that everything needs a login",
        )
