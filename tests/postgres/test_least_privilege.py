"""A worker whose role can do just what schema/worker_role.sql grants it."""

from functools import partial
from uuid import uuid4

import psycopg.errors
import pytest
import trio
from psycopg.sql import SQL, Identifier

from tests.support.database import fetch, start_run
from tests.support.main_job import main_job
from trioqueue.postgres.campaigns import Campaigns
from trioqueue.postgres.connect import connect
from trioqueue.postgres.migrations import MigrationError
from trioqueue.postgres.pool import Pool
from trioqueue.postgres.roles import grant_to_worker
from trioqueue.postgres.store import PostgresStore
from trioqueue.worker.tally import End

ROLE = "trioqueue_worker"
PATIENCE = 60.0
"""Seconds after which a test gives up."""


async def grant(pool: Pool) -> None:
    """What `migrate --worker-role` does, by a role that may become the worker's afterwards."""
    async with pool.connection() as connection:
        await grant_to_worker(connection, "trioqueue", ROLE)
    await fetch(pool, f"grant {ROLE} to current_user")


def as_worker(url: str) -> str:
    """The URL of the same database, on which everything is done as the worker's role."""
    return f"{url}{'&' if '?' in url else '?'}options=-c%20role%3D{ROLE}"


async def test_the_main_path_as_the_role(pool: Pool, migrated_url: str) -> None:
    """Messages are claimed, written and sent, upkeep is done and figures are read, with nothing but the grants."""
    await grant(pool)
    await start_run(pool, 20)
    async with Pool(partial(connect, as_worker(migrated_url)), size=2) as limited:
        store = PostgresStore(limited, "trioqueue", timeout=30)
        campaigns = Campaigns(limited, "trioqueue")
        [run] = await campaigns.overview()
        await campaigns.pause(run.run_id, "lunch")
        await campaigns.resume(run.run_id)
        await store.postpone({"some/model": 1.0})
        await fetch(pool, "update campaign_messages set scheduled_at = now()")
        await store.adopt_queued()
        await store.resume_runs()
    async with main_job(as_worker(migrated_url)) as job:
        worker = job.worker()
        with trio.fail_after(PATIENCE):
            await worker.run_once(deadline=None, until_empty=True)

    assert worker.tally.ends == {End.SENT: 20}
    assert await fetch(pool, "select status, leads_success from campaign_runs") == [("completed", 20)]


@pytest.mark.parametrize(
    "statement",
    [
        "drop table trioqueue.campaign_logs",
        "alter table trioqueue.leads add column note text",
        "create table trioqueue.mine (id integer)",
        "update trioqueue.leads set client_name = 'x'",
        "update trioqueue.campaign_configs set ai_instructions = 'x'",
        "update trioqueue.campaign_logs set message = 'x'",
        "delete from trioqueue.campaign_messages",
        "delete from trioqueue.campaign_message_parts",
        "insert into trioqueue.schema_migrations (version, name, checksum) values (99, 'x', 'x')",
    ],
)
async def test_what_the_role_may_not(pool: Pool, migrated_url: str, statement: str) -> None:
    """What a worker never does, its role cannot do."""
    await grant(pool)
    async with await connect(as_worker(migrated_url)) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute(statement.encode())


async def test_one_function_lets_its_caller_do_more(pool: Pool) -> None:
    """Only the removal of what is over runs with the rights of its owner, in a search_path that nobody can change."""
    functions = "select proname::text, proconfig from pg_proc where pronamespace = %s::regnamespace and prosecdef"

    assert await fetch(pool, functions, "trioqueue") == [("prune_campaign_run", ["search_path=trioqueue, pg_temp"])]


async def test_a_worker_removes_what_is_over_and_nothing_else(pool: Pool, migrated_url: str) -> None:
    """The role that can delete no message lets the function remove those of a run that was over long ago."""
    await grant(pool)
    run = await start_run(pool, 1)
    await Campaigns(pool, "trioqueue").cancel(run.run_id)
    await fetch(pool, "update campaign_runs set completed_at = now() - interval '31 days'")
    async with Pool(partial(connect, as_worker(migrated_url)), size=1) as limited:
        removed = await PostgresStore(limited, "trioqueue", timeout=30).prune(30)

    assert removed == 1
    assert await fetch(pool, "select 1 from campaign_messages") == []


async def test_a_role_is_made_once(pool: Pool) -> None:
    """A role that is not there is made; granting again changes nothing and says so."""
    role = f"worker {uuid4().hex}"
    async with pool.connection() as connection:
        made = await grant_to_worker(connection, "trioqueue", role)
        again = await grant_to_worker(connection, "trioqueue", role)
        await connection.execute(SQL("drop owned by {0}; drop role {0}").format(Identifier(role)))

    assert (made, again) == (True, False)


async def test_who_may_not_grant_is_told(pool: Pool, migrated_url: str) -> None:
    """A worker's own role can neither make roles nor grant, and nothing is half done."""
    await grant(pool)
    async with await connect(as_worker(migrated_url)) as connection:
        with pytest.raises(MigrationError, match="nothing was granted to 'other'"):
            await grant_to_worker(connection, "trioqueue", "other")

    assert await fetch(pool, "select 1 from pg_roles where rolname = 'other'") == []
