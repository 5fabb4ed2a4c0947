"""A worker that dies at every await in turn: the points that a scenario meets, and what each death leaves behind."""

import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import attrs
import orjson
import trio

from tests.support.chaos.await_points import Point
from tests.support.chaos.crash_runner import Order
from tests.support.chaos.evidence import Evidence, gathered
from tests.support.chaos.invariants import Violation, violations
from tests.support.chaos.scenarios import Scenario, Script
from tests.support.chaos.server import MAKE_DUE, OPEN_MESSAGES, Server
from tests.support.chaos.world_process import world_calls
from tests.support.database import start_run
from trioqueue.postgres.connect import connect
from trioqueue.postgres.pool import Pool
from trioqueue.simulator import World, WorldSettings, simulated_world

AT_ONCE: Final = 20
"""Deaths before the messages of all are taken over together."""

TRIES: Final = 3
"""How often a worker is sent to a point until it comes there."""

ATTEMPTS: Final = 10
"""Most times that everything is worked on after a death: a message is requeued three times at most."""

NO_GATES: Final = "delete from {schema}.model_gates"
"""A worker that died while its model was left alone must not keep the next message waiting."""

LONG_AGO: Final = "update {schema}.workers set beat_at = now() - interval '1 day'"


@attrs.frozen
class Life:
    """What came of one worker.

    Attributes:
        died: Whether it died at its point.
        points: The points that it met, where it was asked for them.
        error: The traceback of what it raised; None for nothing.
    """

    died: bool
    points: Sequence[Point]
    error: str | None


class Runner:
    """The process that forks workers."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._received = b""

    async def obey(self, order: Order) -> "Life":
        """Have one worker run to its end."""
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("they were asked for")
        await self._process.stdin.send_all(orjson.dumps(attrs.asdict(order)) + b"\n")
        while b"\n" not in self._received:
            data = await self._process.stdout.receive_some()
            if not data:
                raise RuntimeError("the process that forks workers has ended")
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        told = orjson.loads(line)
        return Life(told["died"], [Point(*point) for point in told["points"]], told["error"])


@asynccontextmanager
async def crash_runner() -> AsyncIterator[Runner]:
    """A process that forks workers, while this is entered."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "tests.support.chaos.crash_runner"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        yield Runner(process)
    finally:
        process.kill()
        await process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                await trio.aclose_forcefully(pipe)


@attrs.frozen
class Deaths:
    """What came of a scenario.

    Attributes:
        scenario: What the messages met.
        met: At how many points a worker died.
        missed: Points to which no worker came; what happens first among tasks is not always the same.
        evidence: What was left behind.
        violations: What may not be.
    """

    scenario: Scenario
    met: int
    missed: Sequence[Point]
    evidence: Evidence
    violations: Sequence[Violation]


class Crashes:
    """A scenario under way, on a database and in a world of its own.

    Attributes:
        errors: What workers raised, which none may.
    """

    def __init__(self, server: Server, runner: Runner, scenario: Scenario, database: str, world: World) -> None:
        self._server = server
        self._runner = runner
        self._scenario = scenario
        self._database = database
        self._world = world
        self.errors: list[str] = []
        self._messages = 0
        self._processes = 0

    async def points(self) -> Sequence[Point]:
        """The points that a worker meets on one message."""
        await self._add_message()
        life = await self._live(attrs.evolve(self._order(), watched=True))
        await self._recover()
        return life.points

    async def die(self, points: Sequence[Point]) -> list[Point]:
        """Let a worker die at each of the points, and return those to which none came."""
        missed: list[Point] = []
        for some in _in_parts(points):
            missed += [point for point in some if not await self._die_at(point)]
            await self._recover()
        return missed

    async def _die_at(self, point: Point) -> bool:
        for _ in range(TRIES):
            await self._add_message()
            life = await self._live(attrs.evolve(self._order(), dies_at=point))
            if life.died:
                return True
        return False

    async def _add_message(self) -> None:
        async with Pool(partial(connect, self._server.url_of(self._database)), size=1) as pool:
            await start_run(pool, 1, first=self._messages)
        self._messages += 1
        await self._server.ask(self._database, NO_GATES)
        if self._scenario.resumed:
            await self._live(self._order())
            await self._server.ask(self._database, MAKE_DUE)

    async def _recover(self) -> None:
        """Let others work on what is left, until nothing is."""
        for _ in range(ATTEMPTS):
            await self._server.ask(self._database, LONG_AGO)
            await self._server.ask(self._database, MAKE_DUE)
            await self._live(attrs.evolve(self._order(concurrency=AT_ONCE), until_empty=True, deadline=None))
            [[left]] = await self._server.ask(self._database, OPEN_MESSAGES)
            if not left:
                return

    async def _live(self, order: Order) -> Life:
        life = await self._runner.obey(order)
        if life.error is not None:
            self.errors.append(life.error)
        return life

    def _order(self, **changes: Any) -> Order:
        self._processes += 1
        settings = {
            "database_url": f"{self._server.url_of(self._database)}&application_name=process-{self._processes}",
            "openrouter_url": self._world.model_url,
            "openrouter_api_key": self._world.model_key,
            "gateway_url": self._world.gateway_url,
            "gateway_key": self._world.gateway_key,
            "concurrency": 1,
            "batch_size": 1,
            # Nobody takes over what the dead leave before all of them have died.
            "lease": 3600.0,
            "generate_timeout": 1.0,
            "split_timeout": 1.0,
            "compute_timeout": 5.0,
            "skip_after": 86400.0,
        }
        return Order({**settings, **self._scenario.settings, **changes}, deadline=self._scenario.deadline)


def _in_parts(points: Sequence[Point]) -> Iterator[Sequence[Point]]:
    for start in range(0, len(points), AT_ONCE):
        yield points[start : start + AT_ONCE]


async def find_points(server: Server, runner: Runner, scenario: Scenario) -> Sequence[Point]:
    """The points that a worker meets on the way of one message."""
    async with _crashes(server, runner, scenario) as (crashes, _):
        return await crashes.points()


async def die_at(server: Server, runner: Runner, scenario: Scenario, points: Sequence[Point]) -> Deaths:
    """Let a worker die at each of the points, each on a message of its own, and see what is left."""
    async with _crashes(server, runner, scenario) as (crashes, gather):
        missed = await crashes.die(points)
        evidence = await gather()
    found = [*violations(evidence), *(Violation("workers behave", error) for error in crashes.errors)]
    return Deaths(scenario, len(points) - len(missed), missed, evidence, found)


@asynccontextmanager
async def _crashes(
    server: Server, runner: Runner, scenario: Scenario
) -> AsyncIterator[tuple[Crashes, Callable[[], Awaitable[Evidence]]]]:
    script = Script(scenario)
    idempotent = bool(scenario.settings.get("gateway_idempotent"))
    settings = WorldSettings(
        model_script=script.of_model, gateway_script=script.of_gateway, retry_after=0.05, idempotent=idempotent
    )
    database = await server.create_database()
    async with simulated_world(settings) as world:

        async def gather() -> Evidence:
            return await gathered(
                partial(server.ask, database),
                idempotent=idempotent,
                deliveries=tuple(world.deliveries),
                calls=world_calls(world, script.arrivals),
            )

        yield Crashes(server, runner, scenario, database, world), gather
    await server.drop_database(database)
