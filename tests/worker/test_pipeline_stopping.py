"""A message whose work is stopped: by a lost claim, a lease that ran out, or a drain. Nothing is done after that."""

from collections import deque

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from tests.support.clock import passes, virtual_time
from tests.support.fakes import PARAGRAPHS, TEXT, FakeGateway, FakeModel, Takes
from tests.worker.rig import Rig, running
from trioqueue.domain.facts import Fact
from trioqueue.domain.sends import NotSent, Sent
from trioqueue.domain.states import MessageStatus, PartStatus
from trioqueue.ports import StoreUnavailable
from trioqueue.worker.tally import End

PLANNED, SENT = PartStatus.PLANNED, PartStatus.SENT


@pytest.mark.parametrize(("commit", "calls", "parts"), [(1, 1, 0), (2, 2, 0), (3, 2, 1), (4, 2, 2), (5, 2, 3)])
@virtual_time
async def test_a_lost_claim_ends_the_work_at_once(commit: int, calls: int, parts: int) -> None:
    """When a commit finds the message in another's hands, no call, no part and no fact follows it."""
    async with running() as rig:
        message = rig.store.add()

        def take_away(_: Fact) -> None:
            if len(rig.store.commits) == commit - 1 and message.owner == rig.incarnation.id:
                rig.take_away(message)

        rig.store.refuse = take_away
        await rig.process(message)

    assert len(rig.store.commits) == commit
    assert (len(rig.model.requests), len(rig.gateway.offered)) == (calls, parts)
    assert rig.tally.ends == {End.LOST: 1}
    assert message.status in (MessageStatus.GENERATING, MessageStatus.SENDING)
    assert message.owner != rig.incarnation.id


@pytest.mark.parametrize("renewed", [False, True])
@virtual_time
async def test_nothing_is_sent_when_the_lease_lapsed_meanwhile(renewed: bool) -> None:
    """An intent whose commit outlasted the lease leads to no request, also when the lease was renewed since."""
    async with running() as rig:
        rig.quota.limit(0)  # else it is claimed again at once
        message = rig.store.add(text=TEXT, split=False)
        commits, beats = rig.store.hold("commit"), rig.store.hold("beat")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.process, message)
            await passes(40.0)
            if renewed:
                beats.set()
                await passes(15.0)
            held = rig.heartbeat.holds()
            commits.set()

    assert held == renewed
    assert rig.gateway.offered == []
    assert (message.status, message.part_statuses(), message.retry_count) == (MessageStatus.PENDING, [PLANNED], 0)
    assert rig.tally.ends == {End.RELEASED: 1}


@virtual_time
async def test_a_drain_gives_up_what_is_being_written() -> None:
    """A message in the model's hands is released when the drain begins, due as before, at no cost of a retry."""
    async with running(Rig(model=FakeModel(takes=10.0))) as rig:
        message = rig.store.add(retry_count=1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.process, message)
            await passes(5.0)
            rig.drain.begin()
        ended = trio.current_time()

    assert ended == 5.0
    assert (message.status, message.scheduled_at, message.retry_count) == (MessageStatus.PENDING, 0.0, 1)
    assert rig.tally.ends == {End.RELEASED: 1}


@pytest.mark.parametrize("at", [10.0, 12.0])
@virtual_time
async def test_a_drain_does_not_take_a_written_text_back(at: float) -> None:
    """A text that was paid for is stored also when the drain comes during its commit, or during the split."""
    async with running(Rig(model=FakeModel(takes=10.0))) as rig:
        rig.store.takes = 1.0
        message = rig.store.add()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.process, message)
            await passes(at + 2.5)  # every call of the store takes a second
            rig.drain.begin()

    assert (message.status, message.text) == (MessageStatus.PENDING, TEXT)
    assert message.spent.tokens == 120
    assert rig.gateway.offered == []


@virtual_time
async def test_a_drain_lets_a_part_under_way_end_and_stops_there() -> None:
    """A part that is being sent is sent, its outcome is kept, and the next one is left for later."""
    async with running(Rig(gateway=FakeGateway(takes=4.0))) as rig:
        message = rig.store.add()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.process, message)
            await passes(6.0)
            rig.drain.begin()
        ended = trio.current_time()

    assert ended == 8.0
    assert message.part_statuses() == [SENT, SENT, PLANNED]
    assert (message.status, message.owner) == (MessageStatus.PENDING, None)
    assert rig.tally.ends == {End.RELEASED: 1}


@virtual_time
async def test_another_worker_goes_on_where_a_drain_stopped() -> None:
    """The next worker writes nothing and sends only what has not left."""
    async with running(Rig(gateway=FakeGateway(takes=4.0))) as rig:
        message = rig.store.add()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.process, message)
            await passes(1.0)
            rig.drain.begin()
    async with running(Rig(store=rig.store)) as other:
        await other.process(message)

    assert other.model.requests == []
    assert other.gateway.texts(message.conversation_id) == list(PARAGRAPHS[1:])
    assert message.status is MessageStatus.SENT


@given(
    st.floats(0, 40),
    st.floats(0, 3),
    st.sampled_from([None, "claim", "lease", "store"]),
    st.booleans(),
    st.sampled_from([Sent(), NotSent("no")]),
)
@virtual_time
async def test_whenever_the_work_is_stopped_every_part_leaves_once(
    at: float, slow: float, fault: str | None, drains: bool, first: Sent | NotSent
) -> None:
    """Whatever stops a worker at whatever moment, the workers after it bring each part out once, and all of them."""
    rig = Rig(model=FakeModel(takes=8.0), gateway=FakeGateway(deque([Takes(3.0, first)]), takes=3.0))
    message = rig.store.add()
    rig.store.takes = slow
    async with running(rig), trio.open_nursery() as nursery:
        nursery.start_soon(rig.process, message)
        await passes(at)
        if fault == "claim" and message.owner is not None and PartStatus.SENDING not in message.part_statuses():
            rig.take_away(message)
            message.status, message.owner = MessageStatus.PENDING, None
        if fault == "lease":
            rig.store.fail("beat", *(StoreUnavailable("away") for _ in range(20)))
        if fault == "store":
            rig.store.fail("commit", *(StoreUnavailable("away") for _ in range(5)), done=True)
        if drains:
            rig.drain.begin()
    rig.store.heal()
    delivered = list(rig.gateway.delivered)
    if message.status is MessageStatus.PENDING:
        await passes(max(message.scheduled_at - trio.current_time(), 0.0))
        async with running(Rig(store=rig.store)) as other:
            await other.process(message)
        delivered += other.gateway.delivered

    assert message.status is MessageStatus.SENT
    assert "\n\n".join(part.text for part in delivered) == TEXT
    assert len({part.idempotency_key for part in delivered}) == len(delivered)
