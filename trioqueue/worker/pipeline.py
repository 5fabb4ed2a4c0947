"""One message, from claim to end: generate, store, split, store, send, finish.

A message's faults stay its own: whatever is raised here ends in the message's own record, and never in the nursery
that the others run in.
"""

from collections.abc import Awaitable, Callable
from typing import TypeAlias
from uuid import UUID

import attrs
import structlog
import trio

from trioqueue.domain.attempts import AttemptFailed
from trioqueue.domain.budgets import BudgetSpent, pause_for
from trioqueue.domain.completions import MessageAtFault
from trioqueue.domain.facts import Fact, PartsPlanned, SendSettled, Verdict
from trioqueue.domain.logs import LogEntry, LogLevel, LogStep
from trioqueue.domain.messages import Claim, ClaimedMessage
from trioqueue.domain.states import PartStatus
from trioqueue.ports import Store, StoreUnavailable
from trioqueue.worker import ends
from trioqueue.worker.drain import Drain
from trioqueue.worker.ends import Ending
from trioqueue.worker.ledger import ClaimLost, Ledger
from trioqueue.worker.reconnect import reconnect_waits
from trioqueue.worker.sender import Sender
from trioqueue.worker.spending import Prices, Spending
from trioqueue.worker.tally import End, Tally
from trioqueue.worker.work import GivenUp, NotWanted, PartUnknown, RunAtFault, Stop, Work
from trioqueue.worker.writer import Writer, split_without_model

log = structlog.get_logger(__name__)

_Done: TypeAlias = tuple[End, ClaimedMessage | None]


@attrs.frozen(eq=False)
class Pipeline:
    """Takes claimed messages to their end.

    Attributes:
        writer: The compute phase.
        sender: The send phase.
        ledger: Where ends are made durable.
        store: Where runs are paused.
        drain: Ends the compute phase early.
        tally: Counts the ends.
        compute_timeout: Seconds for the compute phase.
        prices: What budgets reckon with.
    """

    writer: Writer
    sender: Sender
    ledger: Ledger
    store: Store
    drain: Drain
    tally: Tally
    compute_timeout: float
    prices: Prices = attrs.field(factory=dict)

    async def process(self, message: ClaimedMessage) -> ClaimedMessage | None:
        """Take one message to its end, whatever it is. Raises no Exception.

        Returns:
            The message that was claimed for its slot when its end was committed, None when none was.
        """
        work = Work(message, self._spending(message))
        successor = None
        try:
            with self.writer.leads.during(message.claim.message_id, message.context):
                end, successor = await self._process(work)
        except ClaimLost as error:
            log.warning("claim lost", message_id=str(message.claim.message_id), reason=str(error))
            end = End.LOST
        except Exception as error:
            log.exception("message failed", message_id=str(message.claim.message_id))
            end, successor = await self._end_after_error(work, error)
        self.tally.ends[end] += 1
        self.tally.parts_sent += work.parts_sent
        self.tally.tokens_used += work.spent.tokens - message.spent.tokens
        return successor

    def _spending(self, message: ClaimedMessage) -> Spending | None:
        if message.usd_per_token is not None:
            self.prices[message.model] = message.usd_per_token
        if message.counted is None:
            return None
        return Spending(message.claim, self.ledger, self.prices, message.counted)

    async def _process(self, work: Work) -> _Done:
        if work.message.barred is not None:  # before anything is paid for
            return await self._stop(work, NotWanted(work.message.barred.reason))
        conversation_id = work.message.conversation_id
        if conversation_id is None:
            return await self._stop(work, MessageAtFault("the lead has no phone number to send to"))
        stop = await self._write(work)
        if stop is not None:
            return await self._stop(work, stop, work.told)
        phase = await self.sender.send(work, conversation_id, _planned(work))
        if phase.stop is not None:
            return await self._stop(work, phase.stop, phase.told)
        ending = ends.sent(work.message, work.spent, phase.provider_message_id, len(work.bodies))
        return await self._end(work, ending, phase.told)

    async def _write(self, work: Work) -> Stop | None:
        stop: Stop | None = None
        with self.drain.bounded(self.compute_timeout) as scope:
            stop = await self.writer.generate(work)
            if stop is None and work.text is not None:
                await self.writer.split(work, work.text)
        if not scope.cancelled_caught:
            return stop
        if self.drain.begun:
            return GivenUp()
        if work.text is None:
            return AttemptFailed(f"not written within {self.compute_timeout:g} s", timed_out=True)
        split_without_model(work, work.text)
        return None

    async def _stop(self, work: Work, stop: Stop, told: tuple[Fact, ...] = ()) -> _Done:
        run_id = work.message.claim.run_id
        if isinstance(stop, RunAtFault):
            await self._pause_run(run_id, lambda: self._pause(run_id, stop.step, stop.reason))
        elif isinstance(stop, BudgetSpent):
            await self._pause_run(run_id, lambda: self._pause_for_budget(run_id, stop))
        return await self._end(work, ends.stopped(work.message, work.spent, stop), told)

    async def _pause_run(self, run_id: UUID, pause: Callable[[], Awaitable[None]]) -> None:
        for wait in reconnect_waits():
            try:
                await pause()
            except StoreUnavailable as error:
                log.warning("a run cannot be paused yet", run_id=str(run_id), error=str(error), wait=wait)
                await trio.sleep(wait)
            else:
                return

    async def _pause(self, run_id: UUID, step: LogStep, reason: str, *, until_tomorrow: bool = False) -> None:
        if await self.store.pause_run(run_id, step, reason, until_tomorrow=until_tomorrow):
            log.error("run paused", run_id=str(run_id), reason=reason)
            self.tally.paused[run_id] = reason

    async def _pause_for_budget(self, run_id: UUID, stop: BudgetSpent) -> None:
        pause = pause_for(run_id, await self.store.budgets(run_id), stop.estimate)
        if pause is not None:
            await self._pause(run_id, LogStep.OUT_OF_CREDITS, pause.reason, until_tomorrow=pause.until_tomorrow)

    async def _end(self, work: Work, ending: Ending, told: tuple[Fact, ...]) -> _Done:
        verdict, successor = await self.ledger.record_end(*work.spending_facts(), *told, *ending.facts)
        work.under_way = None
        if verdict is Verdict.DURABLE:
            return ending.end, successor
        log.warning("claim lost at its end", message_id=str(work.message.claim.message_id), end=ending.end)
        return End.LOST, successor

    async def _end_after_error(self, work: Work, error: Exception) -> _Done:
        reason = f"{type(error).__name__} while the message was worked on"
        stop: Stop = AttemptFailed(reason)
        told: tuple[Fact, ...] = ()
        if work.under_way is not None:
            stop = PartUnknown(reason)
            claim, number = work.message.claim, work.under_way
            told = (SendSettled(claim, number, PartStatus.UNKNOWN, work.send_time_ms, error=reason),)
        try:
            return await self._end(work, ends.stopped(work.message, work.spent, stop), told)
        except Exception:
            # The rescue does what could not be done here, and the message is due again: it would be paid for each time.
            log.exception("message left to the rescue", message_id=str(work.message.claim.message_id))
            await self._pause_for_refusal(work.message.claim)
            return End.LOST, None

    async def _pause_for_refusal(self, claim: Claim) -> None:
        reason = f"the database refuses the end of message {claim.message_id}: see the worker's log, repair it, resume"
        try:
            await self._pause_run(claim.run_id, lambda: self._pause(claim.run_id, LogStep.FAILED, reason))
        except Exception as error:  # noqa: BLE001 - a store that refuses one may refuse the other
            log.warning("the run cannot be paused", run_id=str(claim.run_id), error=str(error))


def _planned(work: Work) -> PartsPlanned:
    done = work.split
    if done is None:
        return PartsPlanned(work.message.claim, work.bodies, work.spent)
    details = {
        "parts": len(work.bodies),
        "origin": done.split.origin,
        "split_time_ms": done.time_ms,
        "tokens_used": done.tokens_used,
    }
    entry = LogEntry(LogStep.SPLIT, LogLevel.INFO, "message split", details)
    return PartsPlanned(work.message.claim, work.bodies, work.spent, done.time_ms, entry)
