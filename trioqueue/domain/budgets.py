"""Budgets of runs and days: what a call may cost at most, whether that still fits, and what is counted afterwards.

A call is reserved with an upper bound before it is made, and counted with what its answer says afterwards. What is
counted and reserved together never exceeds a budget, so neither does what is spent, as far as the bounds hold. Here
stands the rule for one call after another; `account_campaign_spending` of schema/ keeps it under the lock of the run.
"""

from decimal import Decimal
from enum import Enum, auto
from typing import Final, TypeAlias

import attrs

from trioqueue.domain.completions import (
    NOTHING_SPENT,
    Completion,
    CompletionRequest,
    Transient,
    Truncated,
    Usable,
    Usage,
)
from trioqueue.domain.errors import TrioqueueError
from trioqueue.domain.words import counted

MOST_TOKENS: Final = 10**15
LEAST_DOLLARS: Final = Decimal("0.00000001")
MOST_DOLLARS: Final = Decimal(10**9)
"""Bounds of budgets. They catch a slip of the finger, and what a database would not hold."""

BUDGET_WORDS: Final = f"an amount above 0 and at most {MOST_DOLLARS}, such as 5 or 0.25"

UNSEEN_TOKENS: Final = 300
"""Tokens of a prompt that do not stand in its texts: the marks between its messages, and the schema of the split's
answer, which is 150 characters of JSON that some providers repeat in words."""


class InvalidLimits(TrioqueueError):
    """A budget cannot be what is asked for; nothing was changed."""


@attrs.frozen
class Limits:
    """The most that may be spent; None for no limit.

    Attributes:
        max_tokens: Tokens of prompts and answers together.
        max_cost_usd: US dollars.

    Raises:
        InvalidLimits: A limit is not above 0, or absurdly high.
    """

    max_tokens: int | None = None
    max_cost_usd: Decimal | None = None

    def __attrs_post_init__(self) -> None:
        if self.max_tokens is not None and not 1 <= self.max_tokens <= MOST_TOKENS:
            raise InvalidLimits(
                f"a budget of {counted(self.max_tokens, 'token')}: allowed is a whole number from 1 to {MOST_TOKENS}"
            )
        if self.max_cost_usd is not None and not is_budget(self.max_cost_usd):
            raise InvalidLimits(f"a budget of {self.max_cost_usd} US dollars: allowed is {BUDGET_WORDS}")

    @property
    def any(self) -> bool:
        """Whether there is a limit at all."""
        return self.max_tokens is not None or self.max_cost_usd is not None


def is_budget(dollars: Decimal) -> bool:
    """Whether an amount may be a budget."""
    return dollars.is_finite() and LEAST_DOLLARS <= dollars <= MOST_DOLLARS


NO_LIMITS: Final = Limits()


@attrs.frozen
class Price:
    """What a token of a model has cost, prompt and answer together."""

    model: str
    usd_per_token: Decimal


@attrs.frozen
class Estimate:
    """What a call may cost at most. `cost_usd` is None while no price of its model is known."""

    tokens: int
    cost_usd: Decimal | None

    @property
    def usage(self) -> Usage:
        """What is reserved for it, and counted when it may have been paid without a word. No price counts as none."""
        return Usage(self.tokens, self.cost_usd or Decimal(0))


def estimated(request: CompletionRequest, usd_per_token: Decimal | None) -> Estimate:
    """An upper bound of what a call costs.

    No tokenizer makes more tokens of a text than it has bytes. The price is that of the dearest answer seen: answers
    cost several times as much a token as prompts, so a call with more answer to its prompt than any before may cost
    more a token; but its bound counts each byte of the prompt, three to four times what is paid.
    """
    texts = len(request.system.encode(errors="replace")) + len(request.user.encode(errors="replace"))
    tokens = texts + UNSEEN_TOKENS + request.max_tokens
    return Estimate(tokens, None if usd_per_token is None else usd_per_token * tokens)


def price_of(model: str, usage: Usage) -> Price | None:
    """What a token of an answer has cost; None when its usage does not say. A service that tells no costs costs 0."""
    return Price(model, usage.cost_usd / usage.tokens) if usage.tokens else None


def owed(completion: Completion | None, estimate: Estimate | None) -> Usage:
    """What a budget counts for a call: what its answer says, or its bound where it may have been paid without a word.

    Args:
        completion: What came of it; None when it was given up under way.
        estimate: What was reserved for it; None for nothing.
    """
    usage = NOTHING_SPENT if completion is None else completion.usage
    return usage + estimate.usage if estimate is not None and not usage.tokens and _perhaps_paid(completion) else usage


def _perhaps_paid(completion: Completion | None) -> bool:
    match completion:
        case None | Usable() | Truncated():
            return True
        case Transient(perhaps_paid=perhaps_paid):
            return perhaps_paid
        case _:
            return False


class Answer(Enum):
    """What a budget says to a call."""

    GRANTED = auto()
    """It is reserved."""

    RESERVED = auto()
    """It does not fit, but what is reserved for calls under way may come back."""

    SPENT = auto()
    """It does not fit, and nothing can come back."""


@attrs.frozen
class Budget:
    """The budget of a run or of a day, and where it stands.

    Attributes:
        limits: The most that may be spent.
        counted: What has been spent, calls without an answer at their bounds.
        reserved: The bounds of calls under way.
        unpriced: How many of these have no known price, so that nothing of the cost is reserved for them.
    """

    limits: Limits
    counted: Usage = NOTHING_SPENT
    reserved: Usage = NOTHING_SPENT
    unpriced: int = 0

    def answer(self, estimate: Estimate, *, busy: bool = False) -> Answer:
        """Whether a call may be made.

        Args:
            estimate: Its bound. One without a price may be made while anything is left, one at a time.
            busy: Whether the run has other messages under way that were paid for: they are sent before it pauses.
        """
        if self.lacking(estimate) is None:
            return Answer.GRANTED
        under_way = busy or self.reserved != NOTHING_SPENT or self.unpriced > 0
        return Answer.RESERVED if under_way else Answer.SPENT

    def lacking(self, estimate: Estimate) -> "Shortage | None":
        """What does not suffice for a call; None when all does."""
        used = self.counted + self.reserved
        if self.limits.max_tokens is not None and used.tokens + estimate.tokens > self.limits.max_tokens:
            return Shortage.TOKENS
        if self.limits.max_cost_usd is None:
            return None
        if estimate.cost_usd is None:
            fits = not self.unpriced and used.cost_usd < self.limits.max_cost_usd
        else:
            fits = used.cost_usd + estimate.cost_usd <= self.limits.max_cost_usd
        return None if fits else Shortage.COST

    def reserving(self, estimate: Estimate) -> "Budget":
        """The budget with a call under way."""
        return attrs.evolve(
            self,
            reserved=self.reserved + estimate.usage,
            unpriced=self.unpriced + (estimate.cost_usd is None),
        )

    def settling(self, estimate: Estimate | None, spent: Usage) -> "Budget":
        """The budget after a call: nothing is reserved for it any more, and what it cost is counted."""
        if estimate is None:
            return attrs.evolve(self, counted=self.counted + spent)
        back = Usage(self.reserved.tokens - estimate.tokens, self.reserved.cost_usd - estimate.usage.cost_usd)
        unpriced = self.unpriced - (estimate.cost_usd is None)
        return attrs.evolve(self, counted=self.counted + spent, reserved=back, unpriced=unpriced)


UNLIMITED: Final = Budget(NO_LIMITS)
"""The budget of a run that has none."""


class Shortage(Enum):
    """What of a budget does not suffice."""

    TOKENS = auto()
    COST = auto()


@attrs.frozen
class Budgets:
    """The budgets that a run's calls must fit into.

    Attributes:
        run: The run's.
        day: That of the day, of all runs together.
    """

    run: Budget
    day: Budget

    def answer(self, estimate: Estimate, *, busy: bool = False) -> Answer:
        """Whether a call may be made: what both say, the day's budget as long as the run's has room."""
        answers = {self.run.answer(estimate, busy=busy), self.day.answer(estimate, busy=busy)}
        return next(answer for answer in (Answer.SPENT, Answer.RESERVED, Answer.GRANTED) if answer in answers)


@attrs.frozen
class BudgetReserved:
    """A call does not fit into a budget for now: come back to the message in `wait` seconds. Not a failed attempt."""

    wait: float


@attrs.frozen
class BudgetSpent:
    """A call does not fit into a budget, and nothing can come back: the run pauses."""

    estimate: Estimate


@attrs.frozen
class RunStopped:
    """The run is no longer running: nothing more is paid for it."""


Refusal: TypeAlias = BudgetReserved | BudgetSpent | RunStopped
"""Why a call was not made."""


@attrs.frozen
class Pause:
    """That a run has to pause for a budget.

    Attributes:
        reason: Which budget it is, how much is spent, and how to raise it.
        until_tomorrow: Whether it goes on by itself on the next day (UTC).
    """

    reason: str
    until_tomorrow: bool


def pause_for(run_id: object, budgets: Budgets, estimate: Estimate) -> Pause | None:
    """Why a run pauses after a call was refused; None when the call fits by now."""
    if shortage := budgets.run.lacking(estimate):
        option = "--max-tokens" if shortage is Shortage.TOKENS else "--max-cost"
        told = _told(budgets.run, shortage, estimate)
        return Pause(f"the run's budget is used up: {told}; raise it: trioqueue runs resume {run_id} {option} N", False)
    if shortage := budgets.day.lacking(estimate):
        setting = "max_tokens_per_day" if shortage is Shortage.TOKENS else "max_cost_per_day"
        told = _told(budgets.day, shortage, estimate)
        how = f"or raise {setting} and say trioqueue runs resume {run_id}"
        return Pause(f"the day's budget is used up: {told}; it goes on at 00:00 UTC, {how}", True)
    return None


def check_raised(run_id: object, limits: Limits, spent: Usage) -> None:
    """Make sure that a new budget leaves something to spend.

    Raises:
        InvalidLimits: The run would be paused again by its next call.
    """
    if limits.max_tokens is not None and limits.max_tokens <= spent.tokens:
        told = f"run {run_id} has spent {counted(spent.tokens, 'token')}"
        raise InvalidLimits(f"{told}: a budget of {limits.max_tokens} would pause it again")
    if limits.max_cost_usd is not None and limits.max_cost_usd <= spent.cost_usd:
        told = f"run {run_id} has spent {dollars(spent.cost_usd)}"
        raise InvalidLimits(f"{told}: a budget of {dollars(limits.max_cost_usd)} would pause it again")


def _told(budget: Budget, shortage: Shortage, estimate: Estimate) -> str:
    if shortage is Shortage.TOKENS:
        spent, most = budget.counted.tokens, counted(budget.limits.max_tokens or 0, "token is", "tokens are")
        return f"{spent} of {most} spent, and the next call may take {estimate.tokens}"
    spent_usd = dollars(budget.counted.cost_usd)
    most_usd = dollars(budget.limits.max_cost_usd or Decimal(0))
    next_one = "" if estimate.cost_usd is None else f", and the next call may cost {dollars(estimate.cost_usd)}"
    return f"{spent_usd} of {most_usd} is spent{next_one}"


def dollars(amount: Decimal) -> str:
    """An amount for people: cents, and as many digits more as a small one needs, six at most."""
    whole, _, digits = f"{amount:.6f}".partition(".")
    return f"${whole}.{digits.rstrip('0').ljust(2, '0')}"
