"""How many calls of a model may be under way: additive increase, multiplicative decrease, as TCP does (RFC 5681)."""

from typing import Final

LEAST: Final = 1.0
"""With less nothing would ever succeed again."""


def increased(limit: float, most: int) -> float:
    """The limit after a call that succeeded: one more for every round of as many calls as it allows."""
    return min(limit + 1 / limit, float(most))


def halved(limit: float) -> float:
    """The limit after a rate limit, once for each cool-down."""
    return max(limit / 2, LEAST)
