"""What became of the messages of one process, counted for its report and its progress line."""

from collections import Counter
from enum import StrEnum
from uuid import UUID

import attrs


class End(StrEnum):
    """How the work on a claimed message ended."""

    SENT = "sent"
    REQUEUED = "requeued"
    SNOOZED = "snoozed"
    RELEASED = "released"
    FAILED = "failed"
    UNCONFIRMED = "unconfirmed"
    SKIPPED = "skipped"
    """Its lead is not to be written to any more."""
    LOST = "lost"
    """Another worker has taken the message; nothing further was done with it."""


@attrs.define
class Tally:
    """Counts since the start of the process.

    Attributes:
        claimed: Messages claimed.
        ends: How the work on them ended.
        skipped: Messages skipped for their age.
        parts_sent: Parts that the gateway accepted.
        tokens_used: Tokens of all calls.
        paused: Runs that had to be paused, and why.
    """

    claimed: int = 0
    ends: Counter[End] = attrs.field(factory=Counter)
    skipped: int = 0
    parts_sent: int = 0
    tokens_used: int = 0
    paused: dict[UUID, str] = attrs.field(factory=dict)
