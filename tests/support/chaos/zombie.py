"""A worker that stands still for longer than its lease, is given up, and wakes up when others have done its work."""

import signal
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from tests.support.chaos.evidence import gathered
from tests.support.chaos.invariants import Violation, violations
from tests.support.chaos.server import OPEN_MESSAGES, Server
from tests.support.chaos.world_process import world_calls
from tests.support.command import TRIOQUEUE, Command
from tests.support.database import start_run
from trioqueue.postgres.connect import connect
from trioqueue.postgres.pool import Pool
from trioqueue.simulator import GatewayFault, ModelFault, RequestKind, Seen, World, WorldSettings, simulated_world

MESSAGES: Final = 4
"""Messages that the zombie has in flight."""

PATIENCE: Final = 60.0
"""Seconds after which something has gone wrong."""

SETTINGS: Final = {
    "TRIOQUEUE_CONCURRENCY": str(MESSAGES),
    "TRIOQUEUE_LEASE": "1.5",
    "TRIOQUEUE_HEARTBEAT_INTERVAL": "0.3",
    "TRIOQUEUE_POLL_INTERVAL": "0.5",
    "TRIOQUEUE_LOG_FORMAT": "json",
}

LOOK_SECONDS: Final = 0.05
"""How often it is looked whether something has happened."""

LEASE_OVER: Final = """
select coalesce(bool_and(beat_at < now() - lease), false) from {schema}.workers w
join chaos.incarnations i on i.incarnation = w.incarnation where i.actor = 'zombie'
"""


class Stage(Enum):
    """What the worker does with its messages when it is suspended; the answer comes while it stands still."""

    WRITING = RequestKind.GENERATE
    SPLITTING = RequestKind.SPLIT
    SENDING = RequestKind.SEND


@attrs.frozen
class Awakening:
    """What came of it.

    Attributes:
        stage: What the worker was doing.
        idempotent: Whether the gateway takes the same part twice as one.
        sends: Requests to the gateway before the worker was woken.
        sends_after: Requests to the gateway when it had ended.
        code: Its exit code.
        violations: What may not be.
    """

    stage: Stage
    idempotent: bool
    sends: int
    sends_after: int
    code: int
    violations: Sequence[Violation]


class _Script:
    """What model and gateway do: they hold the answers of a stage, as long as they are told to."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.holding = True
        self.held = 0
        self.arrivals: list[tuple[RequestKind, float]] = []

    def of_model(self, seen: Seen) -> ModelFault | None:
        return ModelFault.HOLD if self._holds(seen) else None

    def of_gateway(self, seen: Seen) -> GatewayFault | None:
        return GatewayFault.ACCEPT_THEN_HOLD if self._holds(seen) else None

    def _holds(self, seen: Seen) -> bool:
        self.arrivals.append((seen.kind, time.time()))
        holds = self.holding and seen.kind is self._stage.value
        self.held += holds
        return holds


async def wake_zombie(server: Server, folder: Path, stage: Stage, *, idempotent: bool) -> Awakening:
    """Suspend a worker, have another do its work, wake it, and see what it does.

    Args:
        server: Where the database is made.
        folder: Where the workers run.
        stage: What it does when it is suspended.
        idempotent: Whether the gateway takes the same part twice as one.
    """
    script = _Script(stage)
    settings = WorldSettings(model_script=script.of_model, gateway_script=script.of_gateway, idempotent=idempotent)
    database = await server.create_database()
    await _start_run(server, database)
    with trio.fail_after(PATIENCE):
        async with simulated_world(settings) as world:
            command = Command(folder, _variables(world, idempotent=idempotent))
            sends, code, suspended_at = await _awaken(server, database, command, world, script)
    evidence = await gathered(
        partial(server.ask, database),
        idempotent=idempotent,
        suspensions={"zombie": [suspended_at]},
        deliveries=tuple(world.deliveries),
        calls=world_calls(world, script.arrivals),
    )
    await server.drop_database(database)
    return Awakening(stage, idempotent, sends, len(world.sends), code, violations(evidence))


async def _awaken(
    server: Server, database: str, command: Command, world: World, script: _Script
) -> tuple[int, int, float]:
    """Return the requests to the gateway before the zombie was woken, its exit code, and when it was suspended."""
    url = server.url_of(database)
    async with _worker(command, url, "zombie") as zombie:
        await _until(lambda: _holds_all(server, database, script))
        suspended_at = time.time()
        zombie.send_signal(signal.SIGSTOP)
        script.holding = False
        world.release_held()
        held = script.held
        await _until(partial(_value, server, database, LEASE_OVER))
        async with _worker(command, url, "heir"):
            await _until(partial(_value, server, database, f"select ({OPEN_MESSAGES}) = 0"))
        sends = len(world.sends)
        zombie.send_signal(signal.SIGCONT)
        await _until(partial(_has_lost, log_of(command, "zombie"), held))
        zombie.terminate()
        return sends, await zombie.wait(), suspended_at


@asynccontextmanager
async def _worker(command: Command, url: str, name: str) -> AsyncIterator[trio.Process]:
    """A worker that is asked to stop at the end of the block, or killed where the block fails."""
    with log_of(command, name).open("wb") as out:
        process = await trio.lowlevel.open_process(
            [TRIOQUEUE, "worker"],
            cwd=command.directory,
            env=command.environment(TRIOQUEUE_DATABASE_URL=f"{url}&application_name={name}"),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
        process.terminate()
        await process.wait()
    finally:
        process.kill()


def log_of(command: Command, name: str) -> Path:
    """Where a worker logs."""
    return command.directory / f"{name}.log"


def _variables(world: World, *, idempotent: bool) -> dict[str, str]:
    return {
        **SETTINGS,
        "TRIOQUEUE_OPENROUTER_URL": world.model_url,
        "OPENROUTER_API_KEY": world.model_key,
        "TRIOQUEUE_GATEWAY_URL": world.gateway_url,
        "TRIOQUEUE_GATEWAY_KEY": world.gateway_key,
        "TRIOQUEUE_GATEWAY_IDEMPOTENT": str(idempotent).lower(),
    }


async def _start_run(server: Server, database: str) -> None:
    async with Pool(partial(connect, server.url_of(database)), size=1) as pool:
        await start_run(pool, MESSAGES)


async def _value(server: Server, database: str, query: str) -> Any:
    [[value]] = await server.ask(database, query)
    return value


async def _holds_all(server: Server, database: str, script: _Script) -> bool:
    return script.held > 0 and script.held == await _value(server, database, OPEN_MESSAGES)


async def _has_lost(log: Path, messages: int) -> bool:
    """Whether a worker has found out that it has lost so many messages; by then it has done with them what it could."""
    text = await trio.Path(log).read_text(encoding="utf-8")
    return text.count('"event":"claim lost') == messages


async def _until(condition: Callable[[], Awaitable[Any]]) -> None:
    while not await condition():  # noqa: ASYNC110 - what is waited for happens in other processes
        await trio.sleep(LOOK_SECONDS)
