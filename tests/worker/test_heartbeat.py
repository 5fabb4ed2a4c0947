"""The heartbeat is the lease of all claims of a worker, and the worker knows when it no longer relies on it."""

import attrs
import trio
from hypothesis import given
from hypothesis import strategies as st

from tests.support.clock import passes, virtual_time
from tests.support.fakes import FakeStore
from tests.worker.rig import LEASE, ignore, incarnation
from trioqueue.ports import StoreUnavailable
from trioqueue.worker.heartbeat import MARGIN, Heartbeat

RELIED_ON = LEASE * (1 - MARGIN)


@virtual_time
async def test_before_the_first_beat_nothing_is_held() -> None:
    """A worker that has not registered relies on no lease."""
    heartbeat = Heartbeat(FakeStore(), incarnation(), 10.0, ignore)

    assert not heartbeat.holds()


@virtual_time
async def test_the_lease_is_relied_on_up_to_its_margin() -> None:
    """The last tenth of the lease is not relied on: it covers the time between looking and sending."""
    heartbeat = Heartbeat(FakeStore(), incarnation(), 10.0, ignore)
    await heartbeat.beat()
    await passes(RELIED_ON - 0.001)

    assert heartbeat.holds()
    await passes(0.001)

    assert not heartbeat.holds()


@virtual_time
async def test_the_lease_counts_from_before_the_beat_was_written() -> None:
    """A beat that took long to be written is as old as its beginning, which is the worst case."""
    store = FakeStore(takes=20.0)
    heartbeat = Heartbeat(store, incarnation(), 10.0, ignore)
    await heartbeat.beat()
    held = heartbeat.held_until

    assert held == RELIED_ON


@given(st.floats(0.01, 300), st.floats(0, 60), st.floats(0, 400))
@virtual_time
async def test_a_lease_that_is_relied_on_runs_in_the_store(lease: float, took: float, later: float) -> None:
    """However long the beat took and whenever it is asked: while the worker relies on it, no other may take."""
    store = FakeStore(takes=took)
    mine = attrs.evolve(incarnation(), lease=lease)
    heartbeat = Heartbeat(store, mine, 10.0, ignore)
    await heartbeat.beat()
    await passes(later)

    assert not heartbeat.holds() or store._lives(mine.id)


@virtual_time
async def test_it_beats_at_every_interval() -> None:
    """While it runs, the lease is renewed in time."""
    store = FakeStore()
    heartbeat = Heartbeat(store, incarnation(), 10.0, ignore)
    await heartbeat.beat()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(heartbeat.run)
        await passes(95.0)

        assert heartbeat.holds()
        assert store.calls.count("beat") == 10
        nursery.cancel_scope.cancel()


@virtual_time
async def test_an_away_store_ends_the_lease_and_its_return_renews_it() -> None:
    """While the store is away the lease runs out; the worker asks more often, and holds again once it is back."""
    store = FakeStore()
    heartbeat = Heartbeat(store, incarnation(), 10.0, ignore)
    await heartbeat.beat()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(heartbeat.run)
        store.away = True
        await passes(RELIED_ON - 0.001)

        assert heartbeat.holds()
        await passes(60.0)

        assert not heartbeat.holds()
        store.away = False
        await passes(5.1)

        assert heartbeat.holds()
        nursery.cancel_scope.cancel()


@virtual_time
async def test_one_lost_beat_costs_nothing() -> None:
    """A beat that fails is written again at once, long before the lease runs out."""
    store = FakeStore()
    heartbeat = Heartbeat(store, incarnation(), 10.0, ignore)
    await heartbeat.beat()
    store.fail("beat", StoreUnavailable("lost"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(heartbeat.run)
        await passes(10.2)

        assert heartbeat.held_until > 10.0 + RELIED_ON
        nursery.cancel_scope.cancel()
