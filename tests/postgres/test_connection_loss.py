"""A connection that is lost says so at once, in a way that callers can tell from a wrong statement."""

from collections.abc import AsyncIterator

import psycopg
import pytest
import trio

from tests.support.backends import PATIENCE, proxied, until, until_running, value
from trioqueue.postgres.connect import connect
from trioqueue.postgres.connection import TrioConnection
from trioqueue.postgres.errors import is_away


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[TrioConnection]:
    """A connection that will be lost."""
    async with await connect(database_url) as opened:
        yield opened


@pytest.fixture
async def observer(database_url: str) -> AsyncIterator[TrioConnection]:
    """Another connection to the same database, to look on from outside."""
    async with await connect(database_url) as opened:
        yield opened


async def terminate(observer: TrioConnection, connection: TrioConnection) -> None:
    """Have the server end a connection's backend."""
    pid = connection.info.backend_pid
    await observer.execute("select pg_terminate_backend(%s)", [pid])
    await until(observer, "select not exists (select from pg_stat_activity where pid = %s)", pid)


async def test_terminated_while_idle(connection: TrioConnection, observer: TrioConnection) -> None:
    """A connection that the server closed while it was idle is seen not to be reusable, without asking the server."""
    before = connection.reusable
    await terminate(observer, connection)

    assert before
    assert not connection.reusable


async def test_used_after_it_was_terminated(connection: TrioConnection, observer: TrioConnection) -> None:
    """A statement on a lost connection fails as unavailable."""
    await terminate(observer, connection)
    with pytest.raises(psycopg.OperationalError) as caught:
        await connection.execute("select 1")

    assert is_away(caught.value)
    assert connection.closed
    assert not connection.reusable


async def test_terminated_during_a_statement(connection: TrioConnection, observer: TrioConnection) -> None:
    """A statement whose backend goes away fails as unavailable."""

    async def work() -> None:
        with pytest.raises(psycopg.errors.AdminShutdown) as caught:
            await connection.execute("select pg_sleep(60)")
        failures.append(caught.value)

    failures: list[psycopg.Error] = []
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
            await until_running(observer, connection, "pg_sleep")
            await terminate(observer, connection)

    assert [is_away(failure) for failure in failures] == [True]
    assert connection.closed


async def test_terminated_in_a_transaction(connection: TrioConnection, observer: TrioConnection) -> None:
    """A transaction whose backend goes away ends with the error, and not with one about its end."""

    async def work() -> None:
        async with connection.transaction():
            await connection.execute("select 1")
            await terminate(observer, connection)
            await connection.execute("select 2")

    with pytest.raises(psycopg.OperationalError) as caught:
        await work()

    assert is_away(caught.value)
    assert connection.closed


async def test_terminated_in_a_pipeline(connection: TrioConnection, observer: TrioConnection) -> None:
    """The same in a pipeline."""

    async def work() -> None:
        async with connection.pipeline():
            await connection.execute("select 1")
            await terminate(observer, connection)

    with pytest.raises(psycopg.OperationalError) as caught:
        await work()

    assert is_away(caught.value)
    assert connection.closed


async def test_terminated_and_cancelled(connection: TrioConnection, observer: TrioConnection) -> None:
    """A scope that is cancelled when the connection is lost already ends as cancelled."""
    with trio.fail_after(PATIENCE), trio.CancelScope() as scope:
        async with connection.transaction():
            await connection.execute("select 1")
            await terminate(observer, connection)
            scope.cancel()
            await connection.execute("select 2")

    assert scope.cancelled_caught
    assert not connection.reusable


async def test_closed_by_another_task(connection: TrioConnection, observer: TrioConnection) -> None:
    """Closing a connection wakes the task that waits on it."""
    with pytest.RaisesGroup(psycopg.OperationalError), trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.execute, "select pg_sleep(1)")
            await until_running(observer, connection, "pg_sleep")
            await connection.close()

    assert connection.closed


async def test_idle_in_transaction_for_too_long(database_url: str) -> None:
    """A transaction that the server ended because it sat idle counts as a lost connection."""

    async def work(connection: TrioConnection) -> None:
        async with connection.transaction():
            await connection.execute("select 1")
            await trio.lowlevel.wait_readable(connection.fileno())
            await connection.execute("select 1")

    async with await connect(database_url, idle_in_transaction_timeout=0.001) as connection:
        with pytest.raises(psycopg.Error) as caught:
            await work(connection)

    assert is_away(caught.value)
    assert connection.closed


async def test_connection_cut(database_url: str) -> None:
    """A connection that breaks between client and server fails as unavailable."""
    async with trio.open_nursery() as nursery:
        async with proxied(database_url) as proxy:
            connection = await connect(proxy.url)
            answer = await value(connection, "select 1")
        with pytest.raises(psycopg.OperationalError) as caught:
            await connection.execute("select 1")
        nursery.cancel_scope.cancel()
    await connection.close()

    assert answer == 1
    assert is_away(caught.value)


async def test_unread_message(connection: TrioConnection, observer: TrioConnection) -> None:
    """A connection with something unread is not reusable, whatever it is."""
    await connection.execute("listen due")
    before = connection.reusable
    await observer.execute("notify due")
    await trio.lowlevel.wait_readable(connection.fileno())

    assert before
    assert not connection.reusable


async def test_open_transaction(connection: TrioConnection) -> None:
    """A connection left in a transaction, failed or not, is not reusable."""
    await connection.execute("begin")
    open_one = connection.reusable
    with pytest.raises(psycopg.errors.DivisionByZero):
        await connection.execute("select 1/0")

    assert not open_one
    assert not connection.reusable
