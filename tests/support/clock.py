"""Virtual time for tests without sockets: hours of waiting pass in milliseconds, always the same way."""

from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import Final, ParamSpec

import trio
from trio.testing import MockClock

P = ParamSpec("P")

PATIENCE: Final = 7 * 86_400.0
"""Virtual seconds after which a test that hangs is ended; when everyone waits for ever, they pass at once."""


def virtual_time(test: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    """Run an async test under trio with a clock that jumps to the next deadline whenever everyone waits.

    Every call gets a clock of its own that starts at 0, so it goes with hypothesis: `@given(...)` stands above it.
    Async fixtures do not go with it.

    Raises:
        trio.TooSlowError: The test hangs.
    """

    async def bounded(*args: P.args, **kwargs: P.kwargs) -> None:
        with trio.fail_after(PATIENCE):
            await test(*args, **kwargs)

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        trio.run(partial(bounded, *args, **kwargs), clock=MockClock(autojump_threshold=0))

    return run


async def killed(after: float, victim: Callable[[], Awaitable[object]]) -> None:
    """Run something until it is ended after virtual seconds that it does not know of."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(victim)
        await passes(after)
        nursery.cancel_scope.cancel()


async def passes(seconds: float) -> None:
    """Let virtual seconds pass; 0 is a checkpoint."""
    await trio.sleep_until(trio.current_time() + seconds)
