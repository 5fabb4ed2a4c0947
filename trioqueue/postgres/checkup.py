"""Looks at a database server for `trioqueue doctor`, without writing to a table or migrating anything."""

from collections.abc import Sequence
from datetime import UTC, datetime
from ipaddress import ip_address
from time import perf_counter
from typing import Any, Final

import psycopg.errors

from trioqueue.domain.checkup.server import ServerFacts
from trioqueue.domain.checkup.work import MOST_COUNTED, WorkFacts
from trioqueue.postgres.connection import TrioConnection
from trioqueue.postgres.statements import statement

_MEASUREMENTS: Final = 5
"""How often a round trip and a commit are timed; the shortest counts, since whatever delays one is no latency."""


async def look_at_server(connection: TrioConnection, other: TrioConnection, *, embedded: bool) -> ServerFacts:
    """What two connections to one address show of the server; raises psycopg's errors.

    Args:
        connection: A connection in autocommit mode.
        other: Another one; a pooler that lends one server connection to both shows itself so.
        embedded: Whether the server is the one of the data directory.
    """
    [row] = await _fetch(connection, "doctor_server")
    round_trip, ahead = await _clock(connection)
    version, number, encoding, read_only, off, connections, most, role, superuser = row
    pids = [await _server_pid(one) for one in (connection, other)]
    return ServerFacts(
        where=_where(connection),
        embedded=embedded,
        local=_is_local(connection),
        encrypted=bool(connection.pgconn.ssl_in_use),
        # PgBouncer and its like give clients a key for cancelling that is their own, and with it a pid.
        pooled=pids[0] != connection.pgconn.backend_pid or pids[1] != other.pgconn.backend_pid,
        shared=pids[0] == pids[1],
        version=version,
        version_number=number,
        encoding=encoding,
        read_only=read_only,
        round_trip=round_trip,
        commit=None if read_only else await _commit(connection),
        clock_ahead=ahead,
        off=tuple(off),
        connections=connections,
        most_connections=most,
        role=role,
        superuser=superuser,
    )


async def look_at_rights(connection: TrioConnection, schema: str) -> tuple[str, ...]:
    """What the role lacks of what a worker does; raises psycopg's errors."""
    return tuple(row[0] for row in await _fetch(connection, "doctor_rights", schema, {"schema": schema}))


async def look_at_work(connection: TrioConnection, schema: str) -> WorkFacts:
    """What there is to do in a schema that is up to date; raises psycopg's errors."""
    [row] = await _fetch(connection, "doctor_work", schema, {"most": MOST_COUNTED})
    alive, running, due, paused, waiting, reason, unconfirmed, models = row
    return WorkFacts(alive, running, bool(due), paused, waiting, reason, unconfirmed, tuple(models))


async def _fetch(
    connection: TrioConnection, name: str, schema: str = "", values: dict[str, Any] | None = None
) -> Sequence[tuple[Any, ...]]:
    return await (await connection.execute(statement(name, schema), values, prepare=False)).fetchall()


async def _server_pid(connection: TrioConnection) -> int:
    [[pid]] = await (await connection.execute("select pg_backend_pid()", prepare=False)).fetchall()
    return int(pid)


async def _clock(connection: TrioConnection) -> tuple[float, float]:
    """The shortest round trip, and how far the database's clock was ahead in the middle of it, both in seconds."""
    found = []
    for _ in range(_MEASUREMENTS):
        before, began = datetime.now(UTC), perf_counter()
        [[there]] = await _fetch(connection, "doctor_clock")
        seconds = perf_counter() - began
        found.append((seconds, (there - before).total_seconds() - seconds / 2))
    return min(found)


async def _commit(connection: TrioConnection) -> float | None:
    """The shortest commit in seconds; None where the role may not try one."""
    found = []
    try:
        for _ in range(_MEASUREMENTS):
            began = perf_counter()
            await _fetch(connection, "doctor_commit")
            found.append(perf_counter() - began)
    except psycopg.errors.InsufficientPrivilege:
        return None
    return min(found)


def _where(connection: TrioConnection) -> str:
    info = connection.info
    return info.host if info.host.startswith("/") else f"{info.host or 'its socket'} port {info.port}"


def _is_local(connection: TrioConnection) -> bool:
    """Whether the other end is a socket of this machine, or a loopback address."""
    host, address = connection.info.host, connection.info.hostaddr
    if not address or host.startswith(("/", "@")):
        return True
    return ip_address(address.partition("%")[0]).is_loopback
