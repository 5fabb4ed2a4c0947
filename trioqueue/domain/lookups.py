"""What a gateway says afterwards of a part whose fate is unknown, and what follows from it.

Absence is no proof: a list of what was sent may be late or leave something out. Only a gateway that vouches for it has
not delivered a part.
"""

from datetime import datetime
from typing import TypeAlias, assert_never
from uuid import UUID

import attrs

from trioqueue.domain.sends import OutgoingPart
from trioqueue.domain.states import PartStatus


@attrs.frozen
class UnknownPart:
    """A part of which nobody knows whether it has left.

    Attributes:
        message_id: Its message.
        part_no: Its number, from 1.
        fence: The fence of the claim that last meant to send it: which attempt it is.
        part: What was sent, if it was.
        intended_at: When it was meant to leave, just before the request.
    """

    message_id: UUID
    part_no: int
    fence: int
    part: OutgoingPart
    intended_at: datetime


@attrs.frozen
class Delivered:
    """The gateway has taken the part over."""

    provider_message_id: str | None = None


@attrs.frozen
class NotDelivered:
    """The gateway vouches that it has not taken the part over and will not do so any more."""


@attrs.frozen
class CannotTell:
    """Nothing follows; a person decides, unless a later look-up does."""

    reason: str


LookedUp: TypeAlias = Delivered | NotDelivered | CannotTell
"""What came of a look-up."""


@attrs.frozen
class SettledPart:
    """What has become of an unknown part: `sent`, or `planned` to be sent again."""

    message_id: UUID
    part_no: int
    fence: int
    status: PartStatus
    provider_message_id: str | None = None


def settled(unknown: UnknownPart, looked_up: LookedUp) -> SettledPart | None:
    """What follows from a look-up; None for nothing."""
    match looked_up:
        case Delivered(provider_message_id=provider_message_id):
            status = PartStatus.SENT
        case NotDelivered():
            status, provider_message_id = PartStatus.PLANNED, None
        case CannotTell():
            return None
        case _:
            assert_never(looked_up)
    return SettledPart(unknown.message_id, unknown.part_no, unknown.fence, status, provider_message_id)
