"""How often a store that is away is asked again."""

from collections.abc import Iterator
from typing import Final

FIRST_WAIT: Final = 0.1
LONGEST_WAIT: Final = 5.0
"""Seconds. A restarted server is found again within this, and an absent one is not worn out."""


def reconnect_waits() -> Iterator[float]:
    """Endless seconds to wait after each failure: doubling from a tenth of a second, at most five seconds."""
    wait = FIRST_WAIT
    while True:
        yield wait
        wait = min(2 * wait, LONGEST_WAIT)
