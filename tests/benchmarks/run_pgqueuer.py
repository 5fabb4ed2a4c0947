"""The pipeline as a PGQueuer job. Runs in the peers' environment.

Tuned as its documentation says (guides/performance-tuning.md): asyncpg, the faster of its drivers; a pool of
connections; `pgq autovac`'s settings; durability `durable`, the only one that loses nothing; `max_concurrent_tasks`
bounds what is in flight and `batch_size` is at most half of that. uvloop, which its own `pgq run` uses where it is
installed. Each step is executed by its driver.
"""

import sys
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgPoolDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries
from pgqueuer.types import QueueExecutionMode

from tests.benchmarks.orders import Order, await_end, await_start_async, order
from tests.benchmarks.pipeline import send_message
from tests.benchmarks.posting import posting

POOL = 20
"""Most connections."""

LARGEST_BATCH = 25
"""Most jobs of one dequeue, and of one acknowledgement."""

ENQUEUED_AT_ONCE = 1_000


class _DriverSteps:
    def __init__(self, driver: AsyncpgPoolDriver) -> None:
        self._driver = driver

    async def fetch(self, sql: str, *values: Any) -> Mapping[str, Any]:
        rows: list[Mapping[str, Any]] = await self._driver.fetch(sql, *values)
        return rows[0]

    async def execute(self, sql: str, *values: Any) -> None:
        await self._driver.execute(sql, *values)


async def _load(given: Order) -> None:
    async with asyncpg.create_pool(given.database, min_size=2, max_size=2) as pool:
        queries = Queries(AsyncpgPoolDriver(pool))
        await queries.install()
        await queries.optimize_autovacuum()
        rows = await pool.fetch("select id::text as id from trioqueue.campaign_messages")
        for first in range(0, len(rows), ENQUEUED_AT_ONCE):
            payloads = [row["id"].encode() for row in rows[first : first + ENQUEUED_AT_ONCE]]
            await queries.enqueue(["send_message"] * len(payloads), payloads, [0] * len(payloads))


async def _run(given: Order) -> None:
    size = min(given.in_flight + 2, POOL)
    async with (
        posting(given.http, given.world) as post,
        asyncpg.create_pool(given.database, min_size=size, max_size=size) as pool,
    ):
        driver = AsyncpgPoolDriver(pool)
        queuer = PgQueuer(driver)

        async def send(job: Job) -> None:
            await send_message(_DriverSteps(driver), post, (job.payload or b"").decode())

        queuer.entrypoint("send_message")(send)

        await await_start_async()
        await queuer.run(
            batch_size=max(1, min(given.in_flight // 2, LARGEST_BATCH)),
            max_concurrent_tasks=given.in_flight,
            dequeue_timeout=timedelta(seconds=5),
            mode=QueueExecutionMode.drain,
        )


if __name__ == "__main__":
    if "load" in sys.argv:
        uvloop.run(_load(order()))
    else:
        uvloop.run(_run(order()))
        await_end()
