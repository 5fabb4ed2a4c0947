"""While the store takes no facts nothing is claimed or paid for; afterwards the worker goes on with what it has."""

from collections import Counter
from functools import partial
from typing import Final

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.support.clock import passes, virtual_time
from tests.support.fake_store import RUN_ID
from tests.support.fakes import FakeGateway, FakeModel
from tests.worker.rig import Rig, running, worker
from trioqueue.domain.errors import TrioqueueError
from trioqueue.domain.facts import Fact, Finished, PartsPlanned, Returned, SendSettled, TextGenerated
from trioqueue.domain.states import MessageStatus, PartStatus, RunStatus
from trioqueue.ports import StoreUnavailable, StoreUnfit
from trioqueue.worker.standstill import LONGEST_STAND, REMINDER, Standstill
from trioqueue.worker.tally import End

MESSAGES: Final = 40
CONCURRENCY: Final = 5
HOUR: Final = 3600.0


class Refused(TrioqueueError):
    """What a store says to a fact that it cannot hold."""


class Trouble:
    """Makes a store take no facts, while claims, beats and all else go on.

    Args:
        rig: Whose store it is.
        error: What the store says.
        kinds: The facts that it does not take.
    """

    def __init__(self, rig: Rig, error: Exception, kinds: type[Fact] | tuple[type[Fact], ...] = ()) -> None:
        self._rig = rig
        self._error = error
        self._kinds = kinds
        self._calls_before = 0

    def begin(self) -> None:
        """Take nothing any more."""
        self._calls_before = len(self._rig.model.requests)
        self._rig.store.refuse = self._refuse

    def end(self) -> int:
        """Take everything again, and return how many calls were made meanwhile."""
        self._rig.store.refuse = lambda _fact: None
        return len(self._rig.model.requests) - self._calls_before

    def _refuse(self, fact: Fact) -> None:
        if not self._kinds or isinstance(fact, self._kinds):
            raise self._error


def busy_rig(messages: int = MESSAGES) -> Rig:
    """A rig with work, whose calls take a while."""
    rig = Rig(model=FakeModel(takes=2.0), gateway=FakeGateway(takes=0.5))
    rig.store.add(messages)
    return rig


def sent_once(rig: Rig) -> bool:
    """Whether no part was delivered twice."""
    return max(Counter(part.idempotency_key for part in rig.gateway.delivered).values(), default=0) <= 1


@settings(max_examples=40)
@given(st.floats(0, 25), st.sampled_from([0.05, 3.0, 40.0, 300.0, HOUR]), st.integers(1, 12), st.booleans())
@virtual_time
async def test_nothing_is_paid_for_that_cannot_be_stored(
    begins: float, lasts: float, concurrency: int, starts_in_trouble: bool
) -> None:
    """However long nothing can be written: no more calls than messages in flight, no text twice, and all are sent."""
    rig = busy_rig()
    trouble = Trouble(rig, StoreUnavailable("no space left"))
    if starts_in_trouble:
        begins = 0.0
    async with trio.open_nursery() as nursery:
        if starts_in_trouble:
            trouble.begin()
        daemon = worker(rig, concurrency=concurrency, skip_after=10 * HOUR)
        nursery.start_soon(daemon.run)
        await passes(begins)
        if not starts_in_trouble:
            trouble.begin()
        await passes(lasts)
        calls = trouble.end()
        await passes(HOUR)
        daemon.drain.begin()

    assert calls <= concurrency
    assert {message.status for message in rig.store.messages.values()} == {MessageStatus.SENT}
    assert len(rig.model.requests) <= 2 * MESSAGES
    assert sent_once(rig)
    assert not rig.store.violations


@settings(max_examples=40)
@given(st.floats(0, 25), st.sampled_from([3.0, 40.0, 300.0, HOUR]), st.integers(1, 12))
@virtual_time
async def test_a_store_that_refuses_every_fact_is_not_paid_for(begins: float, lasts: float, concurrency: int) -> None:
    """The same where every fact is refused for what it holds; runs that were paused over it go on when resumed."""
    rig = busy_rig()
    trouble = Trouble(rig, Refused("no"))
    daemon = worker(rig, concurrency=concurrency, skip_after=10 * HOUR)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(daemon.run)
        await passes(begins)
        trouble.begin()
        await passes(lasts)
        calls = trouble.end()
        for _ in range(10):
            await passes(100.0)
            rig.store.runs[RUN_ID] = RunStatus.RUNNING
            daemon.wakeup.wake()
        await passes(HOUR)
        daemon.drain.begin()

    ends = Counter(message.status for message in rig.store.messages.values())
    assert calls <= concurrency
    assert set(ends) <= {MessageStatus.SENT, MessageStatus.UNCONFIRMED}
    assert ends[MessageStatus.UNCONFIRMED] <= concurrency
    assert sent_once(rig)
    assert not rig.store.violations


@pytest.mark.parametrize("kinds", [(), (SendSettled, Finished), (TextGenerated, Finished, Returned)])
@virtual_time
async def test_refused_ends_pause_the_run(kinds: tuple[type[Fact], ...]) -> None:
    """Where ends are refused for good the run is paused, with a reason, after the messages that were in flight."""
    rig = busy_rig()
    trouble = Trouble(rig, Refused("no"), kinds)
    trouble.begin()
    daemon = worker(rig, concurrency=CONCURRENCY, skip_after=10 * HOUR)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(daemon.run)
        await passes(HOUR)
        daemon.drain.begin()
        calls = trouble.end()
        with pytest.raises(Refused) if not kinds else trio.CancelScope():
            raise Refused("no")
    assert calls <= 2 * CONCURRENCY
    assert rig.store.runs == {RUN_ID: RunStatus.PAUSED}
