"""What tests of SQL need: a migrated schema, a campaign in it, and rows as they stand."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import attrs

from trioqueue.domain.campaigns import Campaign, StartedRun
from trioqueue.domain.leads import Lead
from trioqueue.domain.messages import Incarnation
from trioqueue.postgres.campaigns import Campaigns
from trioqueue.postgres.connect import connect
from trioqueue.postgres.migrations import migrate
from trioqueue.postgres.pool import Pool
from trioqueue.postgres.statements import statement
from trioqueue.simulator.writing import LINKS_AND_PRICES

SCHEMA = "trioqueue"
CAMPAIGN = Campaign(UUID(int=1), "Autumn", "some/model", f"Write kindly. You may say: {LINKS_AND_PRICES}.")


async def migrate_database(url: str, schema: str = SCHEMA) -> None:
    """Bring a database up to date."""
    async with await connect(url) as connection:
        await migrate(connection, schema)


def some_leads(count: int, first: int = 0) -> list[Lead]:
    """Leads with different phone numbers."""
    numbers = range(first, first + count)
    return [Lead(phone=f"+55119{10_000_000 + n}", primary_phone=f"119{n}", client_name=f"Lead {n}") for n in numbers]


async def start_run(pool: Pool, count: int, *, first: int = 0, schema: str = SCHEMA, **changes: Any) -> StartedRun:
    """A running run of a campaign, with `count` messages that are due."""
    campaign = attrs.evolve(CAMPAIGN, **changes)
    return await Campaigns(pool, schema).start(campaign, some_leads(count, first))


def incarnation(lease: float = 30.0) -> Incarnation:
    """A worker's life."""
    return Incarnation(uuid4(), "host", 1, lease)


def claim_values(**changes: Any) -> dict[str, Any]:
    """The parameters of a claim of one message by an unknown worker."""
    values: dict[str, Any] = {
        "owner": uuid4(),
        "count": 1,
        "share": None,
        "after_run": uuid4(),
        "avoided": [],
        "fallback_models": [],
        "daily": False,
    }
    return values | changes


async def fetch(pool: Pool, query: str, *params: Any) -> list[tuple[Any, ...]]:
    """The rows of a query whose tables are named without a schema."""
    async with pool.connection() as connection, connection.transaction():
        await connection.execute(f"set local search_path to {SCHEMA}".encode())
        cursor = await connection.execute(query.encode(), params)
        return await cursor.fetchall() if cursor.description else []


async def fetch_value(pool: Pool, query: str, *params: Any) -> Any:
    """The first column of a query's only row."""
    [row] = await fetch(pool, query, *params)
    return row[0]


async def execute_statement(pool: Pool, name: str, **values: Any) -> Sequence[tuple[Any, ...]]:
    """Execute a named statement and return its rows."""
    async with pool.connection() as connection:
        cursor = await connection.execute(statement(name, SCHEMA), values)
        return await cursor.fetchall() if cursor.description else []
