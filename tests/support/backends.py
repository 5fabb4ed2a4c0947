"""What a test does to a connection from outside: watches its backend on the server, or stands in between."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from functools import partial
from typing import Any, cast

import attrs
import trio
from psycopg import AsyncCursor
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from trioqueue.postgres.connection import TrioConnection

PATIENCE = 10.0
"""Seconds after which a test gives up; far longer than anything takes on a busy machine."""

SOMEBODY_WAITS = """
select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')
"""
"""Whether any backend of the observer's database waits for a lock."""


async def value(connection: TrioConnection, query: str, *params: object) -> Any:
    """The first column of the first row of a query."""
    cursor = await connection.execute(query.encode(), params)
    return (await cursor.fetchall())[0][0]


def stream(
    cursor: AsyncCursor[Any], query: str, *params: object
) -> AbstractAsyncContextManager[AsyncGenerator[tuple[Any, ...], None]]:
    """The rows of a query one by one; it is stopped at the end of the block."""
    # psycopg calls the generator an iterator.
    return aclosing(cast("AsyncGenerator[tuple[Any, ...], None]", cursor.stream(query.encode(), params)))


async def until(observer: TrioConnection, query: str, *params: object) -> None:
    """Ask the server again and again until the query's answer is true."""
    with trio.fail_after(PATIENCE):
        while not await value(observer, query, *params):
            pass


async def until_running(observer: TrioConnection, connection: TrioConnection, statement: str) -> None:
    """Wait until a connection's backend executes a statement that contains a text."""
    await until(
        observer,
        "select exists (select from pg_stat_activity where pid = %s and state = 'active' and query like %s)",
        connection.info.backend_pid,
        f"%{statement}%",
    )


async def until_locked(observer: TrioConnection, connection: TrioConnection) -> None:
    """Wait until a connection's backend waits for a lock."""
    await until(
        observer,
        "select exists (select from pg_stat_activity where pid = %s and wait_event_type = 'Lock')",
        connection.info.backend_pid,
    )


async def is_busy(observer: TrioConnection, connection: TrioConnection) -> bool:
    """Whether a connection's backend executes a statement now."""
    query = "select exists (select from pg_stat_activity where pid = %s and state = 'active')"
    return bool(await value(observer, query, connection.info.backend_pid))


@attrs.define
class Proxy:
    """A TCP proxy before a server on a Unix socket, which can stop passing anything on.

    Attributes:
        url: How to connect to the server through it.
        silent: Whether it keeps connections open and passes nothing on.
    """

    url: str
    silent: bool = False

    async def serve(self, path: str, client: trio.SocketStream) -> None:
        """Pass bytes between a client and the server's socket."""
        server = await trio.open_unix_socket(path)
        async with client, server, trio.open_nursery() as nursery:
            nursery.start_soon(self._pass_on, client, server, nursery.cancel_scope)
            nursery.start_soon(self._pass_on, server, client, nursery.cancel_scope)

    async def _pass_on(self, source: trio.SocketStream, sink: trio.SocketStream, scope: trio.CancelScope) -> None:
        try:
            async for data in source:
                if not self.silent:
                    await sink.send_all(data)
        except trio.BrokenResourceError:
            pass
        scope.cancel()


@asynccontextmanager
async def proxied(database_url: str) -> AsyncIterator[Proxy]:
    """Run a proxy before the server."""
    params = conninfo_to_dict(database_url)
    path = f"{params['host']}/.s.PGSQL.{params.get('port', 5432)}"
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        address = {"host": "localhost", "hostaddr": "127.0.0.1", "port": listeners[0].socket.getsockname()[1]}
        proxy = Proxy(make_conninfo(database_url, **address))
        nursery.start_soon(partial(trio.serve_listeners, partial(proxy.serve, path), listeners))
        yield proxy
        nursery.cancel_scope.cancel()
