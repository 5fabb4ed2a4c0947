"""What a heartbeat tells of what is to come, on a real PostgreSQL."""

import math
from datetime import timedelta

import attrs
import pytest

from tests.support.database import SCHEMA, fetch, incarnation, start_run
from trioqueue.domain.campaigns import StartedRun
from trioqueue.domain.logs import LogStep
from trioqueue.ports import Outlook
from trioqueue.postgres.pool import Pool
from trioqueue.postgres.store import PostgresStore

NEVER = math.inf


@pytest.fixture
def store(pool: Pool) -> PostgresStore:
    """The store under test."""
    return PostgresStore(pool, SCHEMA, timeout=30)


async def let_be_due(pool: Pool, run: StartedRun, seconds: float) -> None:
    """Let the messages of a run be due so many seconds from now."""
    later = timedelta(seconds=seconds)
    await fetch(pool, "update campaign_messages set scheduled_at = now() + %s where run_id = %s", later, run.run_id)


async def test_an_empty_database_has_nothing_to_come(store: PostgresStore) -> None:
    """Without messages nothing will be due and nothing is to be done."""
    assert await store.beat(incarnation()) == Outlook(due=NEVER, upkeep=NEVER)


@pytest.mark.parametrize("seconds", [-90.0, 0.0, 90.0])
async def test_when_the_next_message_is_due(pool: Pool, store: PostgresStore, seconds: float) -> None:
    """The earliest pending message of all running runs counts, whether it is due or not."""
    for first, later in enumerate((5000.0, seconds, 9000.0)):
        await let_be_due(pool, await start_run(pool, 1, first=first), later)
    outlook = await store.beat(incarnation())

    assert outlook.due == pytest.approx(seconds, abs=5)
    assert outlook.upkeep == NEVER


async def test_messages_of_a_paused_run_are_not_to_come(pool: Pool, store: PostgresStore) -> None:
    """A run that was paused has nothing due, until the day on which it goes on."""
    run = await start_run(pool, 2)
    await store.pause_run(run.run_id, LogStep.OUT_OF_CREDITS, "no credits")
    paused = await store.beat(incarnation())
    await fetch(pool, "update campaign_runs set resumes_at = now() + interval '40 seconds'")
    waiting = await store.beat(incarnation())

    assert paused == Outlook(due=NEVER, upkeep=NEVER)
    assert waiting.upkeep == pytest.approx(40, abs=5)


async def test_a_queued_message_is_to_be_adopted_now(pool: Pool, store: PostgresStore) -> None:
    """What other programs wrote as queued is work for any worker, as long as its run runs."""
    run = await start_run(pool, 1)
    await fetch(pool, "update campaign_messages set status = 'queued'")
    queued = await store.beat(incarnation())
    await store.pause_run(run.run_id, LogStep.OUT_OF_CREDITS, "no credits")

    assert queued == Outlook(due=NEVER, upkeep=0.0)
    assert await store.beat(incarnation()) == Outlook(due=NEVER, upkeep=NEVER)


async def test_a_lease_runs_out_under_messages(pool: Pool, store: PostgresStore) -> None:
    """Another worker's messages are to be taken when its lease ends; who holds nothing is nobody's business."""
    await start_run(pool, 1)
    holder, idle = attrs.evolve(incarnation(), lease=60.0), attrs.evolve(incarnation(), lease=5.0)
    await store.beat(holder)
    await store.beat(idle)
    await store.claim(holder.id, 1)
    alive = await store.beat(incarnation())
    await fetch(pool, "update workers set beat_at = now() - interval '50 seconds'")
    late = await store.beat(incarnation())
    await store.leave(holder)
    gone = await store.beat(incarnation())

    assert alive.due == NEVER
    assert alive.upkeep == pytest.approx(60, abs=5)
    assert late.upkeep == pytest.approx(10, abs=5)
    assert gone.upkeep == 0.0


async def test_claims_of_its_own_that_a_worker_may_not_know_of(pool: Pool, store: PostgresStore) -> None:
    """A minute after a claim it is worth looking whether its worker knows of it; a shorter lease is no reason."""
    await start_run(pool, 1)
    worker = attrs.evolve(incarnation(), lease=1.0)
    await store.beat(worker)
    await store.claim(worker.id, 1)
    young = await store.beat(worker)
    await fetch(pool, "update campaign_messages set claimed_at = now() - interval '70 seconds'")
    old = await store.beat(worker)

    assert young.upkeep == pytest.approx(60, abs=5)
    assert old.upkeep == pytest.approx(-10, abs=5)
