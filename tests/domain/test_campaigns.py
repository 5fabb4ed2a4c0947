"""What a campaign may be, and how a run's counters add up."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioqueue.domain.campaigns import LEAST_PARTS, Campaign, InvalidCampaign, RunOverview
from trioqueue.domain.splitting import MOST_PARTS
from trioqueue.domain.states import RunStatus


def campaign(**changes: Any) -> Campaign:
    """A campaign that can be started."""
    values: dict[str, Any] = {"workspace_id": UUID(int=1), "name": "n", "model": "m", "instructions": "i"}
    return Campaign(**values | changes)


def test_defaults() -> None:
    """Messages are split, into three parts at most, unless the campaign says otherwise."""
    assert campaign().split
    assert campaign().max_parts == 3


@pytest.mark.parametrize("field", ["name", "model", "instructions"])
@pytest.mark.parametrize("text", ["", " ", "\n\t"])
def test_an_empty_text_is_refused(field: str, text: str) -> None:
    """A campaign without a name, a model or instructions is refused, and the error names the field."""
    with pytest.raises(InvalidCampaign, match=field):
        campaign(**{field: text})


@pytest.mark.parametrize("field", ["name", "model", "instructions"])
@pytest.mark.parametrize(("text", "reason"), [("a\0b", "NUL character at place 2"), ("a\udcff", "is not UTF-8")])
def test_what_cannot_be_stored_is_refused(field: str, text: str, reason: str) -> None:
    """A text that PostgreSQL cannot store is refused before anything is stored, and the error names the field."""
    with pytest.raises(InvalidCampaign, match=f"{field} .*{reason}"):
        campaign(**{field: text})


@given(st.integers(-2, 8) | st.integers())
def test_one_to_five_parts(max_parts: int) -> None:
    """One to five parts are taken; anything else is refused, and the error names it."""
    assert (LEAST_PARTS, MOST_PARTS) == (1, 5)
    if LEAST_PARTS <= max_parts <= MOST_PARTS:
        assert campaign(max_parts=max_parts).max_parts == max_parts
    else:
        with pytest.raises(InvalidCampaign, match=str(max_parts)):
            campaign(max_parts=max_parts)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_unconfirmed_is_neither_success_nor_failure(success: int, failed: int, skipped: int, unconfirmed: int) -> None:
    """Processed messages are sent, failed, skipped or unconfirmed; the last are what the others leave."""
    run = RunOverview(
        run_id=UUID(int=1),
        name="n",
        status=RunStatus.RUNNING,
        error_message=None,
        leads_total=success + failed + skipped + unconfirmed,
        leads_processed=success + failed + skipped + unconfirmed,
        leads_success=success,
        leads_failed=failed,
        leads_skipped=skipped,
        in_flight=0,
        next_due=None,
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        completed_at=None,
    )

    assert run.unconfirmed == unconfirmed
