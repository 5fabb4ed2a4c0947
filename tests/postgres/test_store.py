"""The store on a real PostgreSQL: claims, facts, ends, and what a lost claim may not do."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import attrs
import pytest
import trio

from tests.support.backends import SOMEBODY_WAITS, until
from tests.support.database import CAMPAIGN, SCHEMA, fetch, fetch_value, incarnation, start_run
from trioqueue.domain.completions import Usage
from trioqueue.domain.facts import (
    Fact,
    Finished,
    Noted,
    PartsPlanned,
    Returned,
    SendIntended,
    SendSettled,
    TextGenerated,
    Verdict,
    WayBack,
)
from trioqueue.domain.logs import LogEntry, LogLevel, LogStep
from trioqueue.domain.messages import Barred, Claim, ClaimedMessage, Incarnation, Part
from trioqueue.domain.states import MessageStatus, PartStatus
from trioqueue.ports import Rescued
from trioqueue.postgres.connect import connect
from trioqueue.postgres.errors import DatabaseError
from trioqueue.postgres.pool import Pool
from trioqueue.postgres.store import PostgresStore, last_turn

SPENT = Usage(12, Decimal("0.25"))
LOG = LogEntry(LogStep.GENERATED, LogLevel.SUCCESS, "message generated", {"tokens_used": 12})


@pytest.fixture
def store(pool: Pool) -> PostgresStore:
    """The store under test."""
    return PostgresStore(pool, SCHEMA, timeout=30)


async def claimed(store: PostgresStore, worker: Incarnation, count: int = 1) -> Sequence[ClaimedMessage]:
    """Messages in the hands of a worker that is alive."""
    await store.beat(worker)
    return await store.claim(worker.id, count)


def written(claim: Claim) -> tuple[Fact, ...]:
    """The facts of a message of two parts, up to the first intent."""
    return (
        TextGenerated(claim, "A text of two parts.", "some/model", SPENT, 7, LOG),
        PartsPlanned(claim, ("A text of", "two parts."), SPENT, 3),
        SendIntended(claim, 1),
    )


async def test_a_claim_brings_all_that_is_needed(pool: Pool, store: PostgresStore) -> None:
    """A claimed message comes with its lead's context, its campaign's wishes and a conversation."""
    run = await start_run(pool, 1, max_parts=4, split=False)
    worker = incarnation()
    [message] = await claimed(store, worker)

    assert message.claim.run_id == run.run_id
    assert message.claim.owner == worker.id
    assert message.claim.fence == 1
    assert (message.model, message.instructions, message.split, message.max_parts) == (
        "some/model", CAMPAIGN.instructions, False, 4,
    )  # fmt: skip
    assert message.context == {"client_name": "Lead 0", "primary_phone": "1190"}
    assert message.conversation_id is not None
    assert (message.text, message.parts, message.retry_count) == (None, (), 0)


async def test_two_claims_of_one_message_in_a_batch(pool: Pool, store: PostgresStore) -> None:
    """A worker that has lost a message and claimed it again is told of each claim by itself, in either order."""
    await start_run(pool, 1)
    worker = incarnation()
    [lost] = await claimed(store, worker)
    await fetch(pool, "update workers set beat_at = now() - interval '1 hour'")
    await store.rescue(idempotent=False)
    [held] = await claimed(store, worker)
    facts = [TextGenerated(message.claim, "A text.", "some/model", SPENT, 7) for message in (lost, held)]

    assert await store.commit(facts) == [Verdict.CLAIM_LOST, Verdict.DURABLE]
    assert await store.commit(facts[::-1]) == [Verdict.DURABLE, Verdict.CLAIM_LOST]


async def test_no_message_is_claimed_twice(pool: Pool, store: PostgresStore) -> None:
    """Two workers share the due messages; when none is left, a claim is empty."""
    await start_run(pool, 10)
    first, second = await claimed(store, incarnation(), 6), await claimed(store, incarnation(), 6)

    ids = {message.claim.message_id for message in [*first, *second]}
    assert (len(first), len(second), len(ids)) == (6, 4, 10)
    assert await claimed(store, incarnation(), 1) == []


async def test_what_is_not_due_or_not_running_is_not_claimed(pool: Pool, store: PostgresStore) -> None:
    """A message of the future and messages of a paused run stay where they are."""
    await start_run(pool, 2)
    paused = await start_run(pool, 2, first=2)
    await store.pause_run(paused.run_id, LogStep.OUT_OF_CREDITS, "no credits")
    await fetch(
        pool, "update campaign_messages set scheduled_at = now() + interval '1 second' where phone_number = '1190'"
    )

    messages = await claimed(store, incarnation(), 10)

    assert [message.context["client_name"] for message in messages] == ["Lead 1"]


async def test_a_claim_is_fair_between_runs(pool: Pool, store: PostgresStore) -> None:
    """A run with many messages does not starve one with few: each gives its share, and the rest fills up."""
    large = await start_run(pool, 50)
    small = await start_run(pool, 3, first=100)

    runs = [message.claim.run_id for message in await claimed(store, incarnation(), 10)]

    assert runs.count(small.run_id) == 3
    assert runs.count(large.run_id) == 7


async def test_single_claims_go_round_the_runs(pool: Pool, store: PostgresStore) -> None:
    """Claims of one message each, as under load, take the runs in turn."""
    runs = [(await start_run(pool, 5, first=10 * n)).run_id for n in range(3)]
    worker = incarnation()
    served = [(await claimed(store, worker))[0].claim.run_id for _ in range(6)]

    assert sorted(served[:3], key=str) == sorted(runs, key=str)
    assert served[3:] == served[:3]


def test_the_turn_goes_on_after_the_run_served_last() -> None:
    """The turn counts from the run after the last one, round the end."""
    one, two, three = (UUID(int=n) for n in (1, 2, 3))

    assert last_turn(two, [three, one]) == one
    assert last_turn(two, [two, three]) == two
    assert last_turn(two, []) == two


async def test_an_end_and_the_next_claim_in_one_transaction(pool: Pool, store: PostgresStore) -> None:
    """What frees a slot is committed together with the claim for it, and both are answered."""
    await start_run(pool, 3)
    worker = incarnation()
    [first] = await claimed(store, worker)
    verdicts, [second] = await store.commit_and_claim([Finished(first.claim, MessageStatus.FAILED, "no")], worker.id, 1)

    assert verdicts == [Verdict.DURABLE]
    assert second.claim.message_id != first.claim.message_id
    assert second.context["client_name"].startswith("Lead")
    rows = await fetch(pool, "select id, status, xmin::text from campaign_messages where status <> 'pending'")
    assert {row[:2] for row in rows} == {(first.claim.message_id, "failed"), (second.claim.message_id, "generating")}
    assert len({row[2] for row in rows}) == 1


async def test_the_whole_way_of_a_message(pool: Pool, store: PostgresStore) -> None:
    """Text, parts, intents, outcomes and end are stored, and the run is completed with exact counters."""
    run = await start_run(pool, 1)
    [message] = await claimed(store, incarnation())
    claim = message.claim
    verdicts = [
        *await store.commit(written(claim)),
        *await store.commit([SendSettled(claim, 1, PartStatus.SENT, 5, "wamid.1"), SendIntended(claim, 2)]),
        *await store.commit(
            [
                SendSettled(claim, 2, PartStatus.SENT, 9, "wamid.2"),
                Finished(claim, MessageStatus.SENT, None, "wamid.2", SPENT, LOG),
            ]
        ),
    ]

    assert set(verdicts) == {Verdict.DURABLE}
    [row] = await fetch(
        pool,
        "select status, generated_message, ai_model, ai_tokens_used, cost_usd, ai_generation_time_ms, ai_split_time_ms,"
        " send_time_ms, provider_message_id, sent_at is not null, claimed_by from campaign_messages",
    )
    assert row == (
        "sent", "A text of two parts.", "some/model", 12, Decimal("0.25"), 7, 3, 9, "wamid.2", True, None,
    )  # fmt: skip
    parts = await fetch(
        pool,
        "select part_no, body, status, idempotency_key, provider_message_id from campaign_message_parts order by 1",
    )
    assert parts == [
        (1, "A text of", "sent", f"{claim.message_id}:1", "wamid.1"),
        (2, "two parts.", "sent", f"{claim.message_id}:2", "wamid.2"),
    ]
    counters = (
        "select status, leads_total, leads_processed, leads_success, leads_failed, leads_skipped from campaign_runs"
    )
    assert await fetch(pool, counters) == [("completed", 1, 1, 1, 0, 0)]
    steps = await fetch(pool, "select step_name, message_id from campaign_logs order by id")
    assert ("GERAÇÃO_IA", claim.message_id) in steps
    assert steps[-1] == ("FINALIZAÇÃO", None) or ("FINALIZAÇÃO", None) in steps
    assert run.run_id == claim.run_id


async def test_facts_told_twice_leave_what_they_left_once(pool: Pool, store: PostgresStore) -> None:
    """A batch whose commit was lost with its connection can be told again under the same claim."""
    await start_run(pool, 1)
    [message] = await claimed(store, incarnation())
    facts = written(message.claim)
    everything = (
        "select m.*, p.* from campaign_messages m join campaign_message_parts p on p.message_id = m.id order by part_no"
    )
    await store.commit(facts)
    once = await fetch(pool, everything.replace("m.*", "m.status, generated_message, ai_tokens_used, cost_usd"))
    verdicts = await store.commit(facts[1:])
    twice = await fetch(pool, everything.replace("m.*", "m.status, generated_message, ai_tokens_used, cost_usd"))

    assert set(verdicts) == {Verdict.DURABLE}
    assert once == twice


@pytest.mark.parametrize(
    "change",
    [{"owner": uuid4()}, {"fence": 99}, {"message_id": uuid4()}],
    ids=["another owner", "another fence", "no such message"],
)
async def test_a_lost_claim_writes_nothing(pool: Pool, store: PostgresStore, change: dict[str, Any]) -> None:
    """No fact of a worker that does not hold the message changes it, whatever the fact."""
    await start_run(pool, 1)
    [message] = await claimed(store, incarnation())
    await store.commit(written(message.claim))
    lost = attrs.evolve(message.claim, **change)
    facts = (
        *written(lost),
        SendSettled(lost, 1, PartStatus.SENT, 5),
        Finished(lost, MessageStatus.SENT),
        Returned(lost, WayBack.REQUEUE, 300.0, 1),
    )
    before = (
        await fetch(pool, "select * from campaign_messages"),
        await fetch(pool, "select * from campaign_message_parts"),
    )
    verdicts = [verdict for fact in facts for verdict in await store.commit([fact])]
    after = (
        await fetch(pool, "select * from campaign_messages"),
        await fetch(pool, "select * from campaign_message_parts"),
    )

    assert set(verdicts) == {Verdict.CLAIM_LOST}
    assert before == after


async def test_an_intent_of_a_stopped_run_is_refused(pool: Pool, store: PostgresStore) -> None:
    """Nothing is intended once the run is paused; the part stays planned."""
    run = await start_run(pool, 1)
    [message] = await claimed(store, incarnation())
    await store.commit(written(message.claim)[:2])
    await store.pause_run(run.run_id, LogStep.BAD_CREDENTIALS, "the key is not accepted")

    assert await store.commit([SendIntended(message.claim, 1)]) == [Verdict.RUN_STOPPED]
    assert await fetch_value(pool, "select string_agg(distinct status, ',') from campaign_message_parts") == "planned"


async def test_a_part_is_not_intended_after_it_left(pool: Pool, store: PostgresStore) -> None:
    """A part that was sent, or whose outcome is unknown, is never intended again."""
    await start_run(pool, 2)
    for message, status in zip(await claimed(store, incarnation(), 2), ("sent", "unknown"), strict=True):
        claim = message.claim
        await store.commit(written(claim))
        await store.commit([SendSettled(claim, 1, PartStatus(status), 5)])

        assert await store.commit([SendIntended(claim, 1)]) == [Verdict.CLAIM_LOST]


async def test_a_part_under_way_is_not_intended_by_a_later_claim(pool: Pool, store: PostgresStore) -> None:
    """Were a message ever returned with a part under way, its next holder could not send that part."""
    await start_run(pool, 1)
    worker = incarnation()
    [message] = await claimed(store, worker)
    await store.commit(written(message.claim))
    await store.commit([Returned(message.claim, WayBack.RELEASE, None, 0)])
    [again] = await claimed(store, worker)
    resumed = PartsPlanned(again.claim, tuple(part.body for part in again.parts), SPENT)

    assert await store.commit([resumed, SendIntended(again.claim, 1)]) == [Verdict.DURABLE, Verdict.CLAIM_LOST]


async def test_a_requeued_message_comes_back_with_what_is_stored(pool: Pool, store: PostgresStore) -> None:
    """Text, parts and what was spent survive a requeue, so that nothing is paid for or sent twice."""
    await start_run(pool, 1)
    worker = incarnation()
    [message] = await claimed(store, worker)
    claim = message.claim
    await store.commit(written(claim))
    await store.commit([SendSettled(claim, 1, PartStatus.SENT, 5, "wamid.1"), SendIntended(claim, 2)])
    await store.commit(
        [
            SendSettled(claim, 2, PartStatus.PLANNED, 6, error="connection refused"),
            Returned(claim, WayBack.REQUEUE, 300.0, 1, "connection refused", SPENT),
        ]
    )

    [due] = await fetch(pool, "select status, retry_count, error_message, scheduled_at - now() from campaign_messages")
    assert due[:3] == ("pending", 1, "connection refused")
    assert 299 < due[3].total_seconds() <= 300
    assert await claimed(store, worker) == []
    await fetch(pool, "update campaign_messages set scheduled_at = now()")
    [again] = await claimed(store, worker)
    assert again.claim.fence == claim.fence + 1
    assert again.text == "A text of two parts."
    assert again.parts == (Part(1, "A text of", PartStatus.SENT), Part(2, "two parts.", PartStatus.PLANNED))
    assert (again.spent, again.retry_count, again.send_time_ms) == (SPENT, 1, 6)


async def test_one_refused_fact_writes_none_of_its_batch(pool: Pool, store: PostgresStore) -> None:
    """A batch is one transaction: a fact that the database refuses takes the others with it."""
    await start_run(pool, 2)
    good, bad = await claimed(store, incarnation(), 2)
    batch = [
        TextGenerated(good.claim, "A good text.", "m", SPENT, 1),
        TextGenerated(bad.claim, "", "m", SPENT, 1),
    ]

    with pytest.raises(DatabaseError):
        await store.commit(batch)
    assert await fetch_value(pool, "select count(*) from campaign_messages where generated_message is not null") == 0


async def test_hostile_texts_are_stored_as_they_are(pool: Pool, store: PostgresStore) -> None:
    """Quotes, backslashes, JSON and SQL in a text come back as they went in."""
    text = """O'Neil\\" {"a": [1]} '; drop table leads; -- $1 %s {schema} 👩‍👩‍👧 \u2028 \n\t"""
    await start_run(pool, 1)
    worker = incarnation()
    [message] = await claimed(store, worker)
    await store.commit(
        [
            TextGenerated(message.claim, text, "m", SPENT, 1),
            PartsPlanned(message.claim, (text,), SPENT),
            Returned(message.claim, WayBack.RELEASE, None, 0),
        ]
    )
    [again] = await claimed(store, worker)

    assert again.text == text
    assert [part.body for part in again.parts] == [text]


async def test_a_note_is_written_to_the_log(pool: Pool, store: PostgresStore) -> None:
    """A fact that is only for the log writes one row with its details."""
    await start_run(pool, 1)
    [message] = await claimed(store, incarnation())
    entry = LogEntry(LogStep.TIMED_OUT, LogLevel.WARNING, "late", {"seconds": 30, "cost": Decimal("0.1")})
    await store.commit([Noted(message.claim, entry)])

    [row] = await fetch(
        pool,
        "select run_id, message_id, lead_id, level, message, details from campaign_logs where step_name = 'TIMEOUT'",
    )
    claim = message.claim
    assert row == (claim.run_id, claim.message_id, claim.lead_id, "warning", "late", {"seconds": 30, "cost": "0.1"})


async def test_a_message_without_conversation_is_given_one(pool: Pool, store: PostgresStore) -> None:
    """Messages that another program inserted get the conversation of their phone number, one for each number."""
    await start_run(pool, 2)
    await fetch(pool, "update campaign_messages set conversation_id = null")
    await fetch(pool, "delete from conversations where contact_phone like '%%0'")
    messages = await claimed(store, incarnation(), 2)

    there = await fetch(
        pool, "select c.id, m.id from conversations c join campaign_messages m on m.conversation_id = c.id"
    )
    assert {(message.conversation_id, message.claim.message_id) for message in messages} == set(there)
    assert len(there) == 2


OPT_OUT = "update leads set status = 'opted_out'"
TAKE_OVER = "update conversations set taken_over_at = now()"


@pytest.mark.parametrize(("change", "barred"), [(OPT_OUT, Barred.OPTED_OUT), (TAKE_OVER, Barred.TAKEN_OVER)])
@pytest.mark.parametrize("homeless", [False, True])
async def test_a_claim_says_who_is_not_to_be_written_to(
    pool: Pool, store: PostgresStore, change: str, barred: Barred, homeless: bool
) -> None:
    """A claimed message says that its lead has opted out or that a person writes into its conversation."""
    await start_run(pool, 2)
    if homeless:
        await fetch(pool, "update campaign_messages set conversation_id = null")
    phone = "phone_normalized" if change is OPT_OUT else "contact_phone"
    await fetch(pool, f"{change} where {phone} like '%%0'")
    messages = await claimed(store, incarnation(), 2)

    assert {message.context["client_name"]: message.barred for message in messages} == {
        "Lead 0": barred, "Lead 1": None,
    }  # fmt: skip


@pytest.mark.parametrize(("change", "verdict"), [(OPT_OUT, Verdict.LEAD_OPTED_OUT), (TAKE_OVER, Verdict.TAKEN_OVER)])
async def test_an_intent_to_write_to_somebody_who_is_not_to_be_written_to_is_refused(
    pool: Pool, store: PostgresStore, change: str, verdict: Verdict
) -> None:
    """What was sent is stored with the refusal; the next part stays planned, and the message can be skipped."""
    run = await start_run(pool, 1)
    [message] = await claimed(store, incarnation())
    claim = message.claim
    await store.commit(written(claim))
    await fetch(pool, change)
    verdicts = await store.commit([SendSettled(claim, 1, PartStatus.SENT, 5, "wamid.1"), SendIntended(claim, 2)])
    end = await store.commit([Finished(claim, MessageStatus.SKIPPED, "why", None, SPENT)])

    assert verdicts == [Verdict.DURABLE, verdict]
    assert end == [Verdict.DURABLE]
    parts = "select status, intended_at is not null from campaign_message_parts order by part_no"
    assert await fetch(pool, parts) == [("sent", True), ("planned", False)]
    assert await fetch(pool, "select id, status, leads_skipped from campaign_runs") == [(run.run_id, "completed", 1)]


async def test_other_states_of_a_lead_do_not_matter(pool: Pool, store: PostgresStore) -> None:
    """Only opted_out keeps a lead from being written to; the CRM's other words are its own."""
    await start_run(pool, 1)
    await fetch(pool, "update leads set status = 'archived'")
    [message] = await claimed(store, incarnation())

    assert message.barred is None
    assert set(await store.commit(written(message.claim))) == {Verdict.DURABLE}


async def test_messages_of_a_living_worker_are_not_rescued(pool: Pool, store: PostgresStore) -> None:
    """A worker whose lease runs keeps its messages."""
    await start_run(pool, 1)
    [message] = await claimed(store, incarnation())

    assert await store.rescue(idempotent=False) == Rescued(0, 0)
    assert await store.commit(written(message.claim)[:1]) == [Verdict.DURABLE]


@pytest.mark.parametrize("idempotent", [False, True])
async def test_messages_of_a_dead_worker_are_rescued(pool: Pool, store: PostgresStore, idempotent: bool) -> None:
    """Without a part under way a message is pending again; with one it is unconfirmed, unless resending is safe."""
    run = await start_run(pool, 2)
    worker = incarnation()
    writing, sending = await claimed(store, worker, 2)
    await store.commit(written(sending.claim))
    await fetch(pool, "update workers set beat_at = now() - interval '31 seconds'")

    rescued = await store.rescue(idempotent=idempotent)

    assert rescued == (Rescued(2, 0) if idempotent else Rescued(1, 1))
    states = dict(await fetch(pool, "select id, status from campaign_messages"))
    assert states[writing.claim.message_id] == "pending"
    assert states[sending.claim.message_id] == ("pending" if idempotent else "unconfirmed")
    parts = await fetch(pool, "select status from campaign_message_parts order by part_no")
    assert parts == ([("planned",), ("planned",)] if idempotent else [("unknown",), ("planned",)])
    processed = await fetch_value(pool, "select leads_processed from campaign_runs where id = %s", run.run_id)
    assert processed == (0 if idempotent else 1)
    assert await store.commit([SendIntended(sending.claim, 1)]) == [Verdict.CLAIM_LOST]


async def test_claims_that_their_own_worker_does_not_know_of_are_taken_back(pool: Pool, store: PostgresStore) -> None:
    """A message whose claim was never answered is released after a minute; one that is worked on is not."""
    await start_run(pool, 2)
    worker = incarnation()
    known, lost = await claimed(store, worker, 2)
    held = {known.claim.message_id}
    early = await store.rescue(idempotent=False, worker=worker.id, held=held)
    await fetch(pool, "update campaign_messages set claimed_at = now() - interval '61 seconds'")

    assert early == Rescued(0, 0)
    assert await store.rescue(idempotent=False, worker=worker.id, held=held) == Rescued(1, 0)
    assert await store.commit([SendIntended(lost.claim, 1)]) == [Verdict.CLAIM_LOST]
    assert await store.commit(written(known.claim)[:1]) == [Verdict.DURABLE]


async def test_a_worker_spares_its_own_messages(pool: Pool, store: PostgresStore) -> None:
    """A worker that comes back after its lease has run out does not rescue what it works on from itself."""
    await start_run(pool, 2)
    worker = incarnation()
    writing, sending = await claimed(store, worker, 2)
    held = {writing.claim.message_id, sending.claim.message_id}
    await store.commit(written(sending.claim))
    await fetch(pool, "update workers set beat_at = now() - interval '31 seconds'")
    spared = await store.rescue(idempotent=False, worker=worker.id, held=held)
    verdicts = await store.commit([SendSettled(sending.claim, 1, PartStatus.SENT, 10), *written(writing.claim)[:1]])

    assert spared == Rescued(0, 0)
    assert verdicts == [Verdict.DURABLE, Verdict.DURABLE]
    assert await store.rescue(idempotent=False, worker=uuid4()) == Rescued(2, 0)


async def test_a_worker_that_left_holds_nothing(pool: Pool, store: PostgresStore) -> None:
    """What a struck-off worker still held is taken at once."""
    await start_run(pool, 1)
    worker = incarnation()
    await claimed(store, worker)
    await store.leave(worker)

    assert await store.rescue(idempotent=False) == Rescued(1, 0)


async def test_rows_of_workers_long_dead_are_removed(pool: Pool, store: PostgresStore) -> None:
    """A rescue forgets workers that have been dead for a day; the next one, when it has taken their messages."""
    await start_run(pool, 1)
    await store.beat(incarnation())
    await claimed(store, incarnation())
    await fetch(pool, "update workers set beat_at = now() - interval '25 hours'")
    await store.rescue(idempotent=False)
    left = await fetch_value(pool, "select count(*) from workers")
    await store.rescue(idempotent=False)

    assert left == 1
    assert await fetch_value(pool, "select count(*) from workers") == 0


async def test_old_messages_are_skipped_and_counted(pool: Pool, store: PostgresStore) -> None:
    """Messages due too long ago are skipped; the run is completed when they were its last; the count is logged."""
    run = await start_run(pool, 3)
    await fetch(pool, "update campaign_messages set scheduled_at = now() - interval '61 minutes'")
    skipped, again = await store.skip_old(3600), await store.skip_old(3600)

    assert (skipped, again) == (3, 0)
    counters = "select status, leads_processed, leads_skipped from campaign_runs where id = %s"
    assert await fetch(pool, counters, run.run_id) == [("completed", 3, 3)]
    logged = await fetch(pool, "select details ->> 'skipped' from campaign_logs where message = 'old messages skipped'")
    assert logged == [("3",)]


async def test_many_old_messages_are_skipped_piece_by_piece(pool: Pool, store: PostgresStore) -> None:
    """More old messages than one statement takes are all skipped, and the run is completed once."""
    await start_run(pool, 1_200)
    await fetch(pool, "update campaign_messages set scheduled_at = now() - interval '61 minutes'")

    assert await store.skip_old(3600) == 1_200
    assert await fetch(pool, "select status, leads_skipped from campaign_runs") == [("completed", 1_200)]
    completed = "select count(*) from campaign_logs where message = 'run completed'"
    assert await fetch_value(pool, completed) == 1


async def test_old_messages_of_a_paused_run_are_kept(pool: Pool, store: PostgresStore) -> None:
    """Only running runs have their old messages skipped."""
    run = await start_run(pool, 1)
    await store.pause_run(run.run_id, LogStep.OUT_OF_CREDITS, "no credits")
    await fetch(pool, "update campaign_messages set scheduled_at = now() - interval '2 hours'")

    assert await store.skip_old(3600) == 0


async def test_queued_messages_are_adopted(pool: Pool, store: PostgresStore) -> None:
    """What another program wrote as `queued` becomes pending and is claimed."""
    await start_run(pool, 1)
    await fetch(pool, "update campaign_messages set status = 'queued'")

    assert await claimed(store, incarnation()) == []
    assert await store.adopt_queued() == 1
    assert len(await claimed(store, incarnation())) == 1


async def test_a_paused_run_says_why(pool: Pool, store: PostgresStore) -> None:
    """A run is paused once, with the reason in its row and its log."""
    run = await start_run(pool, 1)
    first = await store.pause_run(run.run_id, LogStep.OUT_OF_CREDITS, "no credits")
    second = await store.pause_run(run.run_id, LogStep.OUT_OF_CREDITS, "no credits")

    assert (first, second) == (True, False)
    assert await fetch(pool, "select status, error_message from campaign_runs") == [("paused", "no credits")]
    logged = await fetch(pool, "select level, message from campaign_logs where step_name = 'CREDITOS_INSUFICIENTES'")
    assert logged == [("error", "no credits")]


async def test_runs_are_locked_in_one_order_whatever_ends_in_them(
    pool: Pool, store: PostgresStore, migrated_url: str
) -> None:
    """Two workers that finish and return messages of the same two runs do not wait for each other in a circle."""
    first, second = sorted([(await start_run(pool, 1)).run_id, (await start_run(pool, 1, first=1)).run_id])
    claims = {message.claim.run_id: message.claim for message in await claimed(store, incarnation(), 2)}
    ends: list[Fact] = [
        Finished(claims[second], MessageStatus.FAILED, "no"),
        Returned(claims[first], WayBack.RELEASE, None, 0, None, SPENT),
    ]
    lock = "select from campaign_runs where id = %s for no key update"

    async with (
        trio.open_nursery() as nursery,
        await connect(migrated_url) as observer,
        await connect(migrated_url) as other,
        other.transaction(),
    ):
        await other.execute(f"set local search_path to {SCHEMA}".encode())
        await other.execute(lock, [first])
        nursery.start_soon(store.commit, ends)
        await until(observer, SOMEBODY_WAITS)
        await other.execute(f"{lock} nowait".encode(), [second])

    assert await fetch(pool, "select status from campaign_messages order by status") == [("failed",), ("pending",)]
