"""The built site behind a server on localhost."""

import threading
from contextlib import contextmanager

import pytest

from tools import frontdoor


@contextmanager
def serving(folder):
    """Serve a folder on localhost and yield its address."""
    server = frontdoor.server(folder)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield "http://{}:{}/".format(*server.server_address)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="session")
def home(site):
    """The address of the built site."""
    with serving(site) as address:
        yield address
