"""What any worker does for all: rescue, skip, adopt."""

from collections.abc import Collection
from uuid import UUID, uuid4

import attrs
import pytest
import trio
from structlog.testing import capture_logs

from tests.support.clock import passes, virtual_time
from tests.support.fakes import FakeStore, StoredPart
from tests.worker.rig import incarnation, make_gates
from trioqueue.domain.states import MessageStatus, PartStatus
from trioqueue.ports import StoreUnavailable
from trioqueue.worker.intake import Wakeup
from trioqueue.worker.tally import Tally
from trioqueue.worker.upkeep import GRACE, Upkeep


def upkeep(
    store: FakeStore, *, owner: UUID | None = None, held: Collection[UUID] = (), idempotent: bool = False
) -> Upkeep:
    """An upkeep that skips after an hour."""
    return Upkeep(store, owner or uuid4(), held, make_gates(store), idempotent, 3600.0, Tally(), Wakeup().wake)


@virtual_time
async def test_one_round() -> None:
    """A round releases or gives up what dead workers held, adopts queued messages, and skips what is too old."""
    store = FakeStore()
    orphan = store.add(status=MessageStatus.GENERATING, owner=uuid4(), scheduled_at=4000.0)
    part = StoredPart("Olá", PartStatus.SENDING)
    interrupted = store.add(status=MessageStatus.SENDING, owner=uuid4(), parts={1: part}, scheduled_at=4000.0)
    queued = store.add(status=MessageStatus.QUEUED, scheduled_at=4000.0)
    old, young = store.add(scheduled_at=399.0), store.add(scheduled_at=400.0)
    await passes(4000.0)
    round_ = upkeep(store)
    await round_.run_once()

    assert (orphan.status, orphan.owner) == (MessageStatus.PENDING, None)
    assert (interrupted.status, part.status) == (MessageStatus.UNCONFIRMED, PartStatus.UNKNOWN)
    assert queued.status is MessageStatus.PENDING
    assert (old.status, young.status) == (MessageStatus.SKIPPED, MessageStatus.PENDING)
    assert round_.tally.skipped == 1


@virtual_time
async def test_with_an_idempotent_gateway_nothing_is_unconfirmed() -> None:
    """A part under way is planned again where the same key twice is one delivery."""
    store = FakeStore()
    part = StoredPart("Olá", PartStatus.SENDING)
    message = store.add(status=MessageStatus.SENDING, owner=uuid4(), parts={1: part})
    await upkeep(store, idempotent=True).run_once()

    assert (message.status, part.status) == (MessageStatus.PENDING, PartStatus.PLANNED)


@virtual_time
async def test_own_messages_are_spared() -> None:
    """After an outage longer than its lease a worker does not take its own messages from itself."""
    store = FakeStore()
    worker = incarnation()
    store.add()
    await store.beat(worker)
    [message] = await store.claim(worker.id, 1)
    await passes(2 * worker.lease)
    await upkeep(store, owner=worker.id, held={message.claim.message_id}).run_once()

    assert store.messages[message.claim.message_id].status is MessageStatus.GENERATING


@virtual_time
async def test_what_this_worker_does_not_know_of_is_taken_back() -> None:
    """A message whose claim was never heard of is released after a minute; one that is worked on is not."""
    store = FakeStore()
    worker = incarnation()
    store.add(2)
    await store.beat(worker)
    known, lost = await store.claim(worker.id, 2)
    round_ = upkeep(store, owner=worker.id, held={known.claim.message_id})
    await passes(59.0)
    await store.beat(worker)
    await round_.run_once()
    early = store.messages[lost.claim.message_id].status
    await passes(2.0)
    await round_.run_once()

    assert early is MessageStatus.GENERATING
    assert store.messages[lost.claim.message_id].status is MessageStatus.PENDING
    assert store.messages[known.claim.message_id].status is MessageStatus.GENERATING


@virtual_time
async def test_only_what_was_done_is_logged() -> None:
    """A round that finds nothing says nothing; one that skips says how many."""
    store = FakeStore()
    with capture_logs() as lines:
        await upkeep(store).run_once()

        assert lines == []
        store.add(3)
        await passes(4000.0)
        await upkeep(store).run_once()

    assert [(line["event"], line["count"]) for line in lines] == [("skipped messages that were due too long ago", 3)]


@virtual_time
async def test_a_round_when_a_lease_runs_out() -> None:
    """A dead worker's message is taken as soon as its lease has run out, however rare the heartbeats are."""
    store = FakeStore()
    dead, mine = incarnation(), incarnation()
    orphan = store.add(status=MessageStatus.GENERATING, owner=dead.id)
    await store.beat(dead)
    await passes(1.0)
    round_ = upkeep(store, owner=mine.id)
    round_.hear(await store.beat(mine))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(round_.run)
        await passes(dead.lease - 1.0)

        assert "rescue" not in store.calls
        await passes(2 * GRACE)

        assert orphan.status is MessageStatus.PENDING
        assert store.calls.count("rescue") == 1
        nursery.cancel_scope.cancel()


@virtual_time
async def test_a_round_when_a_message_becomes_too_old() -> None:
    """What nobody claims is skipped as soon as it is too old."""
    store = FakeStore()
    message = store.add(scheduled_at=100.0)
    mine = incarnation()
    round_ = upkeep(store, owner=mine.id)
    round_.hear(await store.beat(mine))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(round_.run)
        await passes(3700.0 + 2 * GRACE)

        assert message.status is MessageStatus.SKIPPED
        nursery.cancel_scope.cancel()


@virtual_time
async def test_no_round_without_a_reason() -> None:
    """While nothing is to come that is for any worker to do, the store is not asked."""
    store = FakeStore()
    mine = incarnation()
    round_ = upkeep(store, owner=mine.id)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(round_.run)
        for _ in range(100):
            round_.hear(await store.beat(mine))
            await passes(10.0)

        assert set(store.calls) == {"beat"}
        nursery.cancel_scope.cancel()


@virtual_time
async def test_rounds_go_on_when_the_store_was_away() -> None:
    """A store that is away costs a round, not the upkeep: the next heartbeat asks for another."""
    store = FakeStore()
    store.fail("rescue", StoreUnavailable("away"), StoreUnavailable("away"))
    orphan = store.add(status=MessageStatus.GENERATING, owner=uuid4())
    mine = incarnation()
    round_ = upkeep(store, owner=mine.id)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(round_.run)
        for _ in range(3):
            round_.hear(await store.beat(mine))
            await passes(10.0)

        assert orphan.status is MessageStatus.PENDING
        assert store.calls.count("rescue") == 3
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("status", [MessageStatus.GENERATING, MessageStatus.QUEUED])
@virtual_time
async def test_what_becomes_due_is_claimed_at_once(status: MessageStatus) -> None:
    """A round that makes messages due wakes the intake; one that does not leaves it alone."""
    store = FakeStore()
    woken: list[None] = []
    round_ = attrs.evolve(upkeep(store), wake=lambda: woken.append(None))
    await round_.run_once()

    assert woken == []
    store.add(status=status, owner=uuid4())
    await round_.run_once()

    assert woken == [None]
