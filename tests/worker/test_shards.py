"""One worker on several stores: each gets its turn, and every fact goes where its message came from."""

from collections import Counter, deque
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from tests.support.clock import passes, virtual_time
from tests.support.fakes import FakeModel, FakeStore, StoredPart
from tests.worker.rig import LEASE, Rig, incarnation, worker
from trioqueue.domain.completions import NOTHING_SPENT, ConfigurationAtFault
from trioqueue.domain.facts import TextGenerated, Verdict
from trioqueue.domain.gates import Cause, GateNews, SharedGate
from trioqueue.domain.lookups import SettledPart
from trioqueue.domain.states import MessageStatus, PartStatus, RunStatus
from trioqueue.ports import Outlook, StoreUnavailable
from trioqueue.worker.shards import Shards
from trioqueue.worker.tally import End


class OwnRun(FakeStore):
    """A store whose messages belong to a run of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.run_id = uuid4()
        self.runs[self.run_id] = RunStatus.RUNNING

    def fill(self, count: int, **changes: Any) -> None:
        """Add due messages."""
        for _ in range(count):
            self.add(split=False, run_id=self.run_id, **changes)


def stores(*counts: int) -> list[OwnRun]:
    """Stores with so many due messages each."""
    made = [OwnRun() for _ in counts]
    for store, count in zip(made, counts, strict=True):
        store.fill(count)
    return made


def statuses(store: FakeStore) -> Counter[MessageStatus]:
    """How many messages of a store are in each status."""
    return Counter(message.status for message in store.messages.values())


def generating(made: Sequence[FakeStore]) -> list[int]:
    """How many messages of each store are claimed."""
    return [statuses(store)[MessageStatus.GENERATING] for store in made]


@given(st.lists(st.integers(0, 12), min_size=1, max_size=5), st.integers(1, 40))
@virtual_time
async def test_a_claim_takes_what_there_is_and_is_fair(counts: list[int], wanted: int) -> None:
    """As many as are wanted come if they are there; no store gives two more than one that has messages left."""
    made = stores(*counts)
    claimed = await Shards(made).claim(uuid4(), wanted)
    given_by = generating(made)
    left = [took for took, count in zip(given_by, counts, strict=True) if took < count]

    assert len(claimed) == sum(given_by) == min(wanted, sum(counts))
    assert not left or max(given_by) <= min(left) + 1


@virtual_time
async def test_a_store_with_millions_starves_no_other() -> None:
    """While one store always has something due, the few messages of another are claimed among the first."""
    made = stores(200, 5)
    rig = Rig(model=FakeModel(takes=1.0))
    daemon = worker(rig, store=Shards(made))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(daemon.run)
        await passes(4.5)
        few = statuses(made[1])
        daemon.drain.begin()

    assert few == {MessageStatus.SENT: 5}
    assert daemon.tally.ends[End.SENT] >= 20


@virtual_time
async def test_two_stores_are_drained() -> None:
    """A worker sends what is due in all stores, and each store has the ends of its own messages."""
    made = stores(17, 0, 30)
    daemon = worker(Rig(), store=Shards(made))
    done = await daemon.run_once(deadline=None, until_empty=True)

    assert done
    assert [statuses(store) for store in made] == [{MessageStatus.SENT: 17}, {}, {MessageStatus.SENT: 30}]
    assert not any(store.violations for store in made)
    assert all(not store.workers for store in made)


@virtual_time
async def test_a_run_is_paused_where_it_is() -> None:
    """A run whose model is unknown is paused in its own store; the others go on."""
    made = stores(0, 4)
    made[0].fill(3, model="unknown")
    rig = Rig()
    rig.model.by_model["unknown"] = deque([ConfigurationAtFault("no such model")] * 3)
    await worker(rig, store=Shards(made)).run_once(deadline=None, until_empty=True)

    assert made[0].runs[made[0].run_id] is RunStatus.PAUSED
    assert statuses(made[1]) == {MessageStatus.SENT: 4}


@virtual_time
async def test_verdicts_come_in_the_order_of_the_facts() -> None:
    """Facts of several stores are told together, and each gets its own verdict."""
    made = stores(2, 2)
    shards = Shards(made)
    owner = incarnation()
    await shards.beat(owner)
    messages = await shards.claim(owner.id, 4)
    for store in made:
        next(iter(store.messages.values())).owner = uuid4()  # another worker has it now
    facts = [TextGenerated(message.claim, "A text.", "m", NOTHING_SPENT, 1) for message in messages]
    mixed = facts[::2] + facts[1::2]
    lost = {message.id for store in made for message in store.messages.values() if message.owner != owner.id}
    expected = [Verdict.CLAIM_LOST if fact.claim.message_id in lost else Verdict.DURABLE for fact in mixed]

    assert await shards.commit(mixed) == expected
    assert Counter(expected) == {Verdict.CLAIM_LOST: 2, Verdict.DURABLE: 2}


@virtual_time
async def test_a_store_that_is_away_ends_the_lease_in_all() -> None:
    """The heartbeat counts only when it is written everywhere: there is one lease."""
    made = stores(1, 1)
    made[1].away = True
    shards = Shards(made)
    owner = incarnation()
    with pytest.raises(StoreUnavailable):
        await shards.beat(owner)

    assert owner.id in made[0].workers


@virtual_time
async def test_what_was_claimed_before_a_store_was_away_is_kept() -> None:
    """A claim that one store cannot answer brings what the others gave; when none gave any, it fails."""
    made = stores(3, 3)
    made[1].fail("claim", StoreUnavailable("away"), StoreUnavailable("away"))
    shards = Shards(made)

    assert len(await shards.claim(uuid4(), 6)) == 3
    with pytest.raises(StoreUnavailable):
        await shards.claim(uuid4(), 6)


@virtual_time
async def test_upkeep_is_done_in_each() -> None:
    """Dead workers' messages are rescued, queued ones adopted and old ones skipped in every store."""
    made = stores(1, 1)
    for store in made:
        store.fill(1, status=MessageStatus.GENERATING, owner=uuid4(), scheduled_at=5000.0)
        store.fill(1, status=MessageStatus.QUEUED, scheduled_at=5000.0)
    await passes(4000.0)
    shards = Shards(made)
    rescued = await shards.rescue(idempotent=False)

    assert (rescued.released, rescued.unconfirmed) == (2, 0)
    assert await shards.adopt_queued() == 2
    assert await shards.skip_old(3600.0) == 2
    assert await shards.postpone({}) == await shards.resume_runs() == 0


@virtual_time
async def test_the_first_to_come_comes_first() -> None:
    """What is to come is what comes first in any store."""
    made = stores(0, 0, 0)
    made[0].fill(1, scheduled_at=70.0)
    made[2].fill(1, scheduled_at=50.0)
    made[1].fill(1, status=MessageStatus.GENERATING, owner=uuid4())
    outlook = await Shards(made).beat(incarnation())

    assert outlook == Outlook(due=50.0, upkeep=-1.0)


@virtual_time
async def test_unknown_parts_are_settled_where_they_are() -> None:
    """Parts of unknown fate come from all stores, up to the number asked for, and go back to their own."""
    made = stores(0, 0)
    for store in made:
        for _ in range(2):
            part = StoredPart("Olá", PartStatus.UNKNOWN)
            store.fill(1, status=MessageStatus.UNCONFIRMED, parts={1: part}, text="Olá")
    await passes(3 * LEASE)
    shards = Shards(made)
    first, rest = await shards.take_unknown(3), await shards.take_unknown(3)
    settled = [SettledPart(p.message_id, p.part_no, p.fence, PartStatus.SENT, None) for p in [*rest, *first]]
    became = await shards.settle_unknown(settled)

    assert (len(first), len(rest)) == (3, 1)
    assert became == [MessageStatus.SENT] * 4
    assert [statuses(store) for store in made] == [{MessageStatus.SENT: 2}] * 2


@virtual_time
async def test_gates_are_told_through_the_first() -> None:
    """The limits of a model are the account's: workers meet in one store, whatever schemas they serve."""
    made = stores(0, 0)
    shards = Shards(made)
    await shards.claim(uuid4(), 1)  # the turn moves on, the first store stays
    shut = SharedGate("some/model", 9.0, Cause.RATE_LIMIT, "429", 0)
    await shards.share_gates(uuid4(), "account", GateNews(shut=[shut]))
    heard = await made[0].share_gates(uuid4(), "account", GateNews())

    assert [gate.model for gate in heard] == ["some/model"]
    assert await made[1].share_gates(uuid4(), "account", GateNews()) == []
