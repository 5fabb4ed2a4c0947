"""Stopping: scopes that end with the drain."""

import math

import trio
import trio.testing

from tests.support.clock import passes, virtual_time
from trioqueue.worker.drain import Drain


@virtual_time
async def test_a_scope_ends_by_its_own_time() -> None:
    """Without a drain, a bounded scope is a deadline like any other."""
    with Drain().bounded(3.0) as scope:
        await trio.Event().wait()

    assert scope.cancelled_caught
    assert trio.current_time() == 3.0


@virtual_time
async def test_the_drain_ends_every_scope_at_once() -> None:
    """Everything that is open when the drain begins ends then, also what has no deadline."""
    drain = Drain()
    ended: list[float] = []

    async def wait(seconds: float) -> None:
        with drain.bounded(seconds):
            await trio.Event().wait()
        ended.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        for seconds in (1.0, 100.0, math.inf):
            nursery.start_soon(wait, seconds)
        await passes(7.0)
        drain.begin()

    assert ended == [1.0, 7.0, 7.0]


@virtual_time
async def test_what_opens_after_the_drain_began_is_over() -> None:
    """A scope that is opened during the drain ends at its first checkpoint."""
    drain = Drain()
    drain.begin()
    with drain.bounded(10.0) as scope:
        await trio.Event().wait()

    assert scope.cancelled_caught
    assert trio.current_time() == 0.0


@virtual_time
async def test_what_is_outside_of_a_scope_goes_on() -> None:
    """The drain touches nothing but its scopes: what came to its end before is not ended again."""
    drain = Drain()
    with drain.bounded(10.0) as scope:
        await passes(1.0)
    drain.begin()
    await passes(1.0)

    assert drain.begun
    assert not scope.cancelled_caught


@virtual_time
async def test_it_may_begin_twice() -> None:
    """A deadline and a signal may both begin it; who waits for it is woken once and for all."""
    drain = Drain()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(drain.wait)
        await trio.testing.wait_all_tasks_blocked()

        assert not drain.begun
        drain.begin()
        drain.begin()

    assert drain.begun
