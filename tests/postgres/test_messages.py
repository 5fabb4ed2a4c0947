"""Messages as people look through them, settle and retry them: states, counters and runs stay exact."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
import trio

from tests.support.backends import SOMEBODY_WAITS, until
from tests.support.database import SCHEMA, fetch, fetch_value, incarnation, start_run
from tests.support.unconfirmed import BODIES, claim_due, ended_run, make_unconfirmed, unconfirmed_facts, unconfirmed_run
from trioqueue.domain.logs import LogStep
from trioqueue.domain.message_records import MessageOverview
from trioqueue.domain.states import MessageStatus, PartStatus
from trioqueue.ports import Rescued
from trioqueue.postgres.campaigns import Campaigns
from trioqueue.postgres.connect import connect
from trioqueue.postgres.listener import wakeup_channel
from trioqueue.postgres.messages import MessageRefused, Messages, NoSuchMessage
from trioqueue.postgres.pool import Pool
from trioqueue.postgres.store import PostgresStore

COUNTERS = "select status, leads_total, leads_processed, leads_success, leads_failed, leads_skipped from campaign_runs"


@pytest.fixture
def messages(pool: Pool) -> Messages:
    """The messages under test."""
    return Messages(pool, SCHEMA)


@pytest.fixture
def store(pool: Pool) -> PostgresStore:
    """A worker's store on the same tables."""
    return PostgresStore(pool, SCHEMA, timeout=30)


async def part_statuses(pool: Pool, message_id: UUID) -> list[str]:
    """Where the parts of a message stand."""
    query = "select status from campaign_message_parts where message_id = %s order by part_no"
    return [row[0] for row in await fetch(pool, query, message_id)]


async def due_at_once(pool: Pool) -> bool:
    """Whether all messages are due, since less than a minute."""
    query = "select bool_and(scheduled_at between now() - interval '1 minute' and now()) from campaign_messages"
    return bool(await fetch_value(pool, query))


async def test_a_confirmed_message_goes_on_with_the_rest(pool: Pool, messages: Messages, store: PostgresStore) -> None:
    """The part counts as sent, the message is due now, and its run, which was completed, is running again."""
    _, [message_id] = await unconfirmed_run(pool)
    before = await fetch(pool, COUNTERS)
    await fetch(pool, "update campaign_messages set scheduled_at = now() - interval '3 hours'")
    status = await messages.confirm(message_id)

    assert before == [("completed", 1, 1, 0, 0, 0)]
    assert status is MessageStatus.PENDING
    assert await fetch(pool, COUNTERS) == [("running", 1, 0, 0, 0, 0)]
    assert await fetch_value(pool, "select completed_at is null from campaign_runs")
    assert await part_statuses(pool, message_id) == ["sent", "sent", "planned"]
    assert await due_at_once(pool)
    assert await store.skip_old(3600) == 0
    worker = incarnation()
    [again] = await store.claim(worker.id, 1)
    assert [part.status for part in again.parts] == [PartStatus.SENT, PartStatus.SENT, PartStatus.PLANNED]
    assert again.text == " ".join(BODIES)


async def test_a_message_whose_last_part_is_confirmed_is_sent(pool: Pool, messages: Messages) -> None:
    """With no part left the message is a success, without another attempt; its run stays completed."""
    _, [message_id] = await unconfirmed_run(pool, part=3)
    status = await messages.confirm(message_id)

    assert status is MessageStatus.SENT
    assert await fetch(pool, COUNTERS) == [("completed", 1, 1, 1, 0, 0)]
    assert await part_statuses(pool, message_id) == ["sent"] * 3
    query = "select status, error_message, sent_at = (select max(sent_at) from campaign_message_parts)"
    assert await fetch(pool, f"{query} from campaign_messages") == [("sent", None, True)]


async def test_a_resent_message_sends_the_part_again(pool: Pool, messages: Messages) -> None:
    """The part is planned again, the message due now, and what was counted is taken back."""
    _, [message_id] = await unconfirmed_run(pool)
    status = await messages.resend(message_id)

    assert status is MessageStatus.PENDING
    assert await part_statuses(pool, message_id) == ["sent", "planned", "planned"]
    assert await fetch(pool, COUNTERS) == [("running", 1, 0, 0, 0, 0)]
    assert await due_at_once(pool)


@pytest.mark.parametrize("status", [MessageStatus.FAILED, MessageStatus.SKIPPED])
async def test_a_retried_message_is_pending_with_all_retries(
    pool: Pool, messages: Messages, store: PostgresStore, status: MessageStatus
) -> None:
    """It is due now, so that it is not skipped as too old, and the counters take it back."""
    _, [message_id] = await ended_run(pool, status)
    before = await fetch(pool, COUNTERS)
    await messages.retry(message_id)

    failed = status is MessageStatus.FAILED
    assert before == [("completed", 1, 1, 0, int(failed), int(not failed))]
    assert await fetch(pool, COUNTERS) == [("running", 1, 0, 0, 0, 0)]
    row = await fetch(pool, "select status, retry_count, error_message from campaign_messages")
    assert row == [("pending", 0, None)]
    assert await due_at_once(pool)
    assert await store.skip_old(3600) == 0


async def test_a_retried_message_keeps_its_text_and_what_was_sent(pool: Pool, messages: Messages) -> None:
    """A message that failed after its first part is neither written nor sent again from the start."""
    _, [message_id] = await unconfirmed_run(pool)
    await fetch(pool, "update campaign_messages set status = 'failed'")
    await fetch(pool, "update campaign_message_parts set status = 'rejected' where status = 'unknown'")
    await fetch(pool, "update campaign_runs set leads_failed = 1")
    await messages.retry(message_id)

    assert await part_statuses(pool, message_id) == ["sent", "rejected", "planned"]
    assert await fetch_value(pool, "select generated_message from campaign_messages") == " ".join(BODIES)


async def test_what_people_do_is_logged(pool: Pool, messages: Messages) -> None:
    """The log of the run tells that a person settled or retried a message, what it became, and that the run goes on."""
    run_id, [settled] = await unconfirmed_run(pool)
    await messages.confirm(settled)
    query = "select step_name, level, message_id, message, details from campaign_logs where id > %s order by id"
    rows = await fetch(pool, query, 0)

    assert rows[-2:] == [
        ("ENVIO_WHATSAPP", "success", settled, "settled: the part has arrived",
         {"settled_by": "person", "status": "pending"}),
        ("INICIALIZAÇÃO", "info", None, "run goes on: a message of it is pending again", None),
    ]  # fmt: skip
    await Campaigns(pool, SCHEMA).cancel(run_id)
    _, [retried] = await ended_run(pool, MessageStatus.FAILED)
    await messages.retry(retried)
    [row] = await fetch(pool, "select level, message, details from campaign_logs where step_name = 'RETRY'")
    details = {"status": "failed", "error": "Max retries (3) exceeded: 500", "retry_count": 3}
    assert row == ("info", "made pending again by a person", details)


Action = Callable[[Messages, UUID], Awaitable[Any]]
ACTIONS: dict[str, Action] = {"retry": Messages.retry, "confirm": Messages.confirm, "resend": Messages.resend}


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
async def test_a_message_that_is_not_there(messages: Messages, action: Action) -> None:
    """An unknown id is refused by its name."""
    message_id = uuid4()

    with pytest.raises(NoSuchMessage, match=f"there is no message {message_id}"):
        await action(messages, message_id)
    with pytest.raises(NoSuchMessage):
        await messages.show(message_id)


@pytest.mark.parametrize(
    ("action", "status", "said"),
    [
        ("retry", "pending", "is pending: it waits to be sent"),
        ("retry", "unconfirmed", "is unconfirmed: say with `trioqueue messages confirm`"),
        ("retry", "sent", "is sent: all its parts have been sent"),
        ("confirm", "failed", "`trioqueue messages retry` tries this one again"),
        ("confirm", "replied", "is replied: all its parts"),
        ("resend", "queued", "is queued: it waits"),
        ("resend", "skipped", "only an unconfirmed message can be settled"),
    ],
)
async def test_a_message_in_another_state_is_left_alone(
    pool: Pool, messages: Messages, action: str, status: str, said: str
) -> None:
    """What cannot be done is refused with what the message is and what can be done, and nothing is changed."""
    await start_run(pool, 1)
    await fetch(pool, "update campaign_messages set status = %s, generated_message = 'Oi', sent_at = now()", status)
    message_id = await fetch_value(pool, "select id from campaign_messages")
    before = await fetch(pool, "select m.*, r.* from campaign_messages m join campaign_runs r on r.id = m.run_id")

    with pytest.raises(MessageRefused, match=said):
        await ACTIONS[action](messages, message_id)
    after = await fetch(pool, "select m.*, r.* from campaign_messages m join campaign_runs r on r.id = m.run_id")
    assert after == before


async def test_messages_of_a_cancelled_run_are_not_retried(pool: Pool, messages: Messages) -> None:
    """Nothing of a cancelled run is made pending again, and the refusal says why."""
    run = await start_run(pool, 1)
    await Campaigns(pool, SCHEMA).cancel(run.run_id)
    message_id = await fetch_value(pool, "select id from campaign_messages")

    with pytest.raises(MessageRefused, match="is skipped: its run is cancelled, and nothing of such a run is sent"):
        await messages.retry(message_id)
    with pytest.raises(MessageRefused, match=r"is skipped: only an unconfirmed message can be settled$"):
        await messages.confirm(message_id)
    assert await fetch(pool, COUNTERS) == [("cancelled", 1, 1, 0, 0, 1)]


@pytest.mark.parametrize(
    ("action", "part", "became"), [("confirm", 2, "skipped"), ("confirm", 3, "sent"), ("resend", 2, "skipped")]
)
async def test_unconfirmed_messages_of_a_cancelled_run_can_be_settled(
    pool: Pool, messages: Messages, action: str, part: int, became: str
) -> None:
    """What was unknown is known then, and nothing more is sent: the rest is skipped with the run."""
    run = await start_run(pool, 2)
    [claim] = await claim_due(pool, 1)
    [message_id] = await make_unconfirmed(pool, [claim], part=part)
    await Campaigns(pool, SCHEMA).cancel(run.run_id)
    await ACTIONS[action](messages, message_id)

    assert await fetch_value(pool, "select status from campaign_messages where id = %s", message_id) == became
    sent = int(became == "sent")
    assert await fetch(pool, COUNTERS) == [("cancelled", 2, 2, sent, 0, 2 - sent)]
    assert "unknown" not in await part_statuses(pool, message_id)


async def test_messages_of_a_paused_run_are_due_when_it_is_resumed(
    pool: Pool, messages: Messages, store: PostgresStore
) -> None:
    """A message settled in a long pause is due at once after it, although due times move by the whole pause."""
    run = await start_run(pool, 2)
    [claim] = await claim_due(pool, 1)
    [message_id] = await make_unconfirmed(pool, [claim])
    campaigns = Campaigns(pool, SCHEMA)
    await campaigns.pause(run.run_id, "paused by a person")
    await fetch(pool, "update campaign_runs set paused_at = now() - interval '5 hours'")
    await messages.resend(message_id)
    status = await fetch_value(pool, "select status from campaign_runs")
    await campaigns.resume(run.run_id)

    assert status == "paused"
    query = "select now() - scheduled_at between interval '0' and interval '1 minute' from campaign_messages"
    assert await fetch_value(pool, f"{query} where id = %s", message_id)
    assert await store.skip_old(3600) == 0


async def test_workers_are_woken(pool: Pool, messages: Messages, migrated_url: str) -> None:
    """An idle worker hears of a message that is due again."""
    _, [first, second] = await unconfirmed_run(pool, 2)
    _, [third] = await ended_run(pool, MessageStatus.FAILED)
    async with await connect(migrated_url) as listener:
        await listener.execute(f"listen {wakeup_channel(SCHEMA)}".encode())
        for action in (messages.confirm(first), messages.resend(second), messages.retry(third)):
            await action
            with trio.fail_after(10):
                notified = [notify.channel async for notify in listener.notifies(stop_after=1)]

            assert notified == [wakeup_channel(SCHEMA)]


async def test_two_people_settle_the_same_message(pool: Pool, messages: Messages, migrated_url: str) -> None:
    """Of two that settle at the same time one is told that it is settled; the counters have it once."""
    _, [message_id] = await unconfirmed_run(pool, part=3)
    lock = "select from campaign_messages for no key update"
    outcomes: list[MessageStatus | MessageRefused] = []

    async def confirm() -> None:
        try:
            outcomes.append(await messages.confirm(message_id))
        except MessageRefused as error:
            outcomes.append(error)

    async with (
        trio.open_nursery() as nursery,
        await connect(migrated_url) as observer,
        await connect(migrated_url) as other,
        other.transaction(),
    ):
        await other.execute(f"set local search_path to {SCHEMA}".encode())
        await other.execute(lock.encode())
        nursery.start_soon(confirm)
        nursery.start_soon(confirm)
        waiting = SOMEBODY_WAITS.replace("exists (select from", "2 = (select count(*) from")
        await until(observer, waiting)

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["MessageRefused", "MessageStatus"]
    assert await fetch(pool, COUNTERS) == [("completed", 1, 1, 1, 0, 0)]


async def test_many_settle_while_a_worker_rescues(pool: Pool, messages: Messages, store: PostgresStore) -> None:
    """However settling, retrying, rescuing and finishing interleave, the counters are those of the messages."""
    await start_run(pool, 12)
    claims = await claim_due(pool, 12)
    unconfirmed = await make_unconfirmed(pool, claims[:6])
    for claim in claims[6:9]:
        for facts in unconfirmed_facts(claim, part=2)[:-1]:
            await store.commit(facts)
    await fetch(pool, "update workers set beat_at = now() - interval '1 minute'")
    rescued: list[Rescued] = []

    async def rescue() -> None:
        rescued.append(await store.rescue(idempotent=False))

    async with trio.open_nursery() as nursery:
        for message_id in unconfirmed[:3]:
            nursery.start_soon(messages.confirm, message_id)
        nursery.start_soon(rescue)
        for message_id in unconfirmed[3:]:
            nursery.start_soon(messages.resend, message_id)
        nursery.start_soon(partial(store.rescue, idempotent=False))

    statuses = dict(await fetch(pool, "select status, count(*) from campaign_messages group by status"))
    assert statuses == {"pending": 9, "unconfirmed": 3}
    assert await fetch(pool, COUNTERS) == [("running", 12, 3, 0, 0, 0)]


async def test_a_settled_message_and_the_end_of_its_run(pool: Pool, messages: Messages, store: PostgresStore) -> None:
    """A run whose last message ends while another one becomes pending again is not left completed with work to do."""
    for number in range(5):
        run = await start_run(pool, 2, first=10 * number)
        first, second = await claim_due(pool, 2)
        [message_id] = await make_unconfirmed(pool, [first])
        end = unconfirmed_facts(second, part=3)
        for facts in end[:-1]:
            await store.commit(facts)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.commit, end[-1])
            nursery.start_soon(messages.resend, message_id)
        status = await fetch_value(pool, "select status from campaign_runs where id = %s", run.run_id)
        await Campaigns(pool, SCHEMA).cancel(run.run_id)

        assert status == "running"


async def test_messages_are_found(pool: Pool, messages: Messages) -> None:
    """A list is of one run or of all, of one state or of any, the last changed first, and bounded."""
    first, [settled, waiting] = await unconfirmed_run(pool, 2)
    second = await start_run(pool, 3, first=10)
    await messages.resend(settled)

    async def find(**wanted: Any) -> tuple[MessageOverview, ...]:
        return (await messages.find(**wanted)).messages

    assert len(await find(limit=10)) == 5
    assert [message.message_id for message in await find(run_id=first, limit=10)] == [settled, waiting]
    assert {message.run_id for message in await find(status=MessageStatus.PENDING, limit=10)} == {
        first, second.run_id,
    }  # fmt: skip
    [unconfirmed] = await find(status=MessageStatus.UNCONFIRMED, limit=10)
    assert (unconfirmed.message_id, unconfirmed.error_message) == (waiting, "read timed out")
    assert unconfirmed.client_name in {"Lead 0", "Lead 1"}
    assert len(await find(limit=2)) == 2
    assert await find(run_id=uuid4(), limit=10) == ()


async def test_a_message_is_shown_with_its_parts_and_its_log(pool: Pool, messages: Messages) -> None:
    """Everything that a person needs to settle a message is there."""
    run_id, [message_id] = await unconfirmed_run(pool)
    await messages.resend(message_id)
    record = await messages.show(message_id)

    assert (record.overview.run_id, record.overview.status) == (run_id, MessageStatus.PENDING)
    assert (record.campaign, record.run_status, record.text) == ("Autumn", "running", " ".join(BODIES))
    assert (record.model, record.tokens_used) == ("some/model", 7)
    assert [(part.part_no, part.body, part.status) for part in record.parts] == [
        (1, BODIES[0], "sent"), (2, BODIES[1], "planned"), (3, BODIES[2], "planned"),
    ]  # fmt: skip
    assert [part.intended_at is not None for part in record.parts] == [True, True, False]
    assert [log.step for log in record.logs] == [LogStep.SENT]
