"""Connecting: what a session begins with, how long it may take, and what an error may say."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.support.backends import PATIENCE, proxied, value
from trioqueue.postgres.connect import DEFAULTS, complete_conninfo, connect
from trioqueue.postgres.connection import TrioConnection
from trioqueue.postgres.errors import DatabaseUnavailable, InvalidConninfo

SECRET = "correct-horse"


@pytest.fixture
def mute() -> Iterator[socket.socket]:
    """A server that lets the kernel take connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def url_of(server: socket.socket) -> str:
    """How to connect to a server."""
    return f"postgresql://user:{SECRET}@127.0.0.1:{server.getsockname()[1]}/database"


@pytest.fixture
def dead() -> str:
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return url_of(server)


def open_files() -> int:
    """How many files this process has open."""
    return len(list(Path("/dev/fd").iterdir()))


async def setting(connection: TrioConnection, name: str) -> object:
    """The value of a setting of the session."""
    return await value(connection, "select current_setting(%s)", name)


async def test_session(database_url: str) -> None:
    """A session is in autocommit mode and has its name and its limits."""
    async with await connect(
        database_url, application_name="trioqueue worker", statement_timeout=2.5, idle_in_transaction_timeout=90
    ) as connection:
        assert connection.autocommit
        assert await setting(connection, "application_name") == "trioqueue worker"
        assert await setting(connection, "statement_timeout") == "2500ms"
        assert await setting(connection, "idle_in_transaction_session_timeout") == "90s"


async def test_name_given_by_the_operator(database_url: str) -> None:
    """A name in the connection string wins."""
    async with await connect(make_conninfo(database_url, application_name="mine")) as connection:
        assert await setting(connection, "application_name") == "mine"


async def test_limits_left_to_the_server(database_url: str) -> None:
    """Without limits the session keeps those of its role, which is how it works behind PgBouncer."""
    url = make_conninfo(database_url, options="-c statement_timeout=7s -c idle_in_transaction_session_timeout=8s")
    async with await connect(url, statement_timeout=None, idle_in_transaction_timeout=None) as connection:
        assert await setting(connection, "statement_timeout") == "7s"
        assert await setting(connection, "idle_in_transaction_session_timeout") == "8s"


async def test_no_startup_options(database_url: str) -> None:
    """Nothing is asked for that PgBouncer refuses in the start-up message."""
    async with await connect(database_url) as connection:
        assert connection.info.options == ""


async def test_statement_timeout(database_url: str) -> None:
    """The server gives up a statement that takes longer than the limit."""
    async with await connect(database_url, statement_timeout=0.02) as connection:
        with pytest.raises(psycopg.errors.QueryCanceled):
            await connection.execute("select pg_sleep(60)")

        assert connection.reusable


async def test_keepalives(database_url: str) -> None:
    """A TCP connection notices by itself that its peer has vanished."""
    async with proxied(database_url) as proxy, await connect(proxy.url) as connection:
        with socket.socket(fileno=os.dup(connection.fileno())) as tcp:
            assert tcp.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 5
            assert tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 3


async def test_host_name(database_url: str) -> None:
    """A host's name is resolved before connecting."""
    async with proxied(database_url) as proxy:
        params = conninfo_to_dict(proxy.url)
        del params["hostaddr"]
        async with await connect(make_conninfo("", **params)) as connection:
            assert await value(connection, "select 1") == 1


async def test_several_hosts(database_url: str, dead: str) -> None:
    """The first host that answers is used."""
    port = conninfo_to_dict(dead)["port"]
    async with proxied(database_url) as proxy:
        both = make_conninfo(
            proxy.url,
            host="localhost,localhost",
            hostaddr="127.0.0.1,127.0.0.1",
            port=f"{port},{conninfo_to_dict(proxy.url)['port']}",
        )
        async with await connect(both) as connection:
            assert await value(connection, "select 1") == 1


async def test_several_dead_hosts(dead: str) -> None:
    """When no host answers, the error names each."""
    port = str(conninfo_to_dict(dead)["port"])
    both = make_conninfo(dead, host="127.0.0.1,127.0.0.2", port=f"{port},{port}")
    with pytest.raises(DatabaseUnavailable, match=r"127\.0\.0\.1.*127\.0\.0\.2"):
        await connect(both)


async def test_nobody_listens(dead: str) -> None:
    """A refused connection is an unavailable database, said in one line without the password."""
    with pytest.raises(DatabaseUnavailable) as caught:
        await connect(dead)

    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_no_such_socket(tmp_path: Path) -> None:
    """So is a Unix socket that does not exist."""
    with pytest.raises(DatabaseUnavailable):
        await connect(f"postgresql:///database?host={tmp_path}")


async def test_no_such_database(database_url: str) -> None:
    """A server's refusal is told in its own words, without the password."""
    with pytest.raises(DatabaseUnavailable, match='"nowhere" does not exist') as caught:
        await connect(make_conninfo(database_url, dbname="nowhere", password=SECRET))

    assert SECRET not in str(caught.value)


async def test_no_such_host() -> None:
    """A name that does not resolve is an unavailable database."""
    with pytest.raises(DatabaseUnavailable, match=r"nowhere\.invalid"):
        await connect(f"postgresql://user:{SECRET}@nowhere.invalid/database")


async def test_mute_server(mute: socket.socket) -> None:
    """A server that takes the connection and never answers is given up after connect_timeout; libpq's least is 2 s."""
    with trio.fail_after(PATIENCE), pytest.raises(DatabaseUnavailable, match="2 s"):
        await connect(make_conninfo(url_of(mute), connect_timeout=1))


async def test_cancelled_attempt(mute: socket.socket) -> None:
    """An attempt to connect can be cancelled, and leaves no socket open."""
    kept = []

    async def attempt() -> None:
        with pytest.raises(trio.Cancelled) as caught:
            await connect(url_of(mute))
        kept.append(caught)  # and with its frames everything that was not closed
        await trio.lowlevel.checkpoint()

    before = open_files()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(attempt)
        await trio.lowlevel.wait_readable(mute)
        nursery.cancel_scope.cancel()

    assert len(kept) == 1
    assert open_files() == before


async def test_cancelled_while_the_session_is_set_up(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection whose set-up is cancelled is closed."""
    opened: list[TrioConnection] = []

    async def cancelled(self: TrioConnection, *_args: object, **_kwargs: object) -> None:
        opened.append(self)
        scope.cancel()
        await trio.lowlevel.checkpoint()

    monkeypatch.setattr(TrioConnection, "execute", cancelled)
    with trio.CancelScope() as scope:
        await connect(database_url)

    assert scope.cancelled_caught
    assert [connection.closed for connection in opened] == [True]


@pytest.mark.parametrize(
    "conninfo",
    [
        f"postgresql://user:p@{SECRET}@host/database",
        f"postgresql://user:p/{SECRET}@host/database",
        f"postgresql://user:1/{SECRET}@host/database",
        f"postgresql://user:p%zz{SECRET}@host/database",
        f"postgresql://user:p {SECRET}@host/database",
        f"host=host password=p {SECRET}",
        f"host=host password='p {SECRET}",
        f"postgresql://user:\ud800{SECRET}@host/database",
        f"postgresql://user:{SECRET}@host:port/database",
        f"postgresql://user:{SECRET}@host/database?no_such_key=1",
        f"postgresql://user:{SECRET}@host/database?connect_timeout=soon",
        SECRET,
    ],
)
async def test_malformed(conninfo: str) -> None:
    """A malformed connection string is told from an absent server, and not quoted: it may hold the password."""
    with pytest.raises(InvalidConninfo) as caught:
        await connect(conninfo)

    assert SECRET not in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__


@given(password=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_completed(password: str) -> None:
    """Everything that the operator gave is kept, and everything else has a default."""
    given = {"host": "db", "password": password, "keepalives_idle": "77"}
    completed = conninfo_to_dict(complete_conninfo(make_conninfo("", **given), "name"))
    defaults = {key: str(default) for key, default in DEFAULTS.items()}

    assert completed == {"fallback_application_name": "name"} | defaults | given
