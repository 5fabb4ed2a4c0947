"""What contestants run on: an embedded PostgreSQL that syncs every commit, and databases with messages that are due."""

import os
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import attrs
import psycopg
import trio

from tests.support.cluster import Cluster
from tests.support.database import migrate_database, start_run
from trioqueue.postgres.connect import connect
from trioqueue.postgres.embedded import embedded_postgres
from trioqueue.postgres.folder import DataFolder
from trioqueue.postgres.pool import Pool

_TICKS: Final = os.sysconf("SC_CLK_TCK")


@attrs.frozen(eq=False)
class Course:
    """A server, and templates of loaded databases on it.

    Attributes:
        cluster: The server.
        log: Its log file.
    """

    cluster: Cluster
    log: Path
    _connection: psycopg.Connection[tuple[int, ...]]
    _templates: dict[int, str] = attrs.field(factory=dict)

    async def template(self, messages: int) -> str:
        """The URL of a migrated database with so many due messages of one running run; made once, to be copied."""
        if messages not in self._templates:
            url = self.cluster.create_database()
            await migrate_database(url)
            if messages:
                async with Pool(partial(connect, url), size=1) as pool:
                    await start_run(pool, messages)
            await trio.to_thread.run_sync(_vacuum, url)
            self._templates[messages] = url
        return self._templates[messages]

    @contextmanager
    def database(self, template: str) -> Iterator[str]:
        """The URL of a copy, dropped afterwards."""
        url = self.cluster.create_database(template)
        try:
            yield url
        finally:
            self.cluster.drop_database(url)

    def checkpoint(self) -> None:
        """Write what loading has left to write, so that no contestant pays for it."""
        self._connection.execute("checkpoint")

    def transactions(self, url: str) -> int:
        """Transactions in a database so far, as PostgreSQL counts them; a backend tells its own when it ends."""
        return self._value("select xact_commit + xact_rollback from pg_stat_database where datname = %s", _name(url))

    async def until_left(self, url: str) -> None:
        """Wait until nobody is connected to a database."""
        while self._value("select count(*) from pg_stat_activity where datname = %s", _name(url)):
            await trio.sleep(0.01)

    def cpu(self) -> float | None:
        """Seconds of CPU of all processes of the server so far; None where there is no /proc."""
        pid = self._value("select pg_backend_pid()")
        try:
            postmaster = int(_stat(pid)[1])
            children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text(encoding="ascii").split()
            ended = sum(map(int, _stat(postmaster)[11:15]))
            return (ended + sum(sum(map(int, _stat(int(child))[11:13])) for child in children)) / _TICKS
        except OSError:
            return None

    def _value(self, sql: str, *values: object) -> int:
        row = self._connection.execute(sql.encode(), values).fetchone()
        assert row is not None
        return row[0]


def process_cpu(pid: int) -> float:
    """Seconds of CPU of a process so far; Linux only."""
    return sum(map(int, _stat(pid)[11:13])) / _TICKS


def _stat(pid: int) -> list[str]:
    """The fields of /proc/pid/stat from the state on: the parent is 1, times of CPU are 11 to 14."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()


def _name(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")


def _vacuum(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("vacuum (analyze)")


@asynccontextmanager
async def open_course(options: Mapping[str, str] | None = None) -> AsyncIterator[Course]:
    """A new server in a directory of its own, as trioqueue sets its embedded one: every commit is synced to disk."""
    with tempfile.TemporaryDirectory() as directory:
        async with embedded_postgres(Path(directory), options=options or {}) as server:
            with (
                closing(Cluster(server.url)) as cluster,
                psycopg.connect(server.url, autocommit=True) as connection,
            ):
                yield Course(cluster, DataFolder(Path(directory)).log, connection)
