"""This file is every page that people may see of us, on real servers: where it is, and how one gets there."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from typing import Any
from urllib.parse import parse_qs, quote

from playwright.sync_api import Page as Tab
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ck_middleware import ASGIAuthMiddleware, answers
from ck_middleware.dev.demo import DEV_NOTE, PROTECT, site
from ck_middleware.pages import Page
from ck_middleware.pages.languages import LANGUAGES
from ck_middleware.stores.memory import AsyncMemoryStore
from support.chromium import at_the_provider, sign_in
from support.ports import Port
from support.provider import MisbehavingProvider
from support.serving import Server

NAME = "Otter Notes"
SESSION_SECRET = "0123456789abcdef" * 4
REFERENCE = "5f0c9a1be372"


class FrailStore(AsyncMemoryStore):
    """It cannot be asked while it is down."""

    down = False

    async def get(self, key: str) -> bytes | None:
        if self.down:
            raise OSError
        return await super().get(key)


@dataclass
class Gallery:
    """`app` is one where all is well until `store.down`, `lost` one whose provider is down."""

    app: str
    lost: str
    wall: str
    provider: MisbehavingProvider
    store: FrailStore
    _cookies: list[Any] = field(default_factory=list)  # of somebody who has signed in

    def on_the_wall(self, code: str, *, language: str = "en", direction: str = "") -> str:
        """The address of any of our pages, in any language, which nobody has to get to."""
        return f"{self.wall}/{code}?language={language}&direction={direction or LANGUAGES[language].direction}"

    def enter(self, tab: Tab) -> None:
        """Be signed in: one session is enough for all views."""
        tab.context.add_cookies(self._cookies)
        tab.goto(f"{self.app}/dashboard")
        if not self._cookies:
            sign_in(tab)
            tab.wait_for_url(f"{self.app}/dashboard")
            self._cookies += tab.context.cookies(self.app)


@contextmanager
def hung(provider: MisbehavingProvider) -> Iterator[Gallery]:
    store = FrailStore()
    usual = provider.settings | {"session_secret": SESSION_SECRET, "protect": PROTECT, "app_name": NAME}
    app, lost, wall, nobody = Server(lifespan=True), Server(lifespan=True), Server(_wall), Port()
    provider.register(f"{app.url}/auth/callback")
    app.app = ASGIAuthMiddleware(site(DEV_NOTE), **(usual | {"store": store}))
    lost.app = ASGIAuthMiddleware(site(DEV_NOTE), **(usual | {"issuer": f"http://127.0.0.1:{nobody.number}"}))
    with nobody, app, lost, wall:
        yield Gallery(app.url, lost.url, wall.url, provider, store)


async def _wall(scope: Scope, receive: Receive, send: Send) -> None:
    asked = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
    language, code = LANGUAGES[asked["language"]], scope["path"][1:]
    text = language.texts[code]
    page = Page(
        code=code,
        status=200,
        language=language.tag,
        direction=asked["direction"],
        app_name=NAME,
        title=text.title,
        words=text.words.format(app=NAME),
        action=text.action,
        url="/auth/login",
        token="signed" if code == "confirm_logout" else "",
        reference=REFERENCE,
        details=language.details.format(code=code, reference=REFERENCE),
    )
    headers = dict((*answers.HEADERS, answers.HTML, ("Content-Language", language.tag)))
    await Response(page.html, headers=headers)(scope, receive, send)


def _refused(tab: Tab, gallery: Gallery) -> None:
    tab.goto(f"{gallery.app}/dashboard")
    tab.get_by_role("button", name="Deny").click()


def _expired(tab: Tab, gallery: Gallery) -> None:
    tab.goto(f"{gallery.app}/auth/callback?state=old&code=old")


def _provider_down(tab: Tab, gallery: Gallery) -> None:
    tab.goto(f"{gallery.lost}/auth/login")


def _store_down(tab: Tab, gallery: Gallery) -> None:
    gallery.enter(tab)
    gallery.store.down = True
    try:
        tab.reload()
    finally:
        gallery.store.down = False


def _signed_out(tab: Tab, gallery: Gallery) -> None:
    tab.goto(f"{gallery.app}/auth/logout")


def _sign_out(tab: Tab, gallery: Gallery) -> None:
    gallery.enter(tab)
    tab.goto(f"{gallery.app}/auth/logout")


def _not_found(tab: Tab, gallery: Gallery) -> None:
    tab.goto(f"{gallery.app}/auth/nothing")


def _two_readings(tab: Tab, gallery: Gallery) -> None:
    tab.goto(f"{gallery.app}//dashboard")


def _elsewhere(tab: Tab, gallery: Gallery) -> None:
    tab.goto(gallery.app.replace("127.0.0.1", "app.localhost") + "/auth/login")


def _cross_site(tab: Tab, gallery: Gallery) -> None:
    form = f'<form method="post" action="{escape(gallery.app)}/auth/logout"><button>Win a prize</button></form>'
    tab.goto("data:text/html," + quote(form))
    tab.get_by_role("button").click()


def _choose(tab: Tab, gallery: Gallery) -> None:
    tab.goto(f"{gallery.app}/dashboard")
    at_the_provider(tab)


def _unanswerable(tab: Tab, gallery: Gallery) -> None:
    tab.goto(f"{gallery.provider.url('auth')}?client_id=nobody")


def _provider_signed_out(tab: Tab, gallery: Gallery) -> None:
    tab.goto(gallery.provider.url("logout"))


def _home(tab: Tab, gallery: Gallery) -> None:
    tab.goto(gallery.app)


def _home_signed_in(tab: Tab, gallery: Gallery) -> None:
    gallery.enter(tab)
    tab.goto(gallery.app)


def _dashboard(tab: Tab, gallery: Gallery) -> None:
    gallery.enter(tab)


@dataclass(frozen=True)
class View:
    """A page, as somebody gets to it."""

    go: Callable[[Tab, Gallery], None]
    heading: str


VIEWS = {
    "login refused": View(_refused, "You are not signed in"),
    "sign in again": View(_expired, "This sign-in cannot be finished"),
    "provider down": View(_provider_down, "Signing in does not work right now"),
    "store down": View(_store_down, "This page cannot be shown right now"),
    "signed out": View(_signed_out, "You are signed out"),
    "sign out": View(_sign_out, "Sign out?"),
    "not found": View(_not_found, "Nothing here"),
    "two readings": View(_two_readings, "This address is not valid"),
    "address unknown": View(_elsewhere, "This address is not set up for signing in"),
    "cross-site": View(_cross_site, "You were not signed out"),
    "people": View(_choose, "Who signs in?"),
    "unanswerable": View(_unanswerable, "This request cannot be answered"),
    "signed out there": View(_provider_signed_out, "Signed out"),
    "demo": View(_home, "Welcome"),
    "demo, signed in": View(_home_signed_in, "Welcome"),
    "dashboard": View(_dashboard, "Hello, Ada Lovelace"),
}
