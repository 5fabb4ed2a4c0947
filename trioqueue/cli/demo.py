"""`trioqueue demo`: everything on one machine, with no account."""

from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Final
from uuid import UUID

import attrs
import trio
from cyclopts import Parameter, validators
from rich.panel import Panel
from rich.table import Table
from typed_settings import Secret

from trioqueue.bootstrap import Database, make_worker, open_database, open_gateway, open_model
from trioqueue.cli.numbers import WHOLE
from trioqueue.cli.output import plain, say, show
from trioqueue.cli.prepare import prepare
from trioqueue.cli.progress import show_progress
from trioqueue.domain.campaigns import Campaign
from trioqueue.domain.leads_csv import read_leads
from trioqueue.domain.states import RunStatus
from trioqueue.domain.words import counted
from trioqueue.settings import LogLevel, Settings
from trioqueue.simulator import Latency, ModelFault, ModelTrouble, SplitShape, World, WorldSettings, simulated_world
from trioqueue.worker.shutdown import drain_on_signal
from trioqueue.worker.tally import End

SAMPLE: Final = files("trioqueue.cli") / "sample"

MODEL_LATENCY: Final = Latency(0.8, 0.3)
GATEWAY_LATENCY: Final = Latency(0.3, 0.1)

TROUBLES: Final[dict[ModelTrouble, float]] = {
    ModelFault.RATE_LIMITED: 0.03,
    ModelFault.BAD_GATEWAY_HTML: 0.03,
    ModelFault.TRUNCATED_JSON: 0.02,
    SplitShape.FENCED: 0.1,
    SplitShape.REFUSAL_IN_PROSE: 0.05,
    SplitShape.TRUNCATED: 0.05,
}
"""What the simulated model does now and then; all of it is overcome within the run."""


async def demo(
    *,
    concurrency: Annotated[
        int, WHOLE, Parameter(help="Most messages in flight.", validator=validators.Number(gte=1, lte=1000))
    ] = 10,
) -> int:
    """Show trioqueue at work on this machine alone: a sample campaign, a simulated model and gateway."""
    world_settings = WorldSettings(model_latency=MODEL_LATENCY, gateway_latency=GATEWAY_LATENCY, model_chances=TROUBLES)
    base = prepare(log_level=LogLevel.ERROR)
    with TemporaryDirectory(prefix="trioqueue-demo-") as directory:
        async with simulated_world(world_settings) as world:
            settings = _settings(base, world, Path(directory), concurrency)
            say("Starting an embedded PostgreSQL, a simulated model and a simulated gateway ...")
            async with (
                open_model(settings) as model,
                open_gateway(settings) as gateway,
                open_database(settings) as database,
            ):
                await database.migrate()
                run_id = await _start_campaign(database)
                worker = make_worker(database, model, gateway)
                began = trio.current_time()
                async with trio.open_nursery() as nursery:
                    await nursery.start(drain_on_signal, worker.drain)
                    async with show_progress(worker.tally):
                        await worker.run_once(deadline=None, until_empty=True)
                    nursery.cancel_scope.cancel()
                seconds = trio.current_time() - began
                return await _report(database, world, run_id, worker.tally.ends[End.SENT], seconds)


def _settings(base: Settings, world: World, directory: Path, concurrency: int) -> Settings:
    # Nothing of the user's own database, model or gateway is touched.
    return attrs.evolve(
        base,
        database_url=None,
        data_dir=directory,
        openrouter_url=world.model_url,
        openrouter_api_key=Secret(world.model_key),
        gateway_url=world.gateway_url,
        gateway_key=Secret(world.gateway_key),
        concurrency=concurrency,
    )


async def _start_campaign(database: Database) -> UUID:
    leads = read_leads((SAMPLE / "leads.csv").read_bytes().splitlines(keepends=True), "BR").leads
    instructions = (SAMPLE / "instructions.txt").read_text(encoding="utf-8")
    campaign = Campaign(UUID(int=0), "Demo", "simulated/model", instructions)
    run = await database.campaigns.start(campaign, leads)
    say(f"Started a campaign: {run.messages} leads, each to be written to by the model, split and sent.")
    return run.run_id


async def _report(database: Database, world: World, run_id: UUID, sent: int, seconds: float) -> int:
    [run] = await database.campaigns.overview(run_id)
    figures = await database.campaigns.figures(run_id)
    one_at_a_time = len(world.calls) * MODEL_LATENCY.seconds + len(world.sends) * GATEWAY_LATENCY.seconds
    keys = [delivery.idempotency_key for delivery in world.deliveries]
    _show_example(world)
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column()
    table.add_row("messages", f"{sent} of {run.leads_total} sent; the run is {run.status}")
    table.add_row("parts", f"{len(keys)} delivered, {len(keys) - len(set(keys))} of them twice")
    faults = sum(world.statistics().model.faults.values())
    table.add_row("faults of the model", f"{faults} (rate limits, broken answers, bad splits), all overcome")
    table.add_row("model", f"{counted(figures.tokens_used, 'token')}, ${figures.cost_usd:.4f} (simulated)")
    table.add_row("time", f"{seconds:.1f} s; one message at a time would have taken {one_at_a_time:.0f} s")
    show(Panel(table, title="What happened", expand=False))
    say("Every fact of it was in PostgreSQL, which is gone now with the demo.")
    say("Next: a campaign of your own, docs/tutorial.md.")
    return 0 if run.status is RunStatus.COMPLETED else 1


def _show_example(world: World) -> None:
    """One conversation as its lead saw it: the one with the most parts."""
    conversations: dict[str, list[str]] = {}
    for delivery in world.deliveries:
        conversations.setdefault(delivery.conversation_id, []).append(delivery.text)
    if conversations:
        parts = max(conversations.values(), key=len)
        show(Panel("\n\n".join(map(plain, parts)), title=f"One lead received {counted(len(parts), 'part')}", width=76))
