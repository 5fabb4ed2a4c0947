"""A worker's inside, wired to fakes, with its ledger and its heartbeat running."""

import math
import random
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID, uuid4

import attrs
import trio

from tests.support.fakes import FakeGateway, FakeModel, FakeStore, StoredMessage
from trioqueue.domain.messages import Incarnation
from trioqueue.domain.screening import ScreeningRule
from trioqueue.ports import Lookup, Outlook, Store, StoreUnfit
from trioqueue.worker.calls import ModelCalls
from trioqueue.worker.drain import Drain
from trioqueue.worker.gates import Gates
from trioqueue.worker.heartbeat import Heartbeat
from trioqueue.worker.intake import Intake, Wakeup
from trioqueue.worker.ledger import Ledger
from trioqueue.worker.pipeline import Pipeline
from trioqueue.worker.quota import Quota
from trioqueue.worker.sender import Sender
from trioqueue.worker.standstill import Standstill
from trioqueue.worker.supervisor import Worker, WorkerSettings
from trioqueue.worker.tally import Tally
from trioqueue.worker.writer import Writer, WriterSettings

LEASE: Final = 30.0
COMPUTE_TIMEOUT: Final = 30.0
DEFAULTS: Final = WorkerSettings(
    concurrency=5,
    batch_size=15,
    generate_timeout=30.0,
    split_timeout=20.0,
    send_timeout=10.0,
    compute_timeout=COMPUTE_TIMEOUT,
    drain_timeout=20.0,
    heartbeat_interval=10.0,
    poll_interval=5.0,
    skip_after=3600.0,
    retention_days=None,
    adaptive_concurrency=True,
    screening_off=(),
)


def incarnation() -> Incarnation:
    """A fresh one."""
    return Incarnation(uuid4(), "host", 1, LEASE)


def make_gates(store: FakeStore, worker: UUID | None = None, held: Collection[UUID] = (), **changes: Any) -> Gates:
    """The gates of a worker with ample concurrency; its lease does not run out when it is none that was given."""
    if worker is None:
        worker = uuid4()
        store.workers[worker] = (0.0, math.inf)
    values: dict[str, Any] = {"concurrency": 1000, "adaptive": True, "patience": COMPUTE_TIMEOUT - 5.0}
    return Gates(store, worker, "account", held, **{"standstill": Standstill(held)} | values | changes)


def ignore(outlook: Outlook) -> None:
    """Do without upkeep."""


@attrs.define(eq=False)
class Rig:
    """All that a message meets on its way."""

    store: FakeStore = attrs.field(factory=FakeStore)
    model: FakeModel = attrs.field(factory=FakeModel)
    gateway: FakeGateway = attrs.field(factory=FakeGateway)
    lookup: Lookup | None = None
    drain: Drain = attrs.field(factory=Drain)
    tally: Tally = attrs.field(factory=Tally)
    limiter: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(5))
    incarnation: Incarnation = attrs.field(factory=incarnation)
    screening_off: Collection[ScreeningRule] = ()
    held: set[UUID] = attrs.field(factory=set)
    unfit: list[StoreUnfit] = attrs.field(factory=list)
    standstill: Standstill = attrs.field(init=False)
    gates: Gates = attrs.field(init=False)
    ledger: Ledger = attrs.field(init=False)
    heartbeat: Heartbeat = attrs.field(init=False)
    quota: Quota = attrs.field(init=False)
    pipeline: Pipeline = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.heartbeat = Heartbeat(self.store, self.incarnation, 10.0, ignore)
        self.standstill = Standstill(self.held)
        self.gates = make_gates(self.store, self.incarnation.id, self.held, standstill=self.standstill)
        self.quota = Quota(self.incarnation.id, self.drain, self.heartbeat, self.gates, self.standstill)
        self.ledger = Ledger(self.store, self.quota, self.held, self.standstill, self.unfit.append)
        writer = Writer(
            ModelCalls(self.model, self.gates, random.Random(1)),
            self.ledger,
            WriterSettings(generate_timeout=30.0, split_timeout=20.0, screening_off=self.screening_off),
        )
        sender = Sender(self.gateway, self.ledger, self.drain, self.heartbeat, timeout=10.0)
        self.pipeline = Pipeline(writer, sender, self.ledger, self.store, self.drain, self.tally, COMPUTE_TIMEOUT)

    def intake(self, **changes: Any) -> Intake:
        """An intake for the rig's pipeline."""
        values: dict[str, Any] = {
            "store": self.store,
            "heartbeat": self.heartbeat,
            "quota": self.quota,
            "pipeline": self.pipeline,
            "limiter": self.limiter,
            "drain": self.drain,
            "tally": self.tally,
            "wakeup": Wakeup(),
            "batch_size": 15,
            "poll_interval": 5.0,
            "chance": random.Random(1),
            "held": self.held,
        }
        return Intake(**values | changes)

    async def process(self, message: StoredMessage | None = None) -> StoredMessage:
        """Claim a message, the one given or any that is due, and take it to its end."""
        [claimed] = [
            claimed
            for claimed in await self.store.claim(self.incarnation.id, 1)
            if message is None or claimed.claim.message_id == message.id
        ]
        self.quota.limit(0)  # nobody here would work on a message that is claimed with the end of this one
        await self.pipeline.process(claimed)
        return self.store.messages[claimed.claim.message_id]

    def take_away(self, message: StoredMessage, owner: UUID | None = None) -> None:
        """Let another worker hold the message."""
        message.owner, message.fence = owner or uuid4(), message.fence + 1


@asynccontextmanager
async def running(rig: Rig | None = None) -> AsyncIterator[Rig]:
    """A rig whose ledger and heartbeat run; at the end, the rules of the store must have been kept."""
    rig = rig or Rig()
    await rig.heartbeat.beat()
    async with trio.open_nursery() as services:
        services.start_soon(rig.ledger.run)
        services.start_soon(rig.heartbeat.run)
        services.start_soon(rig.gates.sharing.run)
        yield rig
        services.cancel_scope.cancel()

    assert not rig.store.violations


def worker(rig: Rig, store: Store | None = None, **changes: Any) -> Worker:
    """A whole worker on the rig's store, or another, and its model and gateway."""
    return Worker(
        store=store or rig.store,
        model=rig.model,
        gateway=rig.gateway,
        lookup=rig.lookup,
        incarnation=rig.incarnation,
        settings=attrs.evolve(DEFAULTS, **changes),
        chance=random.Random(1),
    )
