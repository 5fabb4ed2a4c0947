"""What follows a call of the model."""

from decimal import Decimal
from typing import Final, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioqueue.domain.attempts import AttemptFailed, CallAgain, CallEnd, WaitLonger, next_step
from trioqueue.domain.backoff import LONGEST_WAIT, MAX_ATTEMPTS, wait_after
from trioqueue.domain.completions import (
    BadCredentials,
    Completion,
    ConfigurationAtFault,
    MessageAtFault,
    OutOfCredits,
    RateLimited,
    Transient,
    Truncated,
    Usable,
    Usage,
)

SPENT: Final = Usage(7, Decimal("0.1"))
FINAL: Final = (
    Usable("text", "model", SPENT),
    MessageAtFault("refused", SPENT),
    ConfigurationAtFault("no such model", SPENT),
    BadCredentials("401", SPENT),
    OutOfCredits("402", SPENT),
)
REPEATABLE: Final = (
    RateLimited("429"),
    RateLimited("429", 5.0),
    RateLimited("429", 3600.0),
    Transient("503"),
    Truncated(),
)

completions = st.one_of(
    st.sampled_from([*FINAL, *REPEATABLE]), st.builds(RateLimited, st.just("429"), st.none() | st.floats(0, 1e6))
)
attempts = st.integers(1, 10)
remainings = st.floats(-10, 1_000) | st.just(float("inf"))
lucks = st.floats(0, 1, exclude_max=True)


def test_the_examples_are_all_there_are() -> None:
    """Every kind of completion is among the examples of these tests."""
    assert {type(completion) for completion in (*FINAL, *REPEATABLE)} == set(get_args(Completion))


@given(completions, attempts, remainings, lucks)
def test_the_answer_is_one_of_a_closed_set(completion: Completion, attempt: int, remaining: float, luck: float) -> None:
    """Whatever came of a call, whenever: it is made again, or it has ended in a known way."""
    assert isinstance(next_step(completion, attempt, remaining, luck), (*get_args(CallEnd), CallAgain))


@given(st.sampled_from(FINAL), attempts, remainings, lucks)
def test_what_a_repetition_would_not_change_ends_the_call(
    completion: Completion, attempt: int, remaining: float, luck: float
) -> None:
    """Answers, refusals and faults of the configuration are handed on as they are, at once."""
    assert next_step(completion, attempt, remaining, luck) is completion


@given(completions, st.integers(MAX_ATTEMPTS, 10), remainings, lucks)
def test_there_are_at_most_three_attempts(completion: Completion, attempt: int, remaining: float, luck: float) -> None:
    """After the third attempt nothing is called again."""
    assert not isinstance(next_step(completion, attempt, remaining, luck), CallAgain)


@given(st.floats(0, 200), attempts, remainings, lucks)
def test_a_rate_limit_is_waited_out_or_waited_longer(
    retry_after: float, attempt: int, remaining: float, luck: float
) -> None:
    """A rate limit is never a failed attempt. A wait that is begun leaves time for the call and is at most a minute."""
    step = next_step(RateLimited("429", retry_after), attempt, remaining, luck)

    assert isinstance(step, CallAgain | WaitLonger)
    assert step.wait == wait_after(attempt, retry_after, luck)
    fits = step.wait <= LONGEST_WAIT and step.wait < remaining
    assert isinstance(step, CallAgain) == (fits and attempt < MAX_ATTEMPTS)


@pytest.mark.parametrize(
    ("retry_after", "remaining", "again"),
    [(60.0, 61.0, True), (60.1, 1_000.0, False), (10.0, 10.0, False), (10.0, 10.1, True), (0.0, float("-inf"), False)],
)
def test_the_limits_of_a_wait(retry_after: float, remaining: float, again: bool) -> None:
    """A minute is still waited; a wait that would use up all the time left is not begun."""
    assert isinstance(next_step(RateLimited("429", retry_after), 1, remaining, 0.0), CallAgain) == again


@given(st.booleans(), attempts, remainings, lucks)
def test_a_fault_of_the_service_is_tried_again_then_fails(
    timed_out: bool, attempt: int, remaining: float, luck: float
) -> None:
    """The reason, and whether it was a time-out, stay with the attempt that failed."""
    step = next_step(Transient("503", timed_out), attempt, remaining, luck)

    if isinstance(step, CallAgain):
        assert step == CallAgain(wait_after(attempt, None, luck))
        assert step.wait < remaining
    else:
        assert step == AttemptFailed("503", timed_out)


@pytest.mark.parametrize("attempt", [1, 2])
def test_an_answer_cut_off_is_asked_for_once_more(attempt: int) -> None:
    """A larger answer is allowed once, at once; one that is cut off again fails the attempt."""
    assert next_step(Truncated(), attempt, 100.0, 0.5) == CallAgain(0.0, larger=True)
    assert isinstance(next_step(Truncated(), attempt, 100.0, 0.5, enlarged=True), AttemptFailed)


def test_an_answer_cut_off_in_the_last_attempt_fails() -> None:
    """There is no fourth attempt for a larger answer."""
    assert isinstance(next_step(Truncated(), MAX_ATTEMPTS, 100.0, 0.5), AttemptFailed)
