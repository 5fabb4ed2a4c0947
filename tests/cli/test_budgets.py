"""Budgets on the command line: given at the start, shown, used up, raised."""

from tests.support.command import Command, Outcome
from tests.support.database import fetch, fetch_value, start_run
from trioqueue.domain.budgets import Limits
from trioqueue.postgres.pool import Pool
from trioqueue.simulator import World


async def run_of(command: Command, *arguments: object) -> Outcome:
    """Start a campaign of thirty leads; its report."""
    rows = [f"Lead {n},(11) 98765-43{n:02}" for n in range(30)]
    path = command.directory / "leads.csv"
    path.write_text("\n".join(["client_name,primary_phone", *rows]) + "\n", encoding="utf-8")
    path.with_name("i.txt").write_text("Escreva com gentileza.", encoding="utf-8")
    files = ("--leads", path, "--instructions", path.with_name("i.txt"))
    return await command("campaign", "start", "--name", "Outono", "--model", "m/m", *files, "--json", *arguments)


async def test_a_budget_from_its_start_to_its_raise(command: Command, world: World, pool: Pool) -> None:
    """A run pauses when its budget is used up and says how to go on, and after that it goes on to its end."""
    started = await run_of(command, "--max-cost", "0.002", "--max-tokens", "1000000")
    run_id = started.json["run_id"]
    ran = await command("run", "--drain")
    shown, told = await command("status", run_id), (await command("status", run_id, "--json")).json
    refused = await command("runs", "resume", run_id, "--max-cost", "0.0001")
    resumed = await command("runs", "resume", run_id, "--max-cost", "1")
    again = await command("run", "--drain")

    assert (started.code, ran.code, refused.code, resumed.code, again.code) == (0, 1, 2, 0, 0)
    assert "the run's budget is used up" in ran.err
    assert f"trioqueue runs resume {run_id} --max-cost N" in ran.err
    assert "of $0.002, " in shown.out
    assert "of 1000000 tokens" in shown.out
    budget = told["budget"]
    assert 0.001 < float(budget["counted_cost_usd"]) <= float(budget["max_cost_usd"]) == 0.002
    assert (budget["reserved_tokens"], float(budget["reserved_cost_usd"])) == (0, 0)
    assert "would pause it again" in refused.err
    assert await fetch(pool, "select distinct status from campaign_messages") == [("sent",)]
    assert await fetch_value(pool, "select counted_tokens from campaign_runs") == world.statistics().tokens


async def test_the_days_budget(command: Command, world: World, pool: Pool) -> None:
    """The budget of a day is a setting, and status shows it besides the runs that wait for the next day."""
    daily = {"TRIOQUEUE_MAX_TOKENS_PER_DAY": "4000"}
    await run_of(command)
    ran = await command("run", "--drain", **daily)
    shown, told = await command("status", **daily), (await command("status", "--json", **daily)).json
    without = (await command("status", "--json")).json

    assert ran.code == 1
    assert "the day's budget is used up" in ran.err
    assert "today (UTC): " in shown.out
    assert "of 4000 tokens" in shown.out
    assert "goes on" in shown.out
    assert told["today"]["counted_tokens"] == world.statistics().tokens <= 4000
    assert told["runs"][0]["budget"] is None
    assert told["runs"][0]["resumes_at"] is not None
    assert without["today"] is None


async def test_calls_without_an_answer_are_told_apart(command: Command, pool: Pool) -> None:
    """Status says how much of a budget is counted for calls under way, and for calls that nobody answered."""
    run = await start_run(pool, 1, limits=Limits(9000))
    await fetch(pool, "update campaign_runs set max_cost_usd = 5, counted_cost_usd = 0.5, reserved_tokens = 70")
    shown = await command("status", run.run_id)

    assert "$0.50 of it for calls that may have been paid without an answer" in shown.out
    assert "at most 70 tokens, $0.00 more for calls under way" in shown.out
