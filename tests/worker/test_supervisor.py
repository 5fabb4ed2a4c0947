"""The whole worker: it starts, works, drains and leaves; how long each may take, and what is left then."""

from collections import deque
from collections.abc import Awaitable, Callable

import pytest
import trio

from tests.support.clock import killed, passes, virtual_time
from tests.support.fakes import PARAGRAPHS, FakeGateway, FakeModel, FakeStore, Takes, generated
from tests.worker.rig import DEFAULTS, LEASE, Rig, worker
from trioqueue.domain.errors import TrioqueueError
from trioqueue.domain.sends import SenderAtFault
from trioqueue.domain.states import MessageStatus, PartStatus
from trioqueue.ports import StoreUnavailable
from trioqueue.worker.supervisor import FAREWELL, Worker
from trioqueue.worker.tally import End


@virtual_time
async def test_one_batch() -> None:
    """A batch takes what is due up to its size, comes to its end, and the worker strikes itself off."""
    rig = Rig()
    rig.store.add(20)
    done = await worker(rig).run_once(deadline=55.0, until_empty=False)

    assert done
    assert [message.status for message in rig.store.messages.values()].count(MessageStatus.SENT) == 15
    assert rig.store.workers == {}
    assert rig.store.calls[:2] == ["beat", "rescue"]
    assert rig.store.calls[-1] == "leave"


@virtual_time
async def test_until_nothing_is_due() -> None:
    """With until_empty it goes on over all batches."""
    rig = Rig()
    rig.store.add(40)
    later = rig.store.add(scheduled_at=1e6)
    done = await worker(rig).run_once(deadline=None, until_empty=True)

    assert done
    assert [message for message in rig.store.messages.values() if message.status is not MessageStatus.SENT] == [later]


@virtual_time
async def test_the_deadline_comes_first() -> None:
    """At the deadline, counted from the start, what is being written is released; the result says that work is left."""
    rig = Rig(model=FakeModel(takes=20.0))
    rig.store.add(40, split=False)
    rig.store.takes = 1.0
    began = worker(rig)
    done = await began.run_once(deadline=55.0, until_empty=True)

    assert not done
    assert began.tally.ends == {End.SENT: 10, End.RELEASED: 5}
    assert not [message for message in rig.store.messages.values() if message.owner is not None]
    assert 55.0 <= trio.current_time() < 60.0


@virtual_time
async def test_a_deadline_does_not_cut_a_send() -> None:
    """A part that is under way at the deadline ends, and its message continues later from the next part."""
    rig = Rig(gateway=FakeGateway(takes=8.0))
    message = rig.store.add()
    done = await worker(rig).run_once(deadline=10.0, until_empty=False)

    assert not done
    assert trio.current_time() == 16.0
    assert message.part_statuses() == [PartStatus.SENT, PartStatus.SENT, PartStatus.PLANNED]
    assert await worker(rig).run_once(deadline=10.0, until_empty=False)
    assert rig.gateway.texts(message.conversation_id) == list(PARAGRAPHS)


@virtual_time
async def test_a_deadline_after_the_work_changes_nothing() -> None:
    """Work that is done in time is done, also when it ends shortly before the deadline."""
    rig = Rig(model=FakeModel(takes=9.9))
    rig.store.add(3, split=False)

    assert await worker(rig).run_once(deadline=10.0, until_empty=True)
    assert trio.current_time() == 9.9


@virtual_time
async def test_a_paused_run_is_not_work_left_by_the_deadline() -> None:
    """Messages released because their run was paused are not left by the deadline."""
    rig = Rig()
    rig.gateway.script.append(SenderAtFault("401"))
    rig.store.add(split=False)
    began = worker(rig)

    assert await began.run_once(deadline=55.0, until_empty=True)
    assert began.tally.ends == {End.RELEASED: 1}


@virtual_time
async def test_a_drain_is_bounded() -> None:
    """What does not end within the drain time is cut, and left to the rescue as what it is: under way."""
    rig = Rig(gateway=FakeGateway(takes=1_000.0))
    message = rig.store.add(split=False)
    daemon = worker(rig, send_timeout=2_000.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(daemon.run)
        await passes(5.0)
        daemon.drain.begin()
    ended = trio.current_time()

    assert ended == 5.0 + DEFAULTS.drain_timeout
    assert message.part_statuses() == [PartStatus.SENDING]
    assert rig.store.workers == {}
    rescued = await rig.store.rescue(idempotent=False)

    assert (rescued.released, rescued.unconfirmed) == (0, 1)


@virtual_time
async def test_what_a_drain_cut_is_work_left() -> None:
    """A batch whose last message was cut by the drain time has left work behind."""
    rig = Rig(gateway=FakeGateway(takes=1_000.0))
    rig.store.add(split=False)

    assert not await worker(rig, send_timeout=2_000.0).run_once(deadline=5.0, until_empty=False)


@pytest.mark.parametrize("gone", ["commit", "claim", "beat", "leave", "rescue", "skip_old"])
@virtual_time
async def test_a_drain_is_bounded_while_the_store_hangs(gone: str) -> None:
    """A store that does not answer does not keep a worker from stopping within the drain time and a farewell."""
    rig = Rig(model=FakeModel(takes=10.0))
    rig.store.add(30, split=False)
    daemon = worker(rig)
    async with trio.open_nursery() as nursery:
        if gone in ("rescue", "skip_old"):
            rig.store.hold(gone)
        nursery.start_soon(daemon.run)
        await passes(7.0)
        rig.store.hold(gone)
        await passes(20.0)
        daemon.drain.begin()
    ended = trio.current_time()

    assert ended <= 27.0 + DEFAULTS.drain_timeout + FAREWELL


@virtual_time
async def test_an_idle_daemon_stops_at_once() -> None:
    """With nothing in flight a drain takes no time."""
    rig = Rig()
    daemon = worker(rig)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(daemon.run)
        await passes(100.0)
        daemon.drain.begin()

    assert trio.current_time() == 100.0


@virtual_time
async def test_a_daemon_finds_what_becomes_due() -> None:
    """It looks at least once an interval, and refills slots without a pause while there is work."""
    rig = Rig(model=FakeModel(takes=2.0))
    daemon = worker(rig)
    for due in (3.0, 50.0, 51.0):
        rig.store.add(scheduled_at=due, split=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(daemon.run)
        await passes(58.1)

        assert daemon.tally.ends == {End.SENT: 3}
        daemon.drain.begin()


@virtual_time
async def test_it_does_not_start_without_a_store() -> None:
    """A store that is away at the start is said so, as the error that it is."""
    rig = Rig(store=FakeStore(away=True))
    with pytest.raises(StoreUnavailable):
        await worker(rig).run_once(deadline=None, until_empty=False)


class Refused(TrioqueueError):
    """What a store says to a statement that it does not know any more."""


async def deaf(_wake: Callable[[], None]) -> None:
    """A service that fails."""
    await passes(2.5)
    raise Refused


@pytest.mark.parametrize("method", ["beat", "claim", "skip_old", "wakeups"])
@virtual_time
async def test_a_service_that_fails_does_not_cut_a_send(method: str) -> None:
    """When the store refuses what the worker cannot do without, it drains, lets parts end, and then says why."""
    rig = Rig(model=FakeModel(takes=2.0), gateway=FakeGateway(takes=9.0))
    message = rig.store.add(split=False)
    wakeups: Callable[[Callable[[], None]], Awaitable[None]] | None = deaf if method == "wakeups" else None
    daemon = Worker(
        store=rig.store,
        model=rig.model,
        gateway=rig.gateway,
        incarnation=rig.incarnation,
        settings=DEFAULTS,
        wakeups=wakeups,
    )

    async def refuse() -> None:
        await passes(2.5)
        rig.store.fail(method, Refused())
        rig.store.add(status=MessageStatus.QUEUED, split=False)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(refuse)
        with pytest.raises(Refused):
            await daemon.run()

    assert message.status is MessageStatus.SENT
    assert len(rig.gateway.delivered) == 1
    assert rig.store.workers == {}


@virtual_time
async def test_it_may_run_again() -> None:
    """One worker may do one batch after another."""
    rig = Rig()
    rig.store.add(20, split=False)
    again = worker(rig)

    assert await again.run_once(deadline=None, until_empty=False)
    assert await again.run_once(deadline=None, until_empty=False)
    assert again.tally.ends == {End.SENT: 20}


@virtual_time
async def test_a_dead_workers_messages_are_taken_within_its_lease() -> None:
    """What a killed worker was writing is sent by another soon after its lease; a part under way becomes unknown."""
    rig = Rig(gateway=FakeGateway(takes=4.0))
    being_sent, being_written = rig.store.add(model="quick"), rig.store.add(model="slow")
    rig.model.by_model["slow"] = deque([Takes(20.0, generated())])
    await killed(6.0, worker(rig).run)
    rig.store.workers[rig.incarnation.id] = (6.0, LEASE)  # killed, it had not struck itself off
    heir = worker(Rig(store=rig.store))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(heir.run)
        await passes(LEASE + 5.0)
        heir.drain.begin()

    assert being_sent.status is MessageStatus.UNCONFIRMED
    assert being_sent.part_statuses() == [PartStatus.SENT, PartStatus.UNKNOWN, PartStatus.PLANNED]
    assert being_written.status is MessageStatus.SENT
    assert heir.tally.ends == {End.SENT: 1}
