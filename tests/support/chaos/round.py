"""One round: campaigns, workers, faults until the work is done or the time is over, then quiet, then the evidence."""

import random
import signal
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

import attrs
import trio

from tests.support.chaos.evidence import Evidence, gathered
from tests.support.chaos.fleet import Fleet, Slot
from tests.support.chaos.invariants import Violation, violations
from tests.support.chaos.proxy import Proxy
from tests.support.chaos.schedule import EVERY_SECONDS, Fault, FaultKind, draw_schedule
from tests.support.chaos.server import MAKE_DUE, OPEN_MESSAGES, Server
from tests.support.chaos.world_process import Traces, WorldProcess, world_process
from tests.support.command import Command
from tests.support.database import start_run
from trioqueue.postgres.connect import connect
from trioqueue.postgres.pool import Pool

RUNS: Final = 2
"""Runs of a round: workers that end messages of both must not wait for each other in a circle."""

LOOK_SECONDS: Final = 0.5
"""How often it is looked whether work is left, and postponed messages are made due."""

QUIET_PATIENCE: Final = 120.0
"""Seconds within which the work is done once nothing goes wrong any more."""

SETTINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "TRIOQUEUE_LEASE": "3",
        "TRIOQUEUE_HEARTBEAT_INTERVAL": "0.7",
        "TRIOQUEUE_POLL_INTERVAL": "0.5",
        "TRIOQUEUE_STATEMENT_TIMEOUT": "2",
        "TRIOQUEUE_GENERATE_TIMEOUT": "3",
        "TRIOQUEUE_SPLIT_TIMEOUT": "3",
        "TRIOQUEUE_COMPUTE_TIMEOUT": "8",
        "TRIOQUEUE_SEND_TIMEOUT": "3",
        "TRIOQUEUE_DRAIN_TIMEOUT": "5",
        "TRIOQUEUE_SKIP_AFTER": "86400",
        "TRIOQUEUE_LOG_FORMAT": "json",
    }
)
"""Everything that takes its time takes less, so that there is more of it."""

END_BACKENDS: Final = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = %s"


@attrs.frozen
class Plan:
    """What a round is like.

    Attributes:
        seed: Draws its faults.
        seconds: How long it has faults, if the work takes so long.
        workers: How many workers there are.
        messages: How many messages there are, over all runs.
        concurrency: Messages in flight of a worker.
        idempotent: Whether the gateway takes the same part twice as one.
        latency: Seconds that an answer of the world takes on average.
        every: Seconds between two faults of each kind, on average.
        world_faults: Whether model and gateway misbehave.
        schedule: The faults, in the order in which they happen; None to have them drawn.
    """

    seed: int
    seconds: float = 60.0
    workers: int = 8
    messages: int = 300
    concurrency: int = 4
    idempotent: bool = False
    latency: float = 0.2
    every: Mapping[FaultKind, float] = EVERY_SECONDS
    world_faults: bool = True
    schedule: Sequence[Fault] | None = None

    def faults(self) -> Sequence[Fault]:
        """The faults, in the order in which they happen."""
        if self.schedule is not None:
            return self.schedule
        lease = float(SETTINGS["TRIOQUEUE_LEASE"])
        chance = random.Random(self.seed)
        return draw_schedule(chance, seconds=self.seconds, workers=self.workers, lease=lease, every=self.every)


@attrs.frozen
class Outcome:
    """What came of a round.

    Attributes:
        plan: What it was like.
        faults: How often each fault happened.
        codes: How often each exit code of a worker was seen.
        evidence: What it left behind.
        violations: What may not be.
        seconds: How long its faults lasted.
        left: Messages that were not final when the faults ended.
    """

    plan: Plan
    faults: Counter[FaultKind]
    codes: Counter[int]
    evidence: Evidence
    violations: Sequence[Violation]
    seconds: float
    left: int


class Round:
    """A round under way.

    Args:
        server: Where its database is made.
        folder: Where its files are.
        plan: What it is like.
    """

    def __init__(self, server: Server, folder: Path, plan: Plan) -> None:
        self._server = server
        self._folder = folder
        self._plan = plan
        self._faults: Counter[FaultKind] = Counter()
        self._database = ""
        self._slots: list[Slot] = []

    async def run(self) -> Outcome:
        """Run it to its end."""
        plan = self._plan
        self._database = await self._server.create_database()
        world = world_process(
            self._folder, seed=plan.seed, idempotent=plan.idempotent, latency=plan.latency, faults=plan.world_faults
        )
        async with world as where, trio.open_nursery() as nursery:
            variables = self._variables(where)
            fleet = Fleet(self._folder, self._database, variables)
            await self._start_campaigns()
            for number in range(plan.workers):
                proxy = await Proxy.open(self._server.socket_path)
                nursery.start_soon(proxy.run)
                self._slots.append(Slot(number, proxy, self._arguments(number)))
            seconds = await self._work(fleet)
            left = await self._open_messages()
            await self._finish(variables)
            nursery.cancel_scope.cancel()
        evidence = await self._evidence(fleet)
        await self._server.drop_database(self._database)
        found = [*violations(evidence), *(Violation("workers behave", what) for what in fleet.problems)]
        return Outcome(plan, self._faults, fleet.codes, evidence, found, seconds, left)

    def _variables(self, world: WorldProcess) -> dict[str, str]:
        return {
            **SETTINGS,
            **world.variables(),
            "TRIOQUEUE_CONCURRENCY": str(self._plan.concurrency),
            "TRIOQUEUE_GATEWAY_IDEMPOTENT": str(self._plan.idempotent).lower(),
        }

    def _arguments(self, number: int) -> Sequence[str]:
        # One in four works as from cron: until nothing is due, or until its deadline comes.
        return ("run", "--drain", "--deadline", "4") if number % 4 == 3 else ("worker",)

    async def _start_campaigns(self) -> None:
        each = self._plan.messages // RUNS
        async with Pool(partial(connect, self._server.url_of(self._database)), size=1) as pool:
            for number in range(RUNS):
                await start_run(pool, each, first=number * each)

    async def _work(self, fleet: Fleet) -> float:
        """Have the campaigns worked on while faults happen, and return how many seconds that took."""
        began = trio.current_time()
        async with trio.open_nursery() as workers:
            for slot in self._slots:
                workers.start_soon(fleet.keep, slot)
            try:
                with trio.move_on_after(self._plan.seconds):
                    await self._disturb(fleet)
                return trio.current_time() - began
            finally:
                with trio.CancelScope(shield=True):
                    await fleet.close(self._slots)

    async def _disturb(self, fleet: Fleet) -> None:
        async with trio.open_nursery() as faults:
            faults.start_soon(self._play, fleet)
            while await self._open_messages():
                await self._server.ask(self._database, MAKE_DUE)
                await trio.sleep(LOOK_SECONDS)
            faults.cancel_scope.cancel()

    async def _play(self, fleet: Fleet) -> None:
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for fault in self._plan.faults():
                await trio.sleep_until(began + fault.at)
                nursery.start_soon(self._befall, fault, fleet)

    async def _befall(self, fault: Fault, fleet: Fleet) -> None:
        if fault.worker is None:
            await self._server.restart(crash=fault.kind is FaultKind.CRASH_SERVER)
            self._faults[fault.kind] += 1
        elif await self._befall_worker(fault, self._slots[fault.worker], fleet):
            self._faults[fault.kind] += 1

    async def _befall_worker(self, fault: Fault, slot: Slot, fleet: Fleet) -> bool:
        if slot.process is None:
            return False
        match fault.kind:
            case FaultKind.KILL:
                fleet.send(slot, signal.SIGKILL)
            case FaultKind.TERMINATE:
                fleet.send(slot, signal.SIGTERM)
            case FaultKind.SUSPEND:
                await fleet.suspend(slot, fault.seconds)
            case FaultKind.END_BACKENDS:
                return bool(await self._server.ask(self._database, END_BACKENDS, slot.name))
            case FaultKind.BLACK_HOLE:
                with slot.proxy.to_server.blocked(), slot.proxy.to_client.blocked():
                    await trio.sleep(fault.seconds)
            case FaultKind.LOST_ANSWERS:
                with slot.proxy.to_client.blocked():
                    await trio.sleep(fault.seconds)
            case FaultKind.CUT:
                slot.proxy.cut()
        return True

    async def _open_messages(self) -> int:
        [[count]] = await self._server.ask(self._database, OPEN_MESSAGES)
        return int(count)

    async def _finish(self, variables: Mapping[str, str]) -> None:
        """Work on what is left, undisturbed, until nothing is."""
        last = Command(self._folder, variables)
        with trio.move_on_after(QUIET_PATIENCE):
            while await self._open_messages():
                await self._server.ask(self._database, MAKE_DUE)
                url = f"{self._server.url_of(self._database)}&application_name=last"
                await last("run", "--drain", "--concurrency", "20", "--deadline", "0", TRIOQUEUE_DATABASE_URL=url)

    async def _evidence(self, fleet: Fleet) -> Evidence:
        traces = Traces(self._folder)
        return await gathered(
            partial(self._server.ask, self._database),
            idempotent=self._plan.idempotent,
            drained=frozenset(fleet.drained),
            suspensions=dict(fleet.suspensions),
            deliveries=traces.deliveries(),
            calls=traces.calls(),
        )
