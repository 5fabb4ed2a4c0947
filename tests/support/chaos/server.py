"""The embedded PostgreSQL server of a chaos run, which is restarted and crashed while others use it."""

import os
import signal
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import trio

from tests.support.cluster import Cluster
from tests.support.database import SCHEMA, migrate_database
from trioqueue.postgres import embedded
from trioqueue.postgres.connect import connect
from trioqueue.postgres.errors import DatabaseUnavailable, translated
from trioqueue.postgres.guard import is_postmaster

PATIENCE: Final = 60.0
"""Seconds within which a server ends, or answers."""

POLL_SECONDS: Final = 0.05
"""How often a server that is away is asked again."""

OPEN_MESSAGES: Final = """
select count(*) from {schema}.campaign_messages where status in ('queued', 'pending', 'generating', 'sending')
"""
MAKE_DUE: Final = """
update {schema}.campaign_messages set scheduled_at = now() where status = 'pending' and scheduled_at > now()
"""

HISTORY: Final = Path(__file__).with_name("history.sql")


OPTIONS: Final[Mapping[str, str]] = MappingProxyType({"fsync": "off"})
"""What dies here are processes and not the machine: what was written is not lost with the server, synced or not. With
fsync every recovery would first sync a thousand files, for seconds."""


class Server:
    """A server in a folder of its own.

    Args:
        folder: Where its files are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server = embedded.start(folder, options=OPTIONS)
        self._restarting = trio.Lock()
        self._template: str | None = None

    @property
    def url(self) -> str:
        """The URL of the server's database."""
        return self._server.url

    def socket_path(self) -> str:
        """Where the server listens now."""
        params = parse_qs(urlsplit(self.url).query)
        return f"{params['host'][0]}/.s.PGSQL.{params['port'][0]}"

    def url_of(self, database: str) -> str:
        """The URL of one of its databases now."""
        return urlsplit(self.url)._replace(path=f"/{database}").geturl()

    async def create_database(self) -> str:
        """Create a migrated database that notes its history, and return its name."""
        if self._template is None:
            template = await trio.to_thread.run_sync(_create, self.url, None)
            await migrate_database(template)
            async with await connect(template) as connection:
                await connection.execute(HISTORY.read_bytes().replace(b"{schema}", SCHEMA.encode()))
            self._template = template
        url = await trio.to_thread.run_sync(_create, self.url, self._template)
        return urlsplit(url).path.removeprefix("/")

    async def drop_database(self, database: str) -> None:
        """Drop a database that nobody needs any more."""
        await trio.to_thread.run_sync(_drop, self.url, self.url_of(database))

    async def ask(self, database: str, query: str, *params: object) -> list[tuple[Any, ...]]:
        """The rows of a query, asked again while the server is away; `{schema}` stands for the schema."""
        deadline = trio.current_time() + PATIENCE
        while True:
            try:
                async with translated(), await connect(self.url_of(database)) as connection:
                    cursor = await connection.execute(query.replace("{schema}", SCHEMA).encode(), params)
                    return await cursor.fetchall() if cursor.description else []
            except DatabaseUnavailable:
                if trio.current_time() > deadline:
                    raise
                await trio.sleep(POLL_SECONDS)

    async def restart(self, *, crash: bool) -> None:
        """Stop the server, in good order or at once, and start it again."""
        async with self._restarting:
            await trio.to_thread.run_sync(self._restart, signal.SIGQUIT if crash else signal.SIGINT)

    def _restart(self, signum: signal.Signals) -> None:
        before = self._server
        pgdata = self._folder.resolve() / "pgdata"
        _stop(int((pgdata / "postmaster.pid").read_text().split()[0]), pgdata, signum)
        self._server = embedded.start(self._folder, options=OPTIONS)
        before.stop()

    def stop(self) -> None:
        """Stop the server for good."""
        self._server.stop()


def _stop(pid: int, pgdata: Path, signum: signal.Signals) -> None:
    deadline = time.monotonic() + PATIENCE
    os.kill(pid, signum)
    while is_postmaster(pid, pgdata):
        if time.monotonic() > deadline:
            raise TimeoutError(f"the PostgreSQL server {pid} does not end after {signum.name}")
        time.sleep(0.005)


def _create(server: str, template: str | None) -> str:
    with closing(Cluster(server)) as cluster:
        return cluster.create_database(template)


def _drop(server: str, database: str) -> None:
    with closing(Cluster(server)) as cluster:
        cluster.drop_database(database)
