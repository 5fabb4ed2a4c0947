"""The heartbeat: one row a worker, which is the lease of all its claims.

The database's clock decides whether a lease has run out, so clocks of different machines do not matter. The worker
judges its own lease by the monotonic clock, from before the last beat was written: it stops sending while others may
at the earliest take its messages, also after it was suspended.
"""

import math
from collections.abc import Callable
from typing import Final

import structlog
import trio

from trioqueue.domain.messages import Incarnation
from trioqueue.ports import Outlook, Store, StoreUnavailable
from trioqueue.worker.reconnect import reconnect_waits

MARGIN: Final = 0.1
"""The part of the lease that is not relied on: it covers the time between looking at the lease and sending."""

log = structlog.get_logger(__name__)


class Heartbeat:
    """Writes the heartbeat, knows whether the lease still holds, and tells what is to come.

    Args:
        store: Where it is written.
        worker: Whose it is.
        interval: Seconds between two beats.
        heard: Told with each beat what is to come.
    """

    def __init__(self, store: Store, worker: Incarnation, interval: float, heard: Callable[[Outlook], object]) -> None:
        self._store = store
        self._worker = worker
        self._interval = interval
        self._heard = heard
        self._beaten_at = -math.inf

    @property
    def held_until(self) -> float:
        """Until when, by trio's clock, nobody takes the messages that this worker holds now."""
        return self._beaten_at + self._worker.lease * (1 - MARGIN)

    def holds(self) -> bool:
        """Whether the lease runs now. It may have lapsed in between: see `held_until`."""
        return trio.current_time() < self.held_until

    async def beat(self) -> Outlook:
        """Write one heartbeat, and say what is to come.

        Raises:
            StoreUnavailable: It could not be written; the lease runs on from the last one.
        """
        began = trio.current_time()
        outlook = await self._store.beat(self._worker)
        self._beaten_at = max(began, self._beaten_at)
        self._heard(outlook)
        return outlook

    async def run(self) -> None:
        """Beat until cancelled, an interval after the last beat; while the store is away, more often."""
        waits = reconnect_waits()
        while True:
            await trio.sleep_until(self._beaten_at + self._interval)
            if trio.current_time() < self._beaten_at + self._interval:
                continue  # the intake has beaten meanwhile
            try:
                await self.beat()
            except StoreUnavailable as error:
                log.warning("the heartbeat could not be written", error=str(error), lease_holds=self.holds())
                await trio.sleep(min(next(waits), self._interval))
            else:
                waits = reconnect_waits()
