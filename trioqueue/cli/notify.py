"""What a worker tells the service manager that started it: the protocol of systemd's sd_notify(3), without its library.

Nothing is told, and nothing fails, where nobody listens.
"""

import os
import socket
from collections.abc import Mapping

import structlog
import trio

from trioqueue.worker.drain import Drain

log = structlog.get_logger(__name__)


class ServiceManager:
    """Who is told that the worker is ready, alive and stopping.

    Args:
        environ: The environment, with NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID where systemd has set them.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._watchdog = _watchdog_seconds(environ)

    def tell(self, *assignments: str) -> None:
        """Send assignments such as `READY=1`; a manager that cannot be reached is logged."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.setblocking(False)
                channel.sendto("\n".join(assignments).encode(), self._address)
        except OSError as error:
            log.warning("the service manager cannot be told", told=assignments, error=str(error))

    async def follow(self, drain: Drain) -> None:
        """Tell that the worker is ready, then, until the drain is done, that it is alive and that it stops.

        It is alive as long as its event loop turns: one that waits for its database is not to be killed for that.
        """
        self.tell("READY=1", "STATUS=claiming messages")
        async with trio.open_nursery() as nursery:
            if self._watchdog is not None:
                nursery.start_soon(self._keep_alive, self._watchdog / 2)
            await drain.wait()
            self.tell("STOPPING=1", "STATUS=draining: parts under way come to an end")

    async def _keep_alive(self, interval: float) -> None:
        while True:
            self.tell("WATCHDOG=1")
            await trio.sleep(interval)


def _watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    """Seconds within which the manager wants to hear of this process; None when it does not."""
    microseconds, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not microseconds.isdecimal() or int(microseconds) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(microseconds) / 1_000_000
