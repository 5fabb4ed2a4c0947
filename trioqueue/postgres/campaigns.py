"""Campaigns as people start and watch them: the import of leads, and the figures of runs."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import attrs
import orjson

from trioqueue.domain.budgets import NO_LIMITS, Budget, InvalidLimits, Limits, check_raised
from trioqueue.domain.campaigns import Campaign, InvalidCampaign, RunFigures, RunOverview, StartedRun
from trioqueue.domain.completions import Usage
from trioqueue.domain.errors import TrioqueueError
from trioqueue.domain.gates import SharedGate
from trioqueue.domain.leads import Lead
from trioqueue.domain.logs import LogLevel, LogStep
from trioqueue.domain.states import RunStatus
from trioqueue.domain.words import counted
from trioqueue.postgres.connection import TrioConnection
from trioqueue.postgres.errors import translated
from trioqueue.postgres.listener import wakeup_channel
from trioqueue.postgres.pool import Pool
from trioqueue.postgres.statements import statement
from trioqueue.postgres.store import budget, shared_gate

LISTED_RUNS: Final = 20
"""Most runs of an overview."""


SHOWN_AFTER: Final = 300.0
"""Seconds for which a model whose cool-down has ended is still shown, when nobody has called it since."""

SKIPPED_AT_ONCE: Final = 5_000
"""Most messages of a cancelled run that one statement skips: it holds their locks until it commits."""


class RunNotThere(TrioqueueError):
    """A run is not in the state that a command needs, or is not there at all; nothing was changed.

    Attributes:
        status: What the run is; None when there is no such run.
    """

    def __init__(self, run_id: UUID, status: RunStatus | None, rule: str) -> None:
        super().__init__(f"run {run_id} is {status}: {rule}" if status else f"there is no run {run_id}")
        self.status = status


@attrs.frozen(eq=False)
class Campaigns:
    """The campaigns of one schema. Every method raises `DatabaseUnavailable` when the database is away."""

    pool: Pool
    schema: str

    async def start(self, campaign: Campaign, leads: Sequence[Lead]) -> StartedRun:
        """Store the leads, the campaign, a running run and its messages, all or nothing, and wake the workers.

        Raises:
            InvalidCampaign: There are no leads.
        """
        if not leads:
            raise InvalidCampaign("there are no leads to write to")
        values = attrs.asdict(campaign)
        if campaign.fallback_models is not None:
            values["fallback_models"] = list(campaign.fallback_models)
        values |= attrs.asdict(campaign.limits)
        async with translated(), self.pool.connection() as connection, connection.transaction():
            # The copy of a large file is one statement, which takes as long as it takes.
            await connection.execute("set local statement_timeout = 0")
            await connection.execute(self._sql("stage_leads"))
            await self._copy(connection, leads)
            await connection.execute(self._sql("merge_leads"), values)
            [row] = await (await connection.execute(self._sql("start_run"), values)).fetchall()
            run = StartedRun(run_id=row[0], config_id=row[1], messages=row[2])
            values["run_id"] = run.run_id
            await connection.execute(self._sql("open_run_conversations"), values)
            await connection.execute(self._sql("add_messages"), values)
            await connection.execute(self._sql("notify_due"), {"channel": wakeup_channel(self.schema)})
        return run

    async def _copy(self, connection: TrioConnection, leads: Sequence[Lead]) -> None:
        async with connection.cursor() as cursor, cursor.copy(self._sql("copy_leads")) as copy:
            for lead in leads:
                await copy.write_row(
                    (
                        lead.client_name,
                        lead.company,
                        lead.primary_email,
                        lead.primary_phone,
                        lead.phone,
                        lead.primary_website,
                        orjson.dumps(lead.custom_fields).decode(),
                    )
                )

    async def pause(self, run_id: UUID, reason: str) -> None:
        """Pause a running run. Nothing of it is claimed any more, and what is in flight stops before its next part.

        Raises:
            RunNotThere: There is no such run, or it is not running.
        """
        values = {"run_id": run_id, "step": LogStep.FINISHED, "level": LogLevel.WARNING, "reason": reason}
        if not await self._fetch("pause_run", values | {"until_tomorrow": False}):
            raise await self._refusal(run_id, "only a running run can be paused")

    async def resume(self, run_id: UUID, limits: Limits = NO_LIMITS) -> None:
        """Resume a paused run; its pending messages are due as much later as it was paused.

        Args:
            run_id: The run.
            limits: Its new budget, as far as it changes.

        Raises:
            RunNotThere: There is no such run, or it is not paused.
            InvalidLimits: The budget is used up already, or cannot be counted yet.
        """
        async with translated(), self.pool.connection() as connection, connection.transaction():
            # A long pause of a large run moves many rows, and half of a resumption is of no use.
            await connection.execute("set local statement_timeout = 0")
            if limits.any:
                await self._set_limits(connection, run_id, limits)
            cursor = await connection.execute(self._sql("resume_run"), {"run_id": run_id})
            [[resumed]] = await cursor.fetchall()
            await connection.execute(self._sql("notify_due"), {"channel": wakeup_channel(self.schema)})
        if not resumed:
            raise await self._refusal(run_id, "only a paused run can be resumed")

    async def _set_limits(self, connection: TrioConnection, run_id: UUID, limits: Limits) -> None:
        cursor = await connection.execute(self._sql("set_limits"), {"run_id": run_id} | attrs.asdict(limits))
        for tokens, cost_usd, uncounted in await cursor.fetchall():  # none when it is not paused
            if uncounted:
                in_flight = counted(uncounted, "message is", "messages are")
                raise InvalidLimits(
                    f"run {run_id} has had no budget, and {in_flight} in flight uncounted: try again when "
                    "`trioqueue status` shows none in flight"
                )
            check_raised(run_id, limits, Usage(tokens, cost_usd))

    async def cancel(self, run_id: UUID) -> int:
        """Cancel a run: nothing more of it is sent, and its waiting messages are skipped.

        May be called again for a run that is cancelled, where an earlier call was interrupted.

        Returns:
            How many messages were skipped now; those in flight follow when their workers let go of them.

        Raises:
            RunNotThere: There is no such run, or it has ended otherwise.
        """
        if not await self._fetch("cancel_run", {"run_id": run_id}):
            refusal = await self._refusal(run_id, "only a running or paused run can be cancelled")
            if refusal.status is not RunStatus.CANCELLED:
                raise refusal
        total = 0
        while True:
            [row] = await self._fetch("skip_cancelled", {"run_id": run_id, "limit": SKIPPED_AT_ONCE})
            skipped = int(row[0])
            total += skipped
            if skipped < SKIPPED_AT_ONCE:
                return total

    async def _refusal(self, run_id: UUID, rule: str) -> RunNotThere:
        runs = await self.overview(run_id)
        return RunNotThere(run_id, runs[0].status if runs else None, rule)

    async def overview(self, run_id: UUID | None = None) -> tuple[RunOverview, ...]:
        """The newest runs, or the one that is named; empty when there is none."""
        rows = await self._fetch("list_runs", {"run_id": run_id, "limit": LISTED_RUNS})
        return tuple(_overview(row) for row in rows)

    async def figures(self, run_id: UUID) -> RunFigures:
        """What a run has used."""
        [row] = await self._fetch("run_figures", {"run_id": run_id})
        errors = tuple((error, count) for error, count in row[4] or ())
        return RunFigures(row[0] or {}, row[1], int(row[2]), row[3], errors)

    async def today(self, daily: Limits) -> Budget:
        """The budget of the day, in UTC by the clock of the database."""
        rows = await self._fetch("day_budget", {})
        return budget(daily, rows[0]) if rows else Budget(daily)

    async def gates(self) -> tuple[SharedGate, ...]:
        """The models that are left alone, or were until lately and have not been called since."""
        rows = await self._fetch("list_gates", {"account": None})
        return tuple(gate for gate in map(shared_gate, rows) if gate.seconds > -SHOWN_AFTER)

    async def _fetch(self, name: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        async with translated(), self.pool.connection() as connection:
            return await (await connection.execute(self._sql(name), values)).fetchall()

    def _sql(self, name: str) -> bytes:
        return statement(name, self.schema)


def _overview(row: tuple[Any, ...]) -> RunOverview:
    overview = RunOverview(row[0], row[1], RunStatus(row[2]), *row[3:13])
    return attrs.evolve(overview, budget=budget(Limits(*row[13:15]), row[15:20]), resumes_at=row[20], pruned_at=row[21])
