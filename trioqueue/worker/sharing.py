"""What workers of one account tell each other of their models' gates, through the store.

What one worker finds is told at once, and all ask several times a second while they have messages in flight; a worker
that was idle asks before its first call. So within a second no worker calls a model that one of them found shut. Who
may probe is decided by the store, which all of them ask. While the store is away each acts on what it knows, and
nobody probes.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

import structlog
import trio

from trioqueue.domain.gates import OPEN, Gate, GateNews, SharedGate
from trioqueue.ports import Store, StoreUnavailable
from trioqueue.worker.door import Door, Probe

INTERVAL: Final = 0.8
"""Seconds between two looks at what other workers have told, while messages are in flight."""

STALE: Final = 2 * INTERVAL
"""Seconds after which the last look is too old to call a model by it."""

log = structlog.get_logger(__name__)


class GateSharing:
    """Tells of the doors of this worker, and hears of those of the others.

    Args:
        store: Through which workers tell each other.
        worker: The incarnation of this worker.
        account: Whose limits the gates are about.
        held: The messages in flight; while there are none, nobody asks.
        doors: By model.
    """

    def __init__(
        self, store: Store, worker: UUID, account: str, held: Collection[UUID], doors: defaultdict[str, Door]
    ) -> None:
        self._store = store
        self._worker = worker
        self._account = account
        self._held = held
        self._doors = doors
        self._looked_at = -math.inf
        self._looked = trio.Event()
        self._wanted = trio.Event()
        self._away = False

    def share_soon(self) -> None:
        """Tell and ask now rather than at the next interval."""
        self._wanted.set()

    @property
    def stale(self) -> bool:
        """Whether the last look is too old to call a model by it."""
        return trio.current_time() > self._looked_at + STALE

    async def look(self, until: float) -> bool:
        """Look again, because the last look is stale; wait for it until a time. Returns whether there has been one."""
        with trio.move_on_at(until):
            while self.stale:
                self.share_soon()
                await self._looked.wait()
        return not self.stale

    async def run(self) -> None:
        """Tell and ask until cancelled."""
        while True:
            with trio.move_on_after(INTERVAL if self._held else math.inf):
                await self._wanted.wait()
            self._wanted = trio.Event()
            await self._share()

    async def _share(self) -> None:
        news = self._news()
        try:
            gates = await self._store.share_gates(self._worker, self._account, news)
        except StoreUnavailable as error:
            if not self._away:
                log.warning("other workers cannot be told of limits", error=str(error))
            self._away = True
            self._retell(news)
        else:
            self._away = False
            self._hear(gates)
        self._looked_at = trio.current_time()
        self._looked.set()
        self._looked = trio.Event()

    def _news(self) -> GateNews:
        now = trio.current_time()
        told = [(model, door) for model, door in self._doors.items() if door.untold]
        for _, door in told:
            door.untold = False
        return GateNews(
            shut=[_shared(model, door.gate, now) for model, door in told if not door.gate.is_open],
            opened=[model for model, door in told if door.gate.is_open],
            probes=[model for model, door in self._doors.items() if door.probe is Probe.WANTED],
        )

    def _retell(self, news: GateNews) -> None:
        for model in (*(gate.model for gate in news.shut), *news.opened):
            self._doors[model].untold = True

    def _hear(self, gates: Sequence[SharedGate]) -> None:
        shut = {gate.model: gate for gate in gates}
        for model in {*self._doors, *shut}:
            door = self._doors[model]
            if not door.untold:  # what was found meanwhile is newer
                self._hear_one(door, shut.get(model))

    def _hear_one(self, door: Door, told: SharedGate | None) -> None:
        if told is None:
            if not door.gate.is_open:
                log.info("a model is called again")
                door.set(OPEN)
        elif told.prober == self._worker and door.probe is Probe.WANTED:
            door.grant()
        elif door.probe is not Probe.UNDER_WAY:
            now = trio.current_time()
            if told.seconds > 0 or door.gate.remaining(now) > 0 or door.gate.is_open:
                door.set(Gate(now + told.seconds, told.cause, told.reason, told.trips))


def _shared(model: str, gate: Gate, now: float) -> SharedGate:
    return SharedGate(model, gate.remaining(now), gate.cause, gate.reason, gate.trips)
