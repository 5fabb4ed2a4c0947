"""PgBouncer before the server of the tests, in transaction mode."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from trioqueue.postgres.programs import account_prefix

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")

# No registry of Python packages has PgBouncer: where the system has none, these tests are not there.
collect_ignore_glob = [] if PROGRAM else ["test_*.py"]

CONFIGURATION = """
[databases]
{dbname} = host={host} port={port}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen_port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = transaction
default_pool_size = 3
"""


class Pooler:
    """A PgBouncer that hands each of three connections on after every transaction.

    Attributes:
        url: What to connect to instead of the server.
    """

    def __init__(self, url: str, folder: Path) -> None:
        server = conninfo_to_dict(url)
        with closing(socket.socket()) as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        users = folder / "users.txt"
        users.write_text(f'"{server["user"]}" "{server.get("password", "")}"\n', encoding="utf-8")
        self._configuration = folder / "pgbouncer.ini"
        self._configuration.write_text(CONFIGURATION.format(listen_port=port, users=users, **server), encoding="utf-8")
        self.url = urlsplit(url)._replace(netloc=f"{server['user']}@127.0.0.1:{port}", query="").geturl()

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        self._process = subprocess.Popen(
            [*account_prefix(), str(PROGRAM), str(self._configuration)], stderr=subprocess.DEVNULL
        )
        while self._process.poll() is None:
            try:
                psycopg.connect(self.url).close()
            except psycopg.OperationalError:
                continue
            return
        raise RuntimeError(f"PgBouncer ended with {self._process.returncode}")

    def kill(self) -> None:
        """Kill it: every client is cut off."""
        self._process.kill()
        self._process.wait()


@pytest.fixture
def pooler(migrated_url: str, tmp_path: Path) -> Iterator[Pooler]:
    """A PgBouncer before an empty, migrated database."""
    pooler = Pooler(migrated_url, tmp_path)
    pooler.start()
    yield pooler
    pooler.kill()
