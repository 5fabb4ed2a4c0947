"""Commands on a database that takes nothing."""

import pytest

from tests.support.command import Command
from tests.support.database import SCHEMA, fetch, fetch_value, start_run
from trioqueue.postgres.pool import Pool
from trioqueue.postgres.roles import grant_to_worker
from trioqueue.simulator import World

ROLE = "trioqueue_worker"
REFUSE = """
create function refuse() returns trigger language plpgsql as $$ begin raise exception 'not today'; end $$;
create trigger refuse before insert on campaign_logs for each row execute function refuse()
"""


@pytest.mark.parametrize(
    ("name", "right"), [("run", "insert on campaign_logs"), ("worker", "insert on campaign_message_parts")]
)
async def test_without_a_right_nothing_is_begun(
    command: Command, world: World, pool: Pool, migrated_url: str, name: str, right: str
) -> None:
    """A worker that may not tell what its calls come to says so before the first, with what to do; exit code 1."""
    await start_run(pool, 5)
    async with pool.connection() as connection:
        await grant_to_worker(connection, SCHEMA, ROLE)
    await fetch(pool, f"grant {ROLE} to current_user")
    await fetch(pool, f"revoke {right} from {ROLE}")
    outcome = await command(name, TRIOQUEUE_DATABASE_URL=f"{migrated_url}&options=-c%20role%3D{ROLE}")

    assert outcome.code == 1
    assert outcome.err.count("\n") == 1
    assert "migrate --worker-role" in outcome.err
    assert world.statistics().model.calls == 0
    assert await fetch(pool, "select distinct status from campaign_messages") == [("pending",)]


async def test_a_batch_that_cannot_be_written(command: Command, world: World, pool: Pool) -> None:
    """A batch whose facts are refused says at its deadline why, with exit code 1, and has paid once for each slot."""
    await start_run(pool, 8)
    for statement in REFUSE.split(";\n"):
        await fetch(pool, statement)
    outcome = await command("run", "--deadline", "1", "--concurrency", "2", TRIOQUEUE_DRAIN_TIMEOUT="1")

    assert outcome.code == 1
    assert "not today (SQLSTATE P0001)" in outcome.err.splitlines()[-1]
    assert world.statistics().model.calls <= 2
    assert world.deliveries == []
    assert await fetch_value(pool, "select count(*) from campaign_messages where status = 'generating'") <= 2
