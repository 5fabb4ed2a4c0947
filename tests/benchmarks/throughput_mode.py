"""`scripts/benchmark throughput`: all contestants in turn, as the targets name the conditions, or under others."""

import argparse
import json
from pathlib import Path
from typing import Final

from tests.benchmarks.contestants import CONTESTANTS, Contestant
from tests.benchmarks.course import open_course
from tests.benchmarks.modes import Mode, at_least_one, numbers, say, say_json, say_progress, seconds
from tests.benchmarks.plot import draw
from tests.benchmarks.race import Conditions
from tests.benchmarks.throughput import SPREAD, as_text, compare, conditions

TARGETS: Final = ((100, 0.0), (5, 0.2), (100, 0.2), (500, 0.2))
"""In flight, and seconds of a call, as the table of docs/performance.md has them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The conditions, and who is compared."""
    parser.add_argument("--messages", type=at_least_one, help="how many; by default as many as take some seconds")
    parser.add_argument(
        "--in-flight",
        type=numbers,
        help="such as 5,100,500; without it and --latency: 100 where calls take no time, and 5,100,500 where 0.2 s",
    )
    parser.add_argument("--latency", type=seconds, help="seconds of every call")
    parser.add_argument(
        "--spread",
        type=seconds,
        help=f"seconds by which it is shorter or longer, evenly (default {SPREAD}, 0 where calls take no time)",
    )
    parser.add_argument("--rounds", type=at_least_one, default=5)
    names = ",".join(contestant.name for contestant in CONTESTANTS)
    parser.add_argument("--contestants", type=contestants, default=CONTESTANTS, help=f"some of {names}")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="also draw it, as `plot` does")


def contestants(text: str) -> tuple[Contestant, ...]:
    """An argument that names contestants."""
    by_name = {contestant.name: contestant for contestant in CONTESTANTS}
    if unknown := [name for name in text.split(",") if name not in by_name]:
        raise argparse.ArgumentTypeError(f"{unknown[0]} is none of {', '.join(by_name)}")
    return tuple(by_name[name] for name in text.split(","))


def all_conditions(given: argparse.Namespace) -> list[Conditions]:
    """The conditions that were asked for, or those of the targets."""
    pairs = list(TARGETS)
    if given.in_flight is not None or given.latency is not None:
        latency = 0.2 if given.latency is None else given.latency
        pairs = [(in_flight, latency) for in_flight in given.in_flight or [100]]
    return [conditions(in_flight, latency, given.spread, given.messages) for in_flight, latency in pairs]


async def run(given: argparse.Namespace) -> None:
    """Measure and print, each condition as soon as it is measured."""
    told = []
    async with open_course() as course:
        for asked in all_conditions(given):
            comparison = await compare(course, asked, given.contestants, given.rounds)
            (say_progress if given.json else say)(as_text(comparison, given.rounds))
            told.append(comparison.as_json())
    if given.json:
        say_json(told)
    if given.plot:
        await draw(json.dumps(told), given.plot)


MODE: Final = Mode("throughput", "All contestants in turn, at some numbers in flight.", add_arguments, run)
