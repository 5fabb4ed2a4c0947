"""What follows from a look-up."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from trioqueue.domain.lookups import CannotTell, Delivered, LookedUp, NotDelivered, SettledPart, UnknownPart, settled
from trioqueue.domain.sends import OutgoingPart
from trioqueue.domain.states import PartStatus

MESSAGE = UUID(int=1)
UNKNOWN = UnknownPart(MESSAGE, 2, 7, OutgoingPart(UUID(int=2), "Oi", "key"), datetime(2026, 8, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("looked_up", "follows"),
    [
        (Delivered("wamid.2"), SettledPart(MESSAGE, 2, 7, PartStatus.SENT, "wamid.2")),
        (Delivered(), SettledPart(MESSAGE, 2, 7, PartStatus.SENT)),
        (NotDelivered(), SettledPart(MESSAGE, 2, 7, PartStatus.PLANNED)),
        (CannotTell("not found"), None),
    ],
)
def test_what_follows_from_a_look_up(looked_up: LookedUp, follows: SettledPart | None) -> None:
    """The attempt that was asked about is settled by an answer that tells something, and by no other."""
    assert settled(UNKNOWN, looked_up) == follows
