"""A server that has become read-only under its clients, as the old primary is after a fail-over."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from tests.outages.scene import CONCURRENCY, MESSAGES, all_sent, at_work
from tests.support.database import start_run
from trioqueue.postgres.connect import connect
from trioqueue.postgres.connection import TrioConnection
from trioqueue.postgres.errors import DatabaseUnavailable
from trioqueue.postgres.pool import Pool


@asynccontextmanager
async def read_only(url: str) -> AsyncIterator[None]:
    """Let every session of the server be read-only for a block, those that are open as well."""
    async with await connect(url) as observer:
        await _make_read_only(observer, "on")
        try:
            yield
        finally:
            await _make_read_only(observer, "off")


async def _make_read_only(observer: TrioConnection, value: str) -> None:
    await observer.execute(f"alter system set default_transaction_read_only = {value}".encode())
    await observer.execute("select pg_reload_conf()")
    while await _shown(observer) != value:
        await trio.lowlevel.checkpoint()


async def _shown(observer: TrioConnection) -> str:
    [row] = await (await observer.execute("show default_transaction_read_only")).fetchall()
    return str(row[0])


async def test_a_fail_over_fails_no_message(pool: Pool, migrated_url: str) -> None:
    """What is in flight when the server becomes read-only waits, on new connections, and is sent once it is over."""
    await start_run(pool, MESSAGES)
    async with at_work(migrated_url, held=True) as scene:
        await scene.gateway.wait_offered(CONCURRENCY)
        opened = scene.pool.statistics().opened
        async with read_only(migrated_url):
            scene.gateway.released.set()
            await scene.store.wait_failures(3)
            renewed = scene.pool.statistics().opened - opened

            assert len(scene.gateway.offered) == scene.texts_paid == CONCURRENCY
        await all_sent(pool)

    assert all("25006" in str(failure) for failure in scene.store.failures)
    assert {type(failure) for failure in scene.store.failures} == {DatabaseUnavailable}
    assert renewed >= 2
    assert scene.texts_paid == MESSAGES
    assert set(scene.deliveries()) == {1}


async def test_a_worker_does_not_start_on_a_standby(pool: Pool, migrated_url: str) -> None:
    """A worker whose address leads to a read-only server says so at its start, with what to do, and claims nothing."""
    await start_run(pool, 1)
    async with read_only(migrated_url):
        with pytest.RaisesGroup(pytest.RaisesExc(DatabaseUnavailable, match="if the primary has moved")):
            async with at_work(migrated_url):
                await trio.sleep_forever()
