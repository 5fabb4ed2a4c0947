"""The progress of a run on a terminal; nothing where standard error is none."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio
from rich.console import Console
from rich.live import Live
from rich.text import Text

from trioqueue.domain.words import counted
from trioqueue.worker.tally import End, Tally

REFRESH: Final = 0.2
"""Seconds between two looks at the counts."""


@asynccontextmanager
async def show_progress(tally: Tally) -> AsyncIterator[None]:
    """Show the counts while the block runs."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_refresh, live, tally)
            yield
            nursery.cancel_scope.cancel()


async def _refresh(live: Live, tally: Tally) -> None:
    while True:
        live.update(progress_line(tally), refresh=True)
        await trio.sleep(REFRESH)


def progress_line(tally: Tally) -> Text:
    """The counts in one line."""
    under_way = tally.claimed - tally.ends.total()
    counts = [f"{tally.ends[end]} {end}" for end in End if tally.ends[end]]
    return Text(
        ", ".join([f"{tally.claimed} claimed", f"{under_way} under way", *counts, counted(tally.parts_sent, "part")])
    )
