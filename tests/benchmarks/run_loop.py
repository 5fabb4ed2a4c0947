"""What trioqueue replaces: a loop over the due messages, one after another or in chunks of five.

A chunk is written and sent by `asyncio.gather`, and the next one begins when its slowest message is done. One database
connection for each message of a chunk, autocommitted, and one shared httpx client.
"""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tests.benchmarks.orders import Order, await_end, await_start_async, order
from tests.benchmarks.pipeline import by_name, named, send_message
from tests.benchmarks.posting import posting

_DUE = """
select m.id::text as id
from trioqueue.campaign_messages m
join trioqueue.campaign_runs r on r.id = m.run_id
where r.status = 'running' and m.status = 'pending' and m.scheduled_at <= now()
order by m.scheduled_at
limit $1
"""


class _PsycopgSteps:
    def __init__(self, connection: psycopg.AsyncConnection[dict[str, Any]]) -> None:
        self._connection = connection

    async def fetch(self, sql: str, *values: Any) -> Mapping[str, Any]:
        cursor = await self._connection.execute(named(sql).encode(), by_name(values))
        [row] = await cursor.fetchall()
        return row

    async def execute(self, sql: str, *values: Any) -> None:
        await self._connection.execute(named(sql).encode(), by_name(values))


async def _run(given: Order) -> None:
    async with AsyncExitStack() as stack:
        post = await stack.enter_async_context(posting(given.http, given.world))
        connections = []
        for _ in range(given.in_flight):
            connection = await psycopg.AsyncConnection.connect(given.database, autocommit=True, row_factory=dict_row)
            connections.append(await stack.enter_async_context(connection))
        await await_start_async()
        while True:
            cursor = await connections[0].execute(named(_DUE).encode(), by_name((given.in_flight,)))
            due = [row["id"] for row in await cursor.fetchall()]
            if not due:
                return
            steps = map(_PsycopgSteps, connections)
            await asyncio.gather(
                *[send_message(each, post, message) for each, message in zip(steps, due, strict=False)]
            )


if __name__ == "__main__":
    asyncio.run(_run(order()))
    await_end()
