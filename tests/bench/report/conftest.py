"""A real Chromium for the pages, where the system has one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def _chromium() -> str | None:
    named = os.environ.get("CHROMIUM")
    return named or next(filter(None, map(shutil.which, _NAMES)), None)


# Not for the session: while it is there, an event loop counts as running in this thread, and the
# tests of other modules could not start theirs.
@pytest.fixture(scope="module")
def browser():
    """One browser for all tests of a module; each page has a context, and so data, of its own."""
    program = _chromium()
    if program is None:
        pytest.skip("no Chromium is installed (CHROMIUM names one)")
    with sync_playwright() as driver:
        started = driver.chromium.launch(
            executable_path=program, headless=True, args=list(_ARGUMENTS)
        )
        yield started
        started.close()


class Opened:
    """A page in the browser, with all that it complained of and asked for."""

    def __init__(self, context, path: Path) -> None:
        self.page = context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda said: self.complaints.append(f"{said.type}: {said.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("html[data-drawn]")

    def all(self, selector: str) -> list[str]:
        """The texts of all elements."""
        return self.page.locator(selector).all_text_contents()

    def value(self, script: str):
        """What a script comes to."""
        return self.page.evaluate(script)


@pytest.fixture
def open_page(browser, tmp_path):
    """Writes a page with a function of the report, and opens it from its file without a network."""
    contexts = []

    def opened(write, *things, scheme="light", width=1280) -> Opened:
        path = tmp_path / "a report's page.html"
        write(*things, path)
        context = browser.new_context(
            color_scheme=scheme, viewport={"width": width, "height": 900}, offline=True
        )
        # Machines are shared.
        context.set_default_timeout(60_000)
        contexts.append(context)
        return Opened(context, path)

    yield opened
    for context in contexts:
        context.close()
