"""Calls of the model, with their in-call retries (SPEC R3 and 4.3)."""

import random

import attrs
import trio

from trioqueue.domain.attempts import CallAgain, CallEnd, WaitLonger, next_step
from trioqueue.domain.backoff import wait_after
from trioqueue.domain.completions import NOTHING_SPENT, CompletionRequest, RateLimited, Usage
from trioqueue.ports import Model
from trioqueue.worker.cooldown import Cooldowns


@attrs.define
class Bill:
    """What the attempts of a call have cost so far: it is owed also when the call is cancelled."""

    spent: Usage = NOTHING_SPENT


@attrs.frozen(eq=False)
class ModelCalls:
    """Calls a model, waits rate limits out, and tries faults of the service again.

    Attributes:
        model: What is called.
        cooldowns: Shared by all messages in flight.
        chance: Where the jitter comes from.
    """

    model: Model
    cooldowns: Cooldowns
    chance: random.Random

    async def call(self, request: CompletionRequest, bill: Bill, *, timeout: float) -> CallEnd:
        """Make one call, at most three attempts, within the deadline of the surrounding scope.

        Args:
            request: What is asked.
            bill: Where the cost of each attempt is added.
            timeout: Seconds for each attempt.
        """
        attempt = 0
        enlarged = False
        while True:
            attempt += 1
            cooling = await self.cooldowns.wait(request.model)
            if cooling:
                return WaitLonger(cooling, "the model is cooling down after a rate limit")
            completion = await self.model.complete(request, timeout=timeout)
            bill.spent += completion.usage
            luck = self.chance.random()
            if isinstance(completion, RateLimited):
                self.cooldowns.begin(request.model, wait_after(attempt, completion.retry_after, luck))
            remaining = trio.current_effective_deadline() - trio.current_time()
            step = next_step(completion, attempt, remaining, luck, enlarged=enlarged)
            if not isinstance(step, CallAgain):
                return step
            if step.larger:
                enlarged = True
                request = attrs.evolve(request, max_tokens=2 * request.max_tokens)
            await trio.sleep(step.wait)
