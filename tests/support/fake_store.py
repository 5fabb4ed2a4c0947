"""A store in memory that keeps the rules of schema/ strictly: states, fences, leases, all or nothing.

A fact that breaks a rule although its claim is held shows a defect of the worker: it is kept in `violations`, which
tests hold empty.
"""

import math
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar, assert_never
from uuid import UUID, uuid4

import attrs
import trio

from tests.support.clock import passes
from tests.support.fake_budgets import FakeBudgets
from trioqueue.domain.budgets import Budgets, Estimate
from trioqueue.domain.completions import NOTHING_SPENT, Usage
from trioqueue.domain.facts import (
    Fact,
    Finished,
    Noted,
    PartsPlanned,
    Returned,
    SendIntended,
    SendSettled,
    SpendReserved,
    TextGenerated,
    Verdict,
)
from trioqueue.domain.gates import Cause, GateNews, SharedGate
from trioqueue.domain.logs import LogEntry, LogLevel, LogStep
from trioqueue.domain.lookups import SettledPart, UnknownPart
from trioqueue.domain.messages import Barred, Claim, ClaimedMessage, Incarnation, Part
from trioqueue.domain.sends import OutgoingPart, idempotency_key
from trioqueue.domain.states import (
    CLAIMED,
    MESSAGE_TRANSITIONS,
    PART_TRANSITIONS,
    MessageStatus,
    PartStatus,
    RunStatus,
    may_become,
)
from trioqueue.ports import Outlook, Rescued, StoreUnavailable

SomeFact = TypeVar("SomeFact", bound=Fact)

PROBE_LEASE = 60.0
"""Seconds after which another worker may make a probe."""

LOOK_UP_REST = 60.0
"""Least seconds before a part of unknown fate is asked about, and between two times."""

FINAL = frozenset({MessageStatus.SENT, MessageStatus.FAILED, MessageStatus.SKIPPED, MessageStatus.REPLIED})

STRAY_AGE = 60.0
"""Seconds after which a message that its worker does not know of is taken from it."""

RUN_ID = UUID(int=1)
"""The run that messages belong to unless told otherwise."""


@attrs.define(eq=False)
class StoredPart:
    """A row of campaign_message_parts."""

    body: str
    status: PartStatus = PartStatus.PLANNED
    fence: int | None = None
    provider_message_id: str | None = None
    error: str | None = None
    looked_up_at: float | None = None


@attrs.define(eq=False)
class StoredMessage:
    """A row of campaign_messages with its parts by number, its lead and its configuration."""

    id: UUID = attrs.field(factory=uuid4)
    run_id: UUID = RUN_ID
    lead_id: UUID = attrs.field(factory=uuid4)
    conversation_id: UUID | None = attrs.field(factory=uuid4)
    status: MessageStatus = MessageStatus.PENDING
    scheduled_at: float = 0.0
    retry_count: int = 0
    model: str = "asked/model"
    instructions: str = "Write a short message."
    split: bool = True
    max_parts: int = 3
    context: Mapping[str, Any] = attrs.field(factory=lambda: {"client_name": "Ana"})
    fallback_models: tuple[str, ...] = ()
    text: str | None = None
    parts: dict[int, StoredPart] = attrs.field(factory=dict)
    spent: Usage = NOTHING_SPENT
    send_time_ms: int = 0
    error: str | None = None
    provider_message_id: str | None = None
    owner: UUID | None = None
    claimed_at: float = 0.0
    fence: int = 0
    barred: Barred | None = None
    updated_at: float = 0.0
    counted: Usage | None = None
    reserved: Estimate | None = None

    def claimed(self, claim: Claim, budgets: FakeBudgets | None = None) -> ClaimedMessage:
        """The message as it is given to the holder of a claim."""
        limited = budgets is not None and budgets.are_about(self.run_id)
        names = (
            "conversation_id",
            "retry_count",
            "model",
            "instructions",
            "split",
            "max_parts",
            "context",
            "text",
            "fallback_models",
            "barred",
        )
        return ClaimedMessage(
            claim=claim,
            spent=self.spent,
            counted=(self.counted or self.spent) if limited else None,
            usd_per_token=budgets.prices.get(self.model) if budgets is not None and limited else None,
            send_time_ms=self.send_time_ms,
            parts=tuple(Part(number, part.body, part.status) for number, part in sorted(self.parts.items())),
            **{name: getattr(self, name) for name in names},
        )

    def part_statuses(self) -> list[PartStatus]:
        """Where the parts stand, in order."""
        return [part.status for _, part in sorted(self.parts.items())]


@attrs.define(eq=False)
class StoredGate:
    """A row of model_gates."""

    shut_until: float
    cause: Cause
    reason: str
    trips: int
    prober: UUID | None = None
    probe_until: float = 0.0


@attrs.define(eq=False)
class FakeStore:
    """A `ports.Store`.

    Attributes:
        messages: By id.
        runs: By id.
        gates: By account and model.
        budget: Those of the runs and of the day.
        waiting: Runs that are paused until the next day.
        away: Whether every call finds the store unavailable.
        takes: Virtual seconds of every call.
        refuse: Called with each fact before it is written; what it raises refuses the whole commit.
        held_back: What calls of a method wait for before they do anything.
        violations: What a worker without defects never does.
        commits: The facts of each commit that came through, with what came of each.
        logs: The rows of the runs' logs.
    """

    messages: dict[UUID, StoredMessage] = attrs.field(factory=dict)
    runs: dict[UUID, RunStatus] = attrs.field(factory=lambda: {RUN_ID: RunStatus.RUNNING})
    gates: dict[tuple[str, str], StoredGate] = attrs.field(factory=dict)
    budget: FakeBudgets = attrs.field(factory=FakeBudgets)
    waiting: set[UUID] = attrs.field(factory=set)
    workers: dict[UUID, tuple[float, float]] = attrs.field(factory=dict)
    away: bool = False
    takes: float = 0.0
    refuse: Any = lambda _fact: None
    held_back: dict[str, trio.Event] = attrs.field(factory=dict)
    calls: list[str] = attrs.field(factory=list)
    violations: list[str] = attrs.field(factory=list)
    commits: list[list[tuple[Fact, Verdict]]] = attrs.field(factory=list)
    logs: list[tuple[UUID | None, LogEntry]] = attrs.field(factory=list)
    _faults: dict[str, deque[tuple[Exception, bool]]] = attrs.field(factory=lambda: defaultdict(deque))

    def add(self, count: int = 1, **values: Any) -> StoredMessage:
        """Store messages, at least one, and return the last."""
        added = [StoredMessage(**values) for _ in range(count)]
        self.messages |= {message.id: message for message in added}
        self.runs.setdefault(added[-1].run_id, RunStatus.RUNNING)
        return added[-1]

    def fail(self, method: str, *errors: Exception, done: bool = False) -> None:
        """Let the next calls of a method raise: before anything was done, or after all of it was."""
        self._faults[method].extend((error, done) for error in errors)

    def heal(self) -> None:
        """Let nothing fail any more."""
        self._faults.clear()

    def hold(self, method: str) -> trio.Event:
        """Hold the calls of a method until the event that is returned is set."""
        return self.held_back.setdefault(method, trio.Event())

    def steps(self, message: StoredMessage | None = None) -> list[LogStep]:
        """The steps that the log tells, of one message or of all."""
        return [entry.step for id_, entry in self.logs if message is None or id_ == message.id]

    def facts(self, kind: type[SomeFact]) -> list[SomeFact]:
        """The facts of a kind that were written, in order."""
        return [
            fact
            for commit in self.commits
            for fact, verdict in commit
            if isinstance(fact, kind) and verdict is Verdict.DURABLE
        ]

    async def claim(self, owner: UUID, count: int, avoided: Collection[str] = ()) -> Sequence[ClaimedMessage]:
        async with self._call("claim"):
            return self._claim_due(owner, count, avoided)

    async def commit(self, facts: Sequence[Fact]) -> Sequence[Verdict]:
        async with self._call("commit"):
            return self._write_all(facts)

    async def commit_and_claim(
        self, facts: Sequence[Fact], owner: UUID, count: int, avoided: Collection[str] = ()
    ) -> tuple[Sequence[Verdict], Sequence[ClaimedMessage]]:
        async with self._call("commit"):
            return self._write_all(facts), self._claim_due(owner, count, avoided)

    def _claim_due(self, owner: UUID, count: int, avoided: Collection[str]) -> Sequence[ClaimedMessage]:
        due = sorted(self.messages.values(), key=lambda message: message.scheduled_at)
        chosen = [message for message in due if self._is_due(message) and not _models(message) <= {*avoided}][:count]
        for message in chosen:
            self._move(message, MessageStatus.GENERATING)
            message.owner = owner
            message.claimed_at = trio.current_time()
            message.fence += 1
        return [
            message.claimed(Claim(message.id, message.run_id, message.lead_id, owner, message.fence), self.budget)
            for message in chosen
        ]

    def _write_all(self, facts: Sequence[Fact]) -> Sequence[Verdict]:
        for fact in facts:
            self.refuse(fact)
        verdicts = [self._write(fact) for fact in facts]
        self.commits.append(list(zip(facts, verdicts, strict=True)))
        return verdicts

    async def beat(self, worker: Incarnation) -> Outlook:
        async with self._call("beat"):
            self.workers[worker.id] = (trio.current_time(), worker.lease)
            return Outlook(self._due_in(), self._upkeep_in(worker.id))

    def _due_in(self) -> float:
        pending = [
            m
            for m in self.messages.values()
            if m.status is MessageStatus.PENDING and self.runs[m.run_id] is RunStatus.RUNNING
        ]
        return min((message.scheduled_at for message in pending), default=math.inf) - trio.current_time()

    def _upkeep_in(self, worker: UUID) -> float:
        claimed = [message for message in self.messages.values() if message.status in CLAIMED]
        lapses = [
            message.claimed_at + STRAY_AGE if message.owner == worker else self._lapses_at(message.owner)
            for message in claimed
        ]
        queued = [0.0 for message in self.messages.values() if message.status is MessageStatus.QUEUED]
        return min(lapses + queued, default=math.inf) - trio.current_time()

    def _lapses_at(self, owner: UUID | None) -> float:
        beat_at, lease = self.workers.get(owner or RUN_ID, (0.0, -1.0))
        return beat_at + lease

    async def leave(self, worker: Incarnation) -> None:
        async with self._call("leave"):
            self.workers.pop(worker.id, None)

    async def rescue(self, *, idempotent: bool, worker: UUID | None = None, held: Collection[UUID] = ()) -> Rescued:
        def is_orphan(message: StoredMessage) -> bool:
            return message.owner != worker and not self._lives(message.owner)

        def is_stray(message: StoredMessage) -> bool:
            old = message.claimed_at < trio.current_time() - STRAY_AGE
            return old and message.owner == worker and message.id not in held

        async with self._call("rescue"):
            claimed = [message for message in self.messages.values() if message.status in CLAIMED]
            taken = [message for message in claimed if is_orphan(message) or is_stray(message)]
            ends = [self._take(message, idempotent=idempotent) for message in taken]
        return Rescued(ends.count(MessageStatus.PENDING), ends.count(MessageStatus.UNCONFIRMED))

    async def take_unknown(self, count: int) -> Sequence[UnknownPart]:
        async with self._call("take_unknown"):
            now = trio.current_time()
            unconfirmed = [m for m in self.messages.values() if m.status is MessageStatus.UNCONFIRMED]
            due = [
                (message, number, part)
                for message in unconfirmed
                for number, part in message.parts.items()
                if part.status is PartStatus.UNKNOWN and _look_up_due(message.updated_at, part.looked_up_at) <= now
            ][:count]
            for _, _, part in due:
                part.looked_up_at = now
            return [
                UnknownPart(
                    message.id,
                    number,
                    part.fence or 0,
                    OutgoingPart(message.conversation_id or RUN_ID, part.body, idempotency_key(message.id, number)),
                    datetime.fromtimestamp(message.updated_at, UTC),
                )
                for message, number, part in due
            ]

    async def settle_unknown(self, settled: Sequence[SettledPart]) -> Sequence[MessageStatus]:
        async with self._call("settle_unknown"):
            return [status for told in settled if (status := self._settle_unknown(told)) is not None]

    def _settle_unknown(self, told: SettledPart) -> MessageStatus | None:
        message = self.messages[told.message_id]
        part = message.parts[told.part_no]
        attempt = (message.status, part.status, part.fence or 0)
        if attempt != (MessageStatus.UNCONFIRMED, PartStatus.UNKNOWN, told.fence):
            return None
        self._move_part(part, told.status)
        part.provider_message_id = told.provider_message_id
        over = self.runs[message.run_id] in {RunStatus.CANCELLED, RunStatus.FAILED}
        if set(message.part_statuses()) == {PartStatus.SENT}:
            self._move(message, MessageStatus.SENT)
        else:
            self._move(message, MessageStatus.SKIPPED if over else MessageStatus.PENDING)
            message.scheduled_at = trio.current_time()
        return message.status

    async def skip_old(self, age: float) -> int:
        async with self._call("skip_old"):
            old = [m for m in self.messages.values() if self._is_due(m) and m.scheduled_at < trio.current_time() - age]
            for message in old:
                self._move(message, MessageStatus.SKIPPED)
        return len(old)

    async def adopt_queued(self) -> int:
        async with self._call("adopt_queued"):
            queued = [message for message in self.messages.values() if message.status is MessageStatus.QUEUED]
            for message in queued:
                self._move(message, MessageStatus.PENDING)
        return len(queued)

    async def pause_run(self, run_id: UUID, step: LogStep, reason: str, *, until_tomorrow: bool = False) -> bool:
        async with self._call("pause_run"):
            running = self.runs[run_id] is RunStatus.RUNNING
            if running:
                self.runs[run_id] = RunStatus.PAUSED
                (self.waiting.add if until_tomorrow else self.waiting.discard)(run_id)
                self.logs.append((None, LogEntry(step, LogLevel.ERROR, reason)))
        return running

    async def resume_runs(self) -> int:
        async with self._call("resume_runs"):
            return 0

    async def prune(self, days: int) -> int:
        async with self._call("prune"):
            over = [m for m in self.messages.values() if m.status in FINAL and self._is_over(m.run_id)]
            old = [m for m in over if m.updated_at < trio.current_time() - days * 86_400.0][:10]
            for message in old:
                del self.messages[message.id]
        return len(old)

    def _is_over(self, run_id: UUID) -> bool:
        kept = any(m.run_id == run_id and m.status not in FINAL for m in self.messages.values())
        return not kept and self.runs[run_id] in (RunStatus.COMPLETED, RunStatus.CANCELLED, RunStatus.FAILED)

    async def budgets(self, run_id: UUID) -> Budgets:
        async with self._call("budgets"):
            return self.budget.both(run_id)

    async def postpone(self, waits: Mapping[str, float]) -> int:
        async with self._call("postpone"):
            due = [m for m in self.messages.values() if self._is_due(m) and _models(m) <= waits.keys()]
            for message in due:
                message.scheduled_at = trio.current_time() + min(waits[model] for model in _models(message))
        return len(due)

    async def share_gates(self, worker: UUID, account: str, news: GateNews) -> Sequence[SharedGate]:
        async with self._call("share_gates"):
            now = trio.current_time()
            for told in news.shut:
                former = self.gates.get((account, told.model))
                until = max(now + told.seconds, former.shut_until if former else now)
                self.gates[account, told.model] = StoredGate(until, told.cause, told.reason, told.trips)
            for model in news.opened:
                if (former := self.gates.get((account, model))) and former.prober == worker:
                    del self.gates[account, model]
            for model in news.probes:
                gate = self.gates.get((account, model))
                if gate is None or gate.shut_until > now:
                    continue
                if gate.prober is None or gate.probe_until <= now or not self._lives(gate.prober):
                    gate.prober, gate.probe_until = worker, now + PROBE_LEASE
            return [
                SharedGate(model, gate.shut_until - now, gate.cause, gate.reason, gate.trips, gate.prober)
                for (of, model), gate in sorted(self.gates.items(), key=lambda item: item[0])
                if of == account
            ]

    @asynccontextmanager
    async def _call(self, method: str) -> AsyncIterator[None]:
        self.calls.append(method)
        await passes(self.takes)
        if method in self.held_back:
            await self.held_back[method].wait()
        if self.away:
            raise StoreUnavailable("the store is away")
        self._raise_fault(method, done=False)
        yield
        self._raise_fault(method, done=True)

    def _raise_fault(self, method: str, *, done: bool) -> None:
        faults = self._faults[method]
        if faults and faults[0][1] == done:
            raise faults.popleft()[0]

    def _is_due(self, message: StoredMessage) -> bool:
        running = self.runs[message.run_id] is RunStatus.RUNNING
        return running and message.status is MessageStatus.PENDING and message.scheduled_at <= trio.current_time()

    def _lives(self, owner: UUID | None) -> bool:
        return trio.current_time() < self._lapses_at(owner)

    def _take(self, message: StoredMessage, *, idempotent: bool) -> MessageStatus:
        under_way = [part for part in message.parts.values() if part.status is PartStatus.SENDING]
        for part in under_way:
            part.status = PartStatus.PLANNED if idempotent else PartStatus.UNKNOWN
        if message.reserved is not None:
            self._account(message, (message.counted or message.spent) + message.reserved.usage)
        self._move(message, MessageStatus.UNCONFIRMED if under_way and not idempotent else MessageStatus.PENDING)
        message.owner = None
        return message.status

    def _move(self, message: StoredMessage, status: MessageStatus) -> bool:
        allowed = may_become(MESSAGE_TRANSITIONS, message.status, status)
        if allowed:
            message.status = status
            message.updated_at = trio.current_time()
        else:
            self.violations.append(f"message {message.status} -> {status}")
        return allowed

    def _write(self, fact: Fact) -> Verdict:
        message = self.messages[fact.claim.message_id]
        if (message.owner, message.fence) != (fact.claim.owner, fact.claim.fence) or message.status not in CLAIMED:
            return Verdict.CLAIM_LOST
        verdict = self._apply(message, fact)
        if fact.log is not None and verdict is Verdict.DURABLE:
            self.logs.append((message.id, fact.log))
        return verdict

    def _apply(self, message: StoredMessage, fact: Fact) -> Verdict:
        held = True
        match fact:
            case SpendReserved():
                return self._reserve(message, fact)
            case TextGenerated():
                held = self._expect(message, MessageStatus.GENERATING)
                message.text, message.spent = fact.text, fact.spent
            case PartsPlanned():
                held = self._move(message, MessageStatus.SENDING)
                message.spent = fact.spent
                for number, body in enumerate(fact.bodies, start=1):
                    message.parts.setdefault(number, StoredPart(body))
            case SendIntended():
                return self._intend(message, fact)
            case SendSettled():
                held = self._settle(message, fact)
            case Finished() | Returned():
                held = self._end(message, fact)
            case Noted():
                pass
            case _:
                assert_never(fact)
        return Verdict.DURABLE if held else Verdict.CLAIM_LOST

    def _reserve(self, message: StoredMessage, fact: SpendReserved) -> Verdict:
        self._account(message, fact.counted)
        if fact.estimate is not None and self.runs[message.run_id] is not RunStatus.RUNNING:
            return Verdict.RUN_STOPPED
        others = [m for m in self.messages.values() if m.status in CLAIMED and m.run_id == message.run_id]
        busy = any(m.text is not None for m in others if m is not message)
        verdict = self.budget.ask(message.run_id, fact, busy=busy)
        if verdict is Verdict.DURABLE:
            message.reserved = fact.estimate
        return verdict

    def _account(self, message: StoredMessage, counted: Usage) -> None:
        before = message.counted or message.spent
        since = Usage(counted.tokens - before.tokens, counted.cost_usd - before.cost_usd)
        self.budget.settle(message.run_id, message.reserved, since)
        message.counted, message.reserved = counted, None

    def _end(self, message: StoredMessage, fact: Finished | Returned) -> bool:
        if not self._move(message, fact.status if isinstance(fact, Finished) else MessageStatus.PENDING):
            return False
        if isinstance(fact, Finished):
            message.error, message.provider_message_id = fact.error, fact.provider_message_id
        else:
            message.retry_count, message.error = fact.retry_count, fact.error or message.error
            if fact.delay is not None:
                message.scheduled_at = trio.current_time() + fact.delay
        message.owner, message.spent = None, fact.spent or message.spent
        return True

    def _intend(self, message: StoredMessage, fact: SendIntended) -> Verdict:
        if not self._expect(message, MessageStatus.SENDING):
            return Verdict.CLAIM_LOST
        if self.runs[message.run_id] is not RunStatus.RUNNING:
            return Verdict.RUN_STOPPED
        if message.barred is not None:
            return Verdict.LEAD_OPTED_OUT if message.barred is Barred.OPTED_OUT else Verdict.TAKEN_OVER
        part = message.parts[fact.part_no]
        again = part.status is PartStatus.SENDING and part.fence == fact.claim.fence
        if not again and (part.status is PartStatus.SENDING or not self._move_part(part, PartStatus.SENDING)):
            return Verdict.CLAIM_LOST
        part.fence, part.error = fact.claim.fence, None
        return Verdict.DURABLE

    def _settle(self, message: StoredMessage, fact: SendSettled) -> bool:
        part = message.parts[fact.part_no]
        held = self._expect(message, MessageStatus.SENDING) and self._move_part(part, fact.status)
        message.send_time_ms = fact.send_time_ms
        part.provider_message_id, part.error = fact.provider_message_id, fact.error
        return held

    def _move_part(self, part: StoredPart, status: PartStatus) -> bool:
        allowed = may_become(PART_TRANSITIONS, part.status, status)
        if allowed:
            part.status = status
        else:
            self.violations.append(f"part {part.status} -> {status}")
        return allowed

    def _expect(self, message: StoredMessage, status: MessageStatus) -> bool:
        if message.status is not status:
            self.violations.append(f"a message is {message.status} instead of {status}")
        return message.status is status


def _look_up_due(since: float, looked_up_at: float | None) -> float:
    rested = since if looked_up_at is None else looked_up_at + max(LOOK_UP_REST, looked_up_at - since)
    return max(since + LOOK_UP_REST, rested)


def _models(message: StoredMessage) -> set[str]:
    return {message.model, *message.fallback_models}
