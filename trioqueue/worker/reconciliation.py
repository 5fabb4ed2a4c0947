"""Settles parts of unknown fate by asking the gateway, where it can be asked.

Any worker does it for all. The store gives a part to one asker at a time and lets it rest longer after each look-up, so
that one which cannot be told does not keep a gateway busy; it is left to a person.
"""

from collections.abc import Callable
from typing import Final

import attrs
import structlog
import trio

from trioqueue.domain.lookups import CannotTell, LookedUp, SettledPart, UnknownPart, settled
from trioqueue.domain.states import MessageStatus, PartStatus
from trioqueue.ports import Lookup, Store, StoreUnavailable

INTERVAL: Final = 30.0
"""Seconds between two rounds; a part is asked about for the first time a minute after it became unknown."""

ASKED_AT_ONCE: Final = 20
"""Most parts of a round; they are asked about together."""

log = structlog.get_logger(__name__)


@attrs.frozen
class Reconciliation:
    """One round after another, apart from the upkeep: a gateway that is slow to answer must not delay a rescue.

    Attributes:
        store: Where the parts are.
        lookup: What is asked.
        timeout: Seconds for each look-up.
        wake: Called when a message is due again.
    """

    store: Store
    lookup: Lookup
    timeout: float
    wake: Callable[[], None]

    async def run_once(self) -> None:
        """One round.

        Raises:
            StoreUnavailable: The store is away; parts that were asked about are asked about again, later.
        """
        unknown = await self.store.take_unknown(ASKED_AT_ONCE)
        found: list[SettledPart] = []
        async with trio.open_nursery() as nursery:
            for part in unknown:
                nursery.start_soon(self._ask, part, found)
        if not found:
            return
        became = await self.store.settle_unknown(found)
        arrived = sum(part.status is PartStatus.SENT for part in found)
        log.info("the gateway told of unknown parts", arrived=arrived, not_arrived=len(found) - arrived)
        if MessageStatus.PENDING in became:
            self.wake()

    async def run(self) -> None:
        """Rounds until cancelled, the first after an interval."""
        while True:
            await trio.sleep(INTERVAL)
            try:
                await self.run_once()
            except StoreUnavailable as error:
                log.warning("reconciliation waits for the store", error=str(error))

    async def _ask(self, unknown: UnknownPart, found: list[SettledPart]) -> None:
        looked_up = await self._look_up(unknown)
        if isinstance(looked_up, CannotTell):
            key = unknown.part.idempotency_key
            log.warning("the gateway cannot tell what became of a part", part=key, reason=looked_up.reason)
        if (part := settled(unknown, looked_up)) is not None:
            found.append(part)

    async def _look_up(self, unknown: UnknownPart) -> LookedUp:
        try:
            return await self.lookup.look_up(unknown.part, unknown.intended_at, timeout=self.timeout)
        except Exception as error:  # noqa: BLE001 - a defect of the adapter says nothing of the part
            return CannotTell(f"the look-up failed: {type(error).__name__}")
