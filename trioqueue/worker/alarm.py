"""A time to wake up at, which may be set anew while somebody waits for it."""

import math

import trio


class Alarm:
    """Rings once each time it is set, at the time that it was set to last."""

    def __init__(self) -> None:
        self._at = math.inf
        self._moved = trio.Event()

    def set(self, at: float) -> None:
        """Ring at a time by trio's clock, rather than at the one set before; infinity is never."""
        self._at = at
        self._moved.set()

    async def wait(self) -> None:
        """Wait until it rings; one waiter at a time."""
        while True:
            self._moved = trio.Event()
            with trio.move_on_at(self._at) as scope:
                await self._moved.wait()
            if scope.cancelled_caught:
                self._at = math.inf
                return
