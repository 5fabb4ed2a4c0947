"""Several stores as one, so that a worker serves them all: schemas of a database, say, each with workspaces of its own.

What is claimed comes from each in turn. A message's facts go to the store that it came from; what is done for all
messages is done in each. The gates of the models are told through the first store alone, for their limits are the
account's: workers that share an account name the same store first.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import TypeVar
from uuid import UUID

import trio

from trioqueue.domain.budgets import Budgets
from trioqueue.domain.facts import Fact, Verdict
from trioqueue.domain.gates import GateNews, SharedGate
from trioqueue.domain.logs import LogStep
from trioqueue.domain.lookups import SettledPart, UnknownPart
from trioqueue.domain.messages import ClaimedMessage, Incarnation
from trioqueue.domain.states import MessageStatus
from trioqueue.ports import Outlook, Rescued, Store, StoreUnavailable

T = TypeVar("T")


class Shards:
    """A `ports.Store` on several others.

    It is away when one of them is: a worker without its lease in one store must not go on in another, for it has only
    one heartbeat.

    Args:
        stores: The stores, at least one.
    """

    def __init__(self, stores: Sequence[Store]) -> None:
        self._stores = list(stores)
        self._home = self._stores[0]
        self._of_run: dict[UUID, Store] = {}
        self._of_unknown: dict[UUID, Store] = {}

    async def claim(self, owner: UUID, count: int, avoided: Collection[str] = ()) -> Sequence[ClaimedMessage]:
        """Claim an equal share from each store first, then what is left from any; each is the first in turn."""
        claimed: list[ClaimedMessage] = []
        giving = self._take_turn()
        try:
            while giving and len(claimed) < count:
                share = max(1, (count - len(claimed)) // len(giving))
                asked, giving = giving, []
                for store in asked:
                    wanted = min(share, count - len(claimed))
                    messages = await store.claim(owner, wanted, avoided) if wanted else ()
                    claimed += self._keep(store, messages)
                    if len(messages) == wanted:
                        giving.append(store)
        except StoreUnavailable:
            if not claimed:
                raise
        return claimed

    async def commit(self, facts: Sequence[Fact]) -> Sequence[Verdict]:
        """Write the facts of each store in a transaction of its own, all at the same time."""
        return await self._write(facts, {}, lambda store, facts: store.commit(facts))

    async def commit_and_claim(
        self, facts: Sequence[Fact], owner: UUID, count: int, avoided: Collection[str] = ()
    ) -> tuple[Sequence[Verdict], Sequence[ClaimedMessage]]:
        """Write all facts, and claim from the store whose turn it is."""
        giving = self._take_turn()[0]
        claimed: list[ClaimedMessage] = []

        async def write(store: Store, facts: Sequence[Fact]) -> Sequence[Verdict]:
            if store is not giving:
                return await store.commit(facts)
            verdicts, messages = await store.commit_and_claim(facts, owner, count, avoided)
            claimed.extend(self._keep(store, messages))
            return verdicts

        return await self._write(facts, {giving: []}, write), claimed

    async def beat(self, worker: Incarnation) -> Outlook:
        """Write the heartbeat in each store; what comes first in any of them comes first."""
        outlooks = await self._each(lambda store: store.beat(worker))
        return Outlook(min(outlook.due for outlook in outlooks), min(outlook.upkeep for outlook in outlooks))

    async def leave(self, worker: Incarnation) -> None:
        """Strike the worker off in each store."""
        await self._each(lambda store: store.leave(worker))

    async def rescue(self, *, idempotent: bool, worker: UUID | None = None, held: Collection[UUID] = ()) -> Rescued:
        """Take messages that nobody works on, from each store."""
        rescued = await self._each(lambda store: store.rescue(idempotent=idempotent, worker=worker, held=held))
        return Rescued(sum(each.released for each in rescued), sum(each.unconfirmed for each in rescued))

    async def take_unknown(self, count: int) -> Sequence[UnknownPart]:
        """Take up to `count` parts of unknown fate, from one store after another."""
        taken: list[UnknownPart] = []
        for store in self._take_turn():
            if parts := await store.take_unknown(count - len(taken)) if len(taken) < count else ():
                self._of_unknown |= dict.fromkeys((part.message_id for part in parts), store)
                taken += parts
        return taken

    async def settle_unknown(self, settled: Sequence[SettledPart]) -> Sequence[MessageStatus]:
        """Say what has become of unknown parts, to the stores that they came from."""
        became: list[MessageStatus] = []
        for store in self._stores:
            if of_store := [part for part in settled if self._of_unknown[part.message_id] is store]:
                became += await store.settle_unknown(of_store)
        return became

    async def skip_old(self, age: float) -> int:
        """Skip messages that were due too long ago, in each store."""
        return sum(await self._each(lambda store: store.skip_old(age)))

    async def postpone(self, waits: Mapping[str, float]) -> int:
        """Make due messages due later whose run can use none but these models, in each store."""
        return sum(await self._each(lambda store: store.postpone(waits)))

    async def share_gates(self, worker: UUID, account: str, news: GateNews) -> Sequence[SharedGate]:
        """Tell the other workers of an account through the first store."""
        return await self._home.share_gates(worker, account, news)

    async def adopt_queued(self) -> int:
        """Make pending what other programs wrote as `queued`, in each store."""
        return sum(await self._each(lambda store: store.adopt_queued()))

    async def pause_run(self, run_id: UUID, step: LogStep, reason: str, *, until_tomorrow: bool = False) -> bool:
        """Pause a run of which messages were claimed here."""
        return await self._of_run[run_id].pause_run(run_id, step, reason, until_tomorrow=until_tomorrow)

    async def resume_runs(self) -> int:
        """Let runs go on that were paused until today, in each store."""
        return sum(await self._each(lambda store: store.resume_runs()))

    async def prune(self, days: int) -> int:
        """Remove some of what has been over for so many days, in each store."""
        return sum(await self._each(lambda store: store.prune(days)))

    async def budgets(self, run_id: UUID) -> Budgets:
        """Where the budgets stand of a run of which messages were claimed here, and of the day in its store."""
        return await self._of_run[run_id].budgets(run_id)

    def _take_turn(self) -> list[Store]:
        turn = list(self._stores)
        self._stores = [*turn[1:], turn[0]]
        return turn

    def _keep(self, store: Store, messages: Sequence[ClaimedMessage]) -> Sequence[ClaimedMessage]:
        self._of_run |= dict.fromkeys((message.claim.run_id for message in messages), store)
        return messages

    async def _write(
        self,
        facts: Sequence[Fact],
        others: Mapping[Store, list[int]],
        write: Callable[[Store, Sequence[Fact]], Awaitable[Sequence[Verdict]]],
    ) -> Sequence[Verdict]:
        """Hand each store its facts, and return the verdicts in the order of all; `others` are asked without facts."""
        places = defaultdict(list, others)
        for place, fact in enumerate(facts):
            places[self._of_run[fact.claim.run_id]].append(place)
        verdicts: dict[int, Verdict] = {}

        async def hand(store: Store) -> None:
            told = await write(store, [facts[place] for place in places[store]])
            verdicts.update(zip(places[store], told, strict=True))

        await _together(hand, places)
        return [verdicts[place] for place in range(len(facts))]

    async def _each(self, call: Callable[[Store], Awaitable[T]]) -> Sequence[T]:
        return await _together(call, self._stores)


async def _together(call: Callable[[Store], Awaitable[T]], stores: Iterable[Store]) -> Sequence[T]:
    """Call for all stores at once, and wait for all; the first error is raised then, by itself."""
    results: list[T] = []
    errors: list[Exception] = []

    async def try_one(store: Store) -> None:
        try:
            results.append(await call(store))
        except Exception as error:  # noqa: BLE001 - raised below, when the others are done
            errors.append(error)

    async with trio.open_nursery() as nursery:
        for store in stores:
            nursery.start_soon(try_one, store)
    if errors:
        raise errors[0]
    return results
