"""The short forms of the modes that measure trioqueue alone: what they count and tell, never how long it took."""

from tests.benchmarks import churn, claims, idle, memory, processes, start, wakeup
from tests.benchmarks.course import Course
from tests.benchmarks.race import Conditions


async def test_processes(course: Course):
    """Two processes share the messages of a run: each is sent once, and the ratio is to one process."""
    one = Conditions(12, 2, 0.0)
    first, second = await processes.measure(course, one, [1, 2], rounds=1)

    assert all(group.outcomes[0].finished for group in (first, second))
    assert first.times == (1.0,)
    assert second.times[0] == second.outcomes[0].calls_per_second / first.outcomes[0].calls_per_second
    assert "PostgreSQL ms" in processes.as_text(one, [first, second])


async def test_memory(course: Course):
    """Memory is looked at after each so many messages, and before the last ones."""
    figures = await memory.measure(course, Conditions(12, 2, 0.0), every=4)

    assert [sample["messages"] for sample in figures["samples"]] == [4, 8, 10]
    assert 10 < figures["most_mb"] < 1_000
    assert "at most" in memory.as_text(figures)


async def test_start(course: Course):
    """The first start of each command is not counted."""
    figures = await start.measure(course, rounds=1)

    assert {name: len(each["seconds"]) for name, each in figures.items()} == {"worker": 1, "run --drain": 1}
    assert all(each["median_s"] > 0 for each in figures.values())


async def test_wakeup(course: Course):
    """An idle worker is woken with and without NOTIFY."""
    figures = await wakeup.measure(course, rounds=1, poll_interval=0.1)

    assert all(len(figures[name]["seconds"]) == 1 for name in ("with_notify", "without_notify"))


async def test_idle(course: Course):
    """Statements of an idle worker are told by their first lines, and none of them sends anything."""
    figures = await idle.measure(course, watched=0.01)

    assert figures["statements_per_second"] == sum(figures["statements"].values()) / 0.01
    assert figures["share_of_core"] >= 0
    assert not [line for line in figures["statements"] if "parts are about to leave" in line]


async def test_claims_cost_no_more_beside_more_rows(course: Course):
    """Ten times the rows cost a claim some index pages more, not ten times as many."""
    small, _, _, large = await claims.measure(course, [2_000, 20_000], claim=20, claims=3)

    assert (small.due, small.finished, large.due, large.finished) == (2_000, 0, 20_000, 100_000)
    assert large.pages < 2 * small.pages
    assert small.milliseconds > 0


async def test_churn(course: Course):
    """All messages go through: a third before a snapshot is held, some while it is, twice, and the rest."""
    before, held, faster, after = await churn.measure(course, messages=1_500, held=0.001)

    assert before.messages == 500
    assert before.messages + held.messages + faster.messages + after.messages == 1_500
    assert min(held.messages, faster.messages) > 0
    assert "snapshot held" in churn.as_text([before, held, faster, after])
