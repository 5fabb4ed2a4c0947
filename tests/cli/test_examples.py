"""The commands of README.md and docs/tutorial.md, pasted one after the other, do what is said there."""

import re
from pathlib import Path

import trio

from tests.support.command import PATIENCE, TRIOQUEUE, Command, Outcome

REPOSITORY = Path(__file__).parents[2]

NOT_HERE = ("venv", "trioqueue simulator", "TRIOQUEUE_DATABASE_URL")
"""What stands in blocks that are not run here: installing, the world that the test runs itself, other databases."""


def blocks(page: str, heading: str = "") -> list[str]:
    """The shell commands of a page, from a heading on."""
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    found = re.findall(r"^```sh\n(.*?)^```", text[text.index(heading) :], re.DOTALL | re.MULTILINE)
    return [block for block in found if not any(word in block for word in NOT_HERE)]


async def paste(command: Command, block: str) -> Outcome:
    """Run a block as a shell does, with an embedded database of its own."""
    data = str(command.directory / "data")
    environment = command.environment(TRIOQUEUE_DATABASE_URL=None, TRIOQUEUE_DATA_DIR=data)
    environment["PATH"] = f"{TRIOQUEUE.parent}:{environment['PATH']}"
    with trio.fail_after(PATIENCE):
        done = await trio.run_process(
            ["sh", "-c", block], cwd=command.directory, env=environment, check=False,
            capture_stdout=True, capture_stderr=True,
        )  # fmt: skip
    return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())


async def test_the_five_minutes_of_the_readme(command: Command) -> None:
    """A campaign of two leads is started, sent and shown."""
    [block] = blocks("README.md", "## Five minutes")
    outcome = await paste(command, f"set -e\n{block}")

    assert outcome.code == 0, outcome.err
    assert "applied 0001_initial" in outcome.out
    assert "2 claimed, 2 sent;" in outcome.out
    assert re.search(r"Outono +completed +2/2", outcome.out)


async def test_the_tutorial(command: Command) -> None:
    """Each step ends as the tutorial says: the first start is refused for a bad row, the second goes through."""
    outcomes = [await paste(command, block) for block in blocks("docs/tutorial.md") if "RUN_ID" not in block]
    migrated, _, refused, started, ran, status = outcomes

    assert [outcome.code for outcome in outcomes] == [0, 0, 2, 0, 0, 0]
    assert migrated.out.startswith("applied 0001_initial\n")
    assert "leads.csv, line 4: " in refused.err
    assert "2 messages are due now" in started.out
    assert ran.out.startswith("2 claimed, 2 sent;")
    assert re.search(r"Outono +completed +2/2", status.out)
