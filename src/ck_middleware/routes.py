"""This file is our own addresses, and those of them that begin and finish a login. One method each."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from ck_middleware import answers, oidc, transaction
from ck_middleware.endings import Endings
from ck_middleware.errors import (
    CallbackInvalid,
    ConsentDenied,
    InitiationInvalid,
    LoginRefused,
    LoginUnfinished,
    ProviderFaulty,
    ProviderUnreachable,
)
from ck_middleware.events import LOGGED_IN
from ck_middleware.forms import fields, only
from ck_middleware.log import ERROR, WARNING
from ck_middleware.policy import return_path
from ck_middleware.sessions import encode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ck_middleware.answers import Pages
    from ck_middleware.config import AuthConfig
    from ck_middleware.events import Teller
    from ck_middleware.health import Health
    from ck_middleware.messages import Request, Response
    from ck_middleware.provider import Provider
    from ck_middleware.sessions import Sessions
    from ck_middleware.site import Site
    from ck_middleware.tokens import Login
    from ck_middleware.transaction import Transaction, Transactions

LONGEST_HINT = 255  # characters of a login_hint
LONGEST_CODE = 4096  # characters; a provider would refuse a longer one, and pass for faulty, whenever a stranger likes
ONCE = ("state", "code", "iss", "error")  # of a callback; never twice (RFC 6749, 3.1)
INITIATION = ("iss", "login_hint", "target_link_uri")  # of a login that another site begins; never twice either

# What an error of the provider means to the person (RFC 6749, 4.1.2.1). Any other is an answer to nothing we asked.
ERRORS: dict[str, type[LoginRefused]] = {
    "access_denied": ConsentDenied,
    "server_error": ProviderFaulty,
    "temporarily_unavailable": ProviderUnreachable,
}


class Routes:
    """Whatever lies under `auth_prefix`, and the callback wherever it is registered."""

    def __init__(  # noqa: PLR0913  # the parts it is wired from, each named once in gate.py
        self,
        config: AuthConfig,
        site: Site,
        *,
        said: Pages,
        provider: Provider,
        sessions: Sessions,
        transactions: Transactions,
        teller: Teller,
        health: Health,
    ) -> None:
        self._config = config
        self._site = site
        self._pages = said
        self._provider = provider
        self._sessions = sessions
        self._transactions = transactions
        self._teller = teller
        self._observers = teller.observers
        endings = Endings(config, site, said=said, provider=provider, sessions=sessions, teller=teller)
        self.returned_from_logout = endings.returned_from_logout
        self._below = config.auth_prefix.casefold() + "/"
        self._table: dict[str, dict[str, Callable[[Request], Awaitable[Response]]]] = {
            config.auth_prefix + "/login": {"GET": self.login},
            config.callback_path: {"GET": self.callback},
            config.auth_prefix + "/logout": {"GET": endings.ask_logout, "POST": endings.logout},
            config.auth_prefix + "/me": {"GET": self.me},
            config.auth_prefix + "/health": dict.fromkeys(("GET", "HEAD"), health.answer),
        }
        if config.has_store:
            self._table[config.auth_prefix + "/backchannel-logout"] = {"POST": endings.backchannel_logout}

    def owns(self, path: str) -> bool:
        """Whether an address is ours. In any letter case, since some routers do not tell case apart."""
        return path in self._table or path.casefold().startswith(self._below)

    async def answer(self, request: Request, path: str) -> Response:
        methods = self._table.get(path)
        if methods is None or request.is_websocket:
            return self._pages.notice(request, 404, "not_found")
        act = methods.get(request.method)
        if act is None:
            allow = (("Allow", ", ".join(methods)),)
            return self._pages.notice(request, 405, "method_not_allowed", headers=allow)
        return await act(request)

    async def login(self, request: Request) -> Response:
        """Begin a login: off to the provider, with one sealed cookie that remembers what was asked."""
        query = fields(request.query)
        return_to = self._acceptable(self._wanted(query, request), request)
        try:
            self._check_initiation(query)
            begun = transaction.begin(
                issuer=self._config.issuer, redirect_uri=self._site.redirect_uri(request), return_to=return_to
            )
            metadata = await self._provider.metadata()
        except LoginRefused as refusal:
            return self._refused(request, refusal, return_to)
        elsewhere = self._site.elsewhere(request)
        self._observers.note("login_started", "login started", host=elsewhere or None)
        url = oidc.authorization_url(metadata, self._config, begun, _passed_on(query))
        return answers.redirect(url, cookies=self._transactions.keep(begun, request.cookies))

    async def callback(self, request: Request) -> Response:
        """Finish a login. Whatever comes of it, the transaction is consumed."""
        with self._observers.timed("callback") as facts:
            return await self._finished(request, facts)

    async def _finished(self, request: Request, facts: dict[str, object]) -> Response:
        query = fields(request.query)
        begun = self._transactions.find(only(query, "state"), request.cookies)
        return_to = self._acceptable(begun.return_to if begun else "", request)
        spent = (self._transactions.forget(begun.state),) if begun else ()
        try:
            login = await self._redeem(query, begun)
            started = await self._sessions.start(login, request)
        except LoginUnfinished as refusal:
            # The back button, a second click, a link opened twice: whoever is logged in simply goes on.
            found = await self._sessions.find(request)
            facts["outcome"] = "went_on" if found.user.is_authenticated else refusal.code
            if found.user.is_authenticated:
                return answers.redirect(return_to, cookies=(*found.cookies, *spent))
            return self._refused(request, refusal, return_to, (*found.cookies, *spent))
        except LoginRefused as refusal:
            facts["outcome"] = refusal.code
            return self._refused(request, refusal, return_to, spent)
        took = time.time() - begun.began if begun else None
        self._observers.note("login_succeeded", "login succeeded", seconds=took)
        await self._teller.tell(LOGGED_IN, encode(login.claims))
        return answers.redirect(return_to, cookies=(*started, *spent))

    async def me(self, request: Request) -> Response:
        """Who is logged in, and until when."""
        # A page may ask every minute, also when nobody sits before it: that must not keep the session alive.
        found = await self._sessions.look(request)
        if not found.user.is_authenticated:
            return answers.data(401, {"error": "Not authenticated"}, cookies=found.cookies)
        ends = {"expires_at": int(found.ends_at), "idle_expires_at": int(min(found.ends_at, found.idle_ends_at))}
        return answers.data(200, {"user": dict(found.user.claims), **ends})

    async def _redeem(self, query: dict[str, list[str]], begun: Transaction | None) -> Login:
        """Who logged in, or a `LoginRefused` before the provider is asked anything."""
        if any(len(query.get(name, ())) > 1 for name in ONCE):
            raise CallbackInvalid("the callback has a parameter twice")
        if not only(query, "state"):
            raise CallbackInvalid("the callback has no state")
        if begun is None:
            raise LoginUnfinished("this browser began no such login, or has finished it")
        if self._transactions.is_over(begun):
            raise LoginUnfinished("the login was begun too long ago")
        if begun.issuer != self._config.issuer:  # RFC 9700, 4.4.2
            raise LoginUnfinished("the login was begun with another issuer")
        await self._check_issuer(query)
        if error := only(query, "error"):
            raise ERRORS.get(error, CallbackInvalid)(f"the provider ended the login with error={error[:40]!r}")
        code = only(query, "code")
        if not code:
            raise CallbackInvalid("the callback has no code")
        if len(code) > LONGEST_CODE or not (code.isascii() and code.isprintable()):  # RFC 6749, appendix A.11
            raise CallbackInvalid("the code of the callback is none that a provider can have issued")
        if not await self._sessions.first(f"login {begun.state}"):
            raise LoginUnfinished("the login was finished before")
        return await self._provider.redeem(begun, code)

    async def _check_issuer(self, query: dict[str, list[str]]) -> None:
        """Who answered is whom we asked (RFC 9207, 2.4): errors have to prove it too."""
        issuer = only(query, "iss")
        if issuer and issuer != self._config.issuer:
            raise CallbackInvalid(f"the answer is from iss={issuer!r}; the issuer setting says {self._config.issuer!r}")
        if not issuer and ("iss" in query or (await self._provider.metadata()).always_sends_iss):
            raise CallbackInvalid("the answer has no iss, though the provider says that it always sends it")

    def _check_initiation(self, query: dict[str, list[str]]) -> None:
        """A login that another site begins is one with our provider, or none (OpenID Connect Core, 4)."""
        if "iss" not in query:
            return
        if any(len(query.get(name, ())) > 1 for name in INITIATION):
            raise InitiationInvalid("another site asks for a login, with a parameter twice")
        issuer = only(query, "iss")
        if issuer != self._config.issuer:
            raise InitiationInvalid(
                f"another site asks for a login with iss={issuer!r}; the issuer setting says {self._config.issuer!r}"
            )

    def _wanted(self, query: dict[str, list[str]], request: Request) -> str:
        """Where somebody asks to go after login. Who names the issuer may name an address of the app in full."""
        if "iss" in query and "target_link_uri" in query:
            return self._site.path_of(only(query, "target_link_uri"), request)
        return only(query, "next")

    def _acceptable(self, wanted: str, request: Request) -> str:
        """Where to go after login: a path on this origin that is not one of ours, judged again when it is used."""
        path, mount = return_path(wanted), unquote(self._site.mount(request))
        if path is None or self.owns(unquote(urlsplit(path).path).removeprefix(mount)):
            return self._site.after_login(request)
        return path

    def _refused(
        self, request: Request, refusal: LoginRefused, return_to: str, cookies: tuple[str, ...] = ()
    ) -> Response:
        reference = secrets.token_hex(6)
        level = ERROR if refusal.status >= 500 else WARNING  # noqa: PLR2004  # ours or the provider's to mend
        note, code = self._observers.note, refusal.code
        note("login_refused", "login refused", level=level, code=code, correlation_id=reference, reason=refusal)
        again = self._site.login_url(request, return_to)
        return self._pages.login_refused(request, refusal, reference=reference, again=again, cookies=cookies)


def _passed_on(query: dict[str, list[str]]) -> dict[str, str]:
    """The little of a browser's query that reaches the provider."""
    passed = {}
    if only(query, "prompt") == "login":
        passed["prompt"] = "login"
    hint = only(query, "login_hint")
    if hint and len(hint) <= LONGEST_HINT and hint.isprintable():
        passed["login_hint"] = hint
    return passed
