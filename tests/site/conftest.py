"""A browser, and the built site behind a server on localhost."""

import os
import threading
from contextlib import contextmanager

import pytest
from playwright.sync_api import sync_playwright

from tests.site.page import FLAGS, browser_path
from tools import frontdoor

SITE = frontdoor.ROOT / "_build" / "html"
NO_BROWSER = "no Chromium found; Debian, Ubuntu: sudo apt install chromium"
NO_SITE = "the site is not built; run: make site"


@contextmanager
def serving(folder):
    """Serve a folder on localhost and yield its address."""
    server = frontdoor.server(folder)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield "http://{}:{}/".format(*server.server_address)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium. Where one is required, its absence is a failure."""
    path = browser_path()
    if path is None:
        if os.environ.get("BOOK_BROWSER") == "required":
            pytest.fail(f"BOOK_BROWSER=required, but {NO_BROWSER}", pytrace=False)
        pytest.skip(NO_BROWSER)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def site():
    """The folder of the built site."""
    if not (SITE / "index.html").is_file():
        pytest.skip(NO_SITE)
    return SITE


@pytest.fixture(scope="session")
def home(site):
    """The address of the built site."""
    with serving(site) as address:
        yield address
