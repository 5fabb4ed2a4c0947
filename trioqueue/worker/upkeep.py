"""What any worker does for all.

It rescues the messages of dead workers, skips what is too old, adopts queued messages, postpones those whose model
is left alone for long, and lets runs go on that waited for the next day's budget.
"""

from collections.abc import Callable, Collection
from typing import Final
from uuid import UUID

import attrs
import structlog
import trio

from trioqueue.ports import Outlook, Store, StoreUnavailable
from trioqueue.worker.alarm import Alarm
from trioqueue.worker.gates import Gates
from trioqueue.worker.tally import Tally

GRACE: Final = 0.05
"""Seconds after the moment for which a round was wanted: clocks do not run alike."""

log = structlog.get_logger(__name__)


@attrs.frozen
class Upkeep:
    """A round whenever there is something to do, as the heartbeats tell.

    Attributes:
        store: Where the messages are.
        owner: The incarnation of this worker.
        held: The messages that it works on, as they are at each round.
        gates: Know which models are left alone for long.
        idempotent: Whether the gateway takes the same part twice as one.
        skip_after: Seconds after which a due message is skipped.
        tally: Counts the skipped.
        wake: Called when messages have become due.
    """

    store: Store
    owner: UUID
    held: Collection[UUID]
    gates: Gates
    idempotent: bool
    skip_after: float
    tally: Tally
    wake: Callable[[], object]
    _alarm: Alarm = attrs.field(factory=Alarm, init=False)

    def hear(self, outlook: Outlook) -> None:
        """Take note of when the next round is wanted."""
        wait = min(outlook.upkeep, outlook.due + self.skip_after)
        if outlook.due <= 0 and self.gates.long_waits():
            wait = 0.0
        self._alarm.set(trio.current_time() + max(0.0, wait) + GRACE)

    async def run_once(self) -> None:
        """One round.

        Raises:
            StoreUnavailable: The store is away; what was done of the round is done.
        """
        rescued = await self.store.rescue(idempotent=self.idempotent, worker=self.owner, held=self.held)
        if rescued.released or rescued.unconfirmed:
            log.warning("rescued messages that nobody worked on", **attrs.asdict(rescued))
        adopted = await self.store.adopt_queued()
        if resumed := await self.store.resume_runs():
            log.info("runs go on with another day's budget", count=resumed)
        if rescued.released or adopted or resumed:
            self.wake()
        if waits := self.gates.long_waits():
            await self.store.postpone(waits)
        skipped = await self.store.skip_old(self.skip_after)
        self.tally.skipped += skipped
        if skipped:
            log.warning("skipped messages that were due too long ago", count=skipped)

    async def run(self) -> None:
        """Rounds until cancelled."""
        while True:
            await self._alarm.wait()
            try:
                await self.run_once()
            except StoreUnavailable as error:
                log.warning("upkeep waits for the store", error=str(error))
