"""The samples of `docs/scripts.md`, in pages that nginx serves to everybody, before apps that ask for a login."""

import re

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from support.chromium import Noise, at_the_provider, sign_in, sign_out
from support.nginx import Nginx

REFUSED = "the server responded with a status of 401"


@pytest.fixture
def page(browser: BrowserContext) -> Page:
    return browser.new_page()


@pytest.fixture(params=["flask", "fastapi"])
def origin(request: pytest.FixtureRequest, front: Nginx) -> str:
    return front.origins[request.param]


def test_fetch_lets_people_sign_in_and_come_back_to_where_they_were(page: Page, origin: str, noise: Noise) -> None:
    noise.expect(REFUSED)
    url = f"{origin}/pages/fetch.html?q=a%20b&page=2#part"
    page.goto(url)
    page.get_by_role("button", name="Show").click()
    sign_in(page)
    expect(page).to_have_url(url)
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#shown")).to_have_text("Ada Lovelace")


@pytest.mark.parametrize("version", ["2", "4"])
def test_htmx_lets_people_sign_in_and_come_back_to_where_they_were(
    page: Page, origin: str, noise: Noise, version: str
) -> None:
    noise.expect(REFUSED)
    url = f"{origin}/pages/htmx-{version}.html?q=a%20b&page=2"
    page.goto(url)
    page.get_by_role("button", name="Show").click()
    sign_in(page)
    expect(page).to_have_url(url)
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#shown")).to_have_text("Welcome, Ada Lovelace!")


@pytest.mark.parametrize("version", ["2", "4"])
def test_a_link_that_htmx_follows_leads_through_the_login_to_its_page(
    page: Page, front: Nginx, noise: Noise, version: str
) -> None:
    noise.expect(REFUSED)
    page.goto(f"{front.origins['flask']}/pages/htmx-{version}.html")
    page.get_by_role("link", name="Dashboard").click()
    sign_in(page)
    expect(page).to_have_url(f"{front.origins['flask']}/dashboard")


def test_a_single_page_app_lets_people_sign_in_at_the_view_that_needs_it(page: Page, origin: str, noise: Noise) -> None:
    noise.expect(REFUSED)
    page.goto(f"{origin}/pages/spa.html")
    expect(page.locator("#person")).to_have_text("Nobody is signed in")
    page.get_by_role("link", name="Orders").click()
    page.get_by_role("button", name="Load").click()
    sign_in(page)
    expect(page).to_have_url(f"{origin}/pages/spa.html?view=orders")
    expect(page.get_by_role("heading", name="orders")).to_be_visible()
    expect(page.locator("#person")).to_have_text("Signed in as Ada Lovelace")
    expect(page.locator("#warning")).to_be_hidden()
    page.get_by_role("button", name="Load").click()
    expect(page.locator("#shown")).to_have_text("Data of Ada Lovelace")
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(f"{origin}/")
    page.goto(f"{origin}/pages/spa.html")
    expect(page.locator("#person")).to_have_text("Nobody is signed in")
    page.get_by_role("link", name="Sign in").click()
    sign_in(page)
    expect(page.locator("#person")).to_have_text("Signed in as Ada Lovelace")


def test_a_single_page_app_notices_that_the_session_has_ended(
    browser: BrowserContext, page: Page, front: Nginx, noise: Noise
) -> None:
    noise.expect(REFUSED)
    origin = front.origins["flask"]
    page.goto(f"{origin}/dashboard")
    sign_in(page)
    expect(page).to_have_url(f"{origin}/dashboard")
    page.clock.install()
    page.goto(f"{origin}/pages/spa.html")
    expect(page.locator("#person")).to_have_text("Signed in as Ada Lovelace")
    with page.expect_response("**/auth/me"):
        page.clock.fast_forward("01:00:00")  # of two in which nobody needs to use it
    expect(page.locator("#person")).to_have_text("Signed in as Ada Lovelace")
    sign_out(browser, origin)
    page.clock.fast_forward("01:00:00")
    expect(page.locator("#person")).to_have_text("Nobody is signed in")


def test_a_single_page_app_says_so_before_the_session_ends(page: Page, front: Nginx, noise: Noise) -> None:
    """This app ends a session that nobody uses for 100 seconds; the warning comes when 120 are left."""
    noise.expect(REFUSED)
    origin = front.origins["talk"]
    page.goto(f"{origin}/pages/spa.html")
    page.get_by_role("button", name="Load").click()
    sign_in(page)
    expect(page.locator("#warning span")).to_have_text(re.compile("^[1-9][0-9]?$|^100$"))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    with page.expect_response("**/auth/me"):
        page.get_by_role("button", name="Stay signed in").click()
    assert f"{origin}/api/data" in asked
    expect(page.locator("#person")).to_have_text("Signed in as Ada Lovelace")


def test_a_websocket_is_for_people_who_are_signed_in_and_ends_with_their_session(
    browser: BrowserContext, page: Page, front: Nginx, noise: Noise
) -> None:
    noise.expect(REFUSED)
    noise.expect("WebSocket connection to 'wss://")  # the browser's own words on one that was refused
    origin = front.origins["talk"]
    url = f"{origin}/pages/live.html?room=2"
    page.goto(url)
    sign_in(page)
    expect(page).to_have_url(url)
    expect(page.locator("#heard")).to_have_text("Ada Lovelace")
    sign_out(browser, origin)
    at_the_provider(page)
