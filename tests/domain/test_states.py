"""The transition tables hold what SPEC 2 says of them."""

from itertools import pairwise
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioqueue.domain.states import (
    CLAIMED,
    MESSAGE_TRANSITIONS,
    OPEN,
    PART_TRANSITIONS,
    RUN_TRANSITIONS,
    MessageStatus,
    PartStatus,
    RunStatus,
    may_become,
)

M: Final = MessageStatus
P: Final = PartStatus
R: Final = RunStatus


def reachable(start: MessageStatus, *without: MessageStatus) -> set[MessageStatus]:
    """The states that a message in `start` may come to without passing through some."""
    found, waiting = {start}, [start]
    while waiting:
        new = MESSAGE_TRANSITIONS[waiting.pop()] - found - set(without)
        found |= new
        waiting += new
    return found


def test_every_state_has_its_row() -> None:
    """No state is missing from its table."""
    assert set(RUN_TRANSITIONS) == set(RunStatus)
    assert set(MESSAGE_TRANSITIONS) == set(MessageStatus)
    assert set(PART_TRANSITIONS) == set(PartStatus)


@pytest.mark.parametrize(
    "path",
    [
        (M.PENDING, M.GENERATING, M.SENDING, M.SENT, M.REPLIED),
        (M.GENERATING, M.FAILED),
        (M.SENDING, M.FAILED),
        (M.PENDING, M.SKIPPED),
        (M.SENDING, M.UNCONFIRMED, M.SENT),
        (M.UNCONFIRMED, M.PENDING),
        (M.GENERATING, M.PENDING),
        (M.SENDING, M.PENDING),
    ],
)
def test_the_ways_of_a_message(path: tuple[MessageStatus, ...]) -> None:
    """A message may go every way that SPEC 2 names."""
    assert all(may_become(MESSAGE_TRANSITIONS, *step) for step in pairwise(path))


@pytest.mark.parametrize(
    "path", [(R.RUNNING, R.PAUSED, R.RUNNING, R.COMPLETED), (R.RUNNING, R.CANCELLED), (R.RUNNING, R.FAILED)]
)
def test_the_ways_of_a_run(path: tuple[RunStatus, ...]) -> None:
    """A run may go every way that SPEC 2 names."""
    assert all(may_become(RUN_TRANSITIONS, *step) for step in pairwise(path))


@pytest.mark.parametrize("outcome", [P.SENT, P.REJECTED, P.UNKNOWN])
def test_the_ways_of_a_part(outcome: PartStatus) -> None:
    """A part is planned, then under way, then has an outcome."""
    assert may_become(PART_TRANSITIONS, P.PLANNED, P.SENDING)
    assert may_become(PART_TRANSITIONS, P.SENDING, outcome)


def test_nothing_leaves_without_being_claimed_and_planned() -> None:
    """A message is sent only by way of generating and sending; a part only by way of sending."""
    assert M.SENT not in reachable(M.PENDING, M.GENERATING)
    assert M.SENT not in reachable(M.PENDING, M.SENDING)
    assert {before for before, after in PART_TRANSITIONS.items() if P.SENDING in after} == {P.PLANNED, P.REJECTED}


def test_what_was_sent_is_never_sent_again() -> None:
    """From sent no way leads back to where a message or a part could leave."""
    assert reachable(M.SENT) == {M.SENT, M.REPLIED}
    assert PART_TRANSITIONS[P.SENT] == frozenset()


def test_an_unknown_part_does_not_leave_by_itself() -> None:
    """A part whose outcome is unknown is planned again or settled first; only then may it leave."""
    assert PART_TRANSITIONS[P.UNKNOWN] == {P.PLANNED, P.SENT}


def test_queued_is_never_written() -> None:
    """No state becomes queued."""
    assert not any(M.QUEUED in after for after in MESSAGE_TRANSITIONS.values())


def test_claimed_and_open() -> None:
    """A message has an owner while it is generating or sending, and keeps its run open while it may still be sent."""
    assert {M.GENERATING, M.SENDING} == CLAIMED
    assert {M.QUEUED, M.PENDING, M.GENERATING, M.SENDING} == OPEN


@pytest.mark.parametrize("status", [R.CANCELLED, R.FAILED])
def test_a_run_that_is_over_stays_over(status: RunStatus) -> None:
    """No state follows that of a run that was ended before its messages were."""
    assert RUN_TRANSITIONS[status] == frozenset()


def test_a_completed_run_may_go_on() -> None:
    """A completed run can only be running again."""
    assert RUN_TRANSITIONS[R.COMPLETED] == {R.RUNNING}


@given(st.sampled_from(MessageStatus), st.sampled_from(MessageStatus))
def test_a_state_may_stay(before: MessageStatus, after: MessageStatus) -> None:
    """Staying is always allowed, anything else where the table says so."""
    assert may_become(MESSAGE_TRANSITIONS, before, after) == (before == after or after in MESSAGE_TRANSITIONS[before])
