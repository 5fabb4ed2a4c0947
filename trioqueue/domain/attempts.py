"""What follows a call of the model: use its answer, call again, or stop, decided without calling or waiting.

SPEC R3 and 4.3 hold the rules: three attempts a call, rate limits are waited out and are nobody's fault, faults of
the service are tried again, everything else ends the call at once.
"""

from typing import TypeAlias, assert_never

import attrs

from trioqueue.domain.backoff import LONGEST_WAIT, MAX_ATTEMPTS, wait_after
from trioqueue.domain.budgets import Refusal
from trioqueue.domain.completions import (
    BadCredentials,
    Completion,
    ConfigurationAtFault,
    MessageAtFault,
    OutOfCredits,
    RateLimited,
    Transient,
    Truncated,
    Usable,
)
from trioqueue.domain.gates import Cause


@attrs.frozen
class CallAgain:
    """Make the same call again after `wait` seconds, with a larger answer allowed where the last was cut off."""

    wait: float
    larger: bool = False


@attrs.frozen
class WaitLonger:
    """The wait does not fit into the call: come back to the message in `wait` seconds. Not a failed attempt."""

    wait: float
    reason: str
    cause: Cause = Cause.RATE_LIMIT


@attrs.frozen
class AttemptFailed:
    """The attempt at the message has failed and may be repeated later."""

    reason: str
    timed_out: bool = False


CallEnd: TypeAlias = (
    Usable
    | WaitLonger
    | AttemptFailed
    | MessageAtFault
    | ConfigurationAtFault
    | BadCredentials
    | OutOfCredits
    | Refusal
)
"""How a call ends, its retries included."""


def next_step(
    completion: Completion, attempt: int, remaining: float, luck: float, *, enlarged: bool = False
) -> CallEnd | CallAgain:
    """What to do after a call.

    Args:
        completion: What came of it.
        attempt: Which attempt of the call it was, from 1.
        remaining: Seconds that are left for the message; a wait that would use them up is not begun.
        luck: A random number of [0, 1), for the jitter.
        enlarged: Whether a larger answer has been allowed already.
    """
    match completion:
        case Usable() | MessageAtFault() | ConfigurationAtFault() | BadCredentials() | OutOfCredits():
            return completion
        case RateLimited(reason=reason, retry_after=retry_after):
            wait = wait_after(attempt, retry_after, luck)
            fits = wait <= LONGEST_WAIT and wait < remaining
            return CallAgain(wait) if fits and attempt < MAX_ATTEMPTS else WaitLonger(wait, reason)
        case Transient(reason=reason, timed_out=timed_out):
            wait = wait_after(attempt, None, luck)
            fits = wait < remaining
            return CallAgain(wait) if fits and attempt < MAX_ATTEMPTS else AttemptFailed(reason, timed_out)
        case Truncated():
            again = attempt < MAX_ATTEMPTS and not enlarged
            return CallAgain(0.0, larger=True) if again else AttemptFailed("the answer was cut off by its limit")
        case _:
            assert_never(completion)
