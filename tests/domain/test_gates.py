"""The gate before a model: cool-downs and the circuit breaker (SPEC 4.3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

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
)
from trioqueue.domain.gates import FAULTS_TO_SHUT, FIRST_SHUT, LEAST_ROW, LONGEST_SHUT, OPEN, Cause, Gate

ANSWERS: list[Completion] = [
    Usable("text", "model"),
    Truncated(),
    MessageAtFault("refused"),
    ConfigurationAtFault("unknown"),
    BadCredentials("401"),
    OutOfCredits("402"),
]
"""What shows that the service answers, whatever it says."""

FAULT = Transient("503")


def after_faults(count: int, lasting: float = LEAST_ROW) -> Gate:
    """The gate after so many faults of the service in a row, of which the last came after all the others."""
    gate = OPEN
    for _ in range(count - 1):
        gate = gate.after(FAULT, -lasting, 0.0, probe=False)
    return gate.after(FAULT, 0.0, 0.0, probe=False)


def test_a_rate_limit_shuts_for_its_wait() -> None:
    """One rate limit shuts the gate for as long as it asks, and says why."""
    gate = OPEN.after(RateLimited("429"), 100.0, 7.0, probe=False)

    assert gate == Gate(107.0, Cause.RATE_LIMIT, "429")
    assert (gate.remaining(102.0), gate.remaining(108.0)) == (5.0, 0.0)


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 100)), min_size=1))
def test_rate_limits_only_ever_lengthen(limits: list[tuple[float, float]]) -> None:
    """However many rate limits come, none is undercut."""
    gate, now, latest = OPEN, 0.0, 0.0
    for passed, wait in limits:
        now += passed
        latest = max(latest, now + wait)
        gate = gate.after(RateLimited("429"), now, wait, probe=False)

    assert gate.shut_until == latest


def test_faults_in_a_row_shut_it() -> None:
    """Ten faults of the service in a row shut the gate for 5 seconds; any other answer begins the row again.

    However many come within two seconds, the calls are made once more.
    """
    assert after_faults(FAULTS_TO_SHUT - 1).is_open
    assert after_faults(1000, LEAST_ROW - 0.1).is_open
    assert after_faults(FAULTS_TO_SHUT) == Gate(FIRST_SHUT, Cause.FAULTS, "503", trips=1)
    for answer in ANSWERS:
        mended = after_faults(FAULTS_TO_SHUT - 1).after(answer, 0.0, 0.0, probe=False)

        assert mended == OPEN


def test_each_failed_probe_doubles_the_time() -> None:
    """Probes that fail shut the gate for 10, 20, 40 and then 60 seconds each, for ever."""
    gate, now, times = after_faults(FAULTS_TO_SHUT), 0.0, []
    for _ in range(2000):
        now += gate.remaining(now)
        gate = gate.after(FAULT, now, 0.0, probe=True)
        times.append(gate.remaining(now))

    assert times[:4] == pytest.approx([10.0, 20.0, 40.0, LONGEST_SHUT])
    assert times[4:] == pytest.approx([LONGEST_SHUT] * 1996)


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: type(answer).__name__)
def test_a_probe_that_is_answered_opens_it(answer: Completion) -> None:
    """Whatever the service says to a probe, it answers: the gate is open, and earlier faults are forgotten."""
    shut = after_faults(FAULTS_TO_SHUT)

    assert shut.after(answer, 5.0, 0.0, probe=True) == OPEN


@pytest.mark.parametrize("answer", [*ANSWERS, FAULT], ids=lambda answer: type(answer).__name__)
@pytest.mark.parametrize("shut", [after_faults(FAULTS_TO_SHUT), Gate(5.0, reason="429")], ids=["faults", "limit"])
def test_answers_to_earlier_calls_say_nothing(shut: Gate, answer: Completion) -> None:
    """A call that was under way when the gate was shut neither opens it nor shuts it for longer."""
    assert shut.after(answer, 1.0, 0.0, probe=False) == shut


def test_a_probe_that_is_limited_shuts_it_again() -> None:
    """A rate limit in answer to a probe begins the next cool-down."""
    gate = Gate(5.0, reason="429").after(RateLimited("still"), 6.0, 2.0, probe=True)

    assert gate == Gate(8.0, Cause.RATE_LIMIT, "still")


def test_a_probe_that_fails_otherwise_ends_a_cool_down() -> None:
    """A fault of the service in answer to the probe after a rate limit is a fault like any other."""
    gate = Gate(5.0, reason="429").after(FAULT, 6.0, 0.0, probe=True)

    assert gate == Gate(faults=1, faults_since=6.0)


class GateMachine(RuleBasedStateMachine):
    """The gate against a plain account of when it may be open, under a clock that only rules move."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = OPEN
        self.now = 0.0
        self.row: list[float] = []
        self.opens_by_probe_at: float | None = None

    @rule(seconds=st.floats(0.0, 70.0))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(wait=st.floats(0.0, 100.0))
    def a_call_is_limited(self, wait: float) -> None:
        self.opens_by_probe_at = max(self.opens_by_probe_at or 0.0, self.now + wait)
        self.row = []
        self.gate = self.gate.after(RateLimited("429"), self.now, wait, probe=False)

    @precondition(lambda self: self.gate.is_open)
    @rule(count=st.integers(1, FAULTS_TO_SHUT))
    def calls_fail(self, count: int) -> None:
        for _ in range(count):
            if self.opens_by_probe_at is None:
                self.row.append(self.now)
                if len(self.row) >= FAULTS_TO_SHUT and self.now - self.row[0] >= LEAST_ROW:
                    self.opens_by_probe_at = self.now + FIRST_SHUT
            self.gate = self.gate.after(FAULT, self.now, 0.0, probe=False)

    @rule(answer=st.sampled_from(ANSWERS))
    def an_earlier_call_is_answered(self, answer: Completion) -> None:
        if self.gate.is_open:
            self.row = []
        self.gate = self.gate.after(answer, self.now, 0.0, probe=False)

    @precondition(lambda self: not self.gate.is_open and self.gate.remaining(self.now) == 0)
    @rule(answer=st.sampled_from(ANSWERS))
    def a_probe_is_answered(self, answer: Completion) -> None:
        self.opens_by_probe_at, self.row = None, []
        self.gate = self.gate.after(answer, self.now, 0.0, probe=True)

    @precondition(lambda self: not self.gate.is_open and self.gate.remaining(self.now) == 0)
    @rule()
    def a_probe_fails(self) -> None:
        before = self.gate
        self.gate = before.after(FAULT, self.now, 0.0, probe=True)
        self.opens_by_probe_at = self.gate.shut_until
        self.row = [self.now]

        assert self.gate.is_open == (before.cause is Cause.RATE_LIMIT)
        if before.cause is Cause.FAULTS:
            assert self.gate.trips == before.trips + 1
            assert FIRST_SHUT - 1e-6 <= self.gate.remaining(self.now) <= LONGEST_SHUT + 1e-6

    @invariant()
    def it_stands_where_the_account_says(self) -> None:
        assert self.gate.shut_until == self.opens_by_probe_at
        assert self.gate.faults == (len(self.row) if self.gate.is_open else 0)


TestGateMachine = GateMachine.TestCase
TestGateMachine.__doc__ = "Whatever comes in whatever order, the gate is open and shut exactly when it should be."
