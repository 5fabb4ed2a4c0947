"""`scripts/benchmark` without a mode: a worker against the sequential loop that trioqueue replaces."""

import argparse
import statistics

from tests.benchmarks.contestants import SEQUENTIAL, TRIOQUEUE
from tests.benchmarks.course import open_course
from tests.benchmarks.modes import at_least_one, say, say_json, seconds
from tests.benchmarks.race import Conditions
from tests.benchmarks.throughput import SPREAD, compare


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The conditions, one number each."""
    parser.add_argument("--messages", type=at_least_one, default=200)
    parser.add_argument("--in-flight", type=at_least_one, default=5)
    parser.add_argument("--latency", type=seconds, default=0.2, help="seconds of every call (default 0.2)")
    parser.add_argument(
        "--spread", type=seconds, default=SPREAD, help=f"seconds by which it is shorter or longer (default {SPREAD})"
    )
    parser.add_argument("--rounds", type=at_least_one, default=3)


async def run(given: argparse.Namespace) -> None:
    """Measure and print."""
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
