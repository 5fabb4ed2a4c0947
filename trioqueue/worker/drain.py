"""Stopping: what is being written is given up at once, what is being sent comes to an end.

A deadline or a signal begins the drain. It cancels the scopes of messages that are still being written; those that
are being sent look at `begun` before each part. Nothing here ever cuts a send: only the end of the whole worker does.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import trio


class Drain:
    """Whether the worker is stopping, and the scopes that stop with it."""

    def __init__(self) -> None:
        self._begun: Final = trio.Event()
        self._scopes: set[trio.CancelScope] = set()

    @property
    def begun(self) -> bool:
        """Whether no further message is to be claimed and no further part to be sent."""
        return self._begun.is_set()

    async def wait(self) -> None:
        """Wait until the drain begins."""
        await self._begun.wait()

    def begin(self) -> None:
        """Stop claiming, and give up what is being written. May be called again."""
        self._begun.set()
        for scope in self._scopes:
            scope.cancel()

    @contextmanager
    def bounded(self, seconds: float) -> Iterator[trio.CancelScope]:
        """A scope that ends after `seconds`, or when the drain begins."""
        with trio.move_on_after(seconds) as scope:
            if self.begun:
                scope.cancel()
            self._scopes.add(scope)
            try:
                yield scope
            finally:
                self._scopes.discard(scope)
