"""A headless browser for tests of pages."""

import shutil

import pytest


@pytest.fixture(scope="module")
def browser():
    """Chromium of the system; its event loop ends with the module, so that it does not disturb others."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("there is no chromium on the PATH")
    # Containers often lack the rights that the sandbox needs; the pages are our own.
    options = {"executable_path": path, "args": ["--no-sandbox"]}
    with playwright.sync_playwright() as driver, driver.chromium.launch(**options) as chromium:
        yield chromium
