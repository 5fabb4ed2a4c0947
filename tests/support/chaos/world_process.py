"""The simulated model and gateway in a process of their own, which no fault touches.

`python -m tests.support.chaos.world_process SPECIFICATION` prints where it listens, serves until the end of its
standard input, and then writes down what it was asked. The deliveries are on disk before they are answered.
"""

import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import orjson
import trio

from tests.support.chaos.evidence import WorldCall
from trioqueue.simulator import (
    Call,
    Delivery,
    Fate,
    GatewayFault,
    Latency,
    ModelFault,
    ModelTrouble,
    RequestKind,
    Seen,
    World,
    WorldSettings,
    read_deliveries,
    simulated_world,
)

MODEL_CHANCES: Final[Mapping[ModelTrouble, float]] = {
    ModelFault.RATE_LIMITED_MILLISECONDS: 0.01,
    ModelFault.SERVER_ERROR: 0.02,
    ModelFault.BAD_GATEWAY_HTML: 0.02,
    ModelFault.RESET: 0.02,
    ModelFault.CLOSE: 0.02,
    ModelFault.TRUNCATED_JSON: 0.01,
    ModelFault.SHORT_CONTENT: 0.01,
    ModelFault.HANG: 0.01,
    ModelFault.SLOW: 0.05,
}
"""Not an outage of the model: it would cut answers that were sent already, and count them as paid for."""

GATEWAY_CHANCES: Final[Mapping[GatewayFault, float]] = {
    GatewayFault.BAD_REQUEST: 0.02,
    GatewayFault.RATE_LIMITED: 0.01,
    GatewayFault.SERVER_ERROR: 0.01,
    GatewayFault.RESET: 0.02,
    GatewayFault.ACCEPT_THEN_SERVER_ERROR: 0.01,
    GatewayFault.ACCEPT_THEN_HANG: 0.02,
    GatewayFault.ACCEPT_THEN_RESET: 0.02,
    GatewayFault.ACCEPT_THEN_CUT_OFF: 0.01,
    GatewayFault.SLOW: 0.05,
    GatewayFault.OUTAGE: 0.005,
}


@attrs.frozen
class WorldProcess:
    """A running world.

    Attributes:
        model_url: Where the model is.
        model_key: Its key.
        gateway_url: Where the gateway is.
        gateway_key: Its key.
    """

    model_url: str
    model_key: str
    gateway_url: str
    gateway_key: str

    def variables(self) -> dict[str, str]:
        """What a worker's environment says of it."""
        return {
            "TRIOQUEUE_OPENROUTER_URL": self.model_url,
            "OPENROUTER_API_KEY": self.model_key,
            "TRIOQUEUE_GATEWAY_URL": self.gateway_url,
            "TRIOQUEUE_GATEWAY_KEY": self.gateway_key,
        }


@attrs.frozen
class Traces:
    """The files of a world."""

    folder: Path

    @property
    def deliveries_file(self) -> Path:
        """What reached the leads."""
        return self.folder / "deliveries.jsonl"

    @property
    def calls_file(self) -> Path:
        """What was asked, written at the end."""
        return self.folder / "calls.json"

    def deliveries(self) -> Sequence[Delivery]:
        """What reached the leads."""
        return read_deliveries(self.deliveries_file)

    def calls(self) -> Sequence[WorldCall]:
        """What was asked."""
        return [WorldCall(**call) for call in orjson.loads(self.calls_file.read_bytes())]


@asynccontextmanager
async def world_process(
    folder: Path, *, seed: int, idempotent: bool, latency: float, faults: bool
) -> AsyncIterator[WorldProcess]:
    """Run a world while this is entered; its files are those of `Traces(folder)`.

    Args:
        folder: Where it writes.
        seed: The same seed draws the same faults.
        idempotent: Whether the gateway delivers the same key once.
        latency: Seconds that an answer takes on average.
        faults: Whether there are any.
    """
    specification = {
        "folder": str(folder),
        "seed": seed,
        "idempotent": idempotent,
        "latency": latency,
        "faults": faults,
    }
    command = [sys.executable, "-m", "tests.support.chaos.world_process", orjson.dumps(specification).decode()]
    process = await trio.lowlevel.open_process(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    if process.stdin is None or process.stdout is None:
        raise AssertionError("they were asked for")
    async with process.stdin, process.stdout:
        yield WorldProcess(**orjson.loads(await process.stdout.receive_some()))
        await process.stdin.aclose()
        await process.wait()


async def _serve(specification: dict[str, Any]) -> None:
    traces = Traces(Path(specification["folder"]))
    arrivals: list[tuple[RequestKind, float]] = []

    def note_arrival(seen: Seen) -> None:
        arrivals.append((seen.kind, time.time()))

    latency = Latency(specification["latency"], specification["latency"] / 2)
    settings = WorldSettings(
        seed=specification["seed"],
        model_latency=latency,
        gateway_latency=latency,
        model_script=note_arrival,
        gateway_script=note_arrival,
        model_chances=MODEL_CHANCES if specification["faults"] else {},
        gateway_chances=GATEWAY_CHANCES if specification["faults"] else {},
        retry_after=0.5,
        slow=1.0,
        outage=0.5,
        idempotent=specification["idempotent"],
        deliveries_file=traces.deliveries_file,
    )
    async with simulated_world(settings) as world:
        where = WorldProcess(world.model_url, world.model_key, world.gateway_url, world.gateway_key)
        sys.stdout.buffer.write(orjson.dumps(attrs.asdict(where)))
        sys.stdout.flush()
        await trio.to_thread.run_sync(sys.stdin.buffer.read, abandon_on_cancel=True)
        calls = [attrs.asdict(call) for call in world_calls(world, arrivals)]
    traces.calls_file.write_bytes(orjson.dumps(calls))


def world_calls(world: World, arrivals: Sequence[tuple[RequestKind, float]]) -> list[WorldCall]:
    """All calls of a world in the order of their arrival, which its script has noted."""
    sends = [at for kind, at in arrivals if kind is RequestKind.SEND]
    others = [at for kind, at in arrivals if kind is not RequestKind.SEND]
    calls = [
        *(_world_call(call, at) for call, at in zip(world.calls, others, strict=True)),
        *(_world_call(call, at) for call, at in zip(world.sends, sends, strict=True)),
    ]
    return sorted(calls, key=lambda call: call.at)


def _world_call(call: Call[Any], at: float) -> WorldCall:
    lead = None
    if call.kind is RequestKind.GENERATE:
        # The summary is cut where it is long; the name comes early.
        lead = call.summary.partition('"client_name"')[2].split('"')[1]
    fault = None if call.fault is None else str(call.fault)
    return WorldCall(at, call.kind, lead, call.idempotency_key, fault, call.fate is Fate.ANSWERED)


if __name__ == "__main__":
    trio.run(_serve, orjson.loads(sys.argv[1]))
