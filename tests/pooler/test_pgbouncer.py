"""Workers behind PgBouncer in transaction mode, where settings, prepared statements and LISTEN do not outlast one."""

from collections import Counter
from functools import partial
from typing import Any, Final

import trio
from structlog.testing import capture_logs

from tests.pooler.conftest import Pooler
from tests.support.database import fetch, start_run
from tests.support.main_job import MainJob, main_job
from trioqueue.simulator import Latency, World, WorldSettings
from trioqueue.worker.supervisor import Worker

PATIENCE: Final = 60.0
SETTINGS: Final[dict[str, Any]] = {"prepared_statements": False, "listen": False, "concurrency": 20}


async def statuses(job: MainJob) -> dict[str, int]:
    """How many messages are in each status."""
    rows = await fetch(job.database.pool, "select status, count(*)::integer from campaign_messages group by status")
    return dict(rows)


def most_often(job: MainJob) -> int:
    """How often the part arrived that arrived most often."""
    return max(Counter(delivery.idempotency_key for delivery in job.world.deliveries).values())


def _has_delivered(count: int, world: World) -> bool:
    return len(world.deliveries) >= count


async def drain(worker: Worker) -> None:
    """Work until nothing is due."""
    await worker.run_once(deadline=None, until_empty=True)


async def test_everything_is_sent(pooler: Pooler) -> None:
    """Three workers have more connections than the pooler has to the server; every message is sent once."""
    async with main_job(pooler.url, pool_size=8, **SETTINGS) as job:
        await start_run(job.database.pool, 100)
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(drain, job.worker())

        assert await statuses(job) == {"sent": 100}
        assert most_often(job) == 1


async def test_a_pooler_that_dies_is_outlived(pooler: Pooler) -> None:
    """When every connection is cut off in the middle, the worker goes on by itself once the pooler is back."""
    async with main_job(pooler.url, WorldSettings(model_latency=Latency(0.05)), **SETTINGS) as job:
        await start_run(job.database.pool, 100)
        with trio.fail_after(PATIENCE), capture_logs():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(drain, job.worker())
                for count in (30, 90):
                    await job.world.wait_until(partial(_has_delivered, count))
                    pooler.kill()
                    await trio.to_thread.run_sync(pooler.start)
            await drain(job.worker())  # what was claimed by an answer that was lost

        assert await statuses(job) == {"sent": 100}
        assert most_often(job) == 1
