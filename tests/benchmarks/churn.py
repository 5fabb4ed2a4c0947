"""`scripts/benchmark churn`: what claims cost after many messages have gone through the queue, and while vacuum cannot.

Messages go from `pending` to `sent` through trioqueue's store, as fast as the database lets them: 360,000 are an hour's
at 100 a second. In the middle somebody keeps a snapshot open, so that nothing that dies meanwhile can be removed: once
while messages go on at that pace, once while they go on as fast as they can, which is as much as ten minutes of it.
"""

import argparse
import math
import statistics
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from functools import partial
from typing import Any, Final

import attrs
import psycopg
import trio

from tests.benchmarks.claims import RUNS_AND_LEADS, fill
from tests.benchmarks.course import Course, open_course
from tests.benchmarks.modes import Mode, at_least_one, say, say_json, seconds
from tests.benchmarks.tables import number, table
from tests.support.database import SCHEMA, incarnation
from trioqueue.domain.completions import NOTHING_SPENT
from trioqueue.domain.facts import Fact, Finished, PartsPlanned, SendIntended, SendSettled, TextGenerated
from trioqueue.domain.messages import Claim
from trioqueue.domain.states import MessageStatus, PartStatus
from trioqueue.postgres.connect import connect
from trioqueue.postgres.pool import Pool
from trioqueue.postgres.store import PostgresStore

RUNS: Final = 100
CLAIM: Final = 100
TEXT: Final = "A message that goes through all of its states."


class Phase(StrEnum):
    """When a claim was made."""

    BEFORE = "before"
    HELD = "snapshot held"
    HELD_AT_FULL_SPEED = "held at full speed"
    AFTER = "after"


@attrs.frozen
class Churned:
    """What a phase showed.

    Attributes:
        phase: Which.
        messages: Messages that went through.
        milliseconds: The median of its claims.
        slowest: The time that 1% of its claims exceeded.
        dead: Dead rows of campaign_messages at its end.
        queue_mb: The size of the queue's index at its end.
    """

    phase: Phase
    messages: int
    milliseconds: float
    slowest: float
    dead: int
    queue_mb: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How much, and how long the snapshot is held."""
    parser.add_argument("--messages", type=at_least_one, default=360_000, help="that go through (default 360,000)")
    parser.add_argument("--held", type=seconds, default=60.0, help="seconds that a snapshot is held (default 60)")


async def run(given: argparse.Namespace) -> None:
    """Measure and print."""
    async with open_course() as course:
        results = await measure(course, given.messages, given.held)
    if given.json:
        say_json([attrs.asdict(result) for result in results])
        return
    say(f"claims of {CLAIM} in {RUNS} running runs while {given.messages:,} messages go through")
    say(as_text(results))


def as_text(results: Sequence[Churned]) -> str:
    """A table."""
    return table(("", "messages", "ms", "99%", "dead rows", "queue MB"), [_row(result) for result in results])


def _row(result: Churned) -> tuple[str, ...]:
    times = number(result.milliseconds, 2), number(result.slowest, 2)
    return result.phase, f"{result.messages:,}", *times, f"{result.dead:,}", number(result.queue_mb, 1)


async def measure(course: Course, messages: int, held: float) -> Sequence[Churned]:
    """A third of the messages before, then those that go through while a snapshot is held, twice, then the rest."""
    pace = messages / 3600.0
    with course.database(await course.template(0)) as url:
        await trio.to_thread.run_sync(_fill, url, messages)
        async with Pool(partial(connect, url), size=2) as pool:
            churn = _Churn(pool, PostgresStore(pool, SCHEMA, timeout=60))
            before = await churn.phase(Phase.BEFORE, messages // 3, 0)
            async with _snapshot(url):
                while_held = await churn.phase(Phase.HELD, 0, held, pace)
            async with _snapshot(url):
                faster = await churn.phase(Phase.HELD_AT_FULL_SPEED, 0, held)
            return before, while_held, faster, await churn.phase(Phase.AFTER, messages, 0)


def _fill(url: str, messages: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(RUNS_AND_LEADS.format(runs=RUNS, leads=messages // RUNS + 1).encode())
        fill(connection, "running", "pending", 0, messages, RUNS)


@asynccontextmanager
async def _snapshot(url: str) -> AsyncIterator[None]:
    async with await connect(url, idle_in_transaction_timeout=None) as connection:
        await connection.execute("begin isolation level repeatable read")
        await connection.execute("select count(*) from trioqueue.campaign_runs")
        yield


@attrs.define(eq=False)
class _Churn:
    pool: Pool
    store: PostgresStore

    async def phase(self, phase: Phase, most: int, least_seconds: float, pace: float = math.inf) -> Churned:
        """Let messages through until there were so many and so much time has passed, or nothing is left.

        Args:
            phase: Which.
            most: So many.
            least_seconds: So much time.
            pace: Messages a second that go through at most.
        """
        worker = incarnation(lease=3600.0)
        await self.store.beat(worker)
        times: list[float] = []
        done, began = 0, trio.current_time()
        while done < most or trio.current_time() < began + least_seconds:
            asked = trio.current_time()
            claimed = await self.store.claim(worker.id, CLAIM)
            times.append(trio.current_time() - asked)
            if not claimed:
                break
            for stage in _STAGES:
                await self.store.commit([fact for message in claimed for fact in stage(message.claim)])
            done += len(claimed)
            await trio.sleep_until(began + min(done / pace, least_seconds))
        dead, size = await self._sizes()
        slowest = sorted(times)[-1 - len(times) // 100]
        return Churned(phase, done, statistics.median(times) * 1000, slowest * 1000, dead, size / 2**20)

    async def _sizes(self) -> tuple[Any, ...]:
        async with self.pool.connection() as connection:
            await connection.execute("select pg_stat_clear_snapshot()")
            cursor = await connection.execute(
                "select n_dead_tup, pg_relation_size('trioqueue.idx_campaign_messages_atomic_selection')"
                " from pg_stat_user_tables where relname = 'campaign_messages'"
            )
            return (await cursor.fetchall())[0]


def _written(claim: Claim) -> tuple[Fact, ...]:
    return (TextGenerated(claim, TEXT, "some/model", NOTHING_SPENT, 1),)


def _planned(claim: Claim) -> tuple[Fact, ...]:
    return PartsPlanned(claim, (TEXT,), NOTHING_SPENT), SendIntended(claim, 1)


def _sent(claim: Claim) -> tuple[Fact, ...]:
    return SendSettled(claim, 1, PartStatus.SENT, 1), Finished(claim, MessageStatus.SENT)


_STAGES: Final = (_written, _planned, _sent)

MODE: Final = Mode("churn", "What a claim costs while many messages go through the queue.", add_arguments, run)
