"""Retries, snoozes, cool-downs and the circuit breaker together, against what SPEC R3, R4 and 4.3 promise.

Workers come and go on one store, and the service gets into trouble and out of it, under a clock that only the rules
move.
"""

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial

import attrs
import trio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from trio.testing import MockClock

from tests.support.clock import passes
from tests.support.fakes import FakeModel, FakeStore, generated
from tests.worker.rig import Rig, incarnation, worker
from trioqueue.domain.backoff import MAX_REQUEUES, REQUEUE_DELAYS
from trioqueue.domain.completions import Completion, CompletionRequest, RateLimited, Transient
from trioqueue.domain.facts import Returned, WayBack
from trioqueue.domain.logs import LogStep
from trioqueue.domain.states import MessageStatus

A_DAY = 86_400.0
TO_HEAR_OF_IT = 1.0
"""Seconds within which all workers know of a limit that one has met."""


@attrs.define(eq=False)
class Service(FakeModel):
    """A model that takes a second for a call, and is in trouble until a time.

    Attributes:
        trouble: What it answers meanwhile; None for nothing wrong.
        until: When the trouble ends.
        limited: When each limit was first told, and when it ended.
        called_at: When each call began.
        written: How many texts were written for each lead.
    """

    trouble: type[RateLimited] | type[Transient] | None = None
    until: float = 0.0
    limited: list[tuple[float, float]] = attrs.field(factory=list)
    called_at: list[float] = attrs.field(factory=list)
    written: Counter[str] = attrs.field(factory=Counter)

    async def complete(self, request: CompletionRequest, *, timeout: float) -> Completion:
        await passes(0)
        self.called_at.append(trio.current_time())
        await passes(min(1.0, timeout))
        return self._answer(request)

    def _answer(self, request: CompletionRequest) -> Completion:
        left = self.until - trio.current_time()
        if self.trouble is None or left <= 0:
            self.written[request.user] += 1
            return generated("Olá! Posso mostrar em dez minutos como funciona?")
        if self.trouble is Transient:
            return Transient("503")
        if not self.limited or self.limited[-1][1] != self.until:
            self.limited.append((trio.current_time(), self.until))
        return RateLimited("429", left)


class ModelFaults(RuleBasedStateMachine):
    """Any number of messages and workers, and a service that is now well and now not."""

    @initialize(seed=st.integers(0, 1000))
    def begin(self, seed: int) -> None:
        self.clock = MockClock(autojump_threshold=0)
        self.store = FakeStore()
        self.service = Service()
        self.chance = random.Random(seed)

    def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Let virtual time go on while something is done."""
        trio.run(work, clock=self.clock)

    @rule(count=st.integers(1, 12))
    def messages_come(self, count: int) -> None:
        for _ in range(count):
            name = f"Lead {len(self.store.messages)}"
            self.store.add(context={"client_name": name}, scheduled_at=self.clock.current_time())

    @rule(trouble=st.sampled_from([RateLimited, Transient]), lasts=st.sampled_from([0.5, 3.0, 20.0, 90.0, 3000.0]))
    def the_service_gets_into_trouble(self, trouble: type[RateLimited] | type[Transient], lasts: float) -> None:
        if self.service.trouble is RateLimited and self.service.until > self.clock.current_time():
            return  # a limit that was told is kept
        self.service.trouble, self.service.until = trouble, self.clock.current_time() + lasts

    @rule(seconds=st.sampled_from([1.0, 60.0, 400.0, 2000.0]))
    def nobody_works(self, seconds: float) -> None:
        self.run(partial(passes, seconds))

    @rule(
        workers=st.integers(1, 3),
        seconds=st.sampled_from([0.5, 2.5, 10.0, 40.0, 1000.0]),
        concurrency=st.sampled_from([1, 5, 50]),
    )
    def workers_work(self, workers: int, seconds: float, concurrency: int = 5) -> None:
        self.run(partial(self._work, workers, seconds, concurrency))

    async def _work(self, count: int, seconds: float, concurrency: int) -> None:
        rigs = [Rig(store=self.store, model=self.service, incarnation=incarnation()) for _ in range(count)]
        fleet = [worker(rig, concurrency=concurrency, skip_after=10 * A_DAY) for rig in rigs]
        async with trio.open_nursery() as nursery:
            for each in fleet:
                nursery.start_soon(each.run)
            await passes(seconds)
            for each in fleet:
                each.drain.begin()

    @invariant()
    def the_worker_keeps_the_rules_of_the_store(self) -> None:
        assert not self.store.violations

    @invariant()
    def attempts_are_counted_and_no_more_than_four(self) -> None:
        for message in self.store.messages.values():
            requeues = self.store.steps(message).count(LogStep.REQUEUED)

            assert message.retry_count == requeues <= MAX_REQUEUES
            if message.status is MessageStatus.FAILED:
                assert requeues == MAX_REQUEUES
                assert (message.error or "").startswith(f"Max retries ({MAX_REQUEUES}) exceeded: ")

    @invariant()
    def each_requeue_waits_longer_and_a_limit_costs_none(self) -> None:
        for fact in self.store.facts(Returned):
            if fact.way is WayBack.REQUEUE:
                assert fact.delay == REQUEUE_DELAYS[fact.retry_count - 1]
                assert fact.error != "429"

    @invariant()
    def nobody_calls_during_a_limit_that_was_told(self) -> None:
        for told, ended in self.service.limited:
            assert not [at for at in self.service.called_at if told + TO_HEAR_OF_IT < at < ended]

    @invariant()
    def no_text_is_paid_for_twice(self) -> None:
        assert max(self.service.written.values(), default=1) == 1

    def teardown(self) -> None:
        if not hasattr(self, "store"):
            return
        self.service.trouble = None
        now = self.clock.current_time()
        last_due = max((message.scheduled_at for message in self.store.messages.values()), default=now)
        self.run(partial(self._work, 1, max(last_due - now, 0.0) + 120.0, 50))
        statuses = {message.status for message in self.store.messages.values()}

        assert statuses <= {MessageStatus.SENT, MessageStatus.FAILED}


TestModelFaults = ModelFaults.TestCase
TestModelFaults.settings = settings(stateful_step_count=15)
TestModelFaults.__doc__ = "Whatever the service does, messages wait, try again and end as promised."
