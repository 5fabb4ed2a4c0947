"""The cool-down of a model: one rate limit stops all messages in flight, not only the one that met it."""

from typing import Final

import trio

from trioqueue.domain.backoff import LONGEST_WAIT

NO_WAIT: Final = 0.0


class Cooldowns:
    """Until when each model is left alone, by trio's clock."""

    def __init__(self) -> None:
        self._ends: dict[str, float] = {}

    def begin(self, model: str, seconds: float) -> None:
        """Leave the model alone for `seconds`; a cool-down that ends later stays."""
        self._ends[model] = max(self._ends.get(model, 0.0), trio.current_time() + seconds)

    def remaining(self, model: str) -> float:
        """Seconds until the model may be called, 0 when it may be now."""
        return max(self._ends.get(model, 0.0) - trio.current_time(), NO_WAIT)

    async def wait(self, model: str) -> float:
        """Wait a cool-down out that fits into what the caller has left.

        Returns:
            0 when the model may be called; else the seconds that are left of a cool-down that does not fit, or that
            is longer than is waited for inside a call.
        """
        while (remaining := self.remaining(model)) > 0:
            left = trio.current_effective_deadline() - trio.current_time()
            if remaining >= left or remaining > LONGEST_WAIT:
                return remaining
            await trio.sleep(remaining)
        return NO_WAIT
