"""Who is compared, and how each is started."""

import sys
from collections.abc import Callable
from typing import Final

import attrs

from tests.benchmarks.peers import peers_program
from tests.benchmarks.posting import LENT, STOCK

CHUNK: Final = 5


@attrs.frozen
class Contestant:
    """A program that sends what is due and ends.

    Attributes:
        name: Its name on the command line.
        title: What tables call it.
        module: Its module in this package.
        in_flight: What it has in flight when so many are asked for: a loop cannot have more.
        https: What it can make requests with; the best of them counts.
        is_peer: Whether it runs in the peers' environment, and has jobs of its own to be loaded.
    """

    name: str
    title: str
    module: str
    in_flight: Callable[[int], int]
    https: tuple[str, ...] = ("",)
    is_peer: bool = False

    def command(self) -> list[str]:
        """What starts it, without its order."""
        python = str(peers_program("python")) if self.is_peer else sys.executable
        return [python, "-m", f"tests.benchmarks.{self.module}"]


def _as_asked(in_flight: int) -> int:
    return in_flight


TRIOQUEUE: Final = Contestant("trioqueue", "trioqueue", "run_trioqueue", _as_asked)
SEQUENTIAL: Final = Contestant("sequential", "sequential loop", "run_loop", lambda _: 1, ("default",))
CHUNKS: Final = Contestant("chunks", f"chunks of {CHUNK}", "run_loop", lambda asked: min(asked, CHUNK), ("default",))

CONTESTANTS: Final = (
    TRIOQUEUE,
    SEQUENTIAL,
    CHUNKS,
    Contestant("procrastinate", "Procrastinate", "run_procrastinate", _as_asked, STOCK, is_peer=True),
    Contestant("pgqueuer", "PGQueuer", "run_pgqueuer", _as_asked, STOCK, is_peer=True),
    Contestant("procrastinate-lent", "Procrastinate, HTTP lent", "run_procrastinate", _as_asked, (LENT,), is_peer=True),
    Contestant("pgqueuer-lent", "PGQueuer, HTTP lent", "run_pgqueuer", _as_asked, (LENT,), is_peer=True),
)
