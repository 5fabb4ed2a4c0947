"""The worker's store: claims, facts, heartbeats and upkeep as named statements on PostgreSQL."""

import math
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

import attrs
import trio
from psycopg import AsyncCursor
from psycopg.rows import TupleRow

from trioqueue.domain.budgets import NO_LIMITS, Budget, Budgets, Limits
from trioqueue.domain.completions import Usage
from trioqueue.domain.facts import (
    Fact,
    Verdict,
)
from trioqueue.domain.gates import Cause, GateNews, SharedGate
from trioqueue.domain.logs import LogLevel, LogStep
from trioqueue.domain.lookups import SettledPart, UnknownPart
from trioqueue.domain.messages import Barred, Claim, ClaimedMessage, Incarnation, Part
from trioqueue.domain.sends import OutgoingPart
from trioqueue.domain.states import MessageStatus, PartStatus
from trioqueue.ports import Outlook, Rescued
from trioqueue.postgres.batches import FactBatches, Row, execute_all, json_rows, verdicts_of
from trioqueue.postgres.connection import TrioConnection
from trioqueue.postgres.errors import DatabaseUnavailable, translated
from trioqueue.postgres.pool import Pool
from trioqueue.postgres.statements import statement

TAKEN_AT_ONCE: Final = 500
"""Most messages that one statement of a rescue, a skip or a removal takes: it holds their locks until it commits, and
must be done within the statement's time-out however many there are."""


class PostgresStore:
    """A `ports.Store` on a pool of connections.

    Args:
        pool: Where the connections come from.
        heartbeats: Where the connection for heartbeats comes from, so that these wait for nothing else.
        schema: The schema of the tables.
        timeout: Seconds that one call may take, the wait for a connection included. The server's own time-outs do
            not see a connection that is half open.
        fallback_models: What stands in for the models of campaigns that name no others.
        daily: The budget of each day, of all runs together.
    """

    def __init__(
        self,
        pool: Pool,
        schema: str,
        *,
        timeout: float,
        heartbeats: Pool | None = None,
        fallback_models: Sequence[str] = (),
        daily: Limits = NO_LIMITS,
    ) -> None:
        self._pool = pool
        self._heartbeats = heartbeats or pool
        self._daily = daily
        self._batches = FactBatches(schema, daily)
        self._fallback_models = list(fallback_models)
        self._timeout = timeout
        self._turn = UUID(int=0)
        self._claim = statement("get_and_lock_campaign_messages", schema)
        self._stored_parts = statement("stored_parts", schema)
        self._open_conversations = statement("open_conversations", schema)
        self._beat = statement("beat", schema)
        self._leave = statement("leave", schema)
        self._rescue = statement("rescue", schema)
        self._take_unknown = statement("take_unknown_parts", schema)
        self._settle = statement("settle_messages", schema)
        self._skip_old = statement("skip_old", schema)
        self._postpone_due = statement("postpone_due", schema)
        self._shut_gates = statement("shut_gates", schema)
        self._open_gates = statement("open_gates", schema)
        self._take_probes = statement("take_probes", schema)
        self._list_gates = statement("list_gates", schema)
        self._adopt_queued = statement("adopt_queued", schema)
        self._pause_run = statement("pause_run", schema)
        self._prune = statement("prune", schema)
        self._resume_due_runs = statement("resume_due_runs", schema)
        self._run_budgets = statement("run_budgets", schema)

    async def claim(self, owner: UUID, count: int, avoided: Collection[str] = ()) -> Sequence[ClaimedMessage]:
        """Claim up to `count` due messages: an equal share of each run first, then what is left of any."""
        messages: list[ClaimedMessage] = []
        async with self._session() as connection:
            share: int | None = None
            while True:
                wanted = count - len(messages)
                cursor = await connection.execute(self._claim, self._claim_values(owner, wanted, avoided, share))
                claimed = await self._claimed(connection, owner, cursor)
                messages += claimed
                if not claimed or len(claimed) == wanted:
                    return messages
                share = wanted - len(claimed)

    def _claim_values(self, owner: UUID, count: int, avoided: Collection[str], share: int | None = None) -> Row:
        return {
            "owner": owner,
            "count": count,
            "share": share,
            "after_run": self._turn,
            "avoided": list(avoided),
            "fallback_models": self._fallback_models,
            "daily": self._daily.any,
        }

    async def _claimed(
        self, connection: TrioConnection, owner: UUID, cursor: AsyncCursor[TupleRow]
    ) -> list[ClaimedMessage]:
        messages = [_message(owner, row) for row in await cursor.fetchall()]
        self._turn = last_turn(self._turn, [message.claim.run_id for message in messages])
        return await self._with_conversations(connection, owner, await self._with_parts(connection, messages))

    async def _with_parts(self, connection: TrioConnection, messages: list[ClaimedMessage]) -> list[ClaimedMessage]:
        written = [message.claim.message_id for message in messages if message.text is not None]
        if not written:
            return messages
        parts: dict[UUID, list[Part]] = {}
        cursor = await connection.execute(self._stored_parts, {"message_ids": written})
        for message_id, number, body, status in await cursor.fetchall():
            parts.setdefault(message_id, []).append(Part(number, body, PartStatus(status)))
        return [attrs.evolve(message, parts=tuple(parts.get(message.claim.message_id, ()))) for message in messages]

    async def _with_conversations(
        self, connection: TrioConnection, owner: UUID, messages: list[ClaimedMessage]
    ) -> list[ClaimedMessage]:
        homeless = [message.claim.message_id for message in messages if message.conversation_id is None]
        if not homeless:
            return messages
        cursor = await connection.execute(self._open_conversations, {"message_ids": homeless, "owner": owner})
        opened = {row[0]: row[1:] for row in await cursor.fetchall()}
        return [_in_conversation(message, opened.get(message.claim.message_id)) for message in messages]

    async def commit(self, facts: Sequence[Fact]) -> Sequence[Verdict]:
        """Write all facts in one transaction; the verdicts come in the order of the facts."""
        told = self._batches.statements(facts)
        async with self._session() as connection:
            async with connection.pipeline():
                cursors = await execute_all(connection, told)
            return await verdicts_of(facts, told, cursors)

    async def commit_and_claim(
        self, facts: Sequence[Fact], owner: UUID, count: int, avoided: Collection[str] = ()
    ) -> tuple[Sequence[Verdict], Sequence[ClaimedMessage]]:
        """Write all facts and claim up to `count` due messages, an equal share of each run, in one transaction."""
        told = self._batches.statements(facts)
        async with self._session() as connection:
            async with connection.pipeline():
                cursors = await execute_all(connection, told)
                cursor = await connection.execute(self._claim, self._claim_values(owner, count, avoided))
            verdicts = await verdicts_of(facts, told, cursors)
            return verdicts, await self._claimed(connection, owner, cursor)

    async def beat(self, worker: Incarnation) -> Outlook:
        """Write the heartbeat of a worker, which registers it the first time, and look what is to come."""
        values = {"incarnation": worker.id, "host": worker.host, "pid": worker.pid, "lease": worker.lease}
        due, upkeep = await self._fetch(self._beat, values, self._heartbeats)
        return Outlook(due=math.inf if due is None else due, upkeep=math.inf if upkeep is None else upkeep)

    async def leave(self, worker: Incarnation) -> None:
        """Strike a worker off."""
        await self._execute(self._leave, {"incarnation": worker.id})

    async def rescue(self, *, idempotent: bool, worker: UUID | None = None, held: Collection[UUID] = ()) -> Rescued:
        """Take messages that nobody works on, until there are none."""
        values = {"limit": TAKEN_AT_ONCE, "idempotent": idempotent, "worker": worker, "held": list(held)}
        total = Rescued(0, 0)
        while True:
            row = await self._fetch(self._rescue, values)
            total = Rescued(total.released + row[0], total.unconfirmed + row[1])
            if row[0] + row[1] < TAKEN_AT_ONCE:
                return total

    async def take_unknown(self, count: int) -> Sequence[UnknownPart]:
        """Take up to `count` parts of unknown fate to be asked about."""
        async with self._session() as connection:
            cursor = await connection.execute(self._take_unknown, {"limit": count})
            return [
                UnknownPart(row[0], row[1], row[2], OutgoingPart(*row[3:6]), row[6]) for row in await cursor.fetchall()
            ]

    async def settle_unknown(self, settled: Sequence[SettledPart]) -> Sequence[MessageStatus]:
        """Say what has become of unknown parts, and return what those messages became that were settled by it."""
        values = {"rows": json_rows([attrs.asdict(part) for part in settled]), "settled_by": "gateway"}
        async with self._session() as connection:
            cursor = await connection.execute(self._settle, values)
            return [MessageStatus(status) for _, status in await cursor.fetchall()]

    async def skip_old(self, age: float) -> int:
        """Skip messages that were due more than `age` seconds ago, and return how many."""
        return await self._until_all(self._skip_old, {"age": age, "limit": TAKEN_AT_ONCE})

    async def postpone(self, waits: Mapping[str, float]) -> int:
        """Make due messages due later whose run can use none but these models, and return how many."""
        rows = json_rows([{"model": model, "seconds": seconds} for model, seconds in waits.items()])
        values = {"rows": rows, "fallback_models": self._fallback_models, "limit": TAKEN_AT_ONCE}
        return await self._until_all(self._postpone_due, values)

    async def share_gates(self, worker: UUID, account: str, news: GateNews) -> Sequence[SharedGate]:
        """Write the news and return all gates of the account that are shut, in one transaction and one round trip."""
        shut = {"account": account, "rows": json_rows([attrs.asdict(gate) for gate in news.shut])}
        opened = {"account": account, "worker": worker, "models": list(news.opened)}
        probes = {"account": account, "worker": worker, "models": list(news.probes)}
        async with self._session() as connection:
            async with connection.pipeline():
                if news.shut:
                    await connection.execute(self._shut_gates, shut)
                if news.opened:
                    await connection.execute(self._open_gates, opened)
                if news.probes:
                    await connection.execute(self._take_probes, probes)
                cursor = await connection.execute(self._list_gates, {"account": account})
            return [shared_gate(row) for row in await cursor.fetchall()]

    async def adopt_queued(self) -> int:
        """Make pending what other programs wrote as `queued`, and return how many."""
        async with self._session() as connection:
            return (await connection.execute(self._adopt_queued)).rowcount

    async def pause_run(self, run_id: UUID, step: LogStep, reason: str, *, until_tomorrow: bool = False) -> bool:
        """Pause a running run and log why; False when it was not running."""
        async with self._session() as connection:
            values = {"run_id": run_id, "step": step, "level": LogLevel.ERROR, "reason": reason}
            values["until_tomorrow"] = until_tomorrow
            cursor = await connection.execute(self._pause_run, values)
            return cursor.rowcount > 0

    async def resume_runs(self) -> int:
        """Let runs go on that were paused until today, and return how many."""
        return int((await self._fetch(self._resume_due_runs, {}))[0])

    async def prune(self, days: int) -> int:
        """Remove some of what has been over for so many days, and return how many rows."""
        return int((await self._fetch(self._prune, {"days": days, "limit": TAKEN_AT_ONCE}))[0])

    async def budgets(self, run_id: UUID) -> Budgets:
        """Where the budgets of a run and of the day stand."""
        row = await self._fetch(self._run_budgets, {"run_id": run_id})
        return Budgets(budget(Limits(*row[:2]), row[2:7]), budget(self._daily, row[7:12]))

    @asynccontextmanager
    async def _session(self, pool: Pool | None = None) -> AsyncIterator[TrioConnection]:
        try:
            with trio.fail_after(self._timeout):
                async with translated(), (pool or self._pool).connection() as connection:
                    yield connection
        except trio.TooSlowError:
            raise DatabaseUnavailable(f"the database did not answer within {self._timeout:g} s") from None

    async def _until_all(self, sql: bytes, values: Mapping[str, object]) -> int:
        total = 0
        while True:
            taken = int((await self._fetch(sql, values))[0])
            total += taken
            if taken < TAKEN_AT_ONCE:
                return total

    async def _execute(self, sql: bytes, values: Mapping[str, object]) -> None:
        async with self._session() as connection:
            await connection.execute(sql, values)

    async def _fetch(self, sql: bytes, values: Mapping[str, object], pool: Pool | None = None) -> tuple[Any, ...]:
        async with self._session(pool) as connection:
            cursor = await connection.execute(sql, values)
            return (await cursor.fetchall())[0]


def last_turn(after: UUID, served: Iterable[UUID]) -> UUID:
    """The run that was served last when the turn began after the run `after` and went round in the order of ids."""
    return max(served, key=lambda run: (run <= after, run), default=after)


def shared_gate(row: tuple[Any, ...]) -> SharedGate:
    """A row of `list_gates`."""
    model, seconds, cause, reason, trips, prober = row
    return SharedGate(model, seconds, Cause(cause), reason, trips, prober)


def budget(limits: Limits, figures: Sequence[Any]) -> Budget:
    """A budget, from what is counted of it, what is reserved, and how many calls without a price are under way."""
    if figures[0] is None:  # nothing yet
        return Budget(limits)
    return Budget(limits, Usage(figures[0], figures[1]), Usage(figures[2], figures[3]), figures[4])


def _message(owner: UUID, row: tuple[Any, ...]) -> ClaimedMessage:
    return ClaimedMessage(
        claim=Claim(message_id=row[0], run_id=row[1], lead_id=row[2], owner=owner, fence=row[3]),
        conversation_id=row[4],
        retry_count=row[5],
        text=row[6],
        spent=Usage(row[7], row[8]),
        send_time_ms=row[9],
        model=row[10],
        instructions=row[11],
        split=row[12],
        max_parts=row[13],
        fallback_models=tuple(row[14]),
        context=row[15],
        barred=Barred(row[16]) if row[16] else None,
        counted=Usage(row[18], row[19]) if row[17] else None,
        usd_per_token=row[20],
    )


def _in_conversation(message: ClaimedMessage, opened: tuple[Any, ...] | None) -> ClaimedMessage:
    if opened is None:
        return message
    conversation_id, taken_over = opened
    barred = message.barred or (Barred.TAKEN_OVER if taken_over else None)
    return attrs.evolve(message, conversation_id=conversation_id, barred=barred)
