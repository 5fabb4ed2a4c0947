"""A worker that dies at an await, any of them: the next one finds everything as it must be.

Here is a seeded sample of the points of each scenario; `scripts/chaos --crash-points` lets workers die at all of them.
"""

import importlib
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

from tests.support.chaos.await_points import PACKAGE, Point, Watch, awaiting_lines
from tests.support.chaos.crash import crash_runner, die_at, find_points
from tests.support.chaos.scenarios import SCENARIOS, Scenario
from tests.support.chaos.server import Server

SAMPLE = 8
"""Points of a scenario; all of them take minutes."""


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_a_worker_dies_anywhere(server: Server, scenario: Scenario) -> None:
    """Nothing is lost, nothing leaves twice and no text is paid for twice, wherever the worker before has died."""
    async with crash_runner() as runner:
        points = await find_points(server, runner, scenario)
        deaths = await die_at(server, runner, scenario, random.Random(1).sample(points, SAMPLE))

    assert list(deaths.violations) == []
    assert deaths.met > SAMPLE / 2


async def test_the_points_are_those_of_the_code(server: Server) -> None:
    """The awaits of intent, request and outcome are among the points, at both sides, as are those of the store."""
    async with crash_runner() as runner:
        points = await find_points(server, runner, SCENARIOS[0])
    sources = {(point.side, point.file, _source(point)) for point in points}

    for side in ("before", "after"):
        for file, text in (
            ("worker/sender.py", "await self.ledger.record(*told, SendIntended("),
            ("worker/sender.py", "await self.gateway.send("),
            ("worker/writer.py", "await self.ledger.record("),
            ("http/connection.py", "await self._send(request)"),
            ("postgres/store.py", "async with connection.pipeline():"),
        ):
            assert [source for at, where, source in sources if (at, where) == (side, file) and text in source], text


def _source(point: Point) -> str:
    return (PACKAGE / point.file).read_text(encoding="utf-8").splitlines()[point.line - 1].strip()


def test_lines_that_await() -> None:
    """Each line of an expression that awaits leads to its first; the body of an async with or for is none of it."""
    source = """\
async def f(x):
    y = 1
    a = await g(
        x,
        await h(),
    )
    async with (
        a
    ) as b:
        z = 2
    async for c in b:
        z = 3
    return [await c]
"""

    assert awaiting_lines(source) == {3: 3, 4: 3, 5: 3, 6: 3, 7: 7, 8: 7, 11: 11, 13: 13}


@pytest.fixture
def outer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Awaitable[None]]:
    """A function that awaits, of a package of its own."""
    monkeypatch.setattr("tests.support.chaos.await_points.PACKAGE", tmp_path)
    (tmp_path / "awaiting.py").write_text(
        "async def inner(event):\n"
        "    await event()\n"
        "async def outer(event):\n"
        "    for _ in range(2):\n"
        "        await inner(\n"
        "            event,\n"
        "        )\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    awaits: Callable[..., Awaitable[None]] = importlib.import_module("awaiting").outer
    return awaits


async def test_a_watch_tells_both_sides_of_each_await_and_each_time(outer: Callable[..., Awaitable[None]]) -> None:
    """What is awaited is told before it begins and after it has ended, once however often it waits in between."""
    told: list[str] = []

    async def event() -> None:
        for _ in range(3):
            await trio.lowlevel.checkpoint()
        told.append("event")

    watch = Watch(lambda point: told.append(f"{point.side} {point.line} ({point.time})"))
    watch.begin()
    try:
        await outer(event)
    finally:
        watch.end()

    first = ["before 5 (1)", "before 2 (1)", "event", "after 2 (1)", "after 5 (1)"]
    assert told == first + [line.replace("(1)", "(2)") for line in first]
