"""What people do with links, forms, tabs and the back button, over https and with the cookies that belong to it."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext, expect

from support.chromium import NewBrowser, Noise, at_the_provider, go_back, go_forward, sign_in
from support.nginx import Nginx
from support.provider import MisbehavingProvider

TARGET = "/dashboard?tab=2&q=a%20b"
CALM = re.compile("again|start", re.IGNORECASE)


def cookies(browser: BrowserContext, origin: str) -> list[str]:
    return sorted(cookie["name"] for cookie in browser.cookies(origin))


@pytest.fixture(params=["flask", "fastapi"])
def origin(request: pytest.FixtureRequest, front: Nginx) -> str:
    return front.origins[request.param]


@pytest.mark.parametrize("origin", ["demo", "flask", "fastapi"], indirect=True)
def test_a_deep_link_survives_the_login_and_logging_out_ends_it(browser: BrowserContext, origin: str) -> None:
    page = browser.new_page()
    page.goto(origin + TARGET)
    sign_in(page)
    expect(page).to_have_url(origin + TARGET)
    expect(page.get_by_role("heading", level=1)).to_contain_text("Ada Lovelace")
    (cookie,) = browser.cookies(origin)
    assert cookie["name"] == "__Host-ck_session"
    assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, True, "Lax", "/")
    assert page.evaluate("document.cookie") == ""
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(f"{origin}/")
    assert cookies(browser, origin) == []
    page.goto(f"{origin}/dashboard")
    at_the_provider(page)


def test_tabs_that_log_in_at_once_each_get_to_their_page(browser: BrowserContext, origin: str) -> None:
    tabs = [browser.new_page() for _ in range(3)]
    for number, tab in enumerate(tabs):
        tab.goto(f"{origin}/dashboard?tab={number}")
    for number in (1, 0, 2):
        sign_in(tabs[number])
        expect(tabs[number]).to_have_url(f"{origin}/dashboard?tab={number}")
    assert cookies(browser, origin) == ["__Host-ck_session"]


def test_the_back_button_after_a_login_leads_to_no_error(browser: BrowserContext, origin: str) -> None:
    page = browser.new_page()
    page.goto(origin + TARGET)
    sign_in(page)
    expect(page).to_have_url(origin + TARGET)
    go_back(page)
    at_the_provider(page)
    go_forward(page)
    expect(page).to_have_url(origin + TARGET)
    go_back(page)
    at_the_provider(page)
    page.reload()
    sign_in(page, "Grace Hopper")  # once more in a login that is over
    expect(page).to_have_url(re.compile(f"^{origin}/(dashboard)?$"))
    page.goto(origin + TARGET)
    expect(page.get_by_role("heading", level=1)).to_contain_text("Ada Lovelace")


def test_the_back_button_after_logging_out_shows_no_page_that_is_not_to_be_stored(
    browser: BrowserContext, front: Nginx
) -> None:
    """The demo says of its pages that they are not."""
    origin = front.origins["demo"]
    page = browser.new_page()
    page.goto(f"{origin}/dashboard")
    sign_in(page)
    page.get_by_role("link", name="home").click()
    page.get_by_role("link", name="dashboard").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("Nobody is signed in")).to_be_visible()
    go_back(page)
    at_the_provider(page)


def test_a_page_that_a_login_led_to_asks_again_when_it_comes_back(
    browser: BrowserContext, front: Nginx, pages: Path
) -> None:
    """With the sample of `docs/scripts.md` in it: Chromium keeps it, whatever it says."""
    origin = front.origins["demo"]
    browser.add_init_script(path=pages / "pages" / "back.js")
    page = browser.new_page()
    page.goto(f"{origin}/dashboard")
    sign_in(page)
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(f"{origin}/")
    go_back(page)
    at_the_provider(page)


def test_a_page_that_the_browser_kept_leads_to_the_login_when_it_is_used(browser: BrowserContext, origin: str) -> None:
    page = browser.new_page()
    page.goto(origin + TARGET)
    sign_in(page)
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(f"{origin}/")
    go_back(page)
    expect(page).not_to_have_url(f"{origin}/")
    page.reload()
    at_the_provider(page)


def test_a_link_that_is_opened_in_another_browser_leads_to_a_calm_page(
    new_browser: NewBrowser, noise: Noise, origin: str
) -> None:
    """As mail programs do with the link that ConsentKeys sends."""
    noise.expect("status of 400")
    page, elsewhere = new_browser().new_page(), new_browser().new_page()
    page.goto(origin + TARGET)
    at_the_provider(page)
    elsewhere.goto(page.url)
    sign_in(elsewhere)
    again = elsewhere.get_by_role("link", name=CALM)
    expect(again).to_be_visible()
    assert urlsplit(elsewhere.url).path == "/auth/callback"
    again.click()
    sign_in(elsewhere)
    expect(elsewhere).to_have_url(re.compile(re.escape(origin)))
    expect(elsewhere.get_by_role("heading", level=1)).to_be_visible()
    sign_in(page)
    expect(page).to_have_url(origin + TARGET)


@pytest.mark.parametrize("origin", ["demo", "flask"], indirect=True)
def test_everything_works_without_scripts(new_browser: NewBrowser, noise: Noise, origin: str) -> None:
    noise.expect("status of 403")
    page = new_browser(java_script_enabled=False).new_page()
    page.goto(origin + TARGET)
    page.get_by_role("button", name="Deny").click()
    page.get_by_role("link", name=CALM).click()
    sign_in(page)
    expect(page).to_have_url(origin + TARGET)
    page.goto(f"{origin}/auth/logout")
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(f"{origin}/")
    page.goto(f"{origin}/dashboard")
    at_the_provider(page)


def test_the_largest_session_comes_through_the_proxy(
    browser: BrowserContext, front: Nginx, provider: MisbehavingProvider
) -> None:
    origin = front.origins["flask"]
    page = browser.new_page()
    page.goto(f"{origin}/dashboard")
    provider.faults.userinfo = lambda claims: claims | {"note": "x" * 2600}
    try:
        sign_in(page)
        expect(page).to_have_url(f"{origin}/dashboard")
    finally:
        provider.faults.heal()
    (cookie,) = browser.cookies(origin)
    assert len(cookie["name"] + cookie["value"]) > 3900
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Ada Lovelace")
