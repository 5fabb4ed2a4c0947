"""What must hold after a round, whatever happened in it: pure functions of the evidence.

Each rule gives a sentence for everything that breaks it.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final, TypeVar
from uuid import UUID

import attrs

from tests.support.chaos.evidence import Change, ChangeKind, Evidence, MessageRow, PartRow
from trioqueue.domain.states import (
    CLAIMED,
    MESSAGE_TRANSITIONS,
    OPEN,
    PART_TRANSITIONS,
    RUN_TRANSITIONS,
    MessageStatus,
    PartStatus,
    RunStatus,
    may_become,
)
from trioqueue.simulator import ModelFault, RequestKind

GOOD_ANSWERS: Final = frozenset({None, ModelFault.SLOW, ModelFault.NO_USAGE, ModelFault.DRIP, ModelFault.HOLD})
"""What a call may have met and its text be good all the same."""

DELIVERED: Final = frozenset({PartStatus.SENT})
NOT_DELIVERED: Final = frozenset({PartStatus.PLANNED, PartStatus.REJECTED})

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")


@attrs.frozen
class Violation:
    """A rule that was broken, and by what."""

    rule: str
    what: str


def violations(evidence: Evidence) -> list[Violation]:
    """Everything that breaks a rule."""
    return [Violation(name, what) for name, rule in RULES.items() for what in rule(evidence)]


def no_part_twice(evidence: Evidence) -> Iterator[str]:
    """No part is delivered twice."""
    times = Counter(delivery.idempotency_key for delivery in evidence.deliveries)
    for key, count in times.items():
        if count > 1:
            yield f"part {key} was delivered {count} times"


def only_stored_parts(evidence: Evidence) -> Iterator[str]:
    """What is delivered is a stored part, with its text, in its message's conversation."""
    conversations = {message.id: str(message.conversation_id) for message in evidence.messages}
    parts = {part.idempotency_key: part for part in evidence.parts}
    for delivery in evidence.deliveries:
        part = parts.get(delivery.idempotency_key or "")
        if part is None:
            yield f"delivery {delivery.number} ({delivery.idempotency_key}) is no stored part"
        elif (delivery.text, delivery.conversation_id) != (part.body, conversations[part.message_id]):
            yield f"delivery {delivery.number} ({delivery.idempotency_key}) has another text or conversation"


def parts_agree_with_deliveries(evidence: Evidence) -> Iterator[str]:
    """A sent part was delivered, a planned or rejected one was not, and none is under way."""
    delivered = {delivery.idempotency_key for delivery in evidence.deliveries}
    for part in evidence.parts:
        there = part.idempotency_key in delivered
        if part.status is PartStatus.SENDING:
            yield f"part {part.idempotency_key} is still under way"
        elif part.status in DELIVERED and not there:
            yield f"part {part.idempotency_key} is {part.status} and was not delivered"
        elif part.status in NOT_DELIVERED and there and not evidence.idempotent:
            yield f"part {part.idempotency_key} is {part.status} and was delivered"


def every_message_final(evidence: Evidence) -> Iterator[str]:
    """After quiet every message is in a final state, and nobody holds it."""
    for message in evidence.messages:
        if message.status in OPEN:
            yield f"message {message.id} is {message.status}, held by {message.owner}"


def whole_text(evidence: Evidence) -> Iterator[str]:
    """The delivered parts of a sent message, in the order of their arrival, are its text."""
    delivered: dict[str, list[str]] = defaultdict(list)
    for delivery in evidence.deliveries:
        delivered[message_of(delivery.idempotency_key)].append(delivery.text)
    for message in evidence.messages:
        texts = delivered[str(message.id)]
        if message.status is MessageStatus.SENT and squeezed("".join(texts)) != squeezed(message.text or ""):
            yield f"message {message.id} is sent, and what arrived is not its text: {texts!r} of {message.text!r}"


def in_order(evidence: Evidence) -> Iterator[str]:
    """What follows a part that has not been sent is held; a message is sent when all of its parts are."""
    for parts in grouped(evidence.parts, lambda part: part.message_id).values():
        for before, after in pairwise(parts):
            if before.status is not PartStatus.SENT and after.status is not PartStatus.PLANNED:
                yield f"part {after.idempotency_key} is {after.status} after one that is {before.status}"
    for message in evidence.messages:
        yield from _of_message(message, [part for part in evidence.parts if part.message_id == message.id])


def _of_message(message: MessageRow, parts: Sequence[PartRow]) -> Iterator[str]:
    statuses = Counter(part.status for part in parts)
    if (message.status is MessageStatus.UNCONFIRMED) != (statuses[PartStatus.UNKNOWN] == 1):
        yield f"message {message.id} is {message.status} with {statuses[PartStatus.UNKNOWN]} unknown parts"
    if message.status is MessageStatus.SENT and (not parts or set(statuses) != {PartStatus.SENT}):
        yield f"message {message.id} is sent with parts that are {sorted(statuses)}"


def exact_counters(evidence: Evidence) -> Iterator[str]:
    """The counters of every run are those of its messages, and it is completed."""
    for run in evidence.runs:
        statuses = Counter(message.status for message in evidence.messages if message.run_id == run.id)
        success, failed = statuses[MessageStatus.SENT], statuses[MessageStatus.FAILED]
        skipped, total = statuses[MessageStatus.SKIPPED], statuses.total()
        processed = success + failed + skipped + statuses[MessageStatus.UNCONFIRMED]
        counted = (run.total, run.processed, run.success, run.failed, run.skipped)
        if counted != (total, processed, success, failed, skipped):
            yield f"run {run.id} has counted {counted}, and has {(total, processed, success, failed, skipped)}"
        if run.status is not RunStatus.COMPLETED:
            yield f"run {run.id} is {run.status}"


def allowed_transitions(evidence: Evidence) -> Iterator[str]:
    """No row has changed to a state that may not follow, and no text has changed once it was stored."""
    for change in evidence.changes:
        if not _allowed(change):
            yield f"{change.actor} moved {_named(change)} from {change.before} to {change.after}"
        if change.text_before is not None and change.text_after != change.text_before:
            yield f"{change.actor} changed the text of {_named(change)}"


def _allowed(change: Change) -> bool:
    if change.before is None:
        return change.after == PartStatus.PLANNED
    match change.kind:
        case ChangeKind.RUN:
            return may_become(RUN_TRANSITIONS, RunStatus(change.before), RunStatus(change.after))
        case ChangeKind.PART:
            return may_become(PART_TRANSITIONS, PartStatus(change.before), PartStatus(change.after))
        case ChangeKind.MESSAGE:
            return may_become(MESSAGE_TRANSITIONS, MessageStatus(change.before), MessageStatus(change.after))


def _named(change: Change) -> str:
    part = "" if change.part_no is None else f", part {change.part_no}"
    return f"{change.kind} {change.message_id or change.run_id}{part}"


def fenced_claims(evidence: Evidence) -> Iterator[str]:
    """A message is held by one worker at a time, and every claim has a fence of its own, one more than the last."""
    fences: dict[UUID | None, int] = defaultdict(int)
    for change in _of_messages(evidence.changes):
        claimed = change.before not in CLAIMED and change.after in CLAIMED
        fences[change.message_id] += claimed
        if change.fence != fences[change.message_id]:
            yield f"{_named(change)} has fence {change.fence} after {fences[change.message_id]} claims"
        if not claimed and change.owner_after is not None and change.owner_after != change.owner_before:
            yield f"{_named(change)} went from {change.owner_before} to {change.owner_after} without a claim"


def intents_first(evidence: Evidence) -> Iterator[str]:
    """No part reaches the gateway before its intent, or after its outcome is known."""
    for key, status in statuses_on_arrival(evidence):
        if status not in {PartStatus.SENDING, PartStatus.UNKNOWN} and not (status and evidence.idempotent):
            yield f"part {key} came to the gateway while it was {status or 'not planned'}"


def statuses_on_arrival(evidence: Evidence) -> Iterator[tuple[str, PartStatus | None]]:
    """The key of every part that came to the gateway, and where it stood then; None for nowhere."""
    changes = grouped(
        (change for change in evidence.changes if change.kind is ChangeKind.PART),
        lambda change: f"{change.message_id}:{change.part_no}",
    )
    for call in evidence.calls:
        if call.key is not None:
            before = [change.after for change in changes.get(call.key, ()) if change.at <= call.at]
            yield call.key, PartStatus(before[-1]) if before else None


def nothing_paid_twice(evidence: Evidence) -> Iterator[str]:
    """A text is paid for once, and once more only for each time that its worker was interrupted while it asked."""
    paid = Counter(
        call.lead
        for call in evidence.calls
        if call.kind == RequestKind.GENERATE and call.answered and call.fault in GOOD_ANSWERS
    )
    interrupted = _interruptions(evidence)
    for message in evidence.messages:
        times, allowed = paid[message.lead], interrupted[message.id] + (message.text is not None)
        if times > allowed:
            yield f"the text of message {message.id} ({message.lead}) was paid for {times} times; {allowed} are due"


def nothing_asked_for_stored_texts(evidence: Evidence) -> Iterator[str]:
    """Nobody asks for a text that is stored but a worker that was interrupted, and cannot know it yet."""
    leads = {message.lead: message.id for message in evidence.messages}
    stored = {
        change.message_id: change.at
        for change in _of_messages(evidence.changes)
        if change.text_before is None and change.text_after is not None
    }
    interrupted = _interruptions(evidence)
    for call in evidence.calls:
        message_id = leads.get(call.lead or "")
        if message_id in stored and call.at > stored[message_id] and not interrupted[message_id]:
            yield f"the text of message {message_id} ({call.lead}) was asked for again after it was stored"


def _interruptions(evidence: Evidence) -> Counter[UUID | None]:
    """How often the work on each message was interrupted before there was a text.

    That is: its claim was taken by another process, or given back in a drain, or its process was suspended meanwhile.
    """
    interruptions: Counter[UUID | None] = Counter()
    claimed: dict[UUID | None, float] = {}
    for change in _of_messages(evidence.changes):
        if change.owner_before is None:
            claimed[change.message_id] = change.at
        elif change.text_before is None and (change.owner_after is None or change.text_after is not None):
            owner = evidence.actors.get(change.owner_before, "")
            times = evidence.suspensions.get(owner, ())
            interruptions[change.message_id] += sum(claimed[change.message_id] <= at <= change.at for at in times)
            if change.text_after is None:
                interruptions[change.message_id] += change.actor != owner or owner in evidence.drained
    return interruptions


def _of_messages(changes: Iterable[Change]) -> Iterator[Change]:
    return (change for change in changes if change.kind is ChangeKind.MESSAGE)


def message_of(key: str | None) -> str:
    """The message of an idempotency key."""
    return (key or "").partition(":")[0]


def squeezed(text: str) -> str:
    """A text without its white space."""
    return "".join(text.split())


def grouped(values: Iterable[ValueT], key: Callable[[ValueT], KeyT]) -> dict[KeyT, list[ValueT]]:
    """Values by a key, in their order."""
    groups: dict[KeyT, list[ValueT]] = defaultdict(list)
    for value in values:
        groups[key(value)].append(value)
    return groups


RULES: Final[Mapping[str, Callable[[Evidence], Iterator[str]]]] = {
    rule.__name__.replace("_", " "): rule
    for rule in (
        no_part_twice,
        only_stored_parts,
        parts_agree_with_deliveries,
        every_message_final,
        whole_text,
        in_order,
        exact_counters,
        allowed_transitions,
        fenced_claims,
        intents_first,
        nothing_paid_twice,
        nothing_asked_for_stored_texts,
    )
}
