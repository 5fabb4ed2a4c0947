"""What a round leaves behind: rows, their history, the deliveries on disk, and the calls that the model took."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import attrs

from trioqueue.domain.states import MessageStatus, PartStatus, RunStatus
from trioqueue.simulator import Delivery


class ChangeKind(StrEnum):
    """What changed its state."""

    RUN = "run"
    MESSAGE = "message"
    PART = "part"


@attrs.frozen
class Change:
    """One change of state, in the order in which each row was changed.

    Attributes:
        at: Seconds since 1970, before its commit.
        actor: The process that made it.
        kind: What changed.
        run_id: The run, of runs and messages.
        message_id: The message, of messages and parts.
        part_no: The part.
        before: The state before; None for a new row.
        after: The state after.
        owner_before: The incarnation that held the message before.
        owner_after: The incarnation that holds it afterwards.
        fence: Its fence afterwards; of a part the fence of its last intent.
        text_before: The message's text, or the part's, before.
        text_after: The text afterwards.
    """

    at: float
    actor: str
    kind: ChangeKind
    run_id: UUID | None
    message_id: UUID | None
    part_no: int | None
    before: str | None
    after: str
    owner_before: UUID | None
    owner_after: UUID | None
    fence: int | None
    text_before: str | None
    text_after: str | None


@attrs.frozen
class MessageRow:
    """A message as it stands; `lead` is the name that the model is told."""

    id: UUID
    run_id: UUID
    lead: str
    conversation_id: UUID
    status: MessageStatus
    owner: UUID | None
    text: str | None


@attrs.frozen
class PartRow:
    """A part as it stands."""

    message_id: UUID
    number: int
    body: str
    status: PartStatus
    idempotency_key: str


@attrs.frozen
class RunRow:
    """A run as it stands, with its counters."""

    id: UUID
    status: RunStatus
    total: int
    processed: int
    success: int
    failed: int
    skipped: int


@attrs.frozen
class WorldCall:
    """A request as the simulated world took it.

    Attributes:
        at: Seconds since 1970 when it arrived.
        kind: generate, split or send.
        lead: Whom a text was asked for; None for what is no generate call.
        key: The idempotency key of a send.
        fault: What it met; None for nothing.
        answered: Whether a whole answer went out.
    """

    at: float
    kind: str
    lead: str | None
    key: str | None
    fault: str | None
    answered: bool


@attrs.frozen
class Evidence:
    """All that is known of a round.

    Attributes:
        idempotent: Whether the gateway was.
        runs: As they stand.
        messages: As they stand.
        parts: As they stand.
        changes: Every change of state, oldest first.
        actors: Which process each incarnation was.
        drained: The processes that gave their messages back before they ended.
        suspensions: When each process was suspended, in seconds since 1970.
        deliveries: What reached the leads.
        calls: What the model and the gateway were asked, in the order of arrival.
    """

    idempotent: bool
    runs: Sequence[RunRow] = ()
    messages: Sequence[MessageRow] = ()
    parts: Sequence[PartRow] = ()
    changes: Sequence[Change] = ()
    actors: Mapping[UUID, str] = attrs.field(factory=dict)
    drained: frozenset[str] = frozenset()
    suspensions: Mapping[str, Sequence[float]] = attrs.field(factory=dict)
    deliveries: Sequence[Delivery] = ()
    calls: Sequence[WorldCall] = ()


RUNS = """
select id, status, leads_total, leads_processed, leads_success, leads_failed, leads_skipped
from {schema}.campaign_runs
"""
MESSAGES = """
select m.id, m.run_id, l.client_name, m.conversation_id, m.status, m.claimed_by, m.generated_message
from {schema}.campaign_messages m join {schema}.leads l on l.id = m.lead_id
"""
PARTS = """
select message_id, part_no, body, status, idempotency_key
from {schema}.campaign_message_parts order by message_id, part_no
"""
CHANGES = """
select at, actor, kind, run_id, message_id, part_no, before, after, owner_before, owner_after, fence, text_before,
  text_after
from chaos.changes order by id
"""
ACTORS = "select incarnation, actor from chaos.incarnations"


async def gathered(ask: Callable[[str], Awaitable[Sequence[Sequence[Any]]]], **known: Any) -> Evidence:
    """The evidence of a database, and what is known besides.

    Args:
        ask: Gives the rows of a query.
        known: The attributes that are not read from the database.
    """
    return Evidence(
        runs=[RunRow(row[0], RunStatus(row[1]), *row[2:]) for row in await ask(RUNS)],
        messages=[_message(row) for row in await ask(MESSAGES)],
        parts=[PartRow(row[0], row[1], row[2], PartStatus(row[3]), row[4]) for row in await ask(PARTS)],
        changes=[_change(row) for row in await ask(CHANGES)],
        actors={row[0]: row[1] for row in await ask(ACTORS)},
        **known,
    )


def _message(row: Sequence[Any]) -> MessageRow:
    return MessageRow(row[0], row[1], row[2], row[3], MessageStatus(row[4]), row[5], row[6])


def _change(row: Sequence[Any]) -> Change:
    at: datetime = row[0]
    return Change(at.timestamp(), row[1], ChangeKind(row[2]), *row[3:])
