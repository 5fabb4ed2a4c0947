"""`trioqueue` as a user starts it, and when it does what."""

import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import trio

from tests.benchmarks.entrants import environment
from tests.support.command import TRIOQUEUE
from tests.support.database import start_run
from tests.support.mock_world import MockWorld
from trioqueue.postgres.connect import connect
from trioqueue.postgres.pool import Pool

LOOK_INTERVAL = 0.01
"""Seconds between two looks at what only the database knows."""


@asynccontextmanager
async def command(
    arguments: Sequence[str], database: str, world: MockWorld, **variables: str
) -> AsyncIterator[trio.Process]:
    """A command, asked to stop at the end of the block if it has not ended."""
    process = await trio.lowlevel.open_process(
        [TRIOQUEUE, *arguments],
        env=environment(database, world.url) | variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        with trio.CancelScope(shield=True):
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def add_message(database: str, number: int) -> None:
    """Start a run with one message that is due, as `trioqueue campaign start` does."""
    async with Pool(partial(connect, database), size=1) as pool:
        await start_run(pool, 1, first=number)


async def until_completed(database: str) -> None:
    """Wait until no run is running: then a worker has nothing to do."""
    async with await connect(database) as connection:
        while True:
            cursor = await connection.execute(b"select count(*) from trioqueue.campaign_runs where status = 'running'")
            if await cursor.fetchone() == (0,):
                return
            await trio.sleep(LOOK_INTERVAL)
