"""What the worker needs of the world, as protocols: a model, a gateway and a store.

The adapters (postgres/, openrouter/, gateways/) provide them, bootstrap.py wires them, tests provide fakes. Each
protocol has a conformance suite in tests/ that every provider passes.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

import attrs

from trioqueue.domain.budgets import Budgets
from trioqueue.domain.completions import Completion, CompletionRequest
from trioqueue.domain.errors import TrioqueueError
from trioqueue.domain.facts import Fact, Verdict
from trioqueue.domain.gates import GateNews, SharedGate
from trioqueue.domain.logs import LogStep
from trioqueue.domain.lookups import LookedUp, SettledPart, UnknownPart
from trioqueue.domain.messages import ClaimedMessage, Incarnation
from trioqueue.domain.sends import OutgoingPart, SendOutcome
from trioqueue.domain.states import MessageStatus


class Model(Protocol):
    """A language model that completes chats."""

    @property
    def account(self) -> str:
        """Whose limits its calls count against: the same for all workers with the same key and address. No secret."""

    async def complete(self, request: CompletionRequest, *, timeout: float) -> Completion:
        """Make one call, without retries, and say what came of it.

        Faults are returned, never raised. `timeout` bounds the whole call in seconds: connecting, writing, and
        reading the last byte; a call that takes longer is `Transient` with `timed_out`.
        """


class Gateway(Protocol):
    """What takes a part over and brings it to the lead."""

    @property
    def idempotent(self) -> bool:
        """Whether the same idempotency key twice is one delivery, so that an unknown part may be sent again."""

    async def send(self, part: OutgoingPart, *, timeout: float) -> SendOutcome:
        """Send one part, once, and say what came of it.

        Faults are returned, never raised. `timeout` bounds the whole exchange in seconds. A time-out, a lost
        connection or a cancellation after the first byte of the request went out is `Unknown`.
        """


class Lookup(Protocol):
    """What can be asked afterwards whether a part has reached the gateway. Not every gateway has it."""

    async def look_up(self, part: OutgoingPart, intended_at: datetime, *, timeout: float) -> LookedUp:
        """Ask once what became of a part. The same part may be asked about again and again.

        Faults are returned, never raised: they tell nothing of the part. `NotDelivered` only when the gateway vouches
        that the part has not left and will not leave any more; that it was not found is `CannotTell`.

        Args:
            part: The part.
            intended_at: When it was meant to leave, just before the request.
            timeout: Seconds for the whole exchange.
        """


class StoreUnavailable(TrioqueueError):
    """The store cannot be reached. What was being written may or may not be on disk; telling it again is safe."""


class StoreUnfit(TrioqueueError):
    """The store is there and can take no message's facts: a person must repair its tables, or the worker's rights."""


@attrs.frozen
class Rescued:
    """What a rescue took: messages made pending again (or skipped with their run), and messages made unconfirmed."""

    released: int
    unconfirmed: int


@attrs.frozen
class Outlook:
    """What is to come, in seconds from now: nothing and less is now, infinity is never.

    Attributes:
        due: Until the next pending message of a running run is due.
        upkeep: Until something is to be done that any worker does for all, beside skipping what is too old: a lease
            runs out under messages, a run goes on, or a queued message waits to be adopted.
    """

    due: float
    upkeep: float


class Store(Protocol):
    """Where messages are claimed and facts are kept.

    Every method raises `StoreUnavailable` when the store is away or takes nothing for now, and `StoreUnfit` when it
    cannot take anything as it is. Another error concerns what was asked.
    """

    async def claim(self, owner: UUID, count: int, avoided: Collection[str] = ()) -> Sequence[ClaimedMessage]:
        """Claim up to `count` due messages for `owner`, in turn among the running runs. Fewer means no more is due.

        Runs of which all models are `avoided`, the campaign's own and those that stand in for it, have nothing due.
        """

    async def commit(self, facts: Sequence[Fact]) -> Sequence[Verdict]:
        """Write all facts in one transaction, and return what came of each, in the same order.

        When it returns, everything that it calls durable is on disk.
        """

    async def commit_and_claim(
        self, facts: Sequence[Fact], owner: UUID, count: int, avoided: Collection[str] = ()
    ) -> tuple[Sequence[Verdict], Sequence[ClaimedMessage]]:
        """Write all facts and claim up to `count` due messages, in one transaction. Fewer may leave some due."""

    async def beat(self, worker: Incarnation) -> Outlook:
        """Write the heartbeat of a worker, which registers it the first time, and look what is to come."""

    async def leave(self, worker: Incarnation) -> None:
        """Strike a worker off that holds no message any more."""

    async def rescue(self, *, idempotent: bool, worker: UUID | None = None, held: Collection[UUID] = ()) -> Rescued:
        """Take messages that nobody works on.

        These are the messages of other workers whose lease has run out, and those that `worker`, who asks, has had for
        a minute without knowing of them: the answer to its claim was lost, or their end could not be written. A part
        under way becomes unknown and its message unconfirmed; where the gateway is idempotent, it is planned again.

        Args:
            idempotent: Whether the gateway takes the same part twice as one.
            worker: The incarnation that asks; None for nobody.
            held: The messages that it works on.
        """

    async def take_unknown(self, count: int) -> Sequence[UnknownPart]:
        """Take up to `count` parts of unknown fate to be asked about.

        Nobody else is given them for a minute, and each further time for twice as long. The first comes when its
        message has been unconfirmed for a minute: a request that was still on its way has ended then.
        """

    async def settle_unknown(self, settled: Sequence[SettledPart]) -> Sequence[MessageStatus]:
        """Say what has become of unknown parts, and return what those messages became that were settled by it.

        A part that has been settled or sent again meanwhile is left alone. A message goes on with what is left of it,
        is sent when nothing is, and is skipped when its run is over.
        """

    async def skip_old(self, age: float) -> int:
        """Skip messages of running runs that were due more than `age` seconds ago, and return how many."""

    async def postpone(self, waits: Mapping[str, float]) -> int:
        """Make due messages due later whose run can use none but these models, and return how many.

        Args:
            waits: Seconds until each model may be called.
        """

    async def share_gates(self, worker: UUID, account: str, news: GateNews) -> Sequence[SharedGate]:
        """Tell the other workers of an account what became of its models' gates, and return all that are shut."""

    async def adopt_queued(self) -> int:
        """Make pending what other programs wrote as `queued`, and return how many."""

    async def pause_run(self, run_id: UUID, step: LogStep, reason: str, *, until_tomorrow: bool = False) -> bool:
        """Pause a running run and log why; False when it was not running.

        Args:
            run_id: The run.
            step: The step of its log.
            reason: Why, for people.
            until_tomorrow: Whether it goes on by itself when the next day begins (UTC).
        """

    async def resume_runs(self) -> int:
        """Let runs go on that were paused until today, and return how many."""

    async def prune(self, days: int) -> int:
        """Remove some messages and log lines of runs that have been over for so many days, and return how many rows.

        Nothing is removed of a run with a message that is not final. 0 when nothing is left to remove, or while another
        worker is at it.
        """

    async def budgets(self, run_id: UUID) -> Budgets:
        """Where the budgets of a run and of the day stand."""
