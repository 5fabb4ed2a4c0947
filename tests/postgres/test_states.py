"""The SQL statements move rows only along the transition tables of domain/states.py.

Each statement says in its head which rows it moves, and whence and whither; here each is also executed on a message
or part in every state whatsoever.
"""

import re
from typing import Any, Final
from uuid import uuid4

import orjson
import pytest

from tests.support.database import SCHEMA, claim_values, execute_statement, fetch, fetch_value, incarnation, start_run
from trioqueue.domain.states import (
    CLAIMED,
    MESSAGE_TRANSITIONS,
    PART_TRANSITIONS,
    RUN_TRANSITIONS,
    MessageStatus,
    PartStatus,
    RunStatus,
    may_become,
)
from trioqueue.postgres.pool import Pool
from trioqueue.postgres.statements import statement, statement_names

MOVES: Final = re.compile(r"^-- moves (\w+): ([\w, ]*)-> ([\w, ]+)$", re.MULTILINE)

STATES: Final[dict[str, tuple[Any, Any]]] = {
    "campaign_messages": (MessageStatus, MESSAGE_TRANSITIONS),
    "campaign_message_parts": (PartStatus, PART_TRANSITIONS),
    "campaign_runs": (RunStatus, RUN_TRANSITIONS),
}


def moves() -> list[tuple[str, str, str, str]]:
    """Every move that a statement declares: its name, the table, the state before and after."""
    found = []
    for name in statement_names():
        for table, before, after in MOVES.findall(statement(name, SCHEMA).decode()):
            sources = [state.strip() for state in before.split(",") if state.strip()]
            found += [(name, table, source, target.strip()) for source in sources for target in after.split(",")]
    return found


@pytest.mark.parametrize(("name", "table", "before", "after"), moves())
def test_declared_moves_are_transitions(name: str, table: str, before: str, after: str) -> None:
    """What a statement says that it does is allowed by the tables."""
    states, transitions = STATES[table]

    assert may_become(transitions, states(before), states(after)), name


def test_every_statement_that_changes_a_state_declares_it() -> None:
    """A statement that writes a status has a line that says which."""
    for name in statement_names():
        text = statement(name, SCHEMA).decode()
        writes = re.search(r"set\s+status\s*=|(finish|return|rescue|retry|settle|mark_old)_campaign", text)

        assert bool(writes) <= bool(MOVES.search(text)), name


def told(row: dict[str, Any]) -> str:
    """The rows of a statement of facts."""
    return orjson.dumps([row], default=str).decode()


async def place(pool: Pool, status: MessageStatus) -> dict[str, Any]:
    """A message in a state, with a part that is planned, and what a statement needs to name it."""
    await start_run(pool, 1)
    owner = uuid4()
    await fetch(
        pool,
        "update campaign_messages set status = %s, claimed_by = %s, claimed_at = %s, claim_fence = 1, sent_at = now(),"
        " generated_message = 'A message.'",
        status,
        owner if status in CLAIMED else None,
        "now" if status in CLAIMED else None,
    )
    message_id = await fetch_value(pool, "select id from campaign_messages")
    insert = "insert into campaign_message_parts (message_id, part_no, body, idempotency_key) values (%s, 1, 'A', 'k')"
    await fetch(pool, insert, message_id)
    return {"message_id": message_id, "owner": owner, "fence": 1}


FACT_VALUES: Final[dict[str, dict[str, Any]]] = {
    "store_texts": {"text": "Another text.", "model": "m", "tokens": 1, "cost_usd": 0, "time_ms": 1},
    "plan_parts": {"bodies": ["A"], "tokens": 1, "cost_usd": 0},
    "intend_parts": {"part_no": 1},
    "settle_parts": {"part_no": 1, "status": "sent", "send_time_ms": 1},
    "return_messages": {"delay": 1.0, "retry_count": 1},
}


@pytest.mark.parametrize("status", list(MessageStatus))
@pytest.mark.parametrize("name", list(FACT_VALUES))
async def test_facts_move_messages_along_the_table(pool: Pool, name: str, status: MessageStatus) -> None:
    """Whatever state a message is in, a fact leaves it there or moves it as allowed."""
    row = await place(pool, status)
    await execute_statement(pool, name, rows=told(row | FACT_VALUES[name]))
    after = MessageStatus(await fetch_value(pool, "select status from campaign_messages"))

    assert may_become(MESSAGE_TRANSITIONS, status, after)
    assert (after is status) or status in CLAIMED


@pytest.mark.parametrize("status", list(MessageStatus))
@pytest.mark.parametrize("end", ["sent", "failed", "skipped", "unconfirmed"])
async def test_ends_move_messages_along_the_table(pool: Pool, end: str, status: MessageStatus) -> None:
    """A message ends only from a claimed state, and is counted exactly then."""
    row = await place(pool, status)
    await execute_statement(pool, "finish_messages", rows=told(row | {"status": end}))
    after = MessageStatus(await fetch_value(pool, "select status from campaign_messages"))

    ends = status in CLAIMED and may_become(MESSAGE_TRANSITIONS, status, MessageStatus(end))
    assert after == (end if ends else status)
    assert await fetch_value(pool, "select leads_processed from campaign_runs") == ends


@pytest.mark.parametrize("status", list(MessageStatus))
async def test_upkeep_and_claims_move_messages_along_the_table(pool: Pool, status: MessageStatus) -> None:
    """Skipping, adopting, rescuing and claiming move messages as allowed, whatever state they are in."""
    await place(pool, status)
    await fetch(pool, "update campaign_messages set scheduled_at = now() - interval '1 hour'")
    worker = incarnation()
    calls: list[tuple[str, dict[str, Any]]] = [
        ("rescue", {"limit": 10, "idempotent": False, "worker": None, "held": []}),
        ("adopt_queued", {}),
        ("get_and_lock_campaign_messages", claim_values(owner=worker.id)),
        ("skip_old", {"age": 60.0, "limit": None}),
    ]
    before = status
    for name, values in calls:
        await execute_statement(pool, name, **values)
        after = MessageStatus(await fetch_value(pool, "select status from campaign_messages"))

        assert may_become(MESSAGE_TRANSITIONS, before, after), name
        before = after


PEOPLE_MOVE: Final[dict[str, tuple[dict[str, Any], set[MessageStatus]]]] = {
    "retry_message": ({}, {MessageStatus.FAILED, MessageStatus.SKIPPED}),
    "settle_messages": ({"status": PartStatus.SENT}, {MessageStatus.UNCONFIRMED}),
    "settle_messages ": ({"status": PartStatus.PLANNED}, {MessageStatus.UNCONFIRMED}),
}


@pytest.mark.parametrize("status", list(MessageStatus))
@pytest.mark.parametrize("action", list(PEOPLE_MOVE))
async def test_people_move_messages_along_the_table(pool: Pool, action: str, status: MessageStatus) -> None:
    """Retrying, confirming and resending move a message and its run as allowed, whatever states they are in."""
    row, sources = PEOPLE_MOVE[action]
    for run_status in RunStatus:
        await fetch(pool, "truncate campaign_runs, campaign_messages, campaign_message_parts, conversations")
        message_id = (await place(pool, status))["message_id"]
        await fetch(
            pool,
            "update campaign_runs set status = %s, paused_at = %s, completed_at = now(), leads_processed = 1,"
            " leads_failed = %s, leads_skipped = %s",
            run_status,
            "now" if run_status is RunStatus.PAUSED else None,
            int(status is MessageStatus.FAILED),
            int(status is MessageStatus.SKIPPED),
        )
        values = {"message_id": message_id, "rows": told({"message_id": message_id} | row), "settled_by": "person"}
        await execute_statement(pool, action.strip(), **values)
        after = MessageStatus(await fetch_value(pool, "select status from campaign_messages"))
        run_after = RunStatus(await fetch_value(pool, "select status from campaign_runs"))

        assert may_become(MESSAGE_TRANSITIONS, status, after), run_status
        assert may_become(RUN_TRANSITIONS, run_status, run_after), run_status
        assert after is status or status in sources, run_status


@pytest.mark.parametrize("after", list(PartStatus))
@pytest.mark.parametrize("before", list(PartStatus))
async def test_parts_move_along_the_table(pool: Pool, before: PartStatus, after: PartStatus) -> None:
    """An outcome or an intent moves a part as allowed, or not at all."""
    row = await place(pool, MessageStatus.SENDING) | {"part_no": 1}
    await fetch(
        pool,
        "update campaign_message_parts set status = %s, sent_at = %s, claim_fence = 1",
        before,
        "now" if before is PartStatus.SENT else None,
    )
    name = "intend_parts" if after is PartStatus.SENDING else "settle_parts"
    await execute_statement(pool, name, rows=told(row | {"status": after, "send_time_ms": 1}))
    found = PartStatus(await fetch_value(pool, "select status from campaign_message_parts"))

    assert found == (
        after if may_become(PART_TRANSITIONS, before, after) and before is not PartStatus.UNKNOWN else before
    )


@pytest.mark.parametrize("status", list(RunStatus))
@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("pause_run", {"step": "ERRO", "level": "error", "reason": "why", "until_tomorrow": False}),
        ("resume_run", {}),
        ("cancel_run", {}),
    ],
)
async def test_runs_move_along_the_table(pool: Pool, name: str, values: dict[str, Any], status: RunStatus) -> None:
    """Pausing, resuming and cancelling move a run as allowed, or leave it what it is."""
    run = await start_run(pool, 1)
    await fetch(
        pool,
        "update campaign_runs set status = %s, paused_at = %s, completed_at = now()",
        status,
        "now" if status is RunStatus.PAUSED else None,
    )
    moves = {
        "pause_run": (RunStatus.PAUSED, {RunStatus.RUNNING}),
        "resume_run": (RunStatus.RUNNING, {RunStatus.PAUSED}),
        "cancel_run": (RunStatus.CANCELLED, {RunStatus.RUNNING, RunStatus.PAUSED}),
    }
    target, sources = moves[name]
    await execute_statement(pool, name, run_id=run.run_id, **values)
    after = RunStatus(await fetch_value(pool, "select status from campaign_runs"))

    assert after == (target if status in sources else status)
    assert may_become(RUN_TRANSITIONS, status, after)
