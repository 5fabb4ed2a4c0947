"""Each rule finds what breaks it and nothing else. The evidence of a message that was sent in two parts breaks none."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import attrs
import pytest

from tests.support.chaos.evidence import Change, ChangeKind, Evidence, MessageRow, PartRow, RunRow, WorldCall
from tests.support.chaos.invariants import violations
from tests.support.chaos.story import stories
from trioqueue.domain.states import MessageStatus, PartStatus, RunStatus
from trioqueue.simulator import Delivery

RUN, MESSAGE, CONVERSATION, WORKER, OTHER = UUID(int=1), UUID(int=2), UUID(int=3), UUID(int=4), UUID(int=5)
FIRST, SECOND = f"{MESSAGE}:1", f"{MESSAGE}:2"


def moved(at: float, before: str, after: str, **values: Any) -> Change:
    """A change of the message, made by the worker that holds it before and after."""
    known: dict[str, Any] = {
        "actor": "worker-0-1",
        "kind": ChangeKind.MESSAGE,
        "run_id": RUN,
        "message_id": MESSAGE,
        "part_no": None,
        "owner_before": WORKER,
        "owner_after": WORKER,
        "fence": 1,
        "text_before": "Oi! Tudo?",
        "text_after": "Oi! Tudo?",
    }
    return Change(at=at, before=before, after=after, **known | values)


def part_moved(at: float, number: int, before: str | None, after: str, **values: Any) -> Change:
    """A change of a part."""
    known = {"kind": ChangeKind.PART, "run_id": None, "part_no": number, "owner_before": None, "owner_after": None}
    return moved(at, before or "", after, **known | values) if before else attrs.evolve(
        moved(at, "", after, **known | values), before=None
    )  # fmt: skip


CLAIMED = moved(1.0, "pending", "generating", owner_before=None, text_before=None, text_after=None)
CHANGES = (
    CLAIMED,
    moved(2.0, "generating", "generating", text_before=None),
    moved(3.0, "generating", "sending"),
    part_moved(3.0, 1, None, "planned"),
    part_moved(3.0, 2, None, "planned"),
    part_moved(4.0, 1, "planned", "sending"),
    part_moved(5.0, 1, "sending", "sent"),
    part_moved(5.0, 2, "planned", "sending"),
    part_moved(6.0, 2, "sending", "sent"),
    moved(6.0, "sending", "sent", owner_after=None),
    moved(6.0, "running", "completed", kind=ChangeKind.RUN, message_id=None, owner_before=None, owner_after=None),
)
WRITTEN = WorldCall(1.5, "generate", "Lead 1", None, None, answered=True)
SOUND = Evidence(
    idempotent=False,
    runs=[RunRow(RUN, RunStatus.COMPLETED, 1, 1, 1, 0, 0)],
    messages=[MessageRow(MESSAGE, RUN, "Lead 1", CONVERSATION, MessageStatus.SENT, None, "Oi! Tudo?")],
    parts=[
        PartRow(MESSAGE, 1, "Oi!", PartStatus.SENT, FIRST),
        PartRow(MESSAGE, 2, "Tudo?", PartStatus.SENT, SECOND),
    ],
    changes=CHANGES,
    actors={WORKER: "worker-0-1", OTHER: "worker-1-1"},
    deliveries=[
        Delivery(1, str(CONVERSATION), "Oi!", FIRST, "a"),
        Delivery(2, str(CONVERSATION), "Tudo?", SECOND, "b"),
    ],
    calls=[
        WRITTEN,
        WorldCall(4.5, "send", None, FIRST, None, answered=True),
        WorldCall(5.5, "send", None, SECOND, None, answered=True),
    ],
)


def changed(**values: Any) -> Evidence:
    """The sound evidence with other values."""
    return attrs.evolve(SOUND, **values)


def with_message(**values: Any) -> Evidence:
    """The sound evidence with a message that stands otherwise."""
    return changed(messages=[attrs.evolve(SOUND.messages[0], **values)])


def with_part(number: int, **values: Any) -> Evidence:
    """The sound evidence with a part that stands otherwise."""
    parts = list(SOUND.parts)
    parts[number - 1] = attrs.evolve(parts[number - 1], **values)
    return changed(parts=parts)


def broken(evidence: Evidence) -> set[str]:
    """The rules that an evidence breaks."""
    return {violation.rule for violation in violations(evidence)}


def test_sound_evidence_breaks_no_rule() -> None:
    """A message that was written, split and sent is as it must be."""
    assert violations(SOUND) == []


@pytest.mark.parametrize(
    ("rule", "evidence"),
    [
        ("no part twice", changed(deliveries=[*SOUND.deliveries, SOUND.deliveries[0]])),
        ("only stored parts", changed(parts=[SOUND.parts[0]])),
        ("only stored parts", with_part(1, body="Olá!")),
        ("only stored parts", with_message(conversation_id=uuid4())),
        ("parts agree with deliveries", changed(deliveries=SOUND.deliveries[:1])),
        ("parts agree with deliveries", with_part(2, status=PartStatus.REJECTED)),
        ("parts agree with deliveries", with_part(2, status=PartStatus.SENDING)),
        ("every message final", with_message(status=MessageStatus.PENDING)),
        ("every message final", with_message(status=MessageStatus.SENDING, owner=WORKER)),
        ("whole text", with_message(text="Oi! Tudo bem?")),
        ("whole text", changed(deliveries=SOUND.deliveries[::-1])),
        ("in order", with_part(1, status=PartStatus.UNKNOWN)),
        ("in order", with_message(status=MessageStatus.UNCONFIRMED)),
        ("in order", with_part(2, status=PartStatus.REJECTED)),
        ("exact counters", changed(runs=[attrs.evolve(SOUND.runs[0], processed=2)])),
        ("exact counters", with_message(status=MessageStatus.FAILED)),
        ("exact counters", changed(runs=[attrs.evolve(SOUND.runs[0], status=RunStatus.RUNNING)])),
        ("allowed transitions", changed(changes=[*CHANGES, part_moved(7.0, 2, "sent", "planned")])),
        ("allowed transitions", changed(changes=[*CHANGES, part_moved(7.0, 3, None, "sent")])),
        ("allowed transitions", changed(changes=[*CHANGES[:3], moved(3.5, "sending", "sending", text_after="Olá!")])),
        ("fenced claims", changed(changes=[attrs.evolve(CLAIMED, fence=2), *CHANGES[1:]])),
        ("fenced claims", changed(changes=[*CHANGES[:3], moved(3.5, "sending", "sending", owner_after=OTHER)])),
        ("intents first", changed(calls=[WRITTEN, attrs.evolve(SOUND.calls[1], at=3.5), SOUND.calls[2]])),
        ("intents first", changed(calls=[*SOUND.calls, attrs.evolve(SOUND.calls[1], at=7.0)])),
        ("nothing paid twice", changed(calls=[WRITTEN, *SOUND.calls])),
        ("nothing asked for stored texts", changed(calls=[*SOUND.calls, attrs.evolve(WRITTEN, at=2.5, fault="reset")])),
    ],
)  # fmt: skip
def test_what_breaks_a_rule(rule: str, evidence: Evidence) -> None:
    """What may not be is found by the rule that forbids it."""
    assert rule in broken(evidence)


LOST = moved(
    1.8, "generating", "pending", actor="worker-1-1", owner_after=None, text_before=None, text_after=None
)  # fmt: skip
CLAIMED_AGAIN = moved(
    1.9, "pending", "generating", actor="worker-1-1", owner_before=None, owner_after=OTHER, fence=2, text_before=None,
    text_after=None,
)  # fmt: skip
LATER = [attrs.evolve(change, fence=2, owner_before=OTHER) for change in CHANGES[1:]]
AGAIN = [attrs.evolve(WRITTEN, at=1.95)]


@pytest.mark.parametrize(
    "excused",
    [
        lambda: {"changes": [CLAIMED, LOST, CLAIMED_AGAIN, *LATER]},
        lambda: {"changes": [CLAIMED, attrs.evolve(LOST, actor="worker-0-1"), CLAIMED_AGAIN, *LATER],
                 "drained": frozenset({"worker-0-1"})},
        lambda: {"suspensions": {"worker-0-1": [1.6]}},
    ],
    ids=["its claim was taken", "given back in a drain", "suspended"],
)  # fmt: skip
def test_what_is_paid_for_again_is_explained(excused: Callable[[], dict[str, Any]]) -> None:
    """A second text is no violation where the worker that asked for the first was interrupted before it was stored."""
    evidence = changed(calls=[WRITTEN, *AGAIN, *SOUND.calls[1:]], **excused())

    assert "nothing paid twice" not in broken(evidence)


def test_a_release_without_a_reason_explains_nothing() -> None:
    """A worker that gives a message back although nothing has happened to it has paid for nothing."""
    changes = [CLAIMED, attrs.evolve(LOST, actor="worker-0-1"), CLAIMED_AGAIN, *LATER]
    evidence = changed(calls=[WRITTEN, *AGAIN, *SOUND.calls[1:]], changes=changes)

    assert "nothing paid twice" in broken(evidence)


def test_the_same_key_twice_is_one_delivery_of_an_idempotent_gateway() -> None:
    """A part that is planned again, or sent again, is no violation where the gateway takes the same key once."""
    evidence = attrs.evolve(with_part(2, status=PartStatus.PLANNED), idempotent=True)
    late = changed(calls=[*SOUND.calls, attrs.evolve(SOUND.calls[1], at=7.0)], idempotent=True)

    assert "parts agree with deliveries" not in broken(evidence)
    assert "intents first" not in broken(late)


def test_a_story_tells_everything_of_a_message_in_order() -> None:
    """The changes of the message and its parts and the calls for it are told as they followed each other."""
    evidence = changed(suspensions={"worker-0-1": [4.2], "worker-1-1": [4.3]})
    heading, *lines = stories(evidence, [f"something is wrong with message {MESSAGE}"]).splitlines()

    assert heading == f"message {MESSAGE} (Lead 1)"
    assert [line.split(" ", 1)[1] for line in lines] == [
        "worker-0-1: pending -> generating, nobody -> worker-0-1, fence 1",
        "generate  met None, answered",
        "worker-0-1: generating -> generating with text, worker-0-1 -> worker-0-1, fence 1",
        "worker-0-1: generating -> sending, worker-0-1 -> worker-0-1, fence 1",
        "worker-0-1: part 1 None -> planned",
        "worker-0-1: part 2 None -> planned",
        "worker-0-1: part 1 planned -> sending",
        "worker-0-1 suspended",
        f"send {FIRST} met None, answered",
        "worker-0-1: part 1 sending -> sent",
        "worker-0-1: part 2 planned -> sending",
        f"send {SECOND} met None, answered",
        "worker-0-1: part 2 sending -> sent",
        "worker-0-1: sending -> sent, worker-0-1 -> nobody, fence 1",
    ]
