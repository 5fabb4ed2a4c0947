"""Whatever goes wrong with a message stays its own: the others of its batch do not notice."""

from collections import Counter, deque
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
import trio

from tests.support.clock import passes, virtual_time
from tests.support.fake_store import RUN_ID
from tests.support.fakes import TEXT, FakeModel, GatewayStep, ModelStep, StoredPart, Takes, generated
from tests.worker.rig import Rig, running
from trioqueue.domain.completions import (
    BadCredentials,
    ConfigurationAtFault,
    MessageAtFault,
    OutOfCredits,
    RateLimited,
    Transient,
    Truncated,
    Usage,
)
from trioqueue.domain.errors import TrioqueueError
from trioqueue.domain.facts import Fact, Finished, PartsPlanned, Returned, SendIntended, SendSettled, TextGenerated
from trioqueue.domain.logs import LogStep
from trioqueue.domain.sends import NotSent, Rejected, Sent, Unknown
from trioqueue.domain.states import MessageStatus, PartStatus, RunStatus
from trioqueue.ports import StoreUnavailable
from trioqueue.worker.tally import End


class Refused(TrioqueueError):
    """What a store says to a fact that it cannot hold."""


def refusal(*kinds: type[Fact]) -> Callable[[Fact], None]:
    """A store that does not take facts of some kinds."""

    def refuse(fact: Fact) -> None:
        if isinstance(fact, kinds):
            raise Refused

    return refuse


def ways() -> list[tuple[End, dict[str, Any], ModelStep | None, GatewayStep | None]]:
    """How a message may end: the end, the message, what the model and what the gateway say; None for success."""
    half_sent = {1: StoredPart("Primeira.", PartStatus.SENT), 2: StoredPart("Segunda.")}
    return [
        (End.SENT, {}, None, None),
        (End.SENT, {"text": TEXT, "parts": half_sent}, None, None),
        (End.SENT, {}, RateLimited("429", 3.0), None),
        (End.FAILED, {}, MessageAtFault("refused"), None),
        (End.FAILED, {"retry_count": 3}, generated("curta"), None),
        (End.REQUEUED, {}, generated(""), None),
        (End.REQUEUED, {}, generated("a" * 10_000), None),
        (End.REQUEUED, {}, Takes(31.0, generated()), None),
        (End.REQUEUED, {}, OSError("a defect of the client"), None),
        (End.REQUEUED, {}, ExceptionGroup("several", [ValueError(), OSError()]), None),
        (End.REQUEUED, {"context": {"deep": object()}}, None, None),
        (End.REQUEUED, {"text": "a" * 9_000}, None, None),
        (End.FAILED, {"conversation_id": None}, None, None),
        (End.SNOOZED, {}, RateLimited("429", 600.0), None),
        (End.SNOOZED, {}, None, NotSent("429", 30.0)),
        (End.REQUEUED, {}, None, NotSent("no connection")),
        (End.REQUEUED, {}, None, Rejected("400")),
        (End.UNCONFIRMED, {}, None, Unknown("lost")),
        (End.UNCONFIRMED, {}, None, OSError("a defect of the client")),
        (End.UNCONFIRMED, {}, None, Takes(11.0, Sent())),
    ]


@virtual_time
async def test_twenty_messages_that_end_in_twenty_ways() -> None:
    """Twenty messages of one batch, each with a fault of its own, and each ends as it would alone."""
    rig = Rig(limiter=trio.CapacityLimiter(20))
    expected = {}
    for number, (end, values, answer, outcome) in enumerate(ways()):
        message = rig.store.add(**{"model": f"model/{number}"} | values)
        expected[message.id] = end
        rig.model.by_model[message.model] = deque([answer] if answer else [])
        rig.gateway.by_conversation[message.conversation_id or uuid4()] = deque([outcome] if outcome else [])
    async with running(rig), trio.open_nursery() as messages:
        await rig.intake(batch_size=20).run_batch(messages)

    statuses = {
        End.SENT: MessageStatus.SENT,
        End.FAILED: MessageStatus.FAILED,
        End.UNCONFIRMED: MessageStatus.UNCONFIRMED,
    }
    for message in rig.store.messages.values():
        assert message.status is statuses.get(expected[message.id], MessageStatus.PENDING)
    assert rig.tally.ends == Counter(expected.values())
    assert rig.limiter.borrowed_tokens == 0


@pytest.mark.parametrize(
    ("end", "step"),
    [
        (BadCredentials("401"), LogStep.BAD_CREDENTIALS),
        (OutOfCredits("402"), LogStep.OUT_OF_CREDITS),
        (ConfigurationAtFault("no such model"), LogStep.MODEL_UNAVAILABLE),
    ],
)
@virtual_time
async def test_what_every_message_would_meet_pauses_the_run(
    end: BadCredentials | OutOfCredits | ConfigurationAtFault, step: LogStep
) -> None:
    """A bad key, an empty account or an unknown model pauses the run and costs the message no retry."""
    async with running(Rig(model=FakeModel(generate=deque([end])))) as rig:
        message = rig.store.add(retry_count=1)
        rig.store.fail("pause_run", StoreUnavailable("away"))
        await rig.process(message)

    assert rig.store.runs[message.run_id] is RunStatus.PAUSED
    assert (message.status, message.retry_count, message.scheduled_at) == (MessageStatus.PENDING, 1, 0.0)
    reason = f"the model service answered {end.reason}"
    assert [(id_, entry.step, entry.message) for id_, entry in rig.store.logs] == [(None, step, reason)]
    assert rig.tally.paused == {message.run_id: reason}
    assert rig.tally.ends == {End.RELEASED: 1}


@pytest.mark.parametrize("kind", [TextGenerated, PartsPlanned])
@virtual_time
async def test_a_refused_text_or_plan_is_a_failed_attempt(kind: type[Fact]) -> None:
    """When the store refuses a text or its parts nothing has left: the message is requeued, and never unconfirmed."""
    async with running() as rig:
        message = rig.store.add()
        rig.store.refuse = refusal(kind)
        await rig.process(message)

    assert rig.gateway.offered == []
    assert (message.status, message.retry_count, message.owner) == (MessageStatus.PENDING, 1, None)
    assert message.error == "Refused while the message was worked on"
    assert rig.tally.ends == {End.REQUEUED: 1}


@virtual_time
async def test_a_refused_outcome_makes_its_part_unknown() -> None:
    """When the store refuses what came of a part, that very part is unknown and the next one has not left."""
    async with running() as rig:
        message = rig.store.add()

        def refuse(fact: Fact) -> None:
            if isinstance(fact, SendSettled) and fact.status is PartStatus.SENT:
                raise Refused

        rig.store.refuse = refuse
        await rig.process(message)

    assert len(rig.gateway.offered) == 1
    assert message.part_statuses() == [PartStatus.UNKNOWN, PartStatus.PLANNED, PartStatus.PLANNED]
    assert message.status is MessageStatus.UNCONFIRMED
    assert rig.tally.ends == {End.UNCONFIRMED: 1}


@pytest.mark.parametrize("kinds", [(Finished,), (Finished, Returned)])
@virtual_time
async def test_an_end_that_is_refused_harms_nobody_else(kinds: tuple[type[Fact], ...]) -> None:
    """A message whose end cannot be written is left to the rescue, and its run is paused; other runs go on.

    The first message after it is put back for a second, unpaid: its end shows that the store takes others.
    """
    async with running() as rig:
        first = rig.store.add()
        rig.store.refuse = refusal(*kinds)
        await rig.process(first)
        rig.store.refuse = refusal()
        calls = len(rig.model.requests)
        second = await rig.process(rig.store.add(run_id=UUID(int=2)))

        assert len(rig.model.requests) == calls
        await passes(1.0)
        await rig.process(second)

    assert rig.tally.ends == {End.LOST: 1, End.SNOOZED: 1, End.SENT: 1}
    assert rig.store.runs == {RUN_ID: RunStatus.PAUSED, UUID(int=2): RunStatus.RUNNING}
    assert first.status is MessageStatus.SENDING
    assert second.status is MessageStatus.SENT


@pytest.mark.parametrize("kind", [TextGenerated, PartsPlanned, SendIntended, SendSettled, Finished])
@virtual_time
async def test_a_store_that_is_away_is_waited_for(kind: type[Fact]) -> None:
    """A store that is away, before or after it wrote a fact, costs time: nothing is sent twice and nothing fails."""
    for done in (False, True):
        async with running() as rig:
            message = rig.store.add()

            def fail(fact: Fact, rig: Rig = rig, done: bool = done) -> None:
                if not isinstance(fact, kind):
                    return
                rig.store.refuse = refusal()
                if not done:
                    raise StoreUnavailable("away")
                rig.store.fail("commit", StoreUnavailable("lost"), done=True)

            rig.store.refuse = fail
            await rig.process(message)

        assert message.status is MessageStatus.SENT
        assert len(rig.gateway.offered) == 3
        assert len(rig.model.requests) == 2


@virtual_time
async def test_what_failed_attempts_cost_is_kept() -> None:
    """A message that is requeued keeps what was spent on it, and the next attempt adds to that."""
    async with running(
        Rig(model=FakeModel(generate=deque([generated("curta"), Truncated(), Transient("503")])))
    ) as rig:
        message = rig.store.add(split=False)
        await rig.process(message)

        assert message.spent.tokens == 120
        message.scheduled_at = 0.0
        await rig.process(message)

    assert message.status is MessageStatus.SENT
    assert message.spent.tokens == 240
    assert rig.tally.tokens_used == 240


@virtual_time
async def test_what_a_cut_attempt_cost_is_kept() -> None:
    """A message whose second call is cut by the compute deadline keeps what the first one cost."""
    answers: list[ModelStep] = [Truncated(Usage(500)), Takes(29.9, Transient("503")), Takes(29.0, generated())]
    async with running(Rig(model=FakeModel(generate=deque(answers)))) as rig:
        message = rig.store.add()
        await rig.process(message)

    assert (message.status, message.retry_count) == (MessageStatus.PENDING, 1)
    assert message.spent.tokens == rig.tally.tokens_used == 500
