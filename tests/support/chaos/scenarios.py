"""What one message meets while its worker may die: a few ways through the pipeline that together use all of it."""

import time
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import attrs

from trioqueue.simulator import GatewayFault, ModelFault, ModelTrouble, RequestKind, Seen

_NOTHING: Final = MappingProxyType[Any, Any]({})


@attrs.frozen
class Scenario:
    """What a message meets.

    Attributes:
        name: For people.
        calls: Faults of the model, by what was asked for and which attempt of the message it is, from 1.
        sends: Faults of the gateway, by which send of the message it is, from 1.
        deadline: Seconds after which the worker drains; None for never.
        resumed: Whether a first worker has met the faults and given the message back, before the one that may die.
        settings: Settings of the worker that differ.
    """

    name: str
    calls: Mapping[tuple[RequestKind, int], ModelTrouble] = _NOTHING
    sends: Mapping[int, GatewayFault] = _NOTHING
    deadline: float | None = None
    resumed: bool = False
    settings: Mapping[str, Any] = _NOTHING


SCENARIOS: Final = (
    Scenario("sent"),
    Scenario(
        "sent after faults of the model",
        calls={
            (RequestKind.GENERATE, 1): ModelFault.RATE_LIMITED_MILLISECONDS,
            (RequestKind.SPLIT, 1): ModelFault.TRUNCATED_JSON,
        },
    ),
    Scenario("not written", calls={(RequestKind.GENERATE, 1): ModelFault.SHORT_CONTENT}),
    Scenario("refused, then sent", sends={2: GatewayFault.BAD_REQUEST}),
    Scenario("sent from its second part on", sends={2: GatewayFault.BAD_REQUEST}, resumed=True),
    Scenario("unknown", sends={2: GatewayFault.ACCEPT_THEN_RESET}),
    Scenario("sent again by its key", sends={2: GatewayFault.ACCEPT_THEN_RESET}, settings={"gateway_idempotent": True}),
    Scenario("drained", calls={(RequestKind.GENERATE, 1): ModelFault.HANG}, deadline=0.2),
)


class Script:
    """The scripts of a scenario's world, which note when each request arrived.

    Attributes:
        arrivals: When each call of the model and each send arrived, in seconds since 1970.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._sends: Counter[str] = Counter()
        self.arrivals: list[tuple[RequestKind, float]] = []

    def of_model(self, seen: Seen) -> ModelTrouble | None:
        """What a call of the model meets."""
        self.arrivals.append((seen.kind, time.time()))
        return self._scenario.calls.get((seen.kind, seen.attempt))

    def of_gateway(self, seen: Seen) -> GatewayFault | None:
        """What a send meets."""
        self.arrivals.append((seen.kind, time.time()))
        self._sends[seen.conversation_id] += 1
        return self._scenario.sends.get(self._sends[seen.conversation_id])
