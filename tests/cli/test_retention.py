"""What `status` shows of a run whose messages have been removed."""

from tests.support.command import Command
from tests.support.database import fetch, start_run
from trioqueue.postgres.pool import Pool


async def test_a_run_whose_messages_were_removed(command: Command, pool: Pool) -> None:
    """A one-shot run removes what is over for long enough; status keeps the counters and says when the rest went."""
    run = await start_run(pool, 2)
    ran = await command("run", "--drain")
    await fetch(pool, "update campaign_runs set completed_at = now() - interval '31 days'")
    kept = await command("status", run.run_id)
    pruned = await command("run", "--drain", TRIOQUEUE_RETENTION_DAYS="30")
    shown, told = await command("status", run.run_id), (await command("status", run.run_id, "--json")).json

    assert (ran.code, pruned.code) == (0, 0)
    assert "tokens" in kept.out
    assert "removed" not in kept.out
    assert "messages removed 2" in shown.out
    assert "tokens" not in shown.out
    assert (told["leads_total"], told["leads_success"], told["by_status"]) == (2, 2, {})
    assert told["pruned_at"] is not None
