"""`trioqueue run` and `trioqueue worker`."""

from time import monotonic
from typing import Annotated, Any

import trio
from cyclopts import Parameter

from trioqueue.bootstrap import open_worker
from trioqueue.cli.app import EXIT_DEADLINE, EXIT_DONE, EXIT_FAILED
from trioqueue.cli.notify import ServiceManager
from trioqueue.cli.numbers import WHOLE
from trioqueue.cli.output import say, say_json, warn
from trioqueue.cli.prepare import prepare
from trioqueue.cli.progress import show_progress
from trioqueue.domain.words import counted
from trioqueue.worker.shutdown import StoppedAtOnce, drain_on_signal
from trioqueue.worker.tally import End, Tally

Concurrency = Annotated[int | None, WHOLE, Parameter(help="Most messages in flight, 1 to 1000 (default 5).")]


async def run(
    *,
    batch_size: Annotated[
        int | None, WHOLE, Parameter(help="Most messages of the batch, 1 to 500 (default 15).")
    ] = None,
    concurrency: Concurrency = None,
    deadline: Annotated[
        float | None, Parameter(help="Seconds after which it stops; 0 for no deadline (default 55).")
    ] = None,
    drain: Annotated[bool, Parameter(negative="", help="Go on until nothing is due.")] = False,
    json: Annotated[bool, Parameter(negative="", help="Print one JSON object.")] = False,
) -> int:
    """Send one batch of due messages, and exit.

    The exit code is 0 when it is done, 75 when the deadline came first and work is left, 1 when it could not work (the
    database is away, or a run had to be paused), 2 for bad usage or settings.
    """
    settings = prepare(batch_size=batch_size, concurrency=concurrency, deadline=deadline)
    began = monotonic()
    tally = None
    try:
        async with open_worker(settings) as worker, trio.open_nursery() as nursery:
            tally = worker.tally
            await nursery.start(drain_on_signal, worker.drain)
            async with show_progress(tally):
                in_time = await worker.run_once(deadline=settings.deadline or None, until_empty=drain)
            nursery.cancel_scope.cancel()
    except* StoppedAtOnce:
        if tally is not None:
            _tell(tally, began, json=json)
        raise
    _tell(worker.tally, began, json=json)
    for run_id, reason in worker.tally.paused.items():
        warn(f"trioqueue: run {run_id} is paused: {reason}")
    if worker.tally.paused:
        return EXIT_FAILED
    return EXIT_DONE if in_time else EXIT_DEADLINE


def _tell(tally: Tally, began: float, *, json: bool) -> None:
    duration_ms = round((monotonic() - began) * 1000)
    if json:
        say_json(report(tally, duration_ms))
    else:
        say(summary(tally, duration_ms))


async def worker(*, concurrency: Concurrency = None) -> None:
    """Send messages as they become due, until SIGTERM or SIGINT. For supervisors: logs to standard error."""
    async with open_worker(prepare(concurrency=concurrency)) as daemon, trio.open_nursery() as nursery:
        await nursery.start(drain_on_signal, daemon.drain)
        nursery.start_soon(ServiceManager().follow, daemon.drain)
        await daemon.run()
        nursery.cancel_scope.cancel()


def report(tally: Tally, duration_ms: int) -> dict[str, Any]:
    """What `run --json` prints; other programs read it."""
    counted = (End.SENT, End.REQUEUED, End.SNOOZED, End.RELEASED, End.FAILED)
    return {
        "claimed": tally.claimed,
        **{end.value: tally.ends[end] for end in counted},
        "skipped": tally.skipped + tally.ends[End.SKIPPED],
        "unconfirmed": tally.ends[End.UNCONFIRMED],
        "parts_sent": tally.parts_sent,
        "tokens_used": tally.tokens_used,
        "duration_ms": duration_ms,
    }


def summary(tally: Tally, duration_ms: int) -> str:
    """What `run` prints for people: what happened, without what did not."""
    figures = report(tally, duration_ms)
    counts = [f"{figures[name]} {name}" for name in ("claimed", *End) if figures.get(name)]
    if not counts:
        return "nothing was due"
    used = f"{counted(tally.parts_sent, 'part')}, {counted(tally.tokens_used, 'token')}, {duration_ms / 1000:.1f} s"
    return f"{', '.join(counts)}; {used}"
