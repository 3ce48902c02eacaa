"""This file is our own addresses: login, callback, logout, me. One method each."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from ck_middleware import oidc, pages, transaction
from ck_middleware.errors import (
    CallbackInvalid,
    ConsentDenied,
    LoginRefused,
    LoginUnfinished,
    ProviderFaulty,
    ProviderUnreachable,
)
from ck_middleware.log import ERROR, INFO, WARNING, event
from ck_middleware.policy import return_path
from ck_middleware.site import is_navigation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ck_middleware.config import AuthConfig
    from ck_middleware.messages import Request, Response
    from ck_middleware.provider import Provider
    from ck_middleware.seal import Signature
    from ck_middleware.sessions import SealedSessions
    from ck_middleware.site import Site
    from ck_middleware.transaction import Transaction, Transactions
    from ck_middleware.user import User

LONGEST_HINT = 255  # characters of a login_hint
LONGEST_FORM = 4096  # bytes of the logout form
MOST_FIELDS = 50  # of a query or form
FORM_LIFETIME = 3600  # seconds between showing the logout form and posting it
RETURN_LIFETIME = 600  # seconds between leaving for the provider's log-out page and coming back
ONCE = ("state", "code", "iss", "error")  # of a callback; never twice (RFC 6749, 3.1)

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
        provider: Provider,
        sessions: SealedSessions,
        transactions: Transactions,
        signature: Signature,
    ) -> None:
        self._config = config
        self._site = site
        self._provider = provider
        self._sessions = sessions
        self._transactions = transactions
        self._signature = signature
        self._logout_path = config.auth_prefix + "/logout"
        self._after_logout_path = unquote(urlsplit(config.after_logout).path)
        self._below = config.auth_prefix.casefold() + "/"
        self._table: dict[str, dict[str, Callable[[Request], Awaitable[Response]]]] = {
            config.auth_prefix + "/login": {"GET": self.login},
            config.callback_path: {"GET": self.callback},
            self._logout_path: {"GET": self.ask_logout, "POST": self.logout},
            config.auth_prefix + "/me": {"GET": self.me},
        }

    def owns(self, path: str) -> bool:
        """Whether an address is ours. In any letter case, since some routers do not tell case apart."""
        return path in self._table or path.casefold().startswith(self._below)

    async def answer(self, request: Request, path: str) -> Response:
        methods = self._table.get(path)
        if methods is None or request.is_websocket:
            return pages.notice(404, "not_found", person=is_navigation(request))
        act = methods.get(request.method)
        if act is None:
            allow = (("Allow", ", ".join(methods)),)
            return pages.notice(405, "method_not_allowed", person=is_navigation(request), headers=allow)
        return await act(request)

    async def login(self, request: Request) -> Response:
        """Begin a login: off to the provider, with one sealed cookie that remembers what was asked."""
        query = _fields(request.query)
        return_to = self._acceptable(_only(query, "next"), request)
        try:
            begun = transaction.begin(
                issuer=self._config.issuer, redirect_uri=self._site.redirect_uri(request), return_to=return_to
            )
            metadata = await self._provider.metadata()
        except LoginRefused as refusal:
            return self._refused(request, refusal, return_to)
        elsewhere = self._site.elsewhere(request)
        event(INFO, "login_started", "login started", **({"host": elsewhere} if elsewhere else {}))
        url = oidc.authorization_url(metadata, self._config, begun, _passed_on(query))
        return pages.redirect(url, cookies=self._transactions.keep(begun, request.cookies))

    async def callback(self, request: Request) -> Response:
        """Finish a login. Whatever comes of it, the transaction is consumed."""
        query = _fields(request.query)
        begun = self._transactions.find(_only(query, "state"), request.cookies)
        return_to = self._acceptable(begun.return_to if begun else "", request)
        spent = (self._transactions.forget(begun.state),) if begun else ()
        try:
            claims = await self._redeem(query, begun)
            started = self._sessions.start(claims)
        except LoginUnfinished as refusal:
            # The back button, a second click, a link opened twice: whoever is logged in simply goes on.
            found = await self._sessions.find(request)
            if found.user.is_authenticated:
                return pages.redirect(return_to, cookies=(*found.cookies, *spent))
            return self._refused(request, refusal, return_to, (*found.cookies, *spent))
        except LoginRefused as refusal:
            return self._refused(request, refusal, return_to, spent)
        event(INFO, "login_succeeded", "login succeeded")
        return pages.redirect(return_to, cookies=(started, *spent))

    async def ask_logout(self, request: Request) -> Response:
        found = await self._sessions.find(request)
        if not found.user.is_authenticated:
            return pages.signed_out(self._login_again(request), cookies=found.cookies)
        return self._confirm(request, found.user, found.cookies)

    async def logout(self, request: Request) -> Response:
        """End the session. Only a post of our own site does that: no other site may sign people out (CWE-352)."""
        person = is_navigation(request)
        user = (await self._sessions.find(request)).user
        own = await self._is_own_post(request, user)
        if own is None and person and user.is_authenticated:
            return self._confirm(request, user, ())
        # A program that says nothing is no browser: that sends Origin with a script's post, and a form asks for HTML.
        if own is False:
            event(WARNING, "logout_refused", "logout refused: posted from another site")
            return pages.notice(403, "cross_site", person=person)
        # A cookie that another site's post did not carry must not be cleared by the answer to it.
        cookies = (self._sessions.end(),) if self._sessions.carried(request) else ()
        url = await self._provider_logout(request) if user.is_authenticated else None
        event(INFO, "logout", "logged out")
        if person:
            return pages.redirect(url or self._after_logout(request), cookies=cookies)
        return pages.data(200, {"success": True, **({"logout_url": url} if url else {})}, cookies=cookies)

    async def me(self, request: Request) -> Response:
        found = await self._sessions.find(request)
        if not found.user.is_authenticated:
            return pages.data(401, {"error": "Not authenticated"}, cookies=found.cookies)
        return pages.data(200, {"user": dict(found.user.claims)}, cookies=found.cookies)

    def returned_from_logout(self, request: Request, path: str) -> Response | None:
        """Coming back from the provider's log-out page, the address loses the state that we sent along."""
        if request.method != "GET" or path != self._after_logout_path:
            return None
        state = self._signature.verify(_only(_fields(request.query), "state"), max_age=RETURN_LIFETIME)
        if state is None or not state.startswith("out."):
            return None  # not ours; the app's own business
        return pages.redirect(self._after_logout(request))

    async def _redeem(self, query: dict[str, list[str]], begun: Transaction | None) -> dict[str, object]:
        """The claims of whoever logged in, or a `LoginRefused` before the provider is asked anything."""
        if any(len(query.get(name, ())) > 1 for name in ONCE):
            raise CallbackInvalid("the callback has a parameter twice")
        if not _only(query, "state"):
            raise CallbackInvalid("the callback has no state")
        if begun is None:
            raise LoginUnfinished("this browser began no such login, or has finished it")
        if self._transactions.is_over(begun):
            raise LoginUnfinished("the login was begun too long ago")
        if begun.issuer != self._config.issuer:  # RFC 9700, 4.4.2
            raise LoginUnfinished("the login was begun with another issuer")
        await self._check_issuer(query)
        if error := _only(query, "error"):
            raise ERRORS.get(error, CallbackInvalid)(f"the provider ended the login with error={error[:40]!r}")
        code = _only(query, "code")
        if not code:
            raise CallbackInvalid("the callback has no code")
        return await self._provider.redeem(begun, code)

    async def _check_issuer(self, query: dict[str, list[str]]) -> None:
        """Who answered is whom we asked (RFC 9207, 2.4): errors have to prove it too."""
        issuer = _only(query, "iss")
        if issuer and issuer != self._config.issuer:
            raise CallbackInvalid(f"the answer is from iss={issuer!r}; the issuer setting says {self._config.issuer!r}")
        if not issuer and ("iss" in query or (await self._provider.metadata()).always_sends_iss):
            raise CallbackInvalid("the answer has no iss, though the provider says that it always sends it")

    async def _is_own_post(self, request: Request, user: User) -> bool | None:
        """Whether a page of ours posted this; `None` when the browser does not say."""
        site, origin = request.header("sec-fetch-site"), request.header("origin")
        if site:
            return site in {"same-origin", "none"}
        if origin and self._site.is_own(origin, request):
            return True
        form = _fields(await request.body(LONGEST_FORM) or b"")
        signed = self._signature.verify(_only(form, "token"), max_age=FORM_LIFETIME)
        if signed is not None and signed == _form_of(user):
            return True
        return False if origin else None

    def _confirm(self, request: Request, user: User, cookies: tuple[str, ...]) -> Response:
        action = self._site.mount(request) + self._logout_path
        return pages.confirm_logout(action, self._signature.sign(_form_of(user)), cookies=cookies)

    async def _provider_logout(self, request: Request) -> str | None:
        """The provider's log-out page, if it has one and can be asked. Whether or not, our session is over."""
        try:
            endpoint = (await self._provider.metadata()).end_session_endpoint
            if not endpoint:
                return None
            back = self._site.address(request) + self._config.after_logout
        except LoginRefused as refusal:
            event(WARNING, "provider", "no log-out at the provider", reason=refusal)
            return None
        state = self._signature.sign("out." + secrets.token_urlsafe(16))
        return oidc.end_session_url(endpoint, self._config, return_to=back, state=state)

    def _after_logout(self, request: Request) -> str:
        return self._site.mount(request) + self._config.after_logout

    def _login_again(self, request: Request) -> str:
        return self._site.login_url(request, self._site.after_login(request))

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
        event(level, "login_refused", "login refused", code=refusal.code, correlation_id=reference, reason=refusal)
        again = self._site.login_url(request, return_to)
        person = is_navigation(request)
        return pages.login_refused(refusal, person=person, reference=reference, again=again, cookies=cookies)


def _fields(encoded: bytes) -> dict[str, list[str]]:
    """The fields of a query or a form. One that cannot be read has none."""
    found: dict[str, list[str]] = {}
    try:
        pairs = parse_qsl(encoded.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError:
        return found
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def _only(fields: dict[str, list[str]], name: str) -> str:
    """The one value of a field; empty when there is none, or more than one."""
    found = fields.get(name, ())
    return found[0] if len(found) == 1 else ""


def _passed_on(query: dict[str, list[str]]) -> dict[str, str]:
    """The little of a browser's query that reaches the provider."""
    passed = {}
    if _only(query, "prompt") == "login":
        passed["prompt"] = "login"
    hint = _only(query, "login_hint")
    if hint and len(hint) <= LONGEST_HINT and hint.isprintable():
        passed["login_hint"] = hint
    return passed


def _form_of(user: User) -> str:
    """What a logout form is bound to: this person, so that nobody's form signs out another."""
    return "form." + hashlib.sha256(f"{user.issuer}\0{user.sub}".encode()).hexdigest()[:32]
