"""Calls of the model, with their in-call retries (SPEC R3 and 4.3) and the models that stand in for it."""

import math
import random
from collections.abc import Sequence
from typing import Final

import attrs
import trio

from trioqueue.domain.attempts import AttemptFailed, CallAgain, CallEnd, WaitLonger, next_step
from trioqueue.domain.backoff import wait_after
from trioqueue.domain.budgets import Refusal
from trioqueue.domain.completions import NOTHING_SPENT, Completion, CompletionRequest, RateLimited, Transient, Usage
from trioqueue.domain.gates import Cause
from trioqueue.ports import Model
from trioqueue.worker.gates import BRIEFLY, LEAST_TIME, Gates, Passage
from trioqueue.worker.spending import Spending

IN_TIME: Final = 0.05
"""Seconds before the deadline of its message at which a call gives up by itself, so that it is known to have failed."""


@attrs.define
class Bill:
    """What the attempts of a call have taken so far: it is owed also when the call is cancelled.

    Attributes:
        spending: The message's part in the budgets; None when no budget is about it.
        can_wait: Whether the call waits for what other messages have reserved of the budgets.
        spent: What they have cost.
        waited: Whether they had to wait for the model or for a budget, which is nobody's fault.
    """

    spending: Spending | None = None
    can_wait: bool = True
    spent: Usage = NOTHING_SPENT
    waited: bool = False

    def add(self, model: str, completion: Completion | None) -> None:
        """Add an attempt; None when it was given up under way."""
        if completion is not None:
            self.spent += completion.usage
        if self.spending is not None:
            self.spending.count(model, completion)


@attrs.frozen(eq=False)
class ModelCalls:
    """Calls a model, waits rate limits out, and tries faults of the service again.

    Attributes:
        model: What is called.
        gates: Shared by all messages in flight, and with other workers.
        chance: Where the jitter comes from.
    """

    model: Model
    gates: Gates
    chance: random.Random

    async def call(
        self, request: CompletionRequest, bill: Bill, *, timeout: float, stand_ins: Sequence[str] = ()
    ) -> CallEnd:
        """Make one call, at most three attempts a model, within the deadline of the surrounding scope.

        Args:
            request: What is asked.
            bill: Where what each attempt takes is added.
            timeout: Seconds for each attempt.
            stand_ins: Models that are asked, in this order, before the message is snoozed for want of the first.
        """
        if stand_ins:
            waits: dict[str, float] = {}
            for model in (request.model, *stand_ins):
                end = await self._call_one(attrs.evolve(request, model=model), bill, timeout, patient=False)
                if not isinstance(end, WaitLonger):
                    return end
                waits[model] = end.wait
            request = attrs.evolve(request, model=min(waits, key=waits.__getitem__))
        return await self._call_one(request, bill, timeout, patient=True)

    async def _call_one(self, request: CompletionRequest, bill: Bill, timeout: float, *, patient: bool) -> CallEnd:
        attempt = 0
        enlarged = False
        while True:
            attempt += 1
            refusal = await _reserve(request, bill, timeout)
            if refusal is not None:
                return refusal
            passage = await self.gates.enter(request.model, timeout=timeout, patient=patient)
            if isinstance(passage, WaitLonger):
                return passage
            bill.waited |= passage.waited
            luck = self.chance.random()
            completion = await self._complete(request, passage, attempt, luck, min(timeout, _left() - IN_TIME), bill)
            step = next_step(completion, attempt, _left(), luck, enlarged=enlarged)
            if not isinstance(step, CallAgain):
                return self._forgiven(step, completion, request.model, passage, bill)
            if step.larger:
                enlarged = True
                request = attrs.evolve(request, max_tokens=2 * request.max_tokens)
            if isinstance(completion, RateLimited):
                bill.waited = True  # at the gate
            else:
                await trio.sleep(step.wait)

    async def _complete(
        self, request: CompletionRequest, passage: Passage, attempt: int, luck: float, timeout: float, bill: Bill
    ) -> Completion:
        completion: Completion | None = None
        wait = 0.0
        try:
            completion = await self.model.complete(request, timeout=timeout)
            if isinstance(completion, RateLimited):
                wait = wait_after(attempt, completion.retry_after, luck)
        finally:
            self.gates.leave(passage, completion, wait)
            bill.add(request.model, completion)
        return completion

    def _forgiven(self, end: CallEnd, completion: Completion, model: str, passage: Passage, bill: Bill) -> CallEnd:
        """The end of a call that failed through no fault of its message is a wait.

        So it is when everyone's calls fail, but for the probe's, whose message may be why; and when waiting for the
        model has left the call too little time.
        """
        if not isinstance(end, AttemptFailed) or not isinstance(completion, Transient):
            return end
        wait = self.gates.shut_by_faults(model)
        if wait > 0 and not passage.probe:
            return WaitLonger(wait, end.reason, Cause.FAULTS)
        if end.timed_out and bill.waited:
            return WaitLonger(BRIEFLY, "waiting for the model has left too little time to write")
        return end


async def _reserve(request: CompletionRequest, bill: Bill, timeout: float) -> Refusal | None:
    if bill.spending is None:
        return None
    latest = trio.current_effective_deadline() - timeout * LEAST_TIME
    refusal = await bill.spending.reserve(request, until=latest if bill.can_wait else -math.inf)
    bill.waited |= bill.spending.waited
    return refusal


def _left() -> float:
    """Seconds until the deadline of the surrounding scope."""
    return trio.current_effective_deadline() - trio.current_time()
