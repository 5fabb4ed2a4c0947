"""Calls of the model with their in-call retries (SPEC R3 and 4.3)."""

import random
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from tests.support.clock import killed, passes, virtual_time
from tests.support.fakes import FakeModel, FakeStore, ModelStep, Takes, generated
from tests.worker.rig import make_gates
from trioqueue.domain.attempts import AttemptFailed, CallEnd, WaitLonger
from trioqueue.domain.completions import (
    BadCredentials,
    Completion,
    MessageAtFault,
    RateLimited,
    Transient,
    Truncated,
    Usable,
    Usage,
)
from trioqueue.domain.prompts import generation_request
from trioqueue.worker.calls import Bill, ModelCalls

REQUEST = generation_request("asked/model", "instructions", {})


class NoLuck(random.Random):
    """Takes no jitter off: every wait is nominal."""

    def random(self) -> float:
        return 0.0


@asynccontextmanager
async def calling(*steps: ModelStep, takes: float = 0.0) -> AsyncIterator[tuple[FakeModel, ModelCalls]]:
    """A model with a script, and the calls of it."""
    model = FakeModel(generate=deque(steps), takes=takes)
    gates = make_gates(FakeStore())
    async with trio.open_nursery() as services:
        services.start_soon(gates.sharing.run)
        yield model, ModelCalls(model, gates, NoLuck())
        services.cancel_scope.cancel()


async def call(calls: ModelCalls, left: float = 30.0, bill: Bill | None = None) -> CallEnd:
    """One call by a message that has some time left."""
    with trio.fail_after(left):
        return await calls.call(REQUEST, bill or Bill(), timeout=30.0)


@pytest.mark.parametrize("retry_after", [None, 0.5, 3.0, 10.0])
@virtual_time
async def test_a_rate_limit_is_waited_out(retry_after: float | None) -> None:
    """After a 429 the same call is made again when the service allows it, or after the back-off."""
    async with calling(RateLimited("429", retry_after)) as (model, calls):
        ended = await call(calls)

        assert isinstance(ended, Usable)
        assert model.requests == [REQUEST, REQUEST]
        assert trio.current_time() == max(1.0, retry_after or 0.0)


@pytest.mark.parametrize(
    ("fault", "end"),
    [
        (RateLimited("429"), WaitLonger(4.0, "429")),
        (Transient("503"), AttemptFailed("503")),
        (Transient("late", timed_out=True), AttemptFailed("late", timed_out=True)),
    ],
)
@virtual_time
async def test_three_attempts(fault: Completion, end: CallEnd) -> None:
    """A call is made three times, 1 and 2 seconds apart; then a rate limit is waited longer and a fault has failed."""
    async with calling(*[fault] * 5) as (model, calls):
        ended = await call(calls)

        assert ended == end
        assert len(model.requests) == 3
        assert trio.current_time() == 3.0


@pytest.mark.parametrize("end", [MessageAtFault("refused"), BadCredentials("401")])
@virtual_time
async def test_what_would_be_the_same_again_is_not_asked_again(end: MessageAtFault | BadCredentials) -> None:
    """A refusal or a bad key ends the call at once."""
    async with calling(end) as (model, calls):
        ended = await call(calls)

        assert ended is end
        assert len(model.requests) == 1


@pytest.mark.parametrize("before", [(), (RateLimited("429"),)])
@virtual_time
async def test_a_truncated_answer_is_asked_for_once_more_with_more_room(before: tuple[Completion, ...]) -> None:
    """An answer that was cut off is asked for with twice the room, once, also when it was not the first attempt."""
    async with calling(*before, Truncated()) as (model, calls):
        ended = await call(calls)

        assert isinstance(ended, Usable)
        assert [request.max_tokens for request in model.requests][-2:] == [500, 1000]

    async with calling(Truncated(), Truncated()) as (model, calls):
        ended = await call(calls)

        assert isinstance(ended, AttemptFailed)
        assert len(model.requests) == 2


@virtual_time
async def test_all_attempts_are_paid_for() -> None:
    """What failed attempts cost is counted with the one that succeeded."""
    cut_off, failed = Truncated(Usage(500, Decimal("0.5"))), Transient("503", usage=Usage(3, Decimal("0.1")))
    async with calling(cut_off, failed, generated(usage=Usage(7, Decimal("0.2")))) as (_, calls):
        bill = Bill()
        await call(calls, bill=bill)

        assert bill.spent == Usage(510, Decimal("0.8"))


@virtual_time
async def test_a_call_that_is_cut_is_paid_for() -> None:
    """What earlier attempts cost is on the bill also when a drain ends the call."""
    async with calling(Truncated(Usage(500, Decimal("0.5"))), Takes(20.0, generated())) as (_, calls):
        bill = Bill()
        await killed(10.0, partial(call, calls, 30.0, bill))

        assert bill.spent == Usage(500, Decimal("0.5"))


@pytest.mark.parametrize(("retry_after", "left"), [(61.0, 1_000.0), (30.0, 30.0), (25.0, 20.0)])
@virtual_time
async def test_a_wait_that_does_not_fit_is_not_begun(retry_after: float, left: float) -> None:
    """A wait of more than a minute, or beyond what the message has left, ends the call at once with its length."""
    async with calling(RateLimited("429", retry_after)) as (model, calls):
        ended = await call(calls, left)

        assert ended == WaitLonger(retry_after, "429")
        assert len(model.requests) == 1
        assert trio.current_time() == 0.0


@virtual_time
async def test_a_rate_limit_stops_the_calls_of_the_others() -> None:
    """While a model cools down nobody calls it, neither those who wait nor those who come."""
    async with calling(Takes(1.0, RateLimited("429", 20.0))) as (model, calls):
        ends: list[tuple[type[CallEnd], float]] = []

        async def one(left: float = 30.0) -> None:
            ended = await call(calls, left)
            ends.append((type(ended), trio.current_time()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(one)
            await passes(2.0)
            for _ in range(10):
                nursery.start_soon(one)
            nursery.start_soon(one, 5.0)
            await passes(18.5)

            assert len(model.requests) == 1
            assert ends == [(WaitLonger, 2.0)]

        assert ends[1:] == [(Usable, 21.0)] * 11
        assert len(model.requests) == 12


@virtual_time
async def test_the_models_of_others_are_not_stopped() -> None:
    """A cool-down is one model's."""
    async with calling(RateLimited("429", 3600.0)) as (model, calls):
        await call(calls)
        ended = await calls.call(generation_request("another/model", "instructions", {}), Bill(), timeout=30.0)

        assert isinstance(ended, Usable)
        assert len(model.requests) == 2


steps = st.sampled_from(
    [
        RateLimited("429"),
        RateLimited("429", 7.0),
        RateLimited("429", 90.0),
        Transient("503"),
        Truncated(),
        Takes(25.0, Transient("late")),
        Takes(31.0, generated()),
        MessageAtFault("refused"),
        generated(),
    ]
)


@given(st.lists(steps, max_size=5), st.floats(0.1, 100))
@virtual_time
async def test_whatever_happens_a_call_is_bounded(script: list[ModelStep], left: float) -> None:
    """At most three attempts, never beyond the message's time, and a rate limit is never a failed attempt."""
    async with calling(*script) as (model, calls):
        ended = None
        with trio.move_on_after(left):
            ended = await calls.call(REQUEST, Bill(), timeout=30.0)

        assert len(model.requests) <= 3
        assert trio.current_time() <= left + 1e-6
        if isinstance(ended, AttemptFailed):
            assert ended.reason != "429"
