"""Parts of unknown fate are settled by asking the gateway, where it can be asked, by any worker."""

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import attrs
import pytest
import trio
from structlog.testing import capture_logs

from tests.support.clock import passes, virtual_time
from tests.support.fakes import PARAGRAPHS, TEXT, FakeGateway, FakeStore, StoredMessage, StoredPart
from tests.worker.rig import Rig, worker
from trioqueue.domain.lookups import CannotTell, Delivered, LookedUp, NotDelivered
from trioqueue.domain.sends import OutgoingPart, Unknown
from trioqueue.domain.states import MessageStatus, PartStatus, RunStatus
from trioqueue.ports import StoreUnavailable
from trioqueue.worker.intake import Wakeup
from trioqueue.worker.reconciliation import ASKED_AT_ONCE, INTERVAL, Reconciliation
from trioqueue.worker.supervisor import Worker
from trioqueue.worker.tally import End

SENT, UNKNOWN, PLANNED = PartStatus.SENT, PartStatus.UNKNOWN, PartStatus.PLANNED
RIPE: Final = 61.0
"""Seconds after which a part of unknown fate may be asked about."""


@attrs.define(eq=False)
class FakeLookup:
    """A `ports.Lookup` that answers by script, or that it cannot tell."""

    script: deque[LookedUp | Exception] = attrs.field(factory=deque)
    takes: float = 0.0
    asked: list[OutgoingPart] = attrs.field(factory=list)
    told: set[tuple[datetime, float]] = attrs.field(factory=set)
    meanwhile: Callable[[], None] = lambda: None

    async def look_up(self, part: OutgoingPart, intended_at: datetime, *, timeout: float) -> LookedUp:
        self.asked.append(part)
        self.told.add((intended_at, timeout))
        await passes(self.takes)
        self.meanwhile()
        answer = self.script.popleft() if self.script else CannotTell("not found")
        if isinstance(answer, Exception):
            raise answer
        return answer


def add_unconfirmed(store: FakeStore, count: int = 1, *, part: int = 2) -> StoredMessage:
    """Store messages whose part `part` is of unknown fate, and return the last."""
    statuses = [SENT if number < part else UNKNOWN if number == part else PLANNED for number in (1, 2, 3)]
    for _ in range(count):
        parts = {n: StoredPart(body, statuses[n - 1], fence=1) for n, body in enumerate(PARAGRAPHS, start=1)}
        message = store.add(text=TEXT, parts=parts, status=MessageStatus.UNCONFIRMED, fence=1)
    return message


def reconciliation(store: FakeStore, lookup: FakeLookup, wakeup: Wakeup | None = None) -> Reconciliation:
    """A reconciliation with the usual time-out."""
    return Reconciliation(store, lookup, 10.0, (wakeup or Wakeup()).wake)


@pytest.mark.parametrize(
    ("looked_up", "part", "becomes", "parts"),
    [
        (Delivered("wamid"), 2, MessageStatus.PENDING, [SENT, SENT, PLANNED]),
        (Delivered("wamid"), 3, MessageStatus.SENT, [SENT, SENT, SENT]),
        (NotDelivered(), 2, MessageStatus.PENDING, [SENT, PLANNED, PLANNED]),
        (CannotTell("not found"), 2, MessageStatus.UNCONFIRMED, [SENT, UNKNOWN, PLANNED]),
        (OSError("a defect of the adapter"), 2, MessageStatus.UNCONFIRMED, [SENT, UNKNOWN, PLANNED]),
    ],
)
@virtual_time
async def test_what_the_gateway_says_settles_a_part(
    looked_up: LookedUp | Exception, part: int, becomes: MessageStatus, parts: list[PartStatus]
) -> None:
    """A part that arrived is sent, one that did not is planned again, one that cannot be told waits for a person."""
    store = FakeStore()
    message = add_unconfirmed(store, part=part)
    await passes(RIPE)
    await reconciliation(store, FakeLookup(deque([looked_up]))).run_once()

    assert (message.status, message.part_statuses()) == (becomes, parts)
    assert store.violations == []


@virtual_time
async def test_a_part_is_not_asked_about_at_once() -> None:
    """A request that was still on its way when its answer was given up has ended before anybody asks."""
    store, lookup = FakeStore(), FakeLookup()
    add_unconfirmed(store)
    await passes(59.0)
    await reconciliation(store, lookup).run_once()
    early = len(lookup.asked)
    await passes(2.0)
    await reconciliation(store, lookup).run_once()

    assert (early, len(lookup.asked)) == (0, 1)


@virtual_time
async def test_a_part_that_cannot_be_told_rests_longer_each_time() -> None:
    """In a day a gateway is asked about ten times about a part of which it knows nothing."""
    store, lookup = FakeStore(), FakeLookup()
    add_unconfirmed(store)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reconciliation(store, lookup).run)
        await passes(86_400.0)
        nursery.cancel_scope.cancel()

    assert 9 <= len(lookup.asked) <= 12


@virtual_time
async def test_a_round_is_bounded_and_its_parts_are_asked_about_together() -> None:
    """However many there are, a round takes as long as one look-up and asks about so many at most."""
    store, lookup = FakeStore(), FakeLookup(takes=9.0)
    add_unconfirmed(store, 3 * ASKED_AT_ONCE)
    await passes(RIPE)
    began = trio.current_time()
    await reconciliation(store, lookup).run_once()

    assert len(lookup.asked) == ASKED_AT_ONCE
    assert lookup.told == {(datetime.fromtimestamp(0, UTC), 10.0)}
    assert trio.current_time() - began == pytest.approx(9.0, abs=0.5)


@virtual_time
async def test_two_workers_do_not_ask_about_the_same_part() -> None:
    """While one worker asks about a part, another one leaves it alone."""
    store, lookup = FakeStore(), FakeLookup(takes=9.0)
    add_unconfirmed(store, 5)
    await passes(RIPE)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reconciliation(store, lookup).run_once)
        nursery.start_soon(reconciliation(store, lookup).run_once)

    assert len(lookup.asked) == len({part.idempotency_key for part in lookup.asked}) == 5


@virtual_time
async def test_a_part_that_was_sent_again_meanwhile_is_not_settled() -> None:
    """What the gateway says of one attempt says nothing of the next, which a person has asked for meanwhile."""
    store = FakeStore()
    message = add_unconfirmed(store)

    def sent_again() -> None:
        message.parts[2].fence = 2

    await passes(RIPE)
    await reconciliation(store, FakeLookup(deque([NotDelivered()]), meanwhile=sent_again)).run_once()

    assert (message.status, message.parts[2].status) == (MessageStatus.UNCONFIRMED, UNKNOWN)


@virtual_time
async def test_messages_of_a_cancelled_run_are_settled_too() -> None:
    """What is left of them is skipped."""
    store = FakeStore()
    message = add_unconfirmed(store)
    store.runs[message.run_id] = RunStatus.CANCELLED
    await passes(RIPE)
    await reconciliation(store, FakeLookup(deque([Delivered()]))).run_once()

    assert (message.status, message.parts[2].status) == (MessageStatus.SKIPPED, SENT)


@virtual_time
async def test_rounds_go_on_when_the_store_was_away() -> None:
    """A store that is away costs a round, before the look-up or after it, and nothing is settled wrongly."""
    store, lookup = FakeStore(), FakeLookup(deque([Delivered(), Delivered()]))
    message = add_unconfirmed(store)
    store.fail("take_unknown", *[StoreUnavailable("away")] * 2)
    store.fail("settle_unknown", StoreUnavailable("away"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reconciliation(store, lookup).run)
        await passes(3 * RIPE)
        nursery.cancel_scope.cancel()

    assert len(lookup.asked) == 2
    assert message.parts[2].status is SENT


@virtual_time
async def test_only_what_was_found_is_logged() -> None:
    """A round without parts says nothing; one that settles says how many arrived."""
    store = FakeStore()
    with capture_logs() as lines:
        await reconciliation(store, FakeLookup()).run_once()
        quiet = list(lines)
        add_unconfirmed(store, 3)
        await passes(RIPE)
        await reconciliation(store, FakeLookup(deque([Delivered(), NotDelivered()]))).run_once()

    assert quiet == []
    assert [line["event"] for line in lines] == [
        "the gateway cannot tell what became of a part", "the gateway told of unknown parts",
    ]  # fmt: skip
    assert (lines[1]["arrived"], lines[1]["not_arrived"]) == (1, 1)


def reconciling_worker(rig: Rig, lookup: FakeLookup | None) -> Worker:
    """A worker that may ask the gateway, and that looks for due messages once an hour."""
    rig.lookup = lookup
    return worker(rig, poll_interval=3600.0)


@virtual_time
async def test_a_worker_sends_what_is_due_again_at_once() -> None:
    """An idle daemon goes on with a message that the gateway has settled, long before it would look again."""
    rig = Rig(gateway=FakeGateway(script=deque([Unknown("lost")])))
    message = rig.store.add(text=TEXT)
    daemon = reconciling_worker(rig, FakeLookup(deque([NotDelivered()])))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(daemon.run)
        await passes(RIPE + INTERVAL + 1.0)
        daemon.drain.begin()

    assert message.status is MessageStatus.SENT
    assert daemon.tally.ends == {End.UNCONFIRMED: 1, End.SENT: 1}
    assert rig.store.violations == []


@virtual_time
async def test_a_batch_settles_before_it_claims() -> None:
    """One run of cron is enough to settle a message and to send the rest of it."""
    rig = Rig()
    message = add_unconfirmed(rig.store)
    await passes(RIPE)
    await reconciling_worker(rig, FakeLookup(deque([Delivered()]))).run_once(deadline=55.0, until_empty=False)

    assert message.status is MessageStatus.SENT
    assert rig.gateway.texts(message.conversation_id) == [PARAGRAPHS[2]]


@virtual_time
async def test_a_gateway_without_a_look_up_leaves_it_to_people() -> None:
    """Nothing of unknown fate is touched."""
    rig = Rig()
    message = add_unconfirmed(rig.store)
    await passes(RIPE)
    await reconciling_worker(rig, None).run_once(deadline=None, until_empty=True)

    assert message.status is MessageStatus.UNCONFIRMED
    assert "take_unknown" not in rig.store.calls
