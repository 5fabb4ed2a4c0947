"""`trioqueue messages list`, `show`, `retry`, `confirm` and `resend`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import attrs
from cyclopts import Parameter, validators
from rich.table import Table

from trioqueue.bootstrap import Database, open_database
from trioqueue.cli.numbers import WHOLE
from trioqueue.cli.output import plain, say, say_json, show
from trioqueue.cli.prepare import prepare
from trioqueue.domain.message_records import LogRecord, MessageOverview, MessageRecord, PartRecord
from trioqueue.domain.states import MessageStatus, RunStatus
from trioqueue.domain.words import counted

MessageId = Annotated[UUID, Parameter(help="The message, as `trioqueue messages list` names it.")]
AsJson = Annotated[bool, Parameter(negative="", help="Print one JSON object.")]


async def list_messages(
    *,
    run: Annotated[UUID | None, Parameter(help="Of this run alone.")] = None,
    status: Annotated[MessageStatus | None, Parameter(help="In this state alone.")] = None,
    limit: Annotated[
        int, WHOLE, Parameter(help="Most messages to list, 1 to 10000.", validator=validators.Number(gte=1, lte=10_000))
    ] = 20,
    json: AsJson = False,
) -> None:
    """List messages, the last changed first."""
    async with open_database(prepare()) as database:
        await database.check()
        found = await database.messages.find(run_id=run, status=status, limit=limit)
    if json:
        messages = [attrs.asdict(message) for message in found.messages]
        say_json({"messages": messages, "looked_at": found.looked_at})
        return
    if found.messages:
        show(messages_table(found.messages))
    else:
        say("no such messages")
    if found.looked_at is not None:
        say(f"of the {found.looked_at} messages of the newest runs; with --run, all of a run are looked at")


async def show_message(message_id: MessageId, /, *, json: AsJson = False) -> None:
    """Show a message, its parts with where they stand, and what the log tells of it."""
    async with open_database(prepare()) as database:
        await database.check()
        message = await database.messages.show(message_id)
    if json:
        say_json(_as_json(message))
    else:
        tables = [_facts_table(message)]
        tables += [_parts_table(message.parts)] if message.parts else []
        tables += [_logs_table(message.logs)] if message.logs else []
        for number, table in enumerate(tables):
            if number:
                say("")
            show(table)


async def retry(message_id: MessageId, /) -> None:
    """Try a message again that has failed or was skipped; its text and the parts that were sent stay."""
    async with open_database(prepare()) as database:
        await database.check()
        await database.messages.retry(message_id)
        waits = await _paused(database, message_id)
    say(f"message {message_id} is pending again, due now{waits}")


async def confirm(message_id: MessageId, /) -> None:
    """Say of an unconfirmed message that its part has arrived; it goes on with what is left of it."""
    async with open_database(prepare()) as database:
        await database.check()
        status = await database.messages.confirm(message_id)
        waits = await _paused(database, message_id)
    say(_settled(message_id, status, "the rest of it", waits))


async def resend(message_id: MessageId, /) -> None:
    """Say of an unconfirmed message that its part has not arrived, so that it is sent again."""
    async with open_database(prepare()) as database:
        await database.check()
        status = await database.messages.resend(message_id)
        waits = await _paused(database, message_id)
    say(_settled(message_id, status, "the part", waits))


async def _paused(database: Database, message_id: UUID) -> str:
    message = await database.messages.show(message_id)
    if message.run_status is not RunStatus.PAUSED:
        return ""
    return f"; its run is paused: `trioqueue runs resume {message.overview.run_id}`"


def _settled(message_id: UUID, status: MessageStatus, left: str, waits: str) -> str:
    if status is MessageStatus.SENT:
        return f"message {message_id} is sent"
    if status is MessageStatus.PENDING:
        return f"message {message_id} is pending, due now; {left} will be sent{waits}"
    return f"message {message_id} is {status}: its run is over, so nothing more of it is sent"


def _as_json(message: MessageRecord) -> dict[str, Any]:
    values = attrs.asdict(message, recurse=False) | {
        "parts": [attrs.asdict(part) for part in message.parts],
        "logs": [attrs.asdict(log) for log in message.logs],
    }
    del values["overview"]
    return attrs.asdict(message.overview) | values


def messages_table(messages: Sequence[MessageOverview]) -> Table:
    """Messages, one a row."""
    table = Table(box=None, pad_edge=False)
    for column in ("message", "status", "phone"):
        table.add_column(column, no_wrap=True)
    table.add_column("lead", overflow="fold")
    table.add_column("besides", overflow="fold")
    for message in messages:
        foreign = (message.phone or "", message.client_name or "", _besides(message))
        table.add_row(str(message.message_id), message.status, *map(plain, foreign))
    return table


def _besides(message: MessageOverview) -> str:
    said = [_when(message)]
    if message.retry_count:
        said.append(f"{message.retry_count} of 3 retries")
    if message.error_message:
        said.append(message.error_message)
    return "; ".join(said)


def _when(message: MessageOverview) -> str:
    if message.status in {MessageStatus.PENDING, MessageStatus.QUEUED}:
        return f"due {_time(message.scheduled_at)}"
    return f"since {_time(message.updated_at)}"


def _facts_table(message: MessageRecord) -> Table:
    overview = message.overview
    facts = {
        "message": str(overview.message_id),
        "status": f"{overview.status}; {_besides(overview)}",
        "run": f"{overview.run_id}, {message.run_status}: {message.campaign}",
        "lead": f"{message.lead_id}: {overview.client_name or 'no name'}, {overview.phone or 'no phone number'}",
        "written by": f"{message.model}, {counted(message.tokens_used, 'token')}, ${message.cost_usd:.4f}"
        if message.model
        else None,
        "text": message.text,
    }
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, fact in facts.items():
        if fact is not None:
            table.add_row(name, plain(fact))
    return table


def _parts_table(parts: Sequence[PartRecord]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("part", justify="right")
    table.add_column("status", no_wrap=True)
    table.add_column("text", overflow="fold")
    table.add_column("besides", overflow="fold")
    for part in parts:
        table.add_row(str(part.part_no), part.status, plain(part.body), plain(_besides_part(part)))
    return table


def _besides_part(part: PartRecord) -> str:
    times = {"left": part.intended_at, "asked about": part.looked_up_at, "accepted": part.sent_at}
    said = [f"{name} {_time(time)}" for name, time in times.items() if time is not None]
    said += [text for text in (part.provider_message_id, part.error_message) if text]
    return "; ".join(said)


def _logs_table(logs: Sequence[LogRecord]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("when", "step", "level"):
        table.add_column(column, no_wrap=True)
    table.add_column("what", overflow="fold")
    for log in logs:
        details = "".join(f"; {name} {value}" for name, value in (log.details or {}).items())
        table.add_row(_time(log.created_at), log.step, log.level, plain(log.message + details))
    return table


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S %Z}"
