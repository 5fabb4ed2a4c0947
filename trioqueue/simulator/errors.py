"""What can go wrong with the simulator itself, as distinct from what it does wrong on demand."""

from trioqueue.domain.errors import TrioqueueError


class SimulatorError(TrioqueueError):
    """The simulator cannot do what it was asked to do."""
