"""What every `trioqueue.ports.Gateway` does, whoever sends: a suite that each provider's tests inherit.

A provider's test class gives a fixture `meet`, a function that sets up a situation and opens a gateway in it.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from enum import Enum, auto
from typing import TypeAlias
from uuid import UUID

import pytest
import trio

from trioqueue.domain.sends import (
    NotSent,
    OutgoingPart,
    Rejected,
    SenderAtFault,
    SendOutcome,
    Sent,
    Unknown,
    idempotency_key,
)
from trioqueue.ports import Gateway


class GatewaySituation(Enum):
    """What the gateway does with every part."""

    ACCEPTS = auto()
    REFUSES = auto()
    LIMITS_RATE = auto()  # for 7 seconds
    DENIES_KEY = auto()
    IS_DOWN = auto()
    LOSES_CONNECTIONS = auto()
    IS_UNREACHABLE = auto()
    IS_SILENT = auto()


MeetGateway: TypeAlias = Callable[[GatewaySituation], AbstractAsyncContextManager[Gateway]]

OUTCOMES = {
    GatewaySituation.ACCEPTS: Sent,
    GatewaySituation.REFUSES: Rejected,
    GatewaySituation.LIMITS_RATE: NotSent,
    GatewaySituation.DENIES_KEY: SenderAtFault,
    GatewaySituation.IS_DOWN: Unknown,
    GatewaySituation.LOSES_CONNECTIONS: Unknown,
    GatewaySituation.IS_UNREACHABLE: NotSent,
}

SOON = 0.05
"""Seconds until the deadlines that are meant to be missed."""

LONG = 30.0
"""Seconds until the deadlines that are meant to be met."""


def part(number: int = 1, text: str = "Oi, Ana! Tudo bem? 😀") -> OutgoingPart:
    """A part of a message."""
    return OutgoingPart(UUID(int=7), text, idempotency_key(UUID(int=1), number))


class GatewayConformance:
    """Inherit, and give the fixture `meet`."""

    @pytest.mark.parametrize(("situation", "outcome"), OUTCOMES.items(), ids=lambda value: getattr(value, "name", ""))
    async def test_situation(self, meet: MeetGateway, situation: GatewaySituation, outcome: type):
        """Each situation has its outcome; nothing is raised."""
        async with meet(situation) as gateway:
            assert type(await gateway.send(part(), timeout=LONG)) is outcome

    async def test_accepted_part_has_the_provider_s_id(self, meet: MeetGateway):
        """The id by which the provider knows the part is passed on."""
        async with meet(GatewaySituation.ACCEPTS) as gateway:
            outcome = await gateway.send(part(), timeout=LONG)

            assert isinstance(outcome, Sent)
            assert outcome.provider_message_id

    async def test_rate_limit_tells_how_long(self, meet: MeetGateway):
        """The gateway's wait is passed on, in seconds."""
        async with meet(GatewaySituation.LIMITS_RATE) as gateway:
            outcome = await gateway.send(part(), timeout=LONG)

            assert isinstance(outcome, NotSent)
            assert outcome.retry_after == 7.0

    async def test_silence_is_unknown_at_the_deadline(self, meet: MeetGateway):
        """A part whose acceptance does not come in time may have left."""
        async with meet(GatewaySituation.IS_SILENT) as gateway:
            with trio.fail_after(LONG):
                outcome = await gateway.send(part(), timeout=SOON)

            assert isinstance(outcome, Unknown)

    async def test_without_time_nothing_leaves(self, meet: MeetGateway):
        """A part that there is no time for has certainly not left."""
        async with meet(GatewaySituation.ACCEPTS) as gateway:
            assert isinstance(await gateway.send(part(), timeout=0.0), NotSent)

    async def test_cancellation_is_not_swallowed(self, meet: MeetGateway):
        """A scope around the send that is cancelled ends it, and no outcome is made of that."""
        outcomes: list[SendOutcome] = []
        async with meet(GatewaySituation.IS_SILENT) as gateway:
            with trio.move_on_after(SOON) as scope:
                outcomes.append(await gateway.send(part(), timeout=LONG))

            assert scope.cancelled_caught
            assert outcomes == []

    async def test_parts_do_not_disturb_each_other(self, meet: MeetGateway):
        """Many parts at once are each accepted."""
        outcomes: list[SendOutcome] = []

        async def send(gateway: Gateway, number: int) -> None:
            outcomes.append(await gateway.send(part(number), timeout=LONG))

        async with meet(GatewaySituation.ACCEPTS) as gateway, trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(send, gateway, number)

        assert [type(outcome) for outcome in outcomes] == [Sent] * 50
