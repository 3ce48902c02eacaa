"""This file is how sessions end: by a post of the person, or by a word of the provider."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from ck_middleware import answers, oidc
from ck_middleware.errors import LoginRefused, StoreUnavailable, TokenInvalid
from ck_middleware.events import ENDED, LOGGED_OUT
from ck_middleware.forms import LONGEST, fields, only
from ck_middleware.log import WARNING
from ck_middleware.observing import OK
from ck_middleware.seal import Signature
from ck_middleware.sessions import encode
from ck_middleware.site import is_navigation
from ck_middleware.vault import person, provider_session

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ck_middleware.answers import Pages
    from ck_middleware.config import AuthConfig
    from ck_middleware.events import Teller
    from ck_middleware.messages import Request, Response
    from ck_middleware.provider import Provider
    from ck_middleware.sessions import Sessions
    from ck_middleware.site import Site
    from ck_middleware.user import User

LONGEST_FORM = 4096  # bytes of the logout form
FORM_LIFETIME = 3600  # seconds between showing the logout form and posting it
RETURN_LIFETIME = 600  # seconds between leaving for the provider's log-out page and coming back


class Endings:
    """Log-out, from in front and from behind."""

    def __init__(  # noqa: PLR0913  # the parts it is wired from
        self, config: AuthConfig, site: Site, *, said: Pages, provider: Provider, sessions: Sessions, teller: Teller
    ) -> None:
        self._config = config
        self._site = site
        self._pages = said
        self._provider = provider
        self._sessions = sessions
        self._teller = teller
        self._note = teller.observers.note
        self._signature = Signature(config.session_secret, purpose="logout", client=config.client)
        self._path = config.auth_prefix + "/logout"
        self._after_logout_path = unquote(urlsplit(config.after_logout).path)

    async def ask_logout(self, request: Request) -> Response:
        found = await self._sessions.find(request)
        if not found.user.is_authenticated:
            return self._pages.signed_out(request, self._login_again(request), cookies=found.cookies)
        return self._confirm(request, found.user, found.cookies)

    async def logout(self, request: Request) -> Response:
        """End the session. Only a post of our own site does that: no other site may sign people out (CWE-352)."""
        is_person = is_navigation(request)
        user = (await self._sessions.find(request)).user
        form = fields(await request.body(LONGEST_FORM) or b"")
        own = self._is_own_post(request, user, form)
        if own is None and is_person and user.is_authenticated:
            return self._confirm(request, user, ())
        # A program that says nothing is no browser: that sends Origin with a script's post, and a form asks for HTML.
        if own is False:
            text = "logout refused: posted from another site"
            self._note("logout", text, level=WARNING, by="person", outcome="refused")
            return self._pages.notice(request, 403, "cross_site")
        cookies, url = await self._end(request, user, everywhere=only(form, "everywhere") == "1")
        if is_person:
            return answers.redirect(url or self._after_logout(request), cookies=cookies)
        return answers.data(200, {"success": True, **({"logout_url": url} if url else {})}, cookies=cookies)

    async def backchannel_logout(self, request: Request) -> Response:
        """The provider ends sessions itself (Back-Channel Logout 1.0): exactly 200 or 400, and no cookie has a say."""
        try:
            await self._log_out_by_token(only(fields(await request.body(LONGEST) or b""), "logout_token"))
        except (LoginRefused, StoreUnavailable) as refusal:
            text = "back-channel logout refused"
            self._note("logout", text, level=WARNING, by="provider", outcome="refused", reason=refusal)
            return answers.data(400, {"error": "invalid_request"})
        return answers.data(200, {})

    def returned_from_logout(self, request: Request, path: str) -> Response | None:
        """Coming back from the provider's log-out page, the address loses the state that we sent along."""
        if request.method != "GET" or path != self._after_logout_path:
            return None
        state = self._signature.verify(only(fields(request.query), "state"), max_age=RETURN_LIFETIME)
        if state is None or not state.startswith("out."):
            return None  # not ours; the app's own business
        return answers.redirect(self._after_logout(request))

    async def _end(self, request: Request, user: User, *, everywhere: bool) -> tuple[tuple[str, ...], str | None]:
        """End this browser's session, or all of this person. The cookies to set, and the provider's log-out page."""
        if not self._sessions.carried(request):
            return (), None  # another site's post does not carry the cookie, and must not have it cleared
        # The others first: if the store fails in between, this session is there yet, to say it again with.
        others = everywhere and user.is_authenticated
        ended = await self._sessions.end_others(person(user.issuer, user.sub), request) if others else []
        for claims in ended:
            self._note("session_ended", "session ended by its person elsewhere", by="person")
            await self._teller.tell(ENDED, claims)
        ending = await self._sessions.end(request)
        self._note("logout", "logged out", by="person", outcome=OK)
        if not user.is_authenticated:
            return ending.cookies, None
        if ending.tokens is not None:
            await self._provider.revoke(ending.tokens)
        await self._teller.tell(LOGGED_OUT, encode({"iss": user.issuer, "sub": user.sub}))
        return ending.cookies, await self._provider_logout(request, ending.hint)

    async def _log_out_by_token(self, token: str) -> None:
        if not token:
            raise TokenInvalid("there is no single logout_token")
        ended = await self._provider.logged_out(token)
        # Remembered for as long as it could be shown again; a replay would end the session of a later login.
        thing = f"logout {ended.jti}"
        if not await self._sessions.first(thing):
            raise TokenInvalid("the logout token was used before")
        owner = provider_session(ended.issuer, ended.sid) if ended.sid else person(ended.issuer, ended.sub or "")
        try:
            gone = await self._sessions.end_all(owner)
        except StoreUnavailable:
            await self._sessions.again(thing)  # the provider will send it again, and is to be heard then
            raise
        self._note("logout", "logged out by the provider", by="provider", outcome=OK)
        for claims in gone:
            self._note("session_ended", "session ended by the provider", by="provider")
            await self._teller.tell(ENDED, claims)

    def _is_own_post(self, request: Request, user: User, form: Mapping[str, Sequence[str]]) -> bool | None:
        """Whether a page of ours posted this; `None` when the browser does not say."""
        site, origin = request.header("sec-fetch-site"), request.header("origin")
        if site:
            return site in {"same-origin", "none"}
        if origin and self._site.is_own(origin, request):
            return True
        signed = self._signature.verify(only(form, "token"), max_age=FORM_LIFETIME)
        if signed is not None and secrets.compare_digest(signed.encode(), _form_of(user).encode()):
            return True
        return False if origin else None

    def _confirm(self, request: Request, user: User, cookies: tuple[str, ...]) -> Response:
        action = self._site.mount(request) + self._path
        token = self._signature.sign(_form_of(user))
        return self._pages.confirm_logout(request, action, token, cookies=cookies)

    async def _provider_logout(self, request: Request, hint: str | None) -> str | None:
        """The provider's log-out page, if it has one and can be asked. Whether or not, our session is over."""
        try:
            endpoint = (await self._provider.metadata()).end_session_endpoint
            if not endpoint:
                return None
            back = self._site.address(request) + self._config.after_logout
        except LoginRefused as refusal:
            self._note("trouble", "no log-out at the provider", level=WARNING, kind="provider", reason=refusal)
            return None
        state = self._signature.sign("out." + secrets.token_urlsafe(16))
        return oidc.end_session_url(endpoint, self._config, return_to=back, state=state, hint=hint)

    def _after_logout(self, request: Request) -> str:
        return self._site.mount(request) + self._config.after_logout

    def _login_again(self, request: Request) -> str:
        return self._site.login_url(request, self._site.after_login(request))


def _form_of(user: User) -> str:
    """What a logout form is bound to: this person, so that nobody's form signs out another."""
    return "form." + hashlib.sha256(f"{user.issuer}\0{user.sub}".encode()).hexdigest()[:32]
