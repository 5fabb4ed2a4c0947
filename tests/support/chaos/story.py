"""What happened to one message, in order: what a person reads to find out why a rule was broken."""

from collections.abc import Sequence
from datetime import UTC, datetime

from tests.support.chaos.evidence import Change, Evidence, WorldCall
from tests.support.chaos.invariants import message_of


def stories(evidence: Evidence, texts: Sequence[str]) -> str:
    """The stories of all messages that are named in some texts."""
    named = [message for message in evidence.messages if any(str(message.id) in text for text in texts)]
    return "\n\n".join("\n".join([f"message {m.id} ({m.lead})", *story(evidence, str(m.id), m.lead)]) for m in named)


def story(evidence: Evidence, message_id: str, lead: str) -> list[str]:
    """A line for every change of a message and of its parts, every call for it, and every suspension of its workers."""
    changes = [change for change in evidence.changes if str(change.message_id) == message_id]
    calls = [call for call in evidence.calls if call.lead == lead or message_of(call.key) == message_id]
    owners = {owner for change in changes for owner in (change.owner_before, change.owner_after) if owner is not None}
    actors = {evidence.actors.get(owner) for owner in owners}
    events = [
        *((change.at, _told(evidence, change)) for change in changes),
        *((call.at, _asked(call)) for call in calls),
        *((at, f"{name} suspended") for name, times in evidence.suspensions.items() if name in actors for at in times),
    ]
    return [f"{datetime.fromtimestamp(at, UTC):%H:%M:%S.%f} {text}" for at, text in sorted(events)]


def _told(evidence: Evidence, change: Change) -> str:
    if change.part_no is not None:
        return f"{change.actor}: part {change.part_no} {change.before} -> {change.after}"
    owners = [
        evidence.actors.get(owner, "?") if owner else "nobody" for owner in (change.owner_before, change.owner_after)
    ]
    stored = " with text" if change.text_before is None and change.text_after is not None else ""
    return (
        f"{change.actor}: {change.before} -> {change.after}{stored}, {owners[0]} -> {owners[1]}, fence {change.fence}"
    )


def _asked(call: WorldCall) -> str:
    return f"{call.kind} {call.key or ''} met {call.fault}, {'answered' if call.answered else 'not answered'}"
