"""`scripts/benchmark memory`: the memory of one process while it sends a great many messages."""

import argparse
from typing import Any, Final

from tests.benchmarks.contestants import TRIOQUEUE
from tests.benchmarks.course import Course, open_course
from tests.benchmarks.entrants import entered, environment, reached
from tests.benchmarks.modes import Mode, at_least_one, say, say_json, say_progress, seconds
from tests.benchmarks.orders import Order
from tests.benchmarks.race import CALLS, Conditions, check_sent
from tests.benchmarks.tables import number, table
from tests.support.mock_world import mock_world


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How many messages, and when to look."""
    parser.add_argument("--messages", type=at_least_one, default=100_000)
    parser.add_argument("--in-flight", type=at_least_one, default=500)
    parser.add_argument("--latency", type=seconds, default=0.0, help="seconds of every call (default 0)")
    parser.add_argument("--every", type=at_least_one, default=10_000, help="messages from one look to the next")


async def run(given: argparse.Namespace) -> None:
    """Measure and print."""
    asked = Conditions(given.messages, given.in_flight, given.latency)
    async with open_course() as course:
        figures = await measure(course, asked, given.every)
    say_json(figures) if given.json else say(as_text(figures))


async def measure(course: Course, asked: Conditions, every: int) -> dict[str, Any]:
    """Megabytes of resident memory after each so many messages, and by how much they grew after the first look."""
    samples: list[dict[str, float]] = []
    template = await course.template(asked.messages)
    async with mock_world(asked.latency) as world:
        with course.database(template) as url:
            command = [*TRIOQUEUE.command(), *Order(url, world.url, asked.in_flight).arguments()]
            async with entered(command, environment(url, world.url), 1) as [entrant]:
                await entrant.begin()
                # Looked at before the last messages have ended: afterwards there is no process to look at.
                for messages in range(every, asked.messages - asked.in_flight + 1, every):
                    moment = await reached(world, [entrant], CALLS * messages)
                    samples.append({"messages": messages, "rss_mb": moment.rss / 1e6})
                    say_progress(f"after {messages} messages {samples[-1]['rss_mb']:.1f} MB")
                moment = await reached(world, [entrant], CALLS * (asked.messages - asked.in_flight))
                samples.append({"messages": asked.messages - asked.in_flight, "rss_mb": moment.rss / 1e6})
                await entrant.end()
            await course.until_left(url)
            check_sent(url, asked.messages, (await world.figures()).answered / CALLS)
    sizes = [sample["rss_mb"] for sample in samples]
    return {
        "in_flight": asked.in_flight,
        "messages": asked.messages,
        "most_mb": max(sizes),
        "grown_after_first_mb": max(sizes) - sizes[0],
        "samples": samples,
    }


def as_text(figures: dict[str, Any]) -> str:
    """A table."""
    rows = [(str(sample["messages"]), number(sample["rss_mb"], 1)) for sample in figures["samples"]]
    return (
        f"{figures['messages']} messages, {figures['in_flight']} in flight: at most {figures['most_mb']:.1f} MB, "
        f"{figures['grown_after_first_mb']:.1f} MB more than at the first look\n{table(('messages', 'MB'), rows)}"
    )


MODE: Final = Mode("memory", "The memory of one process while it sends a great many messages.", add_arguments, run)
