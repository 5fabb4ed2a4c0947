"""Runs as people start, pause, resume and cancel them."""

from functools import partial
from uuid import uuid4

import pytest
import trio

from tests.support.backends import SOMEBODY_WAITS, until
from tests.support.database import CAMPAIGN, SCHEMA, fetch, fetch_value, incarnation, some_leads, start_run
from trioqueue.domain.facts import Returned, Verdict, WayBack
from trioqueue.domain.states import RunStatus
from trioqueue.postgres.campaigns import Campaigns, RunNotThere
from trioqueue.postgres.connect import connect
from trioqueue.postgres.pool import Pool
from trioqueue.postgres.store import PostgresStore


@pytest.fixture
def campaigns(pool: Pool) -> Campaigns:
    """The campaigns under test."""
    return Campaigns(pool, SCHEMA)


@pytest.fixture
def store(pool: Pool) -> PostgresStore:
    """A worker's store on the same tables."""
    return PostgresStore(pool, SCHEMA, timeout=30)


async def test_a_lead_is_imported_once(pool: Pool) -> None:
    """A second campaign to the same phones has the same leads and conversations; what it leaves out stays."""
    await start_run(pool, 3)
    await fetch(pool, "update leads set company = 'Padaria'")
    await start_run(pool, 5)

    assert await fetch_value(pool, "select count(*) from leads") == 5
    assert await fetch_value(pool, "select count(*) from conversations") == 5
    assert await fetch_value(pool, "select count(*) from campaign_messages") == 8
    assert await fetch_value(pool, "select count(*) from leads where company = 'Padaria'") == 3


async def test_messages_are_due_in_the_order_of_the_file(pool: Pool, store: PostgresStore) -> None:
    """Leads are written to in the order in which they stand in the file."""
    await start_run(pool, 9)
    worker = incarnation()
    names = [(await store.claim(worker.id, 1))[0].context["client_name"] for _ in range(9)]

    assert names == [lead.client_name for lead in some_leads(9)]


async def test_a_paused_run_is_not_claimed(pool: Pool, campaigns: Campaigns, store: PostgresStore) -> None:
    """Nothing of a paused run is claimed until it is resumed."""
    run = await start_run(pool, 1)
    await campaigns.pause(run.run_id, "paused by a person")
    paused = await store.claim(uuid4(), 1)
    await campaigns.resume(run.run_id)

    assert paused == []
    assert len(await store.claim(uuid4(), 1)) == 1


async def test_a_pause_is_not_held_against_the_messages(pool: Pool, campaigns: Campaigns, store: PostgresStore) -> None:
    """After a pause of two hours nothing is skipped as too old: due times move by the length of the pause."""
    run = await start_run(pool, 3)
    await campaigns.pause(run.run_id, "paused by a person")
    await fetch(pool, "update campaign_runs set paused_at = now() - interval '2 hours'")
    await fetch(pool, "update campaign_messages set scheduled_at = now() - interval '2 hours 10 minutes'")
    await campaigns.resume(run.run_id)

    assert await store.skip_old(3600) == 0
    minutes = "select distinct round(extract(epoch from now() - scheduled_at) / 60) from campaign_messages"
    assert await fetch_value(pool, minutes) == 10


async def test_a_run_whose_last_message_ended_in_the_pause_is_completed(
    pool: Pool, campaigns: Campaigns, store: PostgresStore
) -> None:
    """A paused run with nothing left to do is completed when it is resumed."""
    run = await start_run(pool, 1)
    await fetch(pool, "update campaign_messages set status = 'failed'")
    await campaigns.pause(run.run_id, "paused by a person")
    await campaigns.resume(run.run_id)

    assert (await campaigns.overview(run.run_id))[0].status is RunStatus.COMPLETED


async def test_a_cancelled_run_is_over(pool: Pool, campaigns: Campaigns, store: PostgresStore) -> None:
    """The waiting messages are skipped at once, one in flight when its worker lets go; the counters are exact."""
    run = await start_run(pool, 5)
    worker = incarnation()
    await store.beat(worker)
    [held] = await store.claim(worker.id, 1)
    skipped = await campaigns.cancel(run.run_id)
    verdicts = await store.commit([Returned(held.claim, WayBack.RELEASE, None, 0)])

    assert skipped == 4
    assert verdicts == [Verdict.DURABLE]
    assert await fetch(pool, "select distinct status from campaign_messages") == [("skipped",)]
    [overview] = await campaigns.overview(run.run_id)
    assert (overview.status, overview.leads_processed, overview.leads_skipped) == (RunStatus.CANCELLED, 5, 5)


async def test_a_rescue_skips_messages_of_a_cancelled_run(
    pool: Pool, campaigns: Campaigns, store: PostgresStore
) -> None:
    """What a dead worker held of a cancelled run is not made pending again."""
    run = await start_run(pool, 2)
    await store.claim(uuid4(), 2)
    await campaigns.cancel(run.run_id)
    await store.rescue(idempotent=False)

    assert await fetch(pool, "select distinct status from campaign_messages") == [("skipped",)]
    assert await fetch_value(pool, "select leads_skipped from campaign_runs") == 2


async def test_a_release_that_meets_a_cancellation_leaves_nothing_pending(
    pool: Pool, campaigns: Campaigns, store: PostgresStore
) -> None:
    """However a cancellation and the releases of a worker interleave, no message of the run stays pending."""
    worker = incarnation()
    await store.beat(worker)
    for number in range(5):
        run = await start_run(pool, 6, first=10 * number)
        held = await store.claim(worker.id, 3)
        async with trio.open_nursery() as nursery:
            for message in held:
                nursery.start_soon(store.commit, [Returned(message.claim, WayBack.RELEASE, None, 0)])
            nursery.start_soon(campaigns.cancel, run.run_id)

    assert await fetch(pool, "select distinct status from campaign_messages") == [("skipped",)]
    assert await fetch(pool, "select distinct leads_processed, leads_skipped from campaign_runs") == [(6, 6)]


async def test_a_cancellation_can_be_repeated(pool: Pool, campaigns: Campaigns) -> None:
    """Cancelling again finishes what an interrupted cancellation left, and changes nothing else."""
    run = await start_run(pool, 3)
    await fetch(pool, "update campaign_runs set status = 'cancelled', completed_at = now()")

    assert await campaigns.cancel(run.run_id) == 3
    assert await campaigns.cancel(run.run_id) == 0


async def test_runs_in_the_wrong_state_are_left_alone(pool: Pool, campaigns: Campaigns) -> None:
    """A run that is not there, not running or not paused is refused with what it is."""
    run = await start_run(pool, 1)

    with pytest.raises(RunNotThere, match="there is no run"):
        await campaigns.pause(uuid4(), "why")
    with pytest.raises(RunNotThere, match="is running: only a paused run can be resumed"):
        await campaigns.resume(run.run_id)
    await campaigns.pause(run.run_id, "why")
    with pytest.raises(RunNotThere, match="is paused: only a running run can be paused"):
        await campaigns.pause(run.run_id, "why")
    await fetch(pool, "update campaign_runs set status = 'completed', completed_at = now(), paused_at = null")
    with pytest.raises(RunNotThere, match="is completed"):
        await campaigns.cancel(run.run_id)


@pytest.mark.parametrize("table", ["leads", "conversations"])
async def test_imports_take_the_same_people_in_one_order(
    pool: Pool, campaigns: Campaigns, migrated_url: str, table: str
) -> None:
    """Two imports of the same people, each in its own order, wait for each other and not in a circle."""
    await start_run(pool, 2)
    first, second = some_leads(2)
    phone = "phone_normalized" if table == "leads" else "contact_phone"
    lock = f"select from {table} where {phone} = %s for update"

    async with (
        trio.open_nursery() as nursery,
        await connect(migrated_url) as observer,
        await connect(migrated_url) as other,
        other.transaction(),
    ):
        await other.execute(f"set local search_path to {SCHEMA}".encode())
        await other.execute(lock.encode(), [first.phone])
        nursery.start_soon(campaigns.start, CAMPAIGN, [second, first])
        await until(observer, SOMEBODY_WAITS)
        await other.execute(f"{lock} nowait".encode(), [second.phone])

    assert await fetch_value(pool, "select count(*) from campaign_messages") == 4


async def test_an_import_may_take_longer_than_a_statement(pool: Pool, migrated_url: str) -> None:
    """A large file is one statement to the server; the limit of statements does not cut it."""
    await start_run(pool, 1)
    overdue = """
        select exists (select from pg_stat_activity
                       where datname = current_database() and wait_event_type = 'Lock'
                         and clock_timestamp() - query_start > interval '0.5 s')
    """

    async with (
        Pool(partial(connect, migrated_url, statement_timeout=0.3), size=1) as limited,
        trio.open_nursery() as nursery,
        await connect(migrated_url) as observer,
        await connect(migrated_url) as other,
        other.transaction(),
    ):
        await other.execute(f"select from {SCHEMA}.leads for update".encode())
        nursery.start_soon(Campaigns(limited, SCHEMA).start, CAMPAIGN, some_leads(1))
        await until(observer, overdue)

    assert await fetch_value(pool, "select count(*) from campaign_messages") == 2
