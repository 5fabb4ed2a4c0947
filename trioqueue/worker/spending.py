"""What one message takes from the budgets: reserved through the ledger before each call, counted after it.

Messages that no budget is about have none of this. Where a budget has no room for now, the message waits in its slot:
mostly what others have reserved comes back within seconds, because a call costs a fraction of its bound.
"""

from decimal import Decimal
from typing import Final, TypeAlias, assert_never

import attrs
import trio

from trioqueue.domain.budgets import (
    BudgetReserved,
    BudgetSpent,
    Estimate,
    Price,
    Refusal,
    RunStopped,
    estimated,
    owed,
    price_of,
)
from trioqueue.domain.completions import NOTHING_SPENT, Completion, CompletionRequest, Usage
from trioqueue.domain.facts import SpendReserved, Verdict
from trioqueue.domain.messages import Claim
from trioqueue.worker.ledger import ClaimLost, Ledger

ASK_AGAIN: Final = 1.0
"""Seconds between two looks whether what others have reserved has come back."""

SNOOZE: Final = 5.0
"""Seconds that a message is snoozed for when waiting took the time that it had."""

Prices: TypeAlias = dict[str, Decimal]
"""The dearest token of each model in US dollars, as far as this worker knows."""


@attrs.define(eq=False)
class Spending:
    """One message's part in the budgets.

    Attributes:
        claim: The right to work on the message.
        ledger: Where all of it is made durable.
        prices: Those of this worker.
        counted: What budgets count of the message so far.
        waited: Whether it had to wait for what others had reserved.
    """

    claim: Claim
    ledger: Ledger
    prices: Prices
    counted: Usage
    waited: bool = False
    _granted: Estimate | None = None
    _price: Price | None = None
    _settled: bool = True

    async def reserve(self, request: CompletionRequest, *, until: float) -> Refusal | None:
        """Reserve what a call may cost, unless what was reserved for an attempt that cost nothing is enough.

        Args:
            request: The call.
            until: When to wait no longer for what others have reserved.

        Returns:
            Why the call must not be made; None when it may.

        Raises:
            ClaimLost: The message belongs to another worker now.
        """
        while True:
            estimate = estimated(request, self.prices.get(request.model))
            refusal = None if estimate == self._granted else await self._ask(estimate)
            if not isinstance(refusal, BudgetReserved) or trio.current_time() + ASK_AGAIN >= until:
                return refusal
            self.waited = True
            await trio.sleep(ASK_AGAIN)

    async def _ask(self, estimate: Estimate) -> Refusal | None:
        fact = SpendReserved(self.claim, self.counted, estimate, self._price)
        self._granted, self._settled = None, False
        verdict = await self.ledger.record(fact)
        self._price = None
        self._settled = verdict is not Verdict.DURABLE
        match verdict:
            case Verdict.DURABLE:
                self._granted = estimate
                return None
            case Verdict.BUDGET_RESERVED:
                return BudgetReserved(SNOOZE)
            case Verdict.BUDGET_SPENT:
                return BudgetSpent(estimate)
            case Verdict.RUN_STOPPED:
                return RunStopped()
            case Verdict.CLAIM_LOST:
                raise ClaimLost(f"message {self.claim.message_id} belongs to another worker now")
            case Verdict.LEAD_OPTED_OUT | Verdict.TAKEN_OVER:
                raise AssertionError("only intents are refused for what the lead wants")
            case _:
                assert_never(verdict)

    def count(self, model: str, completion: Completion | None) -> None:
        """Count a call that was reserved; None when it was given up under way."""
        cost = owed(completion, self._granted)
        if cost != NOTHING_SPENT:
            self.counted += cost
            self._granted = None
        price = None if completion is None else price_of(model, completion.usage)
        if price is not None and price.usd_per_token > self.prices.get(model, Decimal(-1)):
            self.prices[model] = price.usd_per_token
            self._price = price

    def facts(self) -> tuple[SpendReserved, ...]:
        """What the store does not know yet; gives back what is reserved. Told together with what came of the calls."""
        return () if self._settled else (SpendReserved(self.claim, self.counted, None, self._price),)

    def settle(self) -> None:
        """Take note that what `facts` returned is durable."""
        self._granted, self._price, self._settled = None, None, True
