"""What is over for long enough is removed, and nothing else, on a real PostgreSQL."""

from typing import Final
from uuid import UUID

import pytest

from tests.support.database import SCHEMA, fetch, fetch_value, start_run
from trioqueue.domain.states import MessageStatus, RunStatus
from trioqueue.postgres.connect import connect
from trioqueue.postgres.errors import DatabaseError
from trioqueue.postgres.pool import Pool
from trioqueue.postgres.store import PostgresStore

DAYS: Final = 30
OPEN: Final = {
    MessageStatus.QUEUED,
    MessageStatus.PENDING,
    MessageStatus.GENERATING,
    MessageStatus.SENDING,
    MessageStatus.UNCONFIRMED,
}


@pytest.fixture
def store(pool: Pool) -> PostgresStore:
    """The store under test."""
    return PostgresStore(pool, SCHEMA, timeout=30)


async def over(
    pool: Pool,
    *,
    days: float = DAYS + 1,
    status: RunStatus = RunStatus.COMPLETED,
    messages: MessageStatus = MessageStatus.SENT,
    first: int = 0,
) -> UUID:
    """A run of two messages that was over so many days ago; one message of it has another status than `sent`."""
    run_id = (await start_run(pool, 2, first=first)).run_id
    await fetch(
        pool,
        "update campaign_messages m set status = 'sent', generated_message = 'Oi', sent_at = now() where run_id = %s",
        run_id,
    )
    await fetch(
        pool,
        "update campaign_messages set status = %s, claimed_by = case when %s then gen_random_uuid() end,"
        " claimed_at = case when %s then now() end"
        " where id = (select id from campaign_messages where run_id = %s limit 1)",
        messages, *[messages in (MessageStatus.GENERATING, MessageStatus.SENDING)] * 2, run_id,
    )  # fmt: skip
    await fetch(
        pool,
        "insert into campaign_message_parts (message_id, part_no, body, idempotency_key)"
        " select id, 1, 'Oi', id || ':1' from campaign_messages where run_id = %s",
        run_id,
    )
    await fetch(
        pool,
        "update campaign_runs set status = %s, leads_processed = 2, leads_success = 2,"
        " paused_at = case when %s = 'paused' then now() end, completed_at = now() - make_interval(secs => %s)"
        " where id = %s",
        status, status, days * 86_400.0, run_id,
    )  # fmt: skip
    await fetch(
        pool,
        "insert into campaign_logs (run_id, step_name, level, message) values (%s, 'FINALIZAÇÃO', 'info', 'done')",
        run_id,
    )
    return run_id


async def rows(pool: Pool) -> tuple[int, int, int]:
    """How many messages, parts and lines of the log there are."""
    tables = ("campaign_messages", "campaign_message_parts", "campaign_logs")
    counts = [await fetch_value(pool, f"select count(*) from {table}") for table in tables]
    return counts[0], counts[1], counts[2]


async def prune_all(store: PostgresStore) -> None:
    """Remove until nothing is left to remove."""
    while await store.prune(DAYS):
        pass


async def test_what_is_over_is_removed(pool: Pool, store: PostgresStore) -> None:
    """Messages go with their parts, and the log after them; the run stays with its counters, and is left alone then."""
    run_id = await over(pool)
    removed = [await store.prune(DAYS), (await store.prune(DAYS)) > 0]
    await prune_all(store)

    assert removed == [2, True]
    assert await rows(pool) == (0, 0, 0)
    assert await fetch(pool, "select id, leads_processed, leads_success, pruned_at is not null from campaign_runs") == [
        (run_id, 2, 2, True)
    ]


@pytest.mark.parametrize("status", [RunStatus.CANCELLED, RunStatus.FAILED])
async def test_runs_that_ended_otherwise(pool: Pool, store: PostgresStore, status: RunStatus) -> None:
    """A run that was cancelled or failed is as much over as one that was completed."""
    await over(pool, status=status, messages=MessageStatus.FAILED)
    await prune_all(store)

    assert await rows(pool) == (0, 0, 0)


@pytest.mark.parametrize("status", [RunStatus.RUNNING, RunStatus.PAUSED])
async def test_runs_that_are_not_over(pool: Pool, store: PostgresStore, status: RunStatus) -> None:
    """Nothing of a run is removed that goes on or may go on."""
    await over(pool, status=status)
    before = await rows(pool)
    await prune_all(store)

    assert await rows(pool) == before


async def test_what_is_young_is_kept(pool: Pool, store: PostgresStore) -> None:
    """A run that was over too short a time ago is kept, and an older one beside it is not."""
    await over(pool, days=DAYS - 0.1)
    kept = await rows(pool)
    await over(pool, first=2)
    await prune_all(store)

    assert await rows(pool) == kept


@pytest.mark.parametrize("status", sorted(OPEN))
async def test_a_message_that_is_not_final_keeps_its_run(
    pool: Pool, store: PostgresStore, status: MessageStatus
) -> None:
    """While a message waits, for a worker or for a person, nothing of its run is removed; another run's is."""
    await over(pool, messages=status)
    kept = await rows(pool)
    await over(pool, first=2)
    await prune_all(store)

    assert await rows(pool) == kept


@pytest.mark.parametrize("status", sorted({*MessageStatus} - OPEN))
async def test_every_final_message_goes(pool: Pool, store: PostgresStore, status: MessageStatus) -> None:
    """However a message ended, it goes with its run."""
    await over(pool, messages=status)
    await prune_all(store)

    assert await rows(pool) == (0, 0, 0)


async def test_one_at_a_time(pool: Pool, store: PostgresStore, migrated_url: str) -> None:
    """While one worker removes, another has nothing to do, and waits for nobody."""
    await over(pool)
    async with await connect(migrated_url) as connection, connection.transaction():
        await connection.execute(f"select {SCHEMA}.prune_campaign_run({DAYS}, 1)".encode())

        assert await store.prune(DAYS) == 0
    assert await store.prune(DAYS) == 1


async def test_a_message_that_somebody_has_locked(pool: Pool, store: PostgresStore, migrated_url: str) -> None:
    """A message that is about to be tried again keeps its run from being done with; once let go, it is removed too."""
    run_id = await over(pool)
    async with await connect(migrated_url) as connection, connection.transaction():
        await connection.execute(
            f"select from {SCHEMA}.campaign_messages where run_id = %s limit 1 for no key update".encode(), [run_id]
        )
        await prune_all(store)

        assert await rows(pool) == (1, 1, 2)
    await prune_all(store)

    assert await rows(pool) == (0, 0, 0)


async def test_a_batch_is_bounded(pool: Pool) -> None:
    """No statement removes more than it was told to."""
    await over(pool)

    assert await fetch_value(pool, "select prune_campaign_run(30, 1)") == 1
    assert await rows(pool) == (1, 1, 2)


async def test_less_than_a_day_is_refused(store: PostgresStore) -> None:
    """A number that would remove what has just ended is an error."""
    with pytest.raises(DatabaseError, match="kept"):
        await store.prune(0)
