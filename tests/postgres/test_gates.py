"""What workers tell each other of models' gates, on a real PostgreSQL, and what follows for claims."""

from uuid import UUID, uuid4

import pytest

from tests.support.database import SCHEMA, fetch, fetch_value, incarnation, start_run
from trioqueue.domain.gates import Cause, GateNews, SharedGate
from trioqueue.domain.messages import Incarnation
from trioqueue.postgres.campaigns import Campaigns
from trioqueue.postgres.pool import Pool
from trioqueue.postgres.store import PostgresStore

MODEL, ANOTHER = "some/model", "another/model"
FIRST, SECOND = uuid4(), uuid4()
NOTHING = GateNews()


@pytest.fixture
def store(pool: Pool) -> PostgresStore:
    """The store under test."""
    return PostgresStore(pool, SCHEMA, timeout=30, fallback_models=[ANOTHER])


def shut(seconds: float, model: str = MODEL, trips: int = 0, prober: UUID | None = None) -> SharedGate:
    """A gate as a worker tells of it."""
    return SharedGate(model, seconds, Cause.FAULTS if trips else Cause.RATE_LIMIT, "429", trips, prober)


async def test_a_shut_gate_is_told(store: PostgresStore) -> None:
    """Other workers of the account hear how long a model is left alone, and why; those of other accounts do not."""
    await store.share_gates(FIRST, "account", GateNews(shut=[shut(40.0), shut(3.0, ANOTHER, trips=2)]))
    another, model = await store.share_gates(SECOND, "account", NOTHING)

    assert (model.model, model.cause, model.reason, model.trips, model.prober) == (
        MODEL, Cause.RATE_LIMIT, "429", 0, None,
    )  # fmt: skip
    assert (another.cause, another.trips) == (Cause.FAULTS, 2)
    assert 39 < model.seconds <= 40
    assert await store.share_gates(SECOND, "stranger", NOTHING) == []


async def test_a_later_end_stays(store: PostgresStore) -> None:
    """Whoever tells of a shorter cool-down does not shorten a longer one."""
    await store.share_gates(FIRST, "account", GateNews(shut=[shut(40.0)]))
    [gate] = await store.share_gates(SECOND, "account", GateNews(shut=[shut(5.0)]))

    assert gate.seconds > 39


async def test_one_worker_probes_at_a_time(pool: Pool, store: PostgresStore) -> None:
    """A probe is granted after the cool-down, to one worker, until it gives it back or has been away for a minute."""
    for worker in (FIRST, SECOND):
        await store.beat(Incarnation(worker, "host", 1, lease=30.0))
    wanted = GateNews(probes=[MODEL])
    [early] = await store.share_gates(FIRST, "account", GateNews(shut=[shut(60.0)], probes=[MODEL]))
    await fetch(pool, "update model_gates set shut_until = now()")
    [granted] = await store.share_gates(FIRST, "account", wanted)
    [refused] = await store.share_gates(SECOND, "account", wanted)
    await store.share_gates(FIRST, "account", GateNews(shut=[shut(0.0)]))
    [again] = await store.share_gates(SECOND, "account", wanted)
    await fetch(pool, "update model_gates set probe_until = now()")
    [inherited] = await store.share_gates(FIRST, "account", wanted)

    assert [gate.prober for gate in (early, granted, refused, again, inherited)] == [None, FIRST, FIRST, SECOND, FIRST]


async def test_a_dead_worker_does_not_keep_the_probe(pool: Pool, store: PostgresStore) -> None:
    """The right to probe ends with the lease of the worker that has it, or when that is struck off."""
    wanted = GateNews(probes=[MODEL])
    for worker in (FIRST, SECOND):
        await store.beat(Incarnation(worker, "host", 1, lease=30.0))
    await store.share_gates(FIRST, "account", GateNews(shut=[shut(0.0)], probes=[MODEL]))
    await fetch(pool, "update workers set beat_at = now() - interval '30 s' where incarnation = %s", FIRST)
    [inherited] = await store.share_gates(SECOND, "account", wanted)
    await store.leave(Incarnation(SECOND, "host", 1, lease=30.0))
    [again] = await store.share_gates(FIRST, "account", wanted)

    assert (inherited.prober, again.prober) == (SECOND, FIRST)


async def test_only_the_probe_opens(pool: Pool, store: PostgresStore) -> None:
    """A gate is opened by the worker whose probe was answered, unless another has met a limit meanwhile."""
    opened = GateNews(opened=[MODEL])
    await store.share_gates(FIRST, "account", GateNews(shut=[shut(0.0)], probes=[MODEL]))
    [kept] = await store.share_gates(SECOND, "account", opened)
    await store.share_gates(SECOND, "account", GateNews(shut=[shut(0.0)]))
    [limited] = await store.share_gates(FIRST, "account", opened)
    await store.share_gates(FIRST, "account", GateNews(probes=[MODEL]))

    assert (kept.prober, limited.prober) == (FIRST, None)
    assert await store.share_gates(FIRST, "account", opened) == []
    assert await fetch(pool, "select 1 from model_gates") == []


async def test_rows_of_accounts_that_are_not_used_go(pool: Pool, store: PostgresStore) -> None:
    """What nobody has called for a day is forgotten when another gate is shut."""
    await store.share_gates(FIRST, "former", GateNews(shut=[shut(1.0, "old/model")]))
    await fetch(pool, "update model_gates set shut_until = now() - interval '25 hours'")
    await store.share_gates(FIRST, "account", GateNews(shut=[shut(1.0)]))

    assert await fetch(pool, "select account, model from model_gates") == [("account", MODEL)]


async def test_status_shows_them(pool: Pool, store: PostgresStore) -> None:
    """The models of all accounts that are left alone are shown, but none that nobody has called for long."""
    await store.share_gates(FIRST, "account", GateNews(shut=[shut(40.0), shut(1.0, ANOTHER)]))
    await fetch(pool, "update model_gates set shut_until = now() - interval '1 hour' where model = %s", ANOTHER)

    assert [gate.model for gate in await Campaigns(pool, SCHEMA).gates()] == [MODEL]


@pytest.mark.parametrize(
    ("avoided", "claimed"),
    [([], 2), ([MODEL], 2), ([ANOTHER], 2), ([MODEL, ANOTHER], 1), ([MODEL, ANOTHER, "third/model"], 0)],
)
async def test_runs_without_a_usable_model_are_not_claimed(
    pool: Pool, store: PostgresStore, avoided: list[str], claimed: int
) -> None:
    """A run is claimed from while one of its models may be used: its own, or those that stand in for it."""
    await start_run(pool, 1)
    await start_run(pool, 1, first=1, fallback_models=("third/model",))
    worker = incarnation()
    await store.beat(worker)
    messages = await store.claim(worker.id, 10, avoided)

    assert len(messages) == claimed
    assert {message.fallback_models for message in messages} <= {(ANOTHER,), ("third/model",)}
    _, successors = await store.commit_and_claim([], worker.id, 10, avoided)

    assert successors == []


async def test_a_campaign_without_stand_ins_has_none(pool: Pool, store: PostgresStore) -> None:
    """An empty list of a campaign is not replaced by that of the setting."""
    await start_run(pool, 1, fallback_models=())
    worker = incarnation()
    await store.beat(worker)
    [message] = await store.claim(worker.id, 10)

    assert message.fallback_models == ()


async def test_due_messages_are_postponed_together(pool: Pool, store: PostgresStore) -> None:
    """While no model of a run may be called for long its due messages wait until one may; the run's log says so once.

    Messages of runs that can use another model, and those that are not due, stay.
    """
    run = await start_run(pool, 700)
    await start_run(pool, 3, first=1000, fallback_models=("third/model",))
    await fetch(
        pool, "update campaign_messages set scheduled_at = now() + interval '1 hour' where phone_number = '1190'"
    )
    postponed = await store.postpone({MODEL: 3000.0, ANOTHER: 2000.0})
    again = await store.postpone({MODEL: 3000.0, ANOTHER: 2000.0})
    due = "select count(*) from campaign_messages where scheduled_at between now() + '{} s' and now() + '{} s'"
    logged = await fetch(pool, "select run_id, step_name, (details->>'messages')::int from campaign_logs order by id")

    assert (postponed, again) == (699, 0)
    assert await fetch_value(pool, due.format(1990, 2000)) == 699
    assert await fetch_value(pool, due.format(-60, 0)) == 3
    assert [row for row in logged if row[1] == "RATE_LIMIT"] == [
        (run.run_id, "RATE_LIMIT", 500),
        (run.run_id, "RATE_LIMIT", 199),
    ]
