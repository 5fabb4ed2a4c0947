"""An alarm rings once each time it is set, at the time that was set last."""

import math

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from tests.support.clock import passes, virtual_time
from trioqueue.worker.alarm import Alarm


# The times between two settings are no whole seconds, also summed up: no setting falls on the moment of ringing.
@given(st.lists(st.tuples(st.integers(0, 10).map(lambda s: s + 1 / 16), st.integers(0, 20)), min_size=1, max_size=8))
@virtual_time
async def test_it_rings_at_the_time_set_last(settings: list[tuple[float, int]]) -> None:
    """Whenever it is set anew, it rings when it was last set to, and only then."""
    alarm = Alarm()
    rang: list[float] = []

    async def note() -> None:
        while True:
            await alarm.wait()
            rang.append(trio.current_time())

    expected: list[float] = []
    at = math.inf
    async with trio.open_nursery() as nursery:
        nursery.start_soon(note)
        for later, wait in settings:
            now = trio.current_time()
            expected += [at] if at < now + later else []
            at = math.inf if at < now + later else at
            await passes(later)
            at = trio.current_time() + wait
            alarm.set(at)
        await passes(21.0)
        nursery.cancel_scope.cancel()

    assert rang == pytest.approx([*expected, at])
