"""What is done to the workers and their database, and when: drawn from a seed, so that a round can be repeated.

Repeated is the schedule, not the outcome: what a fault hits depends on the machine.
"""

import random
from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import attrs


class FaultKind(StrEnum):
    """Ways to die, to be away and to come back."""

    KILL = "kill -9"
    """The process ends between two instructions; it is started again."""
    TERMINATE = "SIGTERM"
    """The worker drains and ends; it is started again."""
    SUSPEND = "SIGSTOP"
    """The worker stands still for longer than its lease, and goes on (SIGCONT) as if nothing had happened."""
    END_BACKENDS = "pg_terminate_backend"
    """The server ends all connections of a worker."""
    RESTART_SERVER = "PostgreSQL restarted"
    """The server shuts down, ending all connections, and is started again."""
    CRASH_SERVER = "PostgreSQL crashed"
    """The server ends at once (SIGQUIT) and recovers from its write-ahead log."""
    BLACK_HOLE = "network black hole"
    """Nothing passes between a worker and the server for a while; what was sent meanwhile arrives late."""
    LOST_ANSWERS = "answers held back"
    """What a worker sends arrives; the server's answers do not for a while: commits of which nobody knows."""
    CUT = "connections cut"
    """The connections between a worker and the server are closed on both sides."""


OF_WORKERS: Final = frozenset(FaultKind) - {FaultKind.RESTART_SERVER, FaultKind.CRASH_SERVER}
"""What befalls one worker; the others befall all of them."""

EVERY_SECONDS: Final[Mapping[FaultKind, float]] = MappingProxyType(
    {
        FaultKind.KILL: 4.0,
        FaultKind.TERMINATE: 4.0,
        FaultKind.SUSPEND: 3.5,
        FaultKind.END_BACKENDS: 2.4,
        FaultKind.RESTART_SERVER: 4.5,
        FaultKind.CRASH_SERVER: 4.5,
        FaultKind.BLACK_HOLE: 3.8,
        FaultKind.LOST_ANSWERS: 3.8,
        FaultKind.CUT: 3.8,
    }
)
"""How often each happens on average."""

LASTS: Final[Mapping[FaultKind, tuple[float, float]]] = MappingProxyType(
    {FaultKind.SUSPEND: (1.1, 2.5), FaultKind.BLACK_HOLE: (0.1, 2.0), FaultKind.LOST_ANSWERS: (0.1, 2.0)}
)
"""How long those last that last, in leases: the least and the most."""


@attrs.frozen
class Fault:
    """One thing that goes wrong.

    Attributes:
        at: Seconds from the beginning of the round.
        kind: What it is.
        worker: Which worker it befalls, from 0; None for the server.
        seconds: How long it lasts; 0 for a moment.
    """

    at: float
    kind: FaultKind
    worker: int | None = None
    seconds: float = 0.0


def restarts(interval: float, count: int) -> Sequence[Fault]:
    """The server is restarted at each interval, in good order and after a crash in turn."""
    kinds = (FaultKind.RESTART_SERVER, FaultKind.CRASH_SERVER)
    return [Fault(interval * (number + 1), kinds[number % 2]) for number in range(count)]


def draw_schedule(
    chance: random.Random,
    *,
    seconds: float,
    workers: int,
    lease: float,
    every: Mapping[FaultKind, float] = EVERY_SECONDS,
) -> Sequence[Fault]:
    """The faults of a round, in the order in which they happen.

    Args:
        chance: Where they are drawn from.
        seconds: How long the round has faults.
        workers: How many workers there are.
        lease: Seconds of a worker's lease.
        every: Seconds between two faults of each kind, on average.
    """
    faults: list[Fault] = []
    for kind, mean in every.items():
        at = chance.expovariate(1 / mean)
        while at < seconds:
            worker = chance.randrange(workers) if kind in OF_WORKERS else None
            least, most = LASTS.get(kind, (0.0, 0.0))
            faults.append(Fault(at, kind, worker, chance.uniform(least, most) * lease))
            at += chance.expovariate(1 / mean)
    return sorted(faults, key=lambda fault: fault.at)
