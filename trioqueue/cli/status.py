"""`trioqueue status`."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Final
from uuid import UUID

import attrs
import trio
from cyclopts import Parameter
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from trioqueue.bootstrap import Database, open_database
from trioqueue.cli.app import UsageError
from trioqueue.cli.budgets import as_json, used, used_in_full
from trioqueue.cli.output import console, plain, say_json, show
from trioqueue.cli.prepare import prepare
from trioqueue.domain.budgets import Budget
from trioqueue.domain.campaigns import RunFigures, RunOverview
from trioqueue.domain.gates import Cause, SharedGate
from trioqueue.domain.states import RunStatus

WATCH_INTERVAL: Final = 1.0
"""Seconds between two looks of --watch."""


async def status(
    run_id: Annotated[UUID | None, Parameter(help="The run to show; all of the newest when none is named.")] = None,
    /,
    *,
    json: Annotated[bool, Parameter(negative="", help="Print one JSON object.")] = False,
    watch: Annotated[bool, Parameter(negative="", help="Go on showing it until the run ends, or Ctrl-C.")] = False,
) -> None:
    """Show how far runs are; with a run's id, what it has used and what went wrong."""
    if json and watch:
        raise UsageError("--json and --watch do not go together: --json prints one object")
    settings = prepare()
    async with open_database(settings) as database:
        await database.check()
        if json:
            say_json(await _as_json(database, run_id))
        elif watch:
            await _watch(database, run_id)
        else:
            show((await _look(database, run_id))[1])


async def _overview(database: Database, run_id: UUID | None) -> Sequence[RunOverview]:
    runs = await database.campaigns.overview(run_id)
    if run_id is not None and not runs:
        raise UsageError(f"there is no run {run_id} in the schema {database.settings.schema!r}")
    return runs


async def _look(database: Database, run_id: UUID | None) -> tuple[Sequence[RunOverview], RenderableType]:
    runs = await _overview(database, run_id)
    if not runs:
        return runs, Text("no runs yet; start one with `trioqueue campaign start`")
    shown: list[RenderableType] = [overview_table(runs)]
    if run_id is not None:
        if runs[0].pruned_at is None:
            shown.append(figures_table(await database.campaigns.figures(run_id), runs[0].budget))
        if runs[0].unconfirmed:
            shown.append(unconfirmed_hint(runs[0]))
    if database.settings.daily_limits.any:
        shown.append(Text(f"today (UTC): {used(await database.campaigns.today(database.settings.daily_limits))}"))
    shown += [gate_line(gate) for gate in await database.campaigns.gates()]
    return runs, Group(*shown)


async def _watch(database: Database, run_id: UUID | None) -> None:
    with _display() as display:
        while True:
            runs, shown = await _look(database, run_id)
            display(shown)
            if run_id is not None and runs[0].status is not RunStatus.RUNNING:
                return
            await trio.sleep(WATCH_INTERVAL)


@contextmanager
def _display() -> Iterator[Callable[[RenderableType], None]]:
    """What a look shows takes the place of the last one; where there is no terminal it follows it if it is another."""
    if console.is_terminal:
        with Live(console=console, auto_refresh=False) as live:
            yield lambda shown: live.update(shown, refresh=True)
    else:
        last = ""

        def follow(shown: RenderableType) -> None:
            nonlocal last
            with console.capture() as capture:
                console.print(shown)
            if capture.get() != last:
                last = capture.get()
                show(shown)

        yield follow


async def _as_json(database: Database, run_id: UUID | None) -> dict[str, Any]:
    runs = await _overview(database, run_id)
    if run_id is None:
        gates = await database.campaigns.gates()
        models = [attrs.asdict(gate) for gate in gates]
        today = as_json(await database.campaigns.today(database.settings.daily_limits))
        return {"runs": [_run_as_json(run) for run in runs], "models": models, "today": today}
    return _run_as_json(runs[0]) | attrs.asdict(await database.campaigns.figures(run_id))


def _run_as_json(run: RunOverview) -> dict[str, Any]:
    return attrs.asdict(run) | {"unconfirmed": run.unconfirmed, "budget": as_json(run.budget)}


def overview_table(runs: Sequence[RunOverview]) -> Table:
    """The runs, one a row."""
    table = Table(box=None, pad_edge=False)
    table.add_column("run", no_wrap=True)
    table.add_column("campaign", overflow="fold")
    table.add_column("status", no_wrap=True)
    table.add_column("sent", justify="right", no_wrap=True)
    table.add_column("besides", overflow="fold")
    for run in runs:
        sent = f"{run.leads_success}/{run.leads_total}"
        table.add_row(str(run.run_id), plain(run.name), run.status, sent, plain(_besides(run)))
    return table


def _besides(run: RunOverview) -> str:
    counts = {
        "failed": run.leads_failed,
        "skipped": run.leads_skipped,
        "unconfirmed": run.unconfirmed,
        "in flight": run.in_flight,
    }
    said = [f"{count} {name}" for name, count in counts.items() if count]
    if run.budget.limits.any:
        said.append(used(run.budget))
    if run.next_due is not None:
        said.append(f"next due {run.next_due:%Y-%m-%d %H:%M:%S %Z}")
    if run.resumes_at is not None and run.status is RunStatus.PAUSED:
        said.append(f"goes on {run.resumes_at:%Y-%m-%d %H:%M %Z}")
    if run.error_message:
        said.append(run.error_message)
    if run.pruned_at is not None:
        said.append(f"messages removed {run.pruned_at:%Y-%m-%d} (retention_days)")
    return "; ".join(said)


def unconfirmed_hint(run: RunOverview) -> Text:
    """What to do about messages of which nobody knows whether a part has arrived."""
    return Text(
        f"{run.unconfirmed} unconfirmed: a part of each may or may not have arrived, and the rest of it is held.\n"
        f"  `trioqueue messages list --run {run.run_id} --status unconfirmed` lists them;\n"
        "  `trioqueue messages confirm ID` says that the part arrived, `trioqueue messages resend ID` sends it again",
        style="yellow",
    )


def gate_line(gate: SharedGate) -> Text:
    """A model that is left alone, and for how long."""
    wait = f"left alone for {gate.seconds:.0f} s" if gate.seconds > 0 else "to be tried again by the next message"
    why = "rate limit" if gate.cause is Cause.RATE_LIMIT else "faults of the service"
    return Text(f"model {gate.model}: {wait} ({why}): {gate.reason}", style="yellow")


def figures_table(figures: RunFigures, budget: Budget) -> Table:
    """What a run has used, one figure a row."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("messages", ", ".join(f"{count} {name}" for name, count in sorted(figures.by_status.items())))
    table.add_row("parts sent", str(figures.parts_sent))
    table.add_row("tokens", str(figures.tokens_used))
    table.add_row("cost", f"${figures.cost_usd:.4f}")
    if budget.limits.any:
        table.add_row("budget", used_in_full(budget, figures.cost_usd))
    for error, count in figures.errors:
        table.add_row(f"{count} x", plain(error))
    return table
