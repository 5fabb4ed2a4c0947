"""The intake: waits for free slots, claims just that many messages, and starts each in the nursery.

Slots are taken before rows are claimed, so no message is held that nobody works on; a freed slot is refilled at once,
never when the slowest of a batch is done. Mostly the ledger refills it, in the commit of the message that frees it.
"""

import math
import random
from typing import Final
from uuid import UUID

import attrs
import structlog
import trio

from trioqueue.domain.messages import ClaimedMessage
from trioqueue.ports import Store, StoreUnavailable
from trioqueue.worker.drain import Drain
from trioqueue.worker.heartbeat import Heartbeat
from trioqueue.worker.pipeline import Pipeline
from trioqueue.worker.quota import Quota
from trioqueue.worker.reconnect import reconnect_waits
from trioqueue.worker.tally import Tally

POLL_JITTER: Final = 0.25
"""The part of the polling interval that is taken off at random, so that many workers do not ask in step."""

SHORTEST_WAIT: Final = 0.05
"""Seconds of the shortest idle wait, for what came due after it was claimed and before it was looked for."""

log = structlog.get_logger(__name__)


@attrs.define(eq=False)
class Slot:
    """A place for one message in flight: what borrows from the limiter."""


class Wakeup:
    """Tells an idle intake to look again; polling is the truth, this only makes it earlier."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def wake(self) -> None:
        """Look again: ends the present wait, or the next one."""
        self._event.set()

    def clear(self) -> None:
        """Forget earlier wake-ups; called before looking, so that one that comes meanwhile is not lost."""
        if self._event.is_set():
            self._event = trio.Event()

    async def wait(self) -> None:
        """Wait to be woken."""
        await self._event.wait()


@attrs.frozen(eq=False)
class Intake:
    """Keeps the slots filled.

    Attributes:
        store: Where messages are claimed.
        heartbeat: Tells when the next message is due.
        quota: How many may be claimed.
        pipeline: What takes a message to its end.
        limiter: Bounds the messages in flight.
        drain: Ends the intake.
        tally: Counts the claimed.
        wakeup: Ends an idle wait early.
        batch_size: Most messages of one claim.
        poll_interval: Most seconds of an idle wait.
        chance: Where the jitter comes from.
        held: The messages in flight.
    """

    store: Store
    heartbeat: Heartbeat
    quota: Quota
    pipeline: Pipeline
    limiter: trio.CapacityLimiter
    drain: Drain
    tally: Tally
    wakeup: Wakeup
    batch_size: int
    poll_interval: float
    chance: random.Random
    held: set[UUID]

    async def run(self, nursery: trio.Nursery) -> None:
        """Claim until the drain begins, with a pause where nothing is due."""
        while not self.drain.begun:
            self.wakeup.clear()
            if not await self.fill(nursery, self.batch_size):
                await self._idle()

    async def _idle(self) -> None:
        """Wait to be woken or until something is due, and look again at each polling interval.

        What is due at first could not be claimed, because others hold it or its models are avoided: the longer that has
        been so, the longer it is left alone.
        """
        wait = abs(await self._look())
        while not self.drain.begun:
            poll = self.poll_interval * (1 - POLL_JITTER * self.chance.random())
            with self.drain.bounded(min(max(SHORTEST_WAIT, wait), poll)) as scope:
                await self.wakeup.wait()
            if wait <= poll or not scope.cancelled_caught:
                return
            wait = max(0.0, await self._look())

    async def _look(self) -> float:
        """Seconds until the next message is due; infinity when none is, and while the store is away."""
        try:
            return (await self.heartbeat.beat()).due
        except StoreUnavailable as error:
            log.warning("the intake waits for the store", error=str(error))
            return math.inf

    async def run_batch(self, nursery: trio.Nursery) -> None:
        """Claim one batch, or what is due of it."""
        self.quota.limit(self.batch_size)
        await self.run_until_empty(nursery)

    async def run_until_empty(self, nursery: trio.Nursery) -> None:
        """Claim until nothing is due, or nothing may be claimed any more.

        While models are avoided for the messages that wait for them already, more may be due than was claimed: then it
        is asked again when one of those has ended.
        """
        while not self.quota.used_up:
            self.wakeup.clear()
            if await self.fill(nursery, self.batch_size):
                continue
            if self.drain.begun or not (self.held and self.quota.avoided):
                return
            with self.drain.bounded(self.poll_interval):
                await self.wakeup.wait()

    async def fill(self, nursery: trio.Nursery, most: int) -> int:
        """Wait for a slot, claim for all that are free, and start what was claimed.

        Returns:
            How many messages were claimed; 0 when nothing is due, or when the drain has begun.
        """
        slots = await self._take_slots(most)
        claimed: list[ClaimedMessage] = []
        try:
            claimed = await self._claim(len(slots))
        finally:
            for slot in slots[len(claimed) :]:
                self.limiter.release_on_behalf_of(slot)
        for slot, message in zip(slots, claimed, strict=False):
            nursery.start_soon(self._use_slot, slot, message)
        return len(claimed)

    async def _take_slots(self, most: int) -> list[Slot]:
        slots = [Slot()]
        await self.limiter.acquire_on_behalf_of(slots[0])
        while len(slots) < most and self.limiter.available_tokens >= 1:
            slots.append(Slot())
            self.limiter.acquire_on_behalf_of_nowait(slots[-1])
        return slots

    async def _claim(self, count: int) -> list[ClaimedMessage]:
        for wait in reconnect_waits():
            if wanted := self.quota.reserve(count):
                claimed: list[ClaimedMessage] = []
                try:
                    claimed = list(await self.store.claim(self.quota.owner, wanted, self.quota.avoided))
                except StoreUnavailable as error:
                    log.warning("the intake waits for the store", error=str(error), wait=wait)
                else:
                    return claimed
                finally:
                    self.quota.give_back(wanted - len(claimed))
            if self.drain.begun or self.quota.used_up:
                break
            with self.drain.bounded(wait):
                await trio.sleep(wait)
        return []

    async def _use_slot(self, slot: Slot, message: ClaimedMessage | None) -> None:
        """Work on one message after another, as long as each is followed by one."""
        try:
            while message is not None:
                self.tally.claimed += 1
                message = await self._process(message)
        finally:
            self.limiter.release_on_behalf_of(slot)
            if self.quota.avoided:
                self.wakeup.wake()

    async def _process(self, message: ClaimedMessage) -> ClaimedMessage | None:
        self.held.add(message.claim.message_id)
        try:
            return await self.pipeline.process(message)
        finally:
            self.held.discard(message.claim.message_id)
