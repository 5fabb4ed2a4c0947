"""What can come of sending one part: a closed set, after SPEC 4.2.

The distinction that matters is whether the part may have reached the lead. What each answer of a gateway means is
read beside the gateway, in trioqueue/gateways/.
"""

from typing import TypeAlias
from uuid import UUID

import attrs


@attrs.frozen
class OutgoingPart:
    """One part on its way out.

    Attributes:
        conversation_id: Where it goes.
        text: What is sent.
        idempotency_key: The same for every attempt to send this part, and for no other part.
    """

    conversation_id: UUID
    text: str
    idempotency_key: str


@attrs.frozen
class Sent:
    """The gateway has taken the part over."""

    provider_message_id: str | None = None


@attrs.frozen
class NotSent:
    """The part has certainly not left (no connection, rate limit); it may be tried again.

    `retry_after` is in seconds when the gateway says when, None otherwise.
    """

    reason: str
    retry_after: float | None = None


@attrs.frozen
class Rejected:
    """The gateway said no before sending: nothing left, and the same part may be offered again later."""

    reason: str


@attrs.frozen
class SenderAtFault:
    """The gateway does not let us send at all (key, permission): nothing left, and the run pauses."""

    reason: str


@attrs.frozen
class Unknown:
    """The part may or may not have left; never sent again by itself."""

    reason: str


SendOutcome: TypeAlias = Sent | NotSent | Rejected | SenderAtFault | Unknown
"""The outcome of sending one part."""


def idempotency_key(message_id: UUID, part_no: int) -> str:
    """The key of a part: the same for every attempt, and for no other part."""
    return f"{message_id}:{part_no}"
