"""`trioqueue runs pause`, `resume` and `cancel`."""

from typing import Annotated
from uuid import UUID

from cyclopts import Parameter

from trioqueue.bootstrap import open_database
from trioqueue.cli.budgets import MaxCost, MaxTokens
from trioqueue.cli.output import say
from trioqueue.cli.prepare import prepare
from trioqueue.domain.budgets import Limits
from trioqueue.domain.words import counted

RunId = Annotated[UUID, Parameter(help="The run, as `trioqueue status` names it.")]


async def pause(run_id: RunId, /) -> None:
    """Pause a running run: nothing of it is claimed, and what is in flight stops before its next part."""
    async with open_database(prepare()) as database:
        await database.check()
        await database.campaigns.pause(run_id, "paused by a person")
    say(f"run {run_id} is paused; its messages wait")


async def resume(run_id: RunId, /, *, max_cost: MaxCost = None, max_tokens: MaxTokens = None) -> None:
    """Resume a paused run: its messages are due as much later as it was paused.

    A budget that is named takes the place of the run's former one.
    """
    limits = Limits(max_tokens, max_cost)
    async with open_database(prepare()) as database:
        await database.check()
        await database.campaigns.resume(run_id, limits)
    say(f"run {run_id} goes on")


async def cancel(run_id: RunId, /) -> None:
    """Cancel a run for good: nothing more of it is sent, and the messages that wait are skipped."""
    async with open_database(prepare()) as database:
        await database.check()
        skipped = await database.campaigns.cancel(run_id)
    say(f"run {run_id} is cancelled; {counted(skipped, 'message')} skipped")
