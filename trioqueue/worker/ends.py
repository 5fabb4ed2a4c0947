"""What a message's record says when the work on it stops: decided here, written by the pipeline."""

from collections.abc import Sequence
from typing import Final, assert_never

import attrs

from trioqueue.domain.attempts import AttemptFailed, WaitLonger
from trioqueue.domain.backoff import exhausted_error, requeue_delay
from trioqueue.domain.budgets import BudgetReserved, BudgetSpent
from trioqueue.domain.completions import MessageAtFault, Usage
from trioqueue.domain.facts import Fact, Finished, Noted, Returned, WayBack
from trioqueue.domain.gates import Cause
from trioqueue.domain.logs import LogEntry, LogLevel, LogStep
from trioqueue.domain.messages import ClaimedMessage
from trioqueue.domain.states import MessageStatus
from trioqueue.worker.tally import End
from trioqueue.worker.work import GivenUp, NotWanted, PartUnknown, RunAtFault, Stop

_WAITING: Final = {Cause.RATE_LIMIT: LogStep.RATE_LIMITED, Cause.FAULTS: LogStep.MODEL_UNAVAILABLE}


@attrs.frozen
class Ending:
    """How the work ends and the facts that say so."""

    end: End
    facts: Sequence[Fact]


def sent(message: ClaimedMessage, spent: Usage, provider_message_id: str | None, parts: int) -> Ending:
    """The end of a message whose parts have all been sent."""
    log = LogEntry(LogStep.FINISHED, LogLevel.SUCCESS, "message sent", {"parts": parts})
    fact = Finished(message.claim, MessageStatus.SENT, None, provider_message_id, spent, log)
    return Ending(End.SENT, [fact])


def stopped(message: ClaimedMessage, spent: Usage, stop: Stop) -> Ending:
    """The end of a message that does not go on."""
    match stop:
        case GivenUp() | RunAtFault() | BudgetSpent():
            return Ending(End.RELEASED, [_returned(message, WayBack.RELEASE, spent)])
        case BudgetReserved(wait=wait):
            return Ending(End.SNOOZED, [_returned(message, WayBack.SNOOZE, spent, delay=wait)])
        case WaitLonger(wait=wait, reason=reason, cause=cause):
            log = LogEntry(_WAITING[cause], LogLevel.WARNING, reason, {"wait_seconds": round(wait, 3)})
            return Ending(End.SNOOZED, [_returned(message, WayBack.SNOOZE, spent, delay=wait, log=log)])
        case AttemptFailed():
            return _attempt_failed(message, spent, stop)
        case MessageAtFault(reason=reason):
            return Ending(End.FAILED, [_finished(message, MessageStatus.FAILED, reason, spent)])
        case PartUnknown(reason=reason):
            return Ending(End.UNCONFIRMED, [_finished(message, MessageStatus.UNCONFIRMED, reason, spent)])
        case NotWanted(reason=reason):
            log = LogEntry(LogStep.FINISHED, LogLevel.WARNING, reason, {"status": MessageStatus.SKIPPED})
            fact = Finished(message.claim, MessageStatus.SKIPPED, reason, None, spent, log)
            return Ending(End.SKIPPED, [fact])
        case _:
            assert_never(stop)


def _attempt_failed(message: ClaimedMessage, spent: Usage, stop: AttemptFailed) -> Ending:
    noted: list[Fact] = []
    if stop.timed_out:
        noted.append(Noted(message.claim, LogEntry(LogStep.TIMED_OUT, LogLevel.WARNING, stop.reason)))
    delay = requeue_delay(message.retry_count)
    if delay is None:
        error = exhausted_error(stop.reason)
        return Ending(End.FAILED, [*noted, _finished(message, MessageStatus.FAILED, error, spent)])
    retry_count = message.retry_count + 1
    details = {"retry_count": retry_count, "delay_seconds": delay}
    log = LogEntry(LogStep.REQUEUED, LogLevel.WARNING, stop.reason, details)
    fact = Returned(message.claim, WayBack.REQUEUE, delay, retry_count, stop.reason, spent, log)
    return Ending(End.REQUEUED, [*noted, fact])


def _returned(
    message: ClaimedMessage, way: WayBack, spent: Usage, *, delay: float | None = None, log: LogEntry | None = None
) -> Returned:
    return Returned(message.claim, way, delay, message.retry_count, None, spent, log)


def _finished(message: ClaimedMessage, status: MessageStatus, error: str, spent: Usage) -> Finished:
    log = LogEntry(LogStep.FAILED, LogLevel.ERROR, error, {"status": status})
    return Finished(message.claim, status, error, None, spent, log)
