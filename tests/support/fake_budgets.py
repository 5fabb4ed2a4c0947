"""The budgets of the store in memory: the rule of domain/budgets.py, for one fact after another."""

from decimal import Decimal
from typing import Final
from uuid import UUID

import attrs

from trioqueue.domain.budgets import NO_LIMITS, Answer, Budget, Budgets, Estimate, Limits
from trioqueue.domain.completions import Usage
from trioqueue.domain.facts import SpendReserved, Verdict

VERDICTS: Final = {
    Answer.GRANTED: Verdict.DURABLE,
    Answer.RESERVED: Verdict.BUDGET_RESERVED,
    Answer.SPENT: Verdict.BUDGET_SPENT,
}


@attrs.define(eq=False)
class FakeBudgets:
    """The budgets of runs and of the day.

    Attributes:
        runs: By run; those that are not here have no limits.
        day: That of the day.
        prices: What a token of each model costs.
    """

    runs: dict[UUID, Budget] = attrs.field(factory=dict)
    day: Budget = attrs.field(factory=lambda: Budget(NO_LIMITS))
    prices: dict[str, Decimal] = attrs.field(factory=dict)

    def limit(self, run_id: UUID, max_tokens: int | None = None, max_cost_usd: Decimal | None = None) -> None:
        """Give a run another budget."""
        budget = self.of(run_id)
        self.runs[run_id] = attrs.evolve(budget, limits=Limits(max_tokens, max_cost_usd))

    def of(self, run_id: UUID) -> Budget:
        """The budget of a run."""
        return self.runs.get(run_id, Budget(NO_LIMITS))

    def both(self, run_id: UUID) -> Budgets:
        """The budgets that a run's calls must fit into."""
        return Budgets(self.of(run_id), self.day)

    def are_about(self, run_id: UUID) -> bool:
        """Whether a run's messages are under a budget."""
        return self.of(run_id).limits.any or self.day.limits.any

    def settle(self, run_id: UUID, reserved: Estimate | None, spent: Usage) -> None:
        """Count what a message has spent since, and give back what is reserved for it."""
        self.runs[run_id] = self.of(run_id).settling(reserved, spent)
        self.day = self.day.settling(reserved, spent)

    def ask(self, run_id: UUID, fact: SpendReserved, *, busy: bool) -> Verdict:
        """Reserve what a call may cost, if there is room."""
        if fact.price is not None:
            self.prices[fact.price.model] = max(fact.price.usd_per_token, self.prices.get(fact.price.model, Decimal(0)))
        if fact.estimate is None:
            return Verdict.DURABLE
        answer = self.both(run_id).answer(fact.estimate, busy=busy)
        if answer is Answer.GRANTED:
            self.runs[run_id] = self.of(run_id).reserving(fact.estimate)
            self.day = self.day.reserving(fact.estimate)
        return VERDICTS[answer]
