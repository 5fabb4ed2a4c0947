"""Which request meets which fault: by script, by seeded chance, or none.

Both are asked in the order in which requests arrive at an endpoint: the same requests in the same order, with the same
script and seed, meet the same faults.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Generic, TypeAlias, TypeVar

import attrs

from trioqueue.simulator.split_shapes import SplitShape

FaultT = TypeVar("FaultT", bound=StrEnum)


class RequestKind(StrEnum):
    """What a request asks for."""

    GENERATE = "generate"
    SPLIT = "split"
    SEND = "send"


@attrs.frozen
class Seen:
    """A request as a script sees it.

    Attributes:
        kind: What it asks for.
        number: Which request of its kind it is, from 1.
        attempt: Which request of its kind with this subject, or this idempotency key, it is, from 1: a client that
            tries again makes a second.
        subject: What it is about: the lead's JSON (generate), the text (split, send).
        conversation_id: Where it is sent to; empty for the model.
    """

    kind: RequestKind
    number: int
    attempt: int
    subject: str
    conversation_id: str = ""


def _can_meet(kind: RequestKind, fault: StrEnum) -> bool:
    return kind is RequestKind.SPLIT or not isinstance(fault, SplitShape)


def _as_range(nth: int | range | None) -> range | None:
    return range(nth, nth + 1) if isinstance(nth, int) else nth


@attrs.frozen
class Rule(Generic[FaultT]):
    """A fault and the requests that meet it: those for which everything given here holds.

    Attributes:
        fault: What they meet.
        kind: What they ask for; None for anything. A `SplitShape` is met by split requests alone.
        about: What their subject contains, or the conversation that they are sent to.
        nth: Which of the requests that match all the rest, from 1: one number or a range; None for all of them.
        retry_after: Seconds to say in Retry-After, where the fault has one; None for `WorldSettings.retry_after`.
    """

    fault: FaultT
    kind: RequestKind | None = None
    about: str | None = None
    nth: range | None = attrs.field(default=None, converter=_as_range)
    retry_after: float | None = None

    def matches(self, seen: Seen) -> bool:
        """Whether all but `nth` holds for a request."""
        return (
            (self.kind is None or self.kind is seen.kind)
            and (self.about is None or self.about in seen.subject or self.about == seen.conversation_id)
            and _can_meet(seen.kind, self.fault)
        )


Script: TypeAlias = Callable[[Seen], FaultT | None] | Sequence[Rule[FaultT]]
"""Says what a request meets: None, or the first rule that holds decides. A `SplitShape` is met by splits alone."""

Chances: TypeAlias = Mapping[FaultT, float]
"""How likely each fault is, 0 to 1; together they are at most 1."""


@attrs.frozen
class Chosen(Generic[FaultT]):
    """What a request meets. `retry_after` is in seconds."""

    fault: FaultT
    retry_after: float


class FaultChooser(Generic[FaultT]):
    """Chooses what each request of one endpoint meets: what the script says, else what chance says."""

    def __init__(
        self, script: Script[FaultT], chances: Chances[FaultT], *, retry_after: float, chance: random.Random
    ) -> None:
        """Choose by `script` and `chances`.

        Args:
            script: Asked first.
            chances: Asked when the script has nothing to say.
            retry_after: Seconds, for rules that do not say and for chance.
            chance: Drawn from once a request, as long as `chances` has something.
        """
        self._script = script
        self._chances = chances
        self._retry_after = retry_after
        self._chance = chance
        self._matched: dict[int, int] = {}

    def choose(self, seen: Seen) -> Chosen[FaultT] | None:
        """What the next request meets; None when it is answered well."""
        return self._scripted(seen) or (self._drawn(seen.kind) if self._chances else None)

    def _scripted(self, seen: Seen) -> Chosen[FaultT] | None:
        if callable(self._script):
            fault = self._script(seen)
            return Chosen(fault, self._retry_after) if fault is not None and _can_meet(seen.kind, fault) else None
        decided: Chosen[FaultT] | None = None
        for index, rule in enumerate(self._script):
            if rule.matches(seen):
                nth = self._matched[index] = self._matched.get(index, 0) + 1
                if decided is None and (rule.nth is None or nth in rule.nth):
                    wait = self._retry_after if rule.retry_after is None else rule.retry_after
                    decided = Chosen(rule.fault, wait)
        return decided

    def _drawn(self, kind: RequestKind) -> Chosen[FaultT] | None:
        point = self._chance.random()
        for fault, likelihood in self._chances.items():
            if not _can_meet(kind, fault):
                continue
            if point < likelihood:
                return Chosen(fault, self._retry_after)
            point -= likelihood
        return None
