"""Processes that use an embedded PostgreSQL, the accounts they run as, and the wait for a process to be gone."""

import fcntl
import os
import pwd
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from trioqueue.postgres.folder import DataFolder

PATIENCE = 20.0
"""Seconds after which a condition that is waited for counts as never coming."""

PROGRAM = """
import signal, sys
from pathlib import Path
from trioqueue.postgres.embedded import start

signal.signal(signal.SIGINT, lambda *_: print("interrupted", flush=True))
print("starting", flush=True)
server = start(Path(sys.argv[1]), options={"fsync": "off"})
print(server.url, flush=True)
sys.stdin.readline()
server.stop()
"""
"""Uses the server in a folder until its standard input ends, and lives through SIGINT."""

PROBE = """
import subprocess, sys
import trioqueue.postgres.embedded

sys.exit(subprocess.run([sys.executable, "-c", ""]).returncode or sys.version_info < (3, 11))
"""
"""Fails unless the interpreter is a good one, and can be run by a process that is run by it."""


@attrs.frozen
class Account:
    """Whom a user of the server runs as.

    Attributes:
        kind: What it is an example of.
        uid: Its number.
        python: An interpreter it can run.
    """

    kind: str
    uid: int
    python: str

    def run(self, *arguments: str) -> list[str]:
        """Return the command that runs Python as this account."""
        if self.uid == os.geteuid():
            return [self.python, *arguments]
        return ["setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups", self.python, *arguments]

    def can_run(self) -> bool:
        """Say whether it reaches the interpreter, this repository and the packages."""
        return (
            subprocess.run(self.run("-c", PROBE), env=environment(), capture_output=True, check=False).returncode == 0
        )


class User:
    """A process that uses the server."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def read(self) -> str:
        """Return the next line it prints; empty when it has ended."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def url(self) -> str:
        """Return the server's URL, once it is running."""
        while (line := self.read()) == "starting":
            pass
        return line

    def leave(self) -> None:
        """Let it stop using the server and end."""
        self.process.communicate(timeout=PATIENCE)

    def kill(self) -> None:
        """Kill it, as nothing could be cleaned up."""
        self.process.kill()
        self.process.communicate()


def environment() -> dict[str, str]:
    """Return an environment in which any interpreter finds this repository and what it needs."""
    root = str(Path(__file__).parents[2])
    return {**os.environ, "PYTHONPATH": os.pathsep.join([root, *sys.path])}


def accounts() -> list[Account]:
    """Find the accounts that can be tried here: the current one, and as root an ordinary and a nameless one."""
    current = Account("root" if os.geteuid() == 0 else "ordinary", os.geteuid(), sys.executable)
    if os.geteuid() != 0:
        return [current]
    nameless = max(entry.pw_uid for entry in pwd.getpwall()) + 1
    pythons = (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3")
    ordinary = next((each for python in pythons if (each := Account("ordinary", 65534, python)).can_run()), None)
    return [current, ordinary, Account("nameless", nameless, ordinary.python)] if ordinary else [current]


@contextmanager
def user_process(data_dir: Path, account: Account | None = None) -> Iterator[User]:
    """Run a user of the server in a process group of its own, and kill it at the end if it is still there."""
    account = account or accounts()[0]
    with subprocess.Popen(
        account.run("-c", PROGRAM, str(data_dir)),
        cwd="/",
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield User(process)
        finally:
            process.kill()


def interrupt(user: User) -> None:
    """Do what a terminal does at Ctrl-C: send SIGINT to all of the process group."""
    os.killpg(user.process.pid, signal.SIGINT)


def is_gone(pid: int) -> bool:
    """Wait for the end of a process, and say whether it came."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], PATIENCE)[0])
    finally:
        os.close(descriptor)


def wait_until_unguarded(data_dir: Path) -> None:
    """Wait until the guard and whatever it runs have ended."""
    with DataFolder(data_dir).guard_lock.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
