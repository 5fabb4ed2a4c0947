"""A server for chaos: one that may be restarted, unlike the suite's own."""

from collections.abc import Iterator

import pytest

from tests.support.chaos.server import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the session's own."""
    server = Server(tmp_path_factory.mktemp("chaos"))
    yield server
    server.stop()
