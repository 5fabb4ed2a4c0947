"""What every `trioqueue.ports.Model` does, whoever answers: a suite that each provider's tests inherit.

A provider's test class gives a fixture `meet`, a function that sets up a situation and opens a model in it.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from enum import Enum, auto
from typing import TypeAlias

import pytest
import trio

from trioqueue.domain.completions import (
    AnswerFormat,
    BadCredentials,
    Completion,
    CompletionRequest,
    ConfigurationAtFault,
    MessageAtFault,
    OutOfCredits,
    RateLimited,
    Transient,
    Truncated,
    Usable,
)
from trioqueue.ports import Model


class ModelSituation(Enum):
    """What the model's service does with every call."""

    ANSWERS = auto()
    CUTS_OFF = auto()
    REFUSES = auto()
    LIMITS_RATE = auto()  # for 7 seconds
    KNOWS_NO_SUCH_MODEL = auto()
    DENIES_KEY = auto()
    WANTS_CREDITS = auto()
    IS_DOWN = auto()
    LOSES_CONNECTIONS = auto()
    IS_UNREACHABLE = auto()
    IS_SILENT = auto()


MeetModel: TypeAlias = Callable[[ModelSituation], AbstractAsyncContextManager[Model]]

OUTCOMES = {
    ModelSituation.ANSWERS: Usable,
    ModelSituation.CUTS_OFF: Truncated,
    ModelSituation.REFUSES: MessageAtFault,
    ModelSituation.LIMITS_RATE: RateLimited,
    ModelSituation.KNOWS_NO_SUCH_MODEL: ConfigurationAtFault,
    ModelSituation.DENIES_KEY: BadCredentials,
    ModelSituation.WANTS_CREDITS: OutOfCredits,
    ModelSituation.IS_DOWN: Transient,
    ModelSituation.LOSES_CONNECTIONS: Transient,
    ModelSituation.IS_UNREACHABLE: Transient,
}

SOON = 0.05
"""Seconds until the deadlines that are meant to be missed."""

LONG = 30.0
"""Seconds until the deadlines that are meant to be met."""


def request(answer_format: AnswerFormat = AnswerFormat.TEXT) -> CompletionRequest:
    """A call like those of the pipeline."""
    return CompletionRequest("some/model", "Escreva com gentileza.", "Nome: Ana", 500, 0.7, answer_format)


class ModelConformance:
    """Inherit, and give the fixture `meet`."""

    @pytest.mark.parametrize("answer_format", AnswerFormat)
    @pytest.mark.parametrize(("situation", "outcome"), OUTCOMES.items(), ids=lambda value: getattr(value, "name", ""))
    async def test_situation(
        self, meet: MeetModel, situation: ModelSituation, outcome: type, answer_format: AnswerFormat
    ):
        """Each situation has its outcome; nothing is raised."""
        async with meet(situation) as model:
            completion = await model.complete(request(answer_format), timeout=LONG)

            assert type(completion) is outcome

    async def test_usable_answer_has_text_model_and_cost(self, meet: MeetModel):
        """A usable answer has a text, names a model, and tells what it cost."""
        async with meet(ModelSituation.ANSWERS) as model:
            completion = await model.complete(request(), timeout=LONG)

            assert isinstance(completion, Usable)
            assert completion.text
            assert completion.model
            assert completion.usage.tokens > 0

    async def test_rate_limit_tells_how_long(self, meet: MeetModel):
        """The service's wait is passed on, in seconds."""
        async with meet(ModelSituation.LIMITS_RATE) as model:
            completion = await model.complete(request(), timeout=LONG)

            assert isinstance(completion, RateLimited)
            assert completion.retry_after == 7.0

    @pytest.mark.parametrize("timeout", [SOON, 0.0])
    async def test_silence_ends_with_the_deadline(self, meet: MeetModel, timeout: float):
        """A call that is not answered in time is a time-out, told from other faults."""
        async with meet(ModelSituation.IS_SILENT) as model:
            with trio.fail_after(LONG):
                completion = await model.complete(request(), timeout=timeout)

            assert isinstance(completion, Transient)
            assert completion.timed_out

    @pytest.mark.parametrize("situation", [ModelSituation.IS_DOWN, ModelSituation.IS_UNREACHABLE])
    async def test_other_faults_are_not_time_outs(self, meet: MeetModel, situation: ModelSituation):
        """A fault that came before the deadline does not count as one."""
        async with meet(situation) as model:
            completion = await model.complete(request(), timeout=LONG)

            assert isinstance(completion, Transient)
            assert not completion.timed_out
            assert not completion.perhaps_paid

    async def test_cancellation_is_not_swallowed(self, meet: MeetModel):
        """A scope around the call that is cancelled ends it, and no outcome is made of that."""
        completions: list[Completion] = []
        async with meet(ModelSituation.IS_SILENT) as model:
            with trio.move_on_after(SOON) as scope:
                completions.append(await model.complete(request(), timeout=LONG))

            assert scope.cancelled_caught
            assert completions == []

    async def test_calls_do_not_disturb_each_other(self, meet: MeetModel):
        """Many calls at once are each answered, also while others are cancelled."""
        completions: list[Completion] = []

        async def call(model: Model, timeout: float) -> None:
            completions.append(await model.complete(request(), timeout=timeout))

        async with meet(ModelSituation.ANSWERS) as model, trio.open_nursery() as nursery:
            for number in range(60):
                nursery.start_soon(call, model, 0.0 if number % 3 == 0 else LONG)

        assert sum(isinstance(completion, Usable) for completion in completions) == 40
        assert sum(isinstance(completion, Transient) for completion in completions) == 20
