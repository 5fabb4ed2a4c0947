"""The record of a simulated world: every call with what became of it, and every delivery."""

from collections import Counter
from enum import Enum, auto
from typing import Final, Generic

import attrs
import trio

from trioqueue.simulator.choice import Chosen, FaultChooser, FaultT, RequestKind, Seen
from trioqueue.simulator.connection import Respond
from trioqueue.simulator.deliveries_file import DeliveriesFile, Delivery
from trioqueue.simulator.replies import Answer, Drip, Hang, Reply

LONGEST_SUMMARY: Final = 200
"""Characters kept of what a call is about."""


class Fate(Enum):
    """What became of the answer to a call."""

    UNDER_WAY = auto()
    """None yet."""
    ANSWERED = auto()
    """A whole answer, a good one or an error."""
    BROKEN = auto()
    """The connection was broken on purpose, before the answer or in the middle of it."""
    ABANDONED = auto()
    """The client left before its end, or an outage took the connection away."""


@attrs.define(eq=False)
class Call(Generic[FaultT]):
    """One call of the model or the gateway, as long as it was well-formed and had the right key.

    Attributes:
        kind: What it asked for.
        number: Which call of its kind it is, from 1.
        attempt: Which call of its kind with this subject, or this idempotency key, it is, from 1.
        summary: The beginning of its subject: the lead's JSON (generate), the text (split, send).
        model: The model asked for; empty for a send.
        conversation_id: Where a send goes; empty for the model.
        idempotency_key: As a send named it.
        fault: What it met; None for nothing.
        fate: What became of the answer.
        tokens: Tokens of prompt and answer that the model counted.
    """

    kind: RequestKind
    number: int
    attempt: int
    summary: str
    model: str = ""
    conversation_id: str = ""
    idempotency_key: str | None = None
    fault: FaultT | None = None
    fate: Fate = Fate.UNDER_WAY
    tokens: int = 0


class Changes:
    """Lets others wait until something has changed."""

    def __init__(self) -> None:
        self._event: trio.Event | None = None

    def tell(self) -> None:
        """Wake all who wait."""
        if self._event is not None:
            self._event.set()
            self._event = None

    async def wait(self) -> None:
        """Wait until `tell` is called."""
        if self._event is None:
            self._event = trio.Event()
        await self._event.wait()


class Calls(Generic[FaultT]):
    """The calls of one endpoint: numbers them, chooses what they meet, and answers them.

    Attributes:
        all: Every call in the order of arrival.
        in_flight: How many have no answer yet.
        most_in_flight: The most there have been at once.
        refused: Requests that were no calls at all: a wrong key, path, method or body.
        faults: How often each fault was met.
        tokens: What the model counted for all of them.
    """

    def __init__(self, chooser: FaultChooser[FaultT], changes: Changes) -> None:
        self._chooser = chooser
        self._changes = changes
        self._numbers: Counter[RequestKind] = Counter()
        self._attempts: Counter[int] = Counter()
        self.all: list[Call[FaultT]] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.refused = 0
        self.faults: Counter[FaultT] = Counter()
        self.tokens = 0

    def begin(
        self,
        kind: RequestKind,
        subject: str,
        *,
        model: str = "",
        conversation_id: str = "",
        idempotency_key: str | None = None,
    ) -> tuple[Call[FaultT], Chosen[FaultT] | None]:
        """Record a call that has arrived, and choose what it meets."""
        self._numbers[kind] += 1
        same = hash((kind, idempotency_key or subject, conversation_id))
        self._attempts[same] += 1
        number, attempt = self._numbers[kind], self._attempts[same]
        chosen = self._chooser.choose(Seen(kind, number, attempt, subject, conversation_id))
        call = Call(
            kind=kind,
            number=number,
            attempt=attempt,
            summary=subject[:LONGEST_SUMMARY],
            model=model,
            conversation_id=conversation_id,
            idempotency_key=idempotency_key,
            fault=chosen.fault if chosen else None,
        )
        if chosen:
            self.faults[chosen.fault] += 1
        self.all.append(call)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self._changes.tell()
        return call, chosen

    def count_tokens(self, call: Call[FaultT], tokens: int) -> None:
        """Record what the model counted for a call."""
        call.tokens = tokens
        self.tokens += tokens

    async def answer(self, call: Call[FaultT], reply: Reply, respond: Respond) -> None:
        """Carry the reply to a call out, and record what became of it.

        The record is made before the last byte leaves: who has read an answer finds it in the record.
        """
        never = isinstance(reply, Hang) or (isinstance(reply, Drip) and reply.count is None)
        if not never:
            self._settle(call, Fate.ANSWERED if isinstance(reply, Answer | Drip) else Fate.BROKEN)
        if not await respond(reply):
            self._settle(call, Fate.ABANDONED)

    async def refuse(self, answer: Answer, respond: Respond) -> None:
        """Answer a request that is no call at all."""
        self.refused += 1
        self._changes.tell()
        await respond(answer)

    def _settle(self, call: Call[FaultT], fate: Fate) -> None:
        if call.fate is Fate.UNDER_WAY:
            self.in_flight -= 1
        call.fate = fate
        self._changes.tell()


class Deliveries:
    """What the gateway took over.

    Attributes:
        all: Every delivery in the order of arrival.
    """

    def __init__(self, file: DeliveriesFile | None, changes: Changes, *, idempotent: bool) -> None:
        """Keep deliveries in memory and, where there is one, in a file.

        Args:
            file: Where they are written before they count.
            changes: Told of every delivery.
            idempotent: Whether the same key is delivered once.
        """
        self._file = file
        self._changes = changes
        self._idempotent = idempotent
        self._lock = trio.Lock()
        self.all: list[Delivery] = list(file.earlier) if file else []
        self._by_key = {delivery.idempotency_key: delivery for delivery in self.all}

    async def deliver(self, conversation_id: str, text: str, idempotency_key: str | None) -> Delivery:
        """Deliver a part; the earlier delivery when the gateway is idempotent and has seen this key."""
        if self._file is None:
            return self._earlier(idempotency_key) or self._added(self._next(conversation_id, text, idempotency_key))
        async with self._lock:
            earlier = self._earlier(idempotency_key)
            if earlier is not None:
                return earlier
            delivery = self._next(conversation_id, text, idempotency_key)
            await trio.to_thread.run_sync(self._file.append, delivery)
            return self._added(delivery)

    def find(self, idempotency_key: str) -> Delivery | None:
        """The last delivery of a key; None when there is none."""
        return self._by_key.get(idempotency_key)

    def _earlier(self, idempotency_key: str | None) -> Delivery | None:
        return self._by_key.get(idempotency_key) if self._idempotent and idempotency_key is not None else None

    def _next(self, conversation_id: str, text: str, idempotency_key: str | None) -> Delivery:
        number = len(self.all) + 1
        return Delivery(number, conversation_id, text, idempotency_key, f"3EB0{number:016X}")

    def _added(self, delivery: Delivery) -> Delivery:
        self.all.append(delivery)
        self._by_key[delivery.idempotency_key] = delivery
        self._changes.tell()
        return delivery
