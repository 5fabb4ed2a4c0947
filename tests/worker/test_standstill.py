"""While the store takes no facts nothing is claimed or paid for; afterwards the worker goes on with what it has."""

from collections import Counter
from typing import Final
from uuid import UUID, uuid4

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.support.clock import passes, virtual_time
from tests.support.fake_store import RUN_ID
from tests.support.fakes import TEXT, FakeGateway, FakeModel
from tests.worker.rig import DEFAULTS, Rig, worker
from trioqueue.domain.completions import AnswerFormat
from trioqueue.domain.errors import TrioqueueError
from trioqueue.domain.facts import Fact, Finished, Returned, SendSettled, TextGenerated
from trioqueue.domain.states import MessageStatus, RunStatus
from trioqueue.ports import StoreUnavailable, StoreUnfit
from trioqueue.worker.standstill import LONGEST_STAND, REMINDER, Standstill
from trioqueue.worker.tally import End

MESSAGES: Final = 12
CONCURRENCY: Final = 5
HOUR: Final = 3600.0
IDEAL: Final = 2 * (2.0 + 2.0 + 3 * 0.5) * MESSAGES / CONCURRENCY


class Refused(TrioqueueError):
    """What a store says to a fact that it cannot hold."""


class NoSuchTable(StoreUnfit):
    """What a store says whose tables are not there."""


class Trouble:
    """Makes a store take no facts, while claims, beats and all else go on.

    Args:
        rig: Whose store it is.
        error: What the store says.
        kinds: The facts that it does not take.
    """

    def __init__(self, rig: Rig, error: type[Exception], kinds: type[Fact] | tuple[type[Fact], ...] = ()) -> None:
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
            raise self._error("no room")


def busy_rig(messages: int = MESSAGES) -> Rig:
    """A rig with work, whose calls take a while."""
    rig = Rig(model=FakeModel(takes=2.0), gateway=FakeGateway(takes=0.5))
    rig.store.add(messages)
    return rig


def sent_once(rig: Rig) -> bool:
    """Whether no part was delivered twice."""
    return max(Counter(part.idempotency_key for part in rig.gateway.delivered).values(), default=0) <= 1


@settings(max_examples=settings().max_examples // 16)
@given(st.floats(0, 25), st.sampled_from([0.05, 3.0, 40.0, 300.0, HOUR]), st.integers(1, 12), st.booleans())
@virtual_time
async def test_nothing_is_paid_for_that_cannot_be_stored(
    begins: float, lasts: float, concurrency: int, starts_in_trouble: bool
) -> None:
    """However long nothing can be written: no more calls than messages in flight, no text twice, and all are sent."""
    rig = busy_rig()
    trouble = Trouble(rig, StoreUnavailable)
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


@settings(max_examples=settings().max_examples // 16)
@given(st.floats(0, 25), st.sampled_from([3.0, 40.0, 300.0, HOUR]), st.integers(1, 12))
@virtual_time
async def test_a_store_that_refuses_every_fact_is_not_paid_for(begins: float, lasts: float, concurrency: int) -> None:
    """The same where every fact is refused for what it holds; runs that were paused over it go on when resumed."""
    rig = busy_rig()
    trouble = Trouble(rig, Refused)
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
    """Where ends are refused for good the run is paused, after no more calls than there were messages in flight."""
    rig = busy_rig()
    Trouble(rig, Refused, kinds).begin()
    daemon = worker(rig, concurrency=CONCURRENCY, skip_after=10 * HOUR)

    async def drain_later() -> None:
        await passes(HOUR)
        daemon.drain.begin()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(drain_later)
        await daemon.run()

    assert rig.store.runs == {RUN_ID: RunStatus.PAUSED}
    assert "refuses the end of message" in daemon.tally.paused[RUN_ID]
    assert rig.model.calls(AnswerFormat.TEXT) <= CONCURRENCY


@virtual_time
async def test_an_unfit_store_ends_the_worker() -> None:
    """What only a person can repair begins the drain; what was in flight is told until the drain's time is over."""
    rig = busy_rig()
    Trouble(rig, NoSuchTable).begin()
    with pytest.raises(NoSuchTable):
        await worker(rig, concurrency=CONCURRENCY).run()

    assert trio.current_time() == 2.0 + DEFAULTS.drain_timeout
    assert len(rig.model.requests) == CONCURRENCY
    assert rig.tally.ends == {}


@virtual_time
async def test_an_unfit_store_that_is_repaired_in_time_costs_nothing() -> None:
    """Texts and outcomes that could not be written are, if the store is repaired while the worker drains."""
    rig = busy_rig()
    trouble = Trouble(rig, NoSuchTable)
    trouble.begin()
    daemon = worker(rig, concurrency=CONCURRENCY)

    async def repair() -> None:
        await passes(10.0)
        trouble.end()

    with pytest.RaisesGroup(NoSuchTable):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(repair)
            await daemon.run()

    assert trio.current_time() < 2.0 + DEFAULTS.drain_timeout
    assert daemon.tally.ends == {End.RELEASED: CONCURRENCY}
    assert [message.text for message in rig.store.messages.values()].count(TEXT) == CONCURRENCY


@virtual_time
async def test_a_batch_that_cannot_be_written_is_told_as_an_error() -> None:
    """A one-shot batch whose facts are refused does not end as done."""
    rig = busy_rig()
    Trouble(rig, Refused).begin()
    with pytest.raises(Refused):
        await worker(rig).run_once(deadline=55.0, until_empty=True)

    assert len(rig.model.requests) <= DEFAULTS.concurrency


@virtual_time
async def test_one_text_that_is_refused_costs_the_others_a_moment() -> None:
    """One message whose texts are refused is requeued by itself, while the others go on."""
    rig = busy_rig()
    first = next(iter(rig.store.messages))

    def refuse(fact: Fact) -> None:
        if isinstance(fact, TextGenerated) and fact.claim.message_id == first:
            raise Refused("value too long")

    rig.store.refuse = refuse
    daemon = worker(rig, concurrency=CONCURRENCY)
    await daemon.run_once(deadline=None, until_empty=True)

    assert daemon.tally.ends == {End.SENT: MESSAGES - 1, End.REQUEUED: 1}
    assert trio.current_time() < 2 * IDEAL


@virtual_time
async def test_a_standstill_is_told_once_a_minute() -> None:
    """An hour without a commit is told at its beginning, each minute, and at its end, however often it is tried."""
    standstill = Standstill(())
    with capture_logs() as logs:
        for _ in range(3600):
            standstill.begin(StoreUnavailable("no space left"))
            await passes(1.0)
        standstill.answered(wrote=False)

    levels = [entry["log_level"] for entry in logs]
    assert levels == ["warning", *["error"] * round(HOUR / REMINDER - 1), "info"]
    assert {entry["error"] for entry in logs[:-1]} == {"no space left"}


@virtual_time
async def test_waiting_for_the_end_of_a_standstill() -> None:
    """A call waits for the end as long as it has time, but not for long."""
    standstill = Standstill(())
    standstill.begin(StoreUnavailable("away"))

    assert await standstill.lasts(until=1.0)
    assert trio.current_time() == 1.0
    assert await standstill.lasts(until=100.0)
    assert trio.current_time() == 1.0 + LONGEST_STAND
    standstill.answered(wrote=False)
    assert not await standstill.lasts(until=100.0)


@virtual_time
async def test_a_commit_that_writes_nothing_does_not_end_refusals() -> None:
    """Facts that are refused are taken again when one has been written, not when there was none to write."""
    standstill = Standstill(())
    standstill.begin(Refused("no"))
    standstill.answered(wrote=False)

    before = (standstill.begun, type(standstill.refusal))
    standstill.answered(wrote=True)

    assert before == (True, Refused)
    assert (standstill.begun, standstill.refusal) == (False, None)


@virtual_time
async def test_a_refusal_of_long_ago() -> None:
    """A refusal after which nothing was told for a minute is no reason any more to end with it."""
    standstill = Standstill(())
    standstill.begin(Refused("no"))
    await passes(REMINDER)

    assert standstill.begun
    assert standstill.refusal is None


@virtual_time
async def test_what_is_claimed_in_a_standstill() -> None:
    """One message, while none is in flight, to find out whether the store takes what is told of it."""
    held: set[UUID] = set()
    standstill = Standstill(held)
    before = standstill.claimable(7)
    standstill.begin(Refused("no"))

    idle = standstill.claimable(7)
    held.add(uuid4())

    assert (before, idle, standstill.claimable(7)) == (7, 1, 0)
