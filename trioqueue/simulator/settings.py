"""How a simulated world behaves."""

import random
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import attrs

from trioqueue.simulator.choice import Chances, Script
from trioqueue.simulator.errors import SimulatorError
from trioqueue.simulator.faults import GatewayFault, ModelFault
from trioqueue.simulator.split_shapes import SplitShape

ModelTrouble: TypeAlias = ModelFault | SplitShape
"""What can be wrong with the model: its service, or what it writes."""

_NO_CHANCES: Final = MappingProxyType[Any, float]({})


def _not_negative(owner: object, attribute: "attrs.Attribute[float]", value: float) -> None:
    if value < 0:
        msg = f"{type(owner).__name__}.{attribute.name}: {value} seconds is negative; give 0 or more"
        raise SimulatorError(msg)


def _chances(owner: object, attribute: "attrs.Attribute[Chances[Any]]", value: Chances[Any]) -> None:
    if any(chance < 0 for chance in value.values()) or sum(value.values()) > 1:
        msg = f"{type(owner).__name__}.{attribute.name}: each chance is 0 or more and together they are at most 1"
        raise SimulatorError(msg)


@attrs.frozen
class Latency:
    """How long an answer takes.

    Attributes:
        seconds: On average.
        jitter: At most so many seconds more or less, each as likely.
    """

    seconds: float = attrs.field(default=0.0, validator=_not_negative)
    jitter: float = attrs.field(default=0.0, validator=_not_negative)

    def draw(self, chance: random.Random) -> float:
        """Seconds that the next answer takes, 0 or more."""
        if self.jitter:
            return max(0.0, self.seconds + chance.uniform(-self.jitter, self.jitter))
        return self.seconds


@attrs.frozen
class WorldSettings:
    """How a simulated world behaves; by default at once and well.

    Attributes:
        seed: The same seed gives the same draws of chance and of jitter.
        model_latency: How long the model takes.
        gateway_latency: How long the gateway takes. A part is delivered when it arrives, not when it is answered.
        model_script: What calls of the model meet.
        gateway_script: What sends meet.
        model_chances: How likely the model's faults are, for calls that the script lets pass. The shapes of split
            answers among them are drawn for split requests alone.
        gateway_chances: How likely the gateway's faults are, for sends that the script lets pass.
        retry_after: Seconds to say in Retry-After.
        slow: Seconds that a slow answer takes longer.
        drip_interval: Seconds between two bytes that drip.
        outage: Seconds that an outage lasts.
        idempotent: Whether the gateway delivers the same Idempotency-Key once, and gives the first one's answer again.
        deliveries_file: Where every delivery is written, and synced to disk before it is answered. Deliveries that
            stand there already count as made before.
        model_key: The key that the model accepts.
        gateway_key: The key that the gateway accepts.
        models: The models that it lists. Calls may name any other.
    """

    seed: int = 0
    model_latency: Latency = Latency()
    gateway_latency: Latency = Latency()
    model_script: Script[ModelTrouble] = ()
    gateway_script: Script[GatewayFault] = ()
    model_chances: Chances[ModelTrouble] = attrs.field(default=_NO_CHANCES, validator=_chances)
    gateway_chances: Chances[GatewayFault] = attrs.field(default=_NO_CHANCES, validator=_chances)
    retry_after: float = attrs.field(default=1.0, validator=_not_negative)
    slow: float = attrs.field(default=5.0, validator=_not_negative)
    drip_interval: float = attrs.field(default=0.5, validator=_not_negative)
    outage: float = attrs.field(default=1.0, validator=_not_negative)
    idempotent: bool = False
    deliveries_file: Path | None = None
    model_key: str = attrs.field(default="simulated-model-key", repr=False)
    gateway_key: str = attrs.field(default="simulated-gateway-key", repr=False)
    models: tuple[str, ...] = ("openai/gpt-4o-mini", "simulated/model", "some/model")
