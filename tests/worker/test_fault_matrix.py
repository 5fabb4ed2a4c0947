"""Every fault of the model at once: each message ends as its fault demands, and no text is paid for twice."""

import random
import re
from collections import Counter
from collections.abc import Mapping
from enum import Enum
from itertools import cycle, islice
from typing import Final

import trio

from tests.support.database import fetch, start_run
from tests.support.main_job import MainJob, main_job
from trioqueue.domain.states import MessageStatus, RunStatus
from trioqueue.simulator import ModelFault, ModelTrouble, RequestKind, SplitShape, WorldSettings
from trioqueue.simulator.choice import Seen
from trioqueue.simulator.record import Fate
from trioqueue.worker.tally import End

MESSAGES: Final = 500
IN_FLIGHT: Final = 60
PATIENCE: Final = 120.0
"""Seconds after which the test gives up."""


class Harm(Enum):
    """What a fault does to its message, or to its run."""

    NONE = "the answer is good"
    PASSES = "the same call succeeds a moment later"
    ATTEMPT = "the attempt has failed at once"
    MESSAGE = "the message has failed for good"
    RUN = "the run is paused"


HARM: Final[Mapping[ModelFault, Harm]] = {
    ModelFault.INVALID_REQUEST: Harm.RUN,
    ModelFault.MODEL_NOT_FOUND: Harm.RUN,
    ModelFault.CONTEXT_LENGTH_EXCEEDED: Harm.MESSAGE,
    ModelFault.STRING_TOO_LONG: Harm.MESSAGE,
    ModelFault.INVALID_PROMPT: Harm.MESSAGE,
    ModelFault.CONTENT_POLICY_VIOLATION: Harm.MESSAGE,
    ModelFault.REFUSAL: Harm.MESSAGE,
    ModelFault.BAD_REQUEST: Harm.RUN,
    ModelFault.UNAUTHORIZED: Harm.RUN,
    ModelFault.OUT_OF_CREDITS: Harm.RUN,
    ModelFault.BUDGET_IN_FLIGHT: Harm.PASSES,
    ModelFault.MODERATION: Harm.MESSAGE,
    ModelFault.GUARDRAIL: Harm.MESSAGE,
    ModelFault.PERMISSION_DENIED: Harm.RUN,
    ModelFault.NO_ENDPOINTS: Harm.RUN,
    ModelFault.MODEL_DEPRECATED: Harm.RUN,
    ModelFault.PRIVACY_RESTRICTED: Harm.RUN,
    ModelFault.REQUEST_TIMEOUT: Harm.PASSES,
    ModelFault.PAYLOAD_TOO_LARGE: Harm.MESSAGE,
    ModelFault.UNPROCESSABLE: Harm.MESSAGE,
    ModelFault.RATE_LIMITED: Harm.PASSES,
    ModelFault.RATE_LIMITED_FRACTION: Harm.PASSES,
    ModelFault.RATE_LIMITED_DATE: Harm.PASSES,
    ModelFault.RATE_LIMITED_MILLISECONDS: Harm.PASSES,
    ModelFault.RATE_LIMITED_WITHOUT_WAIT: Harm.PASSES,
    ModelFault.RATE_LIMITED_BY_PLATFORM: Harm.PASSES,
    ModelFault.SERVER_ERROR: Harm.PASSES,
    ModelFault.BAD_GATEWAY: Harm.PASSES,
    ModelFault.BAD_GATEWAY_HTML: Harm.PASSES,
    ModelFault.UNAVAILABLE: Harm.PASSES,
    ModelFault.UNAVAILABLE_WITH_WAIT: Harm.PASSES,
    ModelFault.GATEWAY_TIMEOUT: Harm.PASSES,
    ModelFault.EDGE_TIMEOUT: Harm.PASSES,
    ModelFault.OVERLOADED: Harm.PASSES,
    ModelFault.ERROR_IN_200: Harm.PASSES,
    ModelFault.RATE_LIMIT_IN_200: Harm.PASSES,
    ModelFault.ERROR_IN_CHOICE: Harm.PASSES,
    ModelFault.FINISH_ERROR: Harm.PASSES,
    ModelFault.LENGTH: Harm.PASSES,
    ModelFault.CONTENT_FILTER: Harm.MESSAGE,
    ModelFault.EMPTY_CONTENT: Harm.PASSES,
    ModelFault.NULL_CONTENT: Harm.PASSES,
    ModelFault.SHORT_CONTENT: Harm.ATTEMPT,
    ModelFault.UNFILLED_CONTENT: Harm.MESSAGE,
    ModelFault.INVENTED_CONTENT: Harm.MESSAGE,
    ModelFault.LEAKED_CONTENT: Harm.MESSAGE,
    ModelFault.HIDDEN_CONTENT: Harm.MESSAGE,
    ModelFault.NO_CHOICES: Harm.PASSES,
    ModelFault.NO_USAGE: Harm.NONE,
    ModelFault.HTML: Harm.PASSES,
    ModelFault.TRUNCATED_JSON: Harm.PASSES,
    ModelFault.CUT_OFF: Harm.PASSES,
    ModelFault.HUGE: Harm.PASSES,
    ModelFault.DRIP: Harm.NONE,
    ModelFault.DRIP_FOREVER: Harm.PASSES,
    ModelFault.SLOW: Harm.NONE,
    ModelFault.HOLD: Harm.PASSES,
    ModelFault.HANG: Harm.PASSES,
    ModelFault.CLOSE: Harm.PASSES,
    ModelFault.RESET: Harm.PASSES,
    ModelFault.OUTAGE: Harm.PASSES,
}
"""What each fault does when the first call that writes a message meets it."""

RATE_LIMITS: Final = {fault for fault in ModelFault if fault.name.startswith(("RATE_LIMIT", "BUDGET"))} | {
    ModelFault.UNAVAILABLE_WITH_WAIT
}
RARE: Final = (*RATE_LIMITS, ModelFault.HUGE, ModelFault.OUTAGE, ModelFault.HANG, ModelFault.DRIP_FOREVER)
"""Met by one message each, for the time that each takes of all."""

FREQUENT: Final = [fault for fault in ModelFault if HARM[fault] is not Harm.RUN and fault not in RARE]
PERSISTENT: Final = [fault for fault in FREQUENT if HARM[fault] is Harm.PASSES]
"""One message each meets them at every attempt."""

LASTING: Final = {Harm.ATTEMPT, Harm.MESSAGE}
"""What is met at every attempt, in case that the answer to the first is lost in the outage."""

ORDINARY: Final = MESSAGES - len(RARE) - len(PERSISTENT)

OF_SPLITS: Final[tuple[ModelTrouble, ...]] = (*SplitShape, *FREQUENT)

STATUS: Final = {
    Harm.NONE: (MessageStatus.SENT, 0),
    Harm.PASSES: (MessageStatus.SENT, 0),
    Harm.ATTEMPT: (MessageStatus.PENDING, 1),
    Harm.MESSAGE: (MessageStatus.FAILED, 0),
}
"""The state of a message and its requeues after one round."""

PLAN: Final[list[tuple[ModelFault | None, bool]]] = random.Random(1).sample(
    [
        *((fault, False) for fault in RARE),
        *((fault, True) for fault in PERSISTENT),
        *islice(cycle([(None, False), *((fault, HARM[fault] in LASTING) for fault in FREQUENT)]), ORDINARY),
    ],
    MESSAGES,
)
"""What the messages meet, and whether at every attempt, in the order of their leads."""


def trouble(seen: Seen) -> ModelTrouble | None:
    """What a call meets: by its lead when it writes, anything when it splits."""
    if seen.kind is RequestKind.SPLIT:
        return OF_SPLITS[seen.number % len(OF_SPLITS)]
    lead = int(re.findall(r"Lead (\d+)", seen.subject)[0])
    fault, always = PLAN[lead]
    return fault if always or seen.attempt == 1 else None


def expected(lead: int) -> tuple[MessageStatus, int]:
    """The state and the requeues that a message must end with."""
    fault, always = PLAN[lead]
    harm = HARM[fault] if fault is not None else Harm.NONE
    return (MessageStatus.PENDING, 1) if always and harm is Harm.PASSES else STATUS[harm]


async def work_until_nothing_is_snoozed(job: MainJob) -> Counter[End]:
    """Drain; what faults of the service or their limits had snoozed is due again at once, and so are its models."""
    ends: Counter[End] = Counter()
    while True:
        worker = job.worker()
        await worker.run_once(deadline=None, until_empty=True)
        ends += worker.tally.ends
        if not worker.tally.ends[End.SNOOZED]:
            return ends
        await fetch(job.database.pool, "delete from model_gates")
        await fetch(job.database.pool, "update campaign_messages set scheduled_at = now() where retry_count = 0")


async def test_every_fault_of_the_model_at_once(migrated_url: str) -> None:
    """500 messages meet every fault there is, 60 at a time: each ends in its state, and the counters are exact.

    A message for which a good text came was not written again, and what was sent is that text, each part once.
    """
    world = WorldSettings(model_script=trouble, slow=0.05, drip_interval=0.005, outage=0.05, retry_after=0.1)
    limits = {"generate_timeout": 0.7, "split_timeout": 0.7, "concurrency": IN_FLIGHT, "adaptive_concurrency": False}
    async with main_job(migrated_url, world, **limits) as job:
        pool = job.database.pool
        run = await start_run(pool, MESSAGES)
        with trio.fail_after(PATIENCE):
            ends = await work_until_nothing_is_snoozed(job)

        rows = await fetch(
            pool,
            "select l.client_name, m.status, m.retry_count, m.generated_message, m.conversation_id::text"
            " from campaign_messages m join leads l on l.id = m.lead_id",
        )
        ended = {int(row[0].removeprefix("Lead ")): (MessageStatus(row[1]), row[2]) for row in rows}
        wrong = {PLAN[lead]: end for lead, end in ended.items() if end != expected(lead)}
        statuses = Counter(status for status, _ in ended.values())
        delivered = job.delivered()
        [counters] = await fetch(
            pool, "select status, leads_total, leads_processed, leads_success, leads_failed from campaign_runs"
        )

        assert len(ended) == MESSAGES
        assert not wrong
        assert ends[End.FAILED] == statuses[MessageStatus.FAILED]
        assert counters == (
            RunStatus.RUNNING,
            MESSAGES,
            statuses[MessageStatus.SENT] + statuses[MessageStatus.FAILED],
            statuses[MessageStatus.SENT],
            statuses[MessageStatus.FAILED],
        )
        assert {row[4]: squeezed(row[3]) for row in rows if row[1] == MessageStatus.SENT} == {
            conversation: squeezed("".join(parts)) for conversation, parts in delivered.items()
        }
        assert max(Counter(delivery.idempotency_key for delivery in job.world.deliveries).values()) == 1
        good = Counter(
            call.summary
            for call in job.world.calls
            if call.kind is RequestKind.GENERATE and call.fault is None and call.fate is Fate.ANSWERED
        )
        assert set(good.values()) == {1}
        assert run.messages == MESSAGES


async def test_faults_of_a_run_pause_it_and_no_other(migrated_url: str) -> None:
    """A key, an account or a model that is refused pauses the run that meets it, after the calls under way at most.

    Its messages stay pending and have lost no attempt; the run beside it is completed.
    """
    for fault in (fault for fault, harm in HARM.items() if harm is Harm.RUN):

        def refuse(seen: Seen, fault: ModelFault = fault) -> ModelTrouble | None:
            return fault if "Lead 1" in seen.subject and seen.kind is RequestKind.GENERATE else None

        async with main_job(migrated_url, WorldSettings(model_script=refuse), concurrency=5) as job:
            pool = job.database.pool
            await fetch(pool, "truncate campaign_configs, leads cascade")
            refused = await start_run(pool, 100, first=100)
            other = await start_run(pool, 10, first=200)
            worker = job.worker()
            with trio.fail_after(PATIENCE):
                await worker.run_once(deadline=None, until_empty=True)
            states = dict(await fetch(pool, "select id, status from campaign_runs"))
            waiting = await fetch(
                pool,
                "select status, retry_count, claimed_by, count(*) from campaign_messages where run_id = %s"
                " group by 1, 2, 3",
                refused.run_id,
            )

            assert states == {refused.run_id: RunStatus.PAUSED, other.run_id: RunStatus.COMPLETED}, fault
            assert waiting == [("pending", 0, None, 100)], fault
            assert worker.tally.ends[End.RELEASED] <= 5, fault
            assert worker.tally.paused.keys() == {refused.run_id}, fault


def squeezed(text: str) -> str:
    """A text without its white space."""
    return "".join(text.split())
