"""A claimed message as the worker sees it: the claim, the lead's context, and what is already stored of it."""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

import attrs

from trioqueue.domain.completions import NOTHING_SPENT, Usage
from trioqueue.domain.states import PartStatus


@attrs.frozen
class Incarnation:
    """One life of a worker process. Fresh for every process, because host names and process ids are used again.

    Attributes:
        id: Names it in claims and in its heartbeat.
        host: Host name, for people.
        pid: Process id, for people.
        lease: Seconds after the last heartbeat until its messages may be taken.
    """

    id: UUID
    host: str
    pid: int
    lease: float


@attrs.frozen
class Claim:
    """The right to work on one message.

    Every write of the message names `owner` and `fence`; a write that finds others there changes nothing.

    Attributes:
        message_id: The message.
        run_id: The run it belongs to.
        lead_id: The lead it is written to.
        owner: The incarnation of the worker that holds the claim.
        fence: Grows with every claim of the message, so that an earlier holder is told from a later one.
    """

    message_id: UUID
    run_id: UUID
    lead_id: UUID
    owner: UUID
    fence: int


class Barred(StrEnum):
    """Why nothing may be sent to a lead any more, whatever the run does."""

    OPTED_OUT = "opted_out"
    TAKEN_OVER = "taken_over"

    @property
    def reason(self) -> str:
        """The same for people."""
        return {
            Barred.OPTED_OUT: "the lead has opted out",
            Barred.TAKEN_OVER: "a person has taken the conversation over",
        }[self]


@attrs.frozen
class Part:
    """One part of a message: number from 1, final text, and where it stands in the send ledger."""

    number: int
    body: str
    status: PartStatus


@attrs.frozen(eq=False)
class ClaimedMessage:
    """A message that this worker holds, with all that is needed to write and send it.

    Compared and hashed by identity: the lead's context is a mapping, and a CapacityLimiter's borrower must be hashable.

    Attributes:
        claim: The right to work on it.
        conversation_id: The conversation that the gateway sends to; None when the lead has no phone number.
        retry_count: How many requeues it has had, 0 to 3.
        model: The model that the campaign asks for.
        instructions: The operator's instructions, the system prompt.
        split: Whether the campaign wants messages split.
        max_parts: The most parts allowed, 1 to 5.
        spent: What earlier attempts spent on it.
        send_time_ms: Milliseconds that the gateway took for it in earlier attempts.
        context: The lead's facts, as `get_lead_full_context` returns them. Hostile input.
        text: The generated text when an earlier attempt stored one; it is never paid for again.
        parts: The parts when an earlier attempt stored them, in order; empty otherwise.
        fallback_models: Models that stand in, in this order, while the campaign's own does not answer.
        barred: Why nothing may be sent to the lead, None where it may.
        counted: What budgets count of it so far; None when neither its run nor the day has a budget.
        usd_per_token: What a token of `model` costs, where there is a budget and the store knows.
    """

    claim: Claim
    conversation_id: UUID | None
    retry_count: int
    model: str
    instructions: str
    split: bool
    max_parts: int
    context: Mapping[str, Any]
    spent: Usage = NOTHING_SPENT
    send_time_ms: int = 0
    text: str | None = None
    parts: tuple[Part, ...] = ()
    fallback_models: tuple[str, ...] = ()
    barred: Barred | None = None
    counted: Usage | None = None
    usd_per_token: Decimal | None = None
