"""Contestants in turn, round after round; the medians of their figures, and how trioqueue compares within a round."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import attrs

from tests.benchmarks.contestants import TRIOQUEUE, Contestant
from tests.benchmarks.course import Course
from tests.benchmarks.modes import say_progress
from tests.benchmarks.race import Conditions, Outcome, race
from tests.benchmarks.tables import number, table

SECONDS: Final = 10.0
"""How long an ideal worker is to be measured, where nothing says how many messages."""

SPREAD: Final = 0.06
"""Seconds by which a call is shorter or longer, evenly: with none all slots run in step, as they do with no service."""

AT_ONCE: Final = 4_000
"""Messages where calls take no time, and nothing says how many."""

AS_FAST: Final = 0.97
"""Of two settings of httpx the faster counts; when the slower is as fast as this, the one that uses less CPU."""


@attrs.frozen
class Result:
    """What a contestant did in all rounds.

    Attributes:
        contestant: Who.
        outcomes: One a round.
        times: trioqueue's throughput divided by its, a round; empty for trioqueue, and where it did not run.
        cpu_share: trioqueue's CPU a message divided by its, likewise.
    """

    contestant: Contestant
    outcomes: tuple[Outcome, ...]
    times: tuple[float, ...]
    cpu_share: tuple[float, ...]

    def median(self, figure: Callable[[Outcome], float]) -> float:
        """The median of a figure over the rounds."""
        return statistics.median(map(figure, self.outcomes))

    def as_json(self) -> dict[str, Any]:
        """Medians, ratios, and every round."""
        medians = {
            field.name: statistics.median(values)
            for field in attrs.fields(Outcome)
            if None not in (values := [getattr(outcome, field.name) for outcome in self.outcomes])
            and field.name != "http"
        }
        return {
            **medians,
            "http": self.outcomes[0].http,
            "trioqueue_times": statistics.median(self.times) if self.times else None,
            "trioqueue_cpu_share": statistics.median(self.cpu_share) if self.cpu_share else None,
            "rounds": [attrs.asdict(outcome) for outcome in self.outcomes],
        }


@attrs.frozen
class Comparison:
    """All contestants under one set of conditions."""

    conditions: Conditions
    results: tuple[Result, ...]

    def as_json(self) -> dict[str, Any]:
        """Everything, by the contestants' names."""
        results = {result.contestant.name: result.as_json() for result in self.results}
        return {**attrs.asdict(self.conditions), "contestants": results}


def conditions(in_flight: int, latency: float, spread: float | None, messages: int | None) -> Conditions:
    """Conditions, with as many messages as take an ideal worker some seconds if nothing says how many."""
    if spread is None:
        spread = min(SPREAD, latency)
    if messages is None:
        messages = max(6 * in_flight, AT_ONCE if not latency else round(in_flight / latency / 4 * SECONDS))
    return Conditions(messages, in_flight, latency, spread)


def for_contestant(asked: Conditions, contestant: Contestant) -> Conditions:
    """The same for who cannot have as many in flight, with so many fewer messages that it takes about as long."""
    slots = contestant.in_flight(asked.in_flight)
    return attrs.evolve(asked, in_flight=slots, messages=max(6 * slots, asked.messages * slots // asked.in_flight))


async def compare(course: Course, asked: Conditions, contestants: Sequence[Contestant], rounds: int) -> Comparison:
    """Let all run in turn, as often as there are rounds."""
    outcomes: dict[Contestant, list[Outcome]] = {contestant: [] for contestant in contestants}
    for turn in range(rounds):
        for contestant in contestants:
            where = f"{asked.in_flight} in flight, round {turn + 1} of {rounds}"
            say_progress(f"{where}: {contestant.title} ...")
            mine = for_contestant(asked, contestant)
            earlier = outcomes[contestant]
            https = [earlier[0].http] if earlier else contestant.https
            earlier.append(better([await race(course, contestant, mine, http) for http in https]))
    ours = outcomes.get(TRIOQUEUE, [])
    return Comparison(asked, tuple(_result(contestant, told, ours) for contestant, told in outcomes.items()))


def better(outcomes: Iterable[Outcome]) -> Outcome:
    """The outcome of the better setting: the faster, and of those that are about as fast the one with less CPU."""
    outcomes = list(outcomes)
    fast = max(outcome.calls_per_second for outcome in outcomes) * AS_FAST
    return min(
        [outcome for outcome in outcomes if outcome.calls_per_second >= fast], key=lambda outcome: outcome.cpu_ms
    )


def _result(contestant: Contestant, theirs: Sequence[Outcome], ours: Sequence[Outcome]) -> Result:
    pairs = [] if contestant is TRIOQUEUE else list(zip(ours, theirs, strict=False))
    return Result(
        contestant,
        tuple(theirs),
        tuple(own.calls_per_second / other.calls_per_second for own, other in pairs),
        tuple(own.cpu_ms / other.cpu_ms for own, other in pairs),
    )


_HEADER: Final = (
    "",
    "calls/s",
    "of ideal",
    "CPU ms",
    "transactions",
    "PostgreSQL ms",
    "MB",
    "world",
    "trioqueue is",
    "its CPU",
    "http",
)


def as_text(comparison: Comparison, rounds: int) -> str:
    """A table; CPU, transactions and PostgreSQL's CPU are for a message, the world's is a share of a core."""
    told = comparison.conditions
    spread = f" ± {told.spread * 1000:.0f}" if told.spread else ""
    title = (
        f"{told.messages} messages, {told.in_flight} in flight, {told.latency * 1000:.0f}{spread} ms a call, "
        f"medians of {rounds} rounds"
    )
    if not all(outcome.finished for result in comparison.results for outcome in result.outcomes):
        title += "; * was measured and not waited for"
    return f"{title}\n{table(_HEADER, [_row(result) for result in comparison.results])}"


def _row(result: Result) -> tuple[str, ...]:
    postgres = [outcome.postgres_ms for outcome in result.outcomes if outcome.postgres_ms is not None]
    return (
        result.contestant.title,
        number(result.median(lambda outcome: outcome.calls_per_second), 1),
        number(result.median(lambda outcome: outcome.share_of_ideal), 3),
        number(result.median(lambda outcome: outcome.cpu_ms), 2),
        number(result.median(lambda outcome: outcome.transactions), 2),
        number(statistics.median(postgres) if postgres else None, 2),
        number(result.median(lambda outcome: outcome.rss_mb), 0),
        number(result.median(lambda outcome: outcome.world_busy), 2),
        f"{statistics.median(result.times):.2f}x" if result.times else "",
        f"{statistics.median(result.cpu_share):.2f}x" if result.cpu_share else "",
        result.outcomes[0].http + ("" if all(outcome.finished for outcome in result.outcomes) else " *"),
    )
