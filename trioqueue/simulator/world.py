"""Starts a simulated model and a simulated gateway, and shows what happened to them."""

import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager

import attrs
import trio

from trioqueue.simulator import gateway, lookups, model
from trioqueue.simulator.choice import Chances, FaultChooser, FaultT, Script
from trioqueue.simulator.connection import Request, Respond
from trioqueue.simulator.deliveries_file import DeliveriesFile, Delivery
from trioqueue.simulator.faults import GatewayFault
from trioqueue.simulator.gateway import GatewayEndpoint
from trioqueue.simulator.lookups import LookupEndpoint
from trioqueue.simulator.model import ModelEndpoint
from trioqueue.simulator.pace import Gate, Pace
from trioqueue.simulator.record import Call, Calls, Changes, Deliveries
from trioqueue.simulator.server import LOOPBACK, Server
from trioqueue.simulator.settings import Latency, ModelTrouble, WorldSettings


@attrs.frozen
class EndpointStatistics:
    """What an endpoint has seen so far.

    Attributes:
        calls: Well-formed requests with the right key.
        refused: Other requests.
        in_flight: Calls without an answer yet.
        most_in_flight: The most there have been at once.
        connections: Connections ever made.
        open_connections: Connections open now.
        faults: How often each fault was met.
    """

    calls: int
    refused: int
    in_flight: int
    most_in_flight: int
    connections: int
    open_connections: int
    faults: Mapping[str, int]


@attrs.frozen
class WorldStatistics:
    """What a world has seen so far. `tokens` are those that the model counted."""

    model: EndpointStatistics
    gateway: EndpointStatistics
    deliveries: int
    tokens: int


class World:
    """A simulated model and gateway on the loopback address; made by `simulated_world` and `serve`.

    Attributes:
        settings: How it behaves.
        calls: Every call of the model in the order of arrival.
        sends: Every request to send a part in the order of arrival, delivered or not.
        deliveries: Every part that the gateway took over, in the order of arrival.
        lookups: The idempotency key of every part that the gateway was asked about afterwards.
    """

    def __init__(self, settings: WorldSettings, *, model_port: int, gateway_port: int, resources: ExitStack) -> None:
        """Listen on both ports; `run` answers. What must be closed in the end is pushed to `resources`.

        Raises:
            SimulatorError: A port is taken, or the file of deliveries cannot be used.
        """
        self.settings = settings
        self._changes = Changes()
        self._gate = Gate()
        file = DeliveriesFile(settings.deliveries_file) if settings.deliveries_file else None
        if file is not None:
            resources.callback(file.close)
        delivered = Deliveries(file, self._changes, idempotent=settings.idempotent)
        calls = Calls(_chooser(settings, settings.model_script, settings.model_chances, "model"), self._changes)
        sends = Calls(_chooser(settings, settings.gateway_script, settings.gateway_chances, "gateway"), self._changes)
        self._model = Server(ModelEndpoint(settings, calls, self._pace(settings.model_latency, "model")), model_port)
        resources.callback(self._model.close)
        pace = self._pace(settings.gateway_latency, "gateway")
        sending = GatewayEndpoint(settings, sends, delivered, pace)
        lookup = LookupEndpoint(settings, delivered, self._changes)

        async def answer(request: Request, respond: Respond) -> None:
            await (lookup if request.target == lookups.TARGET else sending)(request, respond)

        self._gateway = Server(answer, gateway_port)
        resources.callback(self._gateway.close)
        self._calls = calls
        self._sends = sends
        self.calls: Sequence[Call[ModelTrouble]] = calls.all
        self.sends: Sequence[Call[GatewayFault]] = sends.all
        self.deliveries: Sequence[Delivery] = delivered.all
        self.lookups: Sequence[str] = lookup.asked

    @property
    def model_url(self) -> str:
        """The base of the model's endpoints: POST {model_url}/chat/completions."""
        return f"http://{LOOPBACK}:{self._model.port}{model.BASE}"

    @property
    def gateway_url(self) -> str:
        """Where parts are posted to."""
        return f"http://{LOOPBACK}:{self._gateway.port}{gateway.PATH}"

    @property
    def lookup_url(self) -> str:
        """Where to ask what became of a part."""
        return f"http://{LOOPBACK}:{self._gateway.port}{lookups.PATH}"

    @property
    def model_key(self) -> str:
        """The key that the model accepts, as a bearer token."""
        return self.settings.model_key

    @property
    def gateway_key(self) -> str:
        """The key that the gateway accepts, in X-Service-Role-Key."""
        return self.settings.gateway_key

    def statistics(self) -> WorldStatistics:
        """What this world has seen so far."""
        return WorldStatistics(
            model=_statistics(self._calls, self._model),
            gateway=_statistics(self._sends, self._gateway),
            deliveries=len(self.deliveries),
            tokens=self._calls.tokens,
        )

    async def wait_until(self, condition: "Callable[[World], bool]") -> None:
        """Wait until a condition holds; it is asked again whenever a call or a delivery is recorded."""
        await trio.lowlevel.checkpoint()
        while not condition(self):
            await self._changes.wait()

    def release_held(self) -> None:
        """Let all held answers go whose calls have arrived (`ModelFault.HOLD`, `GatewayFault.ACCEPT_THEN_HOLD`)."""
        self._gate.release()

    def model_outage(self) -> AbstractContextManager[None]:
        """While this is entered the model's connections are reset and new ones refused."""
        return self._model.outage()

    def gateway_outage(self) -> AbstractContextManager[None]:
        """While this is entered the gateway's connections are reset and new ones refused."""
        return self._gateway.outage()

    async def run(self) -> None:
        """Answer requests until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._model.run)
            nursery.start_soon(self._gateway.run)

    def _pace(self, latency: Latency, endpoint: str) -> Pace:
        chance = _chance(self.settings, f"latency of the {endpoint}")
        return Pace(latency, self.settings.slow, self._gate, chance)


@asynccontextmanager
async def simulated_world(
    settings: WorldSettings | None = None, *, model_port: int = 0, gateway_port: int = 0
) -> AsyncIterator[World]:
    """A model and a gateway that answer while this is entered.

    An exception of the block comes out as it is, not in a group.

    Args:
        settings: How they behave; None for at once and well.
        model_port: Where the model listens, 0 for any free port.
        gateway_port: Where the gateway listens, 0 for any free port.

    Raises:
        SimulatorError: A port is taken, or the file of deliveries cannot be used.
    """
    failure: BaseException | None = None
    with ExitStack() as resources:
        world = World(
            settings or WorldSettings(), model_port=model_port, gateway_port=gateway_port, resources=resources
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.run)
            try:
                yield world
            except (Exception, KeyboardInterrupt, SystemExit) as error:  # noqa: BLE001 - it is raised again below
                failure = error
            nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def serve(
    settings: WorldSettings,
    *,
    model_port: int = 0,
    gateway_port: int = 0,
    task_status: trio.TaskStatus[World] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run a model and a gateway until cancelled; the arguments and errors are those of `simulated_world`.

    `task_status.started` is called with the world once both accept connections.
    """
    with ExitStack() as resources:
        world = World(settings, model_port=model_port, gateway_port=gateway_port, resources=resources)
        task_status.started(world)
        await world.run()


def _chance(settings: WorldSettings, purpose: str) -> random.Random:
    # One generator a purpose: jitter does not change which faults are drawn.
    return random.Random(f"{settings.seed} {purpose}")  # noqa: S311 - what is simulated is to be repeatable


def _chooser(
    settings: WorldSettings, script: Script[FaultT], chances: Chances[FaultT], endpoint: str
) -> FaultChooser[FaultT]:
    chance = _chance(settings, f"faults of the {endpoint}")
    return FaultChooser(script, chances, retry_after=settings.retry_after, chance=chance)


def _statistics(calls: Calls[FaultT], server: Server) -> EndpointStatistics:
    return EndpointStatistics(
        calls=len(calls.all),
        refused=calls.refused,
        in_flight=calls.in_flight,
        most_in_flight=calls.most_in_flight,
        connections=server.connections,
        open_connections=server.open_connections,
        faults={fault.value: count for fault, count in calls.faults.items()},
    )
