"""Signals: the first asks for a drain, the second stops at once; SIGHUP, a closed terminal's, is ignored."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog
import trio

from trioqueue.worker.drain import Drain

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

log = structlog.get_logger(__name__)


class StoppedAtOnce(BaseException):
    """A second signal came before the drain was done.

    Not an Exception: no message may take it for its own fault.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number


async def drain_on_signal(drain: Drain, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Begin the drain at the first SIGTERM or SIGINT, and ignore SIGHUP meanwhile.

    Raises:
        StoppedAtOnce: A second one came. What was being sent is left to the rescue.
    """
    with _ignored(signal.SIGHUP), trio.open_signal_receiver(*STOP_SIGNALS) as signals:
        task_status.started()
        async for number in signals:
            name = signal.Signals(number).name
            if drain.begun:
                log.warning("stopping at once", signal=name)
                raise StoppedAtOnce(number)
            log.info("draining: no new messages, what is being sent comes to an end", signal=name)
            drain.begin()


@contextmanager
def _ignored(number: signal.Signals) -> Iterator[None]:
    before = signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(number, before)
