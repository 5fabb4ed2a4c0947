"""Fixtures of the tests of HTTP."""

from collections.abc import AsyncIterator

import pytest

from trioqueue.http.transport import HttpTransport


@pytest.fixture
async def transport() -> AsyncIterator[HttpTransport]:
    """A transport as it is used, closed afterwards."""
    async with HttpTransport() as transport:
        yield transport
