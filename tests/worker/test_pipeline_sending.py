"""The send phase: intent, request, outcome, part after part; nothing leaves twice (SPEC 4.2)."""

from collections import deque

import pytest
import trio

from tests.support.clock import passes, virtual_time
from tests.support.fakes import PARAGRAPHS, TEXT, FakeGateway, GatewayStep, StoredPart, Takes
from tests.worker.rig import Rig, running
from trioqueue.domain.facts import SendIntended
from trioqueue.domain.logs import LogStep
from trioqueue.domain.messages import Barred
from trioqueue.domain.sends import NotSent, Rejected, SenderAtFault, Sent, Unknown
from trioqueue.domain.states import MessageStatus, PartStatus, RunStatus
from trioqueue.ports import StoreUnavailable
from trioqueue.worker.tally import End

PLANNED, SENT, REJECTED, UNKNOWN = PartStatus.PLANNED, PartStatus.SENT, PartStatus.REJECTED, PartStatus.UNKNOWN


def sending(*script: GatewayStep, idempotent: bool = False) -> Rig:
    """A rig whose gateway answers by script."""
    return Rig(gateway=FakeGateway(script=deque(script), idempotent=idempotent))


@virtual_time
async def test_no_part_leaves_before_its_intent_is_durable() -> None:
    """While the commit of an intent is on its way, the gateway is not called; each part has one intent."""
    async with running() as rig:
        message = rig.store.add(text=TEXT)
        gate = rig.store.hold("commit")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.process, message)
            await passes(5.0)

            assert rig.gateway.offered == []
            gate.set()

    assert [fact.part_no for fact in rig.store.facts(SendIntended)] == [1, 2, 3]
    assert len(rig.store.commits) == 4


@virtual_time
async def test_what_has_been_sent_is_not_sent_again() -> None:
    """A message that comes back with its first part sent goes on with the second."""
    parts = {n: StoredPart(body) for n, body in enumerate(PARAGRAPHS, start=1)}
    parts[1].status = SENT
    async with running() as rig:
        message = rig.store.add(text=TEXT, parts=parts)
        await rig.process(message)

    assert rig.gateway.texts(message.conversation_id) == list(PARAGRAPHS[1:])
    assert message.status is MessageStatus.SENT
    assert rig.tally.parts_sent == 2


@virtual_time
async def test_a_message_whose_parts_have_all_been_sent_is_finished() -> None:
    """When the last open part was confirmed by a person, nothing is sent and the message is done."""
    parts = {n: StoredPart(body, SENT) for n, body in enumerate(PARAGRAPHS, start=1)}
    async with running() as rig:
        message = rig.store.add(text=TEXT, parts=parts)
        await rig.process(message)

    assert rig.gateway.offered == []
    assert message.status is MessageStatus.SENT


@pytest.mark.parametrize("barred", Barred)
@virtual_time
async def test_who_is_not_to_be_written_to_costs_nothing(barred: Barred) -> None:
    """A message whose lead opted out before it was claimed is skipped with the reason, unwritten and unsent."""
    async with running() as rig:
        message = rig.store.add(barred=barred)
        await rig.process(message)

    assert (message.status, message.error) == (MessageStatus.SKIPPED, barred.reason)
    assert (rig.model.requests, rig.gateway.offered) == ([], [])
    assert rig.tally.ends == {End.SKIPPED: 1}
    assert rig.store.steps(message) == [LogStep.FINISHED]


@pytest.mark.parametrize("barred", Barred)
@virtual_time
async def test_nothing_leaves_after_an_opt_out(barred: Barred) -> None:
    """A lead that opts out between two parts gets no further one; what was sent stays sent."""
    async with running(sending(Takes(2.0, Sent("1")))) as rig:
        message = rig.store.add()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.process, message)
            await passes(1.0)
            message.barred = barred

    assert (message.status, message.error) == (MessageStatus.SKIPPED, barred.reason)
    assert message.part_statuses() == [SENT, PLANNED, PLANNED]
    assert len(rig.gateway.offered) == 1


@pytest.mark.parametrize("lost", [Unknown("connection lost"), Takes(11.0, Sent()), OSError("a defect of the client")])
@virtual_time
async def test_an_unknown_outcome_holds_the_rest(lost: GatewayStep) -> None:
    """A part that may have left is unknown, its message unconfirmed, and what follows stays planned."""
    async with running(sending(Sent("1"), lost)) as rig:
        message = rig.store.add()
        await rig.process(message)

    assert message.status is MessageStatus.UNCONFIRMED
    assert message.part_statuses() == [SENT, UNKNOWN, PLANNED]
    assert len(rig.gateway.offered) == 2
    assert rig.store.steps(message)[-1] is LogStep.FAILED
    assert rig.tally.ends == {End.UNCONFIRMED: 1}


@pytest.mark.parametrize("lost", [Unknown("connection lost"), OSError("a defect of the client")])
@virtual_time
async def test_an_idempotent_gateway_gets_the_same_key_again(lost: GatewayStep) -> None:
    """With an idempotent gateway an unknown part is planned again, and sent later under the key it had."""
    async with running(sending(lost, idempotent=True)) as rig:
        message = rig.store.add(split=False)
        await rig.process(message)

        assert (message.status, message.part_statuses()) == (MessageStatus.PENDING, [PLANNED])
        assert message.retry_count == 1
        await passes(300.0)
        await rig.process(message)

    assert message.status is MessageStatus.SENT
    assert rig.gateway.offered[0] == rig.gateway.offered[1]


@pytest.mark.parametrize(
    ("outcome", "status"), [(NotSent("no connection"), PLANNED), (Rejected("400: no such number"), REJECTED)]
)
@virtual_time
async def test_a_part_that_did_not_leave_is_sent_later(outcome: NotSent | Rejected, status: PartStatus) -> None:
    """After a certain failure the message is requeued, and goes on with that very part."""
    async with running(sending(Sent(), outcome)) as rig:
        message = rig.store.add()
        await rig.process(message)

        assert (message.status, message.retry_count) == (MessageStatus.PENDING, 1)
        assert message.part_statuses() == [SENT, status, PLANNED]
        assert message.error == outcome.reason
        assert message.scheduled_at == 300.0
        await passes(300.0)
        await rig.process(message)

    assert message.status is MessageStatus.SENT
    assert rig.gateway.texts(message.conversation_id) == list(PARAGRAPHS)
    assert len(rig.model.requests) == 2


@pytest.mark.parametrize(("retry_after", "wait"), [(45.0, 45.0), (7200.0, 7200.0), (0.0, 1.0)])
@virtual_time
async def test_a_gateway_that_says_when_is_waited_for(retry_after: float, wait: float) -> None:
    """A rate limit of the gateway snoozes the message at no cost of a retry, for a moment at the least."""
    async with running(sending(NotSent("429", retry_after))) as rig:
        message = rig.store.add(split=False)
        await rig.process(message)

    assert (message.status, message.retry_count) == (MessageStatus.PENDING, 0)
    assert message.scheduled_at == wait
    assert rig.tally.ends == {End.SNOOZED: 1}


@virtual_time
async def test_a_lead_without_a_phone_number() -> None:
    """Without a conversation the message fails before anything is paid for or offered to the gateway."""
    async with running() as rig:
        message = rig.store.add(conversation_id=None)
        await rig.process(message)

    assert (rig.model.requests, rig.gateway.offered) == ([], [])
    assert message.status is MessageStatus.FAILED
    assert "phone" in (message.error or "")


@virtual_time
async def test_a_gateway_that_does_not_let_us_send_pauses_the_run() -> None:
    """A bad key of the gateway pauses the run with the reason; the message stays as it is, at no cost of a retry."""
    async with running(sending(SenderAtFault("401: bad key"))) as rig:
        message = rig.store.add()
        await rig.process(message)

    assert rig.store.runs[message.run_id] is RunStatus.PAUSED
    assert (message.status, message.retry_count) == (MessageStatus.PENDING, 0)
    assert message.part_statuses() == [REJECTED, PLANNED, PLANNED]
    assert rig.tally.paused == {message.run_id: "the gateway answered 401: bad key"}
    assert rig.tally.ends == {End.RELEASED: 1}


@virtual_time
async def test_a_pause_waits_for_the_store() -> None:
    """A run is paused also when the store is away at first; the part that was refused is not taken for unknown."""
    async with running(sending(SenderAtFault("401: bad key"))) as rig:
        message = rig.store.add()
        rig.store.fail("pause_run", *(StoreUnavailable("away") for _ in range(3)))
        await rig.process(message)

    assert rig.store.runs[message.run_id] is RunStatus.PAUSED
    assert (message.status, message.retry_count) == (MessageStatus.PENDING, 0)
    assert message.part_statuses() == [REJECTED, PLANNED, PLANNED]


@virtual_time
async def test_a_run_that_was_stopped_sends_nothing_more() -> None:
    """A run that is paused while the message is written stops before its first part, and costs no retry."""
    async with running() as rig:
        message = rig.store.add()
        rig.model.split.append(Takes(3.0, OSError()))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.process, message)
            await passes(1.0)
            rig.store.runs[message.run_id] = RunStatus.PAUSED

    assert rig.gateway.offered == []
    assert (message.status, message.text, message.retry_count) == (MessageStatus.PENDING, TEXT, 0)
    assert set(message.part_statuses()) == {PLANNED}
    assert rig.tally.ends == {End.RELEASED: 1}


@virtual_time
async def test_a_run_that_is_stopped_between_parts() -> None:
    """A run that is cancelled while a part is under way lets that part end, keeps its outcome, and sends no other."""
    async with running(sending(Takes(2.0, Sent("1")))) as rig:
        message = rig.store.add()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.process, message)
            await passes(1.0)
            rig.store.runs[message.run_id] = RunStatus.CANCELLED

    assert len(rig.gateway.offered) == 1
    assert message.part_statuses() == [SENT, PLANNED, PLANNED]
    assert message.status is MessageStatus.PENDING
    assert message.parts[1].provider_message_id == "1"


@virtual_time
async def test_exhausted_retries() -> None:
    """After three requeues of 5, 15 and 30 minutes the message has failed for good, in the words of the front end."""
    async with running(sending(*[Rejected("400: no")] * 4)) as rig:
        message = rig.store.add(split=False)
        due = []
        for _ in range(4):
            await passes(message.scheduled_at - trio.current_time())
            await rig.process(message)
            due.append(message.scheduled_at)

    assert due == [300.0, 1200.0, 3000.0, 3000.0]
    assert (message.status, message.retry_count) == (MessageStatus.FAILED, 3)
    assert message.error == "Max retries (3) exceeded: 400: no"
    assert rig.tally.ends == {End.REQUEUED: 3, End.FAILED: 1}
    assert [step for step in rig.store.steps(message) if step is not LogStep.GENERATED] == [
        *[LogStep.REQUEUED] * 3,
        LogStep.FAILED,
    ]
