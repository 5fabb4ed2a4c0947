"""The short form of `scripts/benchmark` and `scripts/benchmark throughput`, without the peers."""

import argparse
import json

import attrs
import pytest

from tests.benchmarks.command import main
from tests.benchmarks.contestants import CONTESTANTS, SEQUENTIAL, TRIOQUEUE
from tests.benchmarks.course import Course
from tests.benchmarks.entrants import ContestantFailed
from tests.benchmarks.race import Conditions, Outcome, race
from tests.benchmarks.throughput import as_text, better, compare, conditions, for_contestant
from tests.benchmarks.throughput_mode import add_arguments, all_conditions

OUTCOME = Outcome(100.0, 0.5, 2.0, 1.0, 50.0, 1.0, 0.1)


def asked(*arguments: str) -> list[Conditions]:
    """The conditions that arguments ask for."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return all_conditions(parser.parse_args(arguments))


async def test_contestants(course: Course):
    """A worker and a loop in turn send every message once; what they did is told as text and as JSON."""
    comparison = await compare(course, Conditions(12, 2, 0.0), (TRIOQUEUE, SEQUENTIAL), rounds=1)
    worker, loop = comparison.results
    told = json.loads(json.dumps(comparison.as_json()))

    assert all(result.outcomes[0].finished for result in comparison.results)
    assert 0 < worker.outcomes[0].transactions <= 10
    # Each of its six statements is a transaction of its own, and it looks for what is due.
    assert 6 <= loop.outcomes[0].transactions <= 9
    assert len(loop.times) == 1
    assert list(told["contestants"]) == ["trioqueue", "sequential"]
    assert told["contestants"]["sequential"]["trioqueue_times"] == loop.times[0]
    assert "sequential loop" in as_text(comparison, 1)


async def test_contestant_that_fails(course: Course):
    """A contestant that fails is told with what it said."""
    absent = attrs.evolve(SEQUENTIAL, module="no_such_module")

    with pytest.raises(ContestantFailed, match="no_such_module"):
        await race(course, absent, Conditions(12, 1, 0.0))


def test_conditions_of_the_targets():
    """Without arguments the conditions are those of the targets; zero latency has no spread."""
    told = [(each.in_flight, each.latency, each.spread) for each in asked()]

    assert told == [(100, 0.0, 0.0), (5, 0.2, 0.06), (100, 0.2, 0.06), (500, 0.2, 0.06)]


def test_conditions_by_arguments():
    """Arguments replace the conditions of the targets."""
    told = [(each.in_flight, each.latency, each.spread, each.messages) for each in asked("--in-flight", "1,7")]

    assert told == [(1, 0.2, 0.06, 12), (7, 0.2, 0.06, 88)]


@pytest.mark.parametrize("contestant", CONTESTANTS, ids=lambda contestant: contestant.name)
def test_work_of_a_contestant(contestant):
    """Every contestant gets enough messages to fill its slots twice and to be measured in between."""
    mine = for_contestant(conditions(100, 0.2, None, None), contestant)

    assert mine.messages >= 6 * mine.in_flight
    assert mine.in_flight == contestant.in_flight(100)


def test_better_setting():
    """The faster setting counts; of two that are about as fast, the one with less CPU."""
    slow = attrs.evolve(OUTCOME, calls_per_second=50.0, cpu_ms=0.1, http="slow")
    fast = attrs.evolve(OUTCOME, http="fast")
    cheap = attrs.evolve(OUTCOME, calls_per_second=98.0, cpu_ms=1.0, http="cheap")

    assert better([slow, fast]).http == "fast"
    assert better([slow, fast, cheap]).http == "cheap"


@pytest.mark.parametrize("arguments", [["--rounds", "0"], ["throughput", "--contestants", "nobody"], ["memory", "x"]])
def test_bad_arguments(arguments, capsys):
    """Bad arguments are refused before anything is started."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert "error: " in capsys.readouterr().err
