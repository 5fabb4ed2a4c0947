"""What any worker does for all.

It rescues the messages of dead workers, skips what is too old, adopts queued messages, postpones those whose model
is left alone for long, and lets runs go on that waited for the next day's budget.
"""

from collections.abc import Collection
from typing import Final
from uuid import UUID

import attrs
import structlog
import trio

from trioqueue.ports import Store, StoreUnavailable
from trioqueue.worker.gates import Gates
from trioqueue.worker.tally import Tally

INTERVAL: Final = 5.0
"""Seconds between two rounds: a dead worker's messages are taken within its lease and this."""

log = structlog.get_logger(__name__)


@attrs.frozen
class Upkeep:
    """One round after another.

    Attributes:
        store: Where the messages are.
        owner: The incarnation of this worker.
        held: The messages that it works on, as they are at each round.
        gates: Know which models are left alone for long.
        idempotent: Whether the gateway takes the same part twice as one.
        skip_after: Seconds after which a due message is skipped.
        tally: Counts the skipped.
    """

    store: Store
    owner: UUID
    held: Collection[UUID]
    gates: Gates
    idempotent: bool
    skip_after: float
    tally: Tally

    async def run_once(self) -> None:
        """One round.

        Raises:
            StoreUnavailable: The store is away; what was done of the round is done.
        """
        rescued = await self.store.rescue(idempotent=self.idempotent, worker=self.owner, held=self.held)
        if rescued.released or rescued.unconfirmed:
            log.warning("rescued messages that nobody worked on", **attrs.asdict(rescued))
        await self.store.adopt_queued()
        if resumed := await self.store.resume_runs():
            log.info("runs go on with another day's budget", count=resumed)
        if waits := self.gates.long_waits():
            await self.store.postpone(waits)
        skipped = await self.store.skip_old(self.skip_after)
        self.tally.skipped += skipped
        if skipped:
            log.warning("skipped messages that were due too long ago", count=skipped)

    async def run(self) -> None:
        """Rounds until cancelled, the first after an interval."""
        while True:
            await trio.sleep(INTERVAL)
            try:
                await self.run_once()
            except StoreUnavailable as error:
                log.warning("upkeep waits for the store", error=str(error))
