"""The workers of a round, as a supervisor keeps them: each is a process, and is started again when it ends."""

import math
import signal
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import trio

from tests.support.chaos.proxy import Proxy
from tests.support.command import TRIOQUEUE, Command

RESTART_SECONDS = 0.5
"""How long a supervisor waits before it starts a worker again."""

STOP_PATIENCE = 30.0
"""Seconds within which a worker that is asked to stop has stopped: far more than its drain and the clean-up after it
take, on a machine that is busy."""

CODES = frozenset({0, 1, 75, 128 + signal.SIGTERM, -signal.SIGTERM, -signal.SIGKILL})
"""How a worker may end: done, without its database at the start, at its deadline, at a second signal; by a first signal
that comes before it listens to any; killed."""


DRAINING = "draining"
"""What a worker's log says when the drain begins, whatever the reason."""


@attrs.define(eq=False)
class Slot:
    """A worker and its successors.

    Attributes:
        number: From 0.
        proxy: Its way to the database.
        arguments: The command that it runs.
        starts: How often it was started.
        process: The one that runs now; None between two.
        name: What the database calls the one that was started last.
    """

    number: int
    proxy: Proxy
    arguments: Sequence[str]
    starts: int = 0
    process: trio.Process | None = None
    name: str = ""


class Fleet:
    """Keeps workers running until it is closed.

    Args:
        folder: Where they run and log.
        database: The name of the database.
        variables: What their environment says besides where the database is.

    Attributes:
        drained: The names of those that gave their messages back before they ended.
        suspensions: When each was suspended, in seconds since 1970.
        codes: How often each exit code was seen.
        problems: What workers did that no worker may.
    """

    def __init__(self, folder: Path, database: str, variables: Mapping[str, str]) -> None:
        self._folder = folder
        self._database = database
        self._command = Command(folder, variables)
        self._closing = trio.Event()
        self._asked: dict[str, float] = {}
        self.drained: set[str] = set()
        self.suspensions: defaultdict[str, list[float]] = defaultdict(list)
        self.codes: Counter[int] = Counter()
        self.problems: list[str] = []

    async def keep(self, slot: Slot) -> None:
        """Run a worker and its successors until the fleet closes."""
        while not self._closing.is_set():
            slot.starts += 1
            slot.name = f"worker-{slot.number}-{slot.starts}"
            log = self._folder / f"{slot.name}.log"
            with log.open("wb") as out:
                slot.process = await trio.lowlevel.open_process(
                    [TRIOQUEUE, *slot.arguments],
                    cwd=self._folder,
                    env=self._command.environment(TRIOQUEUE_DATABASE_URL=self._url(slot)),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                if self._closing.is_set():  # since it was looked at last
                    slot.process.terminate()
                code = await slot.process.wait()
                slot.process = None
            self._judge(slot.name, code)
            self._read(slot.name, log)
            if not self._closing.is_set():
                await trio.sleep(RESTART_SECONDS)

    def _url(self, slot: Slot) -> str:
        params = f"connect_timeout=2&application_name={slot.name}"
        return f"postgresql://trioqueue@127.0.0.1:{slot.proxy.port}/{self._database}?{params}"

    def _judge(self, name: str, code: int) -> None:
        self.codes[code] += 1
        if code not in CODES:
            self.problems.append(f"{name} ended with code {code}")
        took = time.time() - self._asked.get(name, math.inf)
        if took > STOP_PATIENCE and name not in self.suspensions:
            self.problems.append(f"{name} took {took:.0f} s to stop")

    def _read(self, name: str, log: Path) -> None:
        text = log.read_text(encoding="utf-8", errors="replace")
        if DRAINING in text:
            self.drained.add(name)
        if "Traceback" in text:
            self.problems.append(f"{name} raised: {text[text.index('Traceback') :][:2000]}")

    def send(self, slot: Slot, signum: signal.Signals) -> None:
        """Send a signal to the worker that runs now, if one does."""
        if slot.process is not None:
            if signum is signal.SIGTERM:
                self._asked.setdefault(slot.name, time.time())
            slot.process.send_signal(signum)

    async def suspend(self, slot: Slot, seconds: float) -> None:
        """Let the worker that runs now stand still for a while."""
        process = slot.process
        if process is None:
            return
        self.suspensions[slot.name].append(time.time())
        process.send_signal(signal.SIGSTOP)
        try:
            await trio.sleep(seconds)
        finally:
            process.send_signal(signal.SIGCONT)

    async def close(self, slots: Sequence[Slot]) -> None:
        """Ask all workers to stop, and wait until they have."""
        self._closing.set()
        with trio.move_on_after(STOP_PATIENCE):
            for slot in slots:
                self.send(slot, signal.SIGTERM)
            for slot in slots:
                if slot.process is not None:
                    await slot.process.wait()
        for slot in slots:
            if slot.process is not None and slot.process.returncode is None:
                self.problems.append(f"{slot.name} did not stop within {STOP_PATIENCE:g} s")
                slot.process.kill()
