"""Worlds for tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import trio

from tests.simulator.clients import Client
from trioqueue.simulator import WorldSettings, simulated_world

DEADLINE = 20.0
"""Seconds after which a test has failed; it is never waited for."""


@asynccontextmanager
async def client_of(**settings: Any) -> AsyncIterator[Client]:
    """A client of a world with these settings."""
    with trio.fail_after(DEADLINE):
        async with simulated_world(WorldSettings(**settings)) as world, httpx.AsyncClient(timeout=DEADLINE) as http:
            yield Client(world, http)
