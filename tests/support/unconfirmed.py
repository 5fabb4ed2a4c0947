"""Messages that are unconfirmed, failed or skipped, made as a worker makes them."""

from decimal import Decimal
from uuid import UUID

from tests.support.database import SCHEMA, fetch, incarnation, start_run
from trioqueue.domain.completions import Usage
from trioqueue.domain.facts import Fact, Finished, PartsPlanned, SendIntended, SendSettled, TextGenerated
from trioqueue.domain.messages import Claim
from trioqueue.domain.states import MessageStatus, PartStatus
from trioqueue.postgres.pool import Pool
from trioqueue.postgres.store import PostgresStore

BODIES = ("Olá, Ana!", "Tudo bem?", "Até logo.")
SPENT = Usage(7, Decimal("0.01"))


def unconfirmed_facts(claim: Claim, *, part: int, bodies: tuple[str, ...] = BODIES) -> list[list[Fact]]:
    """What is told of a message whose first parts were sent and whose part `part` may or may not have left."""
    commits: list[list[Fact]] = [
        [TextGenerated(claim, " ".join(bodies), "some/model", SPENT, 7), PartsPlanned(claim, bodies, SPENT, 3)]
    ]
    for number in range(1, part):
        commits.append([SendIntended(claim, number)])
        commits.append([SendSettled(claim, number, PartStatus.SENT, 5, f"wamid.{number}")])
    lost = SendSettled(claim, part, PartStatus.UNKNOWN, 9, error="read timed out")
    end = Finished(claim, MessageStatus.UNCONFIRMED, "read timed out", None, SPENT)
    return [*commits, [SendIntended(claim, part)], [lost, end]]


async def claim_due(pool: Pool, count: int) -> list[Claim]:
    """Claims of due messages by a worker that is alive."""
    store, worker = PostgresStore(pool, SCHEMA, timeout=30), incarnation()
    await store.beat(worker)
    return [message.claim for message in await store.claim(worker.id, count)]


async def make_unconfirmed(pool: Pool, claims: list[Claim], *, part: int = 2) -> list[UUID]:
    """Let claimed messages end as unconfirmed at a part, and return their ids."""
    store = PostgresStore(pool, SCHEMA, timeout=30)
    for claim in claims:
        for facts in unconfirmed_facts(claim, part=part):
            await store.commit(facts)
    return [claim.message_id for claim in claims]


async def unconfirmed_run(pool: Pool, count: int = 1, *, part: int = 2, first: int = 0) -> tuple[UUID, list[UUID]]:
    """A completed run of unconfirmed messages, and their ids."""
    run = await start_run(pool, count, first=first)
    claims = [claim for claim in await claim_due(pool, count) if claim.run_id == run.run_id]
    return run.run_id, await make_unconfirmed(pool, claims, part=part)


async def ended_run(pool: Pool, status: MessageStatus, count: int = 1) -> tuple[UUID, list[UUID]]:
    """A completed run of messages that have no text and ended otherwise, and their ids."""
    run = await start_run(pool, count)
    store = PostgresStore(pool, SCHEMA, timeout=30)
    claims = await claim_due(pool, count)
    await store.commit([Finished(claim, status, "Max retries (3) exceeded: 500") for claim in claims])
    await fetch(pool, "update campaign_messages set retry_count = 3, scheduled_at = now() - interval '2 hours'")
    return run.run_id, [claim.message_id for claim in claims]
