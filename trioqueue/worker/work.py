"""A claimed message while it is worked on, and the reasons why work on it stops."""

from typing import TypeAlias

import attrs

from trioqueue.domain.attempts import AttemptFailed, WaitLonger
from trioqueue.domain.budgets import BudgetReserved, BudgetSpent
from trioqueue.domain.completions import MessageAtFault, Usage
from trioqueue.domain.facts import Fact, SpendReserved
from trioqueue.domain.logs import LogStep
from trioqueue.domain.messages import ClaimedMessage
from trioqueue.domain.splitting import Split
from trioqueue.worker.spending import Spending


@attrs.frozen
class GivenUp:
    """The worker stops, or the run was stopped: the message goes back as it is."""


@attrs.frozen
class RunAtFault:
    """Every message of the run would meet this: the run pauses, with a reason a person can act on."""

    step: LogStep
    reason: str


@attrs.frozen
class PartUnknown:
    """A part may or may not have left; a person or a reconciliation decides."""

    reason: str


@attrs.frozen
class NotWanted:
    """The lead is not to be written to any more: the message ends here, whatever has been sent of it."""

    reason: str


Stop: TypeAlias = (
    WaitLonger
    | AttemptFailed
    | MessageAtFault
    | BudgetReserved
    | BudgetSpent
    | GivenUp
    | RunAtFault
    | PartUnknown
    | NotWanted
)
"""Why a message does not go on; None in its place means that it does."""


@attrs.frozen
class SplitDone:
    """How a text was split, and what that took."""

    split: Split
    time_ms: int
    tokens_used: int


@attrs.define(eq=False)
class Work:
    """How far a claimed message has come. Starts with what is stored of it.

    Attributes:
        message: The message, as claimed.
        spending: Its part in the budgets; None when no budget is about it.
        text: Its text, once there is one.
        bodies: The texts of its parts, once it is split.
        spent: All that was spent on it so far.
        send_time_ms: Milliseconds that the gateway took for it so far.
        parts_sent: Parts that were sent by this work.
        split: How it was split by this work; None when it was not.
        told: Facts that go with the end of the work, in one commit with it.
        under_way: The part whose intent is on disk and whose outcome is not yet.
    """

    message: ClaimedMessage
    spending: Spending | None = None
    text: str | None = attrs.field(init=False)
    bodies: tuple[str, ...] = attrs.field(init=False)
    spent: Usage = attrs.field(init=False)
    send_time_ms: int = attrs.field(init=False)
    parts_sent: int = 0
    split: SplitDone | None = None
    told: tuple[Fact, ...] = ()
    under_way: int | None = None

    def __attrs_post_init__(self) -> None:
        self.text = self.message.text
        self.bodies = tuple(part.body for part in self.message.parts)
        self.spent = self.message.spent
        self.send_time_ms = self.message.send_time_ms

    def spending_facts(self) -> tuple[SpendReserved, ...]:
        """What is to be told of its spending, together with what came of it."""
        return () if self.spending is None else self.spending.facts()

    def settle_spending(self) -> None:
        """Take note that what was told of its spending is durable."""
        if self.spending is not None:
            self.spending.settle()
