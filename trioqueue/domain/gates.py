"""The gate before a model: open, or shut until a time for all messages of all workers, then passed by a single probe.

A rate limit shuts it for the cool-down that the service asks for (SPEC 4.3). Faults of the service that do not end
shut it as a circuit breaker does: calls that would fail are not made, and every probe that fails doubles the time to
the next. Times are in seconds of any one clock.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final
from uuid import UUID

import attrs

from trioqueue.domain.completions import Completion, RateLimited, Transient

FAULTS_TO_SHUT: Final = 10
"""Faults of the service in a row, over all messages of a worker, that shut the gate. Three attempts of three messages
may fail by bad luck."""

LEAST_ROW: Final = 2.0
"""Seconds that such a row must last: a connection that is reset once fails any number of calls, and they succeed when
they are made again. No third attempt begins earlier (backoff.py)."""

FIRST_SHUT: Final = 5.0
"""Seconds that faults shut the gate for the first time; each failed probe doubles them."""

LONGEST_SHUT: Final = 60.0
"""Seconds that faults shut the gate at most: a service that is back is found within a minute."""


class Cause(StrEnum):
    """Why a gate is shut."""

    RATE_LIMIT = "rate_limit"
    FAULTS = "faults"


@attrs.frozen
class Gate:
    """Where the gate before one model stands.

    Attributes:
        shut_until: When a probe may be made; None while it is open.
        cause: Why it is shut.
        reason: The answer that shut it.
        trips: How often faults have shut it since it was last open.
        faults: Faults of the service in a row while it is open.
        faults_since: When the first of them came.
    """

    shut_until: float | None = None
    cause: Cause = Cause.RATE_LIMIT
    reason: str = ""
    trips: int = 0
    faults: int = 0
    faults_since: float = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the model may be called by all."""
        return self.shut_until is None

    def remaining(self, now: float) -> float:
        """Seconds until the model may be called, be it by a probe; 0 when it may be now."""
        return 0.0 if self.shut_until is None else max(self.shut_until - now, 0.0)

    def after(self, completion: Completion, now: float, wait: float, *, probe: bool) -> "Gate":
        """The gate after a call was answered.

        Args:
            completion: What came of the call.
            now: The time.
            wait: Seconds that a rate limit is to be waited out; not looked at otherwise.
            probe: Whether the call was the probe of a shut gate. Calls that were under way when it was shut say
                nothing of the time after, unless they are limited, too.
        """
        match completion:
            case RateLimited(reason=reason):
                return Gate(max(self.shut_until or now, now + wait), Cause.RATE_LIMIT, reason)
            case Transient(reason=reason) if probe and self.cause is Cause.FAULTS:
                return _shut_by_faults(self, reason, now)
            case Transient(reason=reason) if probe or self.is_open:
                return self._counted(reason, now)
            case Transient():
                return self
            case _:
                return OPEN if probe or self.is_open else self

    def _counted(self, reason: str, now: float) -> "Gate":
        # A probe that fails otherwise shows that the limit is over.
        since = self.faults_since if self.faults else now
        counted = Gate(faults=self.faults + 1, faults_since=since)
        persistent = counted.faults >= FAULTS_TO_SHUT and now - since >= LEAST_ROW
        return _shut_by_faults(counted, reason, now) if persistent else counted


def _shut_by_faults(gate: Gate, reason: str, now: float) -> Gate:
    seconds = min(FIRST_SHUT * 2.0 ** min(gate.trips, 10), LONGEST_SHUT)
    return Gate(now + seconds, Cause.FAULTS, reason, gate.trips + 1)


OPEN: Final = Gate()
"""A gate that nothing is known against."""


@attrs.frozen
class SharedGate:
    """A shut gate as the workers of an account tell each other of it.

    Attributes:
        model: The model.
        seconds: Until a probe may be made; 0 or less when it may be now.
        cause: Why it is shut.
        reason: The answer that shut it.
        trips: How often faults have shut it since it was last open.
        prober: The incarnation that makes the probe; None when nobody does.
    """

    model: str
    seconds: float
    cause: Cause
    reason: str
    trips: int
    prober: UUID | None = None


@attrs.frozen
class GateNews:
    """What a worker has to tell the others, and asks of them.

    Attributes:
        shut: Gates that it found shut. A probe that was its own is given back.
        opened: Models whose gate its probe has opened.
        probes: Models that it wants to probe.
    """

    shut: Sequence[SharedGate] = ()
    opened: Sequence[str] = ()
    probes: Sequence[str] = ()
