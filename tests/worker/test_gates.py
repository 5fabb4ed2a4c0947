"""Rate limits and faults of a model stop all messages of all workers; one probe finds out when they are over."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import attrs
import pytest
import trio

from tests.support.clock import passes, virtual_time
from tests.support.fake_store import StoredGate
from tests.support.fakes import FakeModel, FakeStore, generated
from tests.worker.rig import Rig, make_gates, worker
from trioqueue.domain.attempts import AttemptFailed, CallEnd, WaitLonger
from trioqueue.domain.completions import Completion, CompletionRequest, RateLimited, Transient, Usable
from trioqueue.domain.gates import FAULTS_TO_SHUT, Cause
from trioqueue.domain.prompts import generation_request
from trioqueue.worker.calls import Bill, ModelCalls
from trioqueue.worker.gates import BRIEFLY, Gates, Passage
from trioqueue.worker.standstill import Standstill
from trioqueue.worker.tally import End

MODEL = "asked/model"
ANOTHER = "another/model"
KEY = ("account", MODEL)


@attrs.define(eq=False)
class TroubledModel(FakeModel):
    """Answers every call after a second, until a time with a fault.

    Attributes:
        trouble: The fault of each model.
        until: When it ends.
        asked_at: When each call began, by model.
    """

    trouble: dict[str, Completion] = attrs.field(factory=dict)
    until: float = 0.0
    asked_at: dict[str, list[float]] = attrs.field(factory=lambda: {MODEL: [], ANOTHER: []})

    async def complete(self, request: CompletionRequest, *, timeout: float) -> Completion:  # noqa: ARG002 - never late
        await passes(0)
        self.asked_at[request.model].append(trio.current_time())
        fault = self.trouble.get(request.model)
        with self.in_flight:
            await passes(1.0)
        return fault if fault is not None and trio.current_time() < self.until else generated(model=request.model)


@attrs.define(eq=False)
class Fleet:
    """Workers of one account: their gates, the calls that their messages make, and how those ended.

    Attributes:
        store: What they share.
        model: What they call.
        workers: Each one's calls.
        ends: The ends of all calls.
    """

    store: FakeStore
    model: TroubledModel
    workers: list[ModelCalls]
    gates: list[Gates]
    ends: list[CallEnd] = attrs.field(factory=list)

    async def call(self, worker: int = 0, left: float = 30.0, stand_ins: Sequence[str] = ()) -> CallEnd:
        """One call of a message that has some seconds left."""
        request = generation_request(MODEL, "instructions", {})
        with trio.fail_after(left):
            end = await self.workers[worker].call(request, Bill(), timeout=30.0, stand_ins=stand_ins)
        self.ends.append(end)
        return end

    async def call_all(self, count: int, left: float = 30.0) -> None:
        """So many calls of every worker at once, to their ends."""
        async with trio.open_nursery() as nursery:
            for worker in range(len(self.workers)):
                for _ in range(count):
                    nursery.start_soon(self.call, worker, left)


@asynccontextmanager
async def fleet(count: int = 1, model: TroubledModel | None = None, **changes: Any) -> AsyncIterator[Fleet]:
    """So many workers that have messages in flight."""
    store, model = FakeStore(), model or TroubledModel()
    gates = [make_gates(store, held={uuid4()}, **changes) for _ in range(count)]
    async with trio.open_nursery() as services:
        for each in gates:
            services.start_soon(each.sharing.run)
        yield Fleet(store, model, [ModelCalls(model, each, random.Random(1)) for each in gates], gates)
        services.cancel_scope.cancel()


def limited(seconds: float) -> TroubledModel:
    """A model that limits calls for some seconds, and says when to come back."""
    return TroubledModel(trouble={MODEL: RateLimited("429", seconds)}, until=seconds)


@virtual_time
async def test_a_rate_limit_stops_all_workers_and_one_probe_ends_it() -> None:
    """During a cool-down no worker calls but those under way; after it one call is made, and when it is answered all.

    The calls under way when the limit is met are at most those in flight.
    """
    async with fleet(3, limited(10.0)) as workers:
        await workers.call_all(20)

    asked = workers.model.asked_at[MODEL]
    assert [type(end) for end in workers.ends] == [Usable] * 60
    assert sum(at < 1.0 for at in asked) == 60
    during = [at for at in asked if 1.0 <= at < 11.0]
    after = [at for at in asked if at >= 11.0]

    assert during == []
    assert len([at for at in after if at < 12.0]) == 1
    assert len(after) == 60
    assert workers.store.gates == {}


@virtual_time
async def test_other_workers_hear_of_it_within_a_second() -> None:
    """A worker that met no limit itself calls no more a second after another did."""
    async with fleet(2, limited(15.0)) as workers:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(workers.call, 0)
            await passes(1.9)
            nursery.start_soon(workers.call, 1)

        assert [at for at in workers.model.asked_at[MODEL] if at < 16.0] == [0.0]


@virtual_time
async def test_a_worker_that_was_idle_asks_first() -> None:
    """A worker without messages in flight asks nobody; before its first call it asks for what others have found."""
    async with fleet(1) as workers:
        idle = make_gates(workers.store)
        async with trio.open_nursery() as services:
            services.start_soon(idle.sharing.run)
            await passes(100.0)
            before = len(workers.store.calls)
            workers.store.gates[KEY] = StoredGate(1000.0, Cause.RATE_LIMIT, "429", 0)
            entered = await idle.enter(MODEL, timeout=30.0)
            services.cancel_scope.cancel()

    assert entered == WaitLonger(900.0, "429")
    assert len(workers.store.calls) <= before + 3


@virtual_time
async def test_a_probe_that_is_given_up_is_made_by_another() -> None:
    """When the message of the probe is cancelled, the next one in line makes it at once."""
    async with fleet(2, limited(5.0)) as workers:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(workers.call, 0)
                await passes(6.5)  # the probe is under way
                scope.cancel()
        await workers.call(1)

    assert workers.model.asked_at[MODEL] == [0.0, 6.0, 6.5, pytest.approx(6.5)][:3]
    assert isinstance(workers.ends[-1], Usable)


@virtual_time
async def test_the_probe_of_a_dead_worker_is_made_by_another() -> None:
    """A worker that died with the probe holds it until its lease has run out."""
    async with fleet(1) as workers:
        dead = uuid4()
        workers.store.workers[dead] = (0.0, 35.0)
        workers.store.gates[KEY] = StoredGate(0.0, Cause.RATE_LIMIT, "429", 0, dead, probe_until=60.0)
        first = await workers.call()
        early = [*workers.model.asked_at[MODEL]]
        await passes(40.0)
        await workers.call()

    assert (first, early) == (WaitLonger(BRIEFLY, "429"), [])
    assert [type(end) for end in workers.ends] == [WaitLonger, Usable]


@virtual_time
async def test_without_the_store_each_acts_on_what_it_knows() -> None:
    """While the store is away messages are written, and a model that limits is left alone and not probed."""
    async with fleet(1, limited(5.0)) as workers:
        workers.store.away = True
        await workers.call_all(3)
        workers.store.away = False
        await workers.call()

    assert workers.model.asked_at[MODEL][:3] == [0.0] * 3
    assert all(at >= 25.0 for at in workers.model.asked_at[MODEL][3:])
    assert [type(end) for end in workers.ends] == [WaitLonger] * 3 + [Usable]


@pytest.mark.parametrize(("cooling", "left", "fits"), [(60.0, 100.0, True), (60.1, 100.0, False), (26.0, 30.0, False)])
@virtual_time
async def test_a_wait_that_does_not_fit_is_not_begun(cooling: float, left: float, fits: bool) -> None:
    """A cool-down of more than a minute, or that leaves too little time for the call, is told at once."""
    async with fleet(1) as workers:
        workers.store.gates[KEY] = StoredGate(cooling, Cause.RATE_LIMIT, "429", 0)
        ended = await workers.call(left=left)

        assert isinstance(ended, Usable) == fits
        assert trio.current_time() == (cooling + 1.0 if fits else 0.0)


@virtual_time
async def test_a_call_gets_no_chance_where_too_little_time_is_left_after_a_wait() -> None:
    """When others hold a message up until a sixth of its call's time-out is left, it is snoozed without a call."""
    async with fleet(1, concurrency=1) as workers:
        [held] = [await workers.gates[0].enter(MODEL, timeout=30.0)]
        ended = await workers.call()

        assert isinstance(held, Passage)
        assert ended == WaitLonger(BRIEFLY, "other messages are waiting for the model")
        assert trio.current_time() == 25.0


@virtual_time
async def test_a_rate_limit_halves_the_calls_under_way() -> None:
    """After a cool-down half as many calls are made at once, in the order in which they came, and slowly more again."""
    async with fleet(1, limited(5.0), concurrency=20) as workers:
        await workers.call_all(20)
        workers.model.in_flight.most = 0
        await workers.call_all(20)
        first = workers.model.in_flight.most
        workers.model.in_flight.most = 0
        for _ in range(20):
            await workers.call_all(20)

    assert first in (11, 12)
    assert workers.model.in_flight.most == 20
    assert {type(end) for end in workers.ends} == {Usable}


@virtual_time
async def test_the_limit_can_be_kept() -> None:
    """Where the concurrency is not adaptive, all go on after the probe."""
    async with fleet(1, limited(5.0), concurrency=20, adaptive=False) as workers:
        await workers.call_all(20)
        await workers.call_all(20)

    assert workers.model.in_flight.most == 20
    assert sorted(workers.model.asked_at[MODEL])[-20:] == [pytest.approx(8.0)] * 20


@virtual_time
async def test_no_message_is_claimed_that_could_only_wait() -> None:
    """A model is avoided while it is shut for longer than messages can wait, and while a crowd waits for it."""
    async with fleet(1, limited(1000.0), concurrency=2) as workers:
        [gates] = workers.gates
        unknown = gates.avoided()
        await workers.call()
        shut, long = gates.avoided(), gates.long_waits()
        await passes(975.0)
        soon = gates.avoided()

        assert (unknown, shut, soon) == ([], [MODEL], [])
        assert long == {MODEL: 1000.0}

    async with fleet(1, concurrency=2) as workers, trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(workers.call)
        await passes(0.5)

        assert workers.gates[0].avoided() == [MODEL]
    assert workers.gates[0].avoided() == []


@virtual_time
async def test_persistent_faults_cost_no_attempts() -> None:
    """When the service fails every call, messages are snoozed but for those of probes; once it is back, all succeed."""
    model = TroubledModel(trouble={MODEL: Transient("503")}, until=40.0)
    async with fleet(2, model) as workers:
        await workers.call_all(10)
        ends = [*workers.ends]
        await passes(60.0)
        await workers.call_all(10)

    failed = [end for end in ends if isinstance(end, AttemptFailed)]
    snoozed = [end for end in ends if isinstance(end, WaitLonger)]

    assert len(failed) <= 2
    assert len(failed) + len(snoozed) == 20
    assert {end.cause for end in snoozed} == {Cause.FAULTS}
    assert len([at for at in model.asked_at[MODEL] if 8.0 < at < 40.0]) <= 3
    assert [type(end) for end in workers.ends[20:]] == [Usable] * 20


@pytest.mark.parametrize("trouble", [Transient("503"), RateLimited("429", 600.0)], ids=["faults", "limit"])
@virtual_time
async def test_another_model_stands_in(trouble: Completion) -> None:
    """What could only wait for its own model is asked of the one that stands in, at once; its own is used again."""
    model = TroubledModel(trouble={MODEL: trouble}, until=500.0)
    async with fleet(1, model) as workers:
        with trio.move_on_after(15.0):
            await workers.call_all(FAULTS_TO_SHUT, 100.0)
        workers.ends.clear()
        began = trio.current_time()
        ended = await workers.call(stand_ins=[ANOTHER])
        took = trio.current_time() - began
        await passes(700.0)
        later = await workers.call(stand_ins=[ANOTHER])

    assert isinstance(ended, Usable)
    assert isinstance(later, Usable)
    assert (ended.model, later.model) == (ANOTHER, MODEL)
    assert took <= 3.0


@virtual_time
async def test_when_no_model_answers_the_soonest_is_waited_for() -> None:
    """With all models shut a message waits for the one that may be called first, or is snoozed until then."""
    async with fleet(1) as workers:
        workers.store.gates[KEY] = StoredGate(20.0, Cause.FAULTS, "503", 3)
        workers.store.gates["account", ANOTHER] = StoredGate(8.0, Cause.FAULTS, "502", 1)
        waited = await workers.call(stand_ins=[ANOTHER])

        assert isinstance(waited, Usable)
        assert (waited.model, trio.current_time()) == (ANOTHER, 9.0)
        workers.store.gates[KEY] = StoredGate(700.0, Cause.FAULTS, "503", 3)
        workers.store.gates["account", ANOTHER] = StoredGate(100.0, Cause.FAULTS, "502", 1)
        await passes(1.0)

        assert await workers.call(stand_ins=[ANOTHER]) == WaitLonger(90.0, "502", Cause.FAULTS)


@virtual_time
async def test_accounts_are_apart() -> None:
    """What one key is limited to is nothing to another."""
    async with fleet(1, limited(100.0)) as workers:
        await workers.call()
        stranger = Gates(
            workers.store, UUID(int=9), "stranger", (), Standstill(()), concurrency=5, adaptive=True, patience=25.0
        )
        async with trio.open_nursery() as services:
            services.start_soon(stranger.sharing.run)
            entered = await stranger.enter(MODEL, timeout=30.0)
            services.cancel_scope.cancel()

    assert isinstance(entered, Passage)


@virtual_time
async def test_a_one_shot_run_loses_no_slot_to_a_crowd() -> None:
    """When fewer calls are allowed than there are slots and then more again, all slots are used again."""
    model = TroubledModel(trouble={MODEL: RateLimited("429", 1.0)})
    rig = Rig(model=model)
    rig.store.add(1000, split=False)
    one_shot = worker(rig, concurrency=10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(one_shot.run_once, deadline=None, until_empty=True))
        for _ in range(3):
            await passes(7.0)
            model.until = trio.current_time() + 2.0
        await passes(40.0)
        model.in_flight.most = 0

    assert model.in_flight.most == 10
    assert one_shot.tally.ends == {End.SENT: 1000}
