"""The store on a real PostgreSQL against a small model of it, the one in memory that the worker's tests run on.

Two workers claim, tell facts of what they hold or believe to hold, lose their leases and are rescued, while people
pause and resume the run. Whatever the order, both stores give the same answers and hold the same rows, and the
counters of the run are exact.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import attrs
import pytest
import trio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.support.database import SCHEMA, fetch, incarnation, start_run
from tests.support.fake_store import FakeStore
from trioqueue.domain.completions import Usage
from trioqueue.domain.facts import (
    Fact,
    Finished,
    PartsPlanned,
    Returned,
    SendIntended,
    SendSettled,
    TextGenerated,
    Verdict,
    WayBack,
)
from trioqueue.domain.messages import Claim, ClaimedMessage, Incarnation
from trioqueue.domain.states import CLAIMED, MessageStatus, PartStatus, RunStatus
from trioqueue.postgres.campaigns import Campaigns
from trioqueue.postgres.connect import connect
from trioqueue.postgres.pool import Pool
from trioqueue.postgres.store import PostgresStore

MESSAGES = 4
BODIES = ("Olá!", "Tudo bem?")
LONG_AGO = 3600.0
SPENT = Usage(7)

T = TypeVar("T")

ROWS = """
select m.id, m.status, m.claimed_by, m.claim_fence, m.retry_count, m.generated_message,
  array(select p.status from campaign_message_parts p where p.message_id = m.id order by p.part_no)
from campaign_messages m
"""
COUNTERS = "select status, leads_processed, leads_success, leads_failed, leads_skipped from campaign_runs"


@attrs.define(eq=False)
class Held:
    """A message as the worker that claimed it knows it.

    Attributes:
        claim: Its claim, which may be lost.
        written: Whether it has a text.
        parts: What it knows of the parts; empty until they are planned.
        planned: Whether they were planned under this claim.
        under_way: The part whose intent was granted, from 1.
    """

    claim: Claim
    written: bool
    parts: list[PartStatus]
    planned: bool = False
    under_way: int | None = None

    def next_facts(self, outcome: PartStatus) -> list[Fact]:
        """What its worker tells next, as the pipeline does."""
        if not self.written:
            return [TextGenerated(self.claim, " ".join(BODIES), "some/model", SPENT, 1)]
        if self.under_way is not None:
            settled = SendSettled(self.claim, self.under_way, outcome, 1)
            rest = self._not_sent(after=self.under_way)
            return [settled, SendIntended(self.claim, rest)] if outcome is PartStatus.SENT and rest else [settled]
        planned: list[Fact] = [] if self.planned else [PartsPlanned(self.claim, BODIES, SPENT, 1)]
        part = self._not_sent()
        return [*planned, SendIntended(self.claim, part)] if part else planned

    def ending(self, way: str) -> Fact:
        """How its worker ends it."""
        if self.planned and all(status is PartStatus.SENT for status in self.parts):
            return Finished(self.claim, MessageStatus.SENT, spent=SPENT)
        if PartStatus.UNKNOWN in self.parts:
            return Finished(self.claim, MessageStatus.UNCONFIRMED, "lost", spent=SPENT)
        if way == "fail":
            return Finished(self.claim, MessageStatus.FAILED, "refused", spent=SPENT)
        if way == "requeue":
            return Returned(self.claim, WayBack.REQUEUE, 0.0, 1, "failed", SPENT)
        return Returned(self.claim, WayBack.RELEASE, None, 0, spent=SPENT)

    def heard(self, facts: Sequence[Fact], verdicts: Sequence[Verdict]) -> None:
        """Take note of what came of its facts."""
        for fact, verdict in zip(facts, verdicts, strict=True):
            if verdict is not Verdict.DURABLE:
                continue
            match fact:
                case TextGenerated():
                    self.written = True
                case PartsPlanned():
                    self.planned = True
                    self.parts = self.parts or [PartStatus.PLANNED] * len(BODIES)
                case SendSettled(part_no=number, status=status):
                    self.parts[number - 1], self.under_way = status, None
                case SendIntended(part_no=number):
                    self.under_way = number

    def _not_sent(self, after: int = 0) -> int | None:
        statuses = self.parts or [PartStatus.PLANNED] * len(BODIES)
        left = (n for n, status in enumerate(statuses, start=1) if n > after and status is not PartStatus.SENT)
        return next(left, None)


class Stores(RuleBasedStateMachine):
    """Both stores under the same calls."""

    url = ""

    @initialize()
    def begin(self) -> None:
        self.model = FakeStore()
        self.workers = [incarnation(), incarnation()]
        self.held: dict[UUID, list[Held]] = {worker.id: [] for worker in self.workers}
        self.run_id = trio.run(self._begin)

    async def _begin(self) -> UUID:
        async with Pool(partial(connect, self.url), size=1) as pool:
            await fetch(pool, "truncate campaign_configs, leads, workers cascade")
            run = await start_run(pool, MESSAGES)
            rows = await fetch(pool, "select id, lead_id, conversation_id from campaign_messages order by id")
            for id_, lead_id, conversation_id in rows:
                self.model.add(id=id_, run_id=run.run_id, lead_id=lead_id, conversation_id=conversation_id)
            for worker in self.workers:
                await PostgresStore(pool, SCHEMA, timeout=30).beat(worker)
                self.beat(worker)
        return run.run_id

    def both(
        self, real: Callable[[PostgresStore, Pool], Awaitable[T]], modelled: Callable[[], Awaitable[T]] | None = None
    ) -> tuple[T, T | None]:
        """Do the same to both, at the same virtual time."""

        async def ask() -> tuple[T, T | None]:
            async with Pool(partial(connect, self.url), size=1) as pool:
                answer = await real(PostgresStore(pool, SCHEMA, timeout=30), pool)
            return answer, None if modelled is None else await modelled()

        return trio.run(ask)

    @rule(worker=st.integers(0, 1))
    def a_worker_beats(self, worker: int) -> None:
        self.both(lambda store, _: store.beat(self.workers[worker]))
        self.beat(self.workers[worker])

    def beat(self, worker: Incarnation) -> None:
        self.model.workers[worker.id] = (0.0, float("inf"))

    @rule(worker=st.integers(0, 1))
    def a_lease_runs_out(self, worker: int) -> None:
        dead = self.workers[worker].id
        ago = "update workers set beat_at = now() - interval '1 hour' where incarnation = %s"
        self.both(lambda _, pool: fetch(pool, ago, dead))
        self.model.workers.pop(dead, None)

    @rule(worker=st.integers(0, 1), count=st.integers(1, 3))
    def a_worker_claims(self, worker: int, count: int) -> None:
        owner = self.workers[worker].id
        claimed, _ = self.both(lambda store, _: store.claim(owner, count))
        due = [m for m in self.model.messages.values() if m.status is MessageStatus.PENDING]

        assert len(claimed) == (min(count, len(due)) if self.model.runs[self.run_id] is RunStatus.RUNNING else 0)
        for message in claimed:
            self._mirror(message)
            parts = [part.status for part in message.parts]
            self.held[owner].append(Held(message.claim, message.text is not None, parts))

    def _mirror(self, message: ClaimedMessage) -> None:
        """Let the model claim just this one: which of those that are due at the same time is the store's choice."""
        stored = self.model.messages[message.claim.message_id]
        stored.status, stored.owner = MessageStatus.GENERATING, message.claim.owner
        stored.fence += 1

        assert stored.fence == message.claim.fence
        assert stored.text == message.text

    @rule(
        worker=st.integers(0, 1),
        outcome=st.sampled_from([PartStatus.SENT, PartStatus.SENT, PartStatus.REJECTED, PartStatus.UNKNOWN]),
        end=st.sampled_from([None, None, None, "fail", "requeue", "release"]),
        told_again=st.booleans(),
    )
    def a_worker_tells_of_all_it_holds(
        self, worker: int, outcome: PartStatus, end: str | None, told_again: bool
    ) -> None:
        """One batch, whose answer may be lost so that it is told once more."""
        holding = self.held[self.workers[worker].id]
        told = [(held, self._facts(held, outcome, end)) for held in holding]
        facts = [fact for _, some in told for fact in some]
        for _ in range(1 + told_again):
            real, modelled = self.both(lambda store, _: store.commit(facts), lambda: self.model.commit(facts))
        if not told_again:
            assert real == modelled
        verdicts = iter(real)
        for held, some in told:
            held.heard(some, [next(verdicts) for _ in some])
        self.held[self.workers[worker].id] = [held for held in holding if self._goes_on(held)]

    def _facts(self, held: Held, outcome: PartStatus, end: str | None) -> Sequence[Fact]:
        done = held.planned and held.under_way is None and set(held.parts) <= {PartStatus.SENT, PartStatus.UNKNOWN}
        stuck = PartStatus.UNKNOWN in held.parts
        if held.under_way is None and (end is not None or done or stuck):
            return [held.ending(end or "release")]
        return held.next_facts(outcome)

    def _goes_on(self, held: Held) -> bool:
        stored = self.model.messages[held.claim.message_id]
        ours = (stored.owner, stored.fence) == (held.claim.owner, held.claim.fence)
        # A worker learns that its claim is lost by being told so; until then it goes on as if it were not.
        return ours or stored.fence > held.claim.fence or stored.owner is not None

    @rule(worker=st.sampled_from([None, 0, 1]), idempotent=st.booleans())
    def a_rescue(self, worker: int | None, idempotent: bool) -> None:
        asks = None if worker is None else self.workers[worker].id
        held = [] if asks is None else [held.claim.message_id for held in self.held[asks]]
        real, modelled = self.both(
            lambda store, _: store.rescue(idempotent=idempotent, worker=asks, held=held),
            lambda: self.model.rescue(idempotent=idempotent, worker=asks, held=held),
        )

        assert real == modelled

    @rule()
    def people_pause_or_resume(self) -> None:
        async def change(_: PostgresStore, pool: Pool) -> None:
            campaigns = Campaigns(pool, SCHEMA)
            if self.model.runs[self.run_id] is RunStatus.RUNNING:
                await campaigns.pause(self.run_id, "lunch")
            elif self.model.runs[self.run_id] is RunStatus.PAUSED:
                await campaigns.resume(self.run_id)

        self._complete()
        self.both(change)
        change_of = {RunStatus.RUNNING: RunStatus.PAUSED, RunStatus.PAUSED: RunStatus.RUNNING}
        self.model.runs[self.run_id] = change_of.get(self.model.runs[self.run_id], self.model.runs[self.run_id])

    def _complete(self) -> None:
        open_ = CLAIMED | {MessageStatus.PENDING}
        if not any(message.status in open_ for message in self.model.messages.values()):
            self.model.runs[self.run_id] = RunStatus.COMPLETED

    @invariant()
    def they_hold_the_same(self) -> None:
        if not hasattr(self, "run_id"):
            return
        self._complete()
        (rows, counters), _ = self.both(lambda _, pool: _rows(pool))
        expected = {
            message.id: (
                message.status, message.owner, message.fence, message.retry_count, message.text,
                [status.value for status in message.part_statuses()],
            )
            for message in self.model.messages.values()
        }  # fmt: skip
        statuses = Counter(message.status for message in self.model.messages.values())
        ends = [statuses[end] for end in (MessageStatus.SENT, MessageStatus.FAILED, MessageStatus.SKIPPED)]

        assert rows == expected
        assert counters == (self.model.runs[self.run_id], sum(ends) + statuses[MessageStatus.UNCONFIRMED], *ends)
        assert not self.model.violations


async def _rows(pool: Pool) -> tuple[dict[UUID, Any], tuple[Any, ...]]:
    rows = {row[0]: (MessageStatus(row[1]), *row[2:]) for row in await fetch(pool, ROWS)}
    [counters] = await fetch(pool, COUNTERS)
    return rows, counters


@pytest.mark.hypothesis
def test_the_store_does_what_its_model_does(migrated_url: str) -> None:
    """Claims, facts, rescues, pauses and resumptions in any order leave the same in PostgreSQL and in the model."""
    machine = type("StoresOfThisDatabase", (Stores,), {"url": migrated_url})
    run_state_machine_as_test(machine, settings=settings(stateful_step_count=12))
