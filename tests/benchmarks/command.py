"""The command line of `scripts/benchmark`."""

import argparse
import json
import statistics
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

import trio

from tests.benchmarks.contestants import CONTESTANTS, SEQUENTIAL, TRIOQUEUE, Contestant
from tests.benchmarks.course import open_course
from tests.benchmarks.race import Conditions
from tests.benchmarks.throughput import Comparison, as_text, compare, conditions

Mode: TypeAlias = Callable[[argparse.Namespace], Awaitable[None]]


def main(arguments: Sequence[str] | None = None, *, description: str | None = None) -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.set_defaults(mode=_against_sequential)
    _add_conditions(parser, messages=200, in_flight=5)
    modes = parser.add_subparsers(title="modes", metavar="MODE")
    _add_throughput(modes)
    given = parser.parse_args(arguments)
    trio.run(given.mode, given)


def _add_conditions(parser: argparse.ArgumentParser, *, messages: int | None, in_flight: int | None) -> None:
    parser.add_argument("--messages", type=_at_least_one, default=messages)
    if in_flight is not None:
        parser.add_argument("--in-flight", type=_at_least_one, default=in_flight)
    parser.add_argument("--latency", type=_seconds, default=0.2, help="seconds of every call (default 0.2)")
    parser.add_argument("--spread", type=_seconds, default=0.0, help="seconds by which it is shorter or longer, evenly")
    parser.add_argument("--rounds", type=_at_least_one, default=3)
    parser.add_argument("--json", action="store_true")


def _at_least_one(text: str) -> int:
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return value


def _seconds(text: str) -> float:
    if not 0 <= (value := float(text)) < 3600:
        raise argparse.ArgumentTypeError(f"{text} is not a time in seconds")
    return value


def _numbers(text: str) -> list[int]:
    return [_at_least_one(part) for part in text.split(",")]


async def _against_sequential(given: argparse.Namespace) -> None:
    asked = Conditions(max(given.messages, 4 * given.in_flight), given.in_flight, given.latency, given.spread)
    async with open_course() as course:
        comparison = await compare(course, asked, (TRIOQUEUE, SEQUENTIAL), given.rounds)
    worker, sequential = comparison.results
    figures = {
        "messages": asked.messages,
        "in_flight": asked.in_flight,
        "latency_s": asked.latency,
        "rounds": given.rounds,
        "worker_calls_per_s": worker.median(lambda outcome: outcome.calls_per_second),
        "sequential_calls_per_s": sequential.median(lambda outcome: outcome.calls_per_second),
        "share_of_ideal": worker.median(lambda outcome: outcome.share_of_ideal),
        "sequential_share_of_ideal": sequential.median(lambda outcome: outcome.share_of_ideal),
        "times_sequential": statistics.median(sequential.times),
    }
    if given.json:
        say_json(figures)
        return
    say(
        f"{asked.messages} messages, {asked.in_flight} in flight, {asked.latency * 1000:.0f} ms a call, "
        f"medians of {given.rounds} rounds"
    )
    say("                    calls/s   share of ideal")
    say(f"  worker            {figures['worker_calls_per_s']:7.2f}   {figures['share_of_ideal']:.3f}")
    say(f"  sequential loop   {figures['sequential_calls_per_s']:7.2f}   {figures['sequential_share_of_ideal']:.3f}")
    say(f"  times sequential  {figures['times_sequential']:7.2f}")


def _add_throughput(modes: Any) -> None:
    parser = modes.add_parser("throughput", help="All contestants in turn, at some numbers in flight.")
    parser.set_defaults(mode=_throughput)
    _add_conditions(parser, messages=None, in_flight=None)
    parser.add_argument("--in-flight", type=_numbers, default=[5, 100, 500], help="such as 5,100,500 (the default)")
    names = ",".join(contestant.name for contestant in CONTESTANTS)
    parser.add_argument("--contestants", type=_contestants, default=CONTESTANTS, help=f"some of {names}")


def _contestants(text: str) -> tuple[Contestant, ...]:
    by_name = {contestant.name: contestant for contestant in CONTESTANTS}
    if unknown := [name for name in text.split(",") if name not in by_name]:
        raise argparse.ArgumentTypeError(f"{unknown[0]} is none of {', '.join(by_name)}")
    return tuple(by_name[name] for name in text.split(","))


async def _throughput(given: argparse.Namespace) -> None:
    comparisons: list[Comparison] = []
    async with open_course() as course:
        for in_flight in given.in_flight:
            asked = conditions(in_flight, given.latency, given.spread, given.messages)
            comparisons.append(await compare(course, asked, given.contestants, given.rounds))
            if not given.json:
                say(as_text(comparisons[-1], given.rounds))
    if given.json:
        say_json([comparison.as_json() for comparison in comparisons])


def say(text: str) -> None:
    """Print what was measured."""
    print(text, flush=True)


def say_json(figures: Any) -> None:
    """Print what was measured for programs."""
    say(json.dumps(figures, indent=2))
