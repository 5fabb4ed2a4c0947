"""What has been over for long is removed, in batches, at once and then each hour."""

from collections.abc import MutableMapping, Sequence
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs

from tests.support.clock import passes, virtual_time
from tests.support.fake_store import RUN_ID
from tests.support.fakes import FakeStore
from tests.worker.rig import Rig, worker
from trioqueue.domain.states import MessageStatus, RunStatus
from trioqueue.ports import StoreUnavailable
from trioqueue.worker.retention import INTERVAL, Retention

DAY = 86_400.0


async def look_on(store: FakeStore, seconds: float) -> Sequence[MutableMapping[str, Any]]:
    """Let a retention of two days run for a while, and return what it logged."""
    with capture_logs() as lines:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Retention(store, 2).run)
            await passes(seconds)
            nursery.cancel_scope.cancel()
    return lines


@virtual_time
async def test_batch_after_batch() -> None:
    """All that is over for long enough goes, in as many batches as it takes, and is logged once."""
    store = FakeStore()
    store.add(25, status=MessageStatus.SENT)
    store.runs[RUN_ID] = RunStatus.COMPLETED
    await passes(3 * DAY)
    lines = await look_on(store, 60.0)

    assert store.messages == {}
    assert store.calls.count("prune") == 4
    assert [(line["event"], line["rows"]) for line in lines] == [("removed what was over", 25)]


@pytest.mark.parametrize("seconds", [0.0, 1.9 * DAY])
@virtual_time
async def test_what_is_young_is_kept(seconds: float) -> None:
    """What has not been over for so long stays; then the store is asked once an hour."""
    store = FakeStore()
    store.add(status=MessageStatus.SENT)
    store.runs[RUN_ID] = RunStatus.COMPLETED
    await passes(seconds)
    lines = await look_on(store, INTERVAL + 1.0)

    assert len(store.messages) == 1
    assert (store.calls.count("prune"), lines) == (2, [])


@virtual_time
async def test_an_away_store_is_asked_again_later() -> None:
    """A store that is away costs a look, not the retention."""
    store = FakeStore()
    store.fail("prune", StoreUnavailable("away"))
    store.add(status=MessageStatus.SENT)
    store.runs[RUN_ID] = RunStatus.COMPLETED
    await passes(3 * DAY)
    lines = await look_on(store, INTERVAL + 1.0)

    assert store.messages == {}
    assert lines[0]["log_level"] == "warning"


@pytest.mark.parametrize(("days", "left"), [(None, 1), (2, 0)])
@virtual_time
async def test_a_worker_removes_only_where_it_is_told_to(days: int | None, left: int) -> None:
    """Without the setting everything is kept."""
    rig = Rig()
    rig.store.add(status=MessageStatus.SENT)
    rig.store.runs[RUN_ID] = RunStatus.COMPLETED
    await passes(3 * DAY)
    daemon = worker(rig, retention_days=days)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(daemon.run)
        await passes(1.0)
        daemon.drain.begin()

    assert len(rig.store.messages) == left


@pytest.mark.parametrize(("deadline", "all_gone"), [(None, True), (55.0, True), (0.3, False)])
@virtual_time
async def test_a_run_with_nothing_to_send_removes_too(deadline: float | None, all_gone: bool) -> None:
    """A one-shot run removes what it can when it is done, and does not go beyond its deadline for it."""
    rig = Rig()
    rig.store.add(100, status=MessageStatus.SENT)
    rig.store.runs[RUN_ID] = RunStatus.COMPLETED
    await passes(3 * DAY)
    began = trio.current_time()
    in_time = await worker(rig, retention_days=2).run_once(deadline=deadline, until_empty=True)

    assert in_time
    assert (len(rig.store.messages) == 0) is all_gone
    assert len(rig.store.messages) < 100
    assert trio.current_time() - began <= (deadline or 5.0)
