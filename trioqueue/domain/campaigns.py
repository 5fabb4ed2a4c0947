"""A campaign and its runs, as people start and watch them."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

import attrs

from trioqueue.domain.budgets import NO_LIMITS, UNLIMITED, Budget, Limits
from trioqueue.domain.errors import TrioqueueError
from trioqueue.domain.splitting import MOST_PARTS
from trioqueue.domain.states import RunStatus

LEAST_PARTS = 1


class InvalidCampaign(TrioqueueError):
    """A campaign cannot be started as asked; nothing was stored."""


@attrs.frozen
class Campaign:
    """What is to be said to every lead.

    Attributes:
        workspace_id: The tenant that campaign and leads belong to.
        name: What people call it.
        model: The model as the service names it.
        instructions: The operator's instructions, the system prompt.
        split: Whether messages are split.
        max_parts: The most parts of a message, 1 to 5.
        fallback_models: Models that stand in while `model` does not answer; None for those of the worker's setting.
        limits: The budget of its run.

    Raises:
        InvalidCampaign: A value is empty, out of its range, or no text that can be stored.
    """

    workspace_id: UUID
    name: str
    model: str
    instructions: str
    split: bool = True
    max_parts: int = 3
    fallback_models: tuple[str, ...] | None = None
    limits: Limits = NO_LIMITS

    def __attrs_post_init__(self) -> None:
        for field in ("name", "model", "instructions"):
            _check_text(f"the campaign's {field}", getattr(self, field))
        for model in self.fallback_models or ():
            _check_text("the name of a fallback model", model)
        if not LEAST_PARTS <= self.max_parts <= MOST_PARTS:
            raise InvalidCampaign(f"max_parts is {self.max_parts}, allowed are {LEAST_PARTS} to {MOST_PARTS}")


def _check_text(what: str, text: str) -> None:
    if not text.strip():
        raise InvalidCampaign(f"{what} is empty")
    if "\0" in text:
        raise InvalidCampaign(f"{what} has a NUL character at place {text.index(chr(0)) + 1}")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidCampaign(f"{what} is not UTF-8")


@attrs.frozen
class StartedRun:
    """What was stored for a new run."""

    run_id: UUID
    config_id: UUID
    messages: int


@attrs.frozen
class RunOverview:
    """A run and how far it is.

    Attributes:
        run_id: The run.
        name: Its campaign's name.
        status: What it is doing.
        error_message: Why it is paused or failed.
        leads_total: Messages of the run.
        leads_processed: Messages sent, failed, skipped or unconfirmed.
        leads_success: Messages sent.
        leads_failed: Messages failed for good.
        leads_skipped: Messages skipped.
        in_flight: Messages in the hands of workers.
        next_due: When its next pending message is due; None when there is none.
        started_at: When it was started.
        completed_at: When its last message was processed.
        budget: Its budget; what is counted is kept only where there are limits.
        resumes_at: When it goes on by itself if it is paused now; None when it does not.
        pruned_at: When its messages and its log were removed; None while they are kept.
    """

    run_id: UUID
    name: str
    status: RunStatus
    error_message: str | None
    leads_total: int
    leads_processed: int
    leads_success: int
    leads_failed: int
    leads_skipped: int
    in_flight: int
    next_due: datetime | None
    started_at: datetime
    completed_at: datetime | None
    budget: Budget = UNLIMITED
    resumes_at: datetime | None = None
    pruned_at: datetime | None = None

    @property
    def unconfirmed(self) -> int:
        """Messages that count as processed and as neither success nor failure until they are settled."""
        return self.leads_processed - self.leads_success - self.leads_failed - self.leads_skipped


@attrs.frozen
class RunFigures:
    """What a run has used, over all its messages.

    Attributes:
        by_status: How many messages are in each state.
        parts_sent: Parts that the gateway accepted.
        tokens_used: Tokens of all calls.
        cost_usd: Price of all calls in US dollars.
        errors: The most frequent error messages and how often each stands there.
    """

    by_status: dict[str, int]
    parts_sent: int
    tokens_used: int
    cost_usd: Decimal
    errors: tuple[tuple[str, int], ...]
