"""`scripts/benchmark processes`: several worker processes that share one PostgreSQL, against one.

Where calls take no time processes share the cores with PostgreSQL, whose CPU a message is told too: two of them can be
twice as fast as one only where there are cores left for it.
"""

import argparse
import statistics
from collections.abc import Sequence
from typing import Any, Final

import attrs

from tests.benchmarks.contestants import TRIOQUEUE
from tests.benchmarks.course import Course, open_course
from tests.benchmarks.modes import Mode, at_least_one, numbers, say, say_json, say_progress, seconds
from tests.benchmarks.race import CALLS, Conditions, Outcome, race
from tests.benchmarks.tables import number, table
from tests.benchmarks.throughput import conditions


@attrs.frozen
class Group:
    """What so many processes did, round after round.

    Attributes:
        processes: How many.
        outcomes: One a round.
        times: Their throughput divided by that of the first group, a round.
    """

    processes: int
    outcomes: tuple[Outcome, ...]
    times: tuple[float, ...]

    def as_json(self) -> dict[str, Any]:
        """The medians."""
        rounds = self.outcomes
        return {
            "processes": self.processes,
            "messages_per_second": statistics.median(outcome.calls_per_second / CALLS for outcome in rounds),
            "times": statistics.median(self.times),
            "cpu_ms": statistics.median(outcome.cpu_ms for outcome in rounds),
            "postgres_ms": statistics.median(outcome.postgres_ms or 0.0 for outcome in rounds),
            "transactions": statistics.median(outcome.transactions for outcome in rounds),
            "share_of_ideal": statistics.median(outcome.share_of_ideal for outcome in rounds),
            "world_busy": statistics.median(outcome.world_busy for outcome in rounds),
        }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How many processes, and the conditions of each."""
    parser.add_argument("--processes", type=numbers, default=[1, 2, 4, 8], help="such as 1,2,4,8 (the default)")
    parser.add_argument("--messages", type=at_least_one, help="of a process; of 100 in flight and more by default 4000")
    parser.add_argument("--in-flight", type=at_least_one, default=100, help="of a process (default 100)")
    parser.add_argument("--latency", type=seconds, default=0.0, help="seconds of every call (default 0)")
    parser.add_argument("--rounds", type=at_least_one, default=5)


async def run(given: argparse.Namespace) -> None:
    """Measure and print."""
    one = conditions(given.in_flight, given.latency, None, given.messages)
    async with open_course() as course:
        groups = await measure(course, one, given.processes, given.rounds)
    if given.json:
        say_json({**attrs.asdict(one), "rounds": given.rounds, "groups": [group.as_json() for group in groups]})
    else:
        say(as_text(one, groups))


async def measure(course: Course, one: Conditions, counts: Sequence[int], rounds: int) -> list[Group]:
    """Let each number of processes send as many messages as each of them is to send together, in turn."""
    outcomes: dict[int, list[Outcome]] = {count: [] for count in counts}
    for turn in range(rounds):
        for count in counts:
            say_progress(f"round {turn + 1} of {rounds}: {count} processes ...")
            together = attrs.evolve(one, messages=one.messages * count)
            outcomes[count].append(await race(course, TRIOQUEUE, together, processes=count))
    first = outcomes[counts[0]]
    return [
        Group(
            count,
            tuple(told),
            tuple(each.calls_per_second / base.calls_per_second for each, base in zip(told, first, strict=True)),
        )
        for count, told in outcomes.items()
    ]


def as_text(one: Conditions, groups: Sequence[Group]) -> str:
    """A table; CPU, PostgreSQL's CPU and transactions are for a message."""
    header = ("processes", "messages/s", "times", "CPU ms", "PostgreSQL ms", "transactions", "of ideal", "world")
    rows = []
    for group in groups:
        figures = group.as_json()
        rows.append(
            (
                str(group.processes),
                number(figures["messages_per_second"], 1),
                f"{figures['times']:.2f}x",
                number(figures["cpu_ms"], 2),
                number(figures["postgres_ms"], 2),
                number(figures["transactions"], 2),
                number(figures["share_of_ideal"], 3),
                number(figures["world_busy"], 2),
            )
        )
    title = (
        f"each process {one.messages} messages, {one.in_flight} in flight, {one.latency * 1000:.0f} ms a call, "
        f"medians of {len(groups[0].outcomes)} rounds"
    )
    return f"{title}\n{table(header, rows)}"


MODE: Final = Mode("processes", "Several worker processes on one PostgreSQL, against one of them.", add_arguments, run)
