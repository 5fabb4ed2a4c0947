"""Messages as people look through them, and settle or retry them."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import attrs
import orjson

from trioqueue.domain.errors import TrioqueueError
from trioqueue.domain.logs import LogLevel, LogStep
from trioqueue.domain.message_records import (
    Action,
    LogRecord,
    MessageOverview,
    MessageRecord,
    PartRecord,
    why_not,
)
from trioqueue.domain.states import MessageStatus, PartStatus, RunStatus
from trioqueue.postgres.connection import TrioConnection
from trioqueue.postgres.errors import translated
from trioqueue.postgres.listener import wakeup_channel
from trioqueue.postgres.pool import Pool
from trioqueue.postgres.statements import statement


class NoSuchMessage(TrioqueueError):
    """There is no message with this id."""

    def __init__(self, message_id: UUID) -> None:
        super().__init__(f"there is no message {message_id}")


class MessageRefused(TrioqueueError):
    """A message is not in the state that an action needs; nothing was changed."""


_INDEXED: Final = frozenset(
    {
        MessageStatus.QUEUED,
        MessageStatus.PENDING,
        MessageStatus.GENERATING,
        MessageStatus.SENDING,
        MessageStatus.UNCONFIRMED,
    }
)
"""The states whose messages are found through an index, whatever their runs."""


@attrs.frozen
class FoundMessages:
    """What was found.

    Attributes:
        messages: The messages, the last changed first.
        looked_at: How many messages of the newest runs were looked at; None when that were all.
    """

    messages: tuple[MessageOverview, ...]
    looked_at: int | None = None


@attrs.frozen(eq=False)
class Messages:
    """The messages of one schema. Every method raises `DatabaseUnavailable` when the database is away."""

    pool: Pool
    schema: str

    async def find(
        self, *, run_id: UUID | None = None, status: MessageStatus | None = None, limit: int
    ) -> FoundMessages:
        """Messages, the last changed first; of one run or of all, in one state or in any."""
        name = "list_recent_messages" if run_id is None else "list_messages"
        values = {"run_id": run_id, "status": status, "limit": limit}
        async with translated(), self.pool.connection() as connection:
            rows = await self._fetch(connection, name, values)
        if run_id is not None:
            return FoundMessages(tuple(map(_overview, rows)))
        bounded_at = None if status in _INDEXED else rows[0][-1]
        return FoundMessages(tuple(_overview(row[:-1]) for row in rows if row[0] is not None), bounded_at)

    async def show(self, message_id: UUID) -> MessageRecord:
        """Everything there is to know of a message.

        Raises:
            NoSuchMessage: There is none with this id.
        """
        async with translated(), self.pool.connection() as connection, connection.transaction():
            found = await self._fetch(connection, "find_message", {"message_id": message_id})
            if not found:
                raise NoSuchMessage(message_id)
            overview = _overview(found[0])
            values = {"message_id": message_id, "run_id": overview.run_id}
            [row] = await self._fetch(connection, "show_message", values)
            parts = await self._fetch(connection, "show_parts", values)
            logs = await self._fetch(connection, "show_logs", values)
        records = tuple(PartRecord(part[0], part[1], PartStatus(part[2]), *part[3:]) for part in parts)
        told = tuple(LogRecord(log[0], LogStep(log[1]), LogLevel(log[2]), *log[3:]) for log in logs)
        return MessageRecord(overview, records, told, row[0], RunStatus(row[1]), *row[2:])

    async def retry(self, message_id: UUID) -> None:
        """Make a failed or skipped message pending again, due now; its text and its sent parts stay.

        Raises:
            NoSuchMessage: There is none with this id.
            MessageRefused: It is neither, or its run is over.
        """
        async with translated(), self.pool.connection() as connection, connection.transaction():
            [[retried]] = await self._fetch(connection, "retry_message", {"message_id": message_id})
            await self._wake(connection)
        if not retried:
            raise await self._refusal(message_id, Action.RETRY)

    async def confirm(self, message_id: UUID) -> MessageStatus:
        """Say of an unconfirmed message that its part has arrived.

        Returns:
            What it became: `sent`; `pending` when parts of it are left; `skipped` when they are and its run is over.

        Raises:
            NoSuchMessage: There is none with this id.
            MessageRefused: It is not unconfirmed.
        """
        return await self._settle(message_id, Action.CONFIRM, PartStatus.SENT)

    async def resend(self, message_id: UUID) -> MessageStatus:
        """Say of an unconfirmed message that its part has not arrived, so that it is sent again.

        Returns:
            What it became: `pending`; `skipped` when its run is over.

        Raises:
            NoSuchMessage: There is none with this id.
            MessageRefused: It is not unconfirmed.
        """
        return await self._settle(message_id, Action.RESEND, PartStatus.PLANNED)

    async def _settle(self, message_id: UUID, action: Action, status: PartStatus) -> MessageStatus:
        rows = orjson.dumps([{"message_id": str(message_id), "status": status}]).decode()
        async with translated(), self.pool.connection() as connection, connection.transaction():
            settled = await self._fetch(connection, "settle_messages", {"rows": rows, "settled_by": "person"})
            await self._wake(connection)
        if not settled:
            raise await self._refusal(message_id, action)
        return MessageStatus(settled[0][1])

    async def _refusal(self, message_id: UUID, action: Action) -> TrioqueueError:
        try:
            message = await self.show(message_id)
        except NoSuchMessage as error:
            return error
        status = message.overview.status
        return MessageRefused(f"message {message_id} is {status}: {why_not(action, status, message.run_status)}")

    async def _wake(self, connection: TrioConnection) -> None:
        await connection.execute(statement("notify_due", self.schema), {"channel": wakeup_channel(self.schema)})

    async def _fetch(self, connection: TrioConnection, name: str, values: dict[str, Any]) -> Sequence[tuple[Any, ...]]:
        return await (await connection.execute(statement(name, self.schema), values)).fetchall()


def _overview(row: Sequence[Any]) -> MessageOverview:
    return MessageOverview(row[0], row[1], row[2], row[3], MessageStatus(row[4]), *row[5:])
