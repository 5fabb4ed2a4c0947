"""`scripts/benchmark claim`: what a claim costs beside how many rows.

Two numbers grow in turn: messages that are due, in 1,000 running runs, and messages that are finished, in as many runs
that have ended. The claim is trioqueue's own statement, prepared, as a worker executes it; each is rolled back, so that
the next finds the same rows. Pages are counted by PostgreSQL.
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from typing import Any, Final
from uuid import uuid4

import attrs
import psycopg
import trio

from tests.benchmarks.course import Course, open_course
from tests.benchmarks.modes import Mode, at_least_one, numbers, say, say_json
from tests.benchmarks.tables import number, table
from tests.support.database import SCHEMA, claim_values
from trioqueue.postgres.statements import statement

RUNS: Final = 1_000
"""Running runs, and as many that are over."""

FINISHED_FOR_EACH: Final = 5
"""Finished messages for each that is due."""

RUNS_AND_LEADS: Final = """
set search_path to trioqueue;
set session_replication_role to replica;  -- loads without looking at foreign keys
insert into campaign_configs (workspace_id, name, ai_model, ai_instructions)
  values ('00000000-0000-0000-0000-000000000001', 'large', 'some/model', 'Write kindly.');
insert into campaign_runs (config_id, status, completed_at)
  select c.id, status, case when status = 'completed' then now() end
  from campaign_configs c, unnest(array['running', 'completed']) status, generate_series(1, {runs});
insert into leads (workspace_id, client_name, phone_normalized)
  select '00000000-0000-0000-0000-000000000001', 'Lead ' || n, '+5511' || (900000000 + n)
  from generate_series(1, {leads}) n;
insert into conversations (workspace_id, lead_id, contact_phone)
  select l.workspace_id, l.id, l.phone_normalized from leads l;
"""

MESSAGES: Final = """
with runs as (
  select id, row_number() over (order by id) - 1 as place from trioqueue.campaign_runs where status = %(run_status)s
), leads as (
  select l.id, v.id as conversation_id, row_number() over (order by l.id) - 1 as place
  from trioqueue.leads l join trioqueue.conversations v on v.lead_id = l.id
)
insert into trioqueue.campaign_messages
  (run_id, lead_id, conversation_id, status, scheduled_at, generated_message, sent_at)
select r.id, l.id, l.conversation_id, %(status)s, now() - n * interval '1 microsecond', text, sent_at
from generate_series(%(first)s::bigint, %(last)s) n
join runs r on r.place = n %% %(runs)s
join leads l on l.place = n / %(runs)s
cross join (values ('pending', null, null), ('sent', 'A message that was sent.', now())) as v (status, text, sent_at)
where v.status = %(status)s
"""


@attrs.frozen
class Claimed:
    """What claims of one size cost beside so many rows.

    Attributes:
        due: Messages that were due.
        finished: Messages that were finished.
        claimed: Messages of one claim.
        milliseconds: The median of all claims, the answer's way included.
        pages: Pages of 8 KiB that one touched.
    """

    due: int
    finished: int
    claimed: int
    milliseconds: float
    pages: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How many rows, and how large claims."""
    parser.add_argument(
        "--sizes", type=numbers, default=[10_000, 100_000, 1_000_000], help="messages that are due, ascending"
    )
    parser.add_argument("--claim", type=at_least_one, default=100, help="messages of a claim (default 100)")
    parser.add_argument("--claims", type=at_least_one, default=50, help="claims to take the median of (default 50)")


async def run(given: argparse.Namespace) -> None:
    """Measure and print."""
    async with open_course() as course:
        results = await measure(course, sorted(given.sizes), given.claim, given.claims)
    if given.json:
        say_json([attrs.asdict(result) for result in results])
        return
    say(f"claims of {given.claim} in {RUNS} running runs, medians of {given.claims}")
    header = ("due", "finished", "ms", "pages")
    rows = [
        (f"{each.due:,}", f"{each.finished:,}", number(each.milliseconds, 2), number(each.pages, 0)) for each in results
    ]
    say(table(header, rows))


async def measure(course: Course, sizes: list[int], claim: int, claims: int) -> list[Claimed]:
    """Claims beside ever more rows."""
    with course.database(await course.template(0)) as url:
        return await trio.to_thread.run_sync(lambda: list(_measure(url, sizes, claim, claims)))


def _measure(url: str, sizes: list[int], claim: int, claims: int) -> Iterator[Claimed]:
    with psycopg.connect(url, autocommit=True, prepare_threshold=0) as connection:
        leads = sizes[-1] * FINISHED_FOR_EACH // RUNS + 1
        connection.execute(RUNS_AND_LEADS.format(runs=RUNS, leads=leads).encode(), prepare=False)
        due = finished = 0
        for size in sizes:
            fill(connection, "running", "pending", due, size)
            due = size
            yield _claims(connection, due, finished, claim, claims)
            fill(connection, "completed", "sent", finished, size * FINISHED_FOR_EACH)
            finished = size * FINISHED_FOR_EACH
            yield _claims(connection, due, finished, claim, claims)


def fill(
    connection: psycopg.Connection[Any], run_status: str, status: str, has: int, wanted: int, runs: int = RUNS
) -> None:
    """Add messages of one status, evenly to all runs of a status, until there are as many as wanted."""
    values = {"run_status": run_status, "status": status, "runs": runs, "first": has, "last": wanted - 1}
    connection.execute(MESSAGES.encode(), values)
    connection.execute(b"vacuum (analyze)")
    connection.execute(b"checkpoint")


def _claims(connection: psycopg.Connection[Any], due: int, finished: int, claim: int, claims: int) -> Claimed:
    sql = statement("get_and_lock_campaign_messages", SCHEMA)
    times: list[float] = []
    for _ in range(claims):
        # Each begins with another run, as a worker's do.
        values = claim_values(count=claim, after_run=uuid4())
        with connection.transaction(force_rollback=True):
            began = time.perf_counter()
            rows = connection.execute(sql, values).fetchall()
            times.append(time.perf_counter() - began)
        if len(rows) != claim:
            raise RuntimeError(f"{len(rows)} messages were claimed instead of {claim}")
    with connection.transaction(force_rollback=True):
        pages = _pages(connection, sql, claim_values(count=claim, after_run=uuid4()))
    return Claimed(due, finished, claim, statistics.median(times) * 1000, pages)


def _pages(connection: psycopg.Connection[Any], sql: bytes, values: dict[str, Any]) -> int:
    [(document,)] = psycopg.ClientCursor(connection).execute(
        b"explain (analyze, buffers, format json) " + sql.split(b"\n", 1)[1], values
    )
    plan = document[0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


MODE: Final = Mode("claim", "What a claim costs beside how many rows.", add_arguments, run)
