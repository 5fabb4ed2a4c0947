"""Lease, fence and ledger as a small model, of which every state that can be reached is looked at.

Two workers, one message of two parts, a gateway that is not idempotent. Workers die, sleep through their lease and wake
up as zombies at any step, answers of the gateway are lost, and the rescue comes at any moment. In every order of these
no part is delivered twice and none is lost. Without the fence, the intent or the rescue's doubt there is an order in
which one is.
"""

from collections.abc import Iterator
from enum import Enum, auto
from typing import Final, TypeAlias, TypeVar

import attrs
import pytest

T = TypeVar("T")

PARTS: Final = 2
MOST_CLAIMS: Final = 3  # bounds the fence, and so the states; a third claim meets two zombies

PENDING, CLAIMED, SENT, UNCONFIRMED = "pending", "claimed", "sent", "unconfirmed"
PLANNED, SENDING, UNKNOWN = "planned", "sending", "unknown"


class Rule(Enum):
    """What the protocol rests on; the test takes each away in turn."""

    FENCE = auto()  # a write names the fence of its claim, and changes nothing when another claim is there
    INTENT = auto()  # a part is `sending` on disk before its request starts
    DOUBT = auto()  # the rescue makes parts that are `sending` unknown, never planned again


@attrs.frozen
class Task:
    """What one worker is doing with the message: under which fence, at which part, and what it does next."""

    fence: int
    part: int
    step: str
    outcome: str = ""


@attrs.frozen
class State:
    """The row of the message, its parts, the leases, what each worker does, and what was delivered."""

    status: str = PENDING
    owner: int | None = None
    fence: int = 0
    parts: tuple[str, ...] = (PLANNED,) * PARTS
    leases: tuple[bool, ...] = (True, True)
    tasks: tuple[Task | None, ...] = (None, None)
    delivered: tuple[int, ...] = (0,) * PARTS


Rules: TypeAlias = frozenset[Rule]


def put(values: tuple[T, ...], place: int, value: T) -> tuple[T, ...]:
    """The tuple with one value replaced."""
    return (*values[:place], value, *values[place + 1 :])


def successors(state: State, rules: Rules) -> Iterator[State]:
    """Every state that one step of anybody leads to."""
    for worker in range(2):
        yield attrs.evolve(state, leases=put(state.leases, worker, not state.leases[worker]))  # runs out, or is renewed
        task = state.tasks[worker]
        if task is not None:
            yield attrs.evolve(state, tasks=put(state.tasks, worker, None))  # dies
            yield from worked(state, worker, task, rules)
        elif state.status == PENDING and state.leases[worker] and state.fence < MOST_CLAIMS:
            fence = state.fence + 1
            yield go_on(attrs.evolve(state, status=CLAIMED, owner=worker, fence=fence), worker, fence, rules)
    if state.status == CLAIMED and state.owner is not None and not state.leases[state.owner]:
        yield rescued(state, rules)


def go_on(state: State, worker: int, fence: int, rules: Rules) -> State:
    """The worker turns to the first part that has not left, or to the end."""
    part = next((n for n, status in enumerate(state.parts) if status == PLANNED), None)
    step = "finish" if part is None else "intend" if Rule.INTENT in rules else "send"
    return attrs.evolve(state, tasks=put(state.tasks, worker, Task(fence, part or 0, step)))


def worked(state: State, worker: int, task: Task, rules: Rules) -> Iterator[State]:
    """The worker's next step."""
    if task.step == "send":
        arrived = put(state.delivered, task.part, state.delivered[task.part] + 1)
        for outcome, delivered in ((SENT, arrived), (UNKNOWN, arrived), (UNKNOWN, state.delivered)):
            answered = attrs.evolve(task, step="settle", outcome=outcome)
            yield attrs.evolve(state, tasks=put(state.tasks, worker, answered), delivered=delivered)
        return
    holds = (state.status, state.owner, state.fence) == (CLAIMED, worker, task.fence)
    if not holds and Rule.FENCE in rules:
        yield attrs.evolve(state, tasks=put(state.tasks, worker, None))  # is told that its claim is lost
    elif task.step == "intend":
        told = attrs.evolve(state, parts=put(state.parts, task.part, SENDING))
        yield attrs.evolve(told, tasks=put(told.tasks, worker, attrs.evolve(task, step="send")))
    elif task.step == "finish":
        yield attrs.evolve(state, status=SENT, owner=None, tasks=put(state.tasks, worker, None))
    else:
        settled = attrs.evolve(state, parts=put(state.parts, task.part, task.outcome))
        if task.outcome == SENT:
            yield go_on(settled, worker, task.fence, rules)
        else:
            yield attrs.evolve(settled, status=UNCONFIRMED, owner=None, tasks=put(settled.tasks, worker, None))


def rescued(state: State, rules: Rules) -> State:
    """The message without the worker whose lease has run out."""
    doubt = UNKNOWN if Rule.DOUBT in rules else PLANNED
    parts = tuple(doubt if status == SENDING else status for status in state.parts)
    return attrs.evolve(state, status=UNCONFIRMED if UNKNOWN in parts else PENDING, owner=None, parts=parts)


def is_wrong(state: State) -> bool:
    """Whether a lead got a part twice, or a part was counted that never left, or a sent message lacks one."""
    invented = any(part == SENT and not count for part, count in zip(state.parts, state.delivered, strict=True))
    return max(state.delivered) > 1 or invented or (state.status == SENT and set(state.parts) != {SENT})


def explored(rules: Rules) -> tuple[set[State], State | None]:
    """All states that can be reached, or those until the first wrong one, and that one."""
    seen, found = {State()}, [State()]
    while found:
        for state in successors(found.pop(), rules):
            if is_wrong(state):
                return seen, state
            if state not in seen:
                seen.add(state)
                found.append(state)
    return seen, None


def test_no_order_of_events_delivers_twice_or_loses() -> None:
    """Of all states that can be reached none is wrong, and the message is seen in each of its own."""
    states, wrong = explored(frozenset(Rule))

    assert wrong is None
    assert len(states) > 1000
    assert {state.status for state in states} == {PENDING, CLAIMED, SENT, UNCONFIRMED}


@pytest.mark.parametrize("rule", Rule)
def test_every_rule_is_needed(rule: Rule) -> None:
    """Without the rule there is an order of events in which a lead gets a part twice, or a part is lost."""
    _, wrong = explored(frozenset(Rule) - {rule})

    assert wrong is not None
