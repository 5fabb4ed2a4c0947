"""What the worker tells the ledger about a message: a closed set of facts, each a row written under its claim.

Every fact is idempotent under one claim: told twice it leaves what it left the first time, so a batch whose commit
was lost with its connection is simply told again. Figures are totals, never additions, for the same reason.
"""

from enum import Enum, StrEnum, auto
from typing import TypeAlias

import attrs

from trioqueue.domain.budgets import Estimate, Price
from trioqueue.domain.completions import Usage
from trioqueue.domain.logs import LogEntry
from trioqueue.domain.messages import Claim
from trioqueue.domain.states import MessageStatus, PartStatus


@attrs.frozen
class TextGenerated:
    """The model wrote the message. From here on its text is never paid for again.

    Attributes:
        claim: The right to say so.
        text: The text, checked.
        model: The model that wrote it.
        spent: All that was spent on the message so far.
        time_ms: Milliseconds from the first call to the text.
        log: What the run's log says of it.
    """

    claim: Claim
    text: str
    model: str
    spent: Usage
    time_ms: int
    log: LogEntry | None = None


@attrs.frozen
class PartsPlanned:
    """The parts have their final texts; the message goes over to `sending`.

    Told again with the stored parts when a message is taken up that has them already: those stay as they are.

    Attributes:
        claim: The right to say so.
        bodies: The texts of the parts, in order.
        spent: All that was spent on the message so far.
        time_ms: Milliseconds that the splitting took; None when the parts were there already.
        log: What the run's log says of it.
    """

    claim: Claim
    bodies: tuple[str, ...]
    spent: Usage
    time_ms: int | None = None
    log: LogEntry | None = None


@attrs.frozen
class SpendReserved:
    """What budgets are to count for the message, and what is to be reserved for its next call.

    Told of messages under a budget alone: before each call, and together with the fact that says what came of it.

    Attributes:
        claim: The right to say so.
        counted: All that is to be counted of the message so far, in this attempt and in earlier ones.
        estimate: What its next call may cost; None when none is made now, which gives back what was reserved.
        price: What a token of its model has cost, where the store may not know.
    """

    claim: Claim
    counted: Usage
    estimate: Estimate | None = None
    price: Price | None = None
    log: None = None


@attrs.frozen
class SendIntended:
    """The part is about to leave. Nothing is sent before this is durable; the run must still be running."""

    claim: Claim
    part_no: int
    log: LogEntry | None = None


@attrs.frozen
class SendSettled:
    """What came of sending a part.

    Attributes:
        claim: The right to say so.
        part_no: The part.
        status: `sent`, `rejected`, `unknown`, or `planned` when it has certainly not left.
        send_time_ms: Milliseconds that the gateway took for all parts of the message so far.
        provider_message_id: The gateway's id of the part.
        error: Why it was not sent, or why that is not known.
        log: What the run's log says of it.
    """

    claim: Claim
    part_no: int
    status: PartStatus
    send_time_ms: int
    provider_message_id: str | None = None
    error: str | None = None
    log: LogEntry | None = None


@attrs.frozen
class Finished:
    """The message has reached a final state: `sent`, `failed`, `skipped` or `unconfirmed`.

    Attributes:
        claim: The right to say so; it ends with this.
        status: The final state.
        error: What went wrong, None when nothing did.
        provider_message_id: The gateway's id of the last part.
        spent: All that was spent on the message, None when nothing was in this attempt.
        log: What the run's log says of it.
    """

    claim: Claim
    status: MessageStatus
    error: str | None = None
    provider_message_id: str | None = None
    spent: Usage | None = None
    log: LogEntry | None = None


class WayBack(StrEnum):
    """The three ways back to `pending`, never confused (SPEC 2)."""

    REQUEUE = "requeue"
    """An attempt failed: consumes one of the retries."""

    SNOOZE = "snooze"
    """Nobody's fault and known when it ends: consumes none."""

    RELEASE = "release"
    """The worker gives the message up: consumes none, and the message stays due when it was."""


@attrs.frozen
class Returned:
    """The message goes back to `pending`.

    Attributes:
        claim: The right to say so; it ends with this.
        way: Which way back.
        delay: Seconds from now until it is due again; None leaves the due time.
        retry_count: Requeues so far, this one included.
        error: What went wrong, None when nothing did.
        spent: All that was spent on the message, None when nothing was in this attempt.
        log: What the run's log says of it.
    """

    claim: Claim
    way: WayBack
    delay: float | None
    retry_count: int
    error: str | None = None
    spent: Usage | None = None
    log: LogEntry | None = None


@attrs.frozen
class Noted:
    """Something that only the run's log tells."""

    claim: Claim
    log: LogEntry


Fact: TypeAlias = (
    SpendReserved | TextGenerated | PartsPlanned | SendIntended | SendSettled | Finished | Returned | Noted
)


class Verdict(Enum):
    """What the store answers to a fact."""

    DURABLE = auto()
    """It is on disk."""

    CLAIM_LOST = auto()
    """Another holds the message, or it is finished: nothing was written, and no side effect may follow."""

    RUN_STOPPED = auto()
    """An intent, or a call, was refused because its run is no longer running: nothing was written of it."""

    LEAD_OPTED_OUT = auto()
    """An intent was refused because its lead does not want to be written to: nothing was written."""

    TAKEN_OVER = auto()
    """An intent was refused because a person writes into its conversation now: nothing was written."""

    BUDGET_RESERVED = auto()
    """A call was refused because it does not fit into a budget as long as others are under way."""

    BUDGET_SPENT = auto()
    """A call was refused because it does not fit into a budget, and nothing that is reserved may come back."""
