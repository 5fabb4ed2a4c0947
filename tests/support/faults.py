"""What each fault leads to, as tables that are made by asking the code: its tables, its readers and its decisions."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Final

from tests.support.fakes import claimed_message
from trioqueue.domain.attempts import CallAgain, next_step
from trioqueue.domain.backoff import MAX_ATTEMPTS, REQUEUE_DELAYS
from trioqueue.domain.completions import (
    NOTHING_SPENT,
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
from trioqueue.domain.facts import Finished, Returned, WayBack
from trioqueue.domain.sends import NotSent, Rejected, SenderAtFault, SendOutcome, Sent, Unknown
from trioqueue.gateways.internal import read_outcome
from trioqueue.http.answers import Answer
from trioqueue.openrouter.protocol import BY_ERROR_TYPE, BY_FINISH_REASON, BY_STATUS, COMPLETE, read_answer
from trioqueue.worker import ends, sender, writer
from trioqueue.worker.work import RunAtFault, Stop, Work

NOW: Final = datetime(2026, 8, 1, tzinfo=UTC)
WAIT: Final[Mapping[bytes, bytes]] = {b"retry-after": b"7"}

COMPLETIONS: Final[Mapping[type[Completion], str]] = {
    Usable: "usable",
    RateLimited: "rate limit",
    Transient: "fault of the service",
    Truncated: "cut off",
    MessageAtFault: "message at fault",
    ConfigurationAtFault: "configuration at fault",
    BadCredentials: "credentials refused",
    OutOfCredits: "out of credits",
}

OUTCOMES: Final[Mapping[type[SendOutcome], str]] = {
    Sent: "sent",
    NotSent: "not sent",
    Rejected: "rejected",
    SenderAtFault: "sender refused",
    Unknown: "unknown",
}

SAMPLES: Final[Sequence[Completion]] = (
    Usable("text", "model"),
    RateLimited("429"),
    Transient("503"),
    Truncated(),
    MessageAtFault("refused"),
    ConfigurationAtFault("unknown model"),
    BadCredentials("401"),
    OutOfCredits("402"),
)


def model_answers() -> str:
    """How each answer of the model's service is read."""
    rows = [(f"error type `{name}`", _of_error(name, 400), _of_error(name, 400, WAIT)) for name in BY_ERROR_TYPE]
    rows += [(f"{status}", _of_error("", status), _of_error("", status, WAIT)) for status in sorted(BY_STATUS)]
    rows += [(words, _of_error("", status), _of_error("", status, WAIT)) for words, status in OTHER_STATUSES.items()]
    rows += [(words, read, read) for words, read in _whole_answers()]
    table = [f"| {words} | {_named(bare)} | {_named(waiting)} |" for words, bare, waiting in rows]
    return "\n".join(["| answer | is read as | with a Retry-After |", "|---|---|---|", *table])


OTHER_STATUSES: Final = {"another 4xx, or a 3xx": 418, "another 5xx": 500}


def _of_error(error_type: str, status: int, headers: Mapping[bytes, bytes] = {}) -> Completion:
    error: dict[str, Any] = {"message": "m"}
    if error_type:
        error["metadata"] = {"error_type": error_type}
    return read_answer(Answer(status, headers, json.dumps({"error": error}).encode()), now=NOW)


def _whole_answers() -> Iterator[tuple[str, Completion]]:
    reasons = ", ".join(f"`{reason}`" for reason in sorted(COMPLETE))
    yield f"a text with finish_reason {reasons}", _of_choice("stop", "Olá")
    for reason in BY_FINISH_REASON:
        yield f"finish_reason `{reason}`", _of_choice(reason, "Olá")
    yield "another finish_reason, or none", _of_choice(None, "Olá")
    yield "an empty text, or none", _of_choice("stop", "")
    yield "a refusal and no text", _of_choice("stop", None, refusal="no")
    yield "no JSON, no choices, half an answer", read_answer(Answer(200, {}, b"<html>"), now=NOW)
    yield "no answer: time-out, lost or refused connection", Transient("lost")


def _of_choice(reason: str | None, content: str | None, refusal: str | None = None) -> Completion:
    choice = {"finish_reason": reason, "message": {"content": content, "refusal": refusal}}
    return read_answer(Answer(200, {}, json.dumps({"choices": [choice]}).encode()), now=NOW)


def _named(completion: Completion) -> str:
    return COMPLETIONS[type(completion)]


def model_faults() -> str:
    """What follows from each reading for the call, the message and the run."""
    rows = [f"| {_named(sample)} | {' | '.join(_after_call(sample))} |" for sample in SAMPLES]
    return "\n".join(["| read as | the call | the message | the run |", "|---|---|---|---|", *rows])


def _after_call(completion: Completion) -> tuple[str, str, str]:
    waits = []
    enlarged = False
    for attempt in range(1, MAX_ATTEMPTS + 1):
        step = next_step(completion, attempt, math.inf, 0.0, enlarged=enlarged)
        if not isinstance(step, CallAgain):
            break
        enlarged |= step.larger
        waits.append("at once with twice the room" if step.larger else f"after {step.wait:g} s")
    call = f"is made again {' and '.join(waits)}" if waits else "ends"
    if isinstance(completion, RateLimited):
        call = "waits as long as the service asks, at least 1, 2 and 4 s; for all messages, until a probe is answered"
    if isinstance(step, Usable):
        return "is used", "goes on", "goes on"
    assert not isinstance(step, CallAgain)
    return call, *_after_stop(writer.stop_after(step))


def _after_stop(stop: Stop) -> tuple[str, str]:
    """What becomes of the message and of its run."""
    run = f"pauses, with the step {stop.step}" if isinstance(stop, RunAtFault) else "goes on"
    end = ends.stopped(claimed_message(), NOTHING_SPENT, stop).facts[-1]
    match end:
        case Finished(status=status):
            message = f"is `{status}`"
        case Returned(way=WayBack.REQUEUE):
            minutes = [f"{delay / 60:g}" for delay in REQUEUE_DELAYS]
            message = f"is `pending` again in {', '.join(minutes[:-1])} and {minutes[-1]} minutes, then `failed`"
        case Returned(way=WayBack.SNOOZE):
            message = "is `pending` until the wait is over; loses no attempt"
        case _:
            message = "stays `pending`; loses no attempt"
    return message, run


def gateway_answers() -> str:
    """How each answer of the gateway is read."""
    read = [(status, OUTCOMES[type(read_outcome(Answer(status, {}, b""), now=NOW))]) for status in range(200, 600)]
    rows = []
    for words, group in groupby(read, key=lambda item: item[1]):
        statuses = [status for status, _ in group]
        rows.append((f"{statuses[0]}" + (f" to {statuses[-1]}" if len(statuses) > 1 else ""), words))
    rows += [
        ("no connection: not a byte of the request went out", OUTCOMES[NotSent]),
        ("no whole answer after the request began: time-out, lost connection, the worker's death", OUTCOMES[Unknown]),
    ]
    return "\n".join(["| answer | is read as |", "|---|---|", *(f"| {words} | {kind} |" for words, kind in rows)])


def gateway_faults() -> str:
    """What follows from each outcome for the part, the message and the run."""
    samples: list[tuple[str, SendOutcome, bool]] = [
        (OUTCOMES[Sent], Sent(), False),
        (OUTCOMES[NotSent], NotSent("no connection"), False),
        (f"{OUTCOMES[NotSent]}, with a time to wait", NotSent("429", 30.0), False),
        (OUTCOMES[Rejected], Rejected("400"), False),
        (OUTCOMES[SenderAtFault], SenderAtFault("401"), False),
        (OUTCOMES[Unknown], Unknown("lost"), False),
        (f"{OUTCOMES[Unknown]}, at an idempotent gateway", Unknown("lost"), True),
    ]
    rows = [f"| {words} | {' | '.join(_after_send(outcome, idempotent))} |" for words, outcome, idempotent in samples]
    return "\n".join(["| read as | the part | the message | the run |", "|---|---|---|---|", *rows])


def _after_send(outcome: SendOutcome, idempotent: bool) -> tuple[str, str, str]:
    part = sender.settled(Work(claimed_message()), 1, outcome, idempotent=idempotent).status
    if isinstance(outcome, Sent):
        return f"`{part}`", "goes on with the next part", "goes on"
    return f"`{part}`", *_after_stop(sender.stop_after(outcome, idempotent=idempotent))
