"""The schema as a whole: the reference dump, the comments, and the names that other programs rely on."""

import re
from typing import Any, Final

import psycopg
import pytest

from trioqueue.domain.logs import LogLevel, LogStep
from trioqueue.domain.states import MessageStatus, PartStatus, RunStatus
from trioqueue.postgres.migrations import schema_directory

CATALOGUE: Final = """
select 'column', c.relname || '.' || a.attname,
  format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull || ' ' || a.attidentity::text
  || coalesce(pg_get_expr(d.adbin, d.adrelid), '') || ' ' || coalesce(col_description(c.oid, a.attnum), '')
from pg_attribute a
join pg_class c on c.oid = a.attrelid
left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
where c.relnamespace = 'trioqueue'::regnamespace and c.relkind = 'r'
  and a.attnum > 0 and not a.attisdropped
union all
select 'relation', c.relname,
  c.relkind::text || coalesce(c.reloptions::text, '') || coalesce(obj_description(c.oid), '')
from pg_class c where c.relnamespace = 'trioqueue'::regnamespace
union all
select 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
from pg_constraint where connamespace = 'trioqueue'::regnamespace and contype <> 'n'
union all
select 'index', indexrelid::regclass::text, pg_get_indexdef(indexrelid)
from pg_index i join pg_class c on c.oid = i.indexrelid where c.relnamespace = 'trioqueue'::regnamespace
union all
select 'function', p.oid::regprocedure::text, pg_get_functiondef(p.oid) || coalesce(obj_description(p.oid), '')
from pg_proc p where p.pronamespace = 'trioqueue'::regnamespace
order by 1, 2
"""


@pytest.fixture
def migrated(migrated_url: str) -> Any:
    """A connection to a migrated database."""
    with psycopg.connect(migrated_url, autocommit=True) as connection:
        yield connection


def checked_values(connection: psycopg.Connection[Any], table: str, column: str) -> set[str]:
    """The texts that a column's CHECK constraint allows."""
    query = """
        select pg_get_constraintdef(k.oid) from pg_constraint k
        join pg_attribute a on a.attrelid = k.conrelid and k.conkey = array[a.attnum]
        where k.contype = 'c' and k.conrelid = %s::regclass and a.attname = %s
    """
    [row] = connection.execute(query, [f"trioqueue.{table}", column]).fetchall()
    return set(re.findall(r"'([^']+)'", row[0]))


def test_the_reference_is_what_the_migrations_leave(migrated: psycopg.Connection[Any], database_url: str) -> None:
    """schema/schema.sql makes the same schema as all migrations; else scripts/dump-schema has to be run."""
    reference = (schema_directory() / "schema.sql").read_text(encoding="utf-8")
    with psycopg.connect(database_url, autocommit=True) as fresh:
        fresh.execute(reference.encode())
        expected = fresh.execute(CATALOGUE).fetchall()

    assert migrated.execute(CATALOGUE).fetchall() == expected


def test_everything_is_commented(migrated: psycopg.Connection[Any]) -> None:
    """Every table, column, function and index of our own naming says what it is for."""
    uncommented = """
        select c.relname || '.' || a.attname from pg_attribute a join pg_class c on c.oid = a.attrelid
        where c.relnamespace = 'trioqueue'::regnamespace and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped
          and c.relname <> 'schema_migrations' and col_description(c.oid, a.attnum) is null
        union all
        select c.relname from pg_class c
        where c.relnamespace = 'trioqueue'::regnamespace and c.relname <> 'schema_migrations'
          and (c.relkind = 'r' or c.relname like 'idx%') and obj_description(c.oid) is null
        union all
        select p.proname from pg_proc p
        where p.pronamespace = 'trioqueue'::regnamespace and obj_description(p.oid) is null
    """

    assert migrated.execute(uncommented).fetchall() == []


def test_states_are_those_of_the_transition_tables(migrated: psycopg.Connection[Any]) -> None:
    """The checks of the tables allow the states of domain/states.py and no others."""
    assert checked_values(migrated, "campaign_runs", "status") == set(RunStatus)
    assert checked_values(migrated, "campaign_messages", "status") == set(MessageStatus)
    assert checked_values(migrated, "campaign_message_parts", "status") == set(PartStatus)


def test_log_words_are_those_of_the_front_end(migrated: psycopg.Connection[Any]) -> None:
    """The checks of the log allow the steps and levels of domain/logs.py and no others."""
    assert checked_values(migrated, "campaign_logs", "step_name") == set(LogStep)
    assert checked_values(migrated, "campaign_logs", "level") == set(LogLevel)


COLUMNS: Final = {
    "campaign_configs": """
        id workspace_id name ai_model ai_instructions split_messages max_split_parts min_interval_seconds
        max_interval_seconds start_time end_time timezone daily_limit is_active
    """,
    "campaign_runs": """
        id config_id status run_date leads_total leads_processed leads_success leads_failed leads_skipped started_at
        completed_at error_message
    """,
    "campaign_messages": """
        id run_id lead_id phone_number phone_normalized status scheduled_at retry_count error_message
        generated_message ai_model ai_tokens_used ai_generation_time_ms ai_split_time_ms send_time_ms cost_usd
        conversation_id provider_message_id sent_at created_at updated_at
    """,
    "campaign_message_parts": """
        message_id part_no body status idempotency_key provider_message_id error_message sent_at
    """,
    "campaign_logs": "run_id message_id lead_id step_name level message details created_at",
    "leads": """
        id workspace_id client_name company primary_email primary_phone primary_website deal_value tags custom_fields
        status
    """,
    "conversations": "id workspace_id lead_id contact_phone campaign_run_id",
}
"""Tables and columns that other programs rely on (SPEC 3)."""


@pytest.mark.parametrize(("table", "columns"), COLUMNS.items())
def test_columns_that_other_programs_rely_on_are_there(
    migrated: psycopg.Connection[Any], table: str, columns: str
) -> None:
    """Every column that the specification names exists under its name."""
    query = "select column_name from information_schema.columns where table_schema = 'trioqueue' and table_name = %s"

    assert set(columns.split()) <= {row[0] for row in migrated.execute(query, [table]).fetchall()}


def test_indexes_have_their_names_and_conditions(migrated: psycopg.Connection[Any]) -> None:
    """The indexes that the specification names are on the columns and under the conditions that it gives."""
    query = "select indexname, indexdef from pg_indexes where schemaname = 'trioqueue'"
    definitions = dict(migrated.execute(query).fetchall())

    assert definitions["idx_campaign_messages_atomic_selection"].endswith(
        "campaign_messages USING btree (run_id, status, scheduled_at) WHERE (status = 'pending'::text)"
    )
    assert definitions["idx_campaign_runs_id_status"].endswith(
        "campaign_runs USING btree (id, status) WHERE (status = 'running'::text)"
    )
    assert definitions["idx_leads_id_for_context"].endswith(
        "leads USING btree (id) INCLUDE (client_name, primary_email, primary_phone, primary_website)"
    )


def test_functions_do_not_trust_the_search_path(migrated: psycopg.Connection[Any]) -> None:
    """Every function pins its search_path, with pg_temp last."""
    query = "select proname, proconfig from pg_proc where pronamespace = 'trioqueue'::regnamespace"
    functions = migrated.execute(query).fetchall()

    assert functions
    assert {tuple(config) for _, config in functions} == {("search_path=trioqueue, pg_temp",)}
