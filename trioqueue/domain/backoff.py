"""How long to wait before a call is made again, and before a failed message is due again (SPEC R3 and R4)."""

from typing import Final

MAX_ATTEMPTS: Final = 3
"""Most attempts of one call of the model, the first included."""

NOMINAL_WAITS: Final = (1.0, 2.0, 4.0)
"""Seconds to wait after the first, second and third failed attempt. The third is never waited out within a call: it
is how long the model is left alone by the others."""

JITTER: Final = 0.25
"""The part of a nominal wait that may be taken off at random, as OpenAI's client does, so that callers that failed
together do not come back together."""

LONGEST_WAIT: Final = 60.0
"""Seconds; a longer wait is not spent inside a call: the message is snoozed instead."""

REQUEUE_DELAYS: Final = (300.0, 900.0, 1800.0)
"""Seconds until a message is due again after its first, second and third failed attempt."""

MAX_REQUEUES: Final = len(REQUEUE_DELAYS)


def wait_after(attempt: int, retry_after: float | None, luck: float) -> float:
    """Seconds to wait after a failed attempt.

    Args:
        attempt: The attempt that failed, from 1.
        retry_after: What the service asked for, in seconds; it is never undercut.
        luck: A random number of [0, 1): how much of the jitter is taken off.
    """
    nominal = NOMINAL_WAITS[min(attempt, len(NOMINAL_WAITS)) - 1]
    return max(nominal * (1 - JITTER * luck), retry_after or 0.0)


def requeue_delay(retry_count: int) -> float | None:
    """Seconds until a message that has had `retry_count` requeues is due again; None when it fails for good."""
    return REQUEUE_DELAYS[retry_count] if retry_count < MAX_REQUEUES else None


def exhausted_error(reason: str) -> str:
    """The error message of a message that failed for good after its last requeue; the front end matches its start."""
    return f"Max retries ({MAX_REQUEUES}) exceeded: {reason}"
