"""Several workers on one store, one of them in trouble: nothing leaves twice, nothing is lost, nothing stays held."""

import random
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final, cast

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.clock import passes, virtual_time
from tests.support.fake_store import RUN_ID
from tests.support.fakes import TEXT, FakeGateway, FakeModel, FakeStore, Takes, generated
from tests.worker.rig import LEASE, Rig, worker
from trioqueue.domain.completions import Completion, CompletionRequest, RateLimited, Transient
from trioqueue.domain.lookups import CannotTell, Delivered, LookedUp, NotDelivered
from trioqueue.domain.sends import NotSent, OutgoingPart, Rejected, SendOutcome, Sent, Unknown
from trioqueue.domain.states import MessageStatus, PartStatus
from trioqueue.ports import StoreUnavailable
from trioqueue.worker.supervisor import Worker

FINAL: Final = {MessageStatus.SENT, MessageStatus.FAILED, MessageStatus.UNCONFIRMED}
DELAYS: Final = (0.0, 0.0, 0.1, 1.0, 12.0, 45.0)


@attrs.define(eq=False)
class Troubled:
    """The store as a worker in trouble sees it: slow, and lost before or after it did what it was asked."""

    store: FakeStore
    chance: random.Random
    over: bool = False

    def __getattr__(self, name: str) -> Any:
        return partial(self._call, getattr(self.store, name))

    async def _call(self, method: Callable[..., Any], *args: Any, **named: Any) -> Any:
        await self._trouble()
        result = await method(*args, **named)
        await self._trouble()
        return result

    async def _trouble(self) -> None:
        if self.over:
            return
        await passes(self.chance.choice(DELAYS))
        if self.chance.random() < 0.15:
            raise StoreUnavailable("lost")


@attrs.define(eq=False)
class CountingGateway(FakeGateway):
    """Answers at random, and counts how often each part may have left."""

    chance: random.Random = attrs.field(factory=random.Random)
    may_have_left: Counter[str] = attrs.field(factory=Counter)

    async def send(self, part: OutgoingPart, *, timeout: float) -> SendOutcome:
        self.may_have_left[part.idempotency_key] += 1
        outcomes: list[SendOutcome] = [NotSent("no"), NotSent("429", 5.0), Rejected("400"), Unknown("lost")]
        outcomes += [Sent("id")] * 6
        self.script.append(Takes(self.chance.choice([0.0, 2.0, 9.0, 11.0]), self.chance.choice(outcomes)))
        outcome = await FakeGateway.send(self, part, timeout=timeout)
        if isinstance(outcome, NotSent | Rejected):
            self.may_have_left[part.idempotency_key] -= 1
        return outcome


@attrs.define(eq=False)
class HonestLookup:
    """Decides for each attempt of unknown fate whether it arrived, and says the same whenever it is asked."""

    gateway: CountingGateway
    chance: random.Random
    over: bool = False
    decided: dict[tuple[str, int], bool] = attrs.field(factory=dict)

    async def look_up(self, part: OutgoingPart, intended_at: datetime, *, timeout: float) -> LookedUp:
        await passes(min(self.chance.choice([0.0, 2.0, 9.0]), timeout))
        if not self.over and self.chance.random() < 0.3:
            return CannotTell(f"not found since {intended_at}")
        key = part.idempotency_key
        attempt = key, sum(offered.idempotency_key == key for offered in self.gateway.offered)
        if attempt not in self.decided:
            self.decided[attempt] = self.chance.random() < 0.5
            self.gateway.may_have_left[key] -= not self.decided[attempt]
        return Delivered("id") if self.decided[attempt] else NotDelivered()


@attrs.define(eq=False)
class RandomModel(FakeModel):
    """Answers at random."""

    chance: random.Random = attrs.field(factory=random.Random)

    async def complete(self, request: CompletionRequest, *, timeout: float) -> Completion:
        if self.chance.random() < 0.4:
            answers: list[Completion] = [Transient("503"), RateLimited("429", 5.0), generated()]
            return await self._after(self.chance.choice([0.5, 8.0]), self.chance.choice(answers))
        return await FakeModel.complete(self, request, timeout=timeout)

    async def _after(self, seconds: float, completion: Completion) -> Completion:
        await passes(seconds)
        return completion


async def cut_short(doomed: Worker, seconds: float) -> None:
    """Run a worker and kill it after a time."""
    with trio.move_on_after(seconds):
        await keep_running(doomed)


async def keep_running(living: Worker) -> None:
    """Run a worker, and start it again while it finds no store."""
    while not living.drain.begun:
        try:
            await living.run()
        except StoreUnavailable:
            await passes(1.0)


async def finish(rig: Rig) -> None:
    """Run batch after batch until nothing is left to do; a dead worker's lease has run out before."""
    await passes(2 * LEASE)
    for _ in range(30):
        again = Rig(store=rig.store, model=rig.model, gateway=rig.gateway, lookup=rig.lookup)
        await worker(again, skip_after=1e6).run_once(deadline=None, until_empty=True)
        await passes(1800.0)


@pytest.mark.parametrize("idempotent", [False, True])
@settings(deadline=None)
@given(st.integers(0, 2**32), st.floats(5, 200), st.floats(1, 200), st.booleans())
@virtual_time
async def test_nothing_leaves_twice(
    idempotent: bool, seed: int, dies_after: float, drains_after: float, has_budget: bool
) -> None:
    """Whatever befalls one worker while others take its messages, no part leaves twice and no message stays behind.

    Where they have a budget nothing stays reserved in it, and all that was spent is counted.
    """
    chance = random.Random(seed)
    gateway = CountingGateway(chance=chance, idempotent=idempotent)
    sound = Rig(model=RandomModel(chance=chance), gateway=gateway)
    sound.store.add(8)
    if has_budget:
        sound.store.budget.limit(RUN_ID, max_tokens=1_000_000, max_cost_usd=Decimal(1000))
    troubled = Troubled(sound.store, chance)
    doomed = worker(Rig(store=cast("FakeStore", troubled), model=sound.model, gateway=gateway), skip_after=1e6)
    second = worker(sound, skip_after=1e6)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(cut_short, doomed, dies_after)
        nursery.start_soon(keep_running, second)
        await passes(drains_after)
        second.drain.begin()
    troubled.over = True
    await finish(sound)

    messages = sound.store.messages.values()
    budget = sound.store.budget.of(RUN_ID)
    assert (budget.reserved.tokens, budget.unpriced) == (0, 0)
    assert not has_budget or budget.counted.tokens >= sum(message.spent.tokens for message in messages)
    assert {message.status for message in messages} <= FINAL
    assert not sound.store.violations
    if not idempotent:
        assert not [key for key, times in gateway.may_have_left.items() if times > 1]
    for message in messages:
        texts = gateway.texts(message.conversation_id)
        if message.status is MessageStatus.SENT:
            assert set(message.part_statuses()) == {PartStatus.SENT}
            assert "\n\n".join(dict.fromkeys(texts)) == TEXT
        if message.status is MessageStatus.UNCONFIRMED:
            assert message.part_statuses().count(PartStatus.UNKNOWN) == 1


@settings(deadline=None)
@given(st.integers(0, 2**32), st.floats(5, 200), st.floats(1, 200))
@virtual_time
async def test_with_a_look_up_nothing_stays_unconfirmed(seed: int, dies_after: float, drains_after: float) -> None:
    """Where the gateway can be asked, every message is sent or has failed in the end, and nothing leaves twice."""
    chance = random.Random(seed)
    gateway = CountingGateway(chance=chance)
    lookup = HonestLookup(gateway, chance)
    sound = Rig(model=RandomModel(chance=chance), gateway=gateway, lookup=lookup)
    sound.store.add(8)
    troubled = Troubled(sound.store, chance)
    doomed = Rig(store=cast("FakeStore", troubled), model=sound.model, gateway=gateway, lookup=lookup)
    second = worker(sound, skip_after=1e6)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(cut_short, worker(doomed, skip_after=1e6), dies_after)
        nursery.start_soon(keep_running, second)
        await passes(drains_after)
        second.drain.begin()
    troubled.over = lookup.over = True
    await finish(sound)

    assert {message.status for message in sound.store.messages.values()} <= {MessageStatus.SENT, MessageStatus.FAILED}
    assert not sound.store.violations
    assert not [key for key, times in gateway.may_have_left.items() if times > 1]
    for message in sound.store.messages.values():
        if message.status is MessageStatus.SENT:
            assert set(message.part_statuses()) == {PartStatus.SENT}
