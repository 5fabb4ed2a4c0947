"""The schedule of faults is drawn from a seed."""

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tests.support.chaos.schedule import EVERY_SECONDS, LASTS, OF_WORKERS, FaultKind, draw_schedule, restarts


@given(st.integers(0, 2**32), st.floats(1, 300), st.integers(1, 20))
def test_a_schedule_is_drawn(seed: int, seconds: float, workers: int) -> None:
    """The same seed gives the same faults, in order, within the round, each of a worker that there is or of none."""
    schedule = draw_schedule(random.Random(seed), seconds=seconds, workers=workers, lease=3.0)

    assert schedule == draw_schedule(random.Random(seed), seconds=seconds, workers=workers, lease=3.0)
    assert [fault.at for fault in schedule] == sorted(fault.at for fault in schedule)
    assert all(0 < fault.at < seconds for fault in schedule)
    assert all((fault.worker in range(workers)) == (fault.kind in OF_WORKERS) for fault in schedule)
    assert all((fault.seconds > 0) == (fault.kind in LASTS) for fault in schedule)
    assert all(fault.seconds > 3.0 for fault in schedule if fault.kind is FaultKind.SUSPEND)


def test_every_kind_comes_as_often_as_it_should() -> None:
    """Over an hour each kind comes about once in its interval."""
    schedule = draw_schedule(random.Random(1), seconds=3600, workers=4, lease=3.0)
    counts = Counter(fault.kind for fault in schedule)

    assert set(counts) == set(FaultKind)
    assert all(0.8 < counts[kind] * every / 3600 < 1.2 for kind, every in EVERY_SECONDS.items())


def test_restarts() -> None:
    """Restarts come at equal intervals, every second one a crash."""
    kinds = [(fault.at, fault.kind) for fault in restarts(5.0, 3)]

    assert kinds == [
        (5.0, FaultKind.RESTART_SERVER), (10.0, FaultKind.CRASH_SERVER), (15.0, FaultKind.RESTART_SERVER),
    ]  # fmt: skip
