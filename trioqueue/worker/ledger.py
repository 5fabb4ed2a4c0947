"""The ledger: many messages' facts in one commit, and each message waits for its own.

While one commit is on its way to the disk, the facts that are told meanwhile gather for the next: at one message in
flight a fact costs a transaction, at a hundred a small fraction of one, and nothing is acknowledged before it is
durable. There is no timer: a fact that comes alone is committed at once.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

import attrs
import structlog
import trio

from trioqueue.domain.facts import Fact, Verdict
from trioqueue.ports import Store, StoreUnavailable
from trioqueue.worker.reconnect import reconnect_waits

LARGEST_BATCH: Final = 1_000
"""Most entries of one commit. More in flight than this wait for the next."""

log = structlog.get_logger(__name__)


@attrs.define(eq=False)
class _Entry:
    facts: tuple[Fact, ...]
    settled: trio.Event = attrs.field(factory=trio.Event)
    verdicts: Sequence[Verdict] = ()
    error: Exception | None = None


class Ledger:
    """Commits facts to the store, in batches, in the order in which they were told."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._entries: deque[_Entry] = deque()
        self._idle = trio.lowlevel.ParkingLot()

    async def record(self, *facts: Fact) -> Verdict:
        """Tell facts of one message, to be committed together, and wait until they are durable.

        Returns:
            `DURABLE`; or `CLAIM_LOST` when one of them was not written because the message is no longer ours; or
            `RUN_STOPPED` when an intent was refused.

        Raises:
            TrioqueueError: The store refuses a fact for what it holds. The facts of other messages are not affected.
        """
        entry = _Entry(facts)
        self._entries.append(entry)
        self._idle.unpark()
        await entry.settled.wait()
        if entry.error is not None:
            raise entry.error
        return max(entry.verdicts, key=_GRAVITY.index)

    async def run(self) -> None:
        """Commit what is told, until cancelled. While the store is away, entries wait and nothing is lost."""
        while True:
            if not self._entries:
                await self._idle.park()
            batch = [self._entries.popleft() for _ in range(min(len(self._entries), LARGEST_BATCH))]
            await self._commit(batch)

    async def _commit(self, batch: Sequence[_Entry]) -> None:
        for wait in reconnect_waits():
            try:
                verdicts = await self._store.commit([fact for entry in batch for fact in entry.facts])
            except StoreUnavailable as error:
                log.warning("the ledger waits for the store", entries=len(batch), error=str(error), wait=wait)
                await trio.sleep(wait)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is one entry's, and the others go on
                await self._isolate(batch, error)
                return
            else:
                _settle(batch, verdicts)
                return

    async def _isolate(self, batch: Sequence[_Entry], error: Exception) -> None:
        if len(batch) == 1:
            batch[0].error = error
            batch[0].settled.set()
            return
        log.error("a batch of facts was refused and is written one by one", entries=len(batch), error=str(error))
        for entry in batch:
            await self._commit([entry])


_GRAVITY: Final = (Verdict.DURABLE, Verdict.RUN_STOPPED, Verdict.CLAIM_LOST)


def _settle(batch: Sequence[_Entry], verdicts: Sequence[Verdict]) -> None:
    start = 0
    for entry in batch:
        entry.verdicts = verdicts[start : start + len(entry.facts)]
        start += len(entry.facts)
        entry.settled.set()
