"""Guards one embedded PostgreSQL server: makes its folder, runs it, and stops it when its last user has gone.

A process of its own, started by embedded.py as `python -I -S guard.py SPEC`, so that the server is stopped however
its users end, kill -9 included. It imports the standard library alone: it is on the way of every first command, and
starts in about 20 ms.

Two lock files (flock) tie it to its users. Every user holds a shared lock on the one called users; the guard waits
for an exclusive one, which the kernel grants when the last user is gone. The guard itself was started with a file
descriptor that holds the other lock, called guard: as long as it is held, somebody looks after the folder.
"""

import fcntl
import itertools
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

STOP_INTERVAL = 0.1
"""Seconds between two signals: one that comes while the server is starting may be lost."""

STOP_PATIENCE = 30.0
"""Seconds of SIGINT (close the connections, write a checkpoint) before SIGQUIT (leave at once, recover at the next
start)."""


class Guard:
    """What one guard looks after; the arguments are the keys of the specification that embedded.py writes."""

    def __init__(
        self,
        *,
        pgdata: str,
        programs: str,
        account: list[str],
        settings: dict[str, str],
        socket_folder: str,
        users_lock: str,
        guard_lock: int,
    ) -> None:
        self._pgdata = Path(pgdata)
        self._programs = Path(programs)
        self._account = account
        self._settings = settings
        self._socket_folder = Path(socket_folder)
        self._users_lock = Path(users_lock)
        self._guard_lock = guard_lock

    def run(self) -> None:
        """Serve until the last user has gone or the server has ended by itself."""
        stop_orphan(self._pgdata)
        if not self._pgdata.exists():
            self._make_folder()
        self._serve()
        with suppress(OSError):
            self._socket_folder.rmdir()

    def _make_folder(self) -> None:
        """Make the folder under another name first: under its own name it is always complete."""
        new = self._pgdata.with_name(f"{self._pgdata.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        create = ["--username=trioqueue", "--auth-local=trust", "--auth-host=reject", "--encoding=UTF8", "--locale=C"]
        self._program("initdb", "-D", str(new), *create, "--no-sync")
        # Without exit_on_error a failed statement would still end with status 0.
        single = ["--single", "-F", "-c", "exit_on_error=on", "-D", str(new), "template1"]
        self._program("postgres", *single, text="CREATE DATABASE trioqueue\n")
        if self._settings.get("fsync") != "off":
            self._program("initdb", "-D", str(new), "--sync-only")
        new.rename(self._pgdata)
        _sync(self._pgdata.parent)

    def _program(self, name: str, *arguments: str, text: str = "") -> None:
        """Run a program and wait for it; what it says goes nowhere, what it complains about to the log."""
        subprocess.run(
            [*self._account, str(self._programs / name), *arguments],
            input=text.encode(),
            stdout=subprocess.DEVNULL,
            # It holds the lock as well: nobody removes its folder should this process be killed.
            pass_fds=(self._guard_lock,),
            check=True,
        )

    def _serve(self) -> None:
        settings = [f"--{name}={value}" for name, value in self._settings.items()]
        command = [*self._account, str(self._programs / "postgres"), "-D", str(self._pgdata), *settings]
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        stopping, gone = threading.Event(), threading.Event()
        threading.Thread(target=_watch, args=(server, stopping, gone), daemon=True).start()
        users = os.open(self._users_lock, os.O_RDWR)
        fcntl.flock(users, fcntl.LOCK_EX)
        stopping.set()
        stop(server.pid, gone.wait)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def _watch(server: subprocess.Popen[bytes], stopping: threading.Event, gone: threading.Event) -> None:
    status = server.wait()
    if not stopping.is_set():
        # The main thread waits for a lock, which nothing but the last user's end interrupts.
        os._exit(status or 1)
    gone.set()


def stop(pid: int, gone: Callable[[float], bool]) -> None:
    """Signal a server until it is gone.

    Args:
        pid: The postmaster's.
        gone: Waits for at most this many seconds and says whether the server is gone.
    """
    patience = round(STOP_PATIENCE / STOP_INTERVAL)
    for signum in itertools.chain(itertools.repeat(signal.SIGINT, patience), itertools.repeat(signal.SIGQUIT)):
        with suppress(ProcessLookupError):
            os.kill(pid, signum)
        if gone(STOP_INTERVAL):
            return


def stop_orphan(pgdata: Path) -> None:
    """Stop the server that a killed guard left behind, if there is one, and remove a dead one's postmaster.pid.

    PostgreSQL would refuse to start if the number in that file were another process's by now, which is usual in a
    container that has been started again. Should a part of the old server be alive after all, PostgreSQL finds its
    shared memory in use, and refuses.
    """
    pid_file = pgdata / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return

    def gone(seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while is_postmaster(pid, pgdata):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return True

    if not gone(0):
        stop(pid, gone)
    pid_file.unlink(missing_ok=True)


def is_postmaster(pid: int, pgdata: Path) -> bool:
    """Say whether the process is the server of this folder.

    The number in postmaster.pid may be a stranger's by now. A server works inside its folder, which /proc shows; where
    there is no /proc, a program called postgres has to do.
    """
    if not Path("/proc/self/cwd").exists():
        ps = subprocess.run(["ps", "-o", "comm=", "-p", str(pid)], stdout=subprocess.PIPE, check=False)
        return b"postgres" in ps.stdout
    try:
        return Path(f"/proc/{pid}/cwd").samefile(pgdata)
    except OSError:
        return False


def main() -> None:
    """Run the guard that the first argument specifies, as a JSON object."""
    # Nothing but the end of its users ends the guard: a supervisor's signal to all comes before the worker has drained.
    # A handler, unlike SIG_IGN, is not inherited by PostgreSQL, which would not hear an early SIGINT.
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, lambda *_: None)
    os.environ["LC_ALL"] = "C"
    try:
        Guard(**json.loads(sys.argv[1])).run()
    except subprocess.CalledProcessError as error:
        sys.exit(f"{shlex.join(error.cmd)} ended with status {error.returncode}")


if __name__ == "__main__":
    main()
