"""What the others make requests with: httpx as it is, with its limits off, or the idea of trioqueue's transport lent.

`default`: one shared `httpx.AsyncClient()`, as its documentation says: 100 connections, 20 of them kept.
`unlimited`: the same with `httpx.Limits(max_connections=None, max_keepalive_connections=None)`, so that every slot
keeps its connection. Which is better depends on how many are in flight; the better of the two is the one that counts.
`lent`: see `lent_transport.py`.
"""

import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.benchmarks.pipeline import Post

TIMEOUT = 30.0
"""Seconds that a request may take, the wait for a connection included."""

STOCK = ("default", "unlimited")
LENT = "lent"


@asynccontextmanager
async def posting(http: str, world: str) -> AsyncIterator[Post]:
    """What posts to the world."""
    if http == LENT:
        # Imported here, because trioqueue's own environment runs the loops and needs none of it.
        from tests.benchmarks.lent_transport import LentTransport

        with contextlib.closing(LentTransport(world)) as transport:
            yield transport.post
        return
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    options: dict[str, Any] = {} if http == "default" else {"limits": limits}
    async with httpx.AsyncClient(timeout=TIMEOUT, **options) as client:

        async def post(path: str, key: Mapping[str, str], body: bytes) -> Any:
            headers = {"Content-Type": "application/json", **key}
            response = await client.post(f"{world}{path}", content=body, headers=headers)
            return json.loads(response.raise_for_status().content)

        yield post
