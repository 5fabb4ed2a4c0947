"""What rounds have shown, in words and figures."""

from collections import Counter
from collections.abc import Iterator, Sequence

from tests.support.chaos.evidence import Evidence
from tests.support.chaos.invariants import statuses_on_arrival
from tests.support.chaos.round import Outcome
from tests.support.chaos.schedule import FaultKind
from trioqueue.domain.states import MessageStatus, PartStatus
from trioqueue.simulator import RequestKind


def round_line(number: int, outcome: Outcome) -> str:
    """One line about a round."""
    plan = outcome.plan
    statuses = Counter(message.status for message in outcome.evidence.messages)
    ends = ", ".join(f"{count} {status}" for status, count in sorted(statuses.items()))
    kind = ", idempotent gateway" if plan.idempotent else ""
    return (
        f"round {number} (seed {plan.seed}{kind}): {sum(outcome.faults.values())} faults in {outcome.seconds:.0f} s, "
        f"{outcome.left} of {plan.messages} messages left to the quiet; {ends}; {len(outcome.violations)} violations"
    )


def summary(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """What all rounds together have shown, line by line."""
    faults: Counter[FaultKind] = Counter()
    statuses: Counter[MessageStatus] = Counter()
    calls: Counter[str] = Counter()
    for outcome in outcomes:
        faults += outcome.faults
        statuses += Counter(message.status for message in outcome.evidence.messages)
        calls += Counter(f"{call.kind} {call.fault}" for call in outcome.evidence.calls if call.fault is not None)
    yield f"{len(outcomes)} rounds, {sum(outcome.seconds for outcome in outcomes):.0f} s of faults"
    yield "faults:"
    yield from (f"  {faults[kind]:6} {kind}" for kind in FaultKind)
    yield "met by calls of the model and the gateway:"
    yield from (f"  {count:6} {fault}" for fault, count in sorted(calls.items()))
    yield f"messages: {statuses.total()}"
    yield from (f"  {count:6} {status}" for status, count in sorted(statuses.items()))
    evidences = [outcome.evidence for outcome in outcomes]
    yield f"parts delivered: {sum(len(evidence.deliveries) for evidence in evidences)}"
    yield f"claims taken from workers: {sum(map(taken_claims, evidences))}"
    yield f"texts paid for again after an interruption: {sum(map(paid_again, evidences))}"
    yield f"unknown parts that had arrived: {sum(map(unknown_but_delivered, evidences))}"
    yield f"requests that came after their part had been given up as unknown: {sum(map(late_requests, evidences))}"
    yield f"violations: {sum(len(outcome.violations) for outcome in outcomes)}"


def taken_claims(evidence: Evidence) -> int:
    """How often a message was taken from its worker by another process."""
    return sum(
        change.owner_before is not None
        and change.owner_after is None
        and change.actor != evidence.actors.get(change.owner_before)
        for change in evidence.changes
    )


def paid_again(evidence: Evidence) -> int:
    """How many good texts were paid for beyond one a message; each has an interruption that explains it."""
    paid = Counter(
        call.lead
        for call in evidence.calls
        if call.kind == RequestKind.GENERATE and call.answered and call.fault is None
    )
    return sum(count - 1 for count in paid.values())


def late_requests(evidence: Evidence) -> int:
    """How many parts a worker sent although they had been given up: it was suspended when it was about to."""
    return sum(status is PartStatus.UNKNOWN for _, status in statuses_on_arrival(evidence))


def unknown_but_delivered(evidence: Evidence) -> int:
    """How many parts are unknown although they had arrived."""
    delivered = {delivery.idempotency_key for delivery in evidence.deliveries}
    return sum(part.status is PartStatus.UNKNOWN and part.idempotency_key in delivered for part in evidence.parts)
