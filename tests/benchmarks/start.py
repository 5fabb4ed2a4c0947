"""`scripts/benchmark start`: from the start of a process to the first call of the model that was answered.

The database is migrated and has one message that is due, calls take no time, and modules are compiled, as installing
leaves them.
"""

import argparse
import statistics
import time
from typing import Any, Final

from tests.benchmarks.commands import command
from tests.benchmarks.course import Course, open_course
from tests.benchmarks.modes import Mode, at_least_one, say, say_json
from tests.support.mock_world import mock_world

COMMANDS: Final = (("worker",), ("run", "--drain"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How often."""
    parser.add_argument("--rounds", type=at_least_one, default=11)


async def run(given: argparse.Namespace) -> None:
    """Measure and print."""
    async with open_course() as course:
        figures = await measure(course, given.rounds)
    if given.json:
        say_json(figures)
        return
    say(f"seconds from the start of the process to the first answered call, of {given.rounds} rounds")
    for name, each in figures.items():
        say(f"  trioqueue {name.ljust(12)}  median {each['median_s']:.3f}  most {max(each['seconds']):.3f}")


async def measure(course: Course, rounds: int) -> dict[str, Any]:
    """Seconds of each command, in turn, after one start of each that is not counted."""
    seconds: dict[str, list[float]] = {" ".join(arguments): [] for arguments in COMMANDS}
    template = await course.template(1)
    for _ in range(1 + rounds):
        for arguments in COMMANDS:
            with course.database(template) as url:
                seconds[" ".join(arguments)].append(await _first_call(arguments, url))
    return {name: {"median_s": statistics.median(told[1:]), "seconds": told[1:]} for name, told in seconds.items()}


async def _first_call(arguments: tuple[str, ...], url: str) -> float:
    async with mock_world(0.0) as world:
        began = time.monotonic()
        async with command(arguments, url, world):
            return (await world.figures(after=1)).at - began


MODE: Final = Mode("start", "From the start of a process to its first call of the model.", add_arguments, run)
