"""The nursery tree of a worker: services outside, messages inside.

The messages' nursery ends first, so that the ledger and the heartbeat outlive everyone who needs them. A drain that
takes longer than it may is ended by cancelling the messages' nursery; what was being sent then is left to the rescue.
A service that fails begins the drain, for to fall over at once would cut what is being sent.
"""

import math
import random
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Final
from uuid import UUID

import attrs
import structlog
import trio

from trioqueue.domain.messages import Incarnation
from trioqueue.domain.screening import ScreeningRule
from trioqueue.ports import Gateway, Lookup, Model, Store, StoreUnavailable
from trioqueue.worker.calls import ModelCalls
from trioqueue.worker.drain import Drain
from trioqueue.worker.gates import LEAST_TIME, Gates
from trioqueue.worker.heartbeat import Heartbeat
from trioqueue.worker.intake import Intake, Wakeup
from trioqueue.worker.ledger import Ledger
from trioqueue.worker.pipeline import Pipeline
from trioqueue.worker.quota import Quota
from trioqueue.worker.reconciliation import Reconciliation
from trioqueue.worker.retention import Retention
from trioqueue.worker.sender import Sender
from trioqueue.worker.standstill import Standstill
from trioqueue.worker.tally import End, Tally
from trioqueue.worker.upkeep import Upkeep
from trioqueue.worker.writer import Writer, WriterSettings

log = structlog.get_logger(__name__)

REMOVAL: Final = 5.0
"""Seconds that a one-shot run may go on removing what has been over for long when its messages are done."""

FAREWELL: Final = 5.0
"""Seconds that striking the worker off may take; without it, its lease runs out by itself."""


@attrs.frozen
class WorkerSettings:
    """What bounds a worker; times in seconds. The meaning of each stands in trioqueue/settings.py."""

    concurrency: int
    batch_size: int
    generate_timeout: float
    split_timeout: float
    send_timeout: float
    compute_timeout: float
    drain_timeout: float
    heartbeat_interval: float
    poll_interval: float
    skip_after: float
    retention_days: int | None
    adaptive_concurrency: bool
    screening_off: Collection[ScreeningRule]


class Worker:
    """Drains campaigns until it is told to stop, or until a batch is done.

    Attributes:
        tally: What became of the messages so far.
        drain: Begins the end.
        wakeup: Makes an idle worker look for due messages at once.
    """

    def __init__(
        self,
        *,
        store: Store,
        model: Model,
        gateway: Gateway,
        incarnation: Incarnation,
        settings: WorkerSettings,
        lookup: Lookup | None = None,
        wakeups: Callable[[Callable[[], None]], Awaitable[None]] | None = None,
        chance: random.Random | None = None,
    ) -> None:
        chance = chance or random.Random()  # noqa: S311 - jitter
        self.tally = Tally()
        self.drain = Drain()
        self.wakeup = Wakeup()
        self._deadline_came = False
        self._left_over = False
        self._fault: Exception | None = None
        self._store = store
        self._incarnation = incarnation
        self._settings = settings
        self._wakeups = wakeups
        held: set[UUID] = set()
        self._standstill = Standstill(held)
        self._gates = Gates(
            store,
            incarnation.id,
            model.account,
            held,
            self._standstill,
            concurrency=settings.concurrency,
            adaptive=settings.adaptive_concurrency,
            patience=settings.compute_timeout - settings.generate_timeout * LEAST_TIME,
        )
        self._upkeep = Upkeep(
            store,
            incarnation.id,
            held,
            self._gates,
            gateway.idempotent,
            settings.skip_after,
            self.tally,
            self.wakeup.wake,
        )
        self._heartbeat = Heartbeat(store, incarnation, settings.heartbeat_interval, self._upkeep.hear)
        quota = Quota(incarnation.id, self.drain, self._heartbeat, self._gates, self._standstill)
        self._ledger = Ledger(store, quota, held, self._standstill, self._give_up)
        self._reconciliation = (
            None if lookup is None else Reconciliation(store, lookup, settings.send_timeout, self.wakeup.wake)
        )
        self._retention = None if settings.retention_days is None else Retention(store, settings.retention_days)
        calls = ModelCalls(model, self._gates, chance)
        limits = WriterSettings(settings.generate_timeout, settings.split_timeout, settings.screening_off)
        writer = Writer(calls, self._ledger, limits)
        sender = Sender(gateway, self._ledger, self.drain, self._heartbeat, settings.send_timeout)
        pipeline = Pipeline(writer, sender, self._ledger, store, self.drain, self.tally, settings.compute_timeout)
        self._intake = Intake(
            store=store,
            heartbeat=self._heartbeat,
            quota=quota,
            pipeline=pipeline,
            limiter=trio.CapacityLimiter(settings.concurrency),
            drain=self.drain,
            tally=self.tally,
            wakeup=self.wakeup,
            batch_size=settings.batch_size,
            poll_interval=settings.poll_interval,
            chance=chance,
            held=held,
        )

    async def run(self) -> None:
        """Work until the drain begins.

        Raises:
            StoreUnavailable: The store was away at the start.
            TrioqueueError: The store refuses what the worker cannot do without; what was being sent has been.
        """
        await self._run(self._intake.run, None)

    async def run_once(self, *, deadline: float | None, until_empty: bool) -> bool:
        """Work on one batch, or until nothing is due.

        Args:
            deadline: Seconds after which the drain begins; None for no limit.
            until_empty: Go on while anything is due.

        Returns:
            Whether it was done; False when the deadline came first and work is left.

        Raises:
            StoreUnavailable: The store was away at the start.
            TrioqueueError: As `run`.
        """
        began = trio.current_time()
        await self._run(self._intake.run_until_empty if until_empty else self._intake.run_batch, deadline)
        if self._retention is not None:
            left = math.inf if deadline is None else max(0.0, began + deadline - trio.current_time())
            with self.drain.bounded(min(REMOVAL, left)):
                await self._retention.run_once()
        return not (self._deadline_came and self._left_over)

    async def _run(self, intake: Callable[[trio.Nursery], Awaitable[None]], deadline: float | None) -> None:
        began = trio.current_time()
        with self.drain.bounded(math.inf):
            if self._reconciliation is not None:
                await self._reconciliation.run_once()
            await self._heartbeat.beat()
            await self._upkeep.run_once()
        try:
            async with trio.open_nursery() as services:
                for service in (self._ledger.run, self._heartbeat.run, self._upkeep.run, self._gates.sharing.run):
                    services.start_soon(self._serve, service)
                if self._reconciliation is not None:
                    services.start_soon(self._serve, self._reconciliation.run)
                if self._retention is not None:
                    services.start_soon(self._serve, self._retention.run)
                if self._wakeups is not None:
                    services.start_soon(self._serve, partial(self._wakeups, self.wakeup.wake))
                if deadline is not None:
                    services.start_soon(self._drain_at, began + deadline)
                await self._work(intake, services)
                services.cancel_scope.cancel()
        finally:
            await self._leave()
        if (fault := self._fault or self._standstill.refusal) is not None:
            raise fault

    async def _serve(self, service: Callable[[], Awaitable[None]]) -> None:
        try:
            await service()
        except Exception as error:
            log.exception("a service of the worker failed: draining")
            self._fault = error
            self.drain.begin()

    def _give_up(self, error: Exception) -> None:
        if self._fault is None:
            log.error("the store must be repaired: draining", error=str(error))
            self._fault = error
            self.drain.begin()

    async def _work(self, intake: Callable[[trio.Nursery], Awaitable[None]], services: trio.Nursery) -> None:
        all_claimed = False
        async with trio.open_nursery() as messages:
            services.start_soon(self._end_drain, messages.cancel_scope)
            await self._serve(partial(intake, messages))
            all_claimed = not self.drain.begun
        cut = messages.cancel_scope.cancelled_caught
        self._left_over = cut or not all_claimed or (self.drain.begun and self.tally.ends[End.RELEASED] > 0)

    async def _drain_at(self, deadline: float) -> None:
        await trio.sleep_until(deadline)
        log.info("the deadline has come: draining")
        self._deadline_came = True
        self.drain.begin()

    async def _end_drain(self, messages: trio.CancelScope) -> None:
        await self.drain.wait()
        await trio.sleep(self._settings.drain_timeout)
        log.warning("the drain took too long: stopping", drain_timeout=self._settings.drain_timeout)
        messages.cancel()

    async def _leave(self) -> None:
        with trio.move_on_after(FAREWELL, shield=True):
            try:
                await self._store.leave(self._incarnation)
            except StoreUnavailable as error:
                log.warning("the worker could not be struck off; its lease will run out", error=str(error))
