"""A small pool of connections.

The newest connection is handed out first, because its statements are prepared and the rest can grow old; tasks get
theirs in the order in which they asked. Connections are made when they are needed, and replaced when they are not fit
for the next borrower: a pool that was idle while the server restarted must not answer with the wreckage. Whether one is
fit is seen on its socket and costs no round trip.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Final, Self

import attrs
import psycopg
import trio

from trioqueue.postgres.connection import TrioConnection
from trioqueue.postgres.errors import PoolClosed, is_away

MAX_AGE: Final = 1800.0
"""Seconds after which a connection is replaced: its backend's memory grows with the plans and catalogs it has seen."""


@attrs.frozen
class PoolStatistics:
    """What a pool holds.

    Attributes:
        size: Most connections at once.
        in_use: Connections lent, or being opened for a borrower.
        idle: Open connections that wait to be lent.
        waiting: Tasks that wait for a connection.
        opened: Connections opened since the beginning.
        discarded: Those closed since because they were lost, old, or not fit for another borrower.
    """

    size: int
    in_use: int
    idle: int
    waiting: int
    opened: int
    discarded: int


class Pool:
    """Lends at most `size` connections at once, each to one task.

    Leaving its `async with` block closes it.

    Args:
        connect: Opens a connection.
        size: Most connections at once.
        max_age: Seconds after which a connection is replaced instead of lent again.
    """

    def __init__(
        self, connect: Callable[[], Awaitable[TrioConnection]], *, size: int, max_age: float = MAX_AGE
    ) -> None:
        self._connect = connect
        self._max_age = max_age
        self._slots = trio.CapacityLimiter(size)
        self._idle: list[TrioConnection] = []
        self._opened = 0
        self._discarded = 0
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[TrioConnection]:
        """Borrow a connection for a block; a task can borrow one at a time.

        Raises:
            DatabaseUnavailable: A new connection was needed and could not be opened.
            PoolClosed: The pool has been closed, perhaps while this task was waiting.
        """
        await self._take_slot()
        try:
            connection = await self._take()
            try:
                yield connection
            except psycopg.Error as error:
                if is_away(error):  # also when the connection itself lives, as after a fail-over
                    await connection.close()
                raise
            finally:
                await self._give_back(connection)
        finally:
            self._slots.release()

    async def _take_slot(self) -> None:
        # A free one is taken without giving others a turn, which takes milliseconds in a busy worker, at every commit.
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            self._slots.acquire_nowait()
        except trio.WouldBlock:
            await self._slots.acquire()

    async def _take(self) -> TrioConnection:
        while self._idle and not self._closed:
            connection = self._idle.pop()
            if self._is_fit(connection):
                return connection
            await self._discard(connection)
        if self._closed:
            raise PoolClosed("the pool of database connections is closed: nothing can be read or written any more")
        connection = await self._connect()
        self._opened += 1
        return connection

    async def _give_back(self, connection: TrioConnection) -> None:
        if self._is_fit(connection) and not self._closed:
            self._idle.append(connection)
        else:
            await self._discard(connection)

    def _is_fit(self, connection: TrioConnection) -> bool:
        return connection.reusable and trio.current_time() - connection.opened_at < self._max_age

    async def _discard(self, connection: TrioConnection) -> None:
        self._discarded += 1
        await connection.close()

    async def aclose(self) -> None:
        """Close the idle connections now, and the lent ones when they are given back."""
        self._closed = True
        while self._idle:
            await self._idle.pop().close()

    def statistics(self) -> PoolStatistics:
        """What the pool holds now."""
        slots = self._slots.statistics()
        return PoolStatistics(
            size=int(slots.total_tokens),
            in_use=slots.borrowed_tokens,
            idle=len(self._idle),
            waiting=slots.tasks_waiting,
            opened=self._opened,
            discarded=self._discarded,
        )
