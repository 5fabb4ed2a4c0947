"""What psycopg promises of a connection also holds when trio drives it."""

from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
import trio
from psycopg import Notify, Rollback
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier

from tests.support.backends import PATIENCE, stream, value
from trioqueue.postgres import connection as connection_module
from trioqueue.postgres.connect import connect
from trioqueue.postgres.connection import TrioConnection


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[TrioConnection]:
    """A connection to a database with a table `numbers`."""
    async with await connect(database_url) as opened:
        await opened.execute("create table numbers (n integer primary key, word text)")
        yield opened


async def words(connection: TrioConnection) -> list[tuple[object, ...]]:
    """The rows of `numbers`."""
    return await (await connection.execute("select n, word from numbers order by n")).fetchall()


async def test_query_with_parameters(connection: TrioConnection) -> None:
    """Parameters are bound, whatever they contain."""
    hostile = "'; drop table numbers; --"
    cursor = await connection.execute("select %s::text, %s::int", [hostile, 7])

    assert await cursor.fetchone() == (hostile, 7)


async def test_each_statement_commits(connection: TrioConnection, database_url: str) -> None:
    """Without a transaction block every statement is committed at once."""
    await connection.execute("insert into numbers values (1, 'one')")

    async with await connect(database_url) as other:
        assert await words(other) == [(1, "one")]


async def test_failed_statement(connection: TrioConnection) -> None:
    """A refused statement leaves the connection usable."""
    with pytest.raises(psycopg.errors.UndefinedTable):
        await connection.execute("select * from nowhere")

    assert await value(connection, "select 1") == 1
    assert connection.reusable


async def test_row_factory(connection: TrioConnection) -> None:
    """A cursor makes rows in the shape that it was asked for."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute("select 1 as n, 'one' as word")

        assert await cursor.fetchall() == [{"n": 1, "word": "one"}]


async def test_large_answer(connection: TrioConnection) -> None:
    """An answer of many megabytes arrives whole."""
    cursor = await connection.execute("select repeat('x', 1000) from generate_series(1, 20000)")

    assert sum(len(row[0]) for row in await cursor.fetchall()) == 20_000_000


async def test_executemany(connection: TrioConnection) -> None:
    """One statement is executed for each set of parameters, and the affected rows are added up."""
    async with connection.cursor() as cursor:
        await cursor.executemany("insert into numbers values (%s, %s)", [(n, str(n)) for n in range(1000)])

        assert cursor.rowcount == 1000
    assert await value(connection, "select sum(n) from numbers") == 499_500


async def test_executemany_returning(connection: TrioConnection) -> None:
    """The rows that each execution returned can be read one after the other."""
    async with connection.cursor() as cursor:
        await cursor.executemany("insert into numbers values (%s) returning n * 2", [(1,), (2,)], returning=True)
        doubled = [await result.fetchone() async for result in cursor.results()]

    assert doubled == [(2,), (4,)]


async def test_executemany_is_all_or_nothing(connection: TrioConnection) -> None:
    """When one of the executions fails, none has happened."""
    async with connection.cursor() as cursor:
        with pytest.raises(psycopg.errors.UniqueViolation):
            await cursor.executemany("insert into numbers values (%s)", [(1,), (2,), (1,)])

    assert await words(connection) == []
    assert connection.reusable


async def test_pipeline(connection: TrioConnection) -> None:
    """Statements in a pipeline are answered in their order."""
    async with connection.pipeline():
        cursors = [await connection.execute("select %s::int", [n]) for n in range(100)]
        answers = [(await cursor.fetchall())[0][0] for cursor in cursors]

    assert answers == list(range(100))
    assert connection.reusable


async def test_pipeline_larger_than_the_buffers(connection: TrioConnection) -> None:
    """A pipeline whose questions and answers both fill the sockets' buffers does not lock up."""
    big = "x" * 100_000
    with trio.fail_after(PATIENCE):
        async with connection.pipeline():
            cursors = [await connection.execute("select %s::text", [big]) for _ in range(200)]
        lengths = {len((await cursor.fetchall())[0][0]) for cursor in cursors}

    assert lengths == {100_000}


async def test_failed_pipeline(connection: TrioConnection) -> None:
    """A failed statement takes the rest of its pipeline with it, and the connection stays usable."""

    async def insert(*numbers: int) -> None:
        async with connection.pipeline():
            for n in numbers:
                await connection.execute("insert into numbers values (%s)", [n])

    with pytest.raises(psycopg.errors.UniqueViolation):
        await insert(1, 2, 1, 3)

    assert await words(connection) == []
    assert connection.reusable


async def test_nested_pipelines(connection: TrioConnection) -> None:
    """A pipeline within a pipeline is the same one, synchronised."""
    async with connection.pipeline():
        await connection.execute("insert into numbers values (1)")
        async with connection.pipeline():
            await connection.execute("insert into numbers values (2)")

    assert len(await words(connection)) == 2


async def test_transaction(connection: TrioConnection, database_url: str) -> None:
    """Others see what was written in a transaction when it has ended, and not before."""
    async with await connect(database_url) as other:
        async with connection.transaction():
            await connection.execute("insert into numbers values (1, 'one')")
            before = await words(other)

        assert before == []
        assert await words(other) == [(1, "one")]


async def test_transaction_rolled_back(connection: TrioConnection) -> None:
    """An exception that leaves a transaction undoes it and passes on."""

    async def fail() -> None:
        async with connection.transaction():
            await connection.execute("insert into numbers values (1)")
            raise LookupError

    with pytest.raises(LookupError):
        await fail()

    assert await words(connection) == []
    assert connection.reusable


async def test_savepoints(connection: TrioConnection) -> None:
    """A transaction within a transaction is undone alone."""

    def undo() -> None:
        raise Rollback

    async with connection.transaction():
        await connection.execute("insert into numbers values (1, 'outer')")
        async with connection.transaction():
            await connection.execute("insert into numbers values (2, 'inner')")
            undo()
        with pytest.raises(psycopg.errors.UniqueViolation):
            async with connection.transaction("named"):
                await connection.execute("insert into numbers values (1)")
        async with connection.transaction(force_rollback=True):
            await connection.execute("insert into numbers values (3, 'tried')")
        await connection.execute("insert into numbers values (4, 'after')")

    assert await words(connection) == [(1, "outer"), (4, "after")]


async def test_transaction_in_a_pipeline(connection: TrioConnection) -> None:
    """Transactions and pipelines nest either way."""
    async with connection.pipeline(), connection.transaction():
        await connection.execute("insert into numbers values (1)")
    async with connection.transaction(), connection.pipeline():
        await connection.execute("insert into numbers values (2)")

    assert len(await words(connection)) == 2
    assert connection.reusable


async def test_copy_in(connection: TrioConnection) -> None:
    """Rows go in by COPY, with every character that its text format escapes."""
    rows = [(n, f"line\n{n}\ttab \\ back {None!r}") for n in range(5000)]
    async with connection.cursor() as cursor, cursor.copy("copy numbers from stdin") as copy:
        for row in rows:
            await copy.write_row(row)

    assert await words(connection) == rows


async def test_copy_out(connection: TrioConnection) -> None:
    """Rows come out by COPY, in binary format too."""
    await connection.execute("insert into numbers select n, repeat('x', n) from generate_series(1, 2000) n")
    query = "copy (select n, word from numbers order by n) to stdout (format binary)"
    async with connection.cursor() as cursor, cursor.copy(query) as copy:
        copy.set_types(["int4", "text"])
        rows = [row async for row in copy.rows()]

    assert rows == [(n, "x" * n) for n in range(1, 2001)]
    assert connection.reusable


async def test_copy_given_up_by_its_writer(connection: TrioConnection) -> None:
    """An exception in the middle of a COPY undoes it and passes on."""

    async def fail() -> None:
        async with connection.cursor() as cursor, cursor.copy("copy numbers from stdin") as copy:
            await copy.write_row((1, "one"))
            raise LookupError

    with pytest.raises(LookupError):
        await fail()

    assert await words(connection) == []
    assert connection.reusable


async def test_copy_left_by_its_reader(connection: TrioConnection) -> None:
    """A reader who leaves a long COPY early stops it at the server."""
    endless = "copy (select generate_series(1, 100000000)) to stdout"

    async def fail() -> None:
        async with connection.cursor() as cursor, cursor.copy(endless) as copy:
            await copy.read_row()
            raise LookupError

    with pytest.raises(LookupError):
        await fail()

    assert connection.reusable


async def test_server_side_cursor(connection: TrioConnection) -> None:
    """A server-side cursor fetches page by page and can be moved."""
    async with connection.transaction(), connection.cursor("pages", scrollable=True) as cursor:
        cursor.itersize = 10
        await cursor.execute("select generate_series(0, 99)")
        everything = [row[0] async for row in cursor]
        await cursor.scroll(50, "absolute")
        moved = await cursor.fetchone()

    assert everything == list(range(100))
    assert moved == (50,)


async def test_stream(connection: TrioConnection) -> None:
    """A stream yields row by row."""
    async with connection.cursor() as cursor, stream(cursor, "select generate_series(1, %s)", 1000) as rows:
        numbers = [row[0] async for row in rows]

    assert numbers == list(range(1, 1001))


async def test_stream_left_early(connection: TrioConnection) -> None:
    """A reader who leaves a long stream early stops it at the server, and the connection stays usable."""
    endless = "select generate_series(1, 100000000)"
    async with connection.cursor() as cursor, stream(cursor, endless) as rows:
        async for row in rows:
            if row[0] == 10:
                break

    assert connection.reusable
    assert await value(connection, "select 1") == 1


async def test_connection_in_use_by_its_own_task(connection: TrioConnection) -> None:
    """A statement in the middle of a stream of the same connection is refused instead of waiting for itself."""
    async with connection.cursor() as cursor, stream(cursor, "select generate_series(1, 3)") as rows:
        await anext(rows)
        with pytest.raises(RuntimeError, match="stream"):
            await connection.execute("select 1")

    assert connection.reusable


async def test_statements_of_two_tasks(connection: TrioConnection) -> None:
    """Tasks that share a connection take turns, a statement each."""
    answers = []

    async def ask(n: int) -> None:
        answers.append(await value(connection, "select %s::int from pg_sleep(0.001)", n))

    async with trio.open_nursery() as nursery:
        for n in range(20):
            nursery.start_soon(ask, n)

    assert sorted(answers) == list(range(20))


async def test_notification(connection: TrioConnection, database_url: str) -> None:
    """A waiting connection hears of a notification at once, with channel and payload."""
    heard: list[Notify] = []
    connection.add_notify_handler(heard.append)
    await connection.execute(SQL("listen {}").format(Identifier("Due Messages")))
    async with await connect(database_url) as other, trio.open_nursery() as nursery:
        nursery.start_soon(connection.wait_notified)
        await other.execute("select pg_notify('Due Messages', 'ação')")

    assert [(notice.channel, notice.payload) for notice in heard] == [("Due Messages", "ação")]


async def test_notification_during_a_statement(connection: TrioConnection) -> None:
    """A notification that comes along with the answer to a statement reaches the handlers."""
    heard: list[Notify] = []
    connection.add_notify_handler(heard.append)
    await connection.execute("listen due")
    await connection.execute("notify due")
    with trio.fail_after(PATIENCE):
        while not heard:
            await connection.wait_notified()

    assert len(heard) == 1


async def test_notification_read_before_it_is_waited_for(connection: TrioConnection, database_url: str) -> None:
    """A notification that libpq has read already is not waited for."""
    heard: list[Notify] = []
    connection.add_notify_handler(heard.append)
    await connection.execute("listen due")
    async with await connect(database_url) as other:
        await other.execute("notify due")
    await trio.lowlevel.wait_readable(connection.fileno())
    connection.pgconn.consume_input()
    with trio.fail_after(PATIENCE):
        await connection.wait_notified()

    assert len(heard) == 1


async def test_notifies_generator(connection: TrioConnection) -> None:
    """The generator of notifications works too, with its timeout."""
    await connection.execute("listen due")
    await connection.execute("notify due, 'now'")
    payloads = [notice.payload async for notice in connection.notifies(timeout=0.01)]

    assert payloads == ["now"]


async def test_prepared_statements(connection: TrioConnection) -> None:
    """A statement that is executed often is prepared."""
    for n in range(7):
        await connection.execute("select %s::int + 1000", [n])

    assert await value(connection, "select count(*) from pg_prepared_statements where statement like '%% + 1000'") == 1


async def test_prepared_in_a_failed_pipeline(connection: TrioConnection) -> None:
    """A statement that was to be prepared in a pipeline which failed before it is not taken for prepared."""
    often = "select %s::int + 1000"
    for n in range(5):
        await connection.execute(often, [n])

    async def fail() -> None:
        async with connection.pipeline():
            await connection.execute("select 1 / 0")
            await connection.execute(often, [5])

    with pytest.raises(psycopg.errors.DivisionByZero):
        await fail()

    assert await value(connection, often, 6) == 1006


async def test_no_prepared_statements(database_url: str) -> None:
    """Without a threshold nothing is ever prepared, as poolers need it."""
    async with await connect(database_url, prepare_threshold=None) as connection:
        for n in range(20):
            await connection.execute("select %s::int", [n])
        async with connection.cursor() as cursor:
            await cursor.executemany("select %s::int", [(n,) for n in range(20)])

        assert await value(connection, "select count(*) from pg_prepared_statements") == 0


@pytest.fixture
async def turns(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[None]]:
    """Grows whenever another task has its turn; a connection that never waits gives one after everything it does."""
    monkeypatch.setattr(connection_module, "BUSY_SECONDS", 0)
    taken: list[None] = []

    async def take_turns() -> None:
        while True:
            taken.append(None)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take_turns)
        yield taken
        nursery.cancel_scope.cancel()


async def test_others_run_during_a_long_copy(connection: TrioConnection, turns: list[None]) -> None:
    """A COPY that never has to wait, because nothing is flushed yet, still lets other tasks run."""
    async with connection.cursor() as cursor, cursor.copy("copy numbers (n) from stdin") as copy:
        before = len(turns)
        for n in range(100):
            await copy.write(f"{n}\n")
        after = len(turns)

    assert after - before > 90


async def test_others_run_during_a_long_pipeline(connection: TrioConnection, turns: list[None]) -> None:
    """Statements that are sent one after the other without waiting still let other tasks run."""
    seen = []

    def parameters() -> Iterator[tuple[int]]:
        for n in range(100):
            seen.append(len(turns))
            yield (n,)

    async with connection.cursor() as cursor:
        await cursor.executemany("insert into numbers values (%s)", parameters())

    assert seen[-1] - seen[0] > 90


async def test_closed_by_its_block(database_url: str) -> None:
    """Leaving the connection's own block commits or rolls back, and closes it."""
    first = await TrioConnection.connect(database_url)
    second = await TrioConnection.connect(database_url)

    async def fail() -> None:
        async with second:
            await second.execute("create table lost ()")
            raise LookupError

    async with first:
        await first.execute("create table kept ()")
    with pytest.raises(LookupError):
        await fail()

    assert first.closed
    assert second.closed
    async with await connect(database_url) as third:
        assert await value(third, "select to_regclass('kept') is not null and to_regclass('lost') is null")


async def test_closed_connection(connection: TrioConnection) -> None:
    """A closed connection says so, and closing it again does nothing."""
    await connection.close()
    await connection.close()

    assert not connection.reusable
    with pytest.raises(psycopg.OperationalError, match="closed"):
        await connection.execute("select 1")
