"""The heartbeat: one row a worker, which is the lease of all its claims.

The database's clock decides whether a lease has run out, so clocks of different machines do not matter. The worker
judges its own lease by the monotonic clock, from before the last beat was written: it stops sending while others may
at the earliest take its messages, also after it was suspended.
"""

from typing import Final

import structlog
import trio

from trioqueue.domain.messages import Incarnation
from trioqueue.ports import Store, StoreUnavailable
from trioqueue.worker.reconnect import reconnect_waits

MARGIN: Final = 0.1
"""The part of the lease that is not relied on: it covers the time between looking at the lease and sending."""

log = structlog.get_logger(__name__)


class Heartbeat:
    """Writes the heartbeat and knows whether the lease still holds."""

    def __init__(self, store: Store, worker: Incarnation, interval: float) -> None:
        self._store = store
        self._worker = worker
        self._interval = interval
        self._held_until = -1.0

    @property
    def held_until(self) -> float:
        """Until when, by trio's clock, nobody takes the messages that this worker holds now."""
        return self._held_until

    def holds(self) -> bool:
        """Whether the lease runs now. It may have lapsed in between: see `held_until`."""
        return trio.current_time() < self._held_until

    async def beat(self) -> None:
        """Write one heartbeat.

        Raises:
            StoreUnavailable: It could not be written; the lease runs on from the last one.
        """
        began = trio.current_time()
        await self._store.beat(self._worker)
        self._held_until = began + self._worker.lease * (1 - MARGIN)

    async def run(self) -> None:
        """Beat at each interval until cancelled; while the store is away, more often."""
        waits = reconnect_waits()
        wait = self._interval
        while True:
            await trio.sleep(wait)
            try:
                await self.beat()
            except StoreUnavailable as error:
                wait = min(next(waits), self._interval)
                log.warning("the heartbeat could not be written", error=str(error), lease_holds=self.holds())
            else:
                waits = reconnect_waits()
                wait = self._interval
