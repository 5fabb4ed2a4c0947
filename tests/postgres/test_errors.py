"""psycopg's errors in the words of those who have to react."""

import psycopg
import psycopg.errors
import pytest

from trioqueue.domain.errors import TrioqueueError
from trioqueue.ports import StoreUnavailable, StoreUnfit
from trioqueue.postgres.errors import (
    DatabaseBusy,
    DatabaseError,
    DatabaseUnavailable,
    DatabaseUnfit,
    is_away,
    translated,
)

AWAY = [
    psycopg.errors.AdminShutdown,
    psycopg.errors.CannotConnectNow,
    psycopg.errors.CrashShutdown,
    psycopg.errors.DatabaseDropped,
    psycopg.errors.IdleSessionTimeout,
    psycopg.errors.IdleInTransactionSessionTimeout,
    psycopg.errors.TransactionTimeout,
    psycopg.errors.TooManyConnections,
    psycopg.errors.DiskFull,
    psycopg.errors.OutOfMemory,
    psycopg.errors.ConfigurationLimitExceeded,
    psycopg.errors.IoError,
    psycopg.errors.ReadOnlySqlTransaction,
    psycopg.errors.ConnectionException,
    psycopg.errors.ConnectionFailure,
    psycopg.errors.ProtocolViolation,
    psycopg.errors.ConnectionTimeout,
    psycopg.errors.CancellationTimeout,
    psycopg.OperationalError,
]
BUSY = [
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.QueryCanceled,
]
UNFIT = [
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.FeatureNotSupported,
    psycopg.errors.InvalidSchemaName,
    psycopg.errors.ObjectNotInPrerequisiteState,
]
REFUSED = [
    psycopg.errors.UniqueViolation,
    psycopg.errors.StringDataRightTruncation,
    psycopg.errors.RaiseException,
    psycopg.errors.InternalError_,
    psycopg.errors.PipelineAborted,
    psycopg.errors.ProgramLimitExceeded,
    psycopg.InterfaceError,
    psycopg.ProgrammingError,
]


async def raised(error: psycopg.Error) -> DatabaseError:
    """What an error becomes on its way out."""
    with pytest.raises(DatabaseError) as caught:
        async with translated():
            raise error
    assert caught.value.__cause__ is error
    return caught.value


@pytest.mark.parametrize("error", AWAY)
async def test_away(error: type[psycopg.Error]) -> None:
    """What means a lost connection or an absent server asks for another attempt on a new connection."""
    assert is_away(error("text"))
    assert type(await raised(error("text"))) is DatabaseUnavailable


@pytest.mark.parametrize("error", BUSY)
async def test_busy(error: type[psycopg.Error]) -> None:
    """What was given up for the sake of others asks for another attempt, on the same connection if one likes."""
    assert not is_away(error("text"))
    assert type(await raised(error("text"))) is DatabaseBusy


@pytest.mark.parametrize("error", UNFIT)
async def test_unfit(error: type[psycopg.Error]) -> None:
    """What is wrong with tables or rights is wrong for every row."""
    assert not is_away(error("text"))
    assert type(await raised(error("text"))) is DatabaseUnfit


@pytest.mark.parametrize("error", REFUSED)
async def test_refused(error: type[psycopg.Error]) -> None:
    """What is wrong with a statement and its rows is wrong every time, but not with every row."""
    assert not is_away(error("text"))
    assert type(await raised(error("text"))) is DatabaseError


def test_tree() -> None:
    """Callers that know only the ports see an unavailable store."""
    assert issubclass(DatabaseError, TrioqueueError)
    assert issubclass(DatabaseUnavailable, StoreUnavailable)
    assert issubclass(DatabaseBusy, StoreUnavailable)
    assert issubclass(DatabaseUnfit, StoreUnfit)
    assert issubclass(DatabaseUnfit, DatabaseError)
    assert not issubclass(DatabaseError, StoreUnavailable)


async def test_other_errors() -> None:
    """What is not psycopg's passes unchanged."""
    error = LookupError("text")
    with pytest.raises(LookupError) as caught:
        async with translated():
            raise error

    assert caught.value is error


async def test_text(database_url: str) -> None:
    """The text has the server's reason and code, and no row's content."""
    with psycopg.connect(database_url) as connection:
        connection.execute("create table leads (phone text unique)")
        connection.execute("insert into leads values ('+5511999990000')")
        with pytest.raises(psycopg.errors.UniqueViolation) as caught:
            connection.execute("insert into leads values ('+5511999990000')")
    text = str(await raised(caught.value))

    assert "leads_phone_key" in text
    assert "23505" in text
    assert "+5511999990000" not in text
