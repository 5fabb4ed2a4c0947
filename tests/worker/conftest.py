"""Fixtures of the worker's tests."""

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Iterator[None]:
    """The worker's log lines go nowhere: pages of expected tracebacks take longer to draw than the tests."""
    with capture_logs():
        yield
