"""This file is what we answer ourselves: a calm page for people, JSON for programs, and the headers on both.

What a page says and how it looks is in `pages`. Answers for programs are English whoever asks.
"""

from __future__ import annotations

import base64
import hashlib
import inspect
import json
from typing import TYPE_CHECKING, Any, Final

from ck_middleware.log import ERROR, event, where_raised
from ck_middleware.messages import Response
from ck_middleware.pages.languages import ENGLISH, read_by
from ck_middleware.pages.page import STYLE, Page
from ck_middleware.site import is_navigation

if TYPE_CHECKING:
    from collections.abc import Callable

    from ck_middleware.config import AuthConfig
    from ck_middleware.errors import LoginRefused
    from ck_middleware.messages import Request

Headers = tuple[tuple[str, str], ...]

OUR_STYLE: Final = f"'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'"

# No script, no frame around us, nothing from elsewhere. `form-action` is left out on purpose: a browser would apply it
# to the redirect to the provider's log-out page that answers our own form.
POLICY: Final = f"default-src 'none'; base-uri 'none'; frame-ancestors 'none'; style-src {OUR_STYLE}"

# An app's own pages also have its stylesheets, pictures and fonts. What has to stand in the page itself, a style or a
# script, is refused to them too: it would be as easy to put in for whoever finds something that was not escaped.
OWN_POLICY: Final = f"{POLICY} 'self'; img-src 'self'; font-src 'self'"

# Answers depend on who asks and carry what must not leak to other sites or stay behind in a cache. What is stored
# nowhere needs no `Vary`, though it depends on the language, and on all that tells a person from a program.
BEFORE_POLICY: Final = (
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
)
HEADERS: Final = (*BEFORE_POLICY, ("Content-Security-Policy", POLICY))
OWN_HEADERS: Final = (*BEFORE_POLICY, ("Content-Security-Policy", OWN_POLICY))
HTML: Final = ("Content-Type", "text/html; charset=utf-8")


def redirect(location: str, *, cookies: tuple[str, ...] = ()) -> Response:
    """303, so that a post is never repeated at the new address (RFC 9700, 4.12)."""
    return Response(303, (*HEADERS, ("Location", location)), cookies=cookies)


def data(status: int, members: dict[str, Any], *, headers: Headers = (), cookies: tuple[str, ...] = ()) -> Response:
    body = json.dumps(members, ensure_ascii=True).encode()
    return Response(status, (*HEADERS, *headers, ("Content-Type", "application/json")), body, cookies)


def refusal(
    status: int, code: str, *, headers: Headers = (), cookies: tuple[str, ...] = (), **members: str
) -> Response:
    """What a program reads."""
    told = {"error": ENGLISH.texts[code].title, "code": code} | members
    return data(status, told, headers=headers, cookies=cookies)


class Pages:
    """What is said to whoever looks at the answer: a person, in their language, or a program."""

    def __init__(self, config: AuthConfig) -> None:
        self._app_name = config.app_name or ""
        self._own: Callable[[Page], object] | None = config.pages

    def notice(self, request: Request, status: int, code: str, *, headers: Headers = ()) -> Response:
        """A refusal that has nothing to do with one login."""
        if is_navigation(request):
            return self._shown(self._page(request, status, code), headers)
        return refusal(status, code, headers=headers)

    def store_down(self, request: Request, *, headers: Headers, reference: str) -> Response:
        """The store cannot be asked who a person is. `reference` stands in the log."""
        return self._shown(self._page(request, 503, "store_unavailable", reference=reference), headers)

    def failed(self, request: Request, reference: str) -> Response:
        """The guard itself has a fault. `reference` stands in the log."""
        if is_navigation(request):
            return self._shown(self._page(request, 500, "internal_error", reference=reference))
        return refusal(500, "internal_error", correlation_id=reference)

    def login_refused(
        self, request: Request, refused: LoginRefused, *, reference: str, again: str, cookies: tuple[str, ...]
    ) -> Response:
        """The end of a login. `reference` stands in the log beside the reason; `again` is where to start over."""
        status, code = refused.status, refused.code
        headers = (("Retry-After", "10"),) if status == 503 else ()  # noqa: PLR2004  # Service Unavailable
        if is_navigation(request):
            page = self._page(request, status, code, url=again, reference=reference)
            return self._shown(page, headers, cookies)
        told = {"correlation_id": reference, "login_url": again}
        return refusal(status, code, headers=headers, cookies=cookies, **told)

    def confirm_logout(self, request: Request, action: str, token: str, *, cookies: tuple[str, ...]) -> Response:
        """The button that posts. `token` stands in for the headers that an old browser does not send."""
        return self._shown(self._page(request, 200, "confirm_logout", url=action, token=token), cookies=cookies)

    def signed_out(self, request: Request, login_url: str, *, cookies: tuple[str, ...]) -> Response:
        return self._shown(self._page(request, 200, "signed_out", url=login_url), cookies=cookies)

    def _page(self, request: Request, status: int, code: str, *, reference: str = "", **more: str) -> Page:
        language = read_by(request.header("accept-language"))
        text = language.texts[code]
        return Page(
            code=code,
            status=status,
            language=language.tag,
            direction=language.direction,
            app_name=self._app_name,
            title=text.title,
            words=text.words.format(app=self._app_name or language.app),
            action=text.action,
            reference=reference,
            details=language.details.format(code=code, reference=reference) if reference else "",
            **more,
        )

    def _shown(self, page: Page, headers: Headers = (), cookies: tuple[str, ...] = ()) -> Response:
        own = self._own_page(page)
        if own is not None:
            return Response(page.status, (*OWN_HEADERS, *headers, HTML), own, cookies)
        said = (*HEADERS, *headers, HTML, ("Content-Language", page.language))
        return Response(page.status, said, page.html.encode(), cookies)

    def _own_page(self, page: Page) -> bytes | None:
        """The app's own, if it has one for this. An exception in its making is logged, and ours is shown."""
        if self._own is None:
            return None
        try:
            own = self._own(page)
            return None if own is None else _octets(own)
        except Exception as exc:  # noqa: BLE001  # it is the app's code, and the person is owed an answer
            kind, at = type(exc).__name__, where_raised(exc)
            event(ERROR, "pages_failed", "pages failed, and our own is shown", about=page.code, kind=kind, at=at)
        return None


def _octets(page: object) -> bytes:
    if inspect.iscoroutine(page):
        page.close()  # or Python complains, once for each page, that it was never awaited
    if not isinstance(page, str):
        raise TypeError(f"pages gave a {type(page).__name__}")
    return page.encode()
