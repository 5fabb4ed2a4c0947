"""What a message's record says when the work on it stops."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fakes import claimed_message
from trioqueue.domain.attempts import AttemptFailed, WaitLonger
from trioqueue.domain.backoff import REQUEUE_DELAYS
from trioqueue.domain.budgets import BudgetReserved, BudgetSpent, Estimate
from trioqueue.domain.completions import MessageAtFault, Usage
from trioqueue.domain.facts import Finished, Noted, Returned, WayBack
from trioqueue.domain.logs import LogStep
from trioqueue.domain.states import MESSAGE_TRANSITIONS, MessageStatus
from trioqueue.worker import ends
from trioqueue.worker.tally import End
from trioqueue.worker.work import GivenUp, NotWanted, PartUnknown, RunAtFault, Stop

SPENT = Usage(7)
STOPS: dict[Stop, tuple[End, WayBack | MessageStatus]] = {
    GivenUp(): (End.RELEASED, WayBack.RELEASE),
    RunAtFault(LogStep.BAD_CREDENTIALS, "401"): (End.RELEASED, WayBack.RELEASE),
    WaitLonger(90.0, "429"): (End.SNOOZED, WayBack.SNOOZE),
    BudgetReserved(5.0): (End.SNOOZED, WayBack.SNOOZE),
    BudgetSpent(Estimate(900, None)): (End.RELEASED, WayBack.RELEASE),
    AttemptFailed("503"): (End.REQUEUED, WayBack.REQUEUE),
    AttemptFailed("late", timed_out=True): (End.REQUEUED, WayBack.REQUEUE),
    MessageAtFault("refused"): (End.FAILED, MessageStatus.FAILED),
    PartUnknown("lost"): (End.UNCONFIRMED, MessageStatus.UNCONFIRMED),
    NotWanted("opted out"): (End.SKIPPED, MessageStatus.SKIPPED),
}


def test_every_stop_is_among_them() -> None:
    """The examples hold every reason why work stops."""
    assert {type(stop) for stop in STOPS} == set(get_args(Stop))


@pytest.mark.parametrize("stop", STOPS)
def test_the_end_of_each_stop(stop: Stop) -> None:
    """Each reason has its end, in one fact under the claim that says what was spent, and no state out of order."""
    message = claimed_message()
    ending = ends.stopped(message, SPENT, stop)
    [*noted, last] = ending.facts
    end, way = STOPS[stop]

    assert ending.end is end
    assert isinstance(last, Finished | Returned)
    assert (last.claim, last.spent) == (message.claim, SPENT)
    assert way is (last.status if isinstance(last, Finished) else last.way)
    assert all(isinstance(fact, Noted) for fact in noted)
    if isinstance(last, Finished):
        assert last.status in MESSAGE_TRANSITIONS[MessageStatus.SENDING]


@given(st.integers(0, 3), st.sampled_from(list(STOPS)))
def test_only_a_failed_attempt_consumes_a_retry(retry_count: int, stop: Stop) -> None:
    """A requeue counts one retry and waits its delay; snooze and release count none; the fourth failure ends it."""
    ending = ends.stopped(claimed_message(retry_count=retry_count), SPENT, stop)
    last = ending.facts[-1]

    if not isinstance(stop, AttemptFailed):
        assert not isinstance(last, Returned) or last.retry_count == retry_count
    elif retry_count == len(REQUEUE_DELAYS):
        assert isinstance(last, Finished)
        assert last.error == f"Max retries (3) exceeded: {stop.reason}"
    else:
        assert isinstance(last, Returned)
        assert (last.retry_count, last.delay) == (retry_count + 1, REQUEUE_DELAYS[retry_count])


def test_a_time_out_is_noted() -> None:
    """An attempt that ran out of time has a TIMEOUT row besides its RETRY row; others have not."""
    late, failed = AttemptFailed("late", timed_out=True), AttemptFailed("503")
    steps = [
        [fact.log.step for fact in ends.stopped(claimed_message(), SPENT, stop).facts if fact.log is not None]
        for stop in (late, failed)
    ]

    assert steps == [[LogStep.TIMED_OUT, LogStep.REQUEUED], [LogStep.REQUEUED]]
