"""The ledger: many messages' facts in one commit, and each message waits for its own.

While commits are on their way to the disk, the facts that are told meanwhile gather for the next: at one message in
flight a fact costs a transaction, at a hundred a small fraction of one, and nothing is acknowledged before it is
durable. With few in flight a fact that comes alone is committed at once; with many, commits begin a few milliseconds
apart, or every fact would have its own: a message waits for seconds, and commits cost what sending needs. The commit
that ends a message also claims the next one for its slot, which then is never empty.

What the store does not take is told again. A fact that it refuses while it takes others is its message's own fault;
while it takes none, nobody can know whose fault it is, and the worker stands still (standstill.py).
"""

import math
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final
from uuid import UUID

import attrs
import trio

from trioqueue.domain.errors import TrioqueueError
from trioqueue.domain.facts import Fact, Verdict
from trioqueue.domain.messages import Claim, ClaimedMessage
from trioqueue.ports import Store, StoreUnavailable, StoreUnfit
from trioqueue.worker.quota import Quota
from trioqueue.worker.reconnect import reconnect_waits
from trioqueue.worker.standstill import Standstill

COMMITS_AT_ONCE: Final = 2
"""Commits under way at the same time: what is told while one is on its way to the disk need not wait for its end. With
more of them the batches become smaller and the server has more to do."""

FEW: Final = 20
"""Messages in flight up to which no commit waits, because too few facts would come meanwhile, or leaves any out."""

PACE: Final = 0.00005
"""Seconds between the beginnings of two commits, for each message in flight above those."""

LONGEST_PACE: Final = 0.004
"""Most seconds between them: four waits of half of this are 1% of a message whose four calls take 200 ms each."""

OWN_FAULT_AFTER: Final = 15.0
"""Seconds for which a fact may be refused while there is no other to compare it with: shorter than the compute phase
and than a drain may take, so that a message ends by itself."""


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
    refused_at: float | None = None
    taken_before: int = 0
    awaited: bool = True

    @property
    def claim(self) -> Claim:
        return self.facts[0].claim

    @property
    def message_id(self) -> UUID:
        return self.claim.message_id

    def fail(self, error: Exception) -> None:
        self.error = error
        self.settled.set()


class Ledger:
    """Commits facts to the store, in batches, those of one message in the order in which they were told.

    Args:
        store: Where they are committed.
        quota: Says whether the slot of a message that ends may go to another one.
        held: The messages in flight.
        standstill: Is told what the store takes and what not.
        unfit: Called when the store can take no message's facts until a person repairs it.
    """

    def __init__(
        self,
        store: Store,
        quota: Quota,
        held: Collection[UUID],
        standstill: Standstill,
        unfit: Callable[[StoreUnfit], object],
    ) -> None:
        self._store = store
        self._standstill = standstill
        self._unfit = unfit
        self._quota = quota
        self._held = held
        self._next_at = -math.inf
        self._entries: deque[_Entry] = deque()
        self._under_way: set[UUID] = set()
        self._idle = trio.lowlevel.ParkingLot()
        self._refused: dict[UUID, list[_Entry]] = {}
        self._refusals = trio.lowlevel.ParkingLot()
        self._unheard: dict[Claim, Exception] = {}

    async def record(self, *facts: Fact) -> Verdict:
        """Tell facts of one message, to be committed together, and wait until they are durable.

        Returns:
            `DURABLE`; or `CLAIM_LOST` when one of them was not written because the message is no longer ours; or
            `RUN_STOPPED`, `LEAD_OPTED_OUT` or `TAKEN_OVER` when an intent was refused; or what a budget says to a
            call.

        Raises:
            Exception: The store refuses a fact for what it holds. The facts of other messages are not affected.
        """
        return await self._record(_Entry(facts))

    async def record_end(self, *facts: Fact) -> tuple[Verdict, ClaimedMessage | None]:
        """Tell a message's last facts, and claim another one for its slot in the same transaction.

        Returns:
            As `record`, and the message that was claimed; None when nothing is due or nothing may be claimed.

        Raises:
            Exception: As `record`.
        """
        entry = _Entry(facts, frees_slot=True)
        return await self._record(entry), entry.successor

    async def _record(self, entry: _Entry) -> Verdict:
        self._entries.append(entry)
        self._idle.unpark()
        try:
            await entry.settled.wait()
        except trio.Cancelled:
            entry.awaited = False
            raise
        if entry.error is not None:
            raise entry.error
        return max(entry.verdicts, key=_GRAVITY.index)

    async def run(self) -> None:
        """Commit what is told, until cancelled. While the store takes nothing, entries wait and nothing is lost."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._run_refused)
            for _ in range(COMMITS_AT_ONCE):
                nursery.start_soon(self._run_commits)

    async def _run_commits(self) -> None:
        while True:
            await trio.sleep_until(self._next_at)
            if not (batch := self._take_batch()):
                await self._idle.park()
                continue
            self._next_at = trio.current_time() + pace(len(self._held))
            self._under_way |= {entry.message_id for entry in batch}
            await self._commit(batch)
            self._let_go(batch)

    async def _run_refused(self) -> None:
        while True:
            if not self._refused:
                await self._refusals.park()
            for wait in reconnect_waits():
                await trio.sleep(wait)
                entries = [entry for refused in self._refused.values() for entry in refused]
                self._refused = {}
                await self._commit_one_by_one(entries)
                self._let_go(entries)
                if not self._refused:
                    break

    def _let_go(self, entries: Iterable[_Entry]) -> None:
        self._under_way -= {entry.message_id for entry in entries} - self._refused.keys()
        self._idle.unpark()  # what was told meanwhile of the same messages

    def _take_batch(self) -> list[_Entry]:
        """What may be committed now: of a message of which something is under way, what was told later waits."""
        batch: list[_Entry] = []
        held_back: list[_Entry] = []
        most = largest_batch(len(self._held))
        while self._entries and len(batch) < most:
            entry = self._entries.popleft()
            if self._has_failed(entry):
                continue
            (held_back if entry.message_id in self._under_way else batch).append(entry)
        self._entries.extendleft(reversed(held_back))
        return batch

    async def _commit(self, batch: Sequence[_Entry], *, claims: bool = True) -> None:
        for wait in reconnect_waits():
            try:
                verdicts = await self._write(batch, claims=claims)
            except StoreUnavailable as error:
                self._standstill.begin(error)
                await trio.sleep(wait)
            except Exception as error:  # noqa: BLE001 - whatever it is, it may be one entry's, and the others go on
                if len(batch) == 1 and not (claims and batch[0].frees_slot):
                    self._refuse(batch[0], error)
                else:
                    await self._commit_one_by_one(batch)
                return
            else:
                self._standstill.answered(wrote=Verdict.DURABLE in verdicts)
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

    async def _commit_one_by_one(self, entries: Iterable[_Entry]) -> None:
        for entry in entries:
            if (refused := self._refused.get(entry.message_id)) is not None:
                refused.append(entry)  # after what was told of its message before
            elif not self._has_failed(entry):
                # Without a claim: it may have been what was refused.
                await self._commit([entry], claims=False)

    def _refuse(self, entry: _Entry, error: Exception) -> None:
        self._standstill.begin(error)
        if isinstance(error, StoreUnfit):
            self._unfit(error)
        elif entry.refused_at is None:
            entry.refused_at, entry.taken_before = trio.current_time(), self._standstill.taken
        elif self._is_own_fault(entry, entry.refused_at):
            if not entry.awaited:
                self._unheard[entry.claim] = error
            entry.fail(error)
            return
        self._refused[entry.message_id] = [entry]
        self._refusals.unpark()

    def _has_failed(self, entry: _Entry) -> bool:
        """Whether what was told before was refused when nobody waited for it any more: this builds on it, and fails."""
        error = self._unheard.pop(entry.claim, None)
        if error is not None:
            entry.fail(error)
        return error is not None

    def _is_own_fault(self, entry: _Entry, refused_at: float) -> bool:
        return self._standstill.taken > entry.taken_before or trio.current_time() >= refused_at + OWN_FAULT_AFTER


def largest_batch(in_flight: int) -> int:
    """Most entries of one commit, with so many messages in flight: a share for each commit that is under way.

    With calls that take no time all messages would else come to wait for the same commit, and nothing be done
    meanwhile: that cost a sixth of the throughput.
    """
    return max(FEW, in_flight // COMMITS_AT_ONCE)


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
