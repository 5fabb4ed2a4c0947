"""Back-off within a call and between attempts (SPEC R3 and R4)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioqueue.domain.backoff import (
    JITTER,
    LONGEST_WAIT,
    MAX_ATTEMPTS,
    MAX_REQUEUES,
    NOMINAL_WAITS,
    REQUEUE_DELAYS,
    exhausted_error,
    requeue_delay,
    wait_after,
)

attempts = st.integers(1, 1_000)
lucks = st.floats(0, 1, exclude_max=True)
retry_afters = st.none() | st.floats(0, 1e9)


def test_the_numbers() -> None:
    """Three attempts a call with 1, 2 and 4 seconds in between, requeues after 5, 15 and 30 minutes."""
    assert MAX_ATTEMPTS == 3
    assert NOMINAL_WAITS == (1.0, 2.0, 4.0)
    assert LONGEST_WAIT == 60.0
    assert REQUEUE_DELAYS == (5 * 60, 15 * 60, 30 * 60)


@pytest.mark.parametrize(("attempt", "nominal"), [(1, 1.0), (2, 2.0), (3, 4.0), (4, 4.0), (100, 4.0)])
def test_without_luck_the_wait_is_nominal(attempt: int, nominal: float) -> None:
    """The nominal waits are 1, 2 and 4 seconds, and grow no further."""
    assert wait_after(attempt, None, 0.0) == nominal


@given(attempts, lucks)
def test_jitter_takes_off_at_most_its_part(attempt: int, luck: float) -> None:
    """A wait is never longer than nominal, never shorter than nominal without the jitter, and so never negative."""
    nominal = wait_after(attempt, None, 0.0)

    assert 0 < nominal * (1 - JITTER) <= wait_after(attempt, None, luck) <= nominal <= NOMINAL_WAITS[-1]


@given(attempts, retry_afters, lucks)
def test_later_attempts_never_wait_less(attempt: int, retry_after: float | None, luck: float) -> None:
    """With the same luck, the wait after a later attempt is at least that after an earlier one."""
    assert wait_after(attempt, retry_after, luck) <= wait_after(attempt + 1, retry_after, luck)


@given(attempts, st.floats(0, 1e9), lucks)
def test_retry_after_is_never_undercut(attempt: int, retry_after: float, luck: float) -> None:
    """What the service asks for is waited in full; more only where the back-off is longer."""
    wait = wait_after(attempt, retry_after, luck)

    assert wait >= retry_after
    assert wait in (retry_after, wait_after(attempt, None, luck))


def test_requeues() -> None:
    """A message comes back after 5, 15 and 30 minutes, and then not at all."""
    assert [requeue_delay(count) for count in range(5)] == [300, 900, 1800, None, None]


def test_the_error_of_an_exhausted_message() -> None:
    """The front end matches these words."""
    assert exhausted_error("503: overloaded") == "Max retries (3) exceeded: 503: overloaded"
    assert MAX_REQUEUES == 3
