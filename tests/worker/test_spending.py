"""What a message reserves before its calls, what is counted of them, and what a budget without room does to it."""

from collections import deque
from decimal import Decimal
from typing import Any

import pytest
import trio

from tests.support.clock import passes, virtual_time
from tests.support.fake_store import RUN_ID
from tests.support.fakes import TEXT, FakeModel, ModelStep, StoredMessage, Takes, generated
from tests.worker.rig import COMPUTE_TIMEOUT, Rig, running
from trioqueue.domain.budgets import Budget, Estimate, Limits, estimated
from trioqueue.domain.completions import (
    NOTHING_SPENT,
    AnswerFormat,
    RateLimited,
    Transient,
    Truncated,
    Usable,
    Usage,
)
from trioqueue.domain.facts import Fact, SpendReserved
from trioqueue.domain.logs import LogStep
from trioqueue.domain.prompts import generation_request
from trioqueue.domain.states import MessageStatus, RunStatus
from trioqueue.ports import StoreUnavailable
from trioqueue.worker.tally import End

SPENT = Usage(200, Decimal("0.0020"))
"""What the fake model takes for a message: a text and its split."""


def bound(message: StoredMessage | None = None) -> Estimate:
    """What the call that writes a message may cost."""
    stored = message or StoredMessage()
    return estimated(generation_request(stored.model, stored.instructions, stored.context), None)


def limited(tokens: int = 1_000_000, *steps: ModelStep, **limits: Any) -> Rig:
    """A rig whose run has a budget, with what its calls that write meet."""
    rig = Rig(model=FakeModel(generate=deque(steps)))
    rig.store.budget.limit(RUN_ID, tokens, **limits)
    return rig


def of_run(rig: Rig) -> Budget:
    """The budget of the run."""
    return rig.store.budget.of(RUN_ID)


@virtual_time
async def test_without_a_budget_nothing_is_told_of_it() -> None:
    """A message that no budget is about has the commits that it always had, and not a fact more."""
    commits = []
    for rig in (Rig(), limited()):
        async with running(rig):
            await rig.process(rig.store.add())
        commits.append((len(rig.store.commits), len(rig.store.facts(SpendReserved))))

    # Two reservations have a commit each; what settles them goes with the text and with the plan.
    assert commits == [(5, 0), (7, 4)]


@virtual_time
async def test_what_a_message_costs_is_counted() -> None:
    """When it is sent, both its calls are counted, and nothing is reserved any more."""
    async with running(limited()) as rig:
        message = await rig.process(rig.store.add())

    assert message.status is MessageStatus.SENT
    assert of_run(rig) == Budget(Limits(1_000_000), SPENT)
    assert message.counted == message.spent == SPENT


@virtual_time
async def test_an_attempt_that_cost_nothing_leaves_its_reservation() -> None:
    """A call that is tried again after an error is reserved once; one that may be answered at more length, anew."""
    async with running(limited(1_000_000, RateLimited("429", 1.0), Truncated(Usage(7)), generated())) as rig:
        message = await rig.process(rig.store.add(split=False))

    asked = [fact.estimate.tokens for fact in rig.store.facts(SpendReserved) if fact.estimate is not None]
    first = bound(message).tokens
    assert message.status is MessageStatus.SENT
    assert asked == [first, first + 500]
    assert of_run(rig).counted.tokens == 127


@pytest.mark.parametrize(
    "answer",
    [
        Takes(40.0, generated()),
        Transient("cut off", perhaps_paid=True),
        Usable(TEXT, "m"),
        OSError("a defect of the client"),
    ],
)
@virtual_time
async def test_a_call_without_an_answer_counts_as_paid(answer: ModelStep) -> None:
    """What may have been paid without a word is counted with its bound, but not said to be spent."""
    fails = [answer] if isinstance(answer, Usable | OSError | Takes) else [answer] * 3
    async with running(limited(1_000_000, *fails)) as rig:
        message = rig.store.add(split=False)
        unanswered = Transient("no answer in time", timed_out=True, perhaps_paid=True)
        if isinstance(answer, Takes):
            rig.model.generate[0] = Takes(COMPUTE_TIMEOUT - 1.0, unanswered)
        await rig.process(message)

    assert message.spent == NOTHING_SPENT
    assert of_run(rig).reserved == NOTHING_SPENT
    assert of_run(rig).counted.tokens == len(fails) * bound(message).tokens


@virtual_time
async def test_a_split_is_done_without_the_model_when_it_does_not_fit() -> None:
    """A text that is paid for is sent although the budget has no room for its split: it is cut without the model."""
    async with running(limited(bound().tokens)) as rig:
        message = await rig.process(rig.store.add())

    assert message.status is MessageStatus.SENT
    assert rig.model.calls(AnswerFormat.MESSAGE_PARTS) == 0
    assert len(rig.gateway.delivered) == 3
    assert rig.store.runs[RUN_ID] is RunStatus.RUNNING


@virtual_time
async def test_a_run_whose_budget_is_spent_pauses() -> None:
    """Nothing is called, the message stays pending without an attempt, and the reason says what to do."""
    async with running(limited(bound().tokens - 1)) as rig:
        message = await rig.process(rig.store.add(retry_count=1))

    assert rig.model.requests == []
    assert rig.store.runs[RUN_ID] is RunStatus.PAUSED
    assert (message.status, message.retry_count, message.scheduled_at) == (MessageStatus.PENDING, 1, 0.0)
    [(about, entry)] = rig.store.logs
    assert (about, entry.step) == (None, LogStep.OUT_OF_CREDITS)
    assert "the run's budget is used up: 0 of" in entry.message
    assert f"trioqueue runs resume {RUN_ID} --max-tokens" in entry.message
    assert rig.tally.paused == {RUN_ID: entry.message}
    assert rig.store.waiting == set()


@virtual_time
async def test_a_day_whose_budget_is_spent_pauses_until_the_next() -> None:
    """A run that does not fit into the day's budget waits for the next day; the store may be away at first."""
    rig = Rig()
    rig.store.budget.day = Budget(Limits(100))
    rig.store.fail("budgets", StoreUnavailable("away"))
    async with running(rig):
        await rig.process(rig.store.add())

    assert rig.store.runs[RUN_ID] is RunStatus.PAUSED
    assert rig.store.waiting == {RUN_ID}
    assert rig.tally.ends == {End.RELEASED: 1}


@virtual_time
async def test_a_budget_that_was_raised_meanwhile_does_not_pause() -> None:
    """Between the refusal and the pause the budget may have been raised: the message is given back, the run goes on."""
    async with running(limited(10)) as rig:
        message = rig.store.add()
        answers = rig.store.hold("budgets")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.process, message)
            await passes(1.0)
            rig.store.budget.limit(RUN_ID, 1_000_000)
            answers.set()

    assert rig.store.runs[RUN_ID] is RunStatus.RUNNING
    assert (message.status, rig.tally.paused) == (MessageStatus.PENDING, {})


@pytest.mark.parametrize(("after", "end"), [(10.0, End.SENT), (28.0, End.SNOOZED)])
@virtual_time
async def test_what_others_have_reserved_is_waited_for(after: float, end: End) -> None:
    """A message waits in its slot for what others give back; if that takes too long it is snoozed without a retry."""
    async with running(limited(2_000)) as rig:
        message = rig.store.add(split=False)
        others = Estimate(1_500, None)
        rig.store.budget.runs[RUN_ID] = of_run(rig).reserving(others)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.process, message)
            await passes(after)
            calls = len(rig.model.requests)
            rig.store.budget.settle(RUN_ID, others, Usage(100))

    assert calls == 0
    assert rig.tally.ends == {end: 1}
    assert message.retry_count == 0
    if end is End.SNOOZED:
        assert message.scheduled_at == 24.0 + 5.0
        assert rig.store.steps() == []


@virtual_time
async def test_a_wait_for_a_budget_ends_with_the_drain() -> None:
    """A worker that stops does not wait for a budget: the message is given back, with nothing reserved."""
    async with running(limited(2_000)) as rig:
        message = rig.store.add()
        others = Estimate(1_500, None)
        rig.store.budget.runs[RUN_ID] = of_run(rig).reserving(others)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.process, message)
            await passes(3.5)
            rig.drain.begin()

    assert rig.tally.ends == {End.RELEASED: 1}
    assert of_run(rig).reserved == others.usage


@virtual_time
async def test_a_drain_during_a_call_counts_it() -> None:
    """A call that is given up under way may be paid for all the same."""
    async with running(limited(1_000_000, Takes(20.0, generated()))) as rig:
        message = rig.store.add()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.process, message)
            await passes(5.0)
            rig.drain.begin()

    assert rig.tally.ends == {End.RELEASED: 1}
    assert of_run(rig) == Budget(Limits(1_000_000), bound(message).usage)


@virtual_time
async def test_a_message_taken_up_again_is_counted_once() -> None:
    """What an earlier attempt has spent, and may have spent, is in the budget already."""
    late = Transient("no answer in time", timed_out=True, perhaps_paid=True)
    async with running(limited(1_000_000, Truncated(Usage(70)), late, late)) as rig:
        message = await rig.process(rig.store.add(split=False))
        before = of_run(rig).counted
        message.scheduled_at = 0.0
        await rig.process(message)

    assert before.tokens == 70 + 2 * (bound(message).tokens + 500)
    assert of_run(rig).counted.tokens == before.tokens + 120
    assert message.spent.tokens == 190


@virtual_time
async def test_a_dearer_answer_raises_the_price() -> None:
    """Prices are told when they are news: the first of a model, and each that is dearer than all before."""
    answers = [generated(usage=Usage(100, Decimal(cents) / 100)) for cents in (2, 1, 3)]
    async with running(limited(10_000_000, *answers, max_cost_usd=Decimal(100))) as rig:
        for _ in answers:
            await rig.process(rig.store.add(split=False))

    told = [fact.price.usd_per_token for fact in rig.store.facts(SpendReserved) if fact.price is not None]
    costs = [fact.estimate.cost_usd for fact in rig.store.facts(SpendReserved) if fact.estimate is not None]
    tokens = bound().tokens
    assert told == [Decimal("0.0002"), Decimal("0.0003")]
    assert costs == [None, Decimal("0.0002") * tokens, Decimal("0.0002") * tokens]


@virtual_time
async def test_a_stopped_run_pays_for_nothing_more() -> None:
    """A message of a run that was paused since its claim is given back before its call."""
    async with running(limited()) as rig:
        message = rig.store.add()

        def pause(fact: Fact) -> None:
            rig.store.runs[RUN_ID] = RunStatus.PAUSED

        rig.store.refuse = pause
        await rig.process(message)

    assert rig.model.requests == []
    assert rig.tally.ends == {End.RELEASED: 1}


@virtual_time
async def test_a_store_that_is_away_while_a_call_is_reserved_is_waited_for() -> None:
    """A reservation whose commit was lost is told again, and holds its bound once."""
    for done in (False, True):
        async with running(limited()) as rig:
            rig.store.fail("commit", StoreUnavailable("lost"), done=done)
            message = await rig.process(rig.store.add())

        assert message.status is MessageStatus.SENT
        assert of_run(rig) == Budget(Limits(1_000_000), SPENT)
