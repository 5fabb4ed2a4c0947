"""`scripts/benchmark wakeup`: how soon an idle worker calls the model for a message that became due.

Counted from before the statements that start the run, as `trioqueue campaign start` executes them, to the first
answered call. The worker has just found that nothing is due, so without NOTIFY the whole polling interval is ahead of
it: the worst case.
"""

import argparse
import statistics
import time
from typing import Any, Final

import trio

from tests.benchmarks.commands import add_message, command, until_completed
from tests.benchmarks.course import Course, open_course
from tests.benchmarks.modes import Mode, at_least_one, say, say_json, say_progress, seconds
from tests.benchmarks.race import CALLS
from tests.support.mock_world import MockWorld, mock_world


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How often."""
    parser.add_argument("--rounds", type=at_least_one, default=11)
    parser.add_argument("--poll-interval", type=seconds, default=10.0, help="the worker's setting (default 10)")


async def run(given: argparse.Namespace) -> None:
    """Measure and print."""
    async with open_course() as course:
        figures = await measure(course, given.rounds, given.poll_interval)
    if given.json:
        say_json(figures)
        return
    say(f"seconds from a new message to its first answered call, of {given.rounds} rounds")
    for name in ("with_notify", "without_notify"):
        each = figures[name]
        say(f"  {name.replace('_', ' ').ljust(14)}  median {each['median_s']:.3f}  most {max(each['seconds']):.3f}")
    say(f"  the polling interval is {given.poll_interval:g} s")


async def measure(course: Course, rounds: int, poll_interval: float) -> dict[str, Any]:
    """Seconds with NOTIFY and without."""
    figures: dict[str, Any] = {"poll_interval_s": poll_interval}
    for name, listen in (("with_notify", "true"), ("without_notify", "false")):
        say_progress(f"{name.replace('_', ' ')}, {rounds} rounds ...")
        with course.database(await course.template(0)) as url:
            variables = {"TRIOQUEUE_LISTEN": listen, "TRIOQUEUE_POLL_INTERVAL": str(poll_interval)}
            # The first is not counted: with it the worker has started and connected.
            told = (await _wakeups(url, 1 + rounds, variables))[1:]
        figures[name] = {"median_s": statistics.median(told), "seconds": told}
    return figures


async def _wakeups(url: str, count: int, variables: dict[str, str]) -> list[float]:
    async with mock_world(0.0) as world, command(["worker"], url, world, **variables):
        return [await _wakeup(world, url, number) for number in range(count)]


async def _wakeup(world: MockWorld, url: str, number: int) -> float:
    called: list[float] = []

    async def watch() -> None:
        called.append((await world.figures(after=CALLS * number + 1)).at)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        began = time.monotonic()
        await add_message(url, number)
    await until_completed(url)
    return called[0] - began


MODE: Final = Mode("wakeup", "How soon an idle worker calls the model for a new message.", add_arguments, run)
