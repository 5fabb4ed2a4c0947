"""Budgets on a real PostgreSQL: reserved, counted, given back, and never exceeded."""

import random
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import attrs
import pytest

from tests.support.database import SCHEMA, fetch, fetch_value, incarnation, start_run
from tests.support.fake_budgets import FakeBudgets
from trioqueue.domain.budgets import NO_LIMITS, Budget, Estimate, InvalidLimits, Limits, Price
from trioqueue.domain.completions import NOTHING_SPENT, Usage
from trioqueue.domain.facts import Finished, Returned, SpendReserved, TextGenerated, Verdict, WayBack
from trioqueue.domain.logs import LogStep
from trioqueue.domain.messages import Claim, ClaimedMessage
from trioqueue.domain.states import MessageStatus
from trioqueue.postgres.campaigns import Campaigns, RunNotThere
from trioqueue.postgres.pool import Pool
from trioqueue.postgres.store import PostgresStore

CENT = Decimal("0.01")
ESTIMATE = Estimate(1000, 10 * CENT)
DAILY = Limits(10_000, Decimal(1))


def make_store(pool: Pool, daily: Limits = NO_LIMITS) -> PostgresStore:
    """A store, with a budget of the day."""
    return PostgresStore(pool, SCHEMA, timeout=30, daily=daily)


@pytest.fixture
def store(pool: Pool) -> PostgresStore:
    """A store without a budget of the day."""
    return make_store(pool)


async def claimed(store: PostgresStore, count: int) -> Sequence[ClaimedMessage]:
    """Messages in the hands of a worker that is alive."""
    worker = incarnation()
    await store.beat(worker)
    return await store.claim(worker.id, count)


async def limited(pool: Pool, store: PostgresStore, count: int, limits: Limits) -> list[Claim]:
    """Claims of the messages of a run with a budget."""
    await start_run(pool, count, limits=limits)
    return [message.claim for message in await claimed(store, count)]


async def figures(pool: Pool, table: str = "campaign_runs") -> tuple[Any, ...]:
    """What is counted and reserved of the only row."""
    columns = "counted_tokens, counted_cost_usd, reserved_tokens, reserved_cost_usd, unpriced_calls"
    [row] = await fetch(pool, f"select {columns} from {table}")
    return row


async def test_messages_without_a_budget_know_nothing_of_it(pool: Pool, store: PostgresStore) -> None:
    """Where neither the run nor the day has a budget nothing is to be told, and nothing is stored."""
    await start_run(pool, 1)
    [message] = await claimed(store, 1)

    assert (message.counted, message.usd_per_token) == (None, None)
    assert await figures(pool) == (0, 0, 0, 0, 0)


async def test_a_call_is_reserved_then_counted(pool: Pool, store: PostgresStore) -> None:
    """A bound is held until the call's cost is told; told again, it changes nothing."""
    [claim] = await limited(pool, store, 1, Limits(5000, Decimal(1)))
    asked = SpendReserved(claim, NOTHING_SPENT, ESTIMATE)
    for _ in range(2):
        assert await store.commit([asked]) == [Verdict.DURABLE]
        assert await figures(pool) == (0, 0, 1000, Decimal("0.10"), 0)

    told = SpendReserved(claim, Usage(300, CENT))
    text = TextGenerated(claim, "A text that was paid for.", "m", Usage(300, CENT), 1)
    for _ in range(2):
        assert await store.commit([told, text]) == [Verdict.DURABLE] * 2
        assert await figures(pool) == (300, CENT, 0, 0, 0)


async def test_what_comes_last_of_a_message_counts(pool: Pool, store: PostgresStore) -> None:
    """A call that was asked for and given up before the answer came ends with its message, also in one batch."""
    [claim] = await limited(pool, store, 1, Limits(5000, Decimal(1)))
    asked, told = SpendReserved(claim, NOTHING_SPENT, ESTIMATE), SpendReserved(claim, Usage(7, CENT))
    back = Returned(claim, WayBack.SNOOZE, 1.0, 0)
    verdicts = await store.commit([asked, told, back])

    assert verdicts == [Verdict.DURABLE] * 3
    assert await figures(pool) == (7, CENT, 0, 0, 0)
    assert await store.commit([told]) == [Verdict.CLAIM_LOST]
    assert await figures(pool) == (7, CENT, 0, 0, 0)


async def test_room_is_what_is_neither_counted_nor_reserved(pool: Pool, store: PostgresStore) -> None:
    """In one batch or in several: what does not fit waits while others are under way, and is spent when none is."""
    claims = await limited(pool, store, 3, Limits(2500))
    together = await store.commit([SpendReserved(claim, NOTHING_SPENT, ESTIMATE) for claim in claims])
    alone = await store.commit([SpendReserved(claims[2], NOTHING_SPENT, ESTIMATE)])
    await store.commit([SpendReserved(claims[0], Usage(900)), SpendReserved(claims[1], Usage(900))])
    after = await store.commit([SpendReserved(claims[2], NOTHING_SPENT, ESTIMATE)])

    assert sorted(verdict.name for verdict in together) == ["BUDGET_RESERVED", "DURABLE", "DURABLE"]
    assert alone == [Verdict.BUDGET_RESERVED]
    assert after == [Verdict.BUDGET_SPENT]


async def test_what_is_settled_in_a_batch_is_given_out_in_it(pool: Pool, store: PostgresStore) -> None:
    """A batch counts what its messages have spent before it grants anything."""
    first, second = await limited(pool, store, 2, Limits(1000))
    await store.commit([SpendReserved(first, NOTHING_SPENT, ESTIMATE)])
    verdicts = await store.commit([SpendReserved(second, NOTHING_SPENT, ESTIMATE), SpendReserved(first, NOTHING_SPENT)])

    assert verdicts == [Verdict.DURABLE, Verdict.DURABLE]


async def test_what_is_paid_for_is_sent_before_the_run_pauses(pool: Pool, store: PostgresStore) -> None:
    """While another message of the run has its text the budget is not called spent: the pause would stop its parts."""
    first, second = await limited(pool, store, 2, Limits(1200))
    text = TextGenerated(first, "A text that was paid for.", "m", Usage(900), 1)
    await store.commit([SpendReserved(first, NOTHING_SPENT, ESTIMATE)])
    await store.commit([SpendReserved(first, Usage(900)), text])
    asked = [SpendReserved(second, NOTHING_SPENT, ESTIMATE)]
    before = await store.commit(asked)
    await store.commit([Finished(first, MessageStatus.FAILED, "refused by the gateway")])

    assert before == [Verdict.BUDGET_RESERVED]
    assert await store.commit(asked) == [Verdict.BUDGET_SPENT]


async def test_a_run_that_is_not_running_pays_for_nothing(pool: Pool, store: PostgresStore) -> None:
    """A call of a run that was paused is refused, but what was spent before is counted."""
    [claim] = await limited(pool, store, 1, Limits(5000))
    await store.pause_run(claim.run_id, LogStep.FINISHED, "by a person")

    assert await store.commit([SpendReserved(claim, Usage(5), ESTIMATE)]) == [Verdict.RUN_STOPPED]
    assert await figures(pool) == (5, 0, 0, 0, 0)


async def test_a_lost_claim_counts_nothing(pool: Pool, store: PostgresStore) -> None:
    """A worker that another has followed changes no budget."""
    [claim] = await limited(pool, store, 1, Limits(5000))
    former = attrs.evolve(claim, owner=uuid4())

    assert await store.commit([SpendReserved(former, Usage(5), ESTIMATE)]) == [Verdict.CLAIM_LOST]
    assert await figures(pool) == (0, 0, 0, 0, 0)


async def test_a_lost_worker_leaves_nothing_reserved(pool: Pool) -> None:
    """What a dead worker had reserved is counted as spent, because it may have been paid, and the log says so."""
    store = make_store(pool, DAILY)
    priced, unpriced, idle = await limited(pool, store, 3, Limits(5000, Decimal(1)))
    await store.commit([SpendReserved(priced, Usage(5, CENT), ESTIMATE)])
    await store.commit([SpendReserved(unpriced, NOTHING_SPENT, Estimate(700, None))])
    await fetch(pool, "delete from workers")
    rescued = await store.rescue(idempotent=False)
    details = await fetch(pool, "select message_id, details from campaign_logs where step_name = 'GERAÇÃO_IA'")

    assert rescued.released == 3
    assert await figures(pool) == (1705, 11 * CENT, 0, 0, 0)
    assert await figures(pool, "daily_spending") == (1705, 11 * CENT, 0, 0, 0)
    assert dict(details) == {
        priced.message_id: {"tokens": 1000, "cost_usd": 0.10},
        unpriced.message_id: {"tokens": 700, "cost_usd": None},
    }
    again = {message.claim.message_id: message for message in await claimed(store, 3)}
    assert again[priced.message_id].counted == Usage(1005, 11 * CENT)
    assert again[idle.message_id].counted == NOTHING_SPENT


async def test_the_dearest_price_of_the_day_is_brought_with_a_claim(pool: Pool, store: PostgresStore) -> None:
    """Workers tell prices; the dearest of the last day that knows one counts."""
    claims = await limited(pool, store, 4, Limits(max_cost_usd=Decimal(1)))
    prices = [Price("some/model", CENT), Price("some/model", 3 * CENT), Price("another/model", Decimal(9))]
    for claim, price in zip(claims[:3], prices, strict=True):
        await store.commit([SpendReserved(claim, NOTHING_SPENT, None, price)])
    await fetch(pool, "insert into model_prices values ('some/model', '2020-01-01', 1000)")
    await store.commit([Returned(claims[3], WayBack.RELEASE, None, 0)])
    [message] = await claimed(store, 1)

    assert message.usd_per_token == 3 * CENT


async def test_the_day_is_shared_by_all_runs(pool: Pool) -> None:
    """A run without a budget of its own counts against that of the day, and so does every other."""
    store = make_store(pool, Limits(1500))
    await start_run(pool, 1)
    await start_run(pool, 1, first=1)
    first, second = [message.claim for message in await claimed(store, 2)]
    granted = await store.commit([SpendReserved(first, NOTHING_SPENT, ESTIMATE)])
    waiting = await store.commit([SpendReserved(second, NOTHING_SPENT, ESTIMATE)])
    await store.commit([SpendReserved(first, Usage(1000))])
    spent = await store.commit([SpendReserved(second, NOTHING_SPENT, ESTIMATE)])
    await fetch(pool, "update daily_spending set day = day - 1")
    tomorrow = await store.commit([SpendReserved(second, NOTHING_SPENT, ESTIMATE)])

    assert [*granted, *waiting, *spent, *tomorrow] == [
        Verdict.DURABLE, Verdict.BUDGET_RESERVED, Verdict.BUDGET_SPENT, Verdict.DURABLE,
    ]  # fmt: skip


async def test_a_reservation_is_given_back_to_its_own_day(pool: Pool) -> None:
    """A call that was reserved before midnight and answered after it counts against the day before."""
    store = make_store(pool, DAILY)
    [claim] = await limited(pool, store, 1, NO_LIMITS)
    await store.commit([SpendReserved(claim, NOTHING_SPENT, ESTIMATE)])
    await fetch(pool, "update daily_spending set day = day - 1")
    await fetch(pool, "update campaign_messages set reserved_on = reserved_on - 1")
    await store.commit([SpendReserved(claim, Usage(300, CENT), ESTIMATE)])
    columns = "counted_tokens, reserved_tokens"

    assert await fetch(pool, f"select {columns} from daily_spending order by day") == [(300, 0), (0, 1000)]


async def test_a_run_goes_on_with_the_next_day(pool: Pool) -> None:
    """A run that waits for the next day's budget goes on by itself then, and none of its messages is too old for it."""
    store = make_store(pool, DAILY)
    run = await start_run(pool, 2)
    await store.pause_run(run.run_id, LogStep.OUT_OF_CREDITS, "used up", until_tomorrow=True)
    due = "select resumes_at = (date_trunc('day', now() at time zone 'UTC') + interval '1 day') at time zone 'UTC'"
    at_midnight = await fetch_value(pool, f"{due} from campaign_runs")
    early = await store.resume_runs()
    await fetch(pool, "update campaign_messages set scheduled_at = now() - interval '20 hours'")
    await fetch(pool, "update campaign_runs set resumes_at = now()")
    resumed = await store.resume_runs()
    skipped = await store.skip_old(3600)
    await fetch(pool, "update campaign_runs set resumed_at = now() - interval '61 minutes'")

    assert (at_midnight, early, resumed, skipped) == (True, 0, 1, 0)
    assert await fetch(pool, "select status, error_message from campaign_runs") == [("running", None)]
    assert await store.skip_old(3600) == 2


async def test_a_run_paused_for_good_does_not_go_on(pool: Pool, store: PostgresStore) -> None:
    """A run that a person, or its own budget, has paused waits for a person, whatever paused it before."""
    run = await start_run(pool, 1)
    await store.pause_run(run.run_id, LogStep.OUT_OF_CREDITS, "the day's", until_tomorrow=True)
    await Campaigns(pool, SCHEMA).resume(run.run_id)
    await store.pause_run(run.run_id, LogStep.OUT_OF_CREDITS, "its own")
    own = await fetch_value(pool, "select resumes_at from campaign_runs")
    await Campaigns(pool, SCHEMA).resume(run.run_id)
    await store.pause_run(run.run_id, LogStep.OUT_OF_CREDITS, "the day's", until_tomorrow=True)
    again = await store.pause_run(run.run_id, LogStep.OUT_OF_CREDITS, "the day's", until_tomorrow=True)
    await Campaigns(pool, SCHEMA).pause(run.run_id, "by a person")

    assert (own, again) == (None, False)
    assert await fetch(pool, "select error_message, resumes_at from campaign_runs") == [("by a person", None)]


async def test_where_budgets_stand(pool: Pool) -> None:
    """The budgets of a run and of the day are told together; a day on which nothing was spent is empty."""
    store = make_store(pool, DAILY)
    limits = Limits(5000)
    [claim] = await limited(pool, store, 1, limits)
    before = await store.budgets(claim.run_id)
    await store.commit([SpendReserved(claim, Usage(5, CENT), ESTIMATE)])
    after = await store.budgets(claim.run_id)

    assert (before.run, before.day) == (Budget(limits), Budget(DAILY))
    assert after.run == Budget(limits, Usage(5, CENT), ESTIMATE.usage)
    assert after.day == Budget(DAILY, Usage(5, CENT), ESTIMATE.usage)
    assert await Campaigns(pool, SCHEMA).today(DAILY) == after.day


async def test_raising_a_budget(pool: Pool, store: PostgresStore) -> None:
    """Resuming sets what is named and keeps the rest; a budget that is used up already is refused."""
    campaigns = Campaigns(pool, SCHEMA)
    [claim] = await limited(pool, store, 1, Limits(5000, Decimal(1)))
    await store.commit([SpendReserved(claim, Usage(4000, CENT))])
    with pytest.raises(RunNotThere):
        await campaigns.resume(claim.run_id, Limits(9000))
    await store.pause_run(claim.run_id, LogStep.OUT_OF_CREDITS, "used up")
    with pytest.raises(InvalidLimits, match="has spent 4000 tokens"):
        await campaigns.resume(claim.run_id, Limits(4000))
    unchanged = await fetch(pool, "select status, max_tokens from campaign_runs")
    await campaigns.resume(claim.run_id, Limits(9000))

    assert unchanged == [("paused", 5000)]
    assert await fetch(pool, "select status, max_tokens, max_cost_usd from campaign_runs") == [("running", 9000, 1)]


async def test_a_first_budget_counts_what_was_spent_before(pool: Pool, store: PostgresStore) -> None:
    """A run that had none is given a budget when nothing is in flight, and what it has used counts at once."""
    campaigns = Campaigns(pool, SCHEMA)
    await start_run(pool, 2)
    first, second = [message.claim for message in await claimed(store, 2)]
    spent = Usage(300, CENT)
    await store.commit([TextGenerated(first, "A text that was paid for.", "m", spent, 1)])
    await store.pause_run(first.run_id, LogStep.FINISHED, "by a person")
    with pytest.raises(InvalidLimits, match="2 messages are in flight"):
        await campaigns.resume(first.run_id, Limits(1000))
    await store.commit([Returned(claim, WayBack.RELEASE, None, 0) for claim in (first, second)])
    await campaigns.resume(first.run_id, Limits(1000))
    counted = {message.claim.message_id: message.counted for message in await claimed(store, 2)}

    assert await figures(pool) == (300, CENT, 0, 0, 0)
    assert counted == {first.message_id: spent, second.message_id: NOTHING_SPENT}


@pytest.mark.parametrize("seed", range(5))
async def test_the_statement_keeps_the_rule_of_the_domain(pool: Pool, seed: int) -> None:
    """Call after call, PostgreSQL answers what domain/budgets.py does, and its sums are the same to the last digit."""
    chance = random.Random(seed)
    store = make_store(pool, Limits(12_000, Decimal(3)))
    await start_run(pool, 4, limits=Limits(9_000, Decimal(2)))
    await start_run(pool, 4, first=4)
    messages = {message.claim: NOTHING_SPENT for message in await claimed(store, 8)}
    rule = FakeBudgets(day=Budget(Limits(12_000, Decimal(3))))
    limited_run = await fetch_value(pool, "select id from campaign_runs where max_tokens is not null")
    rule.limit(limited_run, 9_000, Decimal(2))
    reserved: dict[Claim, Estimate | None] = dict.fromkeys(messages)
    answers = set()
    for _ in range(100):
        claim = chance.choice(list(messages))
        held = reserved[claim]
        since = NOTHING_SPENT if held is None else Usage(chance.randint(0, held.tokens), held.usage.cost_usd / 2)
        cost = chance.choice([None, chance.randint(0, 50) * CENT])
        estimate = Estimate(chance.randint(1, 3000), cost) if chance.random() < 0.4 else None
        messages[claim] += since
        fact = SpendReserved(claim, messages[claim], estimate)
        rule.settle(claim.run_id, held, since)
        expected = rule.ask(claim.run_id, fact, busy=False)
        reserved[claim] = estimate if expected is Verdict.DURABLE else None
        answers.add(expected)

        assert await store.commit([fact]) == [expected]
        assert (await store.budgets(claim.run_id)).run.counted == rule.of(claim.run_id).counted
    both = await store.budgets(limited_run)
    assert both == rule.both(limited_run)
    assert answers == {Verdict.DURABLE, Verdict.BUDGET_RESERVED, Verdict.BUDGET_SPENT}


@pytest.mark.parametrize("seed", range(3))
async def test_batches_exceed_nothing(pool: Pool, seed: int) -> None:
    """Whatever many messages of two runs tell at once, no budget is exceeded and the sums are those of the rows."""
    chance = random.Random(seed)
    daily = Limits(15_000, Decimal(3))
    store = make_store(pool, daily)
    for first, limits in ((0, Limits(9_000, Decimal(2))), (20, Limits(max_cost_usd=Decimal(2)))):
        await start_run(pool, 20, first=first, limits=limits)
    messages = {message.claim: NOTHING_SPENT for message in await claimed(store, 40)}
    held: dict[Claim, Estimate] = {}
    for _ in range(15):
        facts = []
        for claim in chance.sample(list(messages), 20):
            if claim in held:
                messages[claim] += Usage(chance.randint(0, held[claim].tokens), held[claim].usage.cost_usd / 3)
            estimate = Estimate(chance.randint(1, 1500), chance.randint(0, 30) * CENT)
            facts.append(SpendReserved(claim, messages[claim], estimate if chance.random() < 0.7 else None))
        for fact, verdict in zip(facts, await store.commit(facts), strict=True):
            held.pop(fact.claim, None)
            if fact.estimate is not None and verdict is Verdict.DURABLE:
                held[fact.claim] = fact.estimate
        await check_sums(pool, store, daily)


async def check_sums(pool: Pool, store: PostgresStore, daily: Limits) -> None:
    """No budget is exceeded, and runs and day hold the sums of their messages."""
    sums = "sum(counted_tokens), sum(counted_cost_usd), coalesce(sum(reserved_tokens), 0)"
    stored: dict[UUID, Any] = {
        row[0]: row[1:] for row in await fetch(pool, f"select run_id, {sums} from campaign_messages group by run_id")
    }
    both = [await store.budgets(run_id) for run_id in stored]
    budgets, day = [each.run for each in both], both[0].day
    for budget, row in zip(budgets, stored.values(), strict=True):
        assert (budget.counted.tokens, budget.counted.cost_usd, budget.reserved.tokens) == tuple(v or 0 for v in row)
    assert day.counted.tokens == sum(budget.counted.tokens for budget in budgets)
    for budget in [*budgets, day]:
        used = budget.counted + budget.reserved
        assert used.tokens <= (budget.limits.max_tokens or used.tokens)
        assert used.cost_usd <= (budget.limits.max_cost_usd or used.cost_usd)
    assert day.limits == daily
