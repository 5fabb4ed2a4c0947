"""One model's gate within this process: who has passed it, and who waits before it."""

from enum import Enum, auto

import attrs
import trio

from trioqueue.domain.completions import Completion, RateLimited, Usable
from trioqueue.domain.concurrency import halved, increased
from trioqueue.domain.gates import OPEN, Gate


class Probe(Enum):
    """How far this worker is with the probe of a shut gate."""

    NONE = auto()
    WANTED = auto()
    GRANTED = auto()
    UNDER_WAY = auto()


@attrs.define(eq=False)
class Door:
    """Lets calls through while the gate is open, as many at once as the limit allows; first come, first served.

    Attributes:
        most: The limit's upper bound.
        limit: Calls that may be under way. Moves between 1 and `most` where it is adaptive.
        adaptive: Whether rate limits lower it.
        gate: Where the gate stands.
        probe: How far the probe is.
        passed: Calls under way.
        untold: Whether the other workers are still to be told of the gate.
    """

    most: int
    adaptive: bool
    limit: float = attrs.field(init=False)
    gate: Gate = OPEN
    probe: Probe = Probe.NONE
    passed: int = 0
    untold: bool = False
    _waiting: trio.lowlevel.ParkingLot = attrs.field(init=False, factory=trio.lowlevel.ParkingLot)

    def __attrs_post_init__(self) -> None:
        self.limit = float(self.most)

    @property
    def waiting(self) -> int:
        """How many calls wait to be let through."""
        return len(self._waiting)

    @property
    def crowded(self) -> bool:
        """Whether as many calls wait as may be under way, so that another would only wait longer."""
        return self.waiting >= self.limit

    def admits(self) -> bool:
        """Whether a call may be made now, be it as the probe."""
        if self.gate.is_open:
            return self.passed < int(self.limit)
        return self.probe is Probe.GRANTED

    def enter(self) -> bool:
        """Let a call through, and return whether it is the probe."""
        self.passed += 1
        if self.gate.is_open:
            return False
        self.probe = Probe.UNDER_WAY
        return True

    async def wait(self, until: float) -> None:
        """Wait for a change, at most until a time."""
        with trio.move_on_at(until):
            await self._waiting.park()

    def leave(self, completion: Completion | None, wait: float, *, probe: bool) -> None:
        """Take a call back.

        Args:
            completion: What came of it; None when it was given up.
            wait: Seconds that a rate limit is to be waited out.
            probe: Whether it was the probe.
        """
        self.passed -= 1
        before = self.gate
        if probe:
            self.probe = Probe.NONE
        if completion is not None:
            self.gate = before.after(completion, trio.current_time(), wait, probe=probe)
            self._adapt(completion, before)
        self.untold |= probe or self.gate.shut_until != before.shut_until
        if before.is_open and self.gate.is_open:
            self.pass_on()
        else:
            self.call_all()

    def _adapt(self, completion: Completion, before: Gate) -> None:
        if not self.adaptive:
            return
        if isinstance(completion, RateLimited) and before.is_open:
            self.limit = halved(self.limit)
        elif isinstance(completion, Usable) and self.limit < self.most:
            self.limit = increased(self.limit, self.most)

    def pass_on(self) -> None:
        """Let as many look again as could pass."""
        self._waiting.unpark(count=max(int(self.limit) - self.passed, 0))

    def call_all(self) -> None:
        """Let all look again."""
        self._waiting.unpark_all()

    def grant(self) -> None:
        """Allow the probe that was wanted; it is given back when nobody is there any more to make it."""
        self.probe = Probe.GRANTED if self._waiting else Probe.NONE
        self.untold |= not self._waiting
        self._waiting.unpark()

    def set(self, gate: Gate) -> None:
        """Take over what other workers have told."""
        self.gate = gate
        if gate.is_open:
            self.probe = Probe.NONE
        self.call_all()
