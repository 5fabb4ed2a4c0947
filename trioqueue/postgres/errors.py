"""What may go wrong with the database, in the words of those who have to react.

Callers need to know one thing of an error: whether the same may be tried again later. psycopg's classes follow
SQLSTATE, which says what happened and not what to do, so the reaction is decided here, once, by class and SQLSTATE.
libpq gives no SQLSTATE for a failed connection attempt or a lost connection: an OperationalError without one is either.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Final

import psycopg
import psycopg.errors

from trioqueue.domain.errors import TrioqueueError
from trioqueue.ports import StoreUnavailable, StoreUnfit


class DatabaseError(TrioqueueError):
    """The database refused a statement; the same statement with the same rows will be refused again."""


class DatabaseUnavailable(DatabaseError, StoreUnavailable):
    """The server cannot be reached, or the connection was lost: try again later, on a new connection."""


class DatabaseBusy(DatabaseError, StoreUnavailable):
    """The server gave the statement up for the sake of others, or of its time limit: the same may succeed later."""


class DatabaseUnfit(DatabaseError, StoreUnfit):
    """The server refuses the statement whatever the rows: tables or rights are not what they must be."""


class InvalidConninfo(DatabaseError):
    """The connection string of the database cannot be used."""


class PoolClosed(DatabaseError):
    """A connection was asked of a pool that has been closed."""


_AWAY_CLASSES: Final = (
    "08",  # connection exceptions; also what PgBouncer reports when it cannot reach the server
    "53",  # no room on the disk, no memory, too many connections: until someone makes room
    "57P",  # shutdown, crash, start-up, database dropped, idle session ended
    "58",  # the server's own system fails: input and output, files
)
_AWAY: Final = frozenset(
    {
        "25006",  # read-only: after a fail-over the connection leads to what is a standby now
        "25P03",  # idle in transaction for too long: the server closed the connection
        "25P04",  # transaction took too long: the server closed the connection
    }
)
_BUSY_CLASSES: Final = ("40",)  # rolled back: serialization failure, deadlock
_BUSY: Final = frozenset(
    {
        "55P03",  # lock not available within lock_timeout
        "57014",  # cancelled, which without a cancelled scope means statement_timeout
    }
)

_UNFIT_CLASSES: Final = (
    "0A",  # not supported
    "28",  # the role may not connect so
    "3D",  # no such database
    "3F",  # no such schema
    "42",  # no such table, column or function, no privilege; also a file system that has become read-only
    "55",  # the table is not in a state for it, such as one that is published without a replica identity
)

_ADVICE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "25006": "the server is read-only; if the primary has moved, lead the database's address to it",
        "42501": "grant the role what it needs with `trioqueue migrate --worker-role`, and see `trioqueue doctor`",
        "42703": "run `trioqueue migrate`",
        "42883": "run `trioqueue migrate`",
        "42P01": "run `trioqueue migrate`",
        "53100": "make room on the disk of the server",
        "53300": "raise max_connections of the server, or lower pool_size",
    }
)
"""What a person can do, by SQLSTATE."""


def is_away(error: psycopg.Error) -> bool:
    """Whether an error means that the connection is lost or the server is away, rather than the statement wrong."""
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError) and not isinstance(error, psycopg.errors.PipelineAborted)
    return error.sqlstate.startswith(_AWAY_CLASSES) or error.sqlstate in _AWAY


def database_error(error: psycopg.Error) -> DatabaseError:
    """The error to raise for one of psycopg's.

    Its text has the server's first line and SQLSTATE only: the detail that follows quotes rows.
    """
    state = error.sqlstate or ""
    text = f"{error.diag.message_primary} (SQLSTATE {state})" if state else str(error)
    if advice := _ADVICE.get(state):
        text = f"{text}: {advice}"
    if is_away(error):
        return DatabaseUnavailable(f"the database is unavailable: {text}")
    if state.startswith(_BUSY_CLASSES) or state in _BUSY:
        return DatabaseBusy(f"the database gave a statement up: {text}")
    if state.startswith(_UNFIT_CLASSES):
        return DatabaseUnfit(f"the database refused a statement: {text}")
    return DatabaseError(f"the database refused a statement: {text}")


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Turn psycopg's errors that leave the block into `DatabaseError`s.

    Raises:
        DatabaseUnavailable: The server is away or the connection was lost.
        DatabaseBusy: The statement was given up; it may succeed later.
        DatabaseUnfit: The statement was refused, and would be with other rows.
        DatabaseError: The statement was refused.
    """
    try:
        yield
    except psycopg.Error as error:
        raise database_error(error) from error
