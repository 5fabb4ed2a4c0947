"""The intake: slots before rows, a freed slot refilled at once, no slot and no message lost."""

import random
from collections import Counter, deque
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from tests.support.clock import passes, virtual_time
from tests.support.fakes import FakeModel, FakeStore, ModelStep, Takes, generated
from tests.worker.rig import Rig, running
from trioqueue.domain.completions import MessageAtFault, RateLimited
from trioqueue.domain.errors import TrioqueueError
from trioqueue.domain.messages import ClaimedMessage
from trioqueue.domain.sends import NotSent, Unknown
from trioqueue.domain.states import MessageStatus
from trioqueue.ports import StoreUnavailable
from trioqueue.worker.intake import Wakeup
from trioqueue.worker.tally import End


class DatabaseRefused(TrioqueueError):
    """The store is there and does not want it."""


class WatchedStore(FakeStore):
    """Notes what was asked of each claim, what it gave, and how many slots were borrowed meanwhile."""

    def __init__(self, limiter: trio.CapacityLimiter) -> None:
        super().__init__()
        self.limiter = limiter
        self.claims: list[tuple[int, int]] = []
        self.short_of_slots: list[int] = []

    def _claim_due(self, owner: UUID, count: int, avoided: Collection[str]) -> Sequence[ClaimedMessage]:
        claimed = super()._claim_due(owner, count, avoided)
        self.claims.append((count, len(claimed)))
        held = sum(message.owner is not None for message in self.messages.values())
        if held > self.limiter.borrowed_tokens:
            self.short_of_slots.append(held)
        return claimed


class HeldByOthers(FakeStore):
    """What is due is locked by another worker."""

    asked = 0

    def _claim_due(self, owner: UUID, count: int, avoided: Collection[str]) -> Sequence[ClaimedMessage]:
        self.asked += 1
        return super()._claim_due(owner, 0 * count, avoided)


def watched(slots: int, **changes: Any) -> tuple[Rig, WatchedStore]:
    """A rig with so many slots whose claims are watched."""
    limiter = trio.CapacityLimiter(slots)
    store = WatchedStore(limiter)
    return Rig(store=store, limiter=limiter, **changes), store


@virtual_time
async def test_no_more_in_flight_than_slots() -> None:
    """With five slots, five messages are worked on together, and each row that is held has a slot of its own."""
    rig, store = watched(5, model=FakeModel(takes=3.0))
    store.add(40, split=False)
    async with running(rig), trio.open_nursery() as messages:
        await rig.intake().run_until_empty(messages)

    assert rig.model.in_flight.most == 5
    assert store.short_of_slots == []
    assert rig.tally.ends == {End.SENT: 40}
    assert rig.limiter.borrowed_tokens == 0


@virtual_time
async def test_a_batch_of_20_is_worked_on_at_once() -> None:
    """With slots for all, a batch takes as long as one message."""
    rig, store = watched(20, model=FakeModel(takes=3.0))
    store.add(20, split=False)
    async with running(rig), trio.open_nursery() as messages:
        await rig.intake(batch_size=20).run_batch(messages)

    assert rig.model.in_flight.most == 20
    assert trio.current_time() == 3.0


@virtual_time
async def test_a_freed_slot_is_refilled_at_once() -> None:
    """While one message takes for ever, the other slots go on: nobody waits for the slowest of a chunk."""
    rig, store = watched(5, model=FakeModel(generate=deque([Takes(29.0, generated())]), takes=1.0))
    store.add(21, split=False)
    async with running(rig), trio.open_nursery() as messages:
        messages.start_soon(rig.intake().run_until_empty, messages)
        await passes(5.5)

        assert rig.tally.ends[End.SENT] == 20
        assert rig.model.in_flight.now == 1


@pytest.mark.parametrize(("slots", "batch"), [(5, 15), (50, 15), (5, 1), (1, 7)])
@virtual_time
async def test_a_batch_claims_no_more_than_its_size(slots: int, batch: int) -> None:
    """One batch is at most its size, however many slots there are and whatever is due."""
    rig, store = watched(slots)
    store.add(60, split=False)
    async with running(rig), trio.open_nursery() as messages:
        await rig.intake(batch_size=batch).run_batch(messages)

    assert rig.tally.claimed == sum(given for _, given in store.claims) == batch
    assert max(asked for asked, _ in store.claims) <= min(slots, batch)
    assert rig.tally.ends == {End.SENT: batch}


@virtual_time
async def test_a_batch_ends_when_nothing_is_due() -> None:
    """A batch that is not full is done; what is due later is left for later."""
    rig, store = watched(5)
    store.add(3, split=False)
    later = store.add(scheduled_at=100.0)
    async with running(rig), trio.open_nursery() as messages:
        await rig.intake().run_batch(messages)

    assert rig.tally.claimed == 3
    assert later.status is MessageStatus.PENDING
    assert trio.current_time() == 0.0


@virtual_time
async def test_nothing_is_claimed_once_the_drain_has_begun() -> None:
    """Neither a new claim nor one that waits for a slot follows the beginning of the drain."""
    rig, store = watched(2, model=FakeModel(takes=3.0))
    store.add(10, split=False)
    async with running(rig), trio.open_nursery() as messages:
        messages.start_soon(rig.intake().run, messages)
        await passes(1.0)
        rig.drain.begin()

    assert store.calls.count("claim") == 1
    assert rig.tally.claimed == 2
    assert rig.tally.ends == {End.RELEASED: 2}
    assert rig.limiter.borrowed_tokens == 0


@virtual_time
async def test_what_is_claimed_while_the_drain_begins_is_given_back() -> None:
    """A claim that was on its way when the drain began comes to nothing: its messages are released unwritten."""
    rig, store = watched(5)
    store.add(5)
    gate = store.hold("claim")
    async with running(rig), trio.open_nursery() as messages:
        messages.start_soon(rig.intake().run, messages)
        await trio.testing.wait_all_tasks_blocked()
        rig.drain.begin()
        gate.set()

    assert rig.tally.ends == {End.RELEASED: 5}
    assert rig.model.requests == []
    assert {message.status for message in store.messages.values()} == {MessageStatus.PENDING}


@virtual_time
async def test_a_store_that_is_away_is_asked_again() -> None:
    """A claim that finds the store away is repeated until it is back, and no slot is lost over it."""
    rig, store = watched(5)
    store.add(3, split=False)
    store.fail("claim", *(StoreUnavailable("away") for _ in range(4)))
    async with running(rig), trio.open_nursery() as messages:
        await rig.intake().run_until_empty(messages)

    assert rig.tally.ends == {End.SENT: 3}
    assert trio.current_time() == pytest.approx(0.1 + 0.2 + 0.4 + 0.8)
    assert rig.limiter.borrowed_tokens == 0


@virtual_time
async def test_a_drain_does_not_wait_for_a_store_that_is_away() -> None:
    """The drain ends an intake that waits for the store at once."""
    rig, store = watched(5)
    store.fail("claim", *(StoreUnavailable("away") for _ in range(100)))
    async with running(rig), trio.open_nursery() as messages:
        messages.start_soon(rig.intake().run, messages)
        await passes(17.0)
        rig.drain.begin()

    assert trio.current_time() == 17.0
    assert rig.limiter.borrowed_tokens == 0


@virtual_time
async def test_nothing_is_claimed_without_a_lease() -> None:
    """A worker whose lease has run out claims nothing until its heartbeat is written again."""
    rig, store = watched(5)
    store.add(3, split=False)
    store.fail("beat", *(StoreUnavailable("away") for _ in range(10)))
    async with trio.open_nursery() as services:
        services.start_soon(rig.ledger.run)
        services.start_soon(rig.heartbeat.run)
        services.start_soon(rig.gates.sharing.run)
        async with trio.open_nursery() as messages:
            messages.start_soon(rig.intake().run_until_empty, messages)
            await passes(30.0)

            assert "claim" not in store.calls
        services.cancel_scope.cancel()

    assert rig.tally.ends == {End.SENT: 3}


@virtual_time
async def test_a_wakeup_ends_an_idle_wait() -> None:
    """An idle intake looks again when it is woken, and by itself after its interval."""
    rig, store = watched(5)
    wakeup = Wakeup()
    async with running(rig), trio.open_nursery() as messages:
        messages.start_soon(rig.intake(wakeup=wakeup, poll_interval=1000.0).run, messages)
        await passes(100.0)
        store.add(split=False)
        wakeup.wake()
        await passes(1.0)

        assert rig.tally.ends == {End.SENT: 1}
        store.add(split=False)
        await passes(1000.0)

        assert rig.tally.ends == {End.SENT: 2}
        rig.drain.begin()


@virtual_time
async def test_a_wakeup_during_a_claim_is_not_lost() -> None:
    """A run that is started while the intake looks is found at once, although the look came too early for it."""
    rig, store = watched(5)
    wakeup = Wakeup()
    store.takes = 2.0
    async with running(rig), trio.open_nursery() as messages:
        messages.start_soon(rig.intake(wakeup=wakeup, poll_interval=1000.0).run, messages)
        await passes(1.0)
        message = store.add(split=False, scheduled_at=3.0)
        wakeup.wake()
        await passes(20.0)

        assert message.status is MessageStatus.SENT
        rig.drain.begin()


@virtual_time
async def test_an_idle_intake_only_looks() -> None:
    """While nothing is due an idle worker asks one thing at each polling interval, which is its heartbeat as well."""
    rig, store = watched(5)
    async with running(rig), trio.open_nursery() as messages:
        messages.start_soon(rig.intake(poll_interval=10.0).run, messages)
        await passes(3600.0)

        assert len(store.claims) == 1
        assert set(store.calls) == {"beat", "claim"}
        assert store.calls.count("beat") <= 3600 / 7.5 + 2
        rig.drain.begin()


@virtual_time
async def test_what_becomes_due_is_claimed_then() -> None:
    """A message is claimed when it is due, however long the polling interval is."""
    rig, store = watched(5)
    store.add(split=False, scheduled_at=123.0)
    store.add(split=False, scheduled_at=123.5)
    async with running(rig), trio.open_nursery() as messages:
        messages.start_soon(rig.intake(poll_interval=1000.0).run, messages)
        await passes(122.9)

        assert len(store.claims) == 1
        await passes(0.2)

        assert rig.tally.ends == {End.SENT: 1}
        await passes(0.6)

        assert rig.tally.ends == {End.SENT: 2}
        rig.drain.begin()


@virtual_time
async def test_what_cannot_be_claimed_is_left_alone_longer_and_longer() -> None:
    """A message that is due and that the claim does not give is asked for again after as long as it has been due."""
    store = HeldByOthers()
    rig = Rig(store=store)
    store.add(split=False)
    async with running(rig), trio.open_nursery() as messages:
        messages.start_soon(rig.intake(poll_interval=10.0).run, messages)
        await passes(10.0)

        assert 5 <= store.asked <= 12
        await passes(100.0)

        assert 10 + 5 <= store.asked <= 14 + 12
        rig.drain.begin()


@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(1, 25), st.sampled_from([None, 0.5, 3.0, 40.0]))
@virtual_time
async def test_no_slot_leaks_and_no_message_is_held_without_one(
    seed: int, slots: int, count: int, drain_after: float | None
) -> None:
    """Whatever happens to the messages and to the store: in the end every slot is free and no message is held."""
    chance = random.Random(seed)
    rig, store = watched(slots)
    outcomes: list[ModelStep] = [
        generated(),
        MessageAtFault("refused"),
        RateLimited("429", 90.0),
        OSError(),
        Takes(40.0, generated()),
    ]
    rig.model.generate.extend(chance.choices(outcomes, k=count))
    rig.gateway.script.extend(
        chance.choices([NotSent("no"), Unknown("lost"), OSError(), Takes(5.0, NotSent("no"))], k=5)
    )
    store.add(count, split=False)
    store.takes = chance.choice([0.0, 0.2])
    for method in ("claim", "commit"):
        store.fail(method, *(StoreUnavailable("away") for _ in range(chance.randrange(4))))
    async with running(rig), trio.open_nursery() as messages:
        if drain_after is not None:
            messages.start_soon(partial(drain_later, rig, drain_after))
        await rig.intake(batch_size=4).run_until_empty(messages)

    assert rig.limiter.borrowed_tokens == 0
    assert store.short_of_slots == []
    assert sum(rig.tally.ends.values()) == rig.tally.claimed
    held = Counter(message.status for message in store.messages.values())
    assert not held[MessageStatus.GENERATING] + held[MessageStatus.SENDING]


async def drain_later(rig: Rig, seconds: float) -> None:
    """Begin the drain after a time."""
    await passes(seconds)
    rig.drain.begin()


@virtual_time
async def test_a_slot_goes_from_one_message_to_the_next() -> None:
    """The commit that ends a message claims the next one: the intake claims only for slots that were empty."""
    rig, store = watched(5, model=FakeModel(takes=3.0))
    store.add(40, split=False)
    async with running(rig), trio.open_nursery() as messages:
        await rig.intake().run_until_empty(messages)

    assert rig.tally.ends == {End.SENT: 40}
    assert store.calls.count("claim") == 2  # the first five, and that there are no more


@virtual_time
async def test_no_successor_once_the_drain_has_begun() -> None:
    """What ends during a drain is followed by nothing."""
    rig, store = watched(2, model=FakeModel(takes=3.0))
    store.add(10, split=False)
    gate = store.hold("commit")
    async with running(rig), trio.open_nursery() as messages:
        messages.start_soon(partial(rig.intake().run_until_empty, messages))
        await passes(4.0)
        rig.drain.begin()
        gate.set()

    assert rig.tally.claimed == 2
    assert all(message.owner is None for message in store.messages.values())


@virtual_time
async def test_a_refused_claim_costs_no_fact() -> None:
    """Where the claim of successors is refused, the ends are written all the same."""

    class ClaimsRefused(FakeStore):
        async def commit_and_claim(self, *_arguments: object) -> Any:
            raise DatabaseRefused("no")

    rig = Rig(store=ClaimsRefused())
    rig.store.add(12, split=False)
    async with running(rig), trio.open_nursery() as messages:
        await rig.intake().run_until_empty(messages)

    assert rig.tally.ends == {End.SENT: 12}
