"""Waits for sockets the way psycopg's generators ask for it: yield what to wait for, be sent what is ready."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

import psycopg
import trio
from psycopg.abc import RV, PQGenConn
from psycopg.waiting import Ready, Wait


async def wait_until_ready(fd: int, wait: int) -> int:
    """Wait for what a generator asked for, and return what is ready.

    Args:
        fd: The socket's file descriptor.
        wait: `Wait.R`, `Wait.W` or `Wait.RW`; psycopg's C generators yield them as plain integers.

    Raises:
        psycopg.OperationalError: The socket was closed meanwhile.
    """
    try:
        if wait == Wait.R:
            await trio.lowlevel.wait_readable(fd)
            return Ready.R
        if wait == Wait.W:
            await trio.lowlevel.wait_writable(fd)
            return Ready.W
    except (OSError, trio.ClosedResourceError) as error:
        raise psycopg.OperationalError("the connection was closed while it was waited for") from error
    return await _wait_for_either(fd)


async def _wait_for_either(fd: int) -> int:
    # libpq's pipelines read while they write: otherwise both ends could wait for the other to empty its buffer.
    ready = 0

    async def watch(wait: Callable[[int], Awaitable[None]], flag: Ready) -> None:
        nonlocal ready
        # A socket that was closed counts as ready: libpq finds the error when it uses it.
        with suppress(OSError, trio.ClosedResourceError):
            await wait(fd)
        ready |= flag
        nursery.cancel_scope.cancel()

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch, trio.lowlevel.wait_readable, Ready.R)
            nursery.start_soon(watch, trio.lowlevel.wait_writable, Ready.W)
    except* trio.Cancelled:
        # As a group no `except trio.Cancelled` would see it; the next line raises it again, alone.
        pass
    await trio.lowlevel.checkpoint_if_cancelled()
    return ready


async def drive_elsewhere(gen: PQGenConn[RV]) -> RV:
    """Run a generator that says itself which file descriptor to wait for; it may change when libpq tries an address.

    Raises:
        psycopg.Error: What the generator raises, or that the socket was closed.
    """
    try:
        fd, wait = next(gen)
        while True:
            fd, wait = gen.send(await wait_until_ready(fd, wait))
    except StopIteration as end:
        result: RV = end.value
        return result
