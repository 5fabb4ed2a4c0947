"""A language model and a sending gateway on the loopback address, which misbehave on demand.

`simulated_world` starts both. They speak the protocols of the real ones, take latency, meet faults by script or by
seeded chance, and keep a record of every call and delivery. Used by `trioqueue demo`, by `trioqueue simulator`, by
tests and by benchmarks.
"""

from trioqueue.simulator.choice import RequestKind, Rule, Seen
from trioqueue.simulator.deliveries_file import Delivery, read_deliveries
from trioqueue.simulator.errors import SimulatorError
from trioqueue.simulator.faults import GatewayFault, ModelFault
from trioqueue.simulator.record import Call, Fate
from trioqueue.simulator.settings import Latency, ModelTrouble, WorldSettings
from trioqueue.simulator.split_shapes import SplitShape
from trioqueue.simulator.world import EndpointStatistics, World, WorldStatistics, serve, simulated_world

__all__ = [
    "Call",
    "Delivery",
    "EndpointStatistics",
    "Fate",
    "GatewayFault",
    "Latency",
    "ModelFault",
    "ModelTrouble",
    "RequestKind",
    "Rule",
    "Seen",
    "SimulatorError",
    "SplitShape",
    "World",
    "WorldSettings",
    "WorldStatistics",
    "read_deliveries",
    "serve",
    "simulated_world",
]
