"""psycopg on trio: its AsyncConnection, with the generators underneath driven by trio instead of asyncio.

psycopg talks to libpq in generators that yield "wait until the socket is readable or writable". What waits for them,
and what an interrupted wait leaves behind, is all that differs between event loops, so that is what is replaced here.
This is the one file of trioqueue that touches psycopg's internals. They are those of psycopg 3.3.9 and change between
minor versions: hence the pin `psycopg>=3.3.9,<3.4`, and the contract tests in tests/postgres/test_connection*.py.

Cancellation keeps these promises, on which the pool and every transaction rely:

- In a cancelled scope no new statement is sent.
- A statement under way is cancelled at the server, where it would go on to hold its locks, and the rest of its answer
  is read: afterwards the connection is as usable as after any failed statement.
- What begins or ends a transaction, and what ends a pipeline, is finished and not cancelled.
- Each of these takes at most `CLEANUP_SECONDS`. When that is not enough, the connection is closed.
"""

# ruff: noqa: SLF001  # see above: psycopg's internals are what this file is about

import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from types import TracebackType
from typing import Any, Final, Self

import psycopg
import structlog
import trio
from psycopg import AsyncPipeline, AsyncServerCursor, AsyncTransaction, generators, waiting
from psycopg import errors as e
from psycopg._capabilities import capabilities
from psycopg._preparing import Key, Prepare, PrepareManager
from psycopg._queries import PostgresQuery
from psycopg.abc import RV, PQGen
from psycopg.conninfo import conninfo_attempts, make_conninfo, timeout_from_conninfo
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGconn
from psycopg.rows import AsyncRowFactory, Row, TupleRow, tuple_row
from psycopg.waiting import Wait

from trioqueue.postgres.readiness import drive_elsewhere, wait_until_ready
from trioqueue.postgres.turns import Turns

CLEANUP_SECONDS: Final = 5.0
"""Bound of each thing that is done for a connection after its scope was cancelled."""

RECANCEL_SECONDS: Final = 0.1
"""A server ignores a cancel request that overtakes its statement, so it is repeated while the statement runs."""

BUSY_SECONDS: Final = 0.005
"""How long sockets that are always ready may keep other tasks waiting; the number is psycopg's own."""

log = structlog.get_logger(__name__)


class TrioConnection(psycopg.AsyncConnection[TupleRow]):
    """A psycopg connection for trio; what it can do is in psycopg's documentation.

    The differences: leaving the connection's own `async with` block always closes it, COPY's queued writer does not
    work, and `wait_notified` is there for notifications. What is an asynchronous generator, as `stream` and a COPY's
    `rows` are, belongs into `contextlib.aclosing`: trio complains about one that is left in the middle.

    Attributes:
        opened_at: When the connection was made, on the clock of `trio.current_time`.
    """

    def __init__(self, pgconn: PGconn, row_factory: AsyncRowFactory[TupleRow] = tuple_row) -> None:
        super().__init__(pgconn, row_factory)
        self.lock = Turns()  # type: ignore[assignment]  # psycopg only enters and leaves it
        self.server_cursor_factory = _ServerCursor
        self._prepared = _PrepareManager()
        self.opened_at = trio.current_time()
        self._yielded_at = time.monotonic()
        self._uninterruptible = False

    @classmethod
    async def connect(
        cls,
        conninfo: str = "",
        *,
        autocommit: bool = False,
        prepare_threshold: int | None = 5,
        **kwargs: Any,
    ) -> Self:
        """Connect to the first address that answers. Each has `connect_timeout` seconds, and so has DNS.

        Args:
            conninfo: A URL or key=value pairs.
            autocommit: Whether each statement is a transaction of its own.
            prepare_threshold: How often a statement is executed before it is prepared; None never prepares.
            kwargs: Parameters of the connection, over those of `conninfo`.

        Raises:
            psycopg.OperationalError: None answered, or the server refused.
            psycopg.ProgrammingError: The connection string is malformed.
        """
        params = await cls._get_connection_params(conninfo, **kwargs)
        timeout = timeout_from_conninfo(params)
        attempts = []
        with trio.move_on_after(timeout):
            attempts = await trio.to_thread.run_sync(conninfo_attempts, params, abandon_on_cancel=True)
        failures: list[e.Error] = []
        for attempt in attempts:
            try:
                connection = await cls._connect_once(make_conninfo("", **attempt), timeout)
                break
            except e.Error as error:
                failures.append(error)
        else:
            raise _connection_failure(failures)
        connection._autocommit = autocommit
        connection.prepare_threshold = prepare_threshold
        return connection

    @classmethod
    async def _connect_once(cls, conninfo: str, timeout: float) -> Self:
        gen = cls._connect_gen(conninfo)
        try:
            with trio.move_on_after(timeout):
                return await drive_elsewhere(gen)
        finally:
            gen.close()  # and with it the socket of an attempt that was given up
        raise e.ConnectionTimeout(f"connecting took longer than {timeout} s")

    async def wait(self, gen: PQGen[RV], interval: float = 0.0, timeout: float | None = None) -> RV:
        """Run one of psycopg's generators to its end; everything that psycopg sends or receives passes here.

        Raises:
            trio.Cancelled: The scope was cancelled; the module's docstring says what became of the statement.
            psycopg.Error: What the generator raises, or that the connection is lost.
        """
        if timeout is not None:
            with trio.move_on_after(timeout):
                return await self.wait(gen, interval)
            raise e._WaitTimeout("wait timeout expired")
        was_active = self._active
        started = False
        try:
            if not self._uninterruptible:
                await trio.lowlevel.checkpoint_if_cancelled()
            started = True
            return await self._drive(gen)
        except trio.Cancelled:
            if self._uninterruptible and not was_active:
                with trio.move_on_after(CLEANUP_SECONDS, shield=True):
                    return await self._drive(gen)
                await self.close()
            # In a pipeline a generator that has not started would send one more statement; elsewhere it goes on
            # with the statement that is under way, as in COPY.
            elif self._active and (started or self._pipeline is None):
                await self._stop(gen)
            raise
        except KeyboardInterrupt:
            if self._active:
                await self._stop(gen)
            raise

    @property
    def _active(self) -> bool:
        return self.pgconn.transaction_status == TransactionStatus.ACTIVE

    async def _drive(self, gen: PQGen[RV]) -> RV:
        fd = self.pgconn.socket
        try:
            wait = next(gen)
            while True:
                wait = gen.send(await self._until_ready(fd, wait))
        except StopIteration as end:
            result: RV = end.value
        if time.monotonic() - self._yielded_at >= BUSY_SECONDS:
            await trio.lowlevel.cancel_shielded_checkpoint()
            self._yielded_at = time.monotonic()
        return result

    async def _until_ready(self, fd: int, wait: Wait) -> int:
        # A socket to be written to is nearly always writable, and asking costs far less than trio's way to wait.
        if wait & Wait.W:
            if time.monotonic() - self._yielded_at >= BUSY_SECONDS:
                # Cancelled now, statements that a pipeline has queued but not sent would go out when it is left.
                await (trio.lowlevel.checkpoint if self._active else trio.lowlevel.cancel_shielded_checkpoint)()
                self._yielded_at = time.monotonic()
            if ready := waiting._ready(fd, wait):
                return ready
        ready = await wait_until_ready(fd, wait)
        self._yielded_at = time.monotonic()
        return ready

    async def _stop(self, gen: PQGen[Any]) -> None:
        backend = self.info.backend_pid
        with trio.move_on_after(CLEANUP_SECONDS, shield=True), suppress(e.Error):
            while True:
                await self.cancel_safe(timeout=CLEANUP_SECONDS)
                with trio.move_on_after(RECANCEL_SECONDS):
                    # What the statement or its reader ends with concerns nobody any more; mostly it is QueryCanceled.
                    with suppress(Exception):
                        await self._drive(gen)
                    if self._active and self._pipeline is None:
                        with suppress(e.Error):
                            await self._drive(self._rest_gen())
                    return
        log.warning("connection closed: a cancelled statement did not end", backend=backend)
        await self.close()

    def _rest_gen(self) -> PQGen[None]:
        """Get to the end of what a generator left open: the rows of a stream, or a COPY.

        psycopg ends a COPY only when its block is left, and only when that is not interrupted.
        """
        results = yield from generators.fetch_many(self.pgconn)
        status = results[-1].status if results else None
        if status == ExecStatus.COPY_OUT:
            while isinstance((yield from generators.copy_from(self.pgconn)), memoryview):
                pass
        elif status == ExecStatus.COPY_IN:
            yield from generators.copy_end(self.pgconn, b"cancelled")

    async def cancel_safe(self, *, timeout: float = 30.0) -> None:
        """Ask the server to cancel the current statement, and return when it has taken note.

        Raises:
            psycopg.OperationalError: It could not be asked, or not within `timeout` seconds.
        """
        if not self._should_cancel():
            return None
        with trio.move_on_after(timeout):
            if capabilities.has_cancel_safe():
                return await drive_elsewhere(self._cancel_gen())
            return await trio.to_thread.run_sync(self.pgconn.get_cancel().cancel, abandon_on_cancel=True)
        raise e.CancellationTimeout(f"the server took no cancel request within {timeout} s")

    async def _try_cancel(self, *, timeout: float = CLEANUP_SECONDS) -> None:
        with trio.CancelScope(shield=True):  # bounded by the timeout
            await super()._try_cancel(timeout=timeout)

    async def wait_notified(self) -> None:
        """Wait for notifications of the channels listened to, and pass them to the handlers.

        No other task can use the connection meanwhile.
        """
        async with self.lock:
            await self.wait(self._notified_gen())

    def _notified_gen(self) -> PQGen[None]:
        # They may have come along with the answer to a statement: look first, wait then.
        while not (notifications := list(iter(self.pgconn.notifies, None))):
            yield Wait.R
            self.pgconn.consume_input()
        for notification in notifications:
            if self.pgconn.notify_handler is not None:
                self.pgconn.notify_handler(notification)

    @property
    def reusable(self) -> bool:
        """Whether someone else may go on with it: open, in no transaction, and with nothing to read.

        A server that closed an idle connection has sent something or the end of the stream, so this also finds lost
        connections, without asking the server.
        """
        return (
            not self.closed
            and self.pgconn.transaction_status == TransactionStatus.IDLE
            and not waiting._ready(self.pgconn.socket, Wait.R)
        )

    async def commit(self) -> None:
        """Commit the transaction."""
        await trio.lowlevel.checkpoint_if_cancelled()
        with self.uninterrupted():
            await super().commit()

    async def rollback(self) -> None:
        """Roll the transaction back, also in a cancelled scope."""
        with self.uninterrupted():
            await super().rollback()

    async def close(self) -> None:
        """Close the connection; whoever waits on it is woken with an OperationalError."""
        if self.closed:
            return
        self._closed = True
        with suppress(e.OperationalError):  # libpq has no socket any more
            trio.lowlevel.notify_closing(self.pgconn.socket)
        self.pgconn.finish()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        try:
            await super().__aexit__(exc_type, exc_val, exc_tb)
        finally:
            await self.close()

    @contextmanager
    def uninterrupted(self) -> Iterator[None]:
        """A block in which waits that are cancelled go on for up to `CLEANUP_SECONDS`."""
        before, self._uninterruptible = self._uninterruptible, True
        try:
            yield
        finally:
            self._uninterruptible = before

    @asynccontextmanager
    async def transaction(
        self,
        savepoint_name: str | None = None,
        force_rollback: bool = False,  # noqa: FBT001, FBT002  # the parent's
    ) -> AsyncIterator[AsyncTransaction]:
        """A block in a transaction, or in a savepoint of the one around it."""
        await trio.lowlevel.checkpoint_if_cancelled()
        transaction = _Transaction(self, savepoint_name, force_rollback)
        if self._pipeline is None:
            async with transaction:
                yield transaction
        else:
            async with self.pipeline(), transaction, self.pipeline():
                yield transaction

    @asynccontextmanager
    async def pipeline(self) -> AsyncIterator[AsyncPipeline]:
        """A block whose statements are sent without waiting for each other's answers.

        It is no transaction: leaving it by an exception does not undo what was sent before.
        """
        async with self.lock:
            self._check_connection_ok()
            pipeline = self._pipeline = self._pipeline or _Pipeline(self)
        try:
            async with pipeline:
                yield pipeline
        finally:
            if pipeline.level == 0:
                self._pipeline = None

    @asynccontextmanager
    async def _pipeline_nolock(self) -> AsyncIterator[AsyncPipeline]:
        pipeline = self._pipeline = _Pipeline(self, _no_lock=True)
        try:
            async with pipeline:
                yield pipeline
        finally:
            self._pipeline = None


class _Transaction(AsyncTransaction):
    _conn: TrioConnection

    async def __aenter__(self) -> Self:
        with self._conn.uninterrupted():
            return await super().__aenter__()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> bool:
        with self._conn.uninterrupted():
            return await super().__aexit__(exc_type, exc_val, exc_tb)


class _Pipeline(AsyncPipeline):
    _conn: TrioConnection

    async def __aenter__(self) -> Self:
        level = self.level
        try:
            return await super().__aenter__()
        except BaseException:
            self.level = level  # it may have been entered after all while what was under way was stopped
            raise

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        with self._conn.uninterrupted():
            await super().__aexit__(exc_type, exc_val, exc_tb)


class _ServerCursor(AsyncServerCursor[Row]):
    _conn: TrioConnection

    async def close(self) -> None:
        try:
            with self._conn.uninterrupted():
                await super().close()
        finally:
            self._close()


class _PrepareManager(PrepareManager):
    def maybe_add_to_cache(self, query: PostgresQuery, prep: Prepare, name: bytes) -> Key | None:
        key = super().maybe_add_to_cache(query, prep, name)
        # In a pipeline that fails before the statement is prepared, psycopg would go on to take it for prepared,
        # because it verifies only what it has seen for the first time.
        return self.key(query) if prep is Prepare.SHOULD else key


def _connection_failure(failures: Sequence[e.Error]) -> e.Error:
    if not failures:
        return e.ConnectionTimeout("the host name could not be resolved in time")
    return type(failures[-1])("; ".join(str(failure) for failure in failures))
