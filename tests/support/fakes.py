"""A model and a gateway that answer by script, in virtual time, and the messages they are asked about.

The store in memory is in fake_store.py.
"""

import json
from collections import deque
from decimal import Decimal
from typing import Final, Generic, TypeAlias, TypeVar
from uuid import UUID, uuid4

import attrs

from tests.support.clock import passes
from tests.support.fake_store import FakeStore, StoredMessage, StoredPart
from trioqueue.domain.completions import AnswerFormat, Completion, CompletionRequest, Transient, Usable, Usage
from trioqueue.domain.messages import Claim, ClaimedMessage
from trioqueue.domain.sends import OutgoingPart, SendOutcome, Sent, Unknown

__all__ = [
    "PARAGRAPHS",
    "TEXT",
    "FakeGateway",
    "FakeModel",
    "FakeStore",
    "StoredMessage",
    "StoredPart",
    "Takes",
    "claimed_message",
    "generated",
    "split_into",
]

PARAGRAPHS: Final = (
    "Olá, Ana! Aqui é o Bruno, da Aurora. Vi que a Padaria do Bairro abriu uma segunda loja este mês.",
    "Ajudamos padarias a responder os pedidos do WhatsApp em menos de um minuto, também no domingo.",
    "Posso mostrar como funciona em uma conversa de dez minutos na quinta-feira?",
)
TEXT: Final = "\n\n".join(PARAGRAPHS)
"""A message that is long enough to be split."""

GENERATION_COST: Final = Usage(120, Decimal("0.0012"))
SPLIT_COST: Final = Usage(80, Decimal("0.0008"))


T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@attrs.frozen
class Takes(Generic[T_co]):
    """An answer that comes after virtual seconds; after the call's time-out it does not come at all."""

    seconds: float
    then: T_co | Exception


Step: TypeAlias = T | Exception | Takes[T]
ModelStep: TypeAlias = Step[Completion]
GatewayStep: TypeAlias = Step[SendOutcome]


def generated(text: str = TEXT, model: str = "served/model", usage: Usage = GENERATION_COST) -> Usable:
    """The answer of a model that has written a message."""
    return Usable(text, model, usage)


def split_into(*parts: str) -> Usable:
    """The answer of a model that has split a message."""
    return Usable(json.dumps({"messages": parts}), "served/model", SPLIT_COST)


def claimed_message(message: StoredMessage | None = None, **changes: object) -> ClaimedMessage:
    """A message as a worker claims it; without arguments one that no store holds."""
    stored = message or StoredMessage()
    claim = Claim(stored.id, stored.run_id, stored.lead_id, stored.owner or uuid4(), stored.fence)
    return attrs.evolve(stored.claimed(claim), **changes)  # type: ignore[arg-type]  # evolve checks the names


@attrs.define(eq=False)
class InFlight:
    """How many calls are being answered, and how many were at most."""

    now: int = 0
    most: int = 0

    def __enter__(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)

    def __exit__(self, *_: object) -> None:
        self.now -= 1


@attrs.define(eq=False)
class FakeModel:
    """A `ports.Model`. Each call takes the next step of its script; then, or without one, it succeeds.

    Attributes:
        generate: Steps of the calls that write.
        split: Steps of the calls that split.
        by_model: Steps of calls by the model that they name, before the others.
        takes: Virtual seconds of a call that succeeds by itself.
        requests: The calls made.
        account: See `ports.Model`.
    """

    generate: deque[ModelStep] = attrs.field(factory=deque)
    split: deque[ModelStep] = attrs.field(factory=deque)
    by_model: dict[str, deque[ModelStep]] = attrs.field(factory=dict)
    takes: float = 0.0
    requests: list[CompletionRequest] = attrs.field(factory=list)
    in_flight: InFlight = attrs.field(factory=InFlight)
    account: str = "account"

    def calls(self, answer_format: AnswerFormat) -> int:
        """How many calls of a kind were made."""
        return sum(request.answer_format is answer_format for request in self.requests)

    async def complete(self, request: CompletionRequest, *, timeout: float) -> Completion:
        await passes(0)  # a request that is cancelled before its first byte was not made
        self.requests.append(request)
        splits = request.answer_format is AnswerFormat.MESSAGE_PARTS
        script = self.by_model.get(request.model) or (self.split if splits else self.generate)
        by_itself: Takes[Completion] = Takes(self.takes, split_into(*PARAGRAPHS) if splits else generated())
        with self.in_flight:
            return await _taken(script, by_itself, timeout, Transient("no answer in time", timed_out=True))


@attrs.define(eq=False)
class FakeGateway:
    """A `ports.Gateway`. Each send takes the next step of its script; then, or without one, it succeeds.

    Attributes:
        script: Steps of the sends.
        by_conversation: Steps of the sends of a conversation, before the others.
        idempotent: See `ports.Gateway`.
        takes: Virtual seconds of a send that succeeds by itself.
        offered: The parts of all requests.
        delivered: The parts that were accepted.
    """

    script: deque[GatewayStep] = attrs.field(factory=deque)
    by_conversation: dict[UUID, deque[GatewayStep]] = attrs.field(factory=dict)
    idempotent: bool = False
    takes: float = 0.0
    offered: list[OutgoingPart] = attrs.field(factory=list)
    delivered: list[OutgoingPart] = attrs.field(factory=list)
    in_flight: InFlight = attrs.field(factory=InFlight)

    def texts(self, conversation_id: UUID | None) -> list[str]:
        """What arrived in a conversation."""
        return [part.text for part in self.delivered if part.conversation_id == conversation_id]

    async def send(self, part: OutgoingPart, *, timeout: float) -> SendOutcome:
        await passes(0)
        self.offered.append(part)
        script = self.by_conversation.get(part.conversation_id) or self.script
        by_itself: Takes[SendOutcome] = Takes(self.takes, Sent(f"id of {part.idempotency_key}"))
        with self.in_flight:
            outcome = await _taken(script, by_itself, timeout, Unknown("no answer in time"))
        if isinstance(outcome, Sent):
            self.delivered.append(part)
        return outcome


async def _taken(script: deque[Step[T]], by_itself: Takes[T], timeout: float, too_late: T) -> T:
    step = script.popleft() if script else by_itself
    takes = step if isinstance(step, Takes) else Takes(0, step)
    if takes.seconds > timeout:
        await passes(timeout)
        return too_late
    await passes(takes.seconds)
    if isinstance(takes.then, Exception):
        raise takes.then
    return takes.then
