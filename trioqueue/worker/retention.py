"""Removes what has been over for long, where the settings say for how long it is kept.

Any worker does it for all, in small batches with pauses between them, so that claims and commits find room.
"""

from typing import Final

import attrs
import structlog
import trio

from trioqueue.ports import Store, StoreUnavailable

INTERVAL: Final = 3600.0
"""Seconds between two looks."""

PAUSE: Final = 0.2
"""Seconds between two batches."""

log = structlog.get_logger(__name__)


@attrs.frozen
class Retention:
    """One look after another.

    Attributes:
        store: Where the messages are.
        days: How long they are kept after their run was over.
    """

    store: Store
    days: int

    async def run(self) -> None:
        """Look at once and then at each interval, until cancelled."""
        while True:
            await self.run_once()
            await trio.sleep(INTERVAL)

    async def run_once(self) -> None:
        """Remove all that has been over for long enough; may be cancelled between any two batches."""
        total = 0
        try:
            while removed := await self.store.prune(self.days):
                total += removed
                await trio.sleep(PAUSE)
        except StoreUnavailable as error:
            log.warning("what is over could not be removed", error=str(error))
        finally:
            if total:
                log.info("removed what was over", rows=total, days=self.days)
