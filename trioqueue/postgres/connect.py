"""How trioqueue connects: the connection string, completed with what a long-lived client needs, and session limits.

What the operator wrote in the string always wins. A malformed string is never quoted, not even in part: libpq's
messages about one quote what it took for a host, a port or a key, and that may be a piece of a password that was not
percent-encoded.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo, timeout_from_conninfo

from trioqueue.postgres.connection import TrioConnection
from trioqueue.postgres.errors import DatabaseUnavailable, InvalidConninfo, translated

DEFAULTS: Final[Mapping[str, str | int]] = MappingProxyType(
    {
        # Per address tried, in seconds; libpq's own default is to wait for ever.
        "connect_timeout": 10,
        # A peer that vanished is noticed after 10 + 3 * 5 s when nothing is under way, and 20 s after something
        # was sent that it did not acknowledge. The kernel's own defaults are two hours and fifteen minutes.
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 20_000,
        # libpq looks for Kerberos credentials before it connects, and blocks the thread meanwhile.
        "gssencmode": "disable",
    }
)

_ADVICE: Final = (
    "expected postgresql://USER:PASSWORD@HOST:PORT/DATABASE, where @ : / % and blanks within the user, the password or "
    "the database are percent-encoded"
)


_SET_LIMITS: Final = (
    "select set_config(name, value, false) from unnest(%s::text[], %s::text[]) as setting (name, value)"
)


def complete_conninfo(conninfo: str, application_name: str) -> str:
    """Add the defaults to a connection string.

    Args:
        conninfo: A URL or key=value pairs, as libpq takes them.
        application_name: What pg_stat_activity shows, unless the connection string or PGAPPNAME says otherwise.

    Raises:
        InvalidConninfo: It cannot be parsed, or a part of it is not plausible.
    """
    try:
        given = conninfo_to_dict(conninfo)
    except (psycopg.Error, UnicodeError):
        raise InvalidConninfo(f"the connection string of the database is malformed: {_ADVICE}") from None
    # A host that starts with @ is an abstract Unix socket.
    if "@" in str(given.get("host", ""))[1:] or "@" in str(given.get("dbname", "")):
        raise InvalidConninfo(f"the connection string of the database has an @ in its host or database: {_ADVICE}")
    ports = str(given.get("port", "")).split(",")
    if not all(port.isdecimal() or not port for port in ports):
        raise InvalidConninfo(f"the connection string of the database has a port that is not a number: {_ADVICE}")
    try:
        timeout_from_conninfo(given)
    except psycopg.ProgrammingError:
        raise InvalidConninfo(
            "the connection string of the database has a connect_timeout that is not a number of seconds"
        ) from None
    return make_conninfo("", **{"fallback_application_name": application_name, **DEFAULTS, **given})


async def connect(
    conninfo: str,
    *,
    application_name: str = "trioqueue",
    statement_timeout: float | None = 30.0,
    idle_in_transaction_timeout: float | None = 60.0,
    prepare_threshold: int | None = 5,
) -> TrioConnection:
    """Open a connection in autocommit mode.

    The limits are set by a statement after connecting, because PgBouncer refuses them as start-up options. Behind
    PgBouncer in transaction mode such a setting stays with one of its server connections, whoever gets that next: pass
    None there, set the limits with ALTER ROLE, and rely on the deadlines of trio's scopes, which cancel through it.

    Args:
        conninfo: A URL or key=value pairs, as libpq takes them.
        application_name: What pg_stat_activity shows, unless the connection string says otherwise.
        statement_timeout: Seconds after which the server cancels a statement; None leaves the server's setting.
        idle_in_transaction_timeout: Seconds after which the server closes a connection whose transaction sits idle;
            None leaves the server's setting.
        prepare_threshold: How often a statement is executed before it is prepared; None never prepares, which poolers
            without support for prepared statements need.

    Raises:
        InvalidConninfo: The connection string is malformed.
        DatabaseUnavailable: No server answered in time, or it refused the connection.
    """
    complete = complete_conninfo(conninfo, application_name)
    try:
        connection = await TrioConnection.connect(complete, autocommit=True, prepare_threshold=prepare_threshold)
    except psycopg.Error as error:
        raise DatabaseUnavailable(f"cannot connect to the database: {' '.join(str(error).split())}") from error
    limits = {
        "statement_timeout": statement_timeout,
        "idle_in_transaction_session_timeout": idle_in_transaction_timeout,
    }
    values = {name: f"{seconds * 1000:.0f}" for name, seconds in limits.items() if seconds is not None}
    try:
        if values:
            async with translated():
                await connection.execute(_SET_LIMITS, [list(values), list(values.values())], prepare=False)
    except BaseException:
        await connection.close()
        raise
    return connection
