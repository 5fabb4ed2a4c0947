"""The compute phase of a message: its text is generated, screened and stored, then cut into parts."""

from collections.abc import Collection
from typing import assert_never

import attrs
import structlog
import trio

from trioqueue.domain.attempts import AttemptFailed, CallEnd, WaitLonger
from trioqueue.domain.budgets import BudgetReserved, BudgetSpent, RunStopped
from trioqueue.domain.completions import (
    NOTHING_SPENT,
    AnswerFormat,
    BadCredentials,
    CompletionRequest,
    ConfigurationAtFault,
    MessageAtFault,
    OutOfCredits,
    Usable,
    Usage,
)
from trioqueue.domain.facts import TextGenerated, Verdict
from trioqueue.domain.logs import LogEntry, LogLevel, LogStep
from trioqueue.domain.message_check import UnfitMessage, checked_message
from trioqueue.domain.messages import ClaimedMessage
from trioqueue.domain.prompts import generation_request, split_request
from trioqueue.domain.screening import KnownLeads, ScreeningRule, screen
from trioqueue.domain.splitting import needs_splitting, split_by_answer
from trioqueue.worker.calls import Bill, ModelCalls
from trioqueue.worker.ledger import ClaimLost, Ledger
from trioqueue.worker.work import GivenUp, RunAtFault, SplitDone, Stop, Work

log = structlog.get_logger(__name__)


@attrs.frozen
class WriterSettings:
    """Seconds that one call may take, each of its attempts, and the rules of screening that are not applied."""

    generate_timeout: float
    split_timeout: float
    screening_off: Collection[ScreeningRule] = ()


@attrs.frozen(eq=False)
class Writer:
    """Writes and splits messages. Both methods may be cancelled at any await; what is stored stays stored.

    Attributes:
        calls: How the model is called.
        ledger: Where texts are made durable.
        settings: What bounds the calls, and what is screened.
        leads: The leads of the messages in flight, whose data must not get into another's message.
    """

    calls: ModelCalls
    ledger: Ledger
    settings: WriterSettings
    leads: KnownLeads = attrs.field(factory=KnownLeads)

    async def generate(self, work: Work) -> Stop | None:
        """Have the text written, check it, screen it and store it.

        A text that may not leave is stored in one commit with the message's end: it is paid for, and a person wants to
        see it. One that an earlier attempt has stored is not written again, but screened again as long as there are no
        parts: a person may have had the message tried again, after a change of the rules or the instructions or none.

        Raises:
            ClaimLost: The message belongs to another worker now.
        """
        message = work.message
        if work.text is not None:
            return None if work.bodies else self._screened(message, work.text)
        began = trio.current_time()
        request = generation_request(message.model, message.instructions, message.context)
        end, spent = await self._call(work, request, self.settings.generate_timeout)
        if not isinstance(end, Usable):
            return stop_after(end)
        try:
            text = checked_message(end.text, message.max_parts if message.split else None)
        except UnfitMessage as error:
            return AttemptFailed(str(error))
        time_ms = _ms_since(began)
        entry = _generated(end.model, time_ms, spent)
        fact = TextGenerated(message.claim, text, end.model, work.spent, time_ms, entry)
        stop = self._screened(message, text)
        if stop is not None:
            work.told = (fact,)
            return stop
        # A deadline may end the wait for the commit, but not take the text back: it is told, and whatever is told of
        # this message later is committed after it.
        work.text = text
        if await self.ledger.record(*work.spending_facts(), fact) is not Verdict.DURABLE:
            raise ClaimLost(f"message {message.claim.message_id} belongs to another worker now")
        work.settle_spending()
        return None

    def _screened(self, message: ClaimedMessage, text: str) -> MessageAtFault | None:
        finding = screen(
            text,
            instructions=message.instructions,
            context=message.context,
            others=self.leads,
            off=self.settings.screening_off,
        )
        return None if finding is None else MessageAtFault(f"screening ({finding.rule}): {finding.reason}")

    async def split(self, work: Work, text: str) -> None:
        """Cut the text into parts, with the model's help where that is worth a call.

        Whatever the model answers, also when it does not, there are parts. Nothing is done where an earlier attempt
        has stored them.
        """
        message = work.message
        if work.bodies:
            return
        if not message.split:
            work.bodies = (text,)
            return
        began = trio.current_time()
        answer: str | None = None
        spent = NOTHING_SPENT
        if needs_splitting(text, message.max_parts):
            answer, spent = await self._ask_for_split(work, text)
        _split(work, text, answer, began, spent)

    async def _ask_for_split(self, work: Work, text: str) -> tuple[str | None, Usage]:
        message = work.message
        request = split_request(message.model, text, message.max_parts)
        try:
            end, spent = await self._call(work, request, self.settings.split_timeout)
        except Exception:
            log.exception("the split could not be asked for", message_id=str(message.claim.message_id))
            return None, NOTHING_SPENT
        return end.text if isinstance(end, Usable) else None, spent

    async def _call(self, work: Work, request: CompletionRequest, timeout: float) -> tuple[CallEnd, Usage]:
        # A split is worth a call, but no wait: without one the text is cut all the same.
        bill = Bill(work.spending, can_wait=request.answer_format is AnswerFormat.TEXT)
        try:
            stand_ins = work.message.fallback_models
            return await self.calls.call(request, bill, timeout=timeout, stand_ins=stand_ins), bill.spent
        finally:
            work.spent += bill.spent


def split_without_model(work: Work, text: str) -> None:
    """Cut the text into parts when there is no time left to ask the model."""
    if work.bodies or not work.message.split:
        work.bodies = work.bodies or (text,)
    else:
        _split(work, text, None, trio.current_time(), NOTHING_SPENT)


def _split(work: Work, text: str, answer: str | None, began: float, spent: Usage) -> None:
    split = split_by_answer(text, answer, work.message.max_parts)
    work.bodies = split.parts
    work.split = SplitDone(split, _ms_since(began), spent.tokens)


def stop_after(end: CallEnd) -> Stop:
    """Why a message does not go on after a call that ended so."""
    match end:
        case WaitLonger() | AttemptFailed() | MessageAtFault() | BudgetReserved() | BudgetSpent():
            return end
        case RunStopped():
            return GivenUp()
        case ConfigurationAtFault(reason=reason):
            return RunAtFault(LogStep.MODEL_UNAVAILABLE, f"the model service answered {reason}")
        case BadCredentials(reason=reason):
            return RunAtFault(LogStep.BAD_CREDENTIALS, f"the model service answered {reason}")
        case OutOfCredits(reason=reason):
            return RunAtFault(LogStep.OUT_OF_CREDITS, f"the model service answered {reason}")
        case Usable():
            raise AssertionError("a usable answer is not a reason to stop")
        case _:
            assert_never(end)


def _generated(model: str, time_ms: int, spent: Usage) -> LogEntry:
    details = {"generation_time_ms": time_ms, "tokens_used": spent.tokens, "model": model, "cost_usd": spent.cost_usd}
    return LogEntry(LogStep.GENERATED, LogLevel.SUCCESS, "message generated", details)


def _ms_since(began: float) -> int:
    return round((trio.current_time() - began) * 1000)
