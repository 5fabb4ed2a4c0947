"""The pool's bounds, its order, and what it refuses to lend again."""

from collections.abc import AsyncIterator
from functools import partial

import attrs
import psycopg
import pytest
import trio
import trio.testing

from tests.support.backends import PATIENCE, until, value
from trioqueue.postgres.connect import connect
from trioqueue.postgres.connection import TrioConnection
from trioqueue.postgres.errors import DatabaseUnavailable, PoolClosed
from trioqueue.postgres.pool import Pool, PoolStatistics


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """A pool of two."""
    async with Pool(partial(connect, database_url), size=2) as opened:
        yield opened


async def backend(pool: Pool) -> int:
    """The process at the server that serves the next borrower."""
    async with pool.connection() as connection:
        return int(await value(connection, "select pg_backend_pid()"))


async def test_lazy(pool: Pool) -> None:
    """Connections are opened when they are needed, and kept."""
    before = pool.statistics()
    pids = {await backend(pool) for _ in range(3)}

    assert before == PoolStatistics(size=2, in_use=0, idle=0, waiting=0, opened=0, discarded=0)
    assert pool.statistics() == attrs.evolve(before, idle=1, opened=1)
    assert len(pids) == 1


async def test_bounds(pool: Pool) -> None:
    """No more connections are lent than the pool's size, and who asks for one more waits."""
    most = 0

    async def borrow() -> None:
        nonlocal most
        async with pool.connection() as connection:
            most = max(most, pool.statistics().in_use)
            await connection.execute("select pg_sleep(0.001)")

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(borrow)
        await trio.testing.wait_all_tasks_blocked()
        waiting = pool.statistics().waiting

    assert waiting > 0
    assert most == 2
    assert pool.statistics() == PoolStatistics(size=2, in_use=0, idle=2, waiting=0, opened=2, discarded=0)


async def test_first_come_first_served(pool: Pool) -> None:
    """Tasks get their connections in the order in which they asked."""
    served = []

    async def borrow(n: int) -> None:
        async with pool.connection():
            served.append(n)

    async with trio.open_nursery() as nursery:
        async with pool.connection() as first:
            nursery.start_soon(hold_until, pool, release := trio.Event())
            await trio.testing.wait_all_tasks_blocked()
            for n in range(10):
                nursery.start_soon(borrow, n)
                await trio.testing.wait_all_tasks_blocked()
            await first.execute("select 1")
        await trio.testing.wait_all_tasks_blocked()
        release.set()

    assert served == list(range(10))


async def hold_until(pool: Pool, release: trio.Event) -> None:
    """Keep a connection until an event."""
    async with pool.connection():
        await release.wait()


async def test_newest_first(pool: Pool) -> None:
    """The connection that was given back last is lent first."""
    release = trio.Event()
    async with pool.connection() as last:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hold_until, pool, release)
            release.set()
        pid = last.info.backend_pid

    assert pool.statistics().idle == 2
    assert {await backend(pool) for _ in range(3)} == {pid}


async def test_one_connection_a_task(pool: Pool) -> None:
    """A task that has a connection cannot wait for another one, which could lock all tasks up."""
    async with pool.connection():
        with pytest.raises(RuntimeError, match="already holding"):
            async with pool.connection():
                pass


async def test_waiting_can_be_cancelled(database_url: str) -> None:
    """A task that gives up waiting leaves the others' turns alone."""
    async with Pool(partial(connect, database_url), size=1) as pool, trio.open_nursery() as nursery:
        nursery.start_soon(hold_until, pool, release := trio.Event())
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(0.01) as scope:
            async with pool.connection():
                pass
        release.set()
        with trio.fail_after(PATIENCE):
            await backend(pool)

        assert scope.cancelled_caught


async def test_lost_while_idle(pool: Pool, database_url: str) -> None:
    """Connections that the server closed while they were idle are replaced without anybody noticing."""
    pid = await backend(pool)
    async with await connect(database_url) as observer:
        await observer.execute("select pg_terminate_backend(%s)", [pid])
        await until(observer, "select not exists (select from pg_stat_activity where pid = %s)", pid)

    assert await backend(pool) != pid
    assert pool.statistics() == PoolStatistics(size=2, in_use=0, idle=1, waiting=0, opened=2, discarded=1)


async def test_lost_while_lent(pool: Pool) -> None:
    """A connection that was lost while it was lent is not lent again."""
    with pytest.raises(psycopg.errors.AdminShutdown):
        async with pool.connection() as connection:
            await connection.execute("select pg_terminate_backend(pg_backend_pid())")

    assert pool.statistics().idle == 0
    assert await backend(pool)


async def test_server_no_longer_the_primary(pool: Pool) -> None:
    """A connection that leads to a server which is read-only now is given up, though it works."""

    async def work() -> None:
        async with pool.connection() as connection:
            await connection.execute("set default_transaction_read_only = on")
            await connection.execute("create table t ()")

    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        await work()

    assert pool.statistics().idle == 0


async def test_failed_statement(pool: Pool) -> None:
    """A refused statement costs no connection."""
    with pytest.raises(psycopg.errors.UndefinedTable):
        async with pool.connection() as connection:
            await connection.execute("select * from nowhere")

    assert pool.statistics().idle == 1


async def test_left_in_a_transaction(pool: Pool, database_url: str) -> None:
    """A connection given back in a transaction is closed, and the transaction with it."""
    async with pool.connection() as connection:
        await connection.execute("begin")
        await connection.execute("create table t ()")

    assert pool.statistics().idle == 0
    async with await connect(database_url) as other:
        assert await value(other, "select to_regclass('t') is null")


async def test_cancelled(pool: Pool) -> None:
    """A connection whose borrower was cancelled in the middle of a statement is lent again."""
    pid = await backend(pool)
    with trio.move_on_after(0.01) as scope:
        async with pool.connection() as connection:
            await connection.execute("select pg_sleep(60)")

    assert scope.cancelled_caught
    assert await backend(pool) == pid


async def test_closed_by_its_borrower(pool: Pool) -> None:
    """A borrower may close a connection that it does not trust any more."""
    async with pool.connection() as connection:
        await connection.close()

    assert pool.statistics() == PoolStatistics(size=2, in_use=0, idle=0, waiting=0, opened=1, discarded=1)


async def test_old(database_url: str) -> None:
    """A connection that has reached its age is not lent again."""
    async with Pool(partial(connect, database_url), size=1, max_age=0) as pool:
        pids = [await backend(pool) for _ in range(3)]

        assert len(set(pids)) == 3
        assert pool.statistics() == PoolStatistics(size=1, in_use=0, idle=0, waiting=0, opened=3, discarded=3)


async def test_server_away(database_url: str) -> None:
    """A failed attempt to connect takes no slot away; when the server is back, connections are lent again."""
    away = True

    async def connect_or_fail() -> TrioConnection:
        if away:
            raise DatabaseUnavailable("away")
        return await connect(database_url)

    async with Pool(connect_or_fail, size=1) as pool:
        for _ in range(3):
            with pytest.raises(DatabaseUnavailable):
                await backend(pool)
        away = False

        assert await backend(pool)


async def test_closed(database_url: str) -> None:
    """Closing the pool closes idle connections now and lent ones when they come back; nothing is lent any more."""
    pool = Pool(partial(connect, database_url), size=2)
    lent: list[TrioConnection] = []

    async def borrow(release: trio.Event) -> None:
        async with pool.connection() as connection:
            lent.append(connection)
            await release.wait()
            assert await value(connection, "select 1") == 1

    async def wait_for_a_slot() -> None:
        with pytest.raises(PoolClosed):
            await backend(pool)

    async with trio.open_nursery() as nursery:
        release = trio.Event()
        nursery.start_soon(borrow, release)
        nursery.start_soon(borrow, release)
        while len(lent) < 2:
            await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(wait_for_a_slot)
        await trio.testing.wait_all_tasks_blocked()
        await pool.aclose()
        assert not any(connection.closed for connection in lent)
        release.set()

    assert all(connection.closed for connection in lent)
    with pytest.raises(PoolClosed):
        await backend(pool)
