"""Our pages in a real browser are for everyone: in light and dark, large and small, with a keyboard alone."""

import base64
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from ck_middleware import ASGIAuthMiddleware
from ck_middleware.gate import Gate
from ck_middleware.pages import page as shown
from ck_middleware.pages.languages import ENGLISH, LANGUAGES
from support.chromium import NewBrowser, Noise, at_the_provider, opened, sign_in
from support.chromium import chromium as running
from support.documents import ROOT
from support.fences import samples
from support.gallery import SESSION_SECRET, VIEWS, Gallery, hung
from support.provider import MisbehavingProvider
from support.serving import Server

Scheme: TypeAlias = Literal["light", "dark"]

DOCUMENT = ROOT / "docs" / "pages.md"
PICTURES = ROOT / "docs" / "screenshots"
LARGEST = 400_000  # bytes, of all pictures together
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
DESK: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 844}

# Every element of the page that can be seen, and is not wholly on it.
LOST = """() => [...document.querySelectorAll("body *")].filter((element) => {
  const box = element.getBoundingClientRect();
  return box.width && (box.left < -0.5 || box.right > document.documentElement.clientWidth + 0.5 || box.top < -0.5);
}).map((element) => element.outerHTML).concat(
  document.documentElement.scrollWidth > document.documentElement.clientWidth ? ["it scrolls sideways"] : []
)"""
FOCUSABLE = "a[href], button, input:not([type=hidden])"
RING = """() => {
  const style = getComputedStyle(document.activeElement);
  return style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth);
}"""
# Where its text begins and ends, or a box its borders.
PLACE = """(selector) => {
  const range = document.createRange(), one = document.querySelector(selector);
  if (selector === "h1") range.selectNodeContents(one); else range.selectNode(one);
  const box = range.getBoundingClientRect();
  return [box.left, box.right];
}"""
MOVING = """() => [...document.querySelectorAll("*")].map((element) => getComputedStyle(element))
  .filter((style) => style.animationName !== "none" || !/^0s(, 0s)*$/.test(style.transitionDuration)).length"""


@pytest.fixture(scope="module")
def gallery(provider: MisbehavingProvider) -> Iterator[Gallery]:
    with hung(provider) as gallery:
        yield gallery


@pytest.fixture(scope="module")
def chromium(gallery: Gallery) -> Iterator[Browser]:
    """As that of the other files, which has to trust nginx."""
    with running() as browser:
        yield browser


@pytest.fixture
def tab(new_browser: NewBrowser, noise: Noise) -> Page:
    noise.expect("status of [45]")
    return new_browser(viewport=DESK).new_page()


@pytest.fixture(scope="module", params=VIEWS)
def visited(request: pytest.FixtureRequest, chromium: Browser, gallery: Gallery) -> Iterator[Page]:
    """A page that somebody has got to, for all tests that look at it."""
    noise = Noise()
    noise.expect("status of [45]")
    context, view = opened(chromium, noise, viewport=DESK), VIEWS[request.param]
    tab = context.new_page()
    view.go(tab, gallery)
    expect(tab.get_by_role("heading", level=1)).to_have_text(view.heading)
    yield tab
    context.close()
    assert noise.unexpected() == []


@pytest.fixture
def view(visited: Page) -> Page:
    """As it is seen on a desk, in the light."""
    visited.set_viewport_size(DESK)
    visited.emulate_media(color_scheme="light")
    visited.evaluate("document.documentElement.style.fontSize = ''")
    visited.evaluate("document.activeElement.blur()")
    return visited


def complaints(tab: Page) -> list[str]:
    found: Sequence[dict[str, Any]] = Axe().run(tab).response["violations"]
    return [f"{one['impact']}: {one['help']}: {[node['html'] for node in one['nodes']]}" for one in found]


def test_axe_finds_nothing(view: Page) -> None:
    for scheme in SCHEMES:
        view.emulate_media(color_scheme=scheme)
        assert complaints(view) == [], scheme


def test_nothing_is_lost_on_a_small_screen_or_in_large_type(view: Page) -> None:
    for width in (640, 320):  # a window of 1280 at 200 % and at 400 % (WCAG 2.2, 1.4.4 and 1.4.10)
        view.set_viewport_size({"width": width, "height": 512})
        assert view.evaluate(LOST) == [], width
    view.set_viewport_size({"width": 640, "height": 512})
    view.evaluate("document.documentElement.style.fontSize = '200%'")  # type alone
    assert view.evaluate(LOST) == []


def test_everything_can_be_reached_with_the_keyboard_and_shows_that_it_is(view: Page) -> None:
    for element in view.locator(FOCUSABLE).all():
        view.keyboard.press("Tab")
        expect(element).to_be_focused()
        assert view.evaluate(RING) >= 2


def test_nothing_moves(view: Page) -> None:
    """So that there is nothing to reduce for those who ask for that."""
    assert view.evaluate(MOVING) == 0


@pytest.mark.parametrize(("language", "direction"), [*((tag, "ltr") for tag in LANGUAGES), ("de", "rtl")])
def test_every_text_has_room_in_every_language(tab: Page, gallery: Gallery, language: str, direction: str) -> None:
    tab.set_viewport_size({"width": 320, "height": 512})
    for code in ENGLISH.texts:
        tab.goto(gallery.on_the_wall(code, language=language, direction=direction))
        assert tab.evaluate(LOST) == [], code
    assert tab.evaluate("[document.documentElement.lang, document.documentElement.dir]") == [language, direction]


def test_a_page_that_is_read_from_the_right_is_its_mirror_image(tab: Page, gallery: Gallery) -> None:
    def places(direction: str) -> list[list[float]]:
        tab.goto(gallery.on_the_wall("login_expired", direction=direction))
        return [tab.evaluate(PLACE, selector) for selector in ("main", "h1", ".act")]

    mirrored = [[DESK["width"] - right, DESK["width"] - left] for left, right in places("rtl")]
    assert mirrored == [pytest.approx(place, abs=1) for place in places("ltr")]


@pytest.mark.parametrize("code", ["login_expired", "confirm_logout"])
def test_colours_that_are_forced_leave_a_button_a_button(tab: Page, gallery: Gallery, code: str) -> None:
    tab.emulate_media(forced_colors="active")
    tab.goto(gallery.on_the_wall(code))
    width, border, ground = tab.locator(".act").evaluate("""(one) => {
      const style = getComputedStyle(one);
      return [style.borderTopWidth, style.borderTopColor, style.backgroundColor];
    }""")
    assert width == "1px"
    assert border != ground
    tab.keyboard.press("Tab")
    assert tab.evaluate(RING) >= 2


def test_a_fault_of_the_guard_has_a_page_of_the_same_kind(
    tab: Page, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(Gate, "admit", fail)
        tab.goto(f"{gallery.app}/dashboard")
    expect(tab.get_by_role("heading", level=1)).to_have_text(ENGLISH.texts["internal_error"].title)
    assert complaints(tab) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_browser_gets_the_pages_in_its_own_language(
    new_browser: NewBrowser, noise: Noise, gallery: Gallery, language: str
) -> None:
    noise.expect("status of 400")
    tab = new_browser(locale=language).new_page()
    VIEWS["sign in again"].go(tab, gallery)
    text = LANGUAGES[language].texts["login_expired"]
    expect(tab.get_by_role("heading", level=1)).to_have_text(text.title)
    tab.get_by_role("link", name=text.action).click()
    at_the_provider(tab)


def test_no_mouse_and_no_script_is_needed(new_browser: NewBrowser, noise: Noise, gallery: Gallery) -> None:
    noise.expect("status of 400")
    browser = new_browser(java_script_enabled=False)
    tab = browser.new_page()
    VIEWS["sign in again"].go(tab, gallery)
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    at_the_provider(tab)
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    expect(tab.get_by_text("Quiet Otter")).to_be_visible()
    expect(tab).to_have_url(f"{gallery.app}/")
    tab.goto(f"{gallery.app}/auth/logout")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    expect(tab.get_by_text("Nobody is signed in")).to_be_visible()
    assert browser.cookies(gallery.app) == []


# Pages of an app's own


@pytest.fixture
def own(provider: MisbehavingProvider, tmp_path: Path) -> Iterator[str]:
    """An app with the templates of the document, and a stylesheet and a picture for them."""
    for sample in samples(DOCUMENT, "html"):
        (tmp_path / sample.head.removeprefix("<!-- ").removesuffix(" -->")).write_text(sample.code)
    server = Server(lifespan=True)
    provider.register(f"{server.url}/auth/callback")
    server.app = ASGIAuthMiddleware(
        _site(), **provider.settings | {"session_secret": SESSION_SECRET, "public": "/static/", "pages": tmp_path}
    )
    with server:
        yield server.url


def _site() -> Starlette:
    return Starlette(
        routes=[
            Route("/", lambda _: PlainTextResponse("home")),
            Route("/static/acme.css", lambda _: PlainTextResponse("h1 { color: teal }", media_type="text/css")),
            Route("/static/acme.svg", lambda _: PlainTextResponse(LOGO, media_type="image/svg+xml")),
        ]
    )


LOGO = '<svg xmlns="http://www.w3.org/2000/svg" width="64" height="32"><rect width="64" height="32"/></svg>'


def is_teal(heading: Locator) -> None:
    expect(heading).to_have_css("color", "rgb(0, 128, 128)")


def test_pages_of_the_apps_own_have_its_stylesheet_and_picture_and_sign_people_out(
    own: str, new_browser: NewBrowser, noise: Noise
) -> None:
    noise.expect("status of 400")
    tab = new_browser(java_script_enabled=False).new_page()
    tab.goto(f"{own}/auth/callback?state=old")
    is_teal(tab.get_by_role("heading", name=ENGLISH.texts["callback_invalid"].title))
    assert tab.get_by_role("img", name="Acme").evaluate("(image) => image.naturalWidth") == 64
    tab.get_by_role("link", name="Sign in again").click()
    sign_in(tab)
    expect(tab.get_by_text("home")).to_be_visible()
    tab.goto(f"{own}/auth/logout")
    is_teal(tab.get_by_role("heading", name="Sign out?"))
    tab.get_by_role("button", name="Sign out").click()
    at_the_provider(tab)
    tab.goto(f"{own}/auth/logout")
    is_teal(tab.get_by_role("heading", name="See you soon"))


@pytest.fixture
def careless(provider: MisbehavingProvider) -> Iterator[str]:
    """An app whose pages bring all that they must not."""

    def own(page: shown.Page) -> str:
        return (
            f"{page.style}<h1>{page.title}</h1><p style='color: red'>one</p><style>p {{ color: red }}</style>"
            "<script>document.title = 'run'</script><img src=/none onerror='document.title = `run`'>"
            "<script src='https://example.org/x.js'></script><link rel=stylesheet href='https://example.org/x.css'>"
        )

    server = Server(lifespan=True)
    server.app = ASGIAuthMiddleware(_site(), **provider.settings | {"session_secret": SESSION_SECRET, "pages": own})
    with server:
        yield server.url


def test_what_stands_in_an_own_page_runs_no_script_and_brings_no_style(
    careless: str, new_browser: NewBrowser, noise: Noise
) -> None:
    noise.expect("Content Security Policy|status of")
    tab = new_browser().new_page()
    tab.goto(f"{careless}/auth/logout")
    expect(tab.get_by_role("heading", name="You are signed out")).to_be_visible()
    expect(tab.get_by_text("one")).not_to_have_css("color", "rgb(255, 0, 0)")
    assert tab.title() == ""


# Pictures for the document


def picture(browser: Browser, gallery: Gallery, name: str, size: ViewportSize, scheme: Scheme) -> str:
    """One page as an `img`."""
    context = browser.new_context(viewport=size, color_scheme=scheme)
    tab = context.new_page()
    if name in VIEWS:
        VIEWS[name].go(tab, gallery)
    else:
        code, language, direction = name.split()
        tab.goto(gallery.on_the_wall(code, language=language, direction=direction))
    shot = base64.b64encode(tab.screenshot()).decode()
    context.close()
    return f'<img width="{size["width"] // 2}" src="data:image/png;base64,{shot}">'


def sheet(browser: Browser, pictures: Sequence[str], *, columns: int) -> bytes:
    context = browser.new_context(viewport={"width": 100, "height": 100}, device_scale_factor=1)
    tab = context.new_page()
    style = f"margin:0;padding:12px;display:inline-grid;gap:12px;grid-template-columns:repeat({columns},auto)"
    tab.set_content(f'<body style="{style};background:#8a909c">{"".join(pictures)}')
    image = tab.locator("body").screenshot()
    context.close()
    return image


DESKS = ("sign in again", "sign out", "store down", "people")
PHONES = ("login refused", "provider_unreachable de ltr", "confirm_logout fr ltr", "login_expired en rtl", "dashboard")


def test_the_pictures_in_the_document_are_there_and_small(
    request: pytest.FixtureRequest, chromium: Browser, gallery: Gallery
) -> None:
    if request.config.getoption("--write-docs"):
        PICTURES.mkdir(exist_ok=True)
        desks = [picture(chromium, gallery, name, DESK, scheme) for name in DESKS for scheme in SCHEMES]
        (PICTURES / "desk.png").write_bytes(sheet(chromium, desks, columns=2))
        phones = [picture(chromium, gallery, name, PHONE, scheme) for scheme in SCHEMES for name in PHONES]
        (PICTURES / "phone.png").write_bytes(sheet(chromium, phones, columns=len(PHONES)))
    pictures = sorted(PICTURES.iterdir())
    assert [f"screenshots/{file.name}" for file in pictures] == sorted(
        re.findall(r"!\[[^\]]+\]\(([^)]+)\)", DOCUMENT.read_text("utf-8"))
    )
    assert sum(file.stat().st_size for file in pictures) < LARGEST
