"""What a contestant's process is told, and what it tells of itself while it runs.

Only the standard library: the peers' environment has no trioqueue, nor what trioqueue needs.
"""

import asyncio
import dataclasses
import json
import os
import resource
import sys
import threading
import time
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Order:
    """What to run, and on what.

    Attributes:
        database: URL of a database with trioqueue's tables, in which messages are due.
        world: URL of the model and the gateway.
        in_flight: Messages at once.
        http: What requests are made with, see `posting.py`; trioqueue has only its own.
    """

    database: str
    world: str
    in_flight: int
    http: str = ""

    def arguments(self) -> list[str]:
        """The order as arguments of a command."""
        return [json.dumps(dataclasses.asdict(self))]


_done = threading.Event()
_asked_no_more = threading.Event()


def order() -> Order:
    """The order that this process was started with."""
    return Order(**json.loads(sys.argv[1]))


def await_start() -> None:
    """Say that everything is loaded, wait for the word to begin, and answer every later byte with figures.

    What is printed from then on goes to standard error.
    """
    answers = os.dup(1)
    os.dup2(2, 1)
    os.write(answers, b"ready\n")
    os.read(0, 1)
    threading.Thread(target=_answer, args=(answers,), daemon=True).start()


async def await_start_async() -> None:
    """The same, where connections are open already."""
    await asyncio.get_running_loop().run_in_executor(None, await_start)


def await_end() -> None:
    """Stay when the work is done until nobody asks any more, however short it was; who fails ends at once."""
    _done.set()
    _asked_no_more.wait()


def _answer(answers: int) -> None:
    # Raw reads and writes: a daemon thread that held the lock of sys.stdin would make the end of the process fail.
    while os.read(0, 1):
        figures = {"cpu": time.process_time(), "rss": _rss(), "done": _done.is_set()}
        os.write(answers, json.dumps(figures).encode() + b"\n")
    _asked_no_more.set()


def _rss() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # not Linux: the most that it ever was, in kB, or bytes on macOS
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
