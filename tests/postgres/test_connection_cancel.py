"""A cancelled scope stops its statement at the server and leaves the connection as usable as before."""

import signal
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import structlog.testing
import trio
import trio.testing
from psycopg._capabilities import capabilities
from psycopg.pq import PipelineStatus

from tests.support.backends import PATIENCE, is_busy, proxied, stream, until_locked, until_running, value
from trioqueue.postgres import connection as connection_module
from trioqueue.postgres.connect import connect
from trioqueue.postgres.connection import TrioConnection


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[TrioConnection]:
    """A connection to a database with a table `numbers`."""
    async with await connect(database_url) as opened:
        await opened.execute("create table numbers (n integer primary key, word text)")
        yield opened


@pytest.fixture
async def observer(database_url: str) -> AsyncIterator[TrioConnection]:
    """Another connection to the same database, to look on from outside."""
    async with await connect(database_url) as opened:
        yield opened


async def cancelled(work: Callable[[], Awaitable[object]], started: Callable[[], Awaitable[object]]) -> None:
    """Begin some work and cancel it when it has started."""
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
            await started()
            nursery.cancel_scope.cancel()


async def assert_as_before(connection: TrioConnection, observer: TrioConnection) -> None:
    """The backend does nothing any more, and the connection answers to what it is asked next."""
    assert not await is_busy(observer, connection)
    assert connection.reusable
    for n in range(10):
        assert await value(connection, "select %s::int", n) == n
    async with connection.transaction():
        assert await value(connection, "select 1") == 1
    assert connection.reusable


async def test_during_a_statement(connection: TrioConnection, observer: TrioConnection) -> None:
    """The statement is cancelled at the server; the connection goes on."""
    await cancelled(
        lambda: connection.execute("select pg_sleep(60)"), lambda: until_running(observer, connection, "pg_sleep")
    )

    await assert_as_before(connection, observer)


async def test_deadline(connection: TrioConnection, observer: TrioConnection) -> None:
    """A deadline does the same as any cancellation."""
    with trio.move_on_after(0.02) as scope:
        await connection.execute("select pg_sleep(60)")

    assert scope.cancelled_caught
    await assert_as_before(connection, observer)


async def test_before_a_statement(connection: TrioConnection) -> None:
    """In a scope that is cancelled already nothing is sent at all."""
    with trio.CancelScope() as scope:
        scope.cancel()
        await connection.execute("insert into numbers values (1)")

    assert scope.cancelled_caught
    assert await value(connection, "select count(*) from numbers") == 0


@pytest.mark.parametrize(
    "statement",
    [
        "select pg_sleep(60)",
        "copy numbers from stdin",
        "copy (select generate_series(1, 1000000000)) to stdout",
        "insert into numbers values (1); select pg_sleep(60)",
    ],
)
async def test_right_after_sending(connection: TrioConnection, observer: TrioConnection, statement: str) -> None:
    """A cancel request that overtakes its statement is repeated, and a COPY that has only begun is ended."""

    async def work() -> None:
        async with connection.cursor() as cursor:
            if statement.startswith("copy"):
                async with cursor.copy(statement.encode()):
                    await trio.sleep_forever()
            await cursor.execute(statement.encode())

    for _ in range(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

        assert not await is_busy(observer, connection)
    assert await value(observer, "select count(*) from numbers") == 0
    await assert_as_before(connection, observer)


async def test_while_waiting_for_a_lock(
    connection: TrioConnection, observer: TrioConnection, database_url: str
) -> None:
    """A statement that waits for a row's lock is taken out of the queue for it."""
    await observer.execute("insert into numbers values (1)")
    async with await connect(database_url) as holder, holder.transaction():
        await holder.execute("select from numbers for update")
        await cancelled(
            lambda: connection.execute("update numbers set word = 'late'"), lambda: until_locked(observer, connection)
        )

        assert not await is_busy(observer, connection)
    assert await value(observer, "select word from numbers") is None
    await assert_as_before(connection, observer)


async def test_in_a_transaction(connection: TrioConnection, observer: TrioConnection) -> None:
    """The transaction around a cancelled statement is rolled back, with its savepoints, and lets its locks go."""

    async def work() -> None:
        async with connection.transaction():
            await connection.execute("insert into numbers values (1)")
            async with connection.transaction():
                await connection.execute("insert into numbers values (2)")
                await connection.execute("select pg_sleep(60)")

    await cancelled(work, lambda: until_running(observer, connection, "pg_sleep"))

    assert await value(observer, "select count(*) from numbers") == 0
    await observer.execute("insert into numbers values (1)")
    await assert_as_before(connection, observer)


async def test_between_the_statements_of_a_transaction(connection: TrioConnection, observer: TrioConnection) -> None:
    """A transaction whose block is cancelled while nothing runs is rolled back too."""
    reached = trio.Event()

    async def work() -> None:
        async with connection.transaction():
            await connection.execute("insert into numbers values (1)")
            reached.set()
            await trio.sleep_forever()

    await cancelled(work, reached.wait)

    assert await value(observer, "select count(*) from numbers") == 0
    await assert_as_before(connection, observer)


async def test_at_the_end_of_a_transaction(connection: TrioConnection, observer: TrioConnection) -> None:
    """A transaction that has come to its end is committed, though its scope was cancelled meanwhile."""
    with trio.CancelScope() as scope:
        async with connection.transaction():
            await connection.execute("insert into numbers values (1)")
            scope.cancel()

    assert await value(observer, "select count(*) from numbers") == 1
    await assert_as_before(connection, observer)


async def test_commit_under_way(connection: TrioConnection, observer: TrioConnection) -> None:
    """A commit that takes its time is not cancelled: its outcome would be unknown."""
    await observer.execute(
        "create function slow() returns trigger language plpgsql as 'begin perform pg_sleep(0.1); return null; end'"
    )
    await observer.execute(
        "create constraint trigger slow after insert on numbers deferrable initially deferred "
        "for each row execute function slow()"
    )

    async def in_a_block() -> None:
        async with connection.transaction():
            await connection.execute("insert into numbers values (1)")

    async def explicitly() -> None:
        await connection.execute("begin")
        await connection.execute("insert into numbers values (2)")
        await connection.commit()

    for work in (in_a_block, explicitly):
        await cancelled(work, lambda: until_running(observer, connection, "COMMIT"))

    assert await value(observer, "select array_agg(n) from numbers") == [1, 2]
    await assert_as_before(connection, observer)


async def test_before_a_transaction(connection: TrioConnection, observer: TrioConnection) -> None:
    """In a scope that is cancelled already no transaction is begun."""
    with trio.CancelScope() as scope:
        scope.cancel()
        async with connection.transaction():
            raise AssertionError

    assert scope.cancelled_caught
    await assert_as_before(connection, observer)


async def test_in_a_pipeline(connection: TrioConnection, observer: TrioConnection) -> None:
    """A pipeline is cancelled at the statement that runs; those after it never happen."""

    async def work() -> None:
        async with connection.pipeline():
            await connection.execute("insert into numbers values (1)")
            cursor = await connection.execute("select pg_sleep(60)")
            await connection.execute("insert into numbers values (2)")
            await cursor.fetchall()

    await cancelled(work, lambda: until_running(observer, connection, "pg_sleep"))

    assert await value(observer, "select count(*) from numbers") == 0
    await assert_as_before(connection, observer)


async def test_at_the_end_of_a_pipeline(connection: TrioConnection, observer: TrioConnection) -> None:
    """A pipeline that waits for its last answers is cancelled as well."""

    async def work() -> None:
        async with connection.pipeline():
            await connection.execute("select pg_sleep(60)")

    await cancelled(work, lambda: until_running(observer, connection, "pg_sleep"))

    await assert_as_before(connection, observer)


async def test_on_the_way_into_a_nested_pipeline(connection: TrioConnection, observer: TrioConnection) -> None:
    """A pipeline that waits for the answers of the one around it is not entered when it is cancelled."""

    async def work() -> None:
        async with connection.pipeline():
            await connection.execute("select pg_sleep(60)")
            async with connection.pipeline():
                raise AssertionError

    await cancelled(work, lambda: until_running(observer, connection, "pg_sleep"))

    assert connection.pgconn.pipeline_status == PipelineStatus.OFF
    await assert_as_before(connection, observer)


async def test_between_the_statements_of_a_pipeline(connection: TrioConnection, observer: TrioConnection) -> None:
    """A statement that comes after the cancellation is not added to the pipeline."""
    with trio.CancelScope() as scope:
        async with connection.pipeline():
            await connection.execute("select 1")
            scope.cancel()
            await connection.execute("insert into numbers values (1)")

    assert scope.cancelled_caught
    assert await value(observer, "select count(*) from numbers") == 0
    await assert_as_before(connection, observer)


async def test_in_a_pipelined_transaction(connection: TrioConnection, observer: TrioConnection) -> None:
    """A pipeline in a transaction, and a transaction in a pipeline, are both rolled back."""

    async def pipeline_inside() -> None:
        async with connection.transaction(), connection.pipeline():
            await connection.execute("insert into numbers values (1)")
            await connection.execute("select pg_sleep(60)")

    async def pipeline_outside() -> None:
        async with connection.pipeline(), connection.transaction():
            await connection.execute("insert into numbers values (1)")
            await connection.execute("select pg_sleep(60)")

    for work in (pipeline_inside, pipeline_outside):
        await cancelled(work, lambda: until_running(observer, connection, "pg_sleep"))

        assert await value(observer, "select count(*) from numbers") == 0
        await assert_as_before(connection, observer)


async def test_in_executemany(connection: TrioConnection, observer: TrioConnection) -> None:
    """Of a cancelled executemany nothing remains."""

    async def work() -> None:
        async with connection.cursor() as cursor:
            await cursor.executemany("insert into numbers select %s from pg_sleep(0.05)", [(n,) for n in range(1_000)])

    await cancelled(work, lambda: until_running(observer, connection, "pg_sleep"))

    assert await value(observer, "select count(*) from numbers") == 0
    await assert_as_before(connection, observer)


async def test_in_executemany_before_anything_was_sent(
    connection: TrioConnection, observer: TrioConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cancellation that comes when the first execution is queued but not sent does not let it go out alone."""
    monkeypatch.setattr(connection_module, "BUSY_SECONDS", 0)  # lets others run at every step
    for n in range(40):
        async with connection.cursor() as cursor, trio.open_nursery() as nursery:
            nursery.start_soon(cursor.executemany, "insert into numbers values (%s)", [(n,), (n + 100,)])
            for _ in range(n % 4):
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()

        assert await value(observer, "select count(*) %% 2 from numbers") == 0
    await assert_as_before(connection, observer)


async def test_in_copy_in(connection: TrioConnection, observer: TrioConnection) -> None:
    """A cancelled COPY into a table leaves nothing in it."""

    async def work() -> None:
        async with connection.cursor() as cursor, cursor.copy("copy numbers from stdin") as copy:
            n = 0
            while True:
                await copy.write_row((n, "word"))
                n += 1

    await cancelled(work, lambda: until_running(observer, connection, "copy numbers"))

    assert await value(observer, "select count(*) from numbers") == 0
    await assert_as_before(connection, observer)


async def test_between_the_rows_of_copy_in(connection: TrioConnection, observer: TrioConnection) -> None:
    """The same when the block waits for something else, and the server for the next row."""
    reached = trio.Event()

    async def work() -> None:
        async with connection.cursor() as cursor, cursor.copy("copy numbers from stdin") as copy:
            await copy.write_row((1, "word"))
            reached.set()
            await trio.sleep_forever()

    await cancelled(work, reached.wait)

    assert await value(observer, "select count(*) from numbers") == 0
    await assert_as_before(connection, observer)


async def test_in_copy_out(connection: TrioConnection, observer: TrioConnection) -> None:
    """A cancelled COPY out of a table stops, whether its reader waits for a row or for something else."""
    endless = "copy (select generate_series(1, 1000000000)) to stdout"

    async def reading() -> None:
        async with connection.cursor() as cursor, cursor.copy(endless) as copy:
            while await copy.read():
                reached.set()

    async def elsewhere() -> None:
        async with connection.cursor() as cursor, cursor.copy(endless) as copy:
            await copy.read()
            reached.set()
            await trio.sleep_forever()

    for work in (reading, elsewhere):
        reached = trio.Event()
        await cancelled(work, reached.wait)

        await assert_as_before(connection, observer)


async def test_in_a_stream(connection: TrioConnection, observer: TrioConnection) -> None:
    """A cancelled stream stops, whether its reader waits for a row or for something else."""
    endless = "select generate_series(1, 1000000000)"

    async def reading() -> None:
        async with connection.cursor() as cursor, stream(cursor, endless) as rows:
            async for _ in rows:
                reached.set()

    async def elsewhere() -> None:
        async with connection.cursor() as cursor, stream(cursor, endless) as rows:
            async for _ in rows:
                reached.set()
                await trio.sleep_forever()

    for work in (reading, elsewhere):
        reached = trio.Event()
        await cancelled(work, reached.wait)

        await assert_as_before(connection, observer)


async def test_in_a_server_side_cursor(connection: TrioConnection, observer: TrioConnection) -> None:
    """A cancelled server-side cursor is closed, one that outlives its transaction too."""

    async def work() -> None:
        async with connection.cursor("held", withhold=True) as cursor:
            await cursor.execute("select 1")
            await connection.execute("select pg_sleep(60)")

    await cancelled(work, lambda: until_running(observer, connection, "pg_sleep"))

    assert await value(connection, "select count(*) from pg_cursors") == 0
    await assert_as_before(connection, observer)


async def test_explicit_rollback(database_url: str) -> None:
    """A rollback on the way out of a cancelled scope is carried out."""
    async with await TrioConnection.connect(database_url) as connection:
        with trio.CancelScope() as scope:
            try:
                await connection.execute("create table numbers ()")
                scope.cancel()
                await connection.execute("select 1")
            finally:
                await connection.rollback()

        assert scope.cancelled_caught
        assert connection.reusable
        assert await value(connection, "select to_regclass('numbers') is null")


async def test_own_block(database_url: str) -> None:
    """A connection whose own block is cancelled in a transaction is closed, and nothing is kept."""
    with trio.CancelScope() as scope:
        async with await TrioConnection.connect(database_url) as connection:
            await connection.execute("create table numbers ()")
            scope.cancel()
            await connection.execute("select 1")

    assert connection.closed
    async with await connect(database_url) as other:
        assert await value(other, "select to_regclass('numbers') is null")


async def test_at_the_end_of_its_own_block(database_url: str) -> None:
    """A connection whose own block ends in a cancelled scope is closed without committing."""
    with trio.CancelScope() as scope:
        async with await TrioConnection.connect(database_url) as connection:
            await connection.execute("create table numbers ()")
            scope.cancel()

    assert scope.cancelled_caught
    assert connection.closed
    async with await connect(database_url) as other:
        assert await value(other, "select to_regclass('numbers') is null")


async def test_waiting_for_a_turn(connection: TrioConnection, observer: TrioConnection) -> None:
    """A task cancelled while another one uses the connection leaves that one's statement alone."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.execute, "insert into numbers select 1 from pg_sleep(0.1)")
        await until_running(observer, connection, "pg_sleep")
        with trio.move_on_after(0.01) as scope:
            await connection.execute("insert into numbers values (2)")

    assert scope.cancelled_caught
    assert await value(observer, "select array_agg(n) from numbers") == [1]
    await assert_as_before(connection, observer)


async def test_silent_server(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the server answers neither statement nor cancel request, the connection is closed after a bounded time."""
    monkeypatch.setattr(connection_module, "CLEANUP_SECONDS", 0.05)
    async with proxied(database_url) as proxy, await connect(proxy.url) as connection:
        proxy.silent = True
        with trio.fail_after(PATIENCE), structlog.testing.capture_logs() as logs, trio.move_on_after(0.01):
            await connection.execute("select 1")

        assert connection.closed
        assert [entry["log_level"] for entry in logs] == ["warning"]


async def test_silent_server_in_a_transaction(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the server does not answer to the end of a transaction, the connection is closed after a bounded time."""
    monkeypatch.setattr(connection_module, "CLEANUP_SECONDS", 0.05)
    async with proxied(database_url) as proxy, await connect(proxy.url) as connection:
        with trio.fail_after(PATIENCE), trio.CancelScope() as scope:
            async with connection.transaction():
                await connection.execute("select 1")
                proxy.silent = True
                scope.cancel()

        assert scope.cancelled_caught
        assert connection.closed


async def test_silent_server_at_the_end_of_a_cursor(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server-side cursor counts as closed, also when the server did not answer to that."""
    monkeypatch.setattr(connection_module, "CLEANUP_SECONDS", 0.05)
    async with proxied(database_url) as proxy, await connect(proxy.url) as connection:
        with trio.fail_after(PATIENCE), trio.CancelScope() as scope:
            async with connection.cursor("held", withhold=True) as cursor:
                await cursor.execute("select 1")
                proxy.silent = True
                scope.cancel()

        assert connection.closed
        assert cursor.closed


async def test_without_a_safe_cancel(
    connection: TrioConnection, observer: TrioConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a libpq older than 17 the cancel request is sent from a thread, to the same effect."""
    monkeypatch.setattr(capabilities, "has_cancel_safe", lambda: False)
    await cancelled(
        lambda: connection.execute("select pg_sleep(60)"), lambda: until_running(observer, connection, "pg_sleep")
    )

    await assert_as_before(connection, observer)


def test_keyboard_interrupt(database_url: str) -> None:
    """Control-C during a statement stops it at the server like a cancellation."""

    @trio.lowlevel.enable_ki_protection  # so that the task of main() is interrupted and not this one
    async def interrupt(observer: TrioConnection, connection: TrioConnection) -> None:
        await until_running(observer, connection, "pg_sleep")
        signal.raise_signal(signal.SIGINT)

    async def main() -> None:
        async with await connect(database_url) as observer, await connect(database_url) as connection:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(interrupt, observer, connection)
                with pytest.raises(KeyboardInterrupt):
                    await connection.execute("select pg_sleep(60)")
            await assert_as_before(connection, observer)

    # A shell's background jobs ignore the signal, and so does what they start.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        trio.run(main)
    finally:
        signal.signal(signal.SIGINT, handler)
