"""The send phase of a message: intent durable, part sent, outcome durable, part after part (SPEC 4.2).

Nothing in this phase is ended by a deadline or by a drain: a request whose end is not awaited is a part whose outcome
is unknown. The gateway call's own time-out bounds it.
"""

from collections.abc import Mapping
from typing import Final, assert_never
from uuid import UUID

import attrs
import trio

from trioqueue.domain.attempts import AttemptFailed, WaitLonger
from trioqueue.domain.backoff import wait_after
from trioqueue.domain.facts import Fact, PartsPlanned, SendIntended, SendSettled, Verdict
from trioqueue.domain.logs import LogEntry, LogLevel, LogStep
from trioqueue.domain.messages import Barred
from trioqueue.domain.sends import (
    NotSent,
    OutgoingPart,
    Rejected,
    SenderAtFault,
    SendOutcome,
    Sent,
    Unknown,
    idempotency_key,
)
from trioqueue.domain.states import PartStatus
from trioqueue.ports import Gateway
from trioqueue.worker.drain import Drain
from trioqueue.worker.heartbeat import Heartbeat
from trioqueue.worker.ledger import ClaimLost, Ledger
from trioqueue.worker.work import GivenUp, NotWanted, PartUnknown, RunAtFault, Stop, Work

_REFUSED: Final[Mapping[Verdict, Stop]] = {
    Verdict.RUN_STOPPED: GivenUp(),
    Verdict.LEAD_OPTED_OUT: NotWanted(Barred.OPTED_OUT.reason),
    Verdict.TAKEN_OVER: NotWanted(Barred.TAKEN_OVER.reason),
}
"""Why a message stops whose next part must not leave."""


@attrs.frozen
class SendPhase:
    """How the send phase ended.

    Attributes:
        stop: Why it stopped before the end; None when all parts are sent.
        told: What is still to be recorded, together with the message's end: the outcome of the last part.
        provider_message_id: The gateway's id of the last part sent.
    """

    stop: Stop | None
    told: tuple[Fact, ...] = ()
    provider_message_id: str | None = None


@attrs.frozen(eq=False)
class Sender:
    """Sends the parts of a message that have not left yet.

    Attributes:
        gateway: What takes the parts over.
        ledger: Where intents and outcomes are made durable.
        drain: Looked at before each part.
        heartbeat: Its lease, as it was before the intent was told, must still run when the request begins.
        timeout: Seconds for each request.
    """

    gateway: Gateway
    ledger: Ledger
    drain: Drain
    heartbeat: Heartbeat
    timeout: float

    async def send(self, work: Work, conversation_id: UUID, planned: PartsPlanned) -> SendPhase:
        """Send what has not left. Each outcome is recorded in one commit with the next intent.

        Raises:
            ClaimLost: The message belongs to another worker now; nothing was sent after that was known.
        """
        claim = work.message.claim
        sent = {part.number for part in work.message.parts if part.status is PartStatus.SENT}
        told: tuple[Fact, ...] = (*work.spending_facts(), planned)
        provider_message_id = None
        for number, body in enumerate(work.bodies, start=1):
            if number in sent:
                continue
            if self.drain.begun:
                return SendPhase(GivenUp(), told, provider_message_id)
            # Not asked again after the commit: a lease that lapsed and was renewed meanwhile holds too, but the message
            # may have been taken in between.
            held_until = self.heartbeat.held_until
            verdict = await self.ledger.record(*told, SendIntended(claim, number))
            if verdict is Verdict.CLAIM_LOST:
                raise ClaimLost(f"message {claim.message_id} belongs to another worker now")
            if (stop := _REFUSED.get(verdict)) is not None:
                work.under_way = None
                return SendPhase(stop, (), provider_message_id)
            work.under_way = number
            work.settle_spending()
            if trio.current_time() >= held_until:
                return SendPhase(GivenUp(), (_held_back(work, number),), provider_message_id)
            part = OutgoingPart(conversation_id, body, idempotency_key(claim.message_id, number))
            outcome = await self._send_part(work, part)
            told = (settled(work, number, outcome, idempotent=self.gateway.idempotent),)
            if not isinstance(outcome, Sent):
                return SendPhase(stop_after(outcome, idempotent=self.gateway.idempotent), told, provider_message_id)
            work.parts_sent += 1
            provider_message_id = outcome.provider_message_id or provider_message_id
        return SendPhase(None, told, provider_message_id)

    async def _send_part(self, work: Work, part: OutgoingPart) -> SendOutcome:
        began = trio.current_time()
        try:
            outcome = await self.gateway.send(part, timeout=self.timeout)
        except Exception as error:  # noqa: BLE001 - a defect of the adapter: the request may be out
            outcome = Unknown(f"the gateway's client failed: {type(error).__name__}")
        work.send_time_ms += round((trio.current_time() - began) * 1000)
        return outcome


def _held_back(work: Work, number: int) -> SendSettled:
    error = "this worker's lease has run out"
    return SendSettled(work.message.claim, number, PartStatus.PLANNED, work.send_time_ms, error=error)


def settled(work: Work, number: int, outcome: SendOutcome, *, idempotent: bool) -> SendSettled:
    """What the ledger is told of a part after an answer of the gateway."""
    claim, time_ms = work.message.claim, work.send_time_ms
    match outcome:
        case Sent(provider_message_id=provider_message_id):
            details = {"part": number, "parts": len(work.bodies), "send_time_ms": time_ms}
            log = LogEntry(LogStep.SENT, LogLevel.SUCCESS, f"part {number} of {len(work.bodies)} sent", details)
            return SendSettled(claim, number, PartStatus.SENT, time_ms, provider_message_id, log=log)
        case NotSent(reason=reason):
            return SendSettled(claim, number, PartStatus.PLANNED, time_ms, error=reason)
        case Rejected(reason=reason) | SenderAtFault(reason=reason):
            return SendSettled(claim, number, PartStatus.REJECTED, time_ms, error=reason)
        case Unknown(reason=reason):
            status = PartStatus.PLANNED if idempotent else PartStatus.UNKNOWN
            return SendSettled(claim, number, status, time_ms, error=reason)
        case _:
            assert_never(outcome)


def stop_after(outcome: NotSent | Rejected | SenderAtFault | Unknown, *, idempotent: bool) -> Stop:
    """Why a message does not go on after a part that was not accepted."""
    match outcome:
        case NotSent(reason=reason, retry_after=retry_after):
            if retry_after is None:
                return AttemptFailed(reason)
            # One that says "at once" is given a moment all the same: snoozes are not counted, so nothing ends them.
            return WaitLonger(wait_after(1, retry_after, 0.0), reason)
        case Rejected(reason=reason):
            return AttemptFailed(reason)
        case SenderAtFault(reason=reason):
            return RunAtFault(LogStep.BAD_CREDENTIALS, f"the gateway answered {reason}")
        case Unknown(reason=reason):
            return AttemptFailed(reason) if idempotent else PartUnknown(reason)
        case _:
            assert_never(outcome)
