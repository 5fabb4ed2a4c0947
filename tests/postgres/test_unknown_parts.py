"""Parts of unknown fate on a real PostgreSQL: who is given them, and what an answer of the gateway may change."""

from contextlib import suppress
from uuid import UUID

import pytest
import trio

from tests.support.database import SCHEMA, fetch, fetch_value
from tests.support.unconfirmed import BODIES, claim_due, unconfirmed_run
from trioqueue.domain.lookups import SettledPart, UnknownPart
from trioqueue.domain.states import MessageStatus, PartStatus
from trioqueue.postgres.messages import MessageRefused, Messages
from trioqueue.postgres.pool import Pool
from trioqueue.postgres.store import PostgresStore

COUNTERS = "select status, leads_processed, leads_success, leads_skipped from campaign_runs"


@pytest.fixture
def store(pool: Pool) -> PostgresStore:
    """The store under test."""
    return PostgresStore(pool, SCHEMA, timeout=30)


async def ripen(pool: Pool) -> None:
    """Let a minute and more have passed since messages became unconfirmed."""
    await fetch(pool, "update campaign_messages set updated_at = updated_at - interval '61 seconds'")


def settled(unknown: UnknownPart, status: PartStatus) -> SettledPart:
    """What an answer says of a part."""
    return SettledPart(unknown.message_id, unknown.part_no, unknown.fence, status, "wamid.x")


async def test_a_part_is_given_with_all_that_is_known_of_it(pool: Pool, store: PostgresStore) -> None:
    """Message, part, attempt, key, conversation, text and time are those of the ledger."""
    _, [message_id] = await unconfirmed_run(pool)
    early = await store.take_unknown(10)
    await ripen(pool)
    [unknown] = await store.take_unknown(10)

    assert early == []
    assert (unknown.message_id, unknown.part_no, unknown.fence) == (message_id, 2, 1)
    assert (unknown.part.text, unknown.part.idempotency_key) == (BODIES[1], f"{message_id}:2")
    assert unknown.part.conversation_id == await fetch_value(pool, "select conversation_id from campaign_messages")
    intended = await fetch_value(pool, "select intended_at from campaign_message_parts where part_no = 2")
    assert unknown.intended_at == intended


async def test_a_part_is_given_to_one_and_rests(pool: Pool, store: PostgresStore) -> None:
    """Nobody else is given it meanwhile; after a minute it comes again, then after twice the time."""
    await unconfirmed_run(pool, 6)
    await ripen(pool)
    given: list[UnknownPart] = []

    async def take() -> None:
        given.extend(await store.take_unknown(4))

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(take)
    earlier = "update campaign_message_parts set looked_up_at = looked_up_at - interval '61 seconds'"
    await fetch(pool, earlier)
    second = await store.take_unknown(10)
    # Looked up two minutes after its message became unconfirmed: it rests for two minutes.
    await fetch(pool, "update campaign_messages set updated_at = now() - interval '181 seconds'")
    await fetch(pool, earlier)
    third = await store.take_unknown(10)
    await fetch(pool, earlier)
    fourth = await store.take_unknown(10)

    assert len({unknown.message_id for unknown in given}) == len(given) <= 6
    assert len(given) >= 4
    assert len(second) == 6
    assert third == []
    assert len(fourth) == 6


@pytest.mark.parametrize(
    ("status", "part", "becomes", "parts", "counters"),
    [
        (PartStatus.SENT, 2, MessageStatus.PENDING, ["sent", "sent", "planned"], ("running", 0, 0, 0)),
        (PartStatus.SENT, 3, MessageStatus.SENT, ["sent", "sent", "sent"], ("completed", 1, 1, 0)),
        (PartStatus.PLANNED, 2, MessageStatus.PENDING, ["sent", "planned", "planned"], ("running", 0, 0, 0)),
    ],
)
async def test_an_answer_settles_the_message(
    pool: Pool,
    store: PostgresStore,
    status: PartStatus,
    part: int,
    becomes: MessageStatus,
    parts: list[str],
    counters: tuple[str, int, int, int],
) -> None:
    """The part, its message, its run and the counters are as if a person had said so; the log names the gateway."""
    await unconfirmed_run(pool, part=part)
    await ripen(pool)
    [unknown] = await store.take_unknown(10)
    became = await store.settle_unknown([settled(unknown, status)])

    assert became == [becomes]
    assert [row[0] for row in await fetch(pool, "select status from campaign_message_parts order by part_no")] == parts
    assert await fetch(pool, COUNTERS) == [counters]
    [details] = await fetch(pool, "select details from campaign_logs where step_name = 'ENVIO_WHATSAPP'")
    assert details == ({"settled_by": "gateway", "status": becomes},)
    if becomes is MessageStatus.SENT:
        assert await fetch_value(pool, "select provider_message_id from campaign_messages") == "wamid.x"


async def test_many_are_settled_in_one_statement(pool: Pool, store: PostgresStore) -> None:
    """Messages of several runs, each with its own answer; the counters of each run are exact."""
    first, _ = await unconfirmed_run(pool, 2, part=3)
    second, _ = await unconfirmed_run(pool, 2, first=10)
    await ripen(pool)
    unknown = await store.take_unknown(10)
    became = await store.settle_unknown([settled(each, PartStatus.SENT) for each in unknown])

    assert sorted(became) == ["pending", "pending", "sent", "sent"]
    rows = await fetch(pool, COUNTERS.replace("status", "id, status", 1))
    counters = {row[0]: row[1:] for row in rows}
    assert counters == {first: ("completed", 2, 2, 0), second: ("running", 0, 0, 0)}


async def test_an_answer_of_an_earlier_attempt_changes_nothing(pool: Pool, store: PostgresStore) -> None:
    """While the gateway is asked, a person has the part sent again: what the gateway says is not about that."""
    await unconfirmed_run(pool)
    await ripen(pool)
    [unknown] = await store.take_unknown(10)
    await Messages(pool, SCHEMA).resend(unknown.message_id)
    pending = await store.settle_unknown([settled(unknown, PartStatus.SENT)])
    [claim] = await claim_due(pool, 1)
    await send_again(store, claim.message_id, pool)
    became = await store.settle_unknown([settled(unknown, PartStatus.PLANNED)])

    assert (pending, became) == ([], [])
    statuses = "select status, claim_fence from campaign_message_parts where part_no = 2"
    assert await fetch(pool, statuses) == [("unknown", 2)]
    assert await fetch(pool, COUNTERS) == [("completed", 1, 0, 0)]


async def send_again(store: PostgresStore, message_id: UUID, pool: Pool) -> None:
    """Let the message that is claimed end as unconfirmed at its second part once more."""
    await fetch(
        pool,
        "update campaign_messages set status = 'unconfirmed', claimed_by = null, claimed_at = null where id = %s",
        message_id,
    )
    await fetch(
        pool, "update campaign_message_parts set status = 'unknown', claim_fence = claim_fence + 1 where part_no = 2"
    )
    await fetch(pool, "update campaign_runs set status = 'completed', leads_processed = 1, completed_at = now()")


async def test_a_person_and_the_gateway_settle_at_once(pool: Pool, store: PostgresStore) -> None:
    """Whoever comes first settles; the other changes nothing, and the counters have it once."""
    messages = Messages(pool, SCHEMA)

    async def confirm(message_id: UUID) -> None:
        with suppress(MessageRefused):
            await messages.confirm(message_id)

    for number in range(5):
        run_id, [message_id] = await unconfirmed_run(pool, part=3, first=10 * number)
        await ripen(pool)
        [unknown] = await store.take_unknown(10)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.settle_unknown, [settled(unknown, PartStatus.SENT)])
            nursery.start_soon(confirm, message_id)
        counters = await fetch(pool, f"{COUNTERS} where id = %s", run_id)
        shown = await messages.show(message_id)

        assert counters == [("completed", 1, 1, 0)]
        assert [log.message for log in shown.logs] == ["settled: the part has arrived"]
