"""Several workers on one PostgreSQL: what the model is really paid for stays within the budgets."""

from decimal import Decimal
from functools import partial
from uuid import UUID

import pytest
import trio

from tests.support.database import fetch, fetch_value, start_run
from tests.support.main_job import MainJob, main_job
from trioqueue.domain.budgets import Limits
from trioqueue.postgres.pool import Pool
from trioqueue.simulator import Latency, ModelFault, ModelTrouble, Rule, WorldSettings

PATIENCE = 60.0
"""Seconds after which a test gives up."""

A_TOKEN = Decimal("6e-7")
"""What the simulated model charges."""

A_CALL = 1_600
"""More than a call of these tests may take at most: its prompt in bytes, the answer, and one that is made larger."""

QUICK = WorldSettings(model_latency=Latency(0.03, 0.02))
TROUBLED = WorldSettings(
    model_latency=Latency(0.03, 0.02),
    model_chances={
        ModelFault.SERVER_ERROR: 0.1,
        ModelFault.TRUNCATED_JSON: 0.1,
        ModelFault.LENGTH: 0.1,
        ModelFault.CUT_OFF: 0.05,
        ModelFault.NO_USAGE: 0.1,
    },
)


async def work(job: MainJob, workers: int) -> None:
    """Let several workers drain what is due."""
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            for _ in range(workers):
                nursery.start_soon(partial(job.worker().run_once, deadline=None, until_empty=True))


async def reserved(pool: Pool) -> int:
    """What is reserved anywhere."""
    tables = ("campaign_runs", "campaign_messages", "daily_spending")
    return sum([await fetch_value(pool, f"select coalesce(sum(reserved_tokens), 0) from {table}") for table in tables])


@pytest.mark.parametrize("world", [QUICK, TROUBLED], ids=["quick", "troubled"])
@pytest.mark.parametrize(
    "limits", [Limits(max_tokens=40_000), Limits(max_cost_usd=40_000 * A_TOKEN)], ids=["tokens", "dollars"]
)
async def test_no_budget_is_exceeded(migrated_url: str, world: WorldSettings, limits: Limits) -> None:
    """Four workers spend a run's budget to within one call of its end, never more, and pause the run.

    What the model has counted is the measure, answers that never came included. What was paid for is sent, and what
    was not waits.
    """
    async with main_job(migrated_url, world, concurrency=8) as job:
        pool = job.database.pool
        await fetch(pool, "insert into model_prices values ('some/model', '2020-01-01', %s)", A_TOKEN)
        run = await start_run(pool, 300, limits=limits)
        await work(job, workers=4)
        [overview] = await job.database.campaigns.overview(run.run_id)

        paid = job.world.statistics().tokens
        assert overview.status == "paused"
        assert "the run's budget is used up" in (overview.error_message or "")
        assert paid <= overview.budget.counted.tokens
        assert overview.budget.counted.tokens <= 40_000
        assert overview.budget.counted.cost_usd <= 40_000 * A_TOKEN
        assert overview.budget.counted.tokens > 40_000 - A_CALL
        assert await reserved(pool) == 0
        states = dict(await fetch(pool, "select status, count(*) from campaign_messages group by status"))
        assert set(states) <= {"sent", "pending"}
        unsent = "status = 'pending' and retry_count = 0 and generated_message is not null"
        assert await fetch_value(pool, f"select count(*) from campaign_messages where {unsent}") == 0


async def test_a_first_call_tells_the_price(migrated_url: str) -> None:
    """Where dollars are limited and no price is known one call goes first; the others follow when it is answered."""
    hold_first: list[Rule[ModelTrouble]] = [Rule(ModelFault.HOLD, nth=1)]
    async with main_job(migrated_url, WorldSettings(model_script=hold_first), concurrency=10) as job:
        await start_run(job.database.pool, 30, limits=Limits(max_cost_usd=Decimal(5)))
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(partial(job.worker().run_once, deadline=None, until_empty=True))
                await job.world.wait_until(lambda world: world.statistics().model.in_flight == 1)
                [price] = await fetch(job.database.pool, "select count(*) from model_prices")
                alone = len(job.world.calls)
                job.world.release_held()

        assert (alone, price) == (1, (0,))
        assert await fetch(job.database.pool, "select distinct status from campaign_messages") == [("sent",)]
        [(model, told)] = await fetch(job.database.pool, "select model, usd_per_token from model_prices")
        assert model == "some/model"
        assert abs(told - A_TOKEN) < Decimal("1e-12")


async def test_the_days_budget_holds_all_runs(migrated_url: str) -> None:
    """Runs of one day share its budget: each pauses until the next day, and goes on by itself then."""
    async with main_job(migrated_url, QUICK, concurrency=8, max_tokens_per_day=20_000) as job:
        pool = job.database.pool
        for first in (0, 100):
            await start_run(pool, 100, first=first)
        await work(job, workers=2)
        [(counted, held)] = await fetch(pool, "select counted_tokens, reserved_tokens from daily_spending")
        paused = await fetch(pool, "select status, error_message, resumes_at is not null from campaign_runs")

        assert job.world.statistics().tokens == counted <= 20_000
        assert held == 0
        assert [(status, waits) for status, _, waits in paused] == [("paused", True)] * 2
        assert all(
            "the day's budget is used up" in reason and "max_tokens_per_day" in reason for _, reason, _ in paused
        )

        await fetch(pool, "update daily_spending set day = day - 1")
        await fetch(pool, "update campaign_runs set resumes_at = now()")
        sent = await fetch_value(pool, "select sum(leads_success) from campaign_runs")
        await work(job, workers=2)

        assert await fetch_value(pool, "select sum(leads_success) from campaign_runs") > sent


async def test_a_killed_worker_leaves_nothing_reserved(migrated_url: str) -> None:
    """What workers had reserved when they died is counted by the rescue, and the others go on within the budget."""
    world = WorldSettings(model_script=[Rule(ModelFault.HOLD, nth=n) for n in range(6, 12)])
    async with main_job(migrated_url, world, concurrency=6) as job:
        pool = job.database.pool
        run = await start_run(pool, 200, limits=Limits(max_tokens=60_000))
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(partial(job.worker().run_once, deadline=None, until_empty=True))
                await job.world.wait_until(lambda world: world.statistics().model.in_flight == 6)
                held = await reserved(pool)
                nursery.cancel_scope.cancel()  # as kill -9: nothing more is told
            await fetch(pool, "update workers set beat_at = now() - interval '1 hour'")
            await work(job, workers=2)
        [overview] = await job.database.campaigns.overview(run.run_id)

        assert held > 0
        assert await reserved(pool) == 0
        assert overview.status == "paused"
        assert job.world.statistics().tokens < overview.budget.counted.tokens <= 60_000
        assert await lost_calls(pool, run.run_id) == 6


async def lost_calls(pool: Pool, run_id: UUID) -> int:
    """How many calls the log of a run tells to be lost."""
    told = "message like 'its worker was lost during a call%%'"
    return int(await fetch_value(pool, f"select count(*) from campaign_logs where run_id = %s and {told}", run_id))
