"""A disk without room.

The files of two tables are replaced by links to /dev/full, on which the kernel answers each write with ENOSPC. So the
server meets a real error in its own code for it, on any Linux and without rights: a small file system would need
somebody who may mount one, RLIMIT_FSIZE is met as "file too large", an internal error, and temp_file_limit limits what
no worker writes. The other tables have room in their pages, as on a real full disk: claims and heartbeats go on.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.outages.scene import CONCURRENCY, MESSAGES, Scene, all_sent, at_work
from tests.support.database import SCHEMA, fetch, fetch_value, start_run
from trioqueue.postgres.errors import DatabaseUnavailable
from trioqueue.postgres.pool import Pool

FULL = Path("/dev/full")


@asynccontextmanager
async def no_room_for(pool: Pool, *tables: str) -> AsyncIterator[Callable[[], None]]:
    """Empty tables and let them not grow, until what is yielded is called; nobody else may use them before."""
    await fetch(pool, f"truncate {', '.join(tables)}")
    folder = Path(await fetch_value(pool, "show data_directory"))
    query = "select pg_relation_filepath(%s::regclass)"
    files = [folder / await fetch_value(pool, query, f"{SCHEMA}.{table}") for table in tables]
    for file in files:
        file.rename(file.with_suffix(".aside"))
        file.symlink_to(FULL)

    def make_room() -> None:
        for file in files:
            if file.is_symlink():
                file.with_suffix(".aside").replace(file)

    yield make_room
    make_room()


def assert_nothing_in_vain(scene: Scene) -> None:
    """Nothing was claimed or paid for beyond what was in flight, and every commit failed for want of room."""
    assert {type(failure) for failure in scene.store.failures} == {DatabaseUnavailable}
    assert all("53100" in str(failure) and "make room" in str(failure) for failure in scene.store.failures)
    assert scene.texts_paid <= CONCURRENCY
    assert scene.daemon.tally.claimed <= CONCURRENCY
    assert scene.gateway.offered == []


@pytest.mark.parametrize("table", ["campaign_logs", "campaign_message_parts"])
async def test_a_full_disk_is_waited_for(pool: Pool, migrated_url: str, table: str) -> None:
    """While nothing can be stored no more is paid for than was in flight, and nothing sent; then all is sent, once."""
    await start_run(pool, MESSAGES)
    async with no_room_for(pool, table) as make_room, at_work(migrated_url) as scene:
        await scene.store.wait_failures(3)
        assert_nothing_in_vain(scene)
        make_room()
        await all_sent(pool)

    told = [entry["event"] for entry in scene.logs if entry["log_level"] != "info"]
    assert scene.texts_paid == MESSAGES
    assert set(scene.deliveries()) == {1}
    assert len(told) == 1
