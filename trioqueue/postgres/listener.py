"""Hears NOTIFY, on a connection of its own.

A notification is a hint that wakes a poller early; polling is the truth. So the one who is woken learns only that there
may be something, and every doubt is a wake-up: whenever a connection is made, something may have been missed before.
LISTEN can be lost in silence, with a half-open connection or a pooler that changed the session, so it is probed.
"""

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Never

import structlog
import trio
from psycopg import Notify
from psycopg.sql import SQL, Identifier

from trioqueue.postgres.connection import TrioConnection
from trioqueue.postgres.errors import DatabaseError, InvalidConninfo, translated

PROBE_INTERVAL: Final = 30.0
"""Seconds between two questions to the server whether it still listens."""

PROBE_TIMEOUT: Final = 10.0
"""Seconds that the server may take to answer one."""

LONGEST_PAUSE: Final = 30.0
"""Most seconds between two attempts to connect."""

_PROBE: Final = "select %s::text[] <@ array(select pg_listening_channels())"

_RANDOM: Final = random.SystemRandom()

log = structlog.get_logger(__name__)


def wakeup_channel(schema: str) -> str:
    """The channel on which idle workers of a schema are told that something is due."""
    return f"trioqueue_{schema}"


async def listen(
    connect: Callable[[], Awaitable[TrioConnection]],
    channels: Sequence[str],
    wake: Callable[[], object],
    *,
    probe_interval: float = PROBE_INTERVAL,
    probe_timeout: float = PROBE_TIMEOUT,
) -> Never:
    """Listen until cancelled, and connect again whenever the connection is lost or the server does not listen.

    Args:
        connect: Opens a connection.
        channels: The names of the channels, exactly as in NOTIFY; quoted here.
        wake: Called for each notification and each time a connection has begun to listen. It must not block.
        probe_interval: Seconds between two probes.
        probe_timeout: Seconds that a probe may take.

    Raises:
        InvalidConninfo: The connection string is malformed; no later attempt would go better.
    """

    def heard(_notification: Notify) -> None:
        wake()

    failures = 0
    while True:
        try:
            async with translated(), await connect() as connection:
                connection.add_notify_handler(heard)
                for channel in channels:
                    await connection.execute(SQL("listen {}").format(Identifier(channel)))
                wake()
                while True:
                    with trio.move_on_after(probe_interval):
                        while True:
                            await connection.wait_notified()
                    await _probe(connection, channels, probe_timeout)
                    failures = 0
        except InvalidConninfo:
            raise
        except DatabaseError as error:
            pause = reconnect_pause(failures, _RANDOM.random())
            failures += 1
            log.warning("listening again", channels=channels, error=str(error), pause=round(pause, 1))
        await trio.sleep(pause)


async def _probe(connection: TrioConnection, channels: Sequence[str], timeout: float) -> None:
    # A connection that answers neither this nor its cancellation is closed, and the next wait says so.
    with trio.move_on_after(timeout):
        cursor = await connection.execute(_PROBE, [list(channels)])
        if await cursor.fetchone() != (True,):
            told = ", ".join(channels)
            raise DatabaseError(f"the session no longer listens to {told}: is there a pooler in between?")


def reconnect_pause(failures: int, jitter: float) -> float:
    """How long to wait before connecting again, in seconds: not at all, then 1, 2, 4 ... to `LONGEST_PAUSE`.

    Args:
        failures: Connections lost or refused since the last one that stood a probe.
        jitter: From 0 to 1; takes up to half of the pause away, so that the clients of a server that restarts do not
            come back all at once.
    """
    if failures == 0:
        return 0.0
    return min(LONGEST_PAUSE, 2.0 ** min(failures - 1, 10)) * (1 - jitter / 2)
