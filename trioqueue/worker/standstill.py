"""Standing still: while the store takes no facts, nothing is claimed and no model is paid.

A text that cannot be stored is paid for in vain, so after a fact that could not be written no message is claimed and
no model is called until one has been written again. What was told is told again meanwhile, which costs nothing and
finds out. Where nothing is left to tell, one message is claimed: it is told to wait, because the model must not be
called, and that is a fact as well.
"""

from collections.abc import Collection
from typing import Final
from uuid import UUID

import structlog
import trio

from trioqueue.ports import StoreUnavailable

LONGEST_STAND: Final = 5.0
"""Most seconds that a message waits for its call, as long as the store's longest back-off: most outages are shorter.
Then it is put back, which is the fact that finds out."""

REMINDER: Final = 60.0
"""Seconds between two log lines about the same standstill, and after which a refusal says nothing of the present: what
is told is told again within them."""

log = structlog.get_logger(__name__)


class Standstill:
    """Whether the store takes facts.

    Args:
        held: The messages in flight.

    Attributes:
        taken: Commits that wrote something.
    """

    def __init__(self, held: Collection[UUID]) -> None:
        self.taken = 0
        self._refusal: Exception | None = None
        self._failed_at = 0.0
        self._held = held
        self._began_at: float | None = None
        self._told_at = 0.0
        self._over = trio.Event()

    @property
    def begun(self) -> bool:
        """Whether the last fact that was told could not be written."""
        return self._began_at is not None

    @property
    def refusal(self) -> Exception | None:
        """Why the store refuses facts at present; None when it takes them, is only away, or was told none lately."""
        return self._refusal if trio.current_time() < self._failed_at + REMINDER else None

    def begin(self, error: Exception) -> None:
        """Stand still, because a fact could not be written. Called again at each attempt that fails."""
        now = trio.current_time()
        self._refusal = None if isinstance(error, StoreUnavailable) else error
        self._failed_at = now
        if self._began_at is None:
            self._began_at = self._told_at = now
            log.warning(
                "the store takes no facts: until it does, nothing is claimed and no model called", error=str(error)
            )
        elif now >= self._told_at + REMINDER:
            self._told_at = now
            log.error("the store still takes no facts", seconds=round(now - self._began_at), error=str(error))

    def answered(self, *, wrote: bool) -> None:
        """Take note of a commit that came through: the end, unless facts are refused and it wrote none."""
        self.taken += wrote
        if self._began_at is None or not (wrote or self._refusal is None):
            return
        log.info("the store takes facts again", seconds=round(trio.current_time() - self._began_at, 1))
        self._began_at = self._refusal = None
        self._over.set()
        self._over = trio.Event()

    def claimable(self, count: int) -> int:
        """How many of so many messages may be claimed: one at most, and only when none is left to tell of."""
        if not self.begun:
            return count
        return 0 if self._held else min(count, 1)

    async def lasts(self, until: float) -> bool:
        """Wait for the end, until a time and not for long, and say whether it has not come."""
        with trio.move_on_at(min(until, trio.current_time() + LONGEST_STAND)):
            while self.begun:
                await self._over.wait()
        return self.begun
