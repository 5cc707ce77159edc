"""A course built once, and the sandbox where there is one."""

import os
import socket
import threading

import pytest

from grading import build, sandbox, source

NAMES = source.names()


def pytest_collection_modifyitems(items):
    """Without a sandbox its tests are reported as not run; where one is required they fail."""
    why = sandbox.unusable()
    if not why or os.environ.get("BOOK_SANDBOX") == "required":
        return
    for item in items:
        if item.get_closest_marker("sandbox"):
            item.add_marker(pytest.mark.skip(reason=f"no bubblewrap: {why}"))


@pytest.fixture(scope="session")
def course(tmp_path_factory):
    """A course folder with every assignment, at the public salt."""
    folder = tmp_path_factory.mktemp("course")
    build.build(folder, NAMES, "public")
    return folder


@pytest.fixture(scope="session")
def listener():
    """A port on localhost, and the list of what was received there."""
    received = []
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.2)
    ended = threading.Event()

    def serve():
        while not ended.is_set():
            try:
                connection, _ = server.accept()
            except TimeoutError:
                continue
            received.append(connection.recv(100))
            connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    yield server.getsockname()[1], received
    ended.set()
    thread.join()
    server.close()
