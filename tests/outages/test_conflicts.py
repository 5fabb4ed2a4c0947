"""Deadlocks and serialisation failures: PostgreSQL gives one of the two up, and asks it to try again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import attrs
import trio

from tests.outages.scene import PATIENCE, WatchedStore
from tests.support.backends import SOMEBODY_WAITS, until
from tests.support.database import SCHEMA, fetch_value, incarnation, start_run
from tests.worker.rig import Rig
from trioqueue.domain.completions import NOTHING_SPENT
from trioqueue.domain.facts import PartsPlanned, Returned, TextGenerated, Verdict, WayBack
from trioqueue.domain.messages import Claim
from trioqueue.postgres.connect import connect
from trioqueue.postgres.connection import TrioConnection
from trioqueue.postgres.errors import DatabaseBusy
from trioqueue.postgres.pool import Pool
from trioqueue.worker.ledger import Ledger

TWO_WAIT = """
select count(*) = 2 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
"""


@attrs.frozen(eq=False)
class Told:
    """A ledger on a real store, and a message that it may tell of."""

    store: WatchedStore
    ledger: Ledger
    claim: Claim


@asynccontextmanager
async def telling(url: str, option: str) -> AsyncIterator[Told]:
    """Run a ledger whose connections have an option of the server."""
    rig = Rig()
    with trio.fail_after(PATIENCE):
        async with (
            Pool(partial(connect, f"{url}&options=-c%20{option}"), size=2) as pool,
            trio.open_nursery() as nursery,
        ):
            store = WatchedStore(pool, PATIENCE)
            ledger = Ledger(store, rig.quota, rig.held, rig.standstill, rig.unfit.append)
            worker = incarnation()
            await store.beat(worker)
            [message] = await store.claim(worker.id, 1)
            nursery.start_soon(ledger.run)
            yield Told(store, ledger, message.claim)
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def transaction(url: str, *statements: str) -> AsyncIterator[TrioConnection]:
    """Somebody else's transaction, which has executed statements."""
    async with await connect(url) as connection:
        await connection.execute(f"set search_path to {SCHEMA}".encode())
        async with connection.transaction():
            for statement in statements:
                await connection.execute(statement.encode())
            yield connection


async def test_a_deadlock(pool: Pool, migrated_url: str) -> None:
    """A commit that is the victim of a deadlock is told again, and nothing of it is written twice or lost."""
    await start_run(pool, 1)
    verdicts: list[Verdict] = []

    async def tell(told: Told) -> None:
        facts = (
            TextGenerated(told.claim, "Olá, Ana!", "model", NOTHING_SPENT, 7),
            PartsPlanned(told.claim, ("Olá, Ana!",), NOTHING_SPENT),
            Returned(told.claim, WayBack.RELEASE, None, 0),
        )
        verdicts.append(await told.ledger.record(*facts))

    async with await connect(migrated_url) as observer, telling(migrated_url, "deadlock_timeout%3D1ms") as told:
        async with (
            trio.open_nursery() as nursery,
            transaction(migrated_url, "set deadlock_timeout = '1min'", "select from campaign_runs for update") as rival,
        ):
            async with transaction(migrated_url, "lock table campaign_message_parts in share mode"):
                nursery.start_soon(tell, told)  # locks the message, and waits for the lock on parts
                await until(observer, SOMEBODY_WAITS)
                nursery.start_soon(rival.execute, "update campaign_messages set updated_at = now()")
                await until(observer, TWO_WAIT)
            # Now it waits for the run, whose holder waits for the message.
            await told.store.wait_failures(1)

        assert verdicts == [Verdict.DURABLE]
        assert [type(failure) for failure in told.store.failures] == [DatabaseBusy]
        assert "40P01" in str(told.store.failures[0])
        assert await fetch_value(pool, "select count(*) from campaign_message_parts") == 1


async def test_a_serialisation_failure(pool: Pool, migrated_url: str) -> None:
    """On a server where transactions are isolated more strictly, a commit that came second is told again."""
    await start_run(pool, 1)
    verdicts: list[Verdict] = []

    async def tell(told: Told) -> None:
        fact = TextGenerated(told.claim, "Olá, Ana!", "model", NOTHING_SPENT, 7)
        verdicts.append(await told.ledger.record(fact))

    isolation = "default_transaction_isolation%3Dserializable"
    async with (
        await connect(migrated_url) as observer,
        telling(migrated_url, isolation) as told,
        trio.open_nursery() as nursery,
        transaction(migrated_url, "update campaign_messages set updated_at = now()"),
    ):
        nursery.start_soon(tell, told)
        await until(observer, SOMEBODY_WAITS)

    assert verdicts == [Verdict.DURABLE]
    assert [type(failure) for failure in told.store.failures] == [DatabaseBusy]
    assert "40001" in str(told.store.failures[0])
    assert await fetch_value(pool, "select generated_message from campaign_messages") == "Olá, Ana!"
