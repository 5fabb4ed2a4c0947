"""How long an endpoint takes to answer."""

import random

import attrs
import trio

from trioqueue.simulator.settings import Latency


class Gate:
    """Holds answers back until they are let go."""

    def __init__(self) -> None:
        self._release = trio.Event()

    def next_release(self) -> trio.Event:
        """Set by the next `release`."""
        return self._release

    def release(self) -> None:
        """Let all answers go whose calls have arrived by now; later ones are held again."""
        self._release.set()
        self._release = trio.Event()


@attrs.frozen
class Delay:
    """How long one answer takes: so many seconds, and then as long as it is held."""

    seconds: float
    release: trio.Event | None

    async def wait(self) -> None:
        """Wait that long; without delay there is no checkpoint."""
        if self.seconds > 0:
            await trio.sleep(self.seconds)
        if self.release is not None:
            await self.release.wait()


class Pace:
    """The delays of one endpoint."""

    def __init__(self, latency: Latency, slow: float, gate: Gate, chance: random.Random) -> None:
        """Draw from `latency`, add `slow` seconds where it is asked for, and hold answers at `gate`."""
        self._latency = latency
        self._slow = slow
        self._gate = gate
        self._chance = chance

    def delay(self, *, slow: bool, held: bool) -> Delay:
        """The delay of a call that arrives now."""
        seconds = self._latency.draw(self._chance) + (self._slow if slow else 0.0)
        return Delay(seconds, self._gate.next_release() if held else None)
