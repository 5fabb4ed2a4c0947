"""An embedded PostgreSQL: a server of trioqueue's own, in a folder, for as long as somebody uses it.

Starting and stopping are done here, not by the wheels that carry PostgreSQL: those change other people's folders when
run as root, and leave the server running after kill -9.

Any number of processes may use one folder. The first one starts a guard (guard.py), which starts the server; the
others find it running. The guard stops the server when the last of them has gone, however it went. All that they must
agree on is locks on two files; the kernel holds them and drops those of the dead, so that nothing is ever stale.

The server listens on a Unix socket that only its owner can reach, and on nothing else. Therefore it asks for no
password.
"""

import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

import attrs
import trio

from trioqueue.postgres.folder import SOCKET_NAME, DataFolder, is_locked, lock
from trioqueue.postgres.programs import EmbeddedPostgresError as EmbeddedPostgresError
from trioqueue.postgres.programs import account_prefix, find_programs

START_SECONDS = 60.0
"""How long a start may take. A new folder takes less than 1 s, recovery after a power failure may take many."""

STOP_SECONDS = 40.0
"""How long the last user waits for the server's end: a little more than the guard's patience."""

POLL_SECONDS = 0.01
"""How often locks and the socket are tried: a file lock cannot be waited for with a deadline."""

SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "listen_addresses": "",
        "port": "5432",
        "unix_socket_permissions": "0700",
        "shared_buffers": "64MB",
        # Nothing can replicate from a server that only its owner can reach.
        "wal_level": "minimal",
        "max_wal_senders": "0",
        # Compiling a statement takes longer than running one of trioqueue's.
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
)
"""Settings of every embedded server. fsync and synchronous_commit stay what PostgreSQL makes them: on."""


@attrs.define
class EmbeddedServer:
    """A server in use, until `stop`.

    Attributes:
        url: Of the database `trioqueue`, for its owner, the role `trioqueue`.
    """

    url: str
    _folder: DataFolder
    _user: int | None
    _bring_up: Callable[[DataFolder, Iterator[None]], None]

    async def revive(self) -> None:
        """Start the server again if it has ended, as it does when the kernel kills it for want of memory.

        A long path has another `url` then.

        Raises:
            EmbeddedPostgresError: It does not start.
        """
        await trio.to_thread.run_sync(self._revive, trio.from_thread.check_cancelled)

    def _revive(self, checkpoint: Callable[[], None]) -> None:
        with _usable(self._folder):
            self._bring_up(self._folder, _waits(checkpoint))
            self.url = _url(self._folder)

    def stop(self) -> None:
        """Leave the server, and wait for its end if nobody else uses it.

        Returns after `STOP_SECONDS` at the latest; the guard goes on.
        """
        if self._user is None:
            return
        os.close(self._user)
        self._user = None
        deadline = time.monotonic() + STOP_SECONDS
        while _is_stopping(self._folder) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)


@asynccontextmanager
async def embedded_postgres(
    data_dir: Path, *, bin_dir: Path | None = None, options: Mapping[str, str] = MappingProxyType({})
) -> AsyncIterator[EmbeddedServer]:
    """Use the embedded server of a folder, which is made if there is none.

    Args:
        data_dir: Where its files are. Several processes may use it at once.
        bin_dir: Where PostgreSQL's programs are; None looks for them.
        options: Server settings, in force if this call is the one that starts the server.

    Yields:
        The server, which is left at the end of the block.

    Raises:
        EmbeddedPostgresError: There are no programs, they do not suit the folder, or the server does not start.
    """
    begin = partial(start, data_dir, bin_dir=bin_dir, options=options, checkpoint=trio.from_thread.check_cancelled)
    server = await trio.to_thread.run_sync(begin)
    try:
        yield server
    finally:
        with trio.move_on_after(STOP_SECONDS, shield=True):
            await trio.to_thread.run_sync(server.stop, abandon_on_cancel=True)


def start(
    data_dir: Path,
    *,
    bin_dir: Path | None = None,
    options: Mapping[str, str] = MappingProxyType({}),
    checkpoint: Callable[[], None] = lambda: None,
) -> EmbeddedServer:
    """Do what `embedded_postgres` does, for code outside trio.

    Args:
        data_dir: Where the server's files are.
        bin_dir: Where PostgreSQL's programs are; None looks for them.
        options: Server settings, in force if this call is the one that starts the server.
        checkpoint: Called every `POLL_SECONDS`; an exception from it ends the start.

    Returns:
        The server, which the caller stops.

    Raises:
        EmbeddedPostgresError: There are no programs, they do not suit the folder, or the server does not start.
    """
    folder = DataFolder(data_dir.resolve())
    waits = _waits(checkpoint)
    with _usable(folder):
        folder.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        user = _enter(folder, waits)
        server = EmbeddedServer("", folder, user, partial(_bring_up, bin_dir=bin_dir, options=options))
        try:
            _bring_up(folder, waits, bin_dir, options)
            server.url = _url(folder)
        except BaseException:
            # Waits for the end of a guard that is still at work: its folder may be somebody's to remove.
            server.stop()
            raise
    return server


@contextmanager
def _usable(folder: DataFolder) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EmbeddedPostgresError(f"the embedded PostgreSQL in {folder.path} cannot be used: {error}") from error


def _url(folder: DataFolder) -> str:
    host = quote(os.fsencode(folder.socket.resolve()), safe="")
    return f"postgresql://trioqueue@/trioqueue?host={host}&port=5432"


def _waits(checkpoint: Callable[[], None]) -> Iterator[None]:
    """Yield at once, then after every wait, until a start has taken too long."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        checkpoint()
        yield
        time.sleep(POLL_SECONDS)


def _enter(folder: DataFolder, waits: Iterator[None]) -> int:
    """Become a user of the server, running or not, which keeps it from being stopped."""
    for _ in waits:
        user = lock(folder.users_lock, fcntl.LOCK_SH)
        if user is not None:
            return user
    raise EmbeddedPostgresError(
        f"the server in {folder.path} is still being stopped after {START_SECONDS:.0f} s. {folder.log} may tell why."
    )


def _bring_up(folder: DataFolder, waits: Iterator[None], bin_dir: Path | None, options: Mapping[str, str]) -> None:
    """Wait until the server answers, with a guard of our own if nobody else's is there."""
    log_start = None
    for _ in waits:
        guard_lock = lock(folder.guard_lock, fcntl.LOCK_EX)
        if guard_lock is None:
            if _answers(folder.socket):
                return
            continue
        try:
            if log_start is not None:
                raise EmbeddedPostgresError(
                    f"the PostgreSQL server in {folder.path} did not start{folder.reason(log_start)}"
                )
            log_start = _start_guard(folder, guard_lock, bin_dir, options)
        finally:
            os.close(guard_lock)
    raise EmbeddedPostgresError(
        f"the PostgreSQL server in {folder.path} does not answer after {START_SECONDS:.0f} s"
        f"{folder.reason(log_start or 0)}"
    )


def _start_guard(folder: DataFolder, guard_lock: int, bin_dir: Path | None, options: Mapping[str, str]) -> int:
    """Start a guard, which inherits the lock, and return how long the log was before."""
    account = account_prefix()
    programs = find_programs(bin_dir, account, folder.made_by())
    folder.check(programs)
    socket_folder = str(folder.make_socket_folder())
    specification = {
        "pgdata": str(folder.pgdata),
        "programs": str(programs.folder),
        "account": account,
        "settings": {**SETTINGS, **options, "unix_socket_directories": _quoted(socket_folder)},
        "socket_folder": socket_folder,
        "users_lock": str(folder.users_lock),
        "guard_lock": guard_lock,
    }
    log = folder.open_log()
    try:
        log_start = os.fstat(log).st_size
        guard = subprocess.Popen(
            # Isolated and without site: nothing of the environment's changes the guard or slows its start.
            [sys.executable, "-I", "-S", Path(__file__).with_name("guard.py"), json.dumps(specification)],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(guard_lock,),
            # Away from the terminal, whose Ctrl-C is for the user alone.
            start_new_session=True,
        )
    finally:
        os.close(log)
    # The guard may outlive this process's use of it; reaped here, it never becomes a zombie.
    threading.Thread(target=guard.wait, name="embedded-postgres-guard", daemon=True).start()
    return log_start


def _quoted(path: str) -> str:
    """Quote a path for a setting that is a list of names."""
    return '"' + path.replace('"', '""') + '"'


def _is_stopping(folder: DataFolder) -> bool:
    """Say whether the guard is there and nobody else uses the server."""
    return is_locked(folder.guard_lock, fcntl.LOCK_EX) and (
        not is_locked(folder.users_lock, fcntl.LOCK_EX) or is_locked(folder.users_lock, fcntl.LOCK_SH)
    )


def _answers(socket_folder: Path) -> bool:
    """Say whether the server lets clients in.

    It listens before it does: until then it answers a start-up message with the error 57P03, cannot_connect_now (see
    "Message Formats" and "PostgreSQL Error Codes" in PostgreSQL's manual).
    """
    parameters = b"user\0trioqueue\0database\0trioqueue\0\0"
    message = struct.pack("!II", 8 + len(parameters), 3 << 16) + parameters
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1.0)
        try:
            client.connect(os.fsencode(socket_folder.resolve() / SOCKET_NAME))
            client.sendall(message)
            answer = client.recv(1024)
        except OSError:
            return False
    return bool(answer) and b"C57P03\0" not in answer
