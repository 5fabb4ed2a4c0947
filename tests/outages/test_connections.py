"""No connection to be had: all of the pool are lent, the server takes no more, or they are half-open."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import pytest
import trio

from tests.outages.scene import CONCURRENCY, MESSAGES, PATIENCE, WatchedStore, all_sent, at_work
from tests.support.backends import proxied
from tests.support.cluster import Cluster
from tests.support.database import SCHEMA, fetch, incarnation, start_run
from trioqueue.postgres import connection as connection_module
from trioqueue.postgres.connect import connect
from trioqueue.postgres.errors import DatabaseUnavailable
from trioqueue.postgres.pool import Pool
from trioqueue.postgres.roles import grant_to_worker

AT_ONCE = 0.2
"""Seconds that a call of the store may take where it cannot succeed."""

ROLE = "worker_without_connections"


@pytest.fixture
async def worker_url(pool: Pool, migrated_url: str) -> str:
    """The URL of the same database, as a role that a server may refuse: its owner is never refused."""
    async with pool.connection() as connection:
        await grant_to_worker(connection, SCHEMA, ROLE)
    return migrated_url.replace("//trioqueue@", f"//{ROLE}@")


async def refuse_connections(pool: Pool) -> None:
    """Let the server refuse all connections of the role, and end those that it has."""
    await fetch(pool, f"alter role {ROLE} connection limit 0")
    await fetch(pool, "select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", ROLE)


async def test_a_pool_that_is_used_up_is_not_waited_for_for_ever(migrated_url: str) -> None:
    """While all connections are lent, a call fails in its time as unavailable; afterwards it is served."""
    worker = incarnation()
    with trio.fail_after(PATIENCE):
        async with Pool(partial(connect, migrated_url), size=1) as pool, trio.open_nursery() as nursery:
            release = trio.Event()
            nursery.start_soon(_borrow, pool, release)
            while not pool.statistics().in_use:
                await trio.lowlevel.checkpoint()
            with pytest.raises(DatabaseUnavailable, match="did not answer within"):
                await WatchedStore(pool, AT_ONCE).beat(worker)
            release.set()

            assert (await WatchedStore(pool, PATIENCE).beat(worker)).due > 0


async def _borrow(pool: Pool, release: trio.Event) -> None:
    async with pool.connection():
        await release.wait()


@asynccontextmanager
async def full(cluster: Cluster) -> AsyncIterator[None]:
    """Take every connection that the server has, for a block."""
    async with AsyncExitStack() as taken:
        try:
            while True:
                await taken.enter_async_context(await connect(cluster.url))
        except DatabaseUnavailable:
            yield


async def test_a_full_server_is_told_as_one(cluster: Cluster, migrated_url: str) -> None:
    """A server that takes no more connections is unavailable, at once, and is asked again."""
    worker = incarnation()
    with trio.fail_after(PATIENCE):
        async with Pool(partial(connect, migrated_url), size=1) as pool:
            store = WatchedStore(pool, PATIENCE)
            async with full(cluster):
                with pytest.raises(DatabaseUnavailable, match="too many clients"):
                    await store.beat(worker)

            assert (await store.beat(worker)).due > 0


async def test_a_worker_without_connections(pool: Pool, worker_url: str) -> None:
    """A worker that has lost its connections and gets no others waits, with what it knows, and goes on by itself."""
    await start_run(pool, MESSAGES)
    async with at_work(worker_url, held=True) as scene:
        await scene.gateway.wait_offered(CONCURRENCY)
        await refuse_connections(pool)
        scene.gateway.released.set()
        await scene.store.wait_failures(3)

        assert len(scene.gateway.offered) == scene.texts_paid == CONCURRENCY
        await fetch(pool, f"alter role {ROLE} connection limit -1")
        await all_sent(pool)

    assert {type(failure) for failure in scene.store.failures} == {DatabaseUnavailable}
    assert any("too many connections" in str(failure) for failure in scene.store.failures)
    assert scene.texts_paid == MESSAGES
    assert set(scene.deliveries()) == {1}


async def test_half_open_connections(pool: Pool, migrated_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker whose connections pass nothing on any more notices it in time, connects again, and goes on."""
    monkeypatch.setattr(connection_module, "CLEANUP_SECONDS", 0.05)
    await start_run(pool, MESSAGES)
    async with proxied(migrated_url) as proxy, at_work(proxy.url, held=True, timeout=AT_ONCE) as scene:
        await scene.gateway.wait_offered(CONCURRENCY)
        proxy.silent = True
        scene.gateway.released.set()
        await scene.store.wait_failures(3)

        assert len(scene.gateway.offered) == scene.texts_paid == CONCURRENCY
        proxy.silent = False
        await all_sent(pool)

    assert {type(failure) for failure in scene.store.failures} == {DatabaseUnavailable}
    assert scene.texts_paid == MESSAGES
    assert set(scene.deliveries()) == {1}
