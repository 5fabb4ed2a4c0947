"""A batch of facts as statements: one for each kind of fact that it holds, over all its rows.

The order of the kinds is the order in which facts of one message may meet in a batch: what a part came to is written
before the next one is intended.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias, assert_never

import attrs
import orjson
from psycopg import AsyncCursor
from psycopg.rows import TupleRow

from trioqueue.domain.budgets import Limits
from trioqueue.domain.completions import Usage
from trioqueue.domain.facts import (
    Fact,
    Finished,
    Noted,
    PartsPlanned,
    Returned,
    SendIntended,
    SendSettled,
    SpendReserved,
    TextGenerated,
    Verdict,
)
from trioqueue.domain.logs import LogEntry
from trioqueue.domain.messages import Claim
from trioqueue.postgres.connection import TrioConnection
from trioqueue.postgres.statements import statement

Row: TypeAlias = dict[str, Any]

_STEPS: Final[tuple[tuple[type[Fact], str], ...]] = (
    (TextGenerated, "store_texts"),
    (PartsPlanned, "plan_parts"),
    (SendSettled, "settle_parts"),
    (SendIntended, "intend_parts"),
)
_ENDS: Final[tuple[tuple[type[Fact], str], ...]] = (
    (Finished, "finish_messages"),
    (Returned, "return_messages"),
)


@attrs.frozen
class Told:
    """A statement of a batch: the rows of one kind of fact, and the places of those facts in the batch."""

    sql: bytes
    rows: str
    places: Sequence[int] = ()
    values: Row = attrs.field(factory=dict)


class FactBatches:
    """Makes the statements of batches.

    Args:
        schema: The schema of the tables.
        daily: The budget of each day, of all runs together.
    """

    def __init__(self, schema: str, daily: Limits) -> None:
        self._daily = daily
        self._write_logs = statement("write_logs", schema)
        self._account_spending = statement("account_spending", schema)
        self._lock_runs = statement("lock_runs", schema)
        self._steps = tuple((kind, statement(name, schema)) for kind, name in _STEPS)
        self._ends = tuple((kind, statement(name, schema)) for kind, name in _ENDS)

    def statements(self, facts: Sequence[Fact]) -> list[Told]:
        """What is to be executed for the facts, in this order and in one transaction."""
        ends = _of_kinds(self._ends, facts)
        if len(ends) > 1:
            # Each of the two statements locks its runs in order, but not those of the other.
            runs = {fact.claim.run_id for fact in facts if isinstance(fact, Finished | Returned)}
            ends.insert(0, Told(self._lock_runs, json_rows([{"run_id": run} for run in runs])))
        told = [*self._spending(facts), *_of_kinds(self._steps, facts), *ends]
        if logs := [_log_row(fact.claim, fact.log) for fact in facts if fact.log is not None]:
            told.append(Told(self._write_logs, json_rows(logs)))
        return told

    def without_rows(self) -> list[Told]:
        """What tells all that follows a call of the model, without a row: refused where a fact would be."""
        statements = [*(sql for _, sql in (*self._steps, *self._ends)), self._write_logs]
        return [Told(sql, json_rows([])) for sql in statements]

    def _spending(self, facts: Sequence[Fact]) -> list[Told]:
        # Of several facts of one message the last is told: each says all there is to say.
        spending = [fact for fact in facts if isinstance(fact, SpendReserved)]
        if not spending:
            return []
        last = {fact.claim.message_id: fact for fact in sorted(spending, key=lambda fact: fact.claim.fence)}
        prices = [attrs.asdict(fact.price) for fact in spending if fact.price]
        values: Row = {
            "message_ids": list({fact.claim.message_id for fact in facts}),
            "run_ids": list(
                {fact.claim.run_id for fact in facts if isinstance(fact, SpendReserved | Finished | Returned)}
            ),
            "max_tokens_per_day": self._daily.max_tokens,
            "max_cost_per_day": self._daily.max_cost_usd,
            "prices": json_rows(prices) if prices else None,
        }
        rows = [_row(fact) | {"place": place} for place, fact in enumerate(last.values())]
        places = [place for place, fact in enumerate(facts) if isinstance(fact, SpendReserved)]
        return [Told(self._account_spending, json_rows(rows), places, values)]


def _of_kinds(kinds: Iterable[tuple[type[Fact], bytes]], facts: Sequence[Fact]) -> list[Told]:
    return [
        Told(sql, json_rows([_row(facts[place]) for place in places]), places)
        for kind, sql in kinds
        if (places := [place for place, fact in enumerate(facts) if isinstance(fact, kind)])
    ]


async def execute_all(connection: TrioConnection, told: Iterable[Told]) -> list[AsyncCursor[TupleRow]]:
    """Execute the statements of a batch within a pipeline of the connection."""
    # What is sent between two syncs of a pipeline is one transaction, without round trips for BEGIN and COMMIT.
    # Everything that can raise but the database has been done before, so nothing leaves half of it.
    return [await connection.execute(each.sql, {"rows": each.rows} | each.values) for each in told]


async def verdicts_of(
    facts: Sequence[Fact], told: Iterable[Told], cursors: Iterable[AsyncCursor[TupleRow]]
) -> list[Verdict]:
    """What came of each fact, in their order."""
    verdicts = [Verdict.DURABLE if isinstance(fact, Noted) else Verdict.CLAIM_LOST for fact in facts]
    for each, cursor in zip(told, cursors, strict=True):
        if each.places:
            held = {row[0]: _verdict(row) for row in await cursor.fetchall()}
            claims = [facts[place].claim for place in each.places]
            newest = {claim.message_id: claim.fence for claim in sorted(claims, key=_fence)}
            for place, claim in zip(each.places, claims, strict=True):
                # The rows name messages. Of two claims of one message the newer is meant: it was taken from this
                # worker and claimed by it again, and what holds the older does not know it yet.
                if claim.fence == newest[claim.message_id]:
                    verdicts[place] = held.get(claim.message_id, Verdict.CLAIM_LOST)
    return verdicts


def _fence(claim: Claim) -> int:
    return claim.fence


_ANSWERS: Final[Mapping[object, Verdict]] = {
    "run_stopped": Verdict.RUN_STOPPED,
    "stopped": Verdict.RUN_STOPPED,
    "opted_out": Verdict.LEAD_OPTED_OUT,
    "taken_over": Verdict.TAKEN_OVER,
    "reserved": Verdict.BUDGET_RESERVED,
    "spent": Verdict.BUDGET_SPENT,
}


def _verdict(row: tuple[Any, ...]) -> Verdict:
    # Two statements have a second column: why an intent is refused, and what budgets say to a call.
    return _ANSWERS.get(row[1], Verdict.DURABLE) if len(row) > 1 else Verdict.DURABLE


def _row(fact: Fact) -> Row:
    row: Row = {"message_id": fact.claim.message_id, "owner": fact.claim.owner, "fence": fact.claim.fence}
    match fact:
        case TextGenerated():
            row |= {"text": fact.text, "model": fact.model, "time_ms": fact.time_ms} | _spent(fact.spent)
        case PartsPlanned():
            row |= {"bodies": fact.bodies, "time_ms": fact.time_ms} | _spent(fact.spent)
        case SendSettled():
            row |= {
                "part_no": fact.part_no,
                "status": fact.status,
                "provider_message_id": fact.provider_message_id,
                "error": fact.error,
                "send_time_ms": fact.send_time_ms,
            }
        case SendIntended():
            row |= {"part_no": fact.part_no}
        case Finished():
            row |= {
                "status": fact.status,
                "error_message": fact.error,
                "provider_message_id": fact.provider_message_id,
            } | _spent(fact.spent)
        case Returned():
            row |= {
                "run_id": fact.claim.run_id,
                "delay": fact.delay,
                "retry_count": fact.retry_count,
                "error": fact.error,
            } | _spent(fact.spent)
        case SpendReserved(counted=counted, estimate=estimate):
            row |= {"tokens": counted.tokens, "cost_usd": counted.cost_usd}
            if estimate is not None:
                row |= {"ask_tokens": estimate.tokens, "ask_cost_usd": estimate.cost_usd}
        case Noted():
            pass
        case _:
            assert_never(fact)
    return row


def json_rows(rows: list[Row]) -> str:
    """Rows as the one parameter of a statement that reads them."""
    return orjson.dumps(rows, default=str).decode()


def _spent(spent: Usage | None) -> Row:
    return {} if spent is None else {"tokens": spent.tokens, "cost_usd": spent.cost_usd}


def _log_row(claim: Claim, log: LogEntry) -> Row:
    return {
        "run_id": claim.run_id,
        "message_id": claim.message_id,
        "lead_id": claim.lead_id,
        "step_name": log.step,
        "level": log.level,
        "message": log.message,
        "details": log.details,
    }
