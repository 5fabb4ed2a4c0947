"""How many messages may still be claimed: asked before every claim, by the intake and by the ledger alike."""

import math
from collections.abc import Collection
from uuid import UUID

from trioqueue.worker.drain import Drain
from trioqueue.worker.gates import Gates
from trioqueue.worker.heartbeat import Heartbeat
from trioqueue.worker.standstill import Standstill


class Quota:
    """Nothing is claimed once the drain has begun, nor without a lease: another worker could take it at once.

    While the store takes no facts, next to nothing is.

    Args:
        owner: The incarnation that claims.
        drain: Ends the claims.
        heartbeat: Knows whether the lease holds.
        gates: Know which models are to be avoided.
        standstill: Knows whether the store takes facts.
    """

    def __init__(self, owner: UUID, drain: Drain, heartbeat: Heartbeat, gates: Gates, standstill: Standstill) -> None:
        self.owner = owner
        self._gates = gates
        self._drain = drain
        self._heartbeat = heartbeat
        self._standstill = standstill
        self._left = math.inf

    def limit(self, count: int) -> None:
        """Allow so many messages from now on: those of one batch."""
        self._left = count

    @property
    def used_up(self) -> bool:
        """Whether no message may be claimed any more, whatever happens."""
        return self._left <= 0

    @property
    def avoided(self) -> Collection[str]:
        """Models for which nothing is to be claimed."""
        return self._gates.avoided()

    def reserve(self, count: int) -> int:
        """Take up to `count` of what is left, and return how many may be claimed now."""
        if self._drain.begun or not self._heartbeat.holds():
            return 0
        granted = int(min(self._standstill.claimable(count), self._left))
        self._left -= granted
        return granted

    def give_back(self, count: int) -> None:
        """Return what was reserved and then not claimed."""
        self._left += count
