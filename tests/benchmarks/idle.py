"""`scripts/benchmark idle`: what a worker costs that has nothing to do, in statements and in CPU.

Statements are counted in PostgreSQL's log: all that any session of the worker's database executes.
"""

import argparse
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import trio

from tests.benchmarks.commands import add_message, command, until_completed
from tests.benchmarks.course import Course, open_course, process_cpu
from tests.benchmarks.modes import Mode, say, say_json, seconds
from tests.support.mock_world import mock_world

_STATEMENT: Final = re.compile(r"LOG:  (?:statement|execute [^:]*): (.*)")


SERVER: Final[Mapping[str, str]] = MappingProxyType({"log_statement": "all"})
"""What the server must be set to."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How long."""
    parser.add_argument("--seconds", type=seconds, default=60.0, help="how long to look on (default 60)")


async def run(given: argparse.Namespace) -> None:
    """Measure and print."""
    async with open_course(SERVER) as course:
        figures = await measure(course, given.seconds)
    if given.json:
        say_json(figures)
        return
    say(
        f"an idle worker in {given.seconds:g} s: {figures['statements_per_second']:.2f} statements a second, "
        f"{figures['share_of_core']:.2%} of a core"
    )
    for statement, count in figures["statements"].items():
        say(f"  {count}  {statement}")


async def measure(course: Course, watched: float) -> dict[str, Any]:
    """Statements and CPU of a worker that has had one message, from then on."""
    with course.database(await course.template(0)) as url:
        async with mock_world(0.0) as world, command(["worker"], url, world) as process:
            await add_message(url, 0)
            await world.figures(after=1)
            await until_completed(url)
            before, logged = process_cpu(process.pid), course.log.stat().st_size
            await trio.sleep(watched)
            cpu, statements = process_cpu(process.pid) - before, _statements(course.log, logged)
    return {
        "seconds": watched,
        "statements_per_second": sum(statements.values()) / watched,
        "share_of_core": cpu / watched,
        "statements": statements,
    }


def _statements(log: Path, offset: int) -> dict[str, int]:
    """How often each was executed, by its first line, from an offset in the log."""
    with log.open("rb") as file:
        file.seek(offset)
        told = file.read().decode(errors="replace")
    return dict(Counter(_STATEMENT.findall(told)).most_common())


MODE: Final = Mode("idle", "What a worker costs that has nothing to do.", add_arguments, run)
