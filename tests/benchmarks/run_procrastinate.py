"""The pipeline as a Procrastinate job. Runs in the peers' environment.

Tuned as its documentation says (procrastinate.readthedocs.io, "Mind the size of your PostgreSQL pool": as many
connections as jobs where jobs are short, fewer where they are long; how many, was tried): `concurrency` in flight in
one worker, LISTEN on as it is by default, jobs deferred in batches. Each step is executed by the app's own connector.
"""

import asyncio
import sys
from collections.abc import Mapping
from typing import Any

from procrastinate import App, PsycopgConnector

from tests.benchmarks.orders import Order, await_end, await_start_async, order
from tests.benchmarks.pipeline import Post, by_name, named, send_message
from tests.benchmarks.posting import posting

POOL = 20
"""Most connections. At 100 and 500 in flight 10, 20 and 50 differ by less than the noise; more are slower."""

DEFERRED_AT_ONCE = 1_000


class _ConnectorSteps:
    def __init__(self, app: App) -> None:
        self._app = app

    async def fetch(self, sql: str, *values: Any) -> Mapping[str, Any]:
        row: Mapping[str, Any] = await self._app.connector.execute_query_one_async(named(sql), **by_name(values))
        return row

    async def execute(self, sql: str, *values: Any) -> None:
        await self._app.connector.execute_query_async(named(sql), **by_name(values))


def _app(given: Order) -> App:
    size = min(given.in_flight + 1, POOL)
    return App(connector=PsycopgConnector(conninfo=given.database, min_size=size, max_size=size))


def _with_task(app: App, post: Post | None) -> Any:
    async def send(message_id: str) -> None:
        assert post is not None
        await send_message(_ConnectorSteps(app), post, message_id)

    return app.task(name="send_message")(send)


async def _load(given: Order) -> None:
    app = _app(given)
    task = _with_task(app, None)
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        rows = await app.connector.execute_query_all_async("select id::text as id from trioqueue.campaign_messages")
        for first in range(0, len(rows), DEFERRED_AT_ONCE):
            jobs = [{"message_id": row["id"]} for row in rows[first : first + DEFERRED_AT_ONCE]]
            await task.batch_defer_async(*jobs)


async def _run(given: Order) -> None:
    app = _app(given)
    async with posting(given.http, given.world) as post, app.open_async():
        _with_task(app, post)
        await await_start_async()
        await app.run_worker_async(concurrency=given.in_flight, wait=False)


if __name__ == "__main__":
    if "load" in sys.argv:
        asyncio.run(_load(order()))
    else:
        asyncio.run(_run(order()))
        await_end()
