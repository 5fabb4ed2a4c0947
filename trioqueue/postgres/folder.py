"""The files of an embedded PostgreSQL: which there are, and whether this version and this account can use them."""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

import attrs

from trioqueue.postgres.programs import EmbeddedPostgresError, Programs

SOCKET_NAME = ".s.PGSQL.5432"

SOCKET_PATH_BYTES = 100
"""What a socket's path must stay below. Kernels take 108 bytes (Linux) or 104 (macOS)."""

LOG_BYTES = 1_000_000
"""A log found longer than this at a start is set aside, in place of the one before it."""

LOG_LINES = 15
"""How many of the log's last lines an error quotes."""

SCARCE_BYTES = 64 * 2**20
"""Less free space is worth telling: a new folder takes about 40 MB, a segment of the write-ahead log 16 MB."""


@attrs.frozen
class DataFolder:
    """Everything an embedded server keeps, inside one folder."""

    path: Path

    @property
    def pgdata(self) -> Path:
        """PostgreSQL's own folder; complete if it exists."""
        return self.path / "pgdata"

    @property
    def socket(self) -> Path:
        """The socket's folder, or a link to it where this path does not suit clients."""
        return self.path / "socket"

    @property
    def log(self) -> Path:
        """What the guard and PostgreSQL print."""
        return self.path / "postgres.log"

    @property
    def users_lock(self) -> Path:
        """Held shared by every user, and exclusively by the guard while it stops the server."""
        return self.path / "users.lock"

    @property
    def guard_lock(self) -> Path:
        """Held exclusively by the guard, from before its start to its end."""
        return self.path / "guard.lock"

    def made_by(self) -> str | None:
        """Return the major version of PostgreSQL that made the folder, None if it is not made yet.

        Raises:
            EmbeddedPostgresError: Something else is in its place.
        """
        if not self.pgdata.exists():
            return None
        try:
            return (self.pgdata / "PG_VERSION").read_text().strip()
        except FileNotFoundError as error:
            raise EmbeddedPostgresError(
                f"{self.pgdata} is not a PostgreSQL folder: it has no PG_VERSION. Move it away to start with an empty "
                "database."
            ) from error

    def check(self, programs: Programs) -> None:
        """Check that these programs, run by this account, can use the folder, if it is made already.

        Raises:
            EmbeddedPostgresError: Another major version made it, or it belongs to somebody else.
        """
        made_by = self.made_by()
        if made_by is None:
            return
        if made_by != str(programs.major):
            raise EmbeddedPostgresError(
                f"{self.pgdata} was made by PostgreSQL {made_by}, and {programs.folder} is PostgreSQL "
                f"{programs.major}. Set TRIOQUEUE_PG_BIN to a folder with the programs of PostgreSQL {made_by}, or "
                f"move {self.pgdata} away to start with an empty database."
            )
        owner, account = self.pgdata.stat().st_uid, os.geteuid()
        if owner != account:
            raise EmbeddedPostgresError(
                f"{self.pgdata} belongs to user {owner}, and this is user {account}. Run trioqueue as user {owner}, or "
                "give it another data directory."
            )

    def make_socket_folder(self) -> Path:
        """Make a private folder for a new server's socket and return its path; `socket` leads everybody else there.

        A server that a killed guard left behind can no longer be reached: nobody takes it for the new one.
        """
        if self.socket.is_symlink():
            self.socket.unlink()
        if _suits(self.socket):
            self.socket.mkdir(mode=0o700, exist_ok=True)
            (self.socket / SOCKET_NAME).unlink(missing_ok=True)
            return self.socket
        parent = tempfile.gettempdir()
        if not _suits(Path(parent, "trioqueue-12345678")):
            parent = "/tmp"  # noqa: S108 - mkdtemp makes a private folder under a new name
        folder = Path(tempfile.mkdtemp(prefix="trioqueue-", dir=parent))
        self.socket.symlink_to(folder)
        return folder

    def open_log(self) -> int:
        """Open the log to append to it, and return the file descriptor. It quotes statements: nobody else reads it."""
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_name("postgres.log.old"))
        return os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def reason(self, log_start: int) -> str:
        """Return how a sentence about a failure goes on: what the log says, and how full the disk is.

        Args:
            log_start: How many bytes the log had before.
        """
        with self.log.open("rb") as log:
            log.seek(log_start)
            lines = log.read().decode(errors="replace").splitlines()[-LOG_LINES:]
        said = ":\n" + "\n".join(lines) if lines else f"; {self.log} does not say why."
        free = shutil.disk_usage(self.path).free
        return said + (f"\nOnly {free // 2**20} MB are free on its disk." if free < SCARCE_BYTES else "")


def lock(path: Path, mode: int) -> int | None:
    """Lock a file, or return None if somebody's lock is in the way.

    Args:
        path: The file, made if there is none.
        mode: `fcntl.LOCK_SH` or `fcntl.LOCK_EX`.

    Returns:
        The descriptor, whose end, or that of its process, unlocks the file.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BaseException as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            return None
        raise
    return descriptor


def is_locked(path: Path, mode: int) -> bool:
    """Say whether somebody's lock is in the way of this one."""
    try:
        descriptor = lock(path, mode)
    except FileNotFoundError:
        # The whole folder has been removed.
        return False
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is None


def _suits(socket_folder: Path) -> bool:
    """Say whether clients can be given this path: short enough, UTF-8, and no comma, which ends a host for libpq."""
    path = str(socket_folder / SOCKET_NAME)
    return len(os.fsencode(path)) < SOCKET_PATH_BYTES and path.isprintable() and "," not in path
