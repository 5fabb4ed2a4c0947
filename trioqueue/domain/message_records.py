"""Messages as people look at them, and what a person may do with one."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import attrs

from trioqueue.domain.logs import LogLevel, LogStep
from trioqueue.domain.states import MessageStatus, PartStatus, RunStatus


@attrs.frozen
class MessageOverview:
    """A message in a list.

    Attributes:
        message_id: The message.
        run_id: Its run.
        client_name: The lead's name.
        phone: Where it goes, in E.164 where that is known.
        status: Where it stands.
        scheduled_at: When it is due, or was.
        retry_count: Requeues so far.
        error_message: What went wrong last.
        sent_at: When its last part was accepted.
        updated_at: When it was last changed.
    """

    message_id: UUID
    run_id: UUID
    client_name: str | None
    phone: str | None
    status: MessageStatus
    scheduled_at: datetime
    retry_count: int
    error_message: str | None
    sent_at: datetime | None
    updated_at: datetime


@attrs.frozen
class PartRecord:
    """A part as it stands in the send ledger.

    Attributes:
        part_no: Its number, from 1.
        body: Its text.
        status: Where it stands.
        provider_message_id: The gateway's id of it.
        error_message: Why it was not sent, or why that is not known.
        intended_at: When it was last meant to leave.
        looked_up_at: When the gateway was last asked what became of it.
        sent_at: When the gateway accepted it.
    """

    part_no: int
    body: str
    status: PartStatus
    provider_message_id: str | None
    error_message: str | None
    intended_at: datetime | None
    looked_up_at: datetime | None
    sent_at: datetime | None


@attrs.frozen
class LogRecord:
    """A row of the run's log that is about a message."""

    created_at: datetime
    step: LogStep
    level: LogLevel
    message: str
    details: Mapping[str, Any] | None


@attrs.frozen
class MessageRecord:
    """Everything there is to know of a message.

    Attributes:
        overview: What a list shows of it.
        parts: Its parts, in order.
        logs: What the log tells of it, in order.
        campaign: The name of its campaign.
        run_status: What its run is doing.
        lead_id: The lead.
        conversation_id: Where it is sent to.
        text: Its text, once there is one.
        model: The model that wrote it.
        tokens_used: Tokens of all calls for it.
        cost_usd: Price of all calls for it in US dollars.
        provider_message_id: The gateway's id of the last part sent.
        created_at: When it was made.
    """

    overview: MessageOverview
    parts: tuple[PartRecord, ...]
    logs: tuple[LogRecord, ...]
    campaign: str
    run_status: RunStatus
    lead_id: UUID
    conversation_id: UUID | None
    text: str | None
    model: str | None
    tokens_used: int
    cost_usd: Decimal
    provider_message_id: str | None
    created_at: datetime


class Action(StrEnum):
    """What a person may do with a message."""

    RETRY = "retry"
    """Try one again that has failed or was skipped."""

    CONFIRM = "confirm"
    """Say of an unconfirmed one that its part has arrived."""

    RESEND = "resend"
    """Say of an unconfirmed one that its part has not arrived, and send it again."""


RUN_OVER: Final = frozenset({RunStatus.CANCELLED, RunStatus.FAILED})
"""Nothing of a run in these states is sent any more."""

_WAITS: Final = "it waits to be sent; nothing needs to be done"
_WORKED_ON: Final = "a worker is at work on it; nothing needs to be done"
_SENT: Final = "all its parts have been sent; nothing is left to be done"
_NOT_UNCONFIRMED: Final = "only an unconfirmed message can be settled"

_WHAT_NOW: Final[Mapping[MessageStatus, str]] = {
    MessageStatus.QUEUED: _WAITS,
    MessageStatus.PENDING: _WAITS,
    MessageStatus.GENERATING: _WORKED_ON,
    MessageStatus.SENDING: _WORKED_ON,
    MessageStatus.SENT: _SENT,
    MessageStatus.REPLIED: _SENT,
    MessageStatus.FAILED: f"{_NOT_UNCONFIRMED}; `trioqueue messages retry` tries this one again",
    MessageStatus.SKIPPED: f"{_NOT_UNCONFIRMED}; `trioqueue messages retry` tries this one again",
    MessageStatus.UNCONFIRMED: (
        "say with `trioqueue messages confirm` that its part has arrived, or with `trioqueue messages resend` that it "
        "has not"
    ),
}


def why_not(action: Action, status: MessageStatus, run_status: RunStatus) -> str:
    """Why an action was refused and what can be done instead, to follow what the message is."""
    if run_status not in RUN_OVER or status not in {MessageStatus.FAILED, MessageStatus.SKIPPED}:
        return _WHAT_NOW[status]
    if action is not Action.RETRY:
        return _NOT_UNCONFIRMED
    return f"its run is {run_status}, and nothing of such a run is sent any more; a new run can write to the lead"
