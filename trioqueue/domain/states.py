"""The states of runs, messages and parts, and the transitions between them, as data.

This is the one place that says which state may follow which. The code asks `may_become`; the CHECK constraints of
schema/ and every SQL statement that moves a row are held against these tables by tests/postgres/test_states.py;
the diagrams of docs/states.md are drawn from them.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, TypeVar


class RunStatus(StrEnum):
    """What a campaign run is doing."""

    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"


class MessageStatus(StrEnum):
    """Where a message stands on its way to the lead.

    `QUEUED` is what the system before this one wrote for `PENDING`; it is read, never written.
    """

    QUEUED = "queued"
    PENDING = "pending"
    GENERATING = "generating"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNCONFIRMED = "unconfirmed"
    REPLIED = "replied"


class PartStatus(StrEnum):
    """Where a part stands in the send ledger."""

    PLANNED = "planned"
    SENDING = "sending"
    SENT = "sent"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


Status = TypeVar("Status", RunStatus, MessageStatus, PartStatus)

RUN_TRANSITIONS: Final[Mapping[RunStatus, frozenset[RunStatus]]] = {
    RunStatus.RUNNING: frozenset({RunStatus.PAUSED, RunStatus.COMPLETED, RunStatus.CANCELLED, RunStatus.FAILED}),
    RunStatus.PAUSED: frozenset({RunStatus.RUNNING, RunStatus.CANCELLED}),
    # Only when one of its messages is pending again.
    RunStatus.COMPLETED: frozenset({RunStatus.RUNNING}),
    RunStatus.CANCELLED: frozenset(),
    RunStatus.FAILED: frozenset(),
}

MESSAGE_TRANSITIONS: Final[Mapping[MessageStatus, frozenset[MessageStatus]]] = {
    MessageStatus.QUEUED: frozenset({MessageStatus.PENDING, MessageStatus.GENERATING, MessageStatus.SKIPPED}),
    MessageStatus.PENDING: frozenset({MessageStatus.GENERATING, MessageStatus.SKIPPED}),
    MessageStatus.GENERATING: frozenset(
        {MessageStatus.PENDING, MessageStatus.SENDING, MessageStatus.FAILED, MessageStatus.SKIPPED}
    ),
    MessageStatus.SENDING: frozenset(
        {
            MessageStatus.PENDING,
            MessageStatus.SENT,
            MessageStatus.FAILED,
            MessageStatus.SKIPPED,
            MessageStatus.UNCONFIRMED,
        }
    ),
    MessageStatus.SENT: frozenset({MessageStatus.REPLIED}),
    MessageStatus.FAILED: frozenset({MessageStatus.PENDING}),
    MessageStatus.SKIPPED: frozenset({MessageStatus.PENDING}),
    MessageStatus.UNCONFIRMED: frozenset({MessageStatus.PENDING, MessageStatus.SENT, MessageStatus.SKIPPED}),
    MessageStatus.REPLIED: frozenset(),
}

PART_TRANSITIONS: Final[Mapping[PartStatus, frozenset[PartStatus]]] = {
    PartStatus.PLANNED: frozenset({PartStatus.SENDING}),
    PartStatus.SENDING: frozenset({PartStatus.PLANNED, PartStatus.SENT, PartStatus.REJECTED, PartStatus.UNKNOWN}),
    PartStatus.SENT: frozenset(),
    PartStatus.REJECTED: frozenset({PartStatus.SENDING}),
    PartStatus.UNKNOWN: frozenset({PartStatus.PLANNED, PartStatus.SENT}),
}

CLAIMED: Final = frozenset({MessageStatus.GENERATING, MessageStatus.SENDING})
"""A message has an owner in these states, and in no other."""

OPEN: Final = frozenset({MessageStatus.QUEUED, MessageStatus.PENDING}) | CLAIMED
"""A run is not completed while one of its messages is in one of these states."""


def may_become(transitions: Mapping[Status, frozenset[Status]], before: Status, after: Status) -> bool:
    """Whether `after` may follow `before`; a state may always stay what it is."""
    return before == after or after in transitions[before]
