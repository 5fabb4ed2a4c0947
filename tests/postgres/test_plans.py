"""The named indexes serve the statements they are for, on 200,000 messages, and the cost does not grow with them.

Each statement is executed by EXPLAIN (ANALYZE, BUFFERS) inside a transaction that is rolled back: with the values at
hand, and as the generic plan that the server may go over to once a statement is prepared.
"""

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import orjson
import psycopg
import psycopg.sql
import pytest

from tests.support.cluster import Cluster
from tests.support.database import SCHEMA, claim_values
from trioqueue.domain.budgets import Estimate, Limits
from trioqueue.domain.completions import NOTHING_SPENT, Usage
from trioqueue.domain.facts import (
    Fact,
    Finished,
    PartsPlanned,
    Returned,
    SendIntended,
    SendSettled,
    SpendReserved,
    TextGenerated,
    WayBack,
)
from trioqueue.domain.messages import Claim
from trioqueue.domain.states import MessageStatus, PartStatus
from trioqueue.postgres.batches import FactBatches
from trioqueue.postgres.statements import statement

MESSAGES: Final = 200_000
RUNS: Final = 40
RUNS_THAT_ARE_OVER: Final = 1_000
"""They have no messages here."""

BUFFERS_OF_A_CLAIM: Final = 1_000
"""Pages of 8 KiB that a claim of 15 may touch, its three index entries a row and its contexts included. The table has
some 8,000, its indexes as many."""

BUFFERS_OF_AN_INTENT: Final = 40
"""Pages that one of many intents may touch: message, run, lead, conversation and part with their indexes."""

BUFFERS_OF_A_LOOK: Final = 4_000
"""Pages that a look at 10,000 messages of the newest runs may touch, a quarter of table and indexes."""

HELD: Final = 2_000
"""Messages in the hands of workers."""

WRITTEN: Final = 10
"""Messages to which something happens meanwhile."""

ENTRIES_OF_A_HISTORY: Final = 100
"""Index entries that are read of messages to write all that happens to one of them: several for each of nine facts,
because the changes are not committed yet, and none is removed."""


def filled(messages: int, runs: int) -> bytes:
    """SQL that fills a database: half of the messages are pending, in so many runs that are running."""
    return f"""
set search_path to {SCHEMA};
insert into leads (id, workspace_id, client_name, primary_email, primary_phone, phone_normalized, primary_website)
  select ('00000000-0000-0000-0000-' || lpad(to_hex(n), 12, '0'))::uuid, '{UUID(int=1)}', 'Lead ' || n,
    n || '@example.org', n::text, '+5511' || (900000000 + n), 'https://example.org/' || n
  from generate_series(1, {messages // 4}) n;
insert into campaign_configs (workspace_id, name, ai_model, ai_instructions)
  values ('{UUID(int=1)}', 'large', 'some/model', 'Write kindly.');
insert into campaign_runs (config_id, status, leads_total, completed_at)
  select c.id, case when n <= {runs} then 'running' else 'completed' end, {messages // runs}, now()
  from campaign_configs c, generate_series(1, {runs} + {RUNS_THAT_ARE_OVER}) n;
insert into conversations (workspace_id, lead_id, contact_phone)
  select l.workspace_id, l.id, l.phone_normalized from leads l;
insert into campaign_messages
  (run_id, lead_id, status, scheduled_at, sent_at, generated_message, conversation_id)
  select r.id, l.id, case when l.n % 2 = 0 then 'pending' else 'sent' end,
    now() + (l.n % {messages // runs} - {messages // runs // 2}) * interval '1 second', now(),
    'A message that was sent.', c.id
  from (select id, row_number() over () as place from campaign_runs where status = 'running') r
  cross join lateral (
    select id, row_number() over () as n from leads order by id
    offset (r.place - 1) * {messages // runs} % {messages // 4} limit {messages // runs}
  ) l
  join conversations c on c.lead_id = l.id;
insert into campaign_message_parts (message_id, part_no, body, status, idempotency_key, sent_at)
  select m.id, 1, 'A message that was sent.', 'sent', m.id || ':1', now()
  from campaign_messages m where m.status = 'sent';
""".encode()


@pytest.fixture(scope="module")
def large_url(cluster: Cluster, migrated_template: str) -> Iterator[str]:
    """A database with 200,000 messages, half of them pending, in 40 of 1,040 runs."""
    url = cluster.create_database(migrated_template)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(filled(MESSAGES, RUNS))
        connection.execute(b"analyze")
    yield url
    cluster.drop_database(url)


@pytest.fixture
def large(large_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to the large database; what it changes is rolled back."""
    with psycopg.connect(large_url) as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def small(migrated_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to a database of which the planner knows nothing yet."""
    with psycopg.connect(migrated_url) as connection:
        connection.execute(filled(4 * HELD, 2))
        yield connection
        connection.rollback()


class Plan:
    """What EXPLAIN (ANALYZE, BUFFERS) says."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.nodes = list(_nodes(document["Plan"]))
        self.buffers = document["Plan"]["Shared Hit Blocks"] + document["Plan"]["Shared Read Blocks"]

    def indexes(self) -> set[str]:
        """The indexes that were read."""
        return {node["Index Name"] for node in self.nodes if "Index Name" in node and node["Actual Loops"]}

    def scanned_tables(self) -> set[str]:
        """The tables that were read from end to end."""
        return {
            node["Relation Name"] for node in self.nodes if node["Node Type"] == "Seq Scan" and node["Actual Loops"]
        }


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def explain(connection: psycopg.Connection[Any], sql: str, values: dict[str, Any], *, generic: bool) -> Plan:
    """The plan of a statement with named parameters, executed."""
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", sql)))
    numbered = re.sub(r"%\((\w+)\)s", lambda match: f"${names.index(match[1]) + 1}", sql)
    connection.execute(f"set local plan_cache_mode = force_{'generic' if generic else 'custom'}_plan".encode())
    connection.execute(f"prepare explained as {numbered}".encode())
    literals = ", ".join(psycopg.sql.Literal(values[name]).as_string(connection) for name in names)
    call = f"execute explained({literals})" if names else "execute explained"
    [row] = connection.execute(f"explain (analyze, buffers, format json) {call}".encode()).fetchall()
    connection.execute("deallocate explained")
    return Plan(row[0][0])


def claim(connection: psycopg.Connection[Any], *, count: int, generic: bool, avoided: Sequence[str] = ()) -> Plan:
    """The plan of a claim."""
    sql = statement("get_and_lock_campaign_messages", SCHEMA).decode()
    return explain(connection, sql, claim_values(count=count, avoided=list(avoided)), generic=generic)


@pytest.mark.parametrize("generic", [False, True], ids=["custom", "generic"])
def test_a_claim_reads_the_named_indexes(large: psycopg.Connection[Any], generic: bool) -> None:
    """The queue is read through its partial index and the runs through theirs; no table is read from end to end."""
    plan = claim(large, count=15, generic=generic)

    assert {"idx_campaign_messages_atomic_selection", "idx_campaign_runs_id_status"} <= plan.indexes()
    assert not plan.scanned_tables() & {"campaign_messages", "leads", "conversations", "campaign_message_parts"}


@pytest.mark.parametrize("generic", [False, True], ids=["custom", "generic"])
def test_the_cost_of_a_claim_is_bounded(large: psycopg.Connection[Any], generic: bool) -> None:
    """A claim of 15 touches few pages, and one of a single message fewer still."""
    many = claim(large, count=15, generic=generic)
    one = claim(large, count=1, generic=generic)
    none = claim(large, count=15, generic=generic, avoided=["some/model"])

    assert many.buffers < BUFFERS_OF_A_CLAIM
    assert one.buffers < many.buffers
    assert none.buffers < 10 * RUNS


def test_the_context_is_read_through_its_covering_index(large: psycopg.Connection[Any]) -> None:
    """Leads are found by the index named for the context, alone and in a set."""
    sql = (
        "select client_name, primary_email, primary_phone, primary_website from {schema}.leads where id = any (%(ids)s)"
    )
    ids = [UUID(int=n) for n in range(1, 16)]
    plan = explain(large, sql.replace("{schema}", SCHEMA), {"ids": ids}, generic=True)
    before = _scans(large, "idx_leads_id_for_context")
    large.execute(f"select * from {SCHEMA}.get_leads_full_context(%s)".encode(), [ids])
    large.execute(f"select {SCHEMA}.get_lead_full_context(%s)".encode(), [ids[0]])

    assert plan.indexes() == {"idx_leads_id_for_context"}
    assert not plan.scanned_tables()
    assert _scans(large, "idx_leads_id_for_context") >= before + 2


def test_old_messages_are_found_through_the_queue(large: psycopg.Connection[Any]) -> None:
    """Skipping old messages reads the queue's index, not the table."""
    before = _scans(large, "idx_campaign_messages_atomic_selection"), _sequential(large, "campaign_messages")
    large.execute(statement("skip_old", SCHEMA), {"age": 600.0, "limit": None})
    after = _scans(large, "idx_campaign_messages_atomic_selection"), _sequential(large, "campaign_messages")

    assert after[0] >= before[0] + RUNS
    assert after[1] == before[1]


def test_a_rescue_reads_only_what_is_claimed(large: psycopg.Connection[Any]) -> None:
    """Messages of dead workers are found among the claimed ones, not in the table."""
    large.execute(
        statement("get_and_lock_campaign_messages", SCHEMA),
        claim_values(count=15),
    )
    before = _sequential(large, "campaign_messages")
    [row] = large.execute(
        statement("rescue", SCHEMA), {"limit": 500, "idempotent": False, "worker": None, "held": []}
    ).fetchall()

    assert row == (15, 0)
    assert _sequential(large, "campaign_messages") == before


@pytest.mark.parametrize("generic", [False, True], ids=["custom", "generic"])
def test_a_look_ahead_reads_the_queue_and_what_is_claimed(large: psycopg.Connection[Any], generic: bool) -> None:
    """A heartbeat looks at one message a running run and at those in flight, not at the table."""
    large.execute(statement("get_and_lock_campaign_messages", SCHEMA), claim_values(count=15))
    worker = {"incarnation": UUID(int=7), "host": "here", "pid": 1, "lease": 30.0}
    plan = explain(large, statement("beat", SCHEMA).decode(), worker, generic=generic)

    assert {"idx_campaign_messages_atomic_selection", "idx_campaign_messages_claimed"} <= plan.indexes()
    assert not plan.scanned_tables() & {"campaign_messages", "campaign_runs"}
    assert plan.buffers < 12 * RUNS


def test_a_removal_does_not_read_its_run(large: psycopg.Connection[Any]) -> None:
    """That no message of a run is open is seen in the indexes of open messages, whatever the run has besides."""
    large.execute(f"set local search_path to {SCHEMA}".encode())
    large.execute(
        b"with over as (update campaign_runs set status = 'completed', completed_at = now() - interval '1 year'"
        b" where id = (select id from campaign_runs where status = 'running' limit 1) returning id)"
        b" update campaign_messages m set status = 'sent', sent_at = now() from over where m.run_id = over.id"
    )
    before = _fetched(large, "campaign_messages")
    removed = large.execute(statement("prune", SCHEMA), {"days": 30, "limit": 10}).fetchall()

    assert removed == [(10,)]
    assert _fetched(large, "campaign_messages") < before + MESSAGES // RUNS // 2


@pytest.mark.parametrize("generic", [False, True], ids=["custom", "generic"])
def test_many_running_runs_cost_a_probe_each_at_most(large: psycopg.Connection[Any], generic: bool) -> None:
    """A claim stops at the runs that fill it; those without anything due cost a look into the index of the queue."""
    runs = f"update {SCHEMA}.campaign_runs set status = case status when 'running' then 'cancelled' else 'running' end"
    large.execute(f"{runs} where status <> 'running'".encode())
    some = claim(large, count=15, generic=generic)
    large.execute(f"{runs} where id in (select run_id from {SCHEMA}.campaign_messages)".encode())
    none = claim(large, count=15, generic=generic)

    assert some.buffers < BUFFERS_OF_A_CLAIM + 8 * RUNS_THAT_ARE_OVER
    assert none.buffers < 8 * RUNS_THAT_ARE_OVER


@pytest.mark.parametrize("generic", [False, True], ids=["custom", "generic"])
def test_an_intent_reads_by_keys(large: psycopg.Connection[Any], generic: bool) -> None:
    """Whether the lead has opted out or a person has taken over is found by keys, a few pages a part."""
    owner = UUID(int=7)
    large.execute(f"set local search_path to {SCHEMA}".encode())
    claimed = large.execute(
        b"update campaign_messages set status = 'sending', generated_message = 'Oi', claimed_by = %s,"
        b" claimed_at = now(), claim_fence = 1 where id in (select id from campaign_messages"
        b" where status = 'pending' limit 100) returning id",
        [owner],
    ).fetchall()
    large.cursor().executemany(
        b"insert into campaign_message_parts (message_id, part_no, body, idempotency_key) values (%s, 1, 'Oi', 'k')",
        claimed,
    )
    rows = [{"message_id": str(row[0]), "owner": str(owner), "fence": 1, "part_no": 1} for row in claimed]
    sql = statement("intend_parts", SCHEMA).decode()
    plan = explain(large, sql, {"rows": orjson.dumps(rows).decode()}, generic=generic)

    assert not plan.scanned_tables() - {"campaign_runs"}
    assert plan.buffers < 100 * BUFFERS_OF_AN_INTENT


@pytest.mark.parametrize("generic", [False, True], ids=["custom", "generic"])
@pytest.mark.parametrize("end", [Finished, Returned])
@pytest.mark.parametrize("size", ["large", "small"])
def test_what_happened_to_a_message_is_written_by_its_key(
    request: pytest.FixtureRequest, size: str, end: type[Finished | Returned], generic: bool
) -> None:
    """Not by a look at all that is held, nor at the table where it is small and nothing is known of it yet."""
    connection: psycopg.Connection[Any] = request.getfixturevalue(size)
    connection.execute(f"set local search_path to {SCHEMA}".encode())
    connection.execute(f"set local plan_cache_mode = force_{'generic' if generic else 'custom'}_plan".encode())
    owner = UUID(int=7)
    held = connection.execute(
        b"update campaign_messages set status = 'generating', claimed_by = %s, claimed_at = now(), claim_fence = 1"
        b" where id in (select id from campaign_messages where status = 'pending' order by scheduled_at desc limit %s)"
        b" returning id, run_id, lead_id",
        [owner, HELD],
    ).fetchall()
    claims = [Claim(message_id, run_id, lead_id, owner, 1) for message_id, run_id, lead_id in held[:WRITTEN]]
    before = _read(connection, "campaign_messages")
    for facts in zip(*(_history(claim, end) for claim in claims), strict=True):
        for told in FactBatches(SCHEMA, Limits(1_000_000)).statements(facts):
            written = connection.execute(told.sql, {"rows": told.rows, **told.values}, prepare=True).fetchall()
            assert len(written) == WRITTEN, told.sql

    assert len(held) == HELD
    assert _read(connection, "campaign_messages") - before < WRITTEN * ENTRIES_OF_A_HISTORY


def _history(claim: Claim, end: type[Finished | Returned]) -> list[Fact]:
    """What happens to a message from its claim to its end."""
    spent = Usage(10, Decimal("0.1"))
    return [
        SpendReserved(claim, NOTHING_SPENT, Estimate(100, Decimal(1))),
        TextGenerated(claim, "Oi, tudo bem?", "some/model", spent, 1),
        PartsPlanned(claim, ("Oi,", "tudo bem?"), spent, 1),
        SendIntended(claim, 1),
        SendSettled(claim, 1, PartStatus.SENT, 1),
        SendIntended(claim, 2),
        SendSettled(claim, 2, PartStatus.SENT, 1),
        Finished(claim, MessageStatus.SENT) if end is Finished else Returned(claim, WayBack.REQUEUE, 60.0, 1),
    ]


@pytest.mark.parametrize("generic", [False, True], ids=["custom", "generic"])
def test_parts_of_unknown_fate_are_found_through_their_index(large: psycopg.Connection[Any], generic: bool) -> None:
    """A reconciliation reads the unconfirmed messages alone, not the table."""
    large.execute(f"set local search_path to {SCHEMA}".encode())
    large.execute(
        b"update campaign_messages set status = 'unconfirmed', updated_at = now() - interval '1 hour'"
        b" where id in (select id from campaign_messages where status = 'sent' limit 50)"
    )
    large.execute(
        b"update campaign_message_parts p set status = 'unknown', sent_at = null"
        b" from campaign_messages m where m.id = p.message_id and m.status = 'unconfirmed'"
    )
    plan = explain(large, statement("take_unknown_parts", SCHEMA).decode(), {"limit": 20}, generic=generic)

    assert "idx_campaign_messages_unconfirmed" in plan.indexes()
    assert not plan.scanned_tables()


@pytest.mark.parametrize("generic", [False, True], ids=["custom", "generic"])
@pytest.mark.parametrize("status", [None, "sent", "failed", "unconfirmed"])
def test_a_list_of_messages_is_a_bounded_look(
    large: psycopg.Connection[Any], status: str | None, generic: bool
) -> None:
    """Without a run some of the newest messages are looked at, and those of an indexed state, never the table."""
    sql = statement("list_recent_messages", SCHEMA).decode()
    plan = explain(large, sql, {"status": status, "limit": 20}, generic=generic)

    assert not plan.scanned_tables() & {"campaign_messages", "leads"}
    assert plan.buffers < BUFFERS_OF_A_LOOK


@pytest.mark.parametrize("generic", [False, True], ids=["custom", "generic"])
def test_a_doctor_reads_no_table(large: psycopg.Connection[Any], generic: bool) -> None:
    """What there is to do is found through the indexes of the queue, whatever waits there."""
    plan = explain(large, statement("doctor_work", SCHEMA).decode(), {"most": 10_000}, generic=generic)

    assert not plan.scanned_tables() & {"campaign_messages", "leads"}
    assert plan.buffers < BUFFERS_OF_A_CLAIM


def _scans(connection: psycopg.Connection[Any], index: str) -> int:
    query = "select pg_stat_get_xact_numscans(%s::regclass)"
    return int(connection.execute(query, [f"{SCHEMA}.{index}"]).fetchall()[0][0])


def _fetched(connection: psycopg.Connection[Any], table: str) -> int:
    query = "select sum(pg_stat_get_xact_tuples_fetched(indexrelid)) from pg_index where indrelid = %s::regclass"
    return int(connection.execute(query, [f"{SCHEMA}.{table}"]).fetchall()[0][0])


def _sequential(connection: psycopg.Connection[Any], table: str) -> int:
    query = "select pg_stat_get_xact_numscans(%s::regclass)"
    return int(connection.execute(query, [f"{SCHEMA}.{table}"]).fetchall()[0][0])


def _read(connection: psycopg.Connection[Any], table: str) -> int:
    query = (
        "select sum(pg_stat_get_xact_tuples_returned(read.oid)) from (select %(table)s::regclass as oid"
        " union all select indexrelid from pg_index where indrelid = %(table)s::regclass) read"
    )
    return int(connection.execute(query, {"table": f"{SCHEMA}.{table}"}).fetchall()[0][0])
