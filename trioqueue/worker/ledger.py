"""The ledger: many messages' facts in one commit, and each message waits for its own.

While commits are on their way to the disk, the facts that are told meanwhile gather for the next: at one message in
flight a fact costs a transaction, at a hundred a small fraction of one, and nothing is acknowledged before it is
durable. With few in flight a fact that comes alone is committed at once; with many, commits begin a few milliseconds
apart, or every fact would have its own: a message waits for seconds, and commits cost what sending needs. The commit
that ends a message also claims the next one for its slot, which then is never empty.
"""

import math
from collections import deque
from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

import attrs
import structlog
import trio

from trioqueue.domain.errors import TrioqueueError
from trioqueue.domain.facts import Fact, Verdict
from trioqueue.domain.messages import ClaimedMessage
from trioqueue.ports import Store, StoreUnavailable
from trioqueue.worker.quota import Quota
from trioqueue.worker.reconnect import reconnect_waits

LARGEST_BATCH: Final = 1_000
"""Most entries of one commit. More in flight than this wait for the next."""

COMMITS_AT_ONCE: Final = 2
"""Commits under way at the same time: what is told while one is on its way to the disk need not wait for its end. With
more of them the batches become smaller and the server has more to do."""

FEW: Final = 20
"""Messages in flight up to which no commit waits: too few facts would come meanwhile."""

PACE: Final = 0.0001
"""Seconds between the beginnings of two commits, for each message in flight above those."""

LONGEST_PACE: Final = 0.008
"""Most seconds between them: four waits of half of this are 2% of a message whose four calls take 200 ms each."""

log = structlog.get_logger(__name__)


class ClaimLost(TrioqueueError):
    """Another worker holds the message now: no further side effect may follow."""


@attrs.define(eq=False)
class _Entry:
    facts: tuple[Fact, ...]
    frees_slot: bool = False
    settled: trio.Event = attrs.field(factory=trio.Event)
    verdicts: Sequence[Verdict] = ()
    successor: ClaimedMessage | None = None
    error: Exception | None = None

    @property
    def message_id(self) -> UUID:
        return self.facts[0].claim.message_id


class Ledger:
    """Commits facts to the store, in batches, those of one message in the order in which they were told.

    Args:
        store: Where they are committed.
        quota: Says whether the slot of a message that ends may go to another one.
        held: The messages in flight.
    """

    def __init__(self, store: Store, quota: Quota, held: Collection[UUID]) -> None:
        self._store = store
        self._quota = quota
        self._held = held
        self._next_at = -math.inf
        self._entries: deque[_Entry] = deque()
        self._under_way: set[UUID] = set()
        self._idle = trio.lowlevel.ParkingLot()

    async def record(self, *facts: Fact) -> Verdict:
        """Tell facts of one message, to be committed together, and wait until they are durable.

        Returns:
            `DURABLE`; or `CLAIM_LOST` when one of them was not written because the message is no longer ours; or
            `RUN_STOPPED`, `LEAD_OPTED_OUT` or `TAKEN_OVER` when an intent was refused; or what a budget says to a
            call.

        Raises:
            TrioqueueError: The store refuses a fact for what it holds. The facts of other messages are not affected.
        """
        return await self._record(_Entry(facts))

    async def record_end(self, *facts: Fact) -> tuple[Verdict, ClaimedMessage | None]:
        """Tell a message's last facts, and claim another one for its slot in the same transaction.

        Returns:
            As `record`, and the message that was claimed; None when nothing is due or nothing may be claimed.

        Raises:
            TrioqueueError: As `record`.
        """
        entry = _Entry(facts, frees_slot=True)
        return await self._record(entry), entry.successor

    async def _record(self, entry: _Entry) -> Verdict:
        self._entries.append(entry)
        self._idle.unpark()
        await entry.settled.wait()
        if entry.error is not None:
            raise entry.error
        return max(entry.verdicts, key=_GRAVITY.index)

    async def run(self) -> None:
        """Commit what is told, until cancelled. While the store is away, entries wait and nothing is lost."""
        async with trio.open_nursery() as nursery:
            for _ in range(COMMITS_AT_ONCE):
                nursery.start_soon(self._run_commits)

    async def _run_commits(self) -> None:
        while True:
            await trio.sleep_until(self._next_at)
            if not (batch := self._take_batch()):
                await self._idle.park()
                continue
            self._next_at = trio.current_time() + pace(len(self._held))
            messages = {entry.message_id for entry in batch}
            self._under_way |= messages
            await self._commit(batch)
            self._under_way -= messages
            self._idle.unpark()  # what was told meanwhile of the same messages

    def _take_batch(self) -> list[_Entry]:
        """What may be committed now: of a message of which something is under way, what was told later waits."""
        batch: list[_Entry] = []
        held_back: list[_Entry] = []
        while self._entries and len(batch) < LARGEST_BATCH:
            entry = self._entries.popleft()
            (held_back if entry.message_id in self._under_way else batch).append(entry)
        self._entries.extendleft(reversed(held_back))
        return batch

    async def _commit(self, batch: Sequence[_Entry], *, claims: bool = True) -> None:
        for wait in reconnect_waits():
            try:
                verdicts = await self._write(batch, claims=claims)
            except StoreUnavailable as error:
                log.warning("the ledger waits for the store", entries=len(batch), error=str(error), wait=wait)
                await trio.sleep(wait)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is one entry's, and the others go on
                await self._isolate(batch, error, claimed=claims and any(entry.frees_slot for entry in batch))
                return
            else:
                _settle(batch, verdicts)
                return

    async def _write(self, batch: Sequence[_Entry], *, claims: bool) -> Sequence[Verdict]:
        facts = [fact for entry in batch for fact in entry.facts]
        freeing = [entry for entry in batch if entry.frees_slot and claims]
        wanted = self._quota.reserve(len(freeing)) if freeing else 0
        if not wanted:
            return await self._store.commit(facts)
        successors: Sequence[ClaimedMessage] = ()
        try:
            verdicts, successors = await self._store.commit_and_claim(
                facts, self._quota.owner, wanted, self._quota.avoided
            )
        finally:
            self._quota.give_back(wanted - len(successors))
        for entry, successor in zip(freeing, successors, strict=False):
            entry.successor = successor
        return verdicts

    async def _isolate(self, batch: Sequence[_Entry], error: Exception, *, claimed: bool) -> None:
        if len(batch) == 1 and not claimed:
            batch[0].error = error
            batch[0].settled.set()
            return
        log.error("a batch of facts was refused and is written one by one", entries=len(batch), error=str(error))
        for entry in batch:
            # Without a claim: it may have been what was refused.
            await self._commit([entry], claims=False)


def pace(in_flight: int) -> float:
    """Seconds from the beginning of a commit to that of the next, with so many messages in flight."""
    return min(max(0, in_flight - FEW) * PACE, LONGEST_PACE)


_GRAVITY: Final = (
    Verdict.DURABLE,
    Verdict.BUDGET_RESERVED,
    Verdict.BUDGET_SPENT,
    Verdict.RUN_STOPPED,
    Verdict.LEAD_OPTED_OUT,
    Verdict.TAKEN_OVER,
    Verdict.CLAIM_LOST,
)


def _settle(batch: Sequence[_Entry], verdicts: Sequence[Verdict]) -> None:
    start = 0
    for entry in batch:
        entry.verdicts = verdicts[start : start + len(entry.facts)]
        start += len(entry.facts)
        entry.settled.set()
