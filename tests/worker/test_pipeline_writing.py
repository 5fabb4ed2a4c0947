"""A message from claim to parts: what is stored is never paid for again, and a split never keeps a message back."""

from collections import deque
from decimal import Decimal

import pytest
import trio

from tests.support.clock import passes, virtual_time
from tests.support.fakes import PARAGRAPHS, TEXT, FakeModel, ModelStep, StoredPart, Takes, generated, split_into
from tests.worker.rig import COMPUTE_TIMEOUT, Rig, running
from trioqueue.domain.completions import (
    AnswerFormat,
    BadCredentials,
    ConfigurationAtFault,
    MessageAtFault,
    OutOfCredits,
    RateLimited,
    Transient,
    Truncated,
    Usable,
    Usage,
)
from trioqueue.domain.facts import PartsPlanned, TextGenerated
from trioqueue.domain.logs import LogStep
from trioqueue.domain.screening import ScreeningRule
from trioqueue.domain.splitting import split_deterministically
from trioqueue.domain.states import MessageStatus, PartStatus
from trioqueue.ports import StoreUnavailable
from trioqueue.worker.calls import IN_TIME
from trioqueue.worker.tally import End

FALLBACK = list(split_deterministically(TEXT, 3))


@virtual_time
async def test_the_whole_way() -> None:
    """A message is written, stored, split, stored, sent part by part, and finished; all of it stands in the store."""
    async with running() as rig:
        message = rig.store.add()
        await rig.process(message)

    assert message.status is MessageStatus.SENT
    assert message.text == TEXT
    assert rig.gateway.texts(message.conversation_id) == list(PARAGRAPHS)
    assert message.part_statuses() == [PartStatus.SENT] * 3
    assert [part.idempotency_key for part in rig.gateway.offered] == [f"{message.id}:{n}" for n in (1, 2, 3)]
    assert message.provider_message_id == f"id of {message.id}:3"
    assert message.spent == Usage(200, Decimal("0.0020"))
    assert (message.owner, message.error, message.retry_count) == (None, None, 0)


@virtual_time
async def test_what_the_log_says() -> None:
    """Each step has its row, with its measurements, in the words of the front end."""
    async with running(Rig(model=FakeModel(takes=1.5))) as rig:
        rig.gateway.takes = 0.25
        message = rig.store.add()
        await rig.process(message)
        details = [entry.details for _, entry in rig.store.logs]

    sent = [LogStep.SENT] * 3
    assert rig.store.steps(message) == [LogStep.GENERATED, LogStep.SPLIT, *sent, LogStep.FINISHED]
    assert details[0] == {
        "generation_time_ms": 1500,
        "tokens_used": 120,
        "model": "served/model",
        "cost_usd": Decimal("0.0012"),
    }
    assert details[1] == {"parts": 3, "origin": "model", "split_time_ms": 1500, "tokens_used": 80}
    assert [entry["send_time_ms"] for entry in details[2:5]] == [250, 500, 750]
    assert message.send_time_ms == 750


@virtual_time
async def test_what_the_tally_says() -> None:
    """The tally counts ends, parts sent and tokens used by this process, not what earlier attempts used."""
    async with running() as rig:
        await rig.process(rig.store.add(spent=Usage(1_000), retry_count=1))
        await rig.process(rig.store.add(split=False))

    assert rig.tally.ends == {End.SENT: 2}
    assert rig.tally.parts_sent == 4
    assert rig.tally.tokens_used == 200 + 120


@virtual_time
async def test_the_text_is_durable_before_it_is_split() -> None:
    """The split is not asked for before the generated text is on disk."""
    async with running() as rig:
        message = rig.store.add()
        gate = rig.store.hold("commit")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.process, message)
            await passes(5.0)

            assert rig.model.calls(AnswerFormat.TEXT) == 1
            assert rig.model.calls(AnswerFormat.MESSAGE_PARTS) == 0
            gate.set()

    assert message.status is MessageStatus.SENT


@virtual_time
async def test_a_stored_text_is_not_written_again() -> None:
    """A message whose text an earlier attempt stored is split and sent without a call to write it."""
    async with running() as rig:
        message = rig.store.add(text=TEXT, spent=Usage(120))
        await rig.process(message)

    assert rig.model.calls(AnswerFormat.TEXT) == 0
    assert rig.model.calls(AnswerFormat.MESSAGE_PARTS) == 1
    assert rig.store.facts(TextGenerated) == []
    assert message.status is MessageStatus.SENT
    assert message.spent.tokens == 200


@virtual_time
async def test_stored_parts_are_not_split_again() -> None:
    """A message whose parts an earlier attempt stored is sent as it was cut then, without any call."""
    parts = {1: StoredPart("Primeira."), 2: StoredPart("Segunda.")}
    async with running() as rig:
        message = rig.store.add(text=TEXT, parts=parts)
        await rig.process(message)

    assert rig.model.requests == []
    assert rig.gateway.texts(message.conversation_id) == ["Primeira.", "Segunda."]
    assert LogStep.SPLIT not in rig.store.steps(message)


@pytest.mark.parametrize(
    "failure",
    [
        Usable("não sei dividir", "m"),
        split_into("Olá, Ana!", "Um texto que ninguém escreveu."),
        Usable("[" * 20_000, "m"),
        Truncated(),
        RateLimited("429", 100.0),
        RateLimited("429"),
        Transient("503"),
        MessageAtFault("refused"),
        ConfigurationAtFault("no such model"),
        BadCredentials("401"),
        OutOfCredits("402"),
        OSError("a defect of the client"),
        Takes(25.0, split_into(*PARAGRAPHS)),
    ],
)
@virtual_time
async def test_however_the_split_fails_the_message_goes_out(failure: ModelStep) -> None:
    """A split that fails in any way whatsoever costs nothing but the model's help."""
    async with running(Rig(model=FakeModel(split=deque([failure] * 5)))) as rig:
        message = rig.store.add()
        await rig.process(message)

    assert message.status is MessageStatus.SENT
    assert rig.gateway.texts(message.conversation_id) == FALLBACK
    assert message.retry_count == 0
    [planned] = rig.store.facts(PartsPlanned)
    assert planned.log is not None
    assert planned.log.details["origin"] == "fallback"


@virtual_time
async def test_messages_that_need_no_split() -> None:
    """A short message, one that may have one part, and one that is wanted whole go out without a call to split."""
    async with running() as rig:
        rig.model.generate.append(generated("Olá, Ana! Tudo bem?"))
        await rig.process(rig.store.add())
        await rig.process(rig.store.add(max_parts=1))
        await rig.process(rig.store.add(split=False))

    assert [part.text for part in rig.gateway.delivered] == ["Olá, Ana! Tudo bem?", TEXT, TEXT]
    assert rig.model.calls(AnswerFormat.MESSAGE_PARTS) == 0


@virtual_time
async def test_a_text_that_is_not_written_in_time() -> None:
    """The compute deadline before the text fails the attempt: the log says TIMEOUT, and the message is requeued."""
    faults: list[ModelStep] = [Takes(20.0, Transient("503")), Takes(20.0, generated())]
    async with running(Rig(model=FakeModel(generate=deque(faults)))) as rig:
        message = rig.store.add()
        await rig.process(message)
        ended = trio.current_time()

    assert ended == COMPUTE_TIMEOUT - IN_TIME
    assert (message.status, message.retry_count) == (MessageStatus.PENDING, 1)
    assert rig.store.steps(message) == [LogStep.TIMED_OUT, LogStep.REQUEUED]
    assert rig.gateway.offered == []


@virtual_time
async def test_a_split_that_is_not_done_in_time() -> None:
    """The compute deadline after the text cuts the split short, and the message goes out at once."""
    async with running() as rig:
        rig.model.generate.append(Takes(25.0, generated()))
        rig.model.split.append(Takes(15.0, split_into(*PARAGRAPHS)))
        message = rig.store.add()
        await rig.process(message)
        ended = trio.current_time()

    assert ended == COMPUTE_TIMEOUT - IN_TIME
    assert message.status is MessageStatus.SENT
    assert rig.gateway.texts(message.conversation_id) == FALLBACK


@virtual_time
async def test_a_text_whose_commit_takes_longer_than_the_deadline() -> None:
    """A text that was written in time is not a failed attempt because the store was slow or away: it goes out."""
    async with running(Rig(model=FakeModel(generate=deque([Takes(29.0, generated())])))) as rig:
        message = rig.store.add()
        rig.store.fail("commit", *(StoreUnavailable("away") for _ in range(6)))
        await rig.process(message)

    assert message.status is MessageStatus.SENT
    assert (message.text, message.retry_count) == (TEXT, 0)
    assert rig.gateway.texts(message.conversation_id) == FALLBACK


@pytest.mark.parametrize("text", ["", "Olá, Ana", "\u200b" * 20, "a" * 3_001])
@virtual_time
async def test_a_text_that_is_no_message_is_a_failed_attempt(text: str) -> None:
    """What is too short, invisible or too long for its parts is paid for, not stored, and written anew later."""
    async with running(Rig(model=FakeModel(generate=deque([generated(text)])))) as rig:
        message = rig.store.add()
        await rig.process(message)

    assert (message.status, message.retry_count, message.text) == (MessageStatus.PENDING, 1, None)
    assert message.spent.tokens == 120
    assert rig.tally.tokens_used == 120


BAD_TEXT = "Olá {{nome}}, tudo bem com você?"


@virtual_time
async def test_a_screened_text_fails_for_good() -> None:
    """A text that must not leave ends its message with the rule's name; it is paid for, stored, and never sent."""
    async with running(Rig(model=FakeModel(generate=deque([generated(BAD_TEXT)])))) as rig:
        message = rig.store.add()
        await rig.process(message)

    assert (message.status, message.retry_count, message.text) == (MessageStatus.FAILED, 0, BAD_TEXT)
    assert message.error == 'screening (placeholder): a value is missing at "{{nome}}"'
    assert message.spent.tokens == 120
    assert rig.store.steps(message) == [LogStep.GENERATED, LogStep.FAILED]
    assert rig.model.calls(AnswerFormat.MESSAGE_PARTS) == 0
    assert rig.gateway.offered == []
    assert rig.tally.ends == {End.FAILED: 1}
    assert len(rig.pipeline.writer.leads) == 0


@virtual_time
async def test_a_screened_text_is_stored_with_the_messages_end() -> None:
    """Text and end are told in one commit: a crash in between would leave a text that the next attempt sends."""
    async with running(Rig(model=FakeModel(generate=deque([generated(BAD_TEXT)])))) as rig:
        message = rig.store.add()
        gate = rig.store.hold("commit")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.process, message)
            await passes(5.0)

            assert message.text is None
            gate.set()

    [generated_fact] = rig.store.facts(TextGenerated)
    assert generated_fact.text == BAD_TEXT
    assert message.status is MessageStatus.FAILED


@virtual_time
async def test_a_rule_that_is_off_lets_its_texts_pass() -> None:
    """A text that only a rule finds that is off goes out."""
    rig = Rig(model=FakeModel(generate=deque([generated(BAD_TEXT)])), screening_off={ScreeningRule.PLACEHOLDER})
    async with running(rig):
        message = rig.store.add()
        await rig.process(message)

    assert message.status is MessageStatus.SENT
    assert rig.gateway.texts(message.conversation_id) == [BAD_TEXT]


@virtual_time
async def test_a_stored_text_is_screened_again() -> None:
    """A message that a person had tried again ends as before while nothing has changed; nothing is paid for that."""
    async with running(Rig()) as rig:
        message = rig.store.add(text=BAD_TEXT)
        await rig.process(message)

    assert (message.status, message.text) == (MessageStatus.FAILED, BAD_TEXT)
    assert message.error == 'screening (placeholder): a value is missing at "{{nome}}"'
    assert rig.model.calls(AnswerFormat.TEXT) == 0
    assert rig.gateway.offered == []


@virtual_time
async def test_parts_are_not_screened_again() -> None:
    """A message that was split goes on with its parts: some may have left, and the rest belongs to them."""
    async with running(Rig()) as rig:
        message = rig.store.add(text=BAD_TEXT, parts={1: StoredPart(BAD_TEXT)})
        await rig.process(message)

    assert message.status is MessageStatus.SENT
    assert rig.gateway.texts(message.conversation_id) == [BAD_TEXT]


@virtual_time
async def test_another_leads_name_is_found_while_its_message_is_in_flight() -> None:
    """A model that mixes up two messages does not tell one lead the name of the other."""
    mixed_up = generated("Olá, Bruno Dias Lima! Tudo bem?")
    async with running(Rig(model=FakeModel(generate=deque([Takes(9.0, generated()), mixed_up])))) as rig:
        other = rig.store.add(context={"client_name": "Bruno Dias Lima"})
        message = rig.store.add(context={"client_name": "Ana Souza"})
        claimed = await rig.store.claim(rig.incarnation.id, 2)
        async with trio.open_nursery() as nursery:
            for one in sorted(claimed, key=lambda one: one.claim.message_id != other.id):
                nursery.start_soon(rig.pipeline.process, one)
                await passes(1.0)

    assert (other.status, message.status) == (MessageStatus.SENT, MessageStatus.FAILED)
    assert message.error == 'screening (other-lead): the name of another lead: "bruno dias lima"'


@virtual_time
async def test_a_long_rate_limit_snoozes() -> None:
    """A wait that does not fit gives the message back until it is over, at no cost of a retry."""
    async with running(Rig(model=FakeModel(generate=deque([RateLimited("429", 90.0)])))) as rig:
        message = rig.store.add(retry_count=2)
        await rig.process(message)

    assert (message.status, message.retry_count) == (MessageStatus.PENDING, 2)
    assert message.scheduled_at == 90.0
    assert rig.store.steps(message) == [LogStep.RATE_LIMITED]
    assert rig.tally.ends == {End.SNOOZED: 1}


@virtual_time
async def test_a_refused_message_fails_for_good() -> None:
    """What the model refuses to write is not tried again."""
    async with running(Rig(model=FakeModel(generate=deque([MessageAtFault("refused")])))) as rig:
        message = rig.store.add()
        await rig.process(message)

    assert (message.status, message.error) == (MessageStatus.FAILED, "refused")
    assert rig.store.steps(message) == [LogStep.FAILED]
    assert rig.tally.ends == {End.FAILED: 1}
