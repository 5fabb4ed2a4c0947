"""The flags of a run's budget, and how budgets are shown."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, TypeAlias

from cyclopts import Parameter, Token

from trioqueue.cli.numbers import WHOLE
from trioqueue.domain.budgets import BUDGET_WORDS, Budget, dollars
from trioqueue.domain.words import counted


def _dollars(_kind: Any, tokens: Sequence[Token]) -> Decimal:
    [token] = tokens
    try:
        return Decimal(token.value.strip())
    except InvalidOperation:
        raise ValueError(f"{token.value!r} is no budget in US dollars: allowed is {BUDGET_WORDS}") from None


MaxCost: TypeAlias = Annotated[
    Decimal | None, Parameter(converter=_dollars, help="Most US dollars that the run may spend on models.")
]
MaxTokens: TypeAlias = Annotated[int | None, WHOLE, Parameter(help="Most tokens that the run may use.")]


def as_json(budget: Budget) -> dict[str, Any] | None:
    """A budget for programs; None where there is no limit."""
    if not budget.limits.any:
        return None
    return {
        "max_tokens": budget.limits.max_tokens,
        "max_cost_usd": budget.limits.max_cost_usd,
        "counted_tokens": budget.counted.tokens,
        "counted_cost_usd": f"{budget.counted.cost_usd.normalize():f}",
        "reserved_tokens": budget.reserved.tokens,
        "reserved_cost_usd": f"{budget.reserved.cost_usd.normalize():f}",
    }


def used(budget: Budget) -> str:
    """How much of a budget is used, in words; empty where there is no limit."""
    said = []
    if budget.limits.max_cost_usd is not None:
        said.append(f"{dollars(budget.counted.cost_usd)} of {dollars(budget.limits.max_cost_usd)}")
    if budget.limits.max_tokens is not None:
        said.append(f"{budget.counted.tokens} of {counted(budget.limits.max_tokens, 'token')}")
    return ", ".join(said)


def used_in_full(budget: Budget, answered: Decimal) -> str:
    """As `used`, with what is reserved for calls under way, and what is counted for calls that nobody answered.

    Args:
        budget: The budget of a run.
        answered: What the answers that came have cost in US dollars.
    """
    said = [used(budget)]
    if budget.reserved.tokens:
        bounds = [counted(budget.reserved.tokens, "token")]
        bounds += [dollars(budget.reserved.cost_usd)] if budget.limits.max_cost_usd is not None else []
        said.append(f"at most {', '.join(bounds)} more for calls under way")
    unanswered = budget.counted.cost_usd - answered
    if budget.limits.max_cost_usd is not None and unanswered >= Decimal("0.000001"):
        said.append(f"{dollars(unanswered)} of it for calls that may have been paid without an answer")
    return "; ".join(said)
