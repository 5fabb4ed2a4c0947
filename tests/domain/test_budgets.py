"""What a call may cost at most, whether it fits into the budgets, and what is counted of it."""

from decimal import Decimal
from uuid import UUID

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from trioqueue.domain.budgets import (
    NO_LIMITS,
    UNLIMITED,
    Answer,
    Budget,
    Budgets,
    Estimate,
    InvalidLimits,
    Limits,
    Pause,
    Price,
    check_raised,
    dollars,
    estimated,
    owed,
    pause_for,
    price_of,
)
from trioqueue.domain.completions import (
    NOTHING_SPENT,
    BadCredentials,
    Completion,
    CompletionRequest,
    MessageAtFault,
    OutOfCredits,
    RateLimited,
    Transient,
    Truncated,
    Usable,
    Usage,
)

REQUEST = CompletionRequest("some/model", "Write.", "São Paulo", 500, 0.7)
ESTIMATE = Estimate(1000, Decimal("0.01"))
RUN = UUID(int=7)
CENT = Decimal("0.01")

amounts = st.decimals(Decimal("0.0001"), 10, places=4)


@pytest.mark.parametrize("text", ["0", "-1", "NaN", "sNaN", "Infinity", "-Infinity", "1e10", "1e-30000"])
def test_impossible_amounts_are_refused(text: str) -> None:
    """What is not above 0, no number or absurd is refused in one line that says what is allowed."""
    with pytest.raises(InvalidLimits, match="allowed is an amount above 0") as refused:
        Limits(max_cost_usd=Decimal(text))

    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("tokens", [0, -1, 10**16])
def test_impossible_counts_are_refused(tokens: int) -> None:
    """So are counts of tokens."""
    with pytest.raises(InvalidLimits, match="allowed is a whole number from 1"):
        Limits(max_tokens=tokens)


@given(st.text(), st.text(), st.integers(1, 10_000))
def test_an_estimate_has_a_token_for_each_byte(system: str, user: str, max_tokens: int) -> None:
    """No tokenizer makes more tokens of a text than it has bytes, and the answer has as many as it may at most."""
    request = attrs.evolve(REQUEST, system=system, user=user, max_tokens=max_tokens)
    estimate = estimated(request, None)

    assert estimate.tokens >= len(system.encode()) + len(user.encode()) + max_tokens
    assert estimate.cost_usd is None
    assert estimated(request, Decimal("0.5")).cost_usd == estimate.tokens * Decimal("0.5")


def test_a_text_that_is_no_unicode_can_be_estimated() -> None:
    """Half a surrogate pair, as a careless program stores it, counts as a character."""
    assert estimated(attrs.evolve(REQUEST, user="\ud83d"), None).tokens > 500


def test_the_price_of_an_answer() -> None:
    """An answer's price is spread over its tokens; one without tokens says nothing, one without costs is free."""
    assert price_of("m", Usage(200, Decimal("0.1"))) == Price("m", Decimal("0.0005"))
    assert price_of("m", Usage(200)) == Price("m", Decimal(0))
    assert price_of("m", NOTHING_SPENT) is None


USAGE = Usage(20, Decimal("0.002"))


@pytest.mark.parametrize(
    ("completion", "cost"),
    [
        (Usable("text", "m", USAGE), USAGE),
        (Usable("text", "m"), ESTIMATE.usage),
        (Truncated(USAGE), USAGE),
        (Truncated(), ESTIMATE.usage),
        (Transient("no answer in time", timed_out=True, perhaps_paid=True), ESTIMATE.usage),
        (Transient("broken off", usage=USAGE, perhaps_paid=True), USAGE),
        (Transient("503"), NOTHING_SPENT),
        (RateLimited("429"), NOTHING_SPENT),
        (MessageAtFault("refused", USAGE), USAGE),
        (BadCredentials("401"), NOTHING_SPENT),
        (OutOfCredits("402"), NOTHING_SPENT),
        (None, ESTIMATE.usage),
    ],
)
def test_what_is_counted_of_a_call(completion: Completion | None, cost: Usage) -> None:
    """What the answer says; its bound where the call may have been paid without a word; nothing for an error."""
    assert owed(completion, ESTIMATE) == cost
    assert owed(completion, None) == (NOTHING_SPENT if completion is None else completion.usage)


@given(amounts, amounts, amounts, amounts, st.booleans())
def test_a_call_is_granted_exactly_when_it_fits(
    most: Decimal, spent: Decimal, reserved: Decimal, cost: Decimal, busy: bool
) -> None:
    """What is counted, reserved and asked for must fit together; with nothing under way, the budget is spent."""
    budget = Budget(Limits(max_cost_usd=most), Usage(1, spent), Usage(1, reserved))
    alone = attrs.evolve(budget, reserved=NOTHING_SPENT)
    estimate = Estimate(1, cost)

    assert budget.answer(estimate, busy=busy) is (
        Answer.GRANTED if spent + reserved + cost <= most else Answer.RESERVED
    )
    if spent + cost > most:
        assert alone.answer(estimate, busy=busy) is (Answer.RESERVED if busy else Answer.SPENT)
    else:
        assert alone.answer(estimate, busy=busy) is Answer.GRANTED


@given(st.integers(1, 1000), st.integers(0, 1000), st.integers(0, 1000), st.integers(1, 1000))
def test_tokens_are_held_like_dollars(most: int, spent: int, reserved: int, tokens: int) -> None:
    """The same for tokens, whatever the call costs."""
    budget = Budget(Limits(max_tokens=most), Usage(spent), Usage(reserved))

    assert (budget.answer(Estimate(tokens, None)) is Answer.GRANTED) == (spent + reserved + tokens <= most)


def test_without_a_price_one_call_goes_at_a_time() -> None:
    """While no price is known one call is made while anything is left, and tells the price to the others."""
    unpriced = Estimate(1000, None)
    budget = Budget(Limits(max_cost_usd=Decimal(1)))
    first = budget.reserving(unpriced)

    assert budget.answer(unpriced) is Answer.GRANTED
    assert first.answer(unpriced) is Answer.RESERVED
    assert first.answer(ESTIMATE) is Answer.GRANTED
    assert first.settling(unpriced, Usage(10, Decimal("0.1"))).answer(unpriced) is Answer.GRANTED
    assert first.settling(unpriced, Usage(10, Decimal(1))).answer(unpriced) is Answer.SPENT
    assert Budget(Limits(max_tokens=5000)).reserving(unpriced).answer(unpriced) is Answer.GRANTED


def test_both_budgets_must_have_room() -> None:
    """A run's call must fit into the day's budget, too; one that is spent outweighs one that is only reserved."""
    room = Budget(Limits(max_tokens=10_000))
    spent = Budget(Limits(max_tokens=10), Usage(10))
    full = Budget(Limits(max_tokens=1500), NOTHING_SPENT, Usage(1000))

    assert Budgets(room, UNLIMITED).answer(ESTIMATE) is Answer.GRANTED
    assert Budgets(room, full).answer(ESTIMATE) is Answer.RESERVED
    assert Budgets(full, spent).answer(ESTIMATE) is Answer.SPENT
    assert Budgets(spent, spent).answer(ESTIMATE, busy=True) is Answer.RESERVED


def test_the_reason_of_a_pause() -> None:
    """It says which budget is used up, how much is spent and how to raise it; None when the call fits by now."""
    run_cost = Budget(Limits(max_cost_usd=Decimal(5)), Usage(9, Decimal("4.9951")))
    run_tokens = Budget(Limits(max_tokens=10_000), Usage(9_500))
    estimate = Estimate(1000, Decimal("0.0123456"))
    cost = "$4.9951 of $5.00 is spent, and the next call may cost $0.012346"
    tokens = "9500 of 10000 tokens are spent, and the next call may take 1000"
    resume = f"trioqueue runs resume {RUN}"
    day, later = "the day's budget is used up", "it goes on at 00:00 UTC, or raise"
    expected = {
        Budgets(run_cost, UNLIMITED): f"the run's budget is used up: {cost}; raise it: {resume} --max-cost N",
        Budgets(run_tokens, run_cost): f"the run's budget is used up: {tokens}; raise it: {resume} --max-tokens N",
        Budgets(UNLIMITED, run_cost): f"{day}: {cost}; {later} max_cost_per_day and say {resume}",
        Budgets(UNLIMITED, run_tokens): f"{day}: {tokens}; {later} max_tokens_per_day and say {resume}",
    }

    for budgets, reason in expected.items():
        assert pause_for(RUN, budgets, estimate) == Pause(reason, until_tomorrow=budgets.run is UNLIMITED)
    assert pause_for(RUN, Budgets(run_cost, UNLIMITED), Estimate(1, Decimal(0))) is None


def test_a_new_budget_must_leave_something() -> None:
    """A budget below what is spent already would only pause the run again."""
    with pytest.raises(InvalidLimits, match=r"has spent \$4\.50: a budget of \$4\.00 would"):
        check_raised(RUN, Limits(max_cost_usd=Decimal(4)), Usage(10, Decimal("4.5")))
    with pytest.raises(InvalidLimits, match="has spent 10 tokens: a budget of 10 would"):
        check_raised(RUN, Limits(max_tokens=10), Usage(10))
    check_raised(RUN, Limits(11, Decimal(5)), Usage(10, Decimal("4.5")))


@pytest.mark.parametrize(
    ("amount", "text"), [("5", "$5.00"), ("0.5", "$0.50"), ("0.00012", "$0.00012"), ("1E-9", "$0.00"), ("0", "$0.00")]
)
def test_amounts_for_people(amount: str, text: str) -> None:
    """Cents, and more digits where they are needed."""
    assert dollars(Decimal(amount)) == text


class ManyCalls(RuleBasedStateMachine):
    """Calls of two runs with a budget each, under the budget of the day, in any order whatsoever."""

    def __init__(self) -> None:
        super().__init__()
        self.runs = [Budget(Limits(2_000, Decimal(2))), Budget(NO_LIMITS)]
        self.day = Budget(Limits(5_000, Decimal(3)))
        self.under_way: list[tuple[int, Estimate]] = []
        self.really_spent = [NOTHING_SPENT, NOTHING_SPENT]
        self.refused: Estimate | None = None

    @rule(run=st.integers(0, 1), tokens=st.integers(1, 900), cents=st.integers(0, 90))
    def ask(self, run: int, tokens: int, cents: int) -> None:
        """A message asks for its next call."""
        estimate = Estimate(tokens, cents * CENT)
        answer = Budgets(self.runs[run], self.day).answer(estimate)
        if answer is Answer.GRANTED:
            self.runs[run] = self.runs[run].reserving(estimate)
            self.day = self.day.reserving(estimate)
            self.under_way.append((run, estimate))
        elif answer is Answer.SPENT:
            assert pause_for(RUN, Budgets(self.runs[run], self.day), estimate) is not None
            assert not [each for each in self.under_way if each[0] == run] or not self.day.reserved.tokens
        else:
            assert self.under_way, "a call waits although nothing can come back"

    @precondition(lambda self: self.under_way)
    @rule(place=st.integers(0, 99), tokens=st.integers(0, 900), cents=st.integers(0, 90))
    def answer(self, place: int, tokens: int, cents: int) -> None:
        """A call is answered, and costs its bound at most."""
        run, estimate = self.under_way.pop(place % len(self.under_way))
        self._settle(run, estimate, Usage(min(tokens, estimate.tokens), min(cents * CENT, estimate.usage.cost_usd)))

    @precondition(lambda self: self.under_way)
    @rule(place=st.integers(0, 99), paid=st.booleans())
    def lose(self, place: int, paid: bool) -> None:
        """A call has no answer: it is counted with its bound, whether it was paid or not."""
        run, estimate = self.under_way.pop(place % len(self.under_way))
        self._settle(run, estimate, estimate.usage if paid else NOTHING_SPENT, counted=estimate.usage)

    def _settle(self, run: int, estimate: Estimate, spent: Usage, counted: Usage | None = None) -> None:
        self.really_spent[run] += spent
        self.runs[run] = self.runs[run].settling(estimate, counted or spent)
        self.day = self.day.settling(estimate, counted or spent)

    @invariant()
    def nothing_is_exceeded(self) -> None:
        """What is counted and reserved stays within each budget, and what was really spent is counted."""
        for budget in (*self.runs, self.day):
            if budget.limits.any:
                assert budget.counted.tokens + budget.reserved.tokens <= (budget.limits.max_tokens or 0)
                assert budget.counted.cost_usd + budget.reserved.cost_usd <= (budget.limits.max_cost_usd or 0)
        for budget, spent in zip(self.runs, self.really_spent, strict=True):
            assert spent.tokens <= budget.counted.tokens
            assert spent.cost_usd <= budget.counted.cost_usd

    @invariant()
    def nothing_is_lost(self) -> None:
        """What is reserved is reserved for calls under way, to the last token; the day's sums are those of the runs."""
        reserved = sum(estimate.tokens for _, estimate in self.under_way)
        assert self.day.reserved.tokens == sum(run.reserved.tokens for run in self.runs) == reserved
        assert self.day.counted == self.runs[0].counted + self.runs[1].counted
        assert self.day.unpriced == 0


TestManyCalls = ManyCalls.TestCase
