"""The main job, end to end: leads in, every part in the gateway's hands, every fact in PostgreSQL."""

from collections import Counter
from functools import partial
from typing import TypeAlias

import trio

from tests.support.database import fetch, fetch_value, migrate_database, start_run
from tests.support.main_job import main_job
from trioqueue.domain.screening import ScreeningRule
from trioqueue.simulator import GatewayFault, ModelFault, ModelTrouble, RequestKind, Rule, SplitShape, WorldSettings
from trioqueue.simulator.choice import Seen
from trioqueue.worker.tally import End

ModelScript: TypeAlias = list[Rule[ModelTrouble]]

PATIENCE = 60.0
"""Seconds after which a test gives up."""


def squeezed(text: str) -> str:
    """A text without its white space."""
    return "".join(text.split())


async def test_500_leads_with_every_shape_of_split_answer(migrated_url: str) -> None:
    """Every message is sent whole, in parts within the limits, once; the run is completed with exact counters."""
    shapes = list(SplitShape)
    world = WorldSettings(model_chances={shape: 0.95 / len(shapes) for shape in shapes})
    async with main_job(migrated_url, world, concurrency=20) as job:
        pool = job.database.pool
        await start_run(pool, 500, max_parts=4)
        with trio.fail_after(PATIENCE):
            done = await job.worker().run_once(deadline=None, until_empty=True)

        assert done
        assert await fetch(pool, "select status, count(*) from campaign_messages group by status") == [("sent", 500)]
        texts = dict(await fetch(pool, "select conversation_id::text, generated_message from campaign_messages"))
        delivered = job.delivered()
        assert {conversation: squeezed("".join(parts)) for conversation, parts in delivered.items()} == {
            conversation: squeezed(text) for conversation, text in texts.items()
        }
        assert max(len(parts) for parts in delivered.values()) == 4
        assert max(len(text) for parts in delivered.values() for text in parts) <= 1000
        keys = Counter(delivery.idempotency_key for delivery in job.world.deliveries)
        assert set(keys.values()) == {1}
        stored = "select part_no, status, idempotency_key from campaign_message_parts"
        assert {(key, "sent") for key in keys} == {(key, status) for _, status, key in await fetch(pool, stored)}
        counters = "select status, leads_total, leads_processed, leads_success, leads_failed, leads_skipped"
        assert await fetch(pool, f"{counters} from campaign_runs") == [("completed", 500, 500, 500, 0, 0)]
        tokens = await fetch_value(pool, "select sum(ai_tokens_used) from campaign_messages")
        assert tokens == job.world.statistics().tokens


async def test_a_batch_of_20_is_worked_on_at_once(migrated_url: str) -> None:
    """With 20 slots, 20 messages are in the model's hands together; held answers of all prove it."""
    hold_all: ModelScript = [Rule(ModelFault.HOLD, kind=RequestKind.GENERATE)]
    async with main_job(migrated_url, WorldSettings(model_script=hold_all), concurrency=20, batch_size=20) as job:
        await start_run(job.database.pool, 30)
        worker = job.worker()
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(partial(worker.run_once, deadline=None, until_empty=False))
                await job.world.wait_until(lambda world: world.statistics().model.in_flight == 20)
                job.world.release_held()

        assert worker.tally.claimed == 20
        assert worker.tally.ends[End.SENT] == 20


async def test_a_freed_slot_is_refilled_at_once(migrated_url: str) -> None:
    """While one message takes for ever, the other slot goes on: nothing waits for the slowest of a chunk."""
    hold_one: ModelScript = [Rule(ModelFault.HOLD, kind=RequestKind.GENERATE, nth=1)]
    async with main_job(migrated_url, WorldSettings(model_script=hold_one), concurrency=2) as job:
        await start_run(job.database.pool, 10)
        worker = job.worker()
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(partial(worker.run_once, deadline=None, until_empty=True))
                await job.world.wait_until(lambda _: len(job.delivered()) == 9)
                job.world.release_held()

        assert worker.tally.ends[End.SENT] == 10


async def test_rate_limits_are_waited_out(migrated_url: str) -> None:
    """A 429 with Retry-After in both calls is waited out within the message, which is sent without a requeue."""
    script: ModelScript = [
        Rule(ModelFault.RATE_LIMITED_MILLISECONDS, kind=RequestKind.GENERATE, nth=1, retry_after=0.05),
        Rule(ModelFault.RATE_LIMITED_FRACTION, kind=RequestKind.SPLIT, nth=1, retry_after=0.05),
    ]
    async with main_job(migrated_url, WorldSettings(model_script=script)) as job:
        await start_run(job.database.pool, 5)
        worker = job.worker()
        with trio.fail_after(PATIENCE):
            await worker.run_once(deadline=None, until_empty=True)

        assert worker.tally.ends == {End.SENT: 5}
        assert await fetch_value(job.database.pool, "select sum(retry_count) from campaign_messages") == 0


async def test_a_long_rate_limit_snoozes_the_message(migrated_url: str) -> None:
    """A wait of more than a minute gives the messages back until then, and counts as no attempt."""
    script: ModelScript = [Rule(ModelFault.RATE_LIMITED, retry_after=90)]
    async with main_job(migrated_url, WorldSettings(model_script=script), concurrency=3) as job:
        await start_run(job.database.pool, 3)
        worker = job.worker()
        with trio.fail_after(PATIENCE):
            await worker.run_once(deadline=None, until_empty=True)

        assert worker.tally.ends == {End.SNOOZED: 3}
        query = "select status, retry_count, scheduled_at - now() > interval '80 seconds' from campaign_messages"
        assert set(await fetch(job.database.pool, query)) == {("pending", 0, True)}
        assert (
            await fetch_value(job.database.pool, "select count(*) from campaign_logs where step_name = 'RATE_LIMIT'")
            == 3
        )


async def test_failed_messages_are_requeued_until_they_fail_for_good(migrated_url: str) -> None:
    """A model that writes nothing usable costs three requeues of 5, 15 and 30 minutes, then the message fails."""
    script: ModelScript = [Rule(ModelFault.SHORT_CONTENT, kind=RequestKind.GENERATE)]
    async with main_job(migrated_url, WorldSettings(model_script=script)) as job:
        pool = job.database.pool
        await start_run(pool, 1)
        delays = []
        for _ in range(4):
            with trio.fail_after(PATIENCE):
                await job.worker().run_once(deadline=None, until_empty=True)
            delays.append(
                await fetch_value(
                    pool, "select round(extract(epoch from scheduled_at - now()) / 60) from campaign_messages"
                )
            )
            await fetch(pool, "update campaign_messages set scheduled_at = now()")

        assert delays[:3] == [5, 15, 30]
        [row] = await fetch(pool, "select status, retry_count, error_message from campaign_messages")
        assert row[:2] == ("failed", 3)
        assert row[2].startswith("Max retries (3) exceeded: ")
        assert await fetch(pool, "select status, leads_failed from campaign_runs") == [("completed", 1)]
        steps = Counter(await fetch(pool, "select step_name from campaign_logs"))
        assert (steps[("RETRY",)], steps[("ERRO",)]) == (3, 1)


async def test_a_slow_model_meets_its_deadline(migrated_url: str) -> None:
    """A generation that hangs ends the attempt; a split that hangs costs nothing but the fallback."""
    script: ModelScript = [
        Rule(ModelFault.HANG, kind=RequestKind.GENERATE, nth=1),
        Rule(ModelFault.HANG, kind=RequestKind.SPLIT),
    ]
    limits = {"generate_timeout": 0.2, "split_timeout": 0.2, "compute_timeout": 0.5}
    async with main_job(migrated_url, WorldSettings(model_script=script), concurrency=1, **limits) as job:
        await start_run(job.database.pool, 3)
        worker = job.worker()
        with trio.fail_after(PATIENCE):
            await worker.run_once(deadline=None, until_empty=True)

        assert worker.tally.ends == {End.REQUEUED: 1, End.SENT: 2}
        assert (
            await fetch_value(job.database.pool, "select count(*) from campaign_logs where step_name = 'TIMEOUT'") == 1
        )


async def test_a_slow_gateway_meets_its_deadline(migrated_url: str) -> None:
    """A part that was accepted and never answered is unknown: its message is unconfirmed and the rest is held."""
    script = [Rule(GatewayFault.ACCEPT_THEN_HANG, nth=1)]
    async with main_job(migrated_url, WorldSettings(gateway_script=script), concurrency=1, send_timeout=0.2) as job:
        pool = job.database.pool
        await start_run(pool, 2)
        worker = job.worker()
        with trio.fail_after(PATIENCE):
            await worker.run_once(deadline=None, until_empty=True)
            await worker.run_once(deadline=None, until_empty=True)

        assert worker.tally.ends == {End.UNCONFIRMED: 1, End.SENT: 1}
        held = "select p.status from campaign_message_parts p join campaign_messages m on m.id = p.message_id"
        held += " where m.status = 'unconfirmed' order by part_no"
        statuses = [row[0] for row in await fetch(pool, held)]
        assert statuses[0] == "unknown"
        assert set(statuses[1:]) <= {"planned"}
        query = "select status, leads_processed, leads_success, leads_failed from campaign_runs"
        assert await fetch(pool, query) == [("completed", 2, 1, 0)]


async def test_a_batch_deadline_gives_back_what_has_not_been_sent(migrated_url: str) -> None:
    """When the deadline comes, messages in the model's hands are released, due as before, and the run says so."""
    script: ModelScript = [Rule(ModelFault.HANG, kind=RequestKind.GENERATE)]
    async with main_job(migrated_url, WorldSettings(model_script=script)) as job:
        await start_run(job.database.pool, 8)
        worker = job.worker()
        with trio.fail_after(PATIENCE):
            done = await worker.run_once(deadline=0.3, until_empty=True)

        assert not done
        assert worker.tally.ends == {End.RELEASED: 5}
        query = "select status, retry_count, claimed_by, scheduled_at <= now() from campaign_messages"
        assert set(await fetch(job.database.pool, query)) == {("pending", 0, None, True)}


async def test_bad_credentials_pause_the_run(migrated_url: str) -> None:
    """A key that is not accepted pauses the run with the reason after at most the calls in flight; nothing is lost."""
    script: ModelScript = [Rule(ModelFault.UNAUTHORIZED)]
    async with main_job(migrated_url, WorldSettings(model_script=script)) as job:
        await start_run(job.database.pool, 40)
        with trio.fail_after(PATIENCE):
            await job.worker().run_once(deadline=None, until_empty=True)

        [run] = await fetch(
            job.database.pool, "select status, error_message is not null, leads_processed from campaign_runs"
        )
        assert run == ("paused", True, 0)
        assert await fetch(job.database.pool, "select distinct status, retry_count from campaign_messages") == [
            ("pending", 0)
        ]
        assert len(job.world.calls) <= 10


async def test_one_messages_failure_is_its_own(migrated_url: str) -> None:
    """Messages that fail in different ways do not touch the others of their batch."""
    script: ModelScript = [
        Rule(ModelFault.REFUSAL, kind=RequestKind.GENERATE, nth=1),
        Rule(ModelFault.CONTENT_FILTER, kind=RequestKind.GENERATE, nth=2),
        Rule(ModelFault.SHORT_CONTENT, kind=RequestKind.GENERATE, nth=3),
    ]
    gateway = [Rule(GatewayFault.BAD_REQUEST, nth=1), Rule(GatewayFault.ACCEPT_THEN_RESET, nth=2)]
    settings = WorldSettings(model_script=script, gateway_script=gateway)
    async with main_job(migrated_url, settings, concurrency=20) as job:
        await start_run(job.database.pool, 20)
        worker = job.worker()
        with trio.fail_after(PATIENCE):
            await worker.run_once(deadline=None, until_empty=True)

        assert worker.tally.ends == {End.FAILED: 2, End.REQUEUED: 2, End.UNCONFIRMED: 1, End.SENT: 15}


async def test_what_must_not_leave_does_not(migrated_url: str) -> None:
    """Texts with placeholders, inventions, the prompt or hidden characters fail for good, and are stored to be seen."""
    script: ModelScript = [
        Rule(ModelFault.UNFILLED_CONTENT, kind=RequestKind.GENERATE, nth=1),
        Rule(ModelFault.INVENTED_CONTENT, kind=RequestKind.GENERATE, nth=2),
        Rule(ModelFault.LEAKED_CONTENT, kind=RequestKind.GENERATE, nth=3),
        Rule(ModelFault.HIDDEN_CONTENT, kind=RequestKind.GENERATE, nth=4),
    ]
    async with main_job(migrated_url, WorldSettings(model_script=script)) as job:
        pool = job.database.pool
        await start_run(pool, 10)
        worker = job.worker()
        with trio.fail_after(PATIENCE):
            await worker.run_once(deadline=None, until_empty=True)

        assert worker.tally.ends == {End.FAILED: 4, End.SENT: 6}
        assert len(job.delivered()) == 6
        query = (
            "select split_part(error_message, ':', 1), retry_count, generated_message is not null, ai_tokens_used > 0"
        )
        rows = await fetch(pool, f"{query} from campaign_messages where status = 'failed'")
        found = {"placeholder", "link", "prompt-leak", "hidden-characters"}
        assert set(rows) == {(f"screening ({rule})", 0, True, True) for rule in found}
        logged = "select count(*) from campaign_logs where step_name = 'ERRO' and starts_with(message, 'screening (')"
        assert await fetch_value(pool, logged) == 4
        counters = "select status, leads_success, leads_failed from campaign_runs"
        assert await fetch(pool, counters) == [("completed", 6, 4)]


async def test_screening_can_be_turned_off(migrated_url: str) -> None:
    """A text that only a rule finds that is off is sent."""
    script: ModelScript = [Rule(ModelFault.HIDDEN_CONTENT, kind=RequestKind.GENERATE)]
    off = (ScreeningRule.HIDDEN_CHARACTERS, ScreeningRule.PRICE)
    async with main_job(migrated_url, WorldSettings(model_script=script), screening_off=off) as job:
        await start_run(job.database.pool, 2)
        worker = job.worker()
        with trio.fail_after(PATIENCE):
            await worker.run_once(deadline=None, until_empty=True)

        assert worker.tally.ends == {End.SENT: 2}


async def test_no_split_sends_one_part(migrated_url: str) -> None:
    """A campaign that does not want its messages split sends each as it was written, without a split call."""
    async with main_job(migrated_url) as job:
        await start_run(job.database.pool, 10, split=False)
        with trio.fail_after(PATIENCE):
            await job.worker().run_once(deadline=None, until_empty=True)

        assert {len(parts) for parts in job.delivered().values()} == {1}
        assert not [call for call in job.world.calls if call.kind is RequestKind.SPLIT]


async def test_a_daemon_is_woken_by_a_new_run(migrated_url: str) -> None:
    """An idle worker sends a run that is started while it sleeps, long before it would look again."""
    async with main_job(migrated_url, poll_interval=3600) as job:
        worker = job.worker()
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(worker.run)
                await start_run(job.database.pool, 3, split=False)
                await job.world.wait_until(lambda _: len(job.delivered()) == 3)
                worker.drain.begin()

        assert worker.tally.ends == {End.SENT: 3}


async def test_a_worker_serves_several_schemas(migrated_url: str) -> None:
    """Messages of all schemas that the settings name are sent; a run that starts in any of them wakes the worker."""
    await migrate_database(migrated_url, "north")
    async with main_job(migrated_url, schemas=("trioqueue", "north"), poll_interval=3600) as job:
        pool = job.database.pool
        await start_run(pool, 30, split=False)
        worker = job.worker()
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(worker.run)
                await job.world.wait_until(lambda _: len(job.delivered()) == 30)
                await start_run(pool, 20, schema="north", split=False)
                await job.world.wait_until(lambda _: len(job.delivered()) == 50)
                worker.drain.begin()
        ends = [
            await fetch_value(pool, f"select array_agg(distinct status) from {schema}.campaign_messages")
            for schema in ("trioqueue", "north")
        ]

        assert ends == [["sent"], ["sent"]]
        assert worker.tally.ends == {End.SENT: 50}


async def test_a_limit_stops_all_workers_and_one_call_finds_its_end(migrated_url: str) -> None:
    """While a model limits calls, two workers make those under way and then one at a time, until one is answered."""
    limited_until = trio.current_time() + 2.5

    def limit(_: Seen) -> ModelTrouble | None:
        return ModelFault.RATE_LIMITED_FRACTION if trio.current_time() < limited_until else None

    world = WorldSettings(model_script=limit, retry_after=1.0)
    async with main_job(migrated_url, world, concurrency=20, adaptive_concurrency=False) as job:
        await start_run(job.database.pool, 100)
        workers = [job.worker(), job.worker()]
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                for worker in workers:
                    nursery.start_soon(partial(worker.run_once, deadline=None, until_empty=True))

        refused = [call for call in job.world.calls if call.fault is not None]
        assert sum((worker.tally.ends for worker in workers), Counter()) == {End.SENT: 100}
        assert 2 <= len(refused) <= 43
        assert await fetch(job.database.pool, "select * from model_gates") == []
