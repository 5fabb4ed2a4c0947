"""What any worker does for all: rescue, skip, adopt."""

from uuid import uuid4

import trio
from structlog.testing import capture_logs

from tests.support.clock import passes, virtual_time
from tests.support.fakes import FakeStore, StoredPart
from tests.worker.rig import incarnation, make_gates
from trioqueue.domain.states import MessageStatus, PartStatus
from trioqueue.ports import StoreUnavailable
from trioqueue.worker.tally import Tally
from trioqueue.worker.upkeep import INTERVAL, Upkeep


def upkeep(store: FakeStore, *, idempotent: bool = False) -> Upkeep:
    """An upkeep that skips after an hour."""
    return Upkeep(store, uuid4(), set(), make_gates(store), idempotent, 3600.0, Tally())


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
    await Upkeep(store, worker.id, {message.claim.message_id}, make_gates(store), False, 3600.0, Tally()).run_once()

    assert store.messages[message.claim.message_id].status is MessageStatus.GENERATING


@virtual_time
async def test_what_this_worker_does_not_know_of_is_taken_back() -> None:
    """A message whose claim was never heard of is released after a minute; one that is worked on is not."""
    store = FakeStore()
    worker = incarnation()
    store.add(2)
    await store.beat(worker)
    known, lost = await store.claim(worker.id, 2)
    round_ = Upkeep(store, worker.id, {known.claim.message_id}, make_gates(store), False, 3600.0, Tally())
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
async def test_rounds_go_on_when_the_store_was_away() -> None:
    """A store that is away costs a round, not the upkeep."""
    store = FakeStore()
    store.fail("rescue", StoreUnavailable("away"), StoreUnavailable("away"))
    orphan = store.add(status=MessageStatus.GENERATING, owner=uuid4())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(upkeep(store).run)
        await passes(3 * INTERVAL + 0.1)

        assert orphan.status is MessageStatus.PENDING
        assert store.calls.count("rescue") == 3
        nursery.cancel_scope.cancel()
