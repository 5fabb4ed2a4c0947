"""A server that is there and takes nothing: rights that are gone, and triggers that operators have added."""

import pytest

from tests.outages.scene import CONCURRENCY, MESSAGES, Scene, all_sent, at_work
from tests.support.database import SCHEMA, fetch, fetch_value, start_run
from trioqueue.domain.sends import OutgoingPart
from trioqueue.postgres.errors import DatabaseError, DatabaseUnfit
from trioqueue.postgres.pool import Pool
from trioqueue.postgres.roles import grant_to_worker

ROLE = "worker_without_rights"

REFUSING = """
create function {schema}.refuse() returns trigger language plpgsql as $$ begin raise exception 'not today'; end $$;
create trigger refuse before {event} on {schema}.{table} for each row {condition} execute function {schema}.refuse()
"""


@pytest.fixture
async def worker_url(pool: Pool, migrated_url: str) -> str:
    """The URL of the same database, as the worker's role."""
    async with pool.connection() as connection:
        await grant_to_worker(connection, SCHEMA, ROLE)
    return migrated_url.replace("//trioqueue@", f"//{ROLE}@")


async def add_trigger(pool: Pool, table: str, event: str, condition: str = "") -> None:
    """Let a table refuse rows."""
    sql = REFUSING.format(schema=SCHEMA, table=table, event=event, condition=condition)
    async with pool.connection() as connection:
        await connection.execute(sql.encode())


@pytest.mark.parametrize("right", ["insert on campaign_logs", "insert on campaign_message_parts"])
async def test_a_worker_without_its_rights_stops(pool: Pool, worker_url: str, right: str) -> None:
    """Without the right to store what messages come to, a worker ends and says so, after what was in flight."""
    await start_run(pool, MESSAGES)
    await fetch(pool, f"revoke {right} from {ROLE}")
    scenes: list[Scene] = []

    async def work() -> None:
        async with at_work(worker_url, drain_timeout=0.3) as scene:
            scenes.append(scene)
            await scene.daemon.drain.wait()

    with pytest.RaisesGroup(pytest.RaisesExc(DatabaseUnfit, match="42501.*migrate --worker-role")):
        await work()
    [scene] = scenes

    assert scene.texts_paid <= CONCURRENCY
    assert scene.daemon.tally.claimed <= CONCURRENCY
    assert scene.gateway.offered == []


async def test_rights_that_come_back_in_time(pool: Pool, worker_url: str) -> None:
    """What the gateway has taken is recorded where the right comes back while the worker drains."""
    await start_run(pool, MESSAGES)
    offered: list[OutgoingPart] = []

    async def work() -> None:
        async with at_work(worker_url, held=True) as scene:
            await scene.gateway.wait_offered(CONCURRENCY)
            await fetch(pool, f"revoke insert on campaign_logs from {ROLE}")
            scene.gateway.released.set()
            await scene.store.wait_failures(3)
            await fetch(pool, f"grant insert on campaign_logs to {ROLE}")
            offered.extend(scene.gateway.offered)

    with pytest.RaisesGroup(DatabaseUnfit):
        await work()

    sent = "select array_agg(idempotency_key) from campaign_message_parts where status = 'sent'"
    assert await fetch(pool, "select distinct status from campaign_messages") == [("pending",)]
    assert {part.idempotency_key for part in offered} <= set(await fetch_value(pool, sent))


@pytest.mark.parametrize(
    ("table", "event", "condition"),
    [
        ("campaign_logs", "insert", ""),
        ("campaign_messages", "update", "when (new.generated_message is not null)"),
        ("campaign_message_parts", "update", "when (new.status = 'sent')"),
    ],
    ids=["logs", "texts and ends", "outcomes"],
)
async def test_a_trigger_that_refuses_what_is_told(
    pool: Pool, migrated_url: str, table: str, event: str, condition: str
) -> None:
    """While a trigger refuses every fact of a kind, no more is paid for than was in flight; then all is sent, once."""
    await start_run(pool, MESSAGES)
    await add_trigger(pool, table, event, condition)
    async with at_work(migrated_url) as scene:
        await scene.store.wait_failures(3 * CONCURRENCY)

        assert scene.texts_paid <= CONCURRENCY
        assert len(scene.gateway.offered) <= CONCURRENCY
        await fetch(pool, f"drop trigger refuse on {table}")
        await all_sent(pool)

    assert {type(failure) for failure in scene.store.failures} == {DatabaseError}
    assert scene.texts_paid == MESSAGES
    assert set(scene.deliveries()) == {1}
