"""A worker on a real PostgreSQL that will fail, with a model and a gateway that count."""

from collections import Counter
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final
from uuid import UUID

import attrs
import trio
from structlog.testing import capture_logs
from structlog.typing import EventDict

from tests.support.database import SCHEMA, fetch_value
from tests.support.fakes import FakeGateway
from tests.worker.rig import Rig, worker
from trioqueue.domain.completions import AnswerFormat
from trioqueue.domain.facts import Fact, Verdict
from trioqueue.domain.messages import ClaimedMessage
from trioqueue.domain.sends import OutgoingPart, SendOutcome
from trioqueue.postgres.connect import connect
from trioqueue.postgres.errors import DatabaseError
from trioqueue.postgres.pool import Pool
from trioqueue.postgres.store import PostgresStore
from trioqueue.worker.supervisor import Worker

PATIENCE: Final = 30.0
"""Seconds after which a test gives up."""

CONCURRENCY: Final = 4
MESSAGES: Final = 12
PARTS: Final = 3


class WatchedStore(PostgresStore):
    """Notes why commits failed, and lets a test wait for that."""

    def __init__(self, pool: Pool, timeout: float) -> None:
        super().__init__(pool, SCHEMA, timeout=timeout)
        self.failures: list[DatabaseError] = []
        self._failed = trio.Event()

    async def commit(self, facts: Sequence[Fact]) -> Sequence[Verdict]:
        try:
            return await super().commit(facts)
        except DatabaseError as error:
            self._note(error)
            raise

    async def commit_and_claim(
        self, facts: Sequence[Fact], owner: UUID, count: int, avoided: Collection[str] = ()
    ) -> tuple[Sequence[Verdict], Sequence[ClaimedMessage]]:
        try:
            return await super().commit_and_claim(facts, owner, count, avoided)
        except DatabaseError as error:
            self._note(error)
            raise

    async def wait_failures(self, count: int) -> None:
        """Wait until so many commits have failed from now on."""
        wanted = len(self.failures) + count
        while len(self.failures) < wanted:
            await self._failed.wait()

    def _note(self, error: DatabaseError) -> None:
        self.failures.append(error)
        self._failed.set()
        self._failed = trio.Event()


@attrs.define(eq=False)
class HeldGateway(FakeGateway):
    """Accepts parts, but answers only when it is released."""

    released: trio.Event = attrs.field(factory=trio.Event)

    async def send(self, part: OutgoingPart, *, timeout: float) -> SendOutcome:
        outcome = await super().send(part, timeout=timeout)
        await self.released.wait()
        return outcome

    async def wait_offered(self, count: int) -> None:
        """Wait until so many parts have been offered."""
        while len(self.offered) < count:
            await trio.lowlevel.checkpoint()


@attrs.define(eq=False)
class Scene:
    """A worker at work.

    Attributes:
        pool: The worker's connections.
        store: Its store.
        rig: Its model.
        gateway: Its gateway.
        daemon: The worker.
        logs: What it has logged.
    """

    pool: Pool
    store: WatchedStore
    rig: Rig
    gateway: HeldGateway
    daemon: Worker
    logs: list[EventDict]

    @property
    def texts_paid(self) -> int:
        """How many texts the model was asked for."""
        return self.rig.model.calls(AnswerFormat.TEXT)

    def deliveries(self) -> list[int]:
        """How often each part was delivered."""
        return list(Counter(part.idempotency_key for part in self.gateway.delivered).values())


@asynccontextmanager
async def at_work(
    url: str, *, held: bool = False, timeout: float = 5.0, pool_size: int = 4, **changes: Any
) -> AsyncIterator[Scene]:
    """Run a worker for a block, which is drained at its end.

    Args:
        url: The worker's database.
        held: Whether the gateway answers only when it is released.
        timeout: Seconds that a call of the store may take.
        pool_size: The worker's connections.
        changes: Settings of the worker.
    """
    gateway = HeldGateway()
    if not held:
        gateway.released.set()
    rig = Rig(gateway=gateway)
    values = {"concurrency": CONCURRENCY, "poll_interval": 0.2, "drain_timeout": 2.0} | changes
    with capture_logs() as logs, trio.fail_after(PATIENCE):
        async with Pool(partial(connect, url), size=pool_size) as pool, trio.open_nursery() as nursery:
            store = WatchedStore(pool, timeout)
            daemon = worker(rig, store, **values)
            nursery.start_soon(daemon.run)
            yield Scene(pool, store, rig, gateway, daemon, logs)
            daemon.drain.begin()


async def all_sent(pool: Pool) -> None:
    """Wait until every message is sent; asked of the server again and again."""
    unsent = "select count(*) from campaign_messages where status <> 'sent'"
    while await fetch_value(pool, unsent):
        await trio.lowlevel.checkpoint()
