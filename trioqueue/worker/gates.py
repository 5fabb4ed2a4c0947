"""The gates of all models: where every call of a model passes (SPEC 4.3)."""

from collections import defaultdict
from collections.abc import Collection
from typing import Final
from uuid import UUID

import attrs
import structlog
import trio

from trioqueue.domain.attempts import WaitLonger
from trioqueue.domain.backoff import LONGEST_WAIT
from trioqueue.domain.completions import Completion
from trioqueue.domain.gates import Cause, Gate
from trioqueue.ports import Store
from trioqueue.worker.door import Door, Probe
from trioqueue.worker.sharing import GateSharing
from trioqueue.worker.standstill import Standstill

LEAST_TIME: Final = 1 / 6
"""The part of a call's time-out that must be left after a wait: a call that will be cut is not worth its price."""

BRIEFLY: Final = 1.0
"""Seconds that a message is snoozed for when it waited at a gate that may open at any moment."""

log = structlog.get_logger(__name__)


@attrs.frozen
class Passage:
    """The right to make one call."""

    door: Door
    probe: bool
    waited: bool


class Gates:
    """One worker's way to its models.

    Args:
        store: Through which workers tell each other.
        worker: The incarnation of this worker.
        account: Whose limits the gates are about.
        held: The messages in flight.
        standstill: Knows whether the store takes what calls come to.
        concurrency: The most calls under way to one model.
        adaptive: Whether rate limits lower that.
        patience: Seconds that a message can wait before its calls.

    Attributes:
        sharing: What is to run beside the calls.
    """

    def __init__(
        self,
        store: Store,
        worker: UUID,
        account: str,
        held: Collection[UUID],
        standstill: Standstill,
        *,
        concurrency: int,
        adaptive: bool,
        patience: float,
    ) -> None:
        self._doors: defaultdict[str, Door] = defaultdict(lambda: Door(concurrency, adaptive))
        self._patience = patience
        self._standstill = standstill
        self.sharing = GateSharing(store, worker, account, held, self._doors)

    async def enter(self, model: str, *, timeout: float, patient: bool = True) -> Passage | WaitLonger:
        """Wait until the model may be called.

        Args:
            model: The model.
            timeout: Seconds of the call.
            patient: Whether to wait until faults of the service have ended, if that fits.

        Returns:
            The passage, to be left with `leave`; or how much longer to wait when that does not fit into the time of
            the surrounding scope, or is longer than is waited for inside a call.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        latest = trio.current_effective_deadline() - timeout * LEAST_TIME
        if self._standstill.begun and await self._standstill.lasts(latest):
            return WaitLonger(BRIEFLY, "the store does not take what the call would come to")
        if self.sharing.stale and not await self.sharing.look(latest):
            return WaitLonger(BRIEFLY, "the store does not say whether the model may be called")
        door = self._doors[model]
        waited = bool(door.waiting) and door.gate.is_open
        if waited:
            await door.wait(latest)
        while not door.admits():
            refusal = _refusal(door.gate, latest, patient=patient)
            if refusal is not None:
                door.pass_on()
                return refusal
            waited = True
            await self._wait(door, latest)
        return Passage(door, door.enter(), waited)

    def leave(self, passage: Passage, completion: Completion | None, wait: float) -> None:
        """Tell what came of a call that passed; None when it was given up.

        Args:
            passage: The call's.
            completion: What came of it.
            wait: Seconds that a rate limit is to be waited out; not looked at otherwise.
        """
        door = passage.door
        was_open = door.gate.is_open
        door.leave(completion, wait, probe=passage.probe)
        if was_open and not door.gate.is_open:
            log.warning("a model is left alone", **_described(door.gate))
        if door.untold:
            self.sharing.share_soon()

    def shut_by_faults(self, model: str) -> float:
        """Seconds for which faults of the service keep the model's gate shut; 0 when they do not."""
        gate = self._doors[model].gate
        return gate.remaining(trio.current_time()) if gate.cause is Cause.FAULTS else 0.0

    def avoided(self) -> list[str]:
        """Models for which nothing more should be claimed: it would only be snoozed, or wait behind others."""
        now = trio.current_time()
        return [
            model for model, door in self._doors.items() if door.crowded or door.gate.remaining(now) > self._patience
        ]

    def long_waits(self) -> dict[str, float]:
        """Models that are shut for longer than is waited for inside a call, and the seconds."""
        now = trio.current_time()
        waits = {model: door.gate.remaining(now) for model, door in self._doors.items()}
        return {model: wait for model, wait in waits.items() if wait > LONGEST_WAIT}

    async def _wait(self, door: Door, latest: float) -> None:
        until = latest
        if not door.gate.is_open:
            remaining = door.gate.remaining(trio.current_time())
            if remaining > 0:
                until = min(latest, trio.current_time() + remaining)
            elif door.probe is Probe.NONE:
                door.probe = Probe.WANTED
                self.sharing.share_soon()
        await door.wait(until)


def _refusal(gate: Gate, latest: float, *, patient: bool) -> WaitLonger | None:
    now = trio.current_time()
    wait = gate.remaining(now)
    hopeless = gate.cause is Cause.FAULTS and not patient
    if wait > 0 and (wait > LONGEST_WAIT or now + wait > latest or hopeless):
        return WaitLonger(wait, gate.reason, gate.cause)
    if now >= latest:
        return WaitLonger(BRIEFLY, gate.reason or "other messages are waiting for the model", gate.cause)
    return None


def _described(gate: Gate) -> dict[str, object]:
    seconds = round(gate.remaining(trio.current_time()), 1)
    return {"seconds": seconds, "cause": gate.cause, "reason": gate.reason}
