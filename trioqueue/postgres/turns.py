"""A lock for connections, in the places where psycopg has asyncio's."""

import trio


class Turns:
    """Lets one task at a time use the connection, in the order in which they asked.

    Taking a free turn is no checkpoint, unlike with trio.Lock: psycopg takes one on its way to clean up, in scopes that
    are cancelled already. And any task may end a turn: a stream can be closed by another one than began it.
    """

    def __init__(self) -> None:
        self._holder: trio.lowlevel.Task | None = None
        self._waiting = trio.lowlevel.ParkingLot()

    async def __aenter__(self) -> None:
        task = trio.lowlevel.current_task()
        if self._holder is task:
            raise RuntimeError("the connection is in use by this very task: end its stream() or copy() first")
        if self._holder is None:
            self._holder = task
        else:
            await self._waiting.park()

    async def __aexit__(self, *exc_info: object) -> None:
        woken = self._waiting.unpark()
        self._holder = woken[0] if woken else None
