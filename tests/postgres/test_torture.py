"""Everything that a connection can do, by many tasks at once and cancelled at random moments.

What must hold whatever was cancelled: transactions are all or nothing, what was reported as done is done, no connection
is lost, and no cancel request hits a statement of the next borrower.
"""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, TypeAlias

import attrs
import psycopg
import pytest
import trio
from psycopg import Rollback
from psycopg.conninfo import make_conninfo

from tests.support.backends import stream, value
from trioqueue.postgres.connect import connect
from trioqueue.postgres.connection import TrioConnection
from trioqueue.postgres.pool import Pool

ACCOUNTS: Final = 12
BALANCE: Final = 1000
TASKS: Final = 8
CONNECTIONS: Final = 4
OPERATIONS: Final = 90
"""Of each task."""

MOVE: Final = "update accounts set balance = balance + %s where id = %s"
NOTE: Final = "insert into notes (operation, amount) values (%s, %s)"


@attrs.frozen
class Transfer:
    """An amount to be moved, and the number under which it is noted."""

    operation: int
    source: int
    target: int
    amount: int

    @property
    def moves(self) -> list[tuple[int, int]]:
        """What is added to which account."""
        return [(-self.amount, self.source), (self.amount, self.target)]

    @property
    def notes(self) -> list[tuple[int, int]]:
        """Two lines in the book, which add up to nothing."""
        return [(self.operation, -self.amount), (self.operation, self.amount)]


Operation: TypeAlias = Callable[[TrioConnection, Transfer], Awaitable[None]]


async def in_a_transaction(connection: TrioConnection, transfer: Transfer) -> None:
    """Statement by statement."""
    async with connection.transaction():
        for move in transfer.moves:
            await connection.execute(MOVE, move)
        for note in transfer.notes:
            await connection.execute(NOTE, note)


async def in_savepoints(connection: TrioConnection, transfer: Transfer) -> None:
    """With a wrong turn that is undone."""
    async with connection.transaction():
        async with connection.transaction():
            await connection.execute(MOVE, transfer.moves[0])
            async with connection.transaction() as wrong:
                await connection.execute(MOVE, transfer.moves[0])
                raise_rollback(wrong)
            await connection.execute(MOVE, transfer.moves[1])
        async with connection.transaction():
            for note in transfer.notes:
                await connection.execute(NOTE, note)


def raise_rollback(transaction: psycopg.AsyncTransaction) -> None:
    """Undo a transaction from within."""
    raise Rollback(transaction)


async def in_a_pipeline(connection: TrioConnection, transfer: Transfer) -> None:
    """All questions at once; nothing is moved."""
    async with connection.pipeline():
        cursors = [await connection.execute("select sum(balance) from accounts") for _ in range(20)]
    totals = {await cursor.fetchone() for cursor in cursors}
    assert totals == {(ACCOUNTS * BALANCE,)}
    await given_up(connection, transfer)


async def in_a_pipelined_transaction(connection: TrioConnection, transfer: Transfer) -> None:
    """A pipeline in a transaction, as the store writes its facts."""
    async with connection.transaction(), connection.pipeline():
        cursors = [await connection.execute(f"{MOVE} returning balance", move) for move in transfer.moves]
        for cursor in cursors:
            assert await cursor.fetchone() is not None
        for note in transfer.notes:
            await connection.execute(NOTE, note)


async def in_a_transaction_in_a_pipeline(connection: TrioConnection, transfer: Transfer) -> None:
    """The other way round."""
    async with connection.pipeline(), connection.transaction(), connection.pipeline():
        await in_a_transaction(connection, transfer)


async def by_executemany(connection: TrioConnection, transfer: Transfer) -> None:
    """One statement, many parameters, in a transaction of its own."""
    async with connection.cursor() as cursor:
        await cursor.executemany(MOVE, transfer.moves)
        await cursor.executemany(NOTE, transfer.notes)


async def by_copy(connection: TrioConnection, transfer: Transfer) -> None:
    """The notes by COPY."""
    async with connection.transaction(), connection.cursor() as cursor:
        async with cursor.copy("copy notes (operation, amount) from stdin") as copy:
            for note in transfer.notes:
                await copy.write_row(note)
        for move in transfer.moves:
            await connection.execute(MOVE, move)


async def with_row_locks(connection: TrioConnection, transfer: Transfer) -> None:
    """Holding both rows for a while."""
    async with connection.transaction():
        ids = [transfer.source, transfer.target]
        await connection.execute("select from accounts where id = any(%s) for update", [ids])
        await connection.execute("select pg_sleep(0.002)")
        await in_a_transaction(connection, transfer)


async def given_up(connection: TrioConnection, transfer: Transfer) -> None:
    """Rolled back at the end; noted in another transaction."""
    async with connection.transaction(force_rollback=True):
        await connection.execute(MOVE, transfer.moves[0])
    await connection.execute("insert into notes (operation, amount) values (%s, 0)", [transfer.operation])


async def copied_out(connection: TrioConnection, transfer: Transfer) -> None:
    """A consistent look by COPY; nothing is moved."""
    query = "copy (select balance from accounts, generate_series(1, 500)) to stdout"
    async with connection.cursor() as cursor, cursor.copy(query) as copy:
        total = sum([int(row[0]) async for row in copy.rows()])
    assert total == 500 * ACCOUNTS * BALANCE
    await given_up(connection, transfer)


async def streamed(connection: TrioConnection, transfer: Transfer) -> None:
    """A consistent look row by row; nothing is moved."""
    query = "select balance from accounts, generate_series(1, 100)"
    async with connection.cursor() as cursor, stream(cursor, query) as rows:
        total = sum([int(row[0]) async for row in rows])
    assert total == 100 * ACCOUNTS * BALANCE
    await given_up(connection, transfer)


async def by_server_side_cursor(connection: TrioConnection, transfer: Transfer) -> None:
    """A consistent look page by page; nothing is moved."""
    async with connection.transaction(), connection.cursor("pages") as cursor:
        cursor.itersize = 100
        await cursor.execute("select balance from accounts, generate_series(1, 50)")
        total = sum([int(row[0]) async for row in cursor])
    assert total == 50 * ACCOUNTS * BALANCE
    await given_up(connection, transfer)


OPERATIONS_OF_ALL_KINDS: Final[tuple[Operation, ...]] = (
    in_a_transaction,
    in_savepoints,
    in_a_pipeline,
    in_a_pipelined_transaction,
    in_a_transaction_in_a_pipeline,
    by_executemany,
    by_copy,
    with_row_locks,
    given_up,
    copied_out,
    streamed,
    by_server_side_cursor,
)


@attrs.define
class Torturer:
    """One task: borrows a connection for every operation and is cancelled in the middle of most."""

    pool: Pool
    number: int
    dice: random.Random
    done: set[int]
    cancelled: int = 0

    async def run(self) -> None:
        """All operations of the task."""
        for turn in range(OPERATIONS):
            source, target = self.dice.sample(range(ACCOUNTS), 2)
            transfer = Transfer(self.number * OPERATIONS + turn, source, target, self.dice.randint(1, 50))
            operation = self.dice.choice(OPERATIONS_OF_ALL_KINDS)
            patience = self.dice.choice([float("inf"), self.dice.expovariate(200), self.dice.expovariate(1000)])
            await self._try(operation, transfer, patience)

    async def _try(self, operation: Operation, transfer: Transfer, patience: float) -> None:
        async with self.pool.connection() as connection:
            assert await value(connection, "select %s::int", transfer.operation) == transfer.operation
            try:
                with trio.move_on_after(patience) as scope:
                    await operation(connection, transfer)
                    self.done.add(transfer.operation)
            except psycopg.errors.DeadlockDetected:
                pass
            self.cancelled += scope.cancelled_caught


@asynccontextmanager
async def bank(database_url: str) -> AsyncIterator[Pool]:
    """A pool of connections to a database with accounts and a book of notes."""
    url = make_conninfo(database_url, options="-c deadlock_timeout=10ms")
    async with Pool(partial(connect, url), size=CONNECTIONS) as pool:
        async with pool.connection() as connection:
            await connection.execute("create table accounts (id int primary key, balance int not null)")
            await connection.execute("create table notes (operation int not null, amount int not null)")
            await connection.execute(
                "insert into accounts select id, %s from generate_series(0, %s) id", [BALANCE, ACCOUNTS - 1]
            )
        yield pool


@pytest.mark.parametrize("seed", range(3))
async def test_torture(database_url: str, seed: int) -> None:
    """Balances add up, what is done stays done, and every connection survives."""
    done: set[int] = set()
    async with bank(database_url) as pool:
        torturers = [Torturer(pool, number, random.Random(f"{seed} {number}"), done) for number in range(TASKS)]
        async with trio.open_nursery() as nursery:
            for torturer in torturers:
                nursery.start_soon(torturer.run)
        statistics = pool.statistics()
        async with pool.connection() as connection:
            balances = await value(connection, "select sum(balance) from accounts")
            noted = await value(connection, "select sum(amount) from notes")
            operations = set(await value(connection, "select array_agg(distinct operation) from notes"))

    assert balances == ACCOUNTS * BALANCE
    assert noted == 0
    assert done <= operations
    assert sum(torturer.cancelled for torturer in torturers) > TASKS * OPERATIONS / 10
    assert len(done) > TASKS * OPERATIONS / 10
    assert (statistics.opened, statistics.discarded, statistics.idle) == (CONNECTIONS, 0, CONNECTIONS)
