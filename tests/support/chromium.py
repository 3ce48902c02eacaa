"""This file is what people do in a real browser, and what its pages complain of."""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, WebError, expect, sync_playwright

PROGRAM = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
NEEDED = "This needs {0}; install it, such as with: apt-get install {0}"
PATIENCE = 60_000  # milliseconds for whatever a page waits for, on a busy machine
NO_ICON = r"/favicon\.ico\)$"  # browsers ask for one, and nobody here has one

NewBrowser = Callable[..., BrowserContext]


@contextmanager
def chromium(*arguments: str) -> Iterator[Browser]:
    """The browser that the system has. As long as it runs, nothing else in this thread can have a loop."""
    if PROGRAM is None:
        pytest.skip(NEEDED.format("chromium"))
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=PROGRAM,
            args=arguments,
            ignore_default_args=["--disable-back-forward-cache"],
            chromium_sandbox=False,  # it has none for root, nor on every system for others; the pages are our own
            timeout=PATIENCE,
        )
        yield browser
        browser.close()


@dataclass
class Noise:
    """What pages complained of."""

    lines: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=lambda: [NO_ICON])

    def expect(self, pattern: str) -> None:
        """The browser itself writes a line for every answer from 400 on that a script gets."""
        self.expected.append(pattern)

    def hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "assert"}:
            self.lines.append(f"{message.type}: {message.text} ({message.location['url']})")

    def stumble(self, error: WebError) -> None:
        self.lines.append(f"not caught: {error.error}")

    def unexpected(self) -> list[str]:
        return [line for line in self.lines if not any(re.search(pattern, line) for pattern in self.expected)]


def opened(browser: Browser, noise: Noise, **settings: object) -> BrowserContext:
    """Somebody's own browser, with its own cookies, whose complaints are heard."""
    context = browser.new_context(**settings)  # type: ignore[arg-type]  # as Playwright names them
    context.set_default_timeout(PATIENCE)
    context.on("console", noise.hear)
    context.on("weberror", noise.stumble)
    return context


def at_the_provider(page: Page) -> None:
    expect(page.get_by_role("heading", name="Who signs in?")).to_be_visible()


def sign_in(page: Page, name: str = "Ada Lovelace") -> None:
    """Choose somebody at the provider's page, and be sent back."""
    at_the_provider(page)
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Sign in", exact=True).click()


def sign_out(browser: BrowserContext, origin: str) -> None:
    """In a tab of its own."""
    tab = browser.new_page()
    tab.goto(f"{origin}/auth/logout")
    with tab.expect_navigation():
        tab.get_by_role("button", name="Sign out").click()
    tab.close()


def go_back(page: Page) -> None:
    """Playwright's own waits for the page to load, and one that the browser has kept never does."""
    _go(page, "back")


def go_forward(page: Page) -> None:
    _go(page, "forward")


def _go(page: Page, where: str) -> None:
    # Later, when the script has answered: a page that was kept comes back so fast that it would take the answer along.
    page.evaluate(f"() => void setTimeout(() => history.{where}(), 50)")
